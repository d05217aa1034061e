"""Answers about the time to come, against plain loops over frames."""

import numpy as np
import pytest

from wormjax.features.future_states import NEVER, count_steps, count_to_onset, tabulate_targets
from wormjax.recordings.recording import UNSCORED

STEPS = (2, 5, 9)
REVERSE, FORWARD, TURN = 0, 1, 2


@pytest.fixture(scope="module")
def drawn():
    """States in bouts with unscored gaps, and frames that are there: the second stretch is shorter."""
    random = np.random.default_rng(0)
    states = np.repeat(random.integers(-1, 3, (3, 40)), random.integers(1, 6, 40), axis=1)
    states[0, :4] = UNSCORED
    states[2, :3] = REVERSE
    valid = np.ones(states.shape, bool)
    valid[1, -25:] = False
    return states, valid


def wait_plainly(states, origin):
    """Frames to the next reversal after `origin`; 0 where nothing was scored yet, None where none comes."""
    last = [state for state in states[: origin + 1] if state != UNSCORED]
    if not last:
        return 0
    last = last[-1]
    for frame in range(origin + 1, len(states)):
        if states[frame] == REVERSE and last != REVERSE:
            return frame - origin
        if states[frame] != UNSCORED:
            last = states[frame]
    return None


def test_states_are_those_at_the_horizon(drawn):
    states, valid = drawn
    targets = tabulate_targets(states, valid, STEPS)
    assert targets.states.shape == (*states.shape, len(STEPS))
    for stretch, frame in np.ndindex(states.shape):
        for number, step in enumerate(STEPS):
            there = frame + step < states.shape[1] and valid[stretch, frame + step]
            expected = states[stretch, frame + step] if there else UNSCORED
            assert targets.states[stretch, frame, number] == expected


def test_waiting_and_onset_against_a_plain_loop(drawn):
    states, valid = drawn
    targets = tabulate_targets(states, valid, STEPS, reverse=REVERSE)
    for stretch, frame in np.ndindex(states.shape):
        length = valid[stretch].sum()
        wait = wait_plainly(states[stretch, :length], frame) if frame < length else None
        if frame + STEPS[-1] >= length or wait == 0:
            expected = (UNSCORED, UNSCORED)
        elif wait is None or wait > STEPS[-1]:
            expected = (STEPS[-1] + 1, len(STEPS))
        else:
            expected = (wait, [wait <= step for step in STEPS].index(True))
        assert (targets.waiting[stretch, frame], targets.onset[stretch, frame]) == expected
    assert set(np.unique(targets.onset)) == {UNSCORED, 0, 1, 2, 3}


def test_a_reversal_under_way_is_not_the_next_one():
    states = np.array([FORWARD, REVERSE, REVERSE, TURN, REVERSE, REVERSE])
    assert count_to_onset(states, REVERSE).tolist() == [1, 3, 2, 1, NEVER, NEVER]


def test_unscored_frames_neither_end_nor_begin_a_reversal():
    gap = np.array([UNSCORED, REVERSE, UNSCORED, REVERSE, FORWARD, UNSCORED, REVERSE])
    # Nothing known; reverse before and after the gap is one; forward before the gap makes the next one begin after it.
    assert count_to_onset(gap, REVERSE).tolist() == [0, 5, 4, 3, 2, 1, NEVER]
    assert count_to_onset(np.array([UNSCORED, UNSCORED, REVERSE]), REVERSE).tolist() == [0, 0, NEVER]


def test_the_state_that_is_waited_for_can_be_another():
    states = np.array([[FORWARD, REVERSE, TURN, FORWARD, FORWARD]])
    targets = tabulate_targets(states, np.ones_like(states, bool), (1, 2), reverse=TURN)
    assert targets.waiting.tolist() == [[2, 1, 3, UNSCORED, UNSCORED]]
    assert targets.onset.tolist() == [[1, 0, 2, UNSCORED, UNSCORED]]


def test_what_is_not_there_counts_for_nothing():
    states = np.array([[FORWARD, FORWARD, REVERSE, REVERSE]])
    valid = np.array([[True, True, True, False]])
    targets = tabulate_targets(states, valid, (1,))
    assert targets.states[0, :, 0].tolist() == [FORWARD, REVERSE, UNSCORED, UNSCORED]
    assert targets.onset.tolist() == [[1, 0, UNSCORED, UNSCORED]]


def test_horizons_in_frames():
    assert count_steps((0.1, 1.0, 2.0, 30.0), 2.8) == (1, 3, 6, 84)
