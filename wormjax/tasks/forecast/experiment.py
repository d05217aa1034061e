"""The second experiment of Wang et al. (2021): predict the dynamics of neurons in worms that no model has seen."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.derivatives import refuse_future
from wormjax.features.forecast_origins import Starts, cut_future, cut_past, list_starts
from wormjax.scoring.forecasts import Spread, measure_score, score_forecast, score_parts
from wormjax.scoring.rows import Row
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.forecast import networks as forecasting
from wormjax.tasks.forecast import within_recording
from wormjax.tasks.forecast.report import write_report
from wormjax.tasks.groups import Group, list_groups, model_folder, restore_best, restore_from, score_worms
from wormjax.tasks.new_worms import prepare_evaluation
from wormjax.tasks.protocols import WITHIN_RECORDING, Split
from wormjax.tasks.worms import RECORDINGS, describe_materials, prepare_materials
from wormjax.training import multihost
from wormjax.training.progress import follow, track
from wormjax.training.workdir import claim_workdir

# What may be another than it was in training: whose recordings, and what is forecast of them.
OPEN_FIELDS = (*RECORDINGS, "forecast.every")


class Output(NamedTuple):
    """One model's forecasts of one group's test worms; `edges` is None where the model infers no graph."""

    model: str
    group: int
    starts: Starts
    spread: Spread
    edges: Float[np.ndarray, "start edge type"] | None


def forecast(config, workdir: str | os.PathLike) -> list[Row]:
    """Train every model on every split and seed of a config, forecast the worms left out, and report.

    Writes checkpoints, `results.csv`, `summary.md` and figures into `workdir`. What an earlier call has trained is not
    trained again; unfinished training is continued.
    """
    check_config(config)
    if config.protocol.name == WITHIN_RECORDING:
        return within_recording.forecast_within(config, workdir)
    materials = prepare_materials(config)
    dataset, splits = materials.dataset, list(materials.splits)
    groups = list_groups(config, splits)
    list_starts(materials.test_dataset, config.forecast.first, config.forecast.every)
    forecasting.check_training(config, dataset, splits, groups)
    with claim_workdir(workdir, config, describe_materials(materials)):
        with multihost.first_goes_ahead("baselines"):
            fit = forecasting.fit_baselines(config, dataset, splits, workdir)
        for name in follow(config.models):
            forecasting.train_model(name, config, dataset, splits, groups, fit, workdir)
        if not multihost.is_first():
            return []
        rows, kept = [], []
        names = dataset.study, dataset.worms
        for output in run_models(config, materials.test_dataset, splits, groups, fit, restore_from(workdir)):
            rows += score_output(config, names, materials.test_dataset, groups, output)
            kept.append(output._replace(spread=None) if output.group != len(splits) - 1 else output)
        write_report(config, materials, splits, groups, fit, rows, kept, Path(workdir))
        return rows


def evaluate_forecast(config, workdir: str | os.PathLike) -> list[Row]:
    """Return the rows of a workdir's models on the worms of `config.data` that each run has not been trained on."""
    if config.protocol.name == WITHIN_RECORDING:
        expected = "expected a protocol of worms left out: here each worm has models of its own, in results.csv"
        raise ConfigError("protocol.name", f"found {WITHIN_RECORDING!r}, {expected}")
    description, _, dataset, test_splits = prepare_evaluation(config, workdir, OPEN_FIELDS)
    check_config(config)
    groups = list_groups(config, test_splits)
    fit = restore_best(model_folder(workdir, forecasting.LINEAR))
    return list(score_models(config, description, dataset, test_splits, groups, fit, restore_from(workdir)))


def score_models(
    config, description: dict, dataset: Dataset, splits: Sequence[Split], groups: Sequence[Group], fit: dict, restore
) -> Iterator[Row]:
    """Yield the rows of every model and baseline (`run_models`); `description` is of the training data."""
    names = description["study"], description["worms"]
    for output in run_models(config, dataset, splits, groups, fit, restore):
        yield from score_output(config, names, dataset, groups, output)


def check_config(config):
    """Raise InputError for what a config of forecasts must not hold."""
    check_settings(config)
    refuse_future(tuple(config.data.inputs))
    if config.protocol.name == WITHIN_RECORDING:
        within_recording.check_models(config)
    else:
        forecasting.check_models(config)


def run_models(
    config, dataset: Dataset, splits: Sequence[Split], groups: Sequence[Group], fit: dict, restore: Callable
) -> Iterator[Output]:
    """Yield every model's and baseline's forecasts, a group at a time; baselines, which have no seed, once a split.

    `fit` is what the baselines have learnt of each split; `restore` returns a network's parameters, stacked by group.
    """
    starts = list_starts(dataset, config.forecast.first, config.forecast.every)
    tested = [np.isin(starts.worm, group.split.test) for group in groups]
    jobs = [(name, k) for name in config.models for k in range(len(groups))]
    jobs += [(name, k) for name in config.baselines for k in range(len(splits))]
    compiled, best, operators = {}, {}, {}
    for name, number in track(jobs, "forecasts", "run"):
        own, split = starts.of(tested[number]), number % len(splits)
        if not len(own.frame):
            continue
        if name in config.baselines:
            spread = forecasting.forecast_baseline(name, config, fit, split, dataset, own)
            yield Output(name, number, own, spread, None)
            continue
        if name not in compiled:
            compiled = {name: forecasting.build_forecaster(name, config, dataset)}
            best = restore(name)
        variables = jax.tree.map(lambda x, number=number: x[number], best)
        drift = (config.model[name].drift, split)  # The same for all models and seeds.
        if drift not in operators:
            operators[drift] = forecasting.find_operators(config, name, fit, split, dataset, own)
        arguments = name, config, fit, split, variables, dataset, own, operators[drift]
        results = forecasting.forecast_starts(compiled[name], *arguments)
        yield Output(name, number, own, *results)


def score_output(config, names, dataset: Dataset, groups: Sequence[Group], output: Output) -> list[Row]:
    """Return the rows of one model's forecasts of a group's test worms; `names` are of the training study and worms."""
    future, there = cut_future(dataset, output.starts, config.forecast.steps)
    last, present = cut_past(dataset, output.starts, 1)[:, 0], dataset.find_present()

    def score(own):
        has = present[output.starts.worm[own][0]]  # What a worm lacks is not scored.
        mean, scale = (values[own][..., has, :] for values in (output.spread.mean, output.spread.scale))
        spread, true = Spread(mean, scale, output.spread.weights[own]), future[own][:, :, has]
        known = last[own][:, has], true, there[own]
        scores = score_forecast(spread, *known, config.forecast.scored) | measure_score(spread.center, *known)
        neurons = [name for name, own in zip(dataset.neuron_names, has, strict=True) if own]
        parts = {"neurons": neurons, "states": dataset.state_names}
        return scores | score_parts(spread.center, true, there[own], output.starts.state[own], parts)

    return score_worms(output.model, names, dataset, groups[output.group], output.starts.worm, score)
