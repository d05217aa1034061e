"""Graphs between named neurons, and how far they hold up: against references, other worms, other seeds, and nulls."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from wormjax.baselines.consensus import choose_class_worms, number_classes
from wormjax.baselines.worm_relations import RELATIONS, RESPONSE, Worms, read_worms, relate
from wormjax.errors import ConfigError, InputError
from wormjax.features.dataset import Dataset
from wormjax.features.studies import SIMULATED
from wormjax.scoring.rows import Row
from wormjax.tasks.composed import build_task, name_task
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.forecast import experiment as forecast
from wormjax.tasks.reconstruct import experiment as reconstruct
from wormjax.tasks.references import KINDS, load_references
from wormjax.tasks.relate import networks, tables
from wormjax.tasks.relate.report import write_report
from wormjax.tasks.relate.tables import BASELINE, Inferred, Study
from wormjax.tasks.worms import build_training_dataset, open_config_recordings
from wormjax.training import multihost
from wormjax.training.progress import follow, track
from wormjax.training.workdir import claim_workdir, describe_dataset
from wormjax.value_checks import check_names

TASKS = {"reconstruct": reconstruct, "forecast": forecast}
NEEDED_BY = {networks.HIDDEN_NEURON: "reconstruct", networks.FORECASTER: "forecast"}


def relate_neurons(config, workdir: str | os.PathLike) -> list[Row]:
    """Infer graphs by every method of a config, score them, and report.

    Writes `results.csv`, `scores.csv`, `agreement.csv`, `summary.md`, figures, and each method's graph (edge list,
    GraphML, matrices) into `workdir`. Networks that an earlier call has trained are not trained again.

    Raises:
      InputError: a config, recordings or a workdir that cannot be used; nothing is computed or written before.
    """
    tasks = prepare_tasks(config)
    recordings = open_config_recordings(config)
    dataset = build_training_dataset(tasks["reconstruct"], recordings, scored=False)
    names = dataset.neuron_names
    references = load_references(config.data, names, config.references.kinds, config.references.atlas)
    study = Study(names, number_classes(names), references, config.data.least_worms)
    with claim_workdir(workdir, config, describe_dataset(dataset)), threadpool_limits(1):
        trained = train_networks(config, tasks, dataset, recordings, workdir)
        if not multihost.is_first():
            return []
        held, steps = networks.count_frames(config, dataset.frame_rate)
        settings = dict(config.relations) | {"held": held, "steps": steps}
        worms, inferred = read_worms(dataset), []
        stacks = {name: np.mean(by_seed, axis=0) for name, (by_seed, _) in trained.items()}
        stacks |= relate((*config.relations.methods, RESPONSE), worms, len(names), settings)
        for name, stack in stacks.items():
            # With the weight of classes that worms left out choose.
            weight = choose_class_worms(stack, study.classes, tuple(config.consensus.class_worms))
            inferred.append(Inferred(name, stack, weight, *trained.get(name, ())))
        findings = measure(config, study, inferred, worms, settings, dataset)
        return write_report(config, dataset, study, inferred, findings, Path(workdir))


def train_networks(config, tasks, dataset: Dataset, recordings, workdir) -> dict[str, networks.Trained]:
    """Return what the networks of `models` imply."""
    trained = {}
    for name in follow([name for name in networks.MODELS if name in config.models]):
        if name == networks.HIDDEN_NEURON:
            trained[name] = networks.relate_hidden(config, tasks["reconstruct"], dataset, workdir)
            continue
        causal = build_training_dataset(tasks["forecast"], recordings, scored=False)
        if causal.neuron_names != dataset.neuron_names or causal.worms != dataset.worms:
            raise InputError("--config: found worms that the forecaster cannot use, expected longer recordings")
        trained[name] = networks.respond_forecaster(config, tasks["forecast"], causal, workdir)
    return trained


def measure(config, study: Study, inferred: Sequence[Inferred], worms: Worms, settings, dataset: Dataset) -> dict:
    """Return the tables of a report by name."""
    random, neurons, shifted = np.random.default_rng([config.seed, 1]), len(study.names), {}
    relations = [one.name for one in inferred if one.name in RELATIONS]
    for _ in track(range(config.nulls.shifts), "circular shifts", "shift"):
        moved = worms.shift(random)
        for name, stack in relate(relations, moved, neurons, settings).items():
            shifted.setdefault(name, []).append(stack)
    found = {
        "scores": tables.score_references(config, study, inferred, shifted),
        "agreement": tables.measure_agreement(config, study, inferred, dataset.worm_studies),
    }
    if len(config.curves.shares):
        curves = [name for name in dict.fromkeys((BASELINE, "var", config.report.method)) if name in relations]
        found["amounts"] = tables.score_amounts(config, study, worms, settings, curves)
    return found


def prepare_tasks(config) -> dict:
    """Return task → its config, with the worms and seeds of this experiment; all of them checked."""
    check_config(config)
    tasks = {name: build_task(config, name) for name in TASKS}
    for name in dict.fromkeys(NEEDED_BY[model] for model in config.models):
        with name_task(name):
            TASKS[name].check_config(tasks[name])
    return tasks


def check_config(config) -> None:
    """Raise ConfigError for what a config of graphs must not hold."""
    check_settings(config)
    for field, found, known in (
        ("models", config.models, networks.MODELS),
        ("relations.methods", config.relations.methods, RELATIONS),
        ("references.kinds", config.references.kinds, KINDS),
        ("report.method", (config.report.method,), (*config.relations.methods, *config.models)),
    ):
        check_names(field, found, known)
    if BASELINE not in config.relations.methods:
        expected = f"expected {BASELINE!r} among them, which all others are compared with"
        raise ConfigError("relations.methods", f"found {tuple(config.relations.methods)}, {expected}")
    if config.references.atlas and config.data.study == SIMULATED and not config.data.studies:
        found = f"found {config.references.atlas!r}, which has no effect"
        raise ConfigError("references.atlas", f"{found}; expected '' with data.study={SIMULATED!r}")
    if RESPONSE in config.relations.methods:
        raise ConfigError("relations.methods", f"found {RESPONSE!r}, which always runs, expected the others alone")
    if networks.FORECASTER in config.models and len(config.tasks.forecast.models) != 1:
        raise ConfigError("tasks.forecast.models", f"found {tuple(config.tasks.forecast.models)}, expected one")


def refuse_evaluation(config, workdir: str | os.PathLike) -> list[Row]:
    """Raise InputError: a graph is not scored on worms that it was not inferred from."""
    raise InputError(f"--workdir: found {workdir} of experiments.relate, expected a new one: wormjax relate")
