"""Starts: where they lie, what they know and are held against; none in calibration minutes, none of the future."""

import numpy as np
import pytest
from small_experiments import small_dataset

from wormjax.errors import InputError
from wormjax.features.dataset import build_dataset
from wormjax.features.forecast_origins import Starts, cut_future, cut_past, list_starts

NEURONS = ("AVAL", "RID", "AVBR")
# Worms of one, one and two stretches, the last of which is too short for a start.
DATASET = small_dataset(((100,), (65,), (80, 32)), padding=9)


def test_starts_are_evenly_spaced_in_each_stretch():
    starts = list_starts(DATASET, first=32, every=16)
    frames = {stretch: starts.frame[starts.stretch == stretch].tolist() for stretch in range(4)}
    assert frames == {0: [32, 48, 64, 80, 96], 1: [32, 48, 64], 2: [32, 48, 64], 3: []}
    assert starts.worm.tolist() == [0] * 5 + [1] * 3 + [2] * 3
    wider = list_starts(DATASET, first=20, every=30)
    assert wider.frame[wider.stretch == 3].tolist() == [20]
    assert wider.worm[wider.stretch == 3].tolist() == [2]


def test_none_starts_in_padding():
    starts = list_starts(DATASET, first=1, every=1)
    assert DATASET.arrays.valid[starts.stretch, starts.frame].all()
    assert len(starts.frame) == DATASET.arrays.valid.sum() - 4


def test_a_starts_state_is_that_of_the_frame_before_it():
    starts = list_starts(DATASET, first=5, every=1)
    assert starts.state.tolist() == DATASET.arrays.states[starts.stretch, starts.frame - 1].tolist()
    assert set(starts.state.tolist()) == {-1, 0, 1, 2, 3}


def test_none_starts_in_calibration_minutes(make_recording):
    recordings = [make_recording("w1", 60), make_recording("w2", 80, seed=1)]  # 4 Hz: 42 frames of calibration.
    dataset = build_dataset(recordings, NEURONS, ("trace",), "calibration", calibration_seconds=10.5)
    starts = list_starts(dataset, first=10, every=8)
    assert starts.frame[starts.worm == 0].tolist() == [42, 50, 58]
    assert starts.frame[starts.worm == 1].tolist() == [42, 50, 58, 66, 74]
    # Its minutes are known to the forecast all the same.
    assert cut_past(dataset, starts, 42).shape == (8, 42, 3, 1)
    everywhere = build_dataset(recordings, NEURONS, ("trace",), "zscore")
    assert list_starts(everywhere, first=10, every=8).frame.min() == 10


def test_frames_without_a_motor_state_are_started_from(make_recording):
    worm = make_recording("w1", 60, motor_state=np.full(60, -1))
    starts = list_starts(build_dataset([worm], NEURONS, ("trace",)), first=10, every=8)
    assert starts.frame.tolist() == [10, 18, 26, 34, 42, 50, 58]
    assert set(starts.state.tolist()) == {-1}


def test_starts_are_chosen_by_mask_or_index():
    starts = list_starts(DATASET, first=32, every=16)
    of_worm = starts.of(starts.worm == 1)
    assert of_worm.frame.tolist() == [32, 48, 64]
    assert of_worm.stretch.tolist() == [1, 1, 1]
    picked = starts.of([0, 8])
    assert picked.frame.tolist() == [32, 32]
    assert picked.worm.tolist() == [0, 2]


def test_the_past_ends_before_the_start_and_the_future_begins_with_it():
    starts = list_starts(DATASET, first=32, every=16)
    past = cut_past(DATASET, starts, 32)
    future, there = cut_future(DATASET, starts, 4)
    assert past.shape == (11, 32, 4, 2)
    for number, (stretch, frame) in enumerate(zip(starts.stretch, starts.frame, strict=True)):
        features = DATASET.arrays.features[stretch]
        np.testing.assert_array_equal(past[number], features[frame - 32 : frame])
        np.testing.assert_array_equal(future[number][there[number]], features[frame : frame + 4][there[number]])


def test_no_frame_of_the_future_is_in_the_past():
    starts = list_starts(DATASET, first=32, every=16)
    arrays = DATASET.arrays._replace(features=np.array(DATASET.arrays.features))
    one = starts.of([1])
    before = cut_past(DATASET, one, 16)
    arrays.features[one.stretch[0], one.frame[0] :] = np.nan
    arrays.features[one.stretch[0] + 1 :] = np.nan
    changed = type(DATASET)(**vars(DATASET) | {"arrays": arrays})
    np.testing.assert_array_equal(cut_past(changed, one, 16), before)


def test_the_future_is_masked_at_the_stretchs_end():
    starts = list_starts(DATASET, first=32, every=16)
    future, there = cut_future(DATASET, starts, 40)
    ends = np.array([100, 65, 80, 32])[starts.stretch]
    np.testing.assert_array_equal(there, starts.frame[:, None] + np.arange(40) < ends[:, None])
    assert not there.all()
    assert there.any(axis=1).all()
    assert future.shape == (11, 40, 4, 2)
    assert not future[~there].any()
    assert (future[there] != 0).all()
    # The longest stretch has no padding to run into where nothing was padded.
    tight = small_dataset(((40,),))
    future, there = cut_future(tight, list_starts(tight, 32, 16), 40)
    assert there.sum() == 8
    assert not future[~there].any()


def test_a_first_start_after_all_frames_is_refused():
    with pytest.raises(InputError, match=r"^config field 'forecast\.first': found 100, expected less than 100"):
        list_starts(DATASET, first=100, every=16)
    assert list_starts(DATASET, first=99, every=16).frame.tolist() == [99]


def test_a_first_start_after_too_little_past_is_refused():
    starts = list_starts(DATASET, first=20, every=16)
    with pytest.raises(InputError, match=r"^config field 'forecast\.first': found 20, expected 24 or more"):
        cut_past(DATASET, starts, 24)
    lone = Starts(*(np.array([value]) for value in (0, 24, 0, 1)))
    np.testing.assert_array_equal(cut_past(DATASET, lone, 24)[0], DATASET.arrays.features[0, :24])
