"""Decoder: the motor state of worms that nobody has annotated."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.utils.validation import check_is_fitted

from wormjax.baselines.linear import LINEAR_BASELINES
from wormjax.errors import InputError
from wormjax.features.neurons import ANY
from wormjax.instrument.estimator import Estimator
from wormjax.instrument.results import Decoding, name_states
from wormjax.instrument.settings import build_config, choose_model, join_neurons, list_worms, take_one
from wormjax.models.catalog import CLASSIFIERS
from wormjax.recordings.recording import Recording
from wormjax.scoring.rows import Row
from wormjax.tasks.decode.experiment import check_config
from wormjax.tasks.decode.prediction import calibrate_decoder, decode_recordings, score_recordings, train_decoder
from wormjax.tasks.training import Trained
from wormjax.tasks.worms import build_training_dataset


@dataclasses.dataclass(repr=False, eq=False)
class Decoder(Estimator):
    """Decode the motor state of each frame, after training on worms whose states are scored.

    Args:
      model: "nri_graph", "temporal_convolution", "mlp", "recurrent", "wang_mlp", "wang_graph", "any_neurons", or a
        linear baseline: "logistic_regression", "logistic_regression_context", "lda", "lda_context", "linear_union".
        None takes "any_neurons" for any neurons, and otherwise "nri_graph".
      neurons: "shared" for those identified in all training worms; "any" for all that are named in some worm (each
        worm is decoded from those that it has); or a list of names.
      states: "four" (reverse, forward, dorsal turn, ventral turn) or "two"; None takes the config's.
      steps: updates of training; None takes the config's.
      members: networks whose probabilities are averaged; None takes the config's.
      config: a config of `generalize`: name, file or ConfigDict. None takes "any_neurons" for any neurons, which also
        decodes velocity, and otherwise "generalize".
      settings: further fields of the config, such as {"train.dropout": 0.1}.
      progress: whether to show a progress bar.

    Attributes:
      state_names_: the columns of probabilities.
      behavior_names_: continuous behaviours that are also decoded.
      neuron_names_: the neurons that are read. A worm that lacks one is decoded with that neuron masked.
      worms_: names of the training worms.
      frame_rate_: of the training, hertz. Recordings at another rate are resampled to it.
      config_: all that the model was trained with.

    Examples:
      >>> worms = wormjax.simulate_worms(4, minutes=4.0)
      >>> decoder = wormjax.Decoder("mlp", steps=100).fit(worms[:3], seed=0)
      >>> probabilities = decoder.predict_proba(worms[3])
    """

    model: str | None = None
    _: dataclasses.KW_ONLY
    neurons: str | Sequence[str] = "shared"
    states: str | None = None
    steps: int | None = None
    members: int | None = None
    config: str | ml_collections.ConfigDict | None = None
    settings: Mapping[str, Any] | None = None
    progress: bool = True

    def fit(self, worms: Sequence[Recording], y: None = None, *, seed: int = 0) -> "Decoder":
        """Train on worms and return self. Worms without a scored state are left out, with a warning.

        Args:
          worms: recordings with motor states.
          y: ignored; the states are those of the recordings.
          seed: of initial parameters and batches; the same seed gives the same model.
        """
        anyone = join_neurons(self.neurons) == ANY
        model = self.model or ("any_neurons" if anyone else "nri_graph")
        chosen = ("any_neurons" if anyone else "generalize") if self.config is None else self.config
        fields = {"data.states": self.states, "train.steps": self.steps, "train.members": self.members}
        config = build_config(chosen, "generalize", fields, self.settings, seed)
        config.data.neurons = join_neurons(self.neurons)
        choose_model(config, model, (*CLASSIFIERS, *config.model), LINEAR_BASELINES)
        check_config(config.lock())
        dataset = build_training_dataset(config, list_worms(worms))
        return self._keep(train_decoder(model, config, dataset, self.progress))

    def decode(self, worm: Recording) -> Decoding:
        """Return probabilities, states and graph of one recording, as a `Decoding`."""
        check_is_fitted(self)
        (decoded,) = decode_recordings(self.trained_, [take_one(worm)])
        answer = decoded.probabilities, self.state_names_, decoded.edges, decoded.neurons, decoded.behavior
        return Decoding(worm.worm, worm.times, *answer)

    def predict_proba(self, worms: Recording | Sequence[Recording]) -> np.ndarray | list[np.ndarray]:
        """Return the probability of each state per frame, [frame, state]; of several recordings a list.

        The recordings need no motor states. Frames outside a recording's stretches are NaN.
        """
        check_is_fitted(self)
        decoded = decode_recordings(self.trained_, list_worms(worms))
        return decoded[0].probabilities if isinstance(worms, Recording) else [one.probabilities for one in decoded]

    def predict(self, worms: Recording | Sequence[Recording]) -> np.ndarray | list[np.ndarray]:
        """Return the name of the most probable state per frame; of several recordings a list of arrays."""
        probabilities = self.predict_proba(list_worms(worms))
        names = [name_states(one, self.state_names_) for one in probabilities]
        return names[0] if isinstance(worms, Recording) else names

    def calibrate(self, worm: Recording, seconds: float = 60.0) -> "Decoder":
        """Return a copy of this decoder, trained further on the first seconds of one animal.

        Args:
          worm: a recording with scored motor states, or behaviours that are decoded, in its first seconds.
          seconds: from its first frame on; later frames are not read.

        Raises:
          InputError: a linear baseline, seconds that are not a number above 0, or nothing scored in them.

        Examples:
          >>> decoder = wormjax.Decoder(neurons="any").fit(worms[:3])
          >>> own = decoder.calibrate(worms[3], seconds=60)
          >>> velocity = own.decode(worms[3]).behavior["velocity"]
        """
        check_is_fitted(self)
        if not isinstance(seconds, int | float | np.number) or not 0 < seconds < np.inf:
            raise InputError(f"seconds: found {seconds!r}, expected seconds above 0")
        calibrated = calibrate_decoder(self.trained_, take_one(worm), float(seconds), self.progress)
        return type(self)(**self.get_params())._keep(calibrated)

    def edges(self, worm: Recording) -> Float[np.ndarray, "sender receiver"]:
        """Return the probability of an edge (of any type but the first, "no edge") between each pair of neurons.

        Raises:
          InputError: the model infers no graph.
        """
        return self.decode(worm).edge_probabilities

    def score(self, worms: Recording | Sequence[Recording], y: None = None) -> float:
        """Return the accuracy on recordings with scored states, mean over worms: the benchmark's number."""
        rows = self._list_rows(worms)
        return float(np.mean([row.value for row in rows if row.metric == "accuracy"]))

    def evaluate(self, worms: Recording | Sequence[Recording]) -> pd.DataFrame:
        """Return every metric on every recording as a pandas DataFrame, a row per worm and metric."""
        return pd.DataFrame([row._asdict() for row in self._list_rows(worms)])

    def _list_rows(self, worms) -> list[Row]:
        check_is_fitted(self)
        rows = score_recordings(self.trained_, list_worms(worms))
        if not rows:
            raise InputError("worms: found no scored motor state, expected some to score (predict needs none)")
        return rows

    def _keep(self, trained: Trained) -> Self:
        self.behavior_names_ = tuple(trained.description["targets"])
        self.state_names_ = tuple(trained.description["states"])
        return super()._keep(trained)

    def _describe(self) -> str:
        return f"{super()._describe()}; decodes {', '.join((*self.state_names_, *self.behavior_names_))}"
