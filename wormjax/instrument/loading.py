"""load_model: a fitted estimator from a saved model or from a work directory."""

import os
from pathlib import Path
from typing import Any

from wormjax.errors import InputError
from wormjax.instrument.decoder import Decoder
from wormjax.instrument.forecaster import Forecaster
from wormjax.instrument.reconstructor import Reconstructor
from wormjax.instrument.relational_inference import RelationalInference
from wormjax.instrument.saved_model import MODEL_FILE, read_model
from wormjax.instrument.settings import take_path
from wormjax.tasks.decode.prediction import open_decoder
from wormjax.tasks.dispatch import find_experiment, read_experiment
from wormjax.tasks.forecast.prediction import open_forecaster
from wormjax.tasks.reconstruct.prediction import open_reconstructor
from wormjax.training.workdir import CONFIG_FILE

KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Decoder, Forecaster, Reconstructor, RelationalInference)}
OPENERS = {
    "generalize": ("Decoder", open_decoder),
    "forecast": ("Forecaster", open_forecaster),
    "reconstruct": ("Reconstructor", open_reconstructor),
}


def load_model(
    path: str | os.PathLike, model: str | None = None
) -> Decoder | Forecaster | Reconstructor | RelationalInference:
    """Return a fitted estimator.

    Args:
      path: a folder that an estimator's `save` wrote, or the work directory of `wormjax generalize`, `wormjax forecast`
        or `wormjax reconstruct`. From a work directory, the runs that trained on the most worms are taken; a decoder
        averages those of them that did not train on the worm at hand.
      model: which model of a work directory; None takes the first.

    Raises:
      InputError: neither of these, or a damaged file.

    Examples:
      >>> decoder = wormjax.load_model("runs/default")
      >>> states = decoder.predict(wormjax.load("csv", "worm.csv"))
    """
    path = Path(take_path(path))
    if (path / MODEL_FILE).is_file():
        kind, trained = read_model(path)
        if kind not in KINDS:
            raise InputError(f"{path / MODEL_FILE}: field 'kind': found {kind!r}, expected one of {', '.join(KINDS)}")
        if model not in (None, trained.name):
            raise InputError(f"{path}: found the model {trained.name!r}, expected {model!r}")
    elif (path / CONFIG_FILE).is_file():
        config = read_experiment(path)
        name = find_experiment(config)
        if name not in OPENERS:
            raise InputError(f"{path}: found a work directory of {name!r}, expected one of: {', '.join(OPENERS)}")
        kind, open_trained = OPENERS[name]
        trained = open_trained(path, config.lock(), model)
    else:
        expected = f"expected a saved model ({MODEL_FILE}) or a work directory of training ({CONFIG_FILE})"
        raise InputError(f"{path}: found {'no model' if path.is_dir() else 'no such folder'}, {expected}")
    estimator = KINDS[kind](model=trained.name, config=trained.config)
    return estimator._keep(trained)
