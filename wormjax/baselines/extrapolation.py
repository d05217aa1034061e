"""Objects that keep moving as they moved last: at a constant velocity, or at one that is damped from frame to frame."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

FRAMES = (1, 2, 4)  # Over which the last velocity is measured.
DAMPINGS = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)

Frames = Float[np.ndarray, "sample frame object feature"]


def extrapolate(history: Frames, steps: int, frames: int, damping: float = 1.0) -> Frames:
    """Return the next `steps` frames: the mean velocity of the last `frames` goes on, times `damping` per frame."""
    last = history[:, -1:]
    velocity = (last - history[:, -1 - frames : -frames]) / frames
    distances = np.cumsum(damping ** np.arange(1, steps + 1))
    return last + velocity * distances[None, :, None, None].astype(history.dtype)


def choose_extrapolation(past: Frames, future: Frames, dampings: Sequence[float] = (1.0,)) -> tuple[int, float]:
    """Return the frames and the damping that predict best what comes after some pasts; NaN is not scored."""
    steps, found = future.shape[1], {}
    for number, damping in itertools.product(FRAMES, dampings):
        if number < past.shape[1]:
            found[number, damping] = np.nanmean((extrapolate(past, steps, number, damping) - future) ** 2)
    return min(found, key=found.__getitem__)
