"""Scores of forecasts: errors of the mean, and proper scores of the spread, step by step.

A forecast of a value is a mixture of Gaussians, one per mode (most have one). Its continuous ranked probability score
has a closed form (Grimit et al. 2006, Quarterly Journal of the Royal Meteorological Society 132:2925).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp, ndtr
from scipy.stats import norm

BAND = (0.05, 0.95)  # Of the 90 % band.
SCORE_STEPS = 16  # The score is over the steps from 1 to this, or as far as there are.
PART_STEPS = (1, 4, 8, 16)  # Steps whose errors are also given by neuron and by motor state.

Frames = Float[np.ndarray, "start step neuron feature"]
Frame = Float[np.ndarray, "start neuron feature"]
There = Bool[np.ndarray, "start step"]


class Spread(NamedTuple):
    """The predictive distribution of each value: a mixture of Gaussians by mode."""

    mean: Float[np.ndarray, "start mode step neuron feature"]
    scale: Float[np.ndarray, "start mode step neuron feature"]
    weights: Float[np.ndarray, "start mode"]

    @property
    def center(self) -> Frames:
        """The mean of the mixture."""
        return (self.weights[:, :, None, None, None] * self.mean).sum(axis=1)


def score_forecast(spread: Spread, last: Frame, future: Frames, there: There, steps: Sequence[int]) -> dict[str, float]:
    """Return scores of one worm's forecasts at each of `steps` (from 1), over starts that have a frame at that step.

    mse, mae: of the mixture's mean, in scaled units; r2: 1 - MSE / that of persistence (`last`, the last frames known);
    nll: negative log-likelihood, nats per value; crps: continuous ranked probability score; coverage90: share of values
    within the 90 % band; of several modes also mode_share (`measure_mode_share`). A step that no start reaches is left
    out.
    """
    scores, center = {}, spread.center
    for step in steps:
        if step > center.shape[1] or not (used := there[:, step - 1]).any():
            continue
        true = future[used, step - 1].astype(np.float64)
        error = true - center[used, step - 1]
        square, static = np.mean(error**2), np.mean((true - last[used]) ** 2)
        mean, scale = (values[used, :, step - 1].astype(np.float64) for values in (spread.mean, spread.scale))
        weights = spread.weights[used][:, :, None, None].astype(np.float64)
        below = (weights * ndtr((true[:, None] - mean) / scale)).sum(axis=1)
        scores |= {
            f"mse@{step}": square,
            f"mae@{step}": np.mean(np.abs(error)),
            f"nll@{step}": measure_nll(mean, scale, weights, true),
            f"crps@{step}": measure_crps(mean, scale, weights, true),
            f"coverage90@{step}": np.mean((below >= BAND[0]) & (below <= BAND[1])),
        }
        if mean.shape[1] > 1:
            scores[f"mode_share@{step}"] = measure_mode_share(mean, scale, weights)
        if static > 0:
            scores[f"r2@{step}"] = 1.0 - square / static
    return {name: float(value) for name, value in scores.items()}


def measure_score(center: Frames, last: Frame, future: Frames, there: There) -> dict[str, float]:
    """Return {"score": 1 - MSE / MSE of persistence} over the first `SCORE_STEPS` steps; {} where nothing changes.

    The definition of Duan et al. (2025), whose models forecast 16 steps. 0 is persistence, 1 is perfect.
    """
    there = there[:, : min(SCORE_STEPS, center.shape[1])]
    true = future[:, : there.shape[1]].astype(np.float64)[there]
    error = true - center[:, : there.shape[1]][there]
    static = ((true - np.broadcast_to(last[:, None], future[:, : there.shape[1]].shape)[there]) ** 2).sum()
    return {"score": float(1.0 - (error**2).sum() / static)} if static > 0 else {}


def score_parts(
    center: Frames, future: Frames, there: There, states: Int[np.ndarray, " start"], names: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return mean squared errors of one worm by neuron and by the motor state before the start: `mse@8:AVAL`.

    `names` holds those of "neurons" and of "states"; states that no start has are left out.
    """
    scores = {}
    for step in PART_STEPS:
        if step > center.shape[1] or not (used := there[:, step - 1]).any():
            continue
        squares = (future[used, step - 1].astype(np.float64) - center[used, step - 1]) ** 2
        for neuron, name in enumerate(names["neurons"]):
            scores[f"mse@{step}:{name}"] = float(squares[:, neuron].mean())
        for state, name in enumerate(names["states"]):
            if (states[used] == state).any():
                scores[f"mse@{step}:{name}"] = float(squares[states[used] == state].mean())
    return scores


def measure_nll(mean, scale, weights, true) -> float:
    """Return the negative log-likelihood of values under their mixtures, nats per value; modes on the second axis."""
    density = norm.logpdf(true[:, None], mean, scale)
    return float(-logsumexp(density, axis=1, b=np.broadcast_to(weights, density.shape)).mean())


def measure_crps(mean, scale, weights, true) -> float:
    """Return the continuous ranked probability score, E|X - y| - E|X - X'| / 2 under the mixture, in scaled units."""
    error = (weights * _expect_absolute(true[:, None] - mean, scale)).sum(axis=1)
    apart = _expect_absolute(mean[:, :, None] - mean[:, None], np.hypot(scale[:, :, None], scale[:, None]))
    return float((error - 0.5 * (weights[:, :, None] * weights[:, None] * apart).sum(axis=(1, 2))).mean())


def measure_mode_share(mean, scale, weights) -> float:
    """Return the share of a mixture's variance that lies between its modes: 1 for a fork, 0 for modes of one mean."""
    between = (weights * (mean - (weights * mean).sum(axis=1, keepdims=True)) ** 2).sum(axis=1).mean()
    return float(between / (between + (weights * scale**2).sum(axis=1).mean()))


def _expect_absolute(mean, scale):
    """Return E|Z| of a Gaussian."""
    ratio = mean / scale
    return 2.0 * scale * norm.pdf(ratio) + mean * (2.0 * ndtr(ratio) - 1.0)
