"""Sampled futures of an `infer` config: the spread of every model's errors on validation windows, and their rows."""

import os
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from wormjax.features.system_scaling import Scaling
from wormjax.scoring.frame_errors import DISTANCE, find_best_distance, measure_spread, sample_futures
from wormjax.scoring.rows import Row
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.groups import list_seeds, model_folder, restore_best
from wormjax.tasks.infer.baselines import predict
from wormjax.tasks.infer.materials import find_truth, find_units
from wormjax.tasks.infer.outputs import Inference
from wormjax.training.fitted import save_fitted

SPREAD = "spread"  # The folder that keeps them, beside those of the models.


def fit_spreads(config, workdir: str | os.PathLike, outputs: Mapping[str, Inference], valid: Trajectories) -> None:
    """Measure and save the spread of the errors that each model and baseline has on validation windows."""
    history, spreads = config.data.frames, {}
    future = find_truth(config, valid)[:, history:]
    for name, runs in _list_predictions(config, workdir, outputs, valid, "validation_predicted").items():
        steps = runs.shape[2]
        spreads[name] = np.stack([measure_spread(run, future[:, :steps]) for run in runs])
    save_fitted(model_folder(workdir, SPREAD), spreads)


def score_futures(
    config,
    workdir: str | os.PathLike,
    outputs: Mapping[str, Inference],
    test: Trajectories,
    scaling: Scaling,
    names: tuple[str, Mapping[str, np.ndarray]],
) -> list[Row]:
    """Return the rows of the best of `evaluate.futures` sampled futures of each object in the (scaled) test windows.

    `names`: what rows call the study, and the windows of each group by its name.
    """
    history, units, count, rows = config.data.frames, find_units(config, scaling), config.evaluate.futures, []
    spreads, truth, (study, groups) = restore_best(model_folder(workdir, SPREAD)), find_truth(config, test), names
    for name, runs in _list_predictions(config, workdir, outputs, test, "predicted").items():
        for seed, run, spread in zip(list_seeds(config), runs, spreads[name], strict=False):
            random = np.random.default_rng(seed)
            for group_name, group in groups.items():
                sampled = sample_futures(run[group], spread, count, random)
                best = find_best_distance(sampled, truth[group, history : history + run.shape[1]], units)
                metric = f"{DISTANCE}_best{count}"
                rows.append(Row(name, study, ("train",), study, group_name, seed, metric, best))
    return rows


def _list_predictions(
    config, workdir, outputs: Mapping[str, Inference], part: Trajectories, field: str
) -> dict[str, Float[np.ndarray, "run window step object feature"]]:
    """Return what every model (a field of its output) and every baseline predicts of some windows."""
    found = {name: getattr(output, field) for name, output in outputs.items()}
    for name in config.baselines:
        predicted = predict(name, config, restore_best(model_folder(workdir, name)), part)
        found[name] = None if predicted is None else predicted[None]
    return {name: runs for name, runs in found.items() if runs is not None}
