"""Restores a workdir's checkpoints, on whatever device there is, and scores the same recordings or others."""

import os

from wormjax.errors import InputError
from wormjax.scoring.rows import Row
from wormjax.tasks.ahead.experiment import evaluate_ahead
from wormjax.tasks.config_checks import FIELDS, check_fields
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.forecast.experiment import evaluate_forecast
from wormjax.tasks.groups import list_groups, model_folder, restore_best
from wormjax.tasks.infer.experiment import evaluate_inference
from wormjax.tasks.worms import check_new_worms, prepare_evaluation
from wormjax.training.workdir import describe_dataset
from wormjax.value_checks import check_value, text

# What may be another than it was in training: whose recordings, and how probabilities are read.
OPEN_FIELDS = ("data.path", "data.study", "data.test_path", "data.test_study", "data.simulation", "decode")


def evaluate(config, workdir: str | os.PathLike) -> list[Row]:
    """The rows of all of a workdir's models, by the experiment that it is of.

    Raises:
      InputError: a workdir of `experiments.manifold`, whose tasks have workdirs of their own.
    """
    name = config.get("experiment", "generalize")
    check_value("config field 'experiment'", name, text(FIELDS))
    check_fields(config, name)
    if name == "infer":
        return evaluate_inference(config, workdir)
    if name == "forecast":
        return evaluate_forecast(config, workdir)
    if name == "ahead":
        return evaluate_ahead(config, workdir)
    if name == "manifold":
        folders = ", ".join(os.path.join(workdir, task) for task in ("decode", "forecast", "ahead"))
        raise InputError(f"--workdir: found {workdir} of experiments.manifold, expected one of its tasks: {folders}")
    return evaluate_decoding(config, workdir)


def evaluate_decoding(config, workdir: str | os.PathLike) -> list[Row]:
    """The rows of all of a workdir's models, on the worms of `config.data` that each run has not been trained on.

    A worm is distinguished from a training worm by its name; with the recordings of the training these are the rows
    that training wrote. Other recordings must hold all neurons that the models were trained on.

    Raises:
      InputError: no trained workdir, a config that differs where training fixed it, or recordings that do not fit.
    """
    description, splits, dataset, test_splits = prepare_evaluation(config, workdir, OPEN_FIELDS)
    if config.protocol.name == "same_worm":
        if describe_dataset(dataset)["fingerprint"] != description["fingerprint"]:
            raise InputError(f"{workdir}: found a same_worm experiment, expected its own recordings to evaluate it on")
        test_splits = splits
    check_new_worms(test_splits)
    tested = list_groups(config, test_splits)
    rows = []
    for name in (*config.models, *config.baselines):
        best = restore_best(model_folder(workdir, name))
        decoded = decoding.decode_model(name, config, description, dataset, tested, best)
        rows += decoding.score_model(name, config, description, dataset, tested, decoded)
    return rows
