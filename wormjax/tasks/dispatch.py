"""Which experiment a config is of: any of the programs runs any config, so that a mixed-up pair is no mistake."""

import os

import ml_collections

from wormjax.errors import InputError
from wormjax.tasks.ahead import experiment as ahead
from wormjax.tasks.config_checks import check_fields
from wormjax.tasks.decode import experiment as generalize
from wormjax.tasks.forecast import experiment as forecast
from wormjax.tasks.infer import experiment as infer
from wormjax.tasks.manifold import experiment as manifold
from wormjax.training.multihost import start_processes
from wormjax.training.workdir import CONFIG_FILE, read_config
from wormjax.value_checks import check_value, text

EXPERIMENTS = {
    "generalize": generalize.generalize,
    "forecast": forecast.forecast,
    "ahead": ahead.predict_ahead,
    "manifold": manifold.explore_manifold,
    "infer": infer.infer,
}
CHECKS = {
    "generalize": generalize.check_config,
    "forecast": forecast.check_config,
    "ahead": ahead.check_config,
    "manifold": manifold.prepare_tasks,
    "infer": infer.check_config,
}


def run_experiment(config, workdir: str | os.PathLike) -> None:
    """Runs the experiment that `config.experiment` names; a config without that field is of `generalize`.

    Raises:
      InputError: there is no such experiment, or what it raises.
    """
    name = find_experiment(config)
    start_processes(config)
    EXPERIMENTS[name](config, workdir)


def check_experiment(config) -> None:
    """All that is checked of a config before files are opened or anything is computed; raises InputError."""
    CHECKS[find_experiment(config)](config)


def read_experiment(workdir: str | os.PathLike) -> ml_collections.ConfigDict:
    """The config that a work directory was made by; InputError where one of its fields is missing or of another type.

    Unlike `check_experiment`, it does not ask for the devices that training had.
    """
    config = read_config(workdir)
    try:
        check_fields(config, find_experiment(config))
    except InputError as error:
        raise InputError(f"{os.path.join(workdir, CONFIG_FILE)}: {error}") from None
    return config


def find_experiment(config) -> str:
    """The name of a config's experiment; InputError where there is no such experiment."""
    name = config.get("experiment", "generalize")
    check_value("config field 'experiment'", name, text(EXPERIMENTS))
    return name
