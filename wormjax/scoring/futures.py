"""Sampled futures: a prediction with errors drawn around it, and how near the best of several comes to the truth."""

import numpy as np
from jaxtyping import Float

SMALLEST = 1e-9  # Of a variance, in units of the largest: sampled errors need not have full rank.

Frames = Float[np.ndarray, "window step object feature"]
Futures = Float[np.ndarray, "sample window step object feature"]


def measure_spread(predicted: Frames, future: Frames) -> Float[np.ndarray, "step_feature step_feature"]:
    """Return the second moments of an object's errors over all steps and features, those that are NaN counting as 0.

    Errors of steps that follow each other are alike, so that a sampled future is smooth.
    """
    errors = np.nan_to_num(np.asarray(predicted, float) - future)
    known = np.isfinite(future).any(axis=(1, 3)).sum()
    flat = errors.swapaxes(1, 2).reshape(-1, errors.shape[1] * errors.shape[3])
    return flat.T @ flat / max(known, 1)


def sample_futures(
    predicted: Frames, spread: Float[np.ndarray, "step_feature step_feature"], count: int, random: np.random.Generator
) -> Futures:
    """Draw futures: the prediction with Gaussian errors of each object's own."""
    windows, steps, objects, features = predicted.shape
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.maximum(values, SMALLEST * max(values.max(), 0.0)))
    errors = random.normal(size=(count, windows, objects, len(root))) @ root.T
    return predicted + errors.reshape(count, windows, objects, steps, features).swapaxes(2, 3)


def find_best_distance(futures: Futures, future: Frames, units: Float[np.ndarray, " feature"]) -> float:
    """Return the mean over objects of the mean distance over all steps of the nearest of their futures.

    NaN in the true future does not count; `units` is what a scaled feature of 1 is in the units of the distance.
    """
    squares = ((futures - future) * units) ** 2
    known = np.isfinite(future).any(axis=-1)
    distances = np.where(known, np.sqrt(np.nansum(squares, axis=-1)), np.nan)
    there = known.any(axis=1)
    means = np.nansum(distances, axis=2) / np.maximum(known.sum(axis=1), 1)
    return float(means.min(axis=0)[there].mean())
