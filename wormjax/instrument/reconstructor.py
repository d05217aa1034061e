"""Reconstructor: hidden or unrecorded neurons of a worm, from those that were recorded."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
from sklearn.utils.validation import check_is_fitted

from wormjax.errors import InputError
from wormjax.instrument.estimator import Estimator
from wormjax.instrument.results import Reconstruction
from wormjax.instrument.settings import build_config, choose_model, list_worms, take_one
from wormjax.recordings.recording import Recording
from wormjax.tasks.reconstruct.baselines import BASELINES
from wormjax.tasks.reconstruct.experiment import MIXTURE, check_config
from wormjax.tasks.reconstruct.prediction import reconstruct_recording, train_reconstructor
from wormjax.tasks.worms import build_training_dataset


@dataclasses.dataclass(repr=False, eq=False)
class Reconstructor(Estimator):
    """Reconstruct each named neuron of a worm from all its others, after training on other worms.

    No motor states are needed, and the worms may differ in their named neurons.

    Args:
      model: "mixture" (the mean of the network and of ridge regressions on single worms and their mirror images),
        "network", or a baseline: "partner", "ridge_union", "ridge_pairs", "ridge_mirrored", "gaussian".
      steps: updates of training; None takes the config's.
      config: a config of `reconstruct`: name, file or ConfigDict.
      settings: further fields of the config, such as {"train.members": 3}.
      progress: whether to show a progress bar.

    Attributes:
      neuron_names_: the neurons that are read.
      worms_: names of the training worms.
      frame_rate_: of the training, hertz.
      config_: all that the model was trained with.

    Examples:
      >>> worms = wormjax.simulate_worms(4, minutes=4.0)
      >>> reconstructor = wormjax.Reconstructor("ridge_pairs").fit(worms[:3])
      >>> reconstructor.reconstruct(worms[3]).r2_to_pandas().columns.tolist()
      ['neuron', 'r2']
    """

    model: str = MIXTURE
    _: dataclasses.KW_ONLY
    steps: int | None = None
    config: str | ml_collections.ConfigDict = "reconstruct"
    settings: Mapping[str, Any] | None = None
    progress: bool = True

    def fit(self, worms: Sequence[Recording], y: None = None, *, seed: int = 0) -> "Reconstructor":
        """Train on worms, scored or not, and return self.

        Args:
          seed: of initial parameters and batches; the same seed gives the same model.
        """
        config = build_config(self.config, "reconstruct", {"train.steps": self.steps}, self.settings, seed)
        if self.model != MIXTURE:
            choose_model(config, self.model, (MIXTURE, *config.model), BASELINES)
            config.mixture = ()
        check_config(config.lock())
        worms, least = list_worms(worms), config.data.least_worms
        if len(worms) < least:
            found = f"found {len(worms)}, expected {least} or more"
            raise InputError(f"worms: {found}: each is reconstructed from what the others teach")
        dataset = build_training_dataset(config, worms, scored=False)
        return self._keep(train_reconstructor(self.model, config, dataset, self.progress))

    def reconstruct(self, worm: Recording) -> Reconstruction:
        """Reconstruct each neuron of a worm from all its other named neurons, and missing neurons from all of them."""
        check_is_fitted(self)
        return Reconstruction(take_one(worm).worm, *reconstruct_recording(self.trained_, worm))


def reconstruct(
    worm: Recording, training_worms: Sequence[Recording], model: str = MIXTURE, *, seed: int = 0, **parameters: Any
) -> Reconstruction:
    """Return each named neuron of a worm as reconstructed from all its others by a model trained on other worms.

    Args:
      worm: a recording.
      training_worms: recordings, of other animals.
      model: see `Reconstructor`.
      seed: see `Reconstructor.fit`.
      parameters: further ones of `Reconstructor`.

    Examples:
      >>> worms = wormjax.simulate_worms(4, minutes=4.0)
      >>> result = wormjax.reconstruct(worms[3], worms[:3], "ridge_pairs")
      >>> result.reconstructed.shape == (len(result.times), len(result.neuron_names))
      True
    """
    return Reconstructor(model, **parameters).fit(training_worms, seed=seed).reconstruct(worm)
