"""The experiment of Wang et al. (2021): decode the motor state of worms that no model has seen."""

import os
from pathlib import Path

from wormjax.baselines.linear import LINEAR_BASELINES, PAIRS
from wormjax.errors import ConfigError, InputError, note
from wormjax.scoring.rows import Row
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.decode import baselines
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.decode.calibration import score_calibration
from wormjax.tasks.decode.few_neurons import score_few_neurons
from wormjax.tasks.decode.report import write_report
from wormjax.tasks.groups import list_groups, model_folder, restore_best
from wormjax.tasks.new_worms import prepare_evaluation
from wormjax.tasks.worms import RECORDINGS, describe_materials, prepare_materials
from wormjax.training import multihost
from wormjax.training.progress import follow
from wormjax.training.workdir import claim_workdir, describe_dataset

# What may be another than it was in training: whose recordings, and how probabilities are read.
OPEN_FIELDS = (*RECORDINGS, "decode")


def generalize(config, workdir: str | os.PathLike) -> None:
    """Train every model on every split and seed of a config, decode the worms left out, and report.

    Writes checkpoints, `results.csv`, `summary.md` and figures into `workdir`; with `few_neurons` and `calibration`
    also `few_neurons.csv` and `calibration.csv`. What an earlier call has trained is not trained again; unfinished
    training is continued.
    """
    check_config(config)
    if config.calibration.durations and not config.models:
        found = f"found {tuple(config.calibration.durations)}, which has no effect"
        raise ConfigError("calibration.durations", f"{found}; expected () without a network in 'models'")
    materials = prepare_materials(config)
    groups = list_groups(config, materials.splits)
    decoding.build_group_runs(config, materials.dataset, groups)
    description = describe_materials(materials)
    with claim_workdir(workdir, config, description):
        for name in config.baselines if multihost.is_first() else ():
            baselines.train_baseline(name, config, materials.dataset, groups, workdir, materials.test_dataset)
        for name in follow(config.models):
            decoding.train_model(name, config, materials.dataset, groups, workdir)
        if not multihost.is_first():
            return
        names = (*config.models, *config.baselines)
        variables = {name: restore_best(model_folder(workdir, name)) for name in names}
        tested, curves = materials.test_dataset, {}
        decode = decoding.decode_model
        decoded = {name: decode(name, config, description, tested, groups, own) for name, own in variables.items()}
        decoded = decoding.refine_all(decoded, tested, groups, decoding.factor_worms(config, tested))
        if config.few_neurons.counts:
            curves["few_neurons"] = score_few_neurons(config, description, materials, groups, variables)
        if config.calibration.durations:
            name = config.models[0]
            curves["calibration"] = score_calibration(config, description, tested, groups, name, variables[name])
        write_report(config, materials, groups, decoded, Path(workdir), curves)


def evaluate_decoding(config, workdir: str | os.PathLike) -> list[Row]:
    """Return the rows of all of a workdir's models, on the worms of `config.data` that each run was not trained on.

    A training worm is known by its traces, whatever its name; with the recordings of the training these are the rows
    that training wrote. Other recordings must hold all neurons that the models were trained on.
    """
    description, splits, dataset, test_splits = prepare_evaluation(config, workdir, OPEN_FIELDS)
    if config.protocol.name == "same_worm":
        if describe_dataset(dataset)["fingerprint"] != description["fingerprint"]:
            raise InputError(f"{workdir}: found a same_worm experiment, expected its own recordings to evaluate it on")
        test_splits = splits
    tested, rows = list_groups(config, test_splits), []
    activity = decoding.factor_worms(config, dataset)
    others = sorted(set(dataset.fingerprints) - set(description.get("test", description)["fingerprints"]))
    for name in (*config.models, *config.baselines):
        if others and name in LINEAR_BASELINES and LINEAR_BASELINES[name].neurons == PAIRS:
            note(f"{name} is fitted to each tested worm: it has no rows of other recordings")
            continue
        best = restore_best(model_folder(workdir, name))
        rows += decoding.score_decoder(name, name, config, description, dataset, tested, best, activity)
    return rows


def check_config(config):
    """Raise InputError for what a config of decoding must not hold."""
    check_settings(config)
    decoding.check_models(config)
