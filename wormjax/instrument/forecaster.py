"""Forecaster: the activity of a worm's neurons in the seconds to come, with its spread."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from wormjax.errors import InputError
from wormjax.instrument.estimator import Estimator
from wormjax.instrument.results import Forecast
from wormjax.instrument.settings import build_config, choose_model, join_neurons, list_worms, take_one, take_whole
from wormjax.recordings.recording import Recording
from wormjax.tasks.forecast.experiment import check_config
from wormjax.tasks.forecast.linear import list_known
from wormjax.tasks.forecast.prediction import forecast_recording, score_recordings, train_forecaster
from wormjax.tasks.worms import build_training_dataset


@dataclasses.dataclass(repr=False, eq=False)
class Forecaster(Estimator):
    """Forecast the traces of a worm's neurons, after training on other worms. No motor states are needed.

    Args:
      model: a network: "nri_graph", "recurrent", "mlp", "nri_dynamic" (sections of the config's `model`); or a
        baseline: "persistence", "mean", "ar_1" ... "ar_16", "var_1" ... "var_16", "mixture",
        "var_adapted".
      neurons: "shared" for those identified in all training worms, or their names.
      steps: updates of training; None takes the config's.
      config: a config of `forecast`: name, file or ConfigDict.
      settings: further fields of the config, such as {"train.dropout": 0.1}.
      progress: whether to show a progress bar.

    Attributes:
      neuron_names_: the neurons that are read and forecast. A worm that lacks one is forecast with it masked.
      worms_: names of the training worms.
      frame_rate_: of the training, hertz; steps of a forecast are frames at this rate.
      config_: all that the model was trained with.

    Examples:
      >>> worms = wormjax.simulate_worms(4, minutes=4.0)
      >>> forecaster = wormjax.Forecaster("var_adapted").fit(worms[:3])
      >>> low, high = forecaster.forecast(worms[3], origin=120.0, steps=16).interval(0.9)
    """

    model: str = "nri_graph"
    _: dataclasses.KW_ONLY
    neurons: str | Sequence[str] = "shared"
    steps: int | None = None
    config: str | ml_collections.ConfigDict = "forecast"
    settings: Mapping[str, Any] | None = None
    progress: bool = True

    def fit(self, worms: Sequence[Recording], y: None = None, *, seed: int = 0) -> "Forecaster":
        """Train on worms, scored or not, and return self.

        Args:
          seed: of initial parameters and batches; the same seed gives the same model.
        """
        config = build_config(self.config, "forecast", {"train.steps": self.steps}, self.settings, seed)
        config.data.neurons = join_neurons(self.neurons)
        choose_model(config, self.model, config.model, list_known(config))
        check_config(config.lock())
        dataset = build_training_dataset(config, list_worms(worms), scored=False)
        return self._keep(train_forecaster(self.model, config, dataset, self.progress))

    def forecast(self, worm: Recording, origin: float | None = None, steps: int = 16) -> Forecast:
        """Forecast a worm's traces from an origin on.

        Args:
          worm: a recording; only the frames before the origin are read.
          origin: seconds, on the clock of `worm.times`; None forecasts what follows the recording.
          steps: frames, at the rate of the training (`frame_rate_`).

        Raises:
          InputError: too few frames before the origin, or a recording that cannot be used.
        """
        check_is_fitted(self)
        worm, steps = take_one(worm), take_whole("steps", steps, 1)
        origin = worm.times[-1] + 1 / worm.frame_rate if origin is None else origin
        if not isinstance(origin, int | float | np.number):
            raise InputError(f"origin: found {origin!r}, expected seconds")
        origin = float(origin)
        found = forecast_recording(self.trained_, worm, origin, steps)
        mixture = found.mean, found.scale, found.weights
        return Forecast(worm.worm, origin, found.times, self.neuron_names_, *mixture, found.edges, worm.trace_units)

    def evaluate(self, worms: Recording | Sequence[Recording]) -> pd.DataFrame:
        """Return every metric on every recording, a row per worm and metric: the benchmark's rows.

        Errors are in units of the scaled traces, and the scale is that of the whole recording, as in published work.
        """
        check_is_fitted(self)
        return pd.DataFrame([row._asdict() for row in score_recordings(self.trained_, list_worms(worms))])
