"""Hidden neurons: each named neuron of a worm never seen, reconstructed from all its other named neurons."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.recordings.names import find_mirrors
from wormjax.scoring.rows import Row
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.groups import Group, list_groups, model_folder, restore_best, restore_from
from wormjax.tasks.new_worms import prepare_evaluation
from wormjax.tasks.protocols import Split
from wormjax.tasks.reconstruct import baselines, networks
from wormjax.tasks.reconstruct.report import NeuronScore, write_report
from wormjax.tasks.worms import RECORDINGS, describe_materials, prepare_materials
from wormjax.training import multihost
from wormjax.training.fitted import fit_once
from wormjax.training.progress import follow, track
from wormjax.training.workdir import claim_workdir
from wormjax.value_checks import check_names

OPEN_FIELDS = RECORDINGS  # What may be another than it was in training.
LINEAR = "linear"  # The folder of what all baselines learn.
MIXTURE = "mixture"  # The mean of `config.mixture`.


class Output(NamedTuple):
    """One model's reconstruction of one worm's stretches, with every other neuron and without the partner, too.

    NaN where a neuron is not reconstructed; `without_partner` for neurons without a partner.
    """

    model: str
    group: int
    worm: int
    values: Float[np.ndarray, "stretch frame neuron"]
    without_partner: Float[np.ndarray, "stretch frame neuron"]


def reconstruct(config, workdir: str | os.PathLike) -> list[Row]:
    """Train every model on every split and seed of a config, hide each neuron of the worms left out, and report.

    Writes checkpoints, `results.csv`, `neurons.csv`, `summary.md` and a figure into `workdir`. What an earlier call has
    trained is not trained again; unfinished training is continued.
    """
    check_config(config)
    materials = prepare_materials(config)
    dataset, splits = materials.dataset, list(materials.splits)
    groups = list_groups(config, splits)
    if config.models:
        networks.build_group_runs(config, dataset, groups)
    with claim_workdir(workdir, config, describe_materials(materials)):
        with multihost.first_goes_ahead("baselines"):
            fit = fit_baselines(config, dataset, splits, workdir)
        for name in follow(config.models):
            networks.train_model(name, config, dataset, groups, workdir)
        if not multihost.is_first():
            return []
        names = dataset.study, dataset.worms
        outputs = run_models(config, materials.test_dataset, splits, groups, fit, restore_from(workdir))
        scores = [score for output in outputs for score in score_output(names, materials.test_dataset, groups, output)]
        rows = average_neurons(scores)
        write_report(config, materials, rows, scores, Path(workdir))
        return rows


def evaluate_reconstruction(config, workdir: str | os.PathLike) -> list[Row]:
    """Return the rows of a workdir's models on the worms of `config.data` that each run has not been trained on."""
    description, _, dataset, test_splits = prepare_evaluation(config, workdir, OPEN_FIELDS)
    check_config(config)
    groups = list_groups(config, test_splits)
    fit = restore_best(model_folder(workdir, LINEAR))
    names = description["study"], description["worms"]
    outputs = run_models(config, dataset, test_splits, groups, fit, restore_from(workdir))
    return average_neurons([score for output in outputs for score in score_output(names, dataset, groups, output)])


def check_config(config) -> None:
    """Raise ConfigError for what a config of reconstructions must not hold."""
    check_settings(config)
    networks.check_models(config)
    check_names("baselines", config.baselines, baselines.BASELINES)
    check_names("mixture", config.mixture, (*config.models, *config.baselines))
    if config.data.inputs[0] != "trace":
        raise ConfigError("data.inputs", f"found {tuple(config.data.inputs)}, expected trace as the first")
    if config.data.unnamed:
        raise ConfigError("data.unnamed", "found True, expected False: a neuron is reconstructed by its name")


def fit_baselines(config, dataset: Dataset, splits: Sequence[Split], workdir) -> dict:
    """Return what the baselines learn of every split's training worms: fitted once, then restored."""
    with threadpool_limits(1):  # Small systems of equations: more threads wait for each other.
        return fit_once(model_folder(workdir, LINEAR), lambda: baselines.fit_baselines(config, dataset, splits))


