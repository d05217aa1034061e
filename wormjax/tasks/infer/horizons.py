"""Windows with the frames to predict, on which what predicts many steps at once is fitted.

Predicted are all features but velocities, which follow from them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from wormjax.baselines.horizon_regression import (
    HorizonRegression,
    Regressors,
    fit_horizons,
    number_kinds,
    predict_horizons,
    refit_horizons,
    split_folds,
)
from wormjax.errors import ConfigError, InputError
from wormjax.features.system_scaling import Systems
from wormjax.models import horizons as model
from wormjax.models.horizons import Plan
from wormjax.models.nri import Nri
from wormjax.simulation.trajectories import Trajectories, hide_missing
from wormjax.training.stacked_runs import map_systems

VELOCITY = "velocity"
FOLDS = 5  # Of the training windows: what the regression predicts of one is fitted on the others.
AT_ONCE = 32  # Windows that are predicted at a time.
Past = Float[np.ndarray, "window frame object feature"]


class Base(NamedTuple):
    """What a regression predicts of windows, and how far off it is."""

    training: Float[np.ndarray, "window step object output"]  # Each by a regression that was not fitted on it.
    validation: Float[np.ndarray, "window step object output"]
    units: Float[np.ndarray, "step output"]  # Root mean square errors of the training windows.
    regression: HorizonRegression  # Of all training windows, for windows to come.


def list_outputs(feature_names: Sequence[str]) -> Int[np.ndarray, " output"]:
    """Return the numbers of the features that are predicted; all where there are nothing but velocities."""
    chosen = [k for k, name in enumerate(feature_names) if not name.startswith(VELOCITY)]
    return np.array(chosen or range(len(feature_names)))


def find_regressors(config, trajectories: Trajectories) -> Regressors:
    """Return what a config's regression is shown of some systems."""
    linear, objects = config.linear, np.shape(trajectories.features)[2]
    kinds = () if linear.joint else number_kinds(trajectories.object_names, objects)
    return Regressors(tuple(linear.lags), kinds, linear.centred)


