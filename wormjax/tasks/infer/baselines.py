"""The baselines of an `infer` config: predictors without a graph, and graphs without a model; sampled futures of all.

Each is fitted on training and validation systems, kept in `workdir/models/NAME`, and scored from there.
"""

import os
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from wormjax.baselines import relations
from wormjax.baselines.extrapolation import DAMPINGS, choose_extrapolation, extrapolate
from wormjax.baselines.vector_autoregression import ORDERS, choose_var, predict_static, roll_out_var
from wormjax.features.system_scaling import Scaling, Systems
from wormjax.scoring.edges import Threshold, choose_threshold, pair_frames, score_ranked_edges
from wormjax.scoring.frame_errors import DISTANCE, find_best_distance, measure_errors, measure_spread, sample_futures
from wormjax.scoring.rows import Row
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.groups import list_seeds, model_folder, restore_best
from wormjax.tasks.infer.horizons import cut_future, find_history, fit_regression, predict_regression
from wormjax.tasks.infer.materials import find_edges, find_truth, find_units, list_rows, stack_system
from wormjax.tasks.infer.outputs import Inference
from wormjax.training.fitted import restore_fitted, save_fitted

RELATIONS = {
    "correlation": relations.correlate,
    "lagged_correlation": relations.correlate_lagged,
    "partial_correlation": relations.correlate_partially,
    "granger": relations.measure_granger,
    "graphical_lasso": relations.correlate_sparsely,
    "lagged_regression": relations.regress_lagged,
    "pairwise_direction": relations.compare_skewness,
}
PREDICTORS = ("static", "constant_velocity", "damped_velocity", "var", "ridge")
FITTING_SIMULATIONS = 5_000  # More change nothing in a few hundred coefficients.
FITTING_PRODUCTS = 3e11  # Of an autoregression of the highest order, on a core in less than a minute.
SPREAD = "spread"  # The folder of the spreads of all models' errors, beside those of the models.


def fit_baseline(name: str, config, systems: Systems, workdir: str | os.PathLike):
    """Fit one baseline, unless that is done: a relation's thresholds on validation systems, the autoregression."""
    if restore_fitted(model_folder(workdir, name)) is not None:
        return
    fitted = {}
    if name == "var":
        train, valid = (np.asarray(part.features) for part in (systems.train, systems.valid))
        steps = valid.shape[1] - find_history(config, valid.shape[1])
        count, frames, objects, features = train.shape
        cost = frames * (max(ORDERS) * objects * features) ** 2
        most = max(int(min(FITTING_PRODUCTS / cost, FITTING_SIMULATIONS)), 1)  # Evenly chosen, in reasonable time.
        train = train[:FITTING_SIMULATIONS] if count <= most else train[np.linspace(0, count - 1, most).astype(int)]
        fitted = {"operators": choose_var(train, valid[:FITTING_SIMULATIONS], steps)[0]}
    elif name in ("constant_velocity", "damped_velocity"):
        past, _ = cut_future(config, systems.valid)
        truth = find_truth(config, systems.valid)[:, past.shape[1] :]
        frames, damping = choose_extrapolation(past, truth, DAMPINGS if name == "damped_velocity" else (1.0,))
        fitted = {"frames": np.asarray(frames), "damping": np.asarray(damping)}
    elif name == "ridge":
        fitted = fit_regression(config, systems)[0]._asdict()
    elif name in RELATIONS and (stack_system(systems.valid).edges >= 0).any():
        scores = RELATIONS[name](np.asarray(systems.valid.features))
        scores, true = pair_frames(scores[..., None], stack_system(systems.valid).edges)
        threshold = choose_threshold(scores[..., 0], true, len(systems.valid.edge_types))
        fitted = {"boundaries": np.asarray(threshold.boundaries), "rising": np.asarray(threshold.rising)}
    save_fitted(model_folder(workdir, name), fitted)


def score_baselines(
    config, workdir, test: Trajectories, scaling: Scaling, study: str, groups: Mapping[str, np.ndarray]
) -> list[Row]:
    """Return the rows of all baselines, a group of test systems at a time; none depends on a seed."""
    features, true, history = np.asarray(test.features), find_edges(test, config.data.frames), config.data.frames
    truth, units, rows = find_truth(config, test), find_units(config, scaling), []
    for name in config.baselines:
        fitted = restore_best(model_folder(workdir, name))
        predicted, scores = predict(name, config, fitted, test), None
        if predicted is None and "boundaries" in fitted and test.edges is not None:
            threshold = Threshold(tuple(fitted["boundaries"].tolist()), bool(fitted["rising"]))
            scores = RELATIONS[name](features[:, :history])
        for group_name, group in groups.items():
            values = {}
            if scores is not None:
                ranked, known = pair_frames(scores[group][..., None], true[group])
                values |= score_ranked_edges(ranked[..., 0], known, threshold)
            if predicted is not None:
                values |= measure_errors(predicted[group], truth[group], history, config.evaluate.steps, units)
            rows += list_rows(name, study, group_name, config.seed, values)
    return rows


def predict(name: str, config, fitted, test: Trajectories) -> Float[np.ndarray, "window step object feature"] | None:
    """Return the frames after the history as a predictor sees them; None of a relation, or without such a frame."""
    features = np.asarray(test.features)
    history = config.data.frames
    steps = min(max(config.evaluate.steps), features.shape[1] - history)
    if name not in PREDICTORS or steps < 1:
        return None
    if name == "static":
        return predict_static(features[:, :history], steps)
    if name in ("constant_velocity", "damped_velocity"):
        return extrapolate(features[:, :history], steps, int(fitted["frames"]), float(fitted["damping"]))
    if name == "ridge":
        return predict_regression(config, fitted, features[:, :history], test)[:, :steps]
    return roll_out_var(fitted["operators"], features[:, :history], steps)


def measure_baselines(config, workdir, test: Trajectories) -> dict[str, Float[np.ndarray, " step"]]:
    """Predictor → mean squared error by step, over all test systems."""
    history, errors = config.data.frames, {}
    truth = find_truth(config, test)
    for name in config.baselines:
        predicted = predict(name, config, restore_best(model_folder(workdir, name)), test)
        if predicted is not None:
            future = truth[:, history : history + predicted.shape[1]]
            errors[name] = np.nanmean((predicted - future) ** 2, axis=(0, 2, 3))
    return errors


def fit_spreads(config, workdir: str | os.PathLike, outputs: Mapping[str, Inference], valid: Trajectories) -> None:
    """Measure and save the spread of the errors that each model and baseline has on validation windows."""
    history, spreads = config.data.frames, {}
    future = find_truth(config, valid)[:, history:]
    for name, runs in _list_predictions(config, workdir, outputs, valid, "validation_predicted").items():
        steps = runs.shape[2]
        spreads[name] = np.stack([measure_spread(run, future[:, :steps]) for run in runs])
    save_fitted(model_folder(workdir, SPREAD), spreads)


def score_futures(
    config, workdir, outputs: Mapping[str, Inference], test: Trajectories, scaling: Scaling, names: tuple[str, Mapping]
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
                rows += list_rows(name, study, group_name, seed, {f"{DISTANCE}_best{count}": best})
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
