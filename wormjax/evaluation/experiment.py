"""Which experiment a config is of: any of the programs runs any config, so that a mixed-up pair is no mistake."""

import os

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
    """Runs the experiment that `config.experiment` names; a config without that field is of `generalize`."""
    EXPERIMENTS[config.get("experiment", "generalize")](config, workdir)