def run_models(
    config, dataset: Dataset, splits: Sequence[Split], groups: Sequence[Group], fit: dict, restore: Callable
) -> Iterator[Output]:
    """Yield every model's reconstruction of every group's test worms; baselines, which have no seed, once a split.

    `fit` is what the baselines have learnt of the training worms; `restore` returns a network's parameters, stacked by
    run.
    """
    members, best = config.train.members, {name: restore(name) for name in config.models}
    there = dataset.find_present()
    jobs = [(number, worm) for number, group in enumerate(groups) for worm in group.split.test]
    for number, worm in track(jobs, "reconstructions", "worm"):
        split = number % len(splits)
        runs = slice(number * members, (number + 1) * members)
        variables = {name: jax.tree.map(lambda x, runs=runs: x[runs], best[name]) for name in best}
        known = there[worm] & baselines.find_known(fit, groups[number].split.train, config.data.least_worms)
        neurons, outputs = np.flatnonzero(known), {}
        for name in (*config.models, *config.baselines):
            arguments = config, fit, split, groups[number].split.train, variables.get(name), dataset, worm, neurons
            values = reconstruct_worm(name, *arguments)
            without = reconstruct_worm(name, *arguments, without_partner=True)
            outputs[name] = Output(name, number, worm, values, without)
        if config.mixture:
            mixed = [outputs[name] for name in config.mixture]
            parts = ([getattr(one, field) for one in mixed] for field in ("values", "without_partner"))
            yield Output(MIXTURE, number, worm, *(np.mean(part, axis=0) for part in parts))
        for name, output in outputs.items():
            if name in config.models or number < len(splits):
                yield output


def reconstruct_worm(
    name: str, config, fit, split: int, train, variables, dataset: Dataset, worm: int, neurons, without_partner=False
) -> Float[np.ndarray, "stretch frame neuron"]:
    """Return one model's reconstruction of chosen neurons of a worm's stretches, each from all others; else NaN.

    `split` is the number of the split, by which penalties were chosen; `neurons` are hidden one at a time. With
    `without_partner` the left-right partner is withheld as well; neurons without one are then NaN.
    """
    there, mirrors = dataset.find_present()[worm], np.array(find_mirrors(dataset.neuron_names))
    partners = np.where((mirrors >= 0) & (mirrors != np.arange(len(mirrors))) & there[mirrors], mirrors, -1)
    neurons = neurons[partners[neurons] >= 0] if without_partner else neurons
    if name in config.model:
        withheld = partners[neurons] if without_partner else np.full(len(neurons), -1)
        return networks.reconstruct(name, config, variables, dataset, worm, neurons, withheld)
    with threadpool_limits(1):
        values = baselines.reconstruct(name, fit, split, train, dataset, worm, partners, without_partner)
    chosen = np.isin(np.arange(values.shape[-1]), neurons)
    return np.where(chosen, values, np.nan)


def score_output(names, dataset: Dataset, groups: Sequence[Group], output: Output) -> list[NeuronScore]:
    """Return the R² of each neuron of one reconstruction; `names` are of the training study and worms."""
    study, worms = names
    group, own = groups[output.group], dataset.stretches_of(output.worm)
    place = (study, tuple(worms[worm] for worm in group.split.train), dataset.study, dataset.worms[output.worm])
    measured = dataset.arrays.features[own, ..., 0]
    r2, without = (score_neurons(values, measured) for values in (output.values, output.without_partner))
    return [
        NeuronScore(output.model, *place, group.seed, dataset.neuron_names[k], float(r2[k]), float(without[k]))
        for k in np.flatnonzero(np.isfinite(r2))
    ]


def score_neurons(
    values: Float[np.ndarray, "stretch frame neuron"], measured: Float[np.ndarray, "stretch frame neuron"]
) -> Float[np.ndarray, " neuron"]:
    """Return the R² of each neuron over the frames in which it is measured; NaN where it is not reconstructed."""
    measured, there = measured.astype(np.float64), measured != 0
    count = np.maximum(there.sum(axis=(0, 1)), 1)
    variance = (there * (measured - (measured.sum(axis=(0, 1)) / count)) ** 2).sum(axis=(0, 1))
    error = np.where(there, (measured - values) ** 2, 0.0).sum(axis=(0, 1))
    return np.where(variance > 0, 1.0 - error / np.where(variance > 0, variance, 1.0), np.nan)


def average_neurons(scores: Sequence[NeuronScore]) -> list[Row]:
    """Return the rows of worms, each metric a mean over neurons.

    r2: of all neurons. r2_with_partner: of those whose left-right partner is recorded, too; r2_without_partner: of the
    same ones, with the partner withheld.
    """
    worms: dict[tuple, list[NeuronScore]] = {}
    for score in scores:
        worms.setdefault(score[:6], []).append(score)
    rows = []
    for place, own in worms.items():
        paired = [score for score in own if np.isfinite(score.r2_without_partner)]
        means = {"r2": np.mean([score.r2 for score in own])}
        if paired:
            means["r2_with_partner"] = np.mean([score.r2 for score in paired])
            means["r2_without_partner"] = np.mean([score.r2_without_partner for score in paired])
        rows += [Row(*place, metric, float(value)) for metric, value in means.items()]
    return rows
