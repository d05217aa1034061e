"""Predictors of trajectories that know no graph: static, and vector autoregression over all objects together.

The static predictor of Kipf, Fetaya et al. (2018, arXiv 1802.04687) repeats the last frame. A vector autoregression
predicts the change of all objects' features from the last frames of all of them, linearly, with a ridge penalty; one
set of coefficients stands for all simulations, as in their joint LSTM, so it can know the mean graph only. Penalising
the change makes the static predictor, with the mean drift, the limit of a large penalty. A prediction is made from its
history and nothing after it. Many lags can stand in for a graph: springs without walls are linear and smooth, so the
past of an object tells much of what the others do to it.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wormjax.errors import InputError

ORDERS = (1, 2, 5, 12)
RIDGES = (1e-12, 1e-8, 1e-4, 1e-2, 1.0)  # Smooth systems without noise, such as springs, want next to none.
CHUNK_NUMBERS = 8_000_000  # Numbers in the largest array at a time: 64 MB.

Features = Float[np.ndarray, "simulation frame object feature"]


class Autoregression(NamedTuple):
    """Change to the next frame: sum over lags of channels[t - lag] @ weights[lag] + bias; channel: object, feature."""

    weights: Float[np.ndarray, "lag channel channel"]
    bias: Float[np.ndarray, " channel"]


def predict_static(history: Features, steps: int) -> Float[np.ndarray, "simulation step object feature"]:
    """The last frame of the history, `steps` times."""
    _check_features("history", history, 1)
    return np.repeat(np.asarray(history)[:, -1:], steps, axis=1)


def fit_var(features: Features, order: int, ridge: float) -> Autoregression:
    """Fits a vector autoregression by penalised least squares on every frame that has `order` frames before it.

    Args:
      features: of the training simulations, in any units.
      order: past frames that the change depends on.
      ridge: penalty of a coefficient, relative to the variance of what it multiplies; the bias is not penalised.

    Raises:
      InputError: order + 1 frames are not there, or an argument is out of its range.
    """
    return _solve(*_sum_products(_check_features("training simulations", features, order + 1), order), ridge)


def choose_var(
    train: Features,
    validation: Features,
    steps: int,
    orders: Sequence[int] = ORDERS,
    ridges: Sequence[float] = RIDGES,
) -> tuple[Autoregression, int, float]:
    """The order and penalty, fitted on `train`, that best predict the last `steps` frames of `validation`.

    The best has the lowest mean squared error over those steps, each simulation's earlier frames being the history.

    Returns:
      The autoregression, its order, its penalty. Orders that need more frames than there are are left out.

    Raises:
      InputError: not one order fits the number of frames, or no autoregression stays finite.
    """
    train = _check_features("training simulations", train, 2)
    validation = _check_features("validation simulations", validation, steps + 1)
    history, future = validation[:, :-steps], validation[:, -steps:].astype(np.float64)
    longest = min(train.shape[1] - 1, history.shape[1])
    if not (fitting := [order for order in orders if order <= longest]):
        raise InputError(f"autoregression, field 'orders': found {tuple(orders)}, expected one of at most {longest}")
    products = {order: _sum_products(train, order) for order in fitting}
    lowest, best = np.inf, None
    for order, ridge in itertools.product(fitting, ridges):
        model = _solve(*products[order], ridge)
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.mean((roll_out_var(model, history, steps) - future) ** 2)
        if error < lowest:
            lowest, best = error, (model, order, ridge)
    if best is None:
        raise InputError("autoregression: found no finite prediction of the validation simulations, expected one")
    return best


def roll_out_var(
    model: Autoregression, history: Features, steps: int
) -> Float[np.ndarray, "simulation step object feature"]:
    """Predicts `steps` frames after the history, each from the ones predicted before it; float64.

    Raises:
      InputError: the history has fewer frames than the autoregression's order, or other objects or features.
    """
    order, channels, _ = model.weights.shape
    history = _check_features("history", history, order)
    simulations, _, objects, size = history.shape
    if objects * size != channels:
        found = f"found {objects} objects of {size} features"
        raise InputError(f"history: {found}, expected {channels} numbers a frame as in training")
    past = list(history[:, -order:].astype(np.float64).reshape(simulations, order, channels).swapaxes(0, 1))
    for _ in range(steps):
        change = sum(past[-1 - lag] @ model.weights[lag] for lag in range(order)) + model.bias
        past.append(past[-1] + change)
    return np.stack(past[order:], axis=1).reshape(simulations, steps, objects, size) if steps else history[:, :0]


def _sum_products(features, order):
    """Gram matrix of the past frames and a 1, its products with the change, and the mean frame, all in float64."""
    if order < 1:
        raise InputError(f"autoregression, field 'order': found {order}, expected 1 or more")
    simulations, frames, *channels = features.shape
    width = int(np.prod(channels))
    flat = features.reshape(simulations, frames, width)
    centre = flat.mean(axis=(0, 1), dtype=np.float64)
    columns = order * width + 1
    gram, cross = np.zeros((columns, columns)), np.zeros((columns, width))
    step = max(1, CHUNK_NUMBERS // (frames * columns))
    for start in range(0, simulations, step):
        part = flat[start : start + step] - centre  # Centred, so that an offset does not drown the variance.
        lags = [part[:, order - 1 - lag : frames - 1 - lag] for lag in range(order)]
        past = np.concatenate([*lags, np.ones_like(part[:, order:, :1])], axis=-1).reshape(-1, columns)
        gram += past.T @ past
        cross += past.T @ np.diff(part[:, order - 1 :], axis=1).reshape(-1, width)
    return gram, cross, centre


def _solve(gram, cross, centre, ridge) -> Autoregression:
    if not ridge > 0:
        raise InputError(f"autoregression, field 'ridge': found {ridge}, expected a number above 0")
    width = len(centre)
    variance = np.diagonal(gram).copy()
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))  # What never varies predicts nothing.
    penalty = np.full(len(gram), ridge)
    penalty[-1] = 0.0
    scaled = gram / (scale[:, None] * scale) + np.diag(penalty)
    solution = np.linalg.solve(scaled, cross / scale[:, None]) / scale[:, None]
    weights = solution[:-1].reshape(-1, width, width)
    return Autoregression(weights, solution[-1] - centre @ weights.sum(axis=0))


def _check_features(name, features, frames):
    features = np.asarray(features)
    if features.ndim != 4 or not len(features) or features.shape[1] < frames:
        expected = f"[simulation, frame, object, feature] with {frames} frames or more"
        raise InputError(f"{name}: found shape {features.shape}, expected {expected}")
    return features
