"""Targets in the future: the motor state some seconds ahead, and when the next reversal begins.

The origin of a question is the last known frame; the target lies `h` seconds after it. A
reversal begins in a frame of reverse whose last scored frame before is of another state; the one under way does not
count. As many intervals as there are horizons, and one more, hold the answer to when.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from wormjax.recordings.recording import UNSCORED

NEVER = np.iinfo(np.int32).max


class Targets(NamedTuple):
    """The answers at every origin."""

    states: Int[np.ndarray, "*origin horizon"]  # At each horizon; UNSCORED as after the stretch.
    # Frames until the next reversal begins, at most one more than the last horizon; UNSCORED as for `onset`.
    waiting: Int[np.ndarray, "*origin"]
    # The interval in which the next reversal begins: 0 for (0, first horizon], ..., the number of horizons for later
    # than the last; UNSCORED where the stretch ends before the last horizon, or where nothing at all is scored up to
    # the origin.
    onset: Int[np.ndarray, "*origin"]

    def of(self, chosen) -> "Targets":
        """Return the answers at some origins: a mask, or indices."""
        return Targets(*(values[chosen] for values in self))


def count_steps(seconds: Sequence[float], frame_rate: float) -> tuple[int, ...]:
    """Return horizons in whole frames, one at least."""
    return tuple(max(1, round(one * frame_rate)) for one in seconds)


def tabulate_targets(
    states: Int[np.ndarray, "stretch frame"],
    valid: Bool[np.ndarray, "stretch frame"],
    steps: Sequence[int],
    reverse: int = 0,
) -> Targets:
    """Return all answers, from the motor states [stretch, frame] of a dataset.

    `steps` are horizons in frames, increasing; `reverse` is the index of that state.
    """
    frames = states.shape[1]
    padded = np.pad(np.where(valid, states, UNSCORED), ((0, 0), (0, max(steps))), constant_values=UNSCORED)
    ahead = np.stack([padded[:, step : step + frames] for step in steps], axis=-1)
    waiting = np.stack([count_to_onset(row, reverse) for row in np.where(valid, states, UNSCORED)])
    interval = np.searchsorted(np.asarray(steps), waiting, side="left")
    seen = np.pad(valid, ((0, 0), (0, max(steps))))[:, max(steps) :] & (waiting > 0)
    marked = (np.where(seen, values, UNSCORED) for values in (np.minimum(waiting, max(steps) + 1), interval))
    return Targets(*(array.astype(np.int32) for array in (ahead, *marked)))


def count_to_onset(states: Int[np.ndarray, " frame"], target: int) -> Int[np.ndarray, " frame"]:
    """Return how many frames later the next one is in which a bout of `target` begins; NEVER where none does.

    A frame before anything is scored has 0: whether `target` is under way is not known.
    """
    scored = states != UNSCORED
    last = np.maximum.accumulate(np.where(scored, np.arange(len(states)), -1))
    known = last >= 0
    filled = np.where(known, states[np.maximum(last, 0)], UNSCORED)
    begins = np.flatnonzero((filled[1:] == target) & (filled[:-1] != target) & known[:-1]) + 1
    following = np.searchsorted(begins, np.arange(len(states)), side="right")
    frames = np.append(begins, NEVER)[following] - np.arange(len(states))
    return np.where(known, np.where(following < len(begins), frames, NEVER), 0)
