"""The experiments by name, and what programs do with them: run, evaluate."""

import os
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from wormjax.errors import ConfigError, InputError
from wormjax.scoring.rows import Row
from wormjax.tasks.ahead import experiment as ahead
from wormjax.tasks.config_checks import COMPOSED, check_fields, find_experiment
from wormjax.tasks.decode import experiment as generalize
from wormjax.tasks.forecast import experiment as forecast
from wormjax.tasks.infer import experiment as infer
from wormjax.tasks.manifold import experiment as manifold
from wormjax.tasks.reconstruct import experiment as reconstruct
from wormjax.tasks.relate import experiment as relate
from wormjax.tasks.report_page import collect_notes, write_page
from wormjax.training.multihost import is_first, start_processes
from wormjax.training.workdir import CONFIG_FILE, read_config


class Experiment(NamedTuple):
    """Functions of a config and a workdir: run the experiment, score a trained workdir again."""

    run: Callable[[Any, str | os.PathLike], Any]
    evaluate: Callable[[Any, str | os.PathLike], list[Row]]


EXPERIMENTS = {
    "generalize": Experiment(generalize.generalize, generalize.evaluate_decoding),
    "forecast": Experiment(forecast.forecast, forecast.evaluate_forecast),
    "ahead": Experiment(ahead.predict_ahead, ahead.evaluate_ahead),
    "manifold": Experiment(manifold.explore_manifold, manifold.refuse_evaluation),
    "reconstruct": Experiment(reconstruct.reconstruct, reconstruct.evaluate_reconstruction),
    "relate": Experiment(relate.relate_neurons, relate.refuse_evaluation),
    "infer": Experiment(infer.infer, infer.evaluate_inference),
}


def run_experiment(config, workdir: str | os.PathLike) -> None:
    """Run the experiment that `config.experiment` names and write its page; without that field it is `generalize`.

    Raises:
      InputError: a config, recordings or a workdir that cannot be used; nothing is computed or written before.
    """
    experiment = EXPERIMENTS[find_experiment(config)]
    check_fields(config)
    start_processes(config)
    with collect_notes() as notes:
        copy_context().run(experiment.run, config, workdir)  # Which keeps the place in its models.
    if is_first():
        print(f"\nReport: {write_page(Path(workdir), notes, again=find_experiment(config) not in COMPOSED)}")


def evaluate(config, workdir: str | os.PathLike) -> list[Row]:
    """Return the rows of all of a workdir's models, on its own recordings or others, on whatever device there is."""
    check_fields(config)
    return EXPERIMENTS[find_experiment(config)].evaluate(config, workdir)


def read_experiment(workdir: str | os.PathLike) -> ml_collections.ConfigDict:
    """Return the config that a work directory was made by; InputError where a field is missing or of another type.

    It does not ask for the devices that training had.
    """
    config = read_config(workdir)
    try:
        check_fields(config)
    except ConfigError as error:
        raise InputError(f"{os.path.join(workdir, CONFIG_FILE)}: {error}") from None
    return config
