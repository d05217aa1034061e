"""Which experiment a config is of: any of the programs runs any config, so that a mixed-up pair is no mistake."""

import os

from wormjax.errors import InputError
from wormjax.evaluation.ahead import predict_ahead
from wormjax.evaluation.forecast import forecast
from wormjax.evaluation.generalize import generalize
from wormjax.evaluation.infer import infer
from wormjax.evaluation.manifold import explore_manifold

EXPERIMENTS = {
    "generalize": generalize,
    "forecast": forecast,
    "ahead": predict_ahead,
    "manifold": explore_manifold,
    "infer": infer,
}


def run_experiment(config, workdir: str | os.PathLike) -> None:
    """Runs the experiment that `config.experiment` names; a config without that field is of `generalize`.

    Raises:
      InputError: there is no such experiment, or what it raises.
    """
    name = config.get("experiment", "generalize")
    if name not in EXPERIMENTS:
        raise InputError(f"config field 'experiment': found {name!r}, expected one of {', '.join(EXPERIMENTS)}")
    EXPERIMENTS[name](config, workdir)
