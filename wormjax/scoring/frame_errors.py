"""Errors of predicted frames by the number of steps: mean squared ones, or distances in the units of a file."""

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