def find_history(config, frames: int) -> int:
    """Return how many of a window's frames are seen: `data.frames`, or all but the last of one no longer than that."""
    steps = min(max(config.evaluate.steps), config.data.frames // 2)
    return config.data.frames if frames > config.data.frames else frames - steps


def cut_future(config, trajectories: Trajectories) -> tuple[Past, Float[np.ndarray, "window step object feature"]]:
    """Return the frames of each window that are seen, missing ones filled, and those after them, NaN where missing."""
    history = find_history(config, np.shape(trajectories.features)[1])
    return np.asarray(trajectories.features)[:, :history], hide_missing(trajectories)[:, history:]


def fit_regression(config, systems: Systems) -> tuple[HorizonRegression, Float[np.ndarray, "kind step"]]:
    """Fit the ridge regressions of a config's systems, with the penalties that validation systems choose."""
    outputs, observed = list_outputs(systems.train.feature_names), None
    (past, future), valid = (
        tuple(values[..., outputs] for values in cut_future(config, part)) for part in (systems.train, systems.valid)
    )
    if systems.train.observed is not None:
        observed, future = systems.train.observed[:, past.shape[1] :], np.nan_to_num(future)
    return fit_horizons(past, future, valid, find_regressors(config, systems.train), observed)


def predict_regression(
    config, fitted: Mapping[str, np.ndarray], history: Past, test: Trajectories
) -> Float[np.ndarray, "window step object feature"]:
    """Return the frames after each history as the regression predicts them; features that it does not are NaN."""
    outputs, regression = list_outputs(test.feature_names), HorizonRegression(**fitted)
    predicted = predict_horizons(regression, history[..., outputs], find_regressors(config, test))
    return spread_outputs(predicted, outputs, history.shape[-1])


def spread_outputs(
    predicted: Float[np.ndarray, "*batch output"], outputs: Int[np.ndarray, " output"], features: int
) -> Float[np.ndarray, "*batch feature"]:
    """Return predictions among all features; those that are not predicted are NaN."""
    whole = np.full((*predicted.shape[:-1], features), np.nan, predicted.dtype)
    whole[..., outputs] = predicted
    return whole


def fit_base(config, systems: Systems) -> Base:
    """Fit the regression that a model of all steps at once corrects.

    Corrections are learnt from regressions that were not fitted on a window: those that were are too good on it.
    """
    outputs, regressors = list_outputs(systems.train.feature_names), find_regressors(config, systems.train)
    for part in (systems.train, systems.valid):
        if part.features.shape[1] <= config.data.frames:
            found = f"found {part.features.shape[1]} frames, expected more than {config.data.frames} (data.frames)"
            raise InputError(f"{part.source}: field 'features': {found}, to predict")
    regression, penalties = fit_regression(config, systems)
    (past, future), (valid, _) = (
        tuple(values[..., outputs] for values in cut_future(config, part)) for part in (systems.train, systems.valid)
    )
    observed = None if systems.train.observed is None else systems.train.observed[:, past.shape[1] :]
    known, folds = np.nan_to_num(future), split_folds(len(past), FOLDS)
    training = np.empty(future.shape, np.float32)
    for fold in range(FOLDS):
        others = folds != fold
        seen = None if observed is None else observed[others]
        fitted = refit_horizons(past[others], known[others], penalties, regressors, seen)
        training[~others] = predict_horizons(fitted, past[~others], regressors)
    units = np.sqrt(np.nanmean((training - future) ** 2, axis=(0, 2)))
    return Base(training, predict_horizons(regression, valid, regressors), np.maximum(units, 1e-6), regression)


def find_plan(config, trajectories: Trajectories) -> Plan:
    """Return what a model of all steps at once sees and predicts of some systems.

    Raises:
      InputError: a given object that the systems do not have.
    """
    names, given = trajectories.object_names, tuple(config.model.decoder.given)
    unknown = [name for name in given if name not in names]
    if unknown:
        found = f"found {unknown[0]!r}, expected some of {', '.join(names) or 'none: the objects have no names'}"
        raise ConfigError("model.decoder.given", found)
    return Plan(
        history=config.data.frames,
        outputs=tuple(list_outputs(trajectories.feature_names).tolist()),
        kinds=number_kinds(names, np.shape(trajectories.features)[2]),
        given=tuple(names.index(name) for name in given),
        lags=tuple(config.linear.lags),
        centred=config.linear.centred,
        stride=config.model.encoder.stride,
    )


def check_kinds(trajectories: Trajectories, kinds: Sequence[int]) -> None:
    """Raise InputError for other kinds of objects than those of the training, by number."""
    found = number_kinds(trajectories.object_names, np.shape(trajectories.features)[2])
    if list(found) != list(kinds):
        names = ", ".join(trajectories.object_names) or f"{len(found)} without names"
        raise InputError(f"{trajectories.source}: field 'object_names': found {names}, expected those of the training")


def infer_windows(
    nri: Nri, params: Mapping[str, Any], plan: Plan, past: Past
) -> Float[np.ndarray, "run window edge type"]:
    """Return the probability of each edge type, for every run (stacked parameters)."""
    logits = map_systems(lambda run, x: model.encode(nri, run, plan, x[None])[0], params, (past,), at_once=AT_ONCE)
    return np.minimum(jax.nn.softmax(logits), 1.0)


def predict_windows(
    config, nri: Nri, variables: Mapping[str, Any], part: Trajectories, edges: Float[np.ndarray, "run window edge type"]
) -> Float[np.ndarray, "run window step object feature"]:
    """Return the frames after those that are seen, on some edges, of every run; NaN what is not predicted.

    `variables` are stacked by run, and hold the "regression" that the model corrects.
    """
    plan, regression = find_plan(config, part), HorizonRegression(**variables["regression"])
    outputs, features = np.array(plan.outputs), np.asarray(part.features, np.float32)
    past, future = features[:, : plan.history], features[:, plan.history :][..., outputs]
    base = predict_horizons(regression, past[..., outputs], find_regressors(config, part))
    steps = base.shape[1]
    short = max(steps - future.shape[1], 0)
    mode = "edge" if future.shape[1] else "empty"
    future = np.pad(future[:, :steps], [(0, 0), (0, short), (0, 0), (0, 0)], mode=mode)

    def predict(run, past, base, future, edges):
        return model.predict(nri, run["params"], plan, run["batch_stats"]["units"], past, base, edges, future)

    runs = {name: variables[name] for name in ("params", "batch_stats")}
    predicted = np.asarray(map_systems(predict, runs, (past, base, future), (edges,), AT_ONCE))
    return spread_outputs(predicted, outputs, features.shape[-1])
