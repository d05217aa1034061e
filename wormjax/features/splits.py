"""Windows, and splits of one worm's frames that share none of them.

A split labels each frame TRAINING, VALIDATION, TEST or GAP; a window belongs to a split if all its frames do. Frames
within `gap` of another split are GAP, so that autocorrelation does not carry one split's frame into another.
"""

import numpy as np
from jaxtyping import Int

TRAINING, VALIDATION, TEST, GAP = 0, 1, 2, -1


def split_frames(
    frames: int,
    block: int,
    gap: int,
    validation_fraction: float,
    test_fraction: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, " frame"]:
    """Label the frames of one uninterrupted stretch, whole blocks at a time.

    Args:
      frames: number of frames in the stretch.
      block: frames per block; 8 with gap 0 is the split of Wang et al. (2021).
      gap: frames left out at each border between two splits, on the side of the split that trains (or, between
        validation and test, that validates).
      validation_fraction: fraction of the blocks to validate on, rounded, at least one where there are two or more.
      test_fraction: likewise, for a test within the worm; 0 where the test is another worm.
      rng: the source of the random choice of blocks.
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
    return _open_gaps(by_frame, gap)


def _open_gaps(labels, gap):
    """GAP where a training frame lies within `gap` of validation or test, or a validation frame of test."""
    opened = labels.copy()
    if gap > 0:
        near = {split: _dilate(labels == split, gap) for split in (VALIDATION, TEST)}
        opened[(labels == TRAINING) & (near[VALIDATION] | near[TEST])] = GAP
        opened[(labels == VALIDATION) & near[TEST]] = GAP
    return opened


def _dilate(mask, reach):
    counts = np.concatenate([[0], np.cumsum(mask)])
    frames = np.arange(len(mask))
    return counts[np.minimum(frames + reach + 1, len(mask))] > counts[np.maximum(frames - reach, 0)]


def window_starts(
    labels: Int[np.ndarray, " frame"], split: int, length: int, stride: int
) -> Int[np.ndarray, " window"]:
    """Return the first frames of windows of `length` frames that lie wholly in `split`, `stride` apart in each run."""
    inside = np.concatenate([[False], labels == split, [False]])
    borders = np.flatnonzero(inside[1:] != inside[:-1])
    runs = zip(borders[::2], borders[1::2], strict=True)
    starts = [np.arange(start, stop - length + 1, stride) for start, stop in runs if stop - start >= length]
    return np.concatenate(starts).astype(np.int32) if starts else np.zeros(0, np.int32)
