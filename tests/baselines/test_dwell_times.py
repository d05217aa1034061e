"""Chains of motor states with ages: fits recover a known chain, predictions equal powers of its expanded matrix."""

import numpy as np
import pytest

from wormjax.baselines.dwell_times import (
    DwellChain,
    filter_states,
    fit_dwell_chain,
    likelihood_of_decoded,
    likelihood_of_scored,
    list_bouts,
    predict_onset,
    predict_states,
)
from wormjax.recordings.recording import UNSCORED

LEAVE = np.array([[0.05, 0.05, 0.4], [0.5, 0.2, 0.1], [0.1, 0.3, 0.3]])  # [state, age]; the last age is 3 or more.
FOLLOW = np.array([[0.0, 0.7, 0.3], [0.9, 0.0, 0.1], [0.5, 0.5, 0.0]])
FREQUENCY = np.array([0.5, 0.3, 0.2])
STEPS = (1, 2, 7)


@pytest.fixture(scope="module")
def chain():
    return DwellChain(LEAVE, FOLLOW, FREQUENCY)


@pytest.fixture(scope="module")
def sequence():
    """A long run of the chain, drawn frame by frame."""
    random = np.random.default_rng(0)
    leaves, nexts = random.random(40_000), random.random(40_000)
    state, age, states = 0, 0, []
    ends = FOLLOW.cumsum(axis=1)
    for leave, following in zip(leaves, nexts, strict=True):
        states.append(state)
        if leave < LEAVE[state, age]:
            state, age = int(np.searchsorted(ends[state], following, side="right")), 0
        else:
            age = min(age + 1, 2)
    return np.array(states)


def expand(chain):
    """The same chain as one matrix over (state, age), entry by entry."""
    count, ages = chain.leave.shape
    matrix = np.zeros((count, ages, count, ages))
    for state, age in np.ndindex(count, ages):
        matrix[state, age, state, min(age + 1, ages - 1)] += 1 - chain.leave[state, age]
        for other in range(count):
            matrix[state, age, other, 0] += chain.leave[state, age] * chain.follow[state, other]
    return matrix.reshape(count * ages, count * ages)


def test_fit_recovers_the_chain(sequence):
    fitted = fit_dwell_chain([sequence[:25_000], sequence[25_000:]], 3, ages=(1, 2, 3))
    np.testing.assert_allclose(fitted.leave, LEAVE, atol=0.03)
    np.testing.assert_allclose(fitted.follow, FOLLOW, atol=0.03)
    np.testing.assert_allclose(fitted.frequency, np.bincount(sequence) / len(sequence), atol=1e-3)
    assert (np.diag(fitted.follow) == 0).all()


def test_wider_bins_share_one_chance_of_leaving(sequence):
    leave = fit_dwell_chain([sequence], 3, ages=(1, 3)).leave
    assert leave.shape == (3, 3)
    np.testing.assert_array_equal(leave[:, 0], leave[:, 1])
    np.testing.assert_allclose(leave[0], (0.05, 0.05, 0.4), atol=0.03)
    np.testing.assert_allclose(leave[2, 2], 0.3, atol=0.03)


def test_a_bout_that_is_cut_off_counts_until_its_last_frame_but_one(sequence):
    # Whether it would have been left then is not known: short stretches must give the same chance as long ones.
    pieces = sequence[:39_998].reshape(-1, 2)
    once = fit_dwell_chain([sequence], 3, ages=(1,)).leave
    np.testing.assert_allclose(fit_dwell_chain(list(pieces), 3, ages=(1,)).leave, once, atol=0.03)


def test_unscored_frames_break_bouts():
    state, frames, following = list_bouts(np.array([UNSCORED, 0, 0, UNSCORED, 0, 1, 1, UNSCORED]))
    assert state.tolist() == [0, 0, 1]
    assert frames.tolist() == [2, 1, 2]
    assert following.tolist() == [UNSCORED, 1, UNSCORED]
    broken = fit_dwell_chain([np.array([0, 0, UNSCORED, 2, 2, UNSCORED] * 50 + [0, 0, 1] * 50)], 3, ages=(1,))
    assert broken.follow[0].argmax() == 1
    assert broken.follow[2, 0] == pytest.approx(0.5)  # From 2 nothing was ever seen to follow.


