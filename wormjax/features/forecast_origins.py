"""Where forecasts start, what they may know, and what they are held against.

A forecast that starts at frame t knows the frames before t of its stretch, and predicts t, t + 1, ...: step 1 is the
frame t itself. Starts lie `every` frames apart after the first `first` frames of each stretch.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset


class Starts(NamedTuple):
    """Starts of forecasts on a dataset."""

    stretch: Int[np.ndarray, " start"]
    frame: Int[np.ndarray, " start"]  # The first frame to be predicted.
    worm: Int[np.ndarray, " start"]  # Index into the dataset's worms.
    state: Int[np.ndarray, " start"]  # The motor state in the last frame known; -1 where it is not scored.

    def of(self, chosen) -> "Starts":
        """Return the starts of a mask or of indices."""
        return Starts(*(values[chosen] for values in self))


def list_starts(dataset: Dataset, first: int, every: int, field: str = "forecast.first") -> Starts:
    """Return all starts whose first step may be scored; `field` is what an error calls `first`.

    InputError where no stretch is longer than `first` frames.
    """
    stretches, frames = [], []
    for stretch, scored in enumerate(dataset.scored):
        candidates = np.arange(first, len(scored), every)
        kept = candidates[scored[candidates]]
        stretches.append(np.full(len(kept), stretch))
        frames.append(kept)
    stretch, frame = np.concatenate(stretches).astype(np.int32), np.concatenate(frames).astype(np.int32)
    if not len(frame):
        longest = int(dataset.scored.sum(axis=1).max())
        raise ConfigError(field, f"found {first}, expected less than {longest}, the frames to score")
    return Starts(stretch, frame, dataset.stretch_worm[stretch], dataset.arrays.states[stretch, frame - 1])


def cut_past(dataset: Dataset, starts: Starts, frames: int) -> Float[np.ndarray, "start frame neuron feature"]:
    """Return the last `frames` frames before each start."""
    where = starts.frame[:, None] + np.arange(-frames, 0)
    if (where < 0).any():
        raise ConfigError("forecast.first", f"found {starts.frame.min()}, expected {frames} or more, the past")
    return dataset.arrays.features[starts.stretch[:, None], where]


def cut_future(
    dataset: Dataset, starts: Starts, steps: int
) -> tuple[Float[np.ndarray, "start step neuron feature"], Bool[np.ndarray, "start step"]]:
    """Return the frames from each start on, zeros after the stretch's end, and which of them are there."""
    where = starts.frame[:, None] + np.arange(steps)
    inside = np.minimum(where, dataset.arrays.valid.shape[1] - 1)
    there = (where == inside) & dataset.arrays.valid[starts.stretch[:, None], inside]
    future = dataset.arrays.features[starts.stretch[:, None], inside]
    return np.where(there[..., None, None], future, 0.0), there
