"""The baselines of an `infer` config: predictors without a graph, and graphs without a model.

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
from wormjax.scoring.frame_errors import measure_errors
from wormjax.scoring.rows import Row
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.groups import model_folder, restore_best
from wormjax.tasks.infer.horizons import cut_future, find_history, fit_regression, predict_regression
from wormjax.tasks.infer.materials import find_edges, find_truth, find_units, stack_system
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


def fit_baseline(name: str, config, systems: Systems, workdir: str | os.PathLike):
    """Fit one baseline, unless that is done: a relation's thresholds on validation systems, the autoregression."""
    if restore_fitted(model_folder(workdir, name)) is not None:
        return
    fitted = {}
    if name == "var":
        train, valid = (np.asarray(part.features) for part in (systems.train, systems.valid))
        steps = valid.shape[1] - find_history(config, valid.shape[1])
        fitted = {"operators": choose_var(_thin_out(train), valid[:FITTING_SIMULATIONS], steps)[0]}
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


def _thin_out(train: Float[np.ndarray, "simulation frame object feature"]) -> np.ndarray:
    """Return as many simulations, evenly chosen, as an autoregression is fitted on in reasonable time."""
    count, frames, objects, features = train.shape
    cost = frames * (max(ORDERS) * objects * features) ** 2
    most = max(int(min(FITTING_PRODUCTS / cost, FITTING_SIMULATIONS)), 1)
    return train[:FITTING_SIMULATIONS] if count <= most else train[np.linspace(0, count - 1, most).astype(int)]


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
            rows += [
                Row(name, study, ("train",), study, group_name, config.seed, metric, value)
                for metric, value in values.items()
            ]
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
