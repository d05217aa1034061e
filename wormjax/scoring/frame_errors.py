"""Errors of predicted frames by the number of steps: mean squared ones, or distances in the units of a file.

Futures are sampled as a prediction with errors drawn around it; the best of several is compared with the truth.
"""

import numpy as np
from jaxtyping import Float

MSE, DISTANCE = ERRORS = ("mse", "distance")


def measure_errors(
    predicted: Float[np.ndarray, "simulation step object feature"],
    features: Float[np.ndarray, "simulation frame object feature"],
    history: int,
    steps: tuple[int, ...],
    units: Float[np.ndarray, " feature"] | None = None,
) -> dict[str, float]:
    """Return errors of the frames 1, ... steps after the history: `mse@1`, ..., mean squared ones in scaled units.

    With `units` (`find_units`) the mean distance, `distance@1`, ..., and its mean over all steps, `distance`. Features
    that are NaN do not count (`find_truth`); a step without any has no error.
    """
    future = features[:, history : history + predicted.shape[1]]
    squares = (predicted[:, : future.shape[1]].astype(float) - future) ** 2
    name = MSE
    if units is not None:
        name, known = DISTANCE, np.isfinite(squares).any(axis=3)
        squares = np.where(known, np.sqrt(np.nansum(squares * units**2, axis=3)), np.nan)[..., None]
    errors = {}
    if units is not None and np.isfinite(squares[:, : max(steps)]).any():
        errors[name] = float(np.nanmean(squares[:, : max(steps)]))
    for step in steps:
        if step <= squares.shape[1] and np.isfinite(squares[:, step - 1]).any():
            errors[f"{name}@{step}"] = float(np.nanmean(squares[:, step - 1]))
    return errors


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
