"""Windows, and splits of one worm's frames that share none of them.

A split labels each frame TRAINING, VALIDATION or GAP; a window belongs to a split if all its frames do. Frames within
`gap` of the other split are GAP, so that autocorrelation does not carry a validation frame into training.
"""

import numpy as np
from jaxtyping import Int

TRAINING, VALIDATION, GAP = 0, 1, 2


def split_frames(
    frames: int, block: int, gap: int, validation_fraction: float, rng: np.random.Generator
) -> Int[np.ndarray, " frame"]:
    """Labels the frames of one uninterrupted stretch, whole blocks at a time.

    Args:
      frames: number of frames in the stretch.
      block: frames a block; 8 with gap 0 is the split of Wang et al. (2021).
      gap: frames left out on the training side of each border between the two splits.
      validation_fraction: fraction of blocks to validate on, rounded, at least one block if there are two or more.
      rng: the source of the random choice of blocks.
    """
    blocks = max(1, frames // block)
    validation = round(validation_fraction * blocks)
    validation = min(max(validation, int(validation_fraction > 0)), blocks - 1)
    labels = np.full(blocks, TRAINING, np.int32)
    labels[rng.permutation(blocks)[:validation]] = VALIDATION
    by_frame = labels[np.minimum(np.arange(frames) // block, blocks - 1)]
    if gap > 0:
        near_validation = np.convolve(by_frame == VALIDATION, np.ones(2 * gap + 1), mode="same") > 0.5
        by_frame = np.where((by_frame == TRAINING) & near_validation, GAP, by_frame)
    return by_frame.astype(np.int32)


def window_starts(
    labels: Int[np.ndarray, " frame"], split: int, length: int, stride: int
) -> Int[np.ndarray, " window"]:
    """First frames of the windows of `length` frames that lie in `split` altogether, `stride` apart in each run."""
    inside = np.concatenate([[False], labels == split, [False]])
    borders = np.flatnonzero(inside[1:] != inside[:-1])
    runs = zip(borders[::2], borders[1::2], strict=True)
    starts = [np.arange(start, stop - length + 1, stride) for start, stop in runs if stop - start >= length]
    return np.concatenate(starts).astype(np.int32) if starts else np.zeros(0, np.int32)
