"""Windows, and splits of one worm's frames that share none of them.

A split labels each frame TRAINING, VALIDATION, TEST or GAP; a window belongs to a split if all its frames do. Frames
within `gap` of another split are GAP, so that autocorrelation does not carry one split's frame into another.
"""

import numpy as np
from jaxtyping import Int
from scipy.ndimage import maximum_filter1d

TRAINING, VALIDATION, TEST, GAP = 0, 1, 2, -1


def split_frames(
    frames: int, block: int, gap: int, validation_fraction: float, test_fraction: float, rng: np.random.Generator
) -> Int[np.ndarray, " frame"]:
    """Label the frames of one uninterrupted stretch, whole blocks at a time.

    Args:
      block: frames per block; 8 with gap 0 is the split of Wang et al. (2021).
      gap: frames left out at each border between two splits, on the side of the split that trains (or, between
        validation and test, that validates).
      validation_fraction: fraction of the blocks, rounded, at least one where there are two or more.
      test_fraction: likewise, for a test within the worm; 0 where the test is another worm.
    """
    blocks = max(1, frames // block)
    shuffled = rng.permutation(blocks)
    labels = np.full(blocks, TRAINING, np.int32)
    taken = 0
    for split, fraction in ((TEST, test_fraction), (VALIDATION, validation_fraction)):
        count = min(max(round(fraction * blocks), int(fraction > 0)), blocks - 1 - taken)
        labels[shuffled[taken : taken + count]] = split
        taken += count
    by_frame = labels[np.minimum(np.arange(frames) // block, blocks - 1)]
    near = {split: maximum_filter1d(by_frame == split, 2 * gap + 1, mode="constant") for split in (VALIDATION, TEST)}
    opened = (by_frame == TRAINING) & (near[VALIDATION] | near[TEST]) | (by_frame == VALIDATION) & near[TEST]
    return np.where(opened, np.int32(GAP), by_frame)


def window_starts(
    labels: Int[np.ndarray, " frame"], split: int, length: int, stride: int
) -> Int[np.ndarray, " window"]:
    """Return the first frames of windows of `length` frames that lie wholly in `split`, `stride` apart in each run."""
    inside = np.concatenate([[False], labels == split, [False]])
    borders = np.flatnonzero(inside[1:] != inside[:-1])
    runs = zip(borders[::2], borders[1::2], strict=True)
    starts = [np.arange(start, stop - length + 1, stride) for start, stop in runs if stop - start >= length]
    return np.concatenate(starts).astype(np.int32) if starts else np.zeros(0, np.int32)