def test_states_ahead_are_powers_of_the_expanded_matrix(chain):
    ahead = predict_states(chain, STEPS)
    for number, step in enumerate(STEPS):
        power = np.linalg.matrix_power(expand(chain), step).reshape(3, 3, 3, 3)
        np.testing.assert_allclose(ahead[number], power.sum(axis=3), atol=1e-12)


def test_states_ahead_agree_with_a_simulation(chain, sequence):
    started = np.flatnonzero((sequence[1:-7] == 1) & (sequence[:-8] != 1)) + 1  # First frames of state 1: age 0.
    seen = np.bincount(sequence[started + 7], minlength=3) / len(started)
    np.testing.assert_allclose(predict_states(chain, (7,))[0, 1, 0], seen, atol=0.03)


def test_one_age_is_the_ordinary_markov_chain(sequence):
    chain = fit_dwell_chain([sequence], 3, ages=(1,))
    counts = np.zeros((3, 3))
    np.add.at(counts, (sequence[:-1], sequence[1:]), 1.0)
    matrix = counts / counts.sum(axis=1, keepdims=True)
    ahead = predict_states(chain, (1, 4))
    assert ahead.shape == (2, 3, 1, 3)
    np.testing.assert_allclose(ahead[0, :, 0], matrix, atol=2e-3)
    np.testing.assert_allclose(ahead[1, :, 0], np.linalg.matrix_power(ahead[0, :, 0], 4), atol=1e-12)


@pytest.mark.parametrize("target", [0, 2])
def test_onset_is_the_mass_that_has_entered_the_target(chain, target):
    matrix = expand(chain)
    absorbing = np.zeros((10, 10))
    absorbing[:9, :9], absorbing[9, 9] = matrix, 1.0
    first = 3 * target  # (target, age 0) is only ever reached by entering it.
    absorbing[:9, 9], absorbing[:9, first] = matrix[:, first], 0.0
    onset = predict_onset(chain, STEPS, target)
    for number, step in enumerate(STEPS):
        expected = np.linalg.matrix_power(absorbing, step)[:9, 9].reshape(3, 3)
        np.testing.assert_allclose(onset[number], expected, atol=1e-12)
    assert onset[0, target].max() == 0.0  # The bout under way does not count.


@pytest.mark.parametrize("ages", [1, 2, 3])
def test_filter_is_the_forward_algorithm_on_the_expanded_chain(ages):
    """With one age, the ordinary Markov chain, a state that stays and one that is entered have the same age."""
    chain = DwellChain(LEAVE[:, :ages], FOLLOW, FREQUENCY)
    likelihood = np.random.default_rng(1).random((12, 3))
    belief = filter_states(chain, likelihood)
    matrix, now = expand(chain), np.repeat(FREQUENCY / ages, ages)
    for frame, weights in enumerate(likelihood):
        now = (now @ matrix if frame else now) * np.repeat(weights, ages)
        now /= now.sum()
        np.testing.assert_allclose(belief[frame].ravel(), now, atol=1e-12)


def test_scored_states_make_state_and_age_certain(chain):
    states = np.array([0, 1, 1, 1, 1, UNSCORED, 2])
    belief = filter_states(chain, likelihood_of_scored(states, 3))
    assert belief[0, 0].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(belief[0, 0], 1 / 3, atol=1e-6)  # Nothing is known of the first age.
    assert [int(belief[frame, 1].argmax()) for frame in (1, 2, 3, 4)] == [0, 1, 2, 2]
    assert belief[1:5].max(axis=(1, 2)) == pytest.approx(np.ones(4))
    np.testing.assert_allclose(belief[5].sum(axis=1), [0.1 * 0.9, 0.9, 0.1 * 0.1], atol=1e-9)  # One step on, unweighed.


def test_a_decoder_that_knows_only_frequencies_says_nothing(chain):
    uninformed = likelihood_of_decoded(chain, np.tile(FREQUENCY, (4, 1)), weight=0.5)
    np.testing.assert_allclose(uninformed, np.ones((4, 3)))
    half = likelihood_of_decoded(chain, np.array([[0.7, 0.2, 0.1]]), weight=0.5)[0]
    ratio = np.array([0.7, 0.2, 0.1]) / FREQUENCY
    np.testing.assert_allclose(half / half[0], np.sqrt(ratio / ratio[0]))
