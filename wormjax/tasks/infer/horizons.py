"""Windows with the frames to predict, on which what predicts many steps at once is fitted.

Predicted are all features but velocities, which follow from them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from wormjax.baselines.horizon_regression import (
    HorizonRegression,
    Regressors,
    fit_horizons,
    number_kinds,
    predict_horizons,
)
from wormjax.features.systems import Systems
from wormjax.simulation.trajectories import Trajectories, hide_missing

VELOCITY = "velocity"


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


def cut_future(
    config, trajectories: Trajectories
) -> tuple[Float[np.ndarray, "window frame object feature"], Float[np.ndarray, "window step object feature"]]:
    """Return the frames of each window that are seen, missing ones filled, and those after them, NaN where missing."""
    history = find_history(config, np.shape(trajectories.features)[1])
    return np.asarray(trajectories.features)[:, :history], hide_missing(trajectories)[:, history:]


def fit_regression(config, systems: Systems) -> tuple[HorizonRegression, Float[np.ndarray, "kind step"]]:
    """Fit the ridge regressions of a config's systems, with the penalties that validation systems choose."""
    outputs, parts, observed = list_outputs(systems.train.feature_names), [], None
    for part in (systems.train, systems.valid):
        past, future = cut_future(config, part)
        parts.append((past[..., outputs], future[..., outputs]))
    if systems.train.observed is not None:
        observed = systems.train.observed[:, parts[0][0].shape[1] :]
        parts[0] = (parts[0][0], np.nan_to_num(parts[0][1]))
    return fit_horizons(*parts[0], parts[1], find_regressors(config, systems.train), observed)


def predict_regression(
    config,
    fitted: Mapping[str, np.ndarray],
    history: Float[np.ndarray, "window frame object feature"],
    test: Trajectories,
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
