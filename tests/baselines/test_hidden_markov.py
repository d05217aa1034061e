"""The hidden Markov chain over the frames' probabilities, against all paths of a short one."""

from itertools import product

import numpy as np
import pytest

from wormjax.baselines.hidden_markov import count_transitions, smooth_probabilities, transition_matrix

RANDOM = np.random.default_rng(3)
FRAMES, STATES = 5, 3
PROBABILITIES = RANDOM.dirichlet(np.ones(STATES), FRAMES)
TRANSITIONS = transition_matrix(RANDOM.integers(0, 20, (STATES, STATES)) + 40 * np.eye(STATES, dtype=int))


def enumerate_paths(probabilities, valid, transitions):
    """The posterior of each frame by summing over every path; the state before the first frame may be any."""
    frames, states = probabilities.shape
    posterior = np.zeros((frames, states))
    for path in product(range(states), repeat=frames):
        weight = 1.0
        for frame, state in enumerate(path):
            weight *= transitions[path[frame - 1], state] if frame else 1.0
            weight *= probabilities[frame, state] if valid[frame] else 1.0
        posterior[np.arange(frames), path] += weight
    return posterior / posterior.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("invalid", [(), (0,), (2,), (1, 2), (4,), (3, 4)])
def test_the_posterior_is_the_sum_over_all_paths(invalid):
    valid = ~np.isin(np.arange(FRAMES), invalid)
    smoothed = smooth_probabilities(PROBABILITIES, valid, TRANSITIONS)
    np.testing.assert_allclose(smoothed, enumerate_paths(PROBABILITIES, valid, TRANSITIONS), rtol=1e-10)
    assert np.abs(smoothed - PROBABILITIES).max() > 0.05  # The chain has a say.


def test_an_invalid_frame_says_nothing():
    valid = np.array([True, True, False, True, True])
    other = PROBABILITIES.copy()
    other[2] = 0.98, 0.01, 0.01
    smoothed, with_other = (smooth_probabilities(p, valid, TRANSITIONS) for p in (PROBABILITIES, other))
    np.testing.assert_array_equal(smoothed, with_other)


def test_padding_after_a_stretch_changes_nothing():
    padded = np.concatenate([PROBABILITIES, np.full((4, STATES), 0.7)])
    valid = np.arange(len(padded)) < FRAMES
    smoothed = smooth_probabilities(padded, valid, TRANSITIONS)[:FRAMES]
    np.testing.assert_allclose(smoothed, smooth_probabilities(PROBABILITIES, valid[:FRAMES], TRANSITIONS), rtol=1e-12)


def test_leading_axes_are_chains_of_their_own():
    batch = RANDOM.dirichlet(np.ones(STATES), (2, 3, FRAMES)).astype(np.float32)
    valid = RANDOM.random((1, 3, FRAMES)) < 0.8
    chains = np.stack([TRANSITIONS, TRANSITIONS.T / TRANSITIONS.T.sum(axis=1, keepdims=True)])
    smoothed = smooth_probabilities(batch, valid, chains[:, None])
    assert smoothed.dtype == np.float32
    for group, stretch in product(range(2), range(3)):
        alone = smooth_probabilities(batch[group, stretch], valid[0, stretch], chains[group])
        np.testing.assert_allclose(smoothed[group, stretch], alone, rtol=1e-6)


def test_a_long_recording_neither_underflows_nor_forgets():
    states = np.repeat([0, 1, 0], 4000)
    probabilities = np.where(np.arange(2) == states[:, None], 0.6, 0.4)
    sticky = np.array([[0.99, 0.01], [0.01, 0.99]])
    smoothed = smooth_probabilities(probabilities, np.ones(len(states), bool), sticky)
    assert np.isfinite(smoothed).all()
    np.testing.assert_allclose(smoothed.sum(axis=1), 1.0, rtol=1e-9)
    assert (smoothed[np.arange(len(states)), states] > 0.6).mean() > 0.99


def test_probabilities_of_zero_leave_a_posterior():
    certain = np.eye(2)[[0, 1, 0]]
    smoothed = smooth_probabilities(certain, np.ones(3, bool), np.array([[1.0 - 1e-9, 1e-9], [1e-9, 1.0 - 1e-9]]))
    assert np.isfinite(smoothed).all()
    np.testing.assert_allclose(smoothed.sum(axis=1), 1.0)


def test_transitions_are_counted_between_scored_neighbours_of_one_stretch():
    states = np.array([[0, 0, 1, -1, 1, 2], [2, 2, -1, -1, 0, 1]])
    expected = np.zeros((3, 3), int)
    for before, after in [(0, 0), (0, 1), (1, 2), (2, 2), (0, 1)]:
        expected[before, after] += 1
    np.testing.assert_array_equal(count_transitions(states, 3), expected)


def test_every_state_may_be_left_though_none_was_seen_to():
    matrix = transition_matrix(np.array([[8, 1, 0], [0, 0, 0], [0, 0, 4]]))
    np.testing.assert_allclose(matrix.sum(axis=-1), 1.0)
    np.testing.assert_allclose(matrix[0], np.array([8.5, 1.5, 0.5]) / 10.5)
    np.testing.assert_allclose(matrix[1], 1 / 3)
