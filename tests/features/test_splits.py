"""No frame in two splits, no window across a border, a gap between splits, about the fractions asked for."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from wormjax.features.splits import GAP, TEST, TRAINING, VALIDATION, split_frames, window_starts

FRACTION = st.sampled_from([0.0, 0.1, 0.2, 0.34, 0.5])
SPLITS = (TRAINING, VALIDATION, TEST)


def frames_of_windows(starts, length):
    return {int(start) + k for start in starts for k in range(length)}


@given(
    frames=st.integers(1, 400),
    block=st.integers(1, 60),
    gap=st.integers(0, 20),
    validation=FRACTION,
    test=FRACTION,
    length=st.integers(1, 40),
    stride=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=300)
def test_windows_of_two_splits_share_no_frame_and_keep_the_gap(
    frames, block, gap, validation, test, length, stride, seed
):
    labels = split_frames(frames, block, gap, validation, test, np.random.default_rng(seed))
    assert labels.shape == (frames,)
    used = {}
    for split in SPLITS:
        starts = window_starts(labels, split, length, stride)
        used[split] = frames_of_windows(starts, length)
        assert all(labels[frame] == split for frame in used[split])
    for one, other in ((TRAINING, VALIDATION), (TRAINING, TEST), (VALIDATION, TEST)):
        assert not used[one] & used[other]
        first, second = np.flatnonzero(labels == one), np.flatnonzero(labels == other)
        if len(first) and len(second):
            assert abs(first[:, None] - second).min() > gap


@given(
    blocks=st.integers(10, 60),
    block=st.integers(8, 40),
    validation=st.floats(0.1, 0.4),
    test=st.floats(0.1, 0.4),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_the_fractions_are_honoured_to_within_a_block(blocks, block, validation, test, seed):
    frames = blocks * block + block // 2
    labels = split_frames(frames, block, 0, validation, test, np.random.default_rng(seed))
    for split, fraction in ((VALIDATION, validation), (TEST, test)):
        assert abs((labels == split).sum() - fraction * frames) <= 1.5 * block
    assert (labels != GAP).all()


def test_a_gap_costs_training_frames_and_no_test_frame():
    arguments = 1000, 50, 0.2, 0.2
    frames, block, validation, test = arguments
    open_ = split_frames(frames, block, 0, validation, test, np.random.default_rng(3))
    gapped = split_frames(frames, block, 10, validation, test, np.random.default_rng(3))
    np.testing.assert_array_equal(gapped == TEST, open_ == TEST)
    assert (open_ == TRAINING).sum() > (gapped == TRAINING).sum() > 0
    # What became a gap lies within 10 frames of a frame of another split.
    for frame in np.flatnonzero(gapped == GAP):
        near = open_[max(0, frame - 10) : frame + 11]
        assert (near != open_[frame]).any()


def test_the_gap_is_as_wide_as_asked_for_at_a_lone_border():
    labels = split_frames(200, 100, 16, 0.5, 0.0, np.random.default_rng(0))
    assert (labels == GAP).sum() == 16
    assert (labels == VALIDATION).sum() == 100
    assert (labels == TRAINING).sum() == 84


@pytest.mark.parametrize("frames", [2, 30, 99])
def test_a_stretch_of_a_single_block_trains(frames):
    labels = split_frames(frames, 50, 5, 0.5, 0.5, np.random.default_rng(0))
    assert (labels == TRAINING).all()


def test_no_validation_is_taken_where_none_is_wanted_and_one_block_where_little_is():
    assert (split_frames(500, 50, 5, 0.0, 0.0, np.random.default_rng(0)) == TRAINING).all()
    assert (split_frames(500, 50, 0, 0.01, 0.0, np.random.default_rng(0)) == VALIDATION).sum() == 50


def test_the_choice_of_blocks_follows_the_generator():
    first, again, other = (split_frames(500, 20, 0, 0.3, 0.2, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_windows_are_all_those_that_fit():
    labels = np.array([0, 0, 0, 0, 1, 1, -1, 0, 0, 0])
    assert window_starts(labels, TRAINING, 3, 1).tolist() == [0, 1, 7]
    assert window_starts(labels, TRAINING, 2, 2).tolist() == [0, 2, 7]
    assert window_starts(labels, VALIDATION, 2, 1).tolist() == [4]
    assert window_starts(labels, VALIDATION, 3, 1).tolist() == []
    assert window_starts(labels, TEST, 1, 1).tolist() == []
