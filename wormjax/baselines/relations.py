"""Relations between the trajectories of objects: graphs without a model of their dynamics, that a deep model must beat.

Correlation (what Kipf, Fetaya et al. 2018, arXiv 1802.04687, call "Corr. (path)"), partial correlation, lagged
correlation and conditional Granger causality (Granger 1969; Geweke 1984, JASA 79:907). Each gives one number an edge,
larger for a stronger relation, in the order of wormjax.graphs; wormjax.scoring.edges cuts them into types. Features
are scaled within their simulation and object, so units and offsets do not matter, and a feature that does not vary
there is related to nothing. `null_by_shifts` gives their p-values.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from sklearn.covariance import GraphicalLassoCV

from wormjax.errors import InputError
from wormjax.graphs import matrix_to_edges

SHRINKAGE = 0.01  # Of partial correlation, towards 0: fewer frames than objects do no harm.
RIDGE = 1e-4  # Of Granger causality, relative to the predictors' variance.
CHUNK_NUMBERS = 4_000_000  # Numbers in the largest array at a time: 32 MB.

Features = Float[np.ndarray, "simulation frame object feature"]
Scores = Float[np.ndarray, "simulation edge"]


def correlate(features: Features) -> Scores:
    """Return the absolute correlation of sender's and receiver's trajectories, mean over features; the same both ways.

    InputError, here as below, for another shape than [simulation, frame, object, feature], and for too few frames.
    """
    return _score_chunks(lambda part: np.abs(_correlate_at(part, 0)), _check_features(features, 2))


def correlate_lagged(features: Features, lag: int = 1) -> Scores:
    """Return the absolute correlation of the sender with the receiver `lag` frames later, mean over features."""
    return _score_chunks(lambda part: np.abs(_correlate_at(part, lag)), _check_features(features, lag + 2))


def correlate_partially(features: Features) -> Scores:
    """Return the absolute correlation of two objects' trajectories given all others', mean over features."""

    def score(part):
        matrix = (1 - SHRINKAGE) * _correlate_at(part, 0)
        diagonal = np.arange(matrix.shape[-1])
        matrix[..., diagonal, diagonal] = 1.0  # Also of a constant, which has none.
        precision = np.linalg.inv(matrix)
        scale = np.sqrt(np.diagonal(precision, axis1=-2, axis2=-1))
        return np.abs(precision) / (scale[..., :, None] * scale[..., None, :])

    return _score_chunks(score, _check_features(features, 2))


def measure_granger(features: Features, order: int = 1, ridge: float = RIDGE) -> Scores:
    """Return conditional Granger causality: how much worse a receiver is predicted without the sender's past.

    Each feature's change from frame to frame is regressed, within its simulation, on `order` past frames of all objects
    and features; the score is the log ratio of the residual variances without and with the sender, mean over the
    receiver's features. Both regressions are penalised alike, and the penalty counts as residual, so no score is
    negative. The regression without a sender is not fitted anew: for coefficients b of its columns, and the block B of
    the inverse of the penalised Gram matrix, leaving them out adds b' inv(B) b to the penalised sum of squares.
    """
    features = _check_features(features, order + 2)
    channels = features.shape[2] * features.shape[3] * order
    size = channels * (channels + features.shape[1])
    return _score_chunks(lambda part: _regress_changes(part, order, ridge), features, size)


def correlate_sparsely(features: Features) -> Scores:
    """Return the absolute partial correlation by the graphical lasso, its penalty cross-validated; the same both ways.

    Friedman, Hastie & Tibshirani (2008, Biostatistics 9:432), mean over features. A second or so per simulation.
    """

    def score(part):
        return np.array([[_estimate_precision(one[..., k]) for k in range(one.shape[-1])] for one in part])

    return _score_chunks(score, _check_features(features, 5))


def regress_lagged(features: Features, ridge: float = 0.01) -> Scores:
    """Return the absolute coefficients of a ridge regression of each object's next frame on the last one of all.

    Each feature by itself, standardised, mean over features; `ridge` is relative to the predictors' variance.
    """

    def score(part):
        before, after = (standardize(values).transpose(0, 3, 1, 2) for values in (part[:, :-1], part[:, 1:]))
        transposed = before.swapaxes(-1, -2) / before.shape[2]
        penalty = ridge * np.eye(part.shape[2])
        return np.abs(np.linalg.solve(transposed @ before + penalty, transposed @ after))

    return _score_chunks(score, _check_features(features, 3))


def compare_skewness(features: Features) -> Scores:
    """Return the likelihood ratio of sender → receiver against the reverse, by skewness; its negative the other way.

    The robust measure of Hyvärinen & Smith (2013, JMLR 14:111): with correlation r, r (E[h(x) y] - E[x h(y)]) for
    x → y, h(u) = log cosh max(u, 0), mean over features. It assumes that what drives the objects is skewed to the
    right, and takes each pair alone.
    """

    def score(part):
        values = standardize(part).transpose(0, 3, 2, 1)
        bent = np.logaddexp(2.0 * np.maximum(values, 0.0), 0.0) - np.maximum(values, 0.0)
        crossed = bent @ values.swapaxes(-1, -2) / values.shape[-1]
        return _correlate_at(part, 0) * (crossed - crossed.swapaxes(-1, -2))

    return _score_chunks(score, _check_features(features, 2))


def null_by_shifts(
    score_function: Callable[[Features], Scores], features: Features, rng: np.random.Generator, shifts: int = 100
) -> Scores:
    """Return one-sided p-values of scores, every object's trajectory shifted in a circle by its own number of frames.

    A shift keeps how one object moves (its spectrum, how its features go together) and breaks all relations between
    objects. The p-values are exact for trajectories that are stationary and have no seam; a slow trend makes a seam
    where the end meets the start, and is not nulled well. The smallest is 1 / (1 + shifts).
    """
    scores, as_high = score_function(features), 0
    simulations, frames, objects, _ = features.shape
    for _ in range(shifts):
        offsets = rng.integers(0, frames, (simulations, 1, objects))
        sources = (np.arange(frames)[None, :, None] + offsets) % frames
        as_high += score_function(np.take_along_axis(features, sources[..., None], axis=1)) >= scores
    return (1.0 + as_high) / (1.0 + shifts)


def _estimate_precision(values):
    """Return the absolute partial correlations [object, object] of [frame, object]; 0 of what does not vary."""
    scaled = standardize(values[None])[0]
    varying = scaled.any(axis=0)
    partial = np.zeros((len(varying), len(varying)))
    if varying.sum() > 1:
        precision = GraphicalLassoCV(assume_centered=True).fit(scaled[:, varying]).precision_
        scale = np.sqrt(np.diagonal(precision))
        partial[np.ix_(varying, varying)] = np.abs(precision) / (scale[:, None] * scale)
    return partial


def _correlate_at(features, lag):
    """Correlation per feature, [simulation, feature, sender, receiver], of the receiver `lag` frames later."""
    frames = features.shape[1] - lag
    senders = standardize(features[:, :frames]).transpose(0, 3, 2, 1)
    receivers = senders if lag == 0 else standardize(features[:, lag:]).transpose(0, 3, 2, 1)
    return senders @ receivers.swapaxes(-1, -2) / frames


def _regress_changes(features, order, ridge):
    """Granger causality per feature, [simulation, feature, sender, receiver]."""
    simulations, frames, objects, size = features.shape
    lags = [features[:, order - 1 - lag : frames - 1 - lag] for lag in range(order)]
    # A sender's columns stand beside each other: [object, lag and feature].
    past = standardize(np.concatenate(lags, axis=-1)).reshape(simulations, frames - order, -1)
    changes = standardize(np.diff(features[:, order - 1 :], axis=1)).reshape(simulations, frames - order, -1)
    transposed = past.swapaxes(-1, -2) / (frames - order)
    inverse = np.linalg.inv(transposed @ past + ridge * np.eye(past.shape[-1]))
    weights = inverse @ (transposed @ changes)
    # From the residuals themselves: 1 - explained would cancel where the system is linear and without noise.
    residual = ((changes - past @ weights) ** 2).mean(axis=1) + ridge * (weights**2).sum(axis=1)
    blocks = inverse.reshape(simulations, objects, size * order, objects, size * order)
    own = np.moveaxis(blocks[:, np.arange(objects), :, np.arange(objects)], 0, 1)
    columns = weights.reshape(simulations, objects, size * order, objects * size)
    added = (columns * np.linalg.solve(own, columns)).sum(axis=2)
    varies = residual[:, None] > 0
    ratio = np.log1p(np.where(varies, added / np.where(varies, residual[:, None], 1.0), 0.0))
    return np.moveaxis(ratio.reshape(simulations, objects, objects, size), -1, 1)


def standardize(values: np.ndarray, axis: int = 1) -> np.ndarray:
    """Return values with mean 0 and variance 1 over the frames, which lie on `axis`; what does not vary becomes 0."""
    centred = values - values.mean(axis=axis, keepdims=True)
    spread = centred.std(axis=axis, keepdims=True)
    varies = spread > 1e-7 * np.abs(values).max(axis=axis, keepdims=True)  # Rounding in float32 is no variation.
    return np.where(varies, centred / np.where(varies, spread, 1.0), 0.0)


def _score_chunks(score, features, size=None):
    """Edges of the mean over features of score(part) [simulation, feature, sender, receiver], some parts at a time."""
    size = size or np.prod(features.shape[1:])
    step = max(1, int(CHUNK_NUMBERS // size))
    parts = (features[start : start + step].astype(np.float64) for start in range(0, len(features), step))
    return np.concatenate([matrix_to_edges(score(part).mean(axis=1)) for part in parts])


def _check_features(features, frames):
    features = np.asarray(features)
    if features.ndim != 4 or not len(features) or features.shape[1] < frames or features.shape[2] < 2:
        expected = f"[simulation, frame, object, feature] with {frames} frames and 2 objects or more"
        raise InputError(f"trajectories to relate: found shape {features.shape}, expected {expected}")
    return features
