"""The toy with two cycles: both are there without noise, noise goes between them, and turns are told apart."""

import itertools

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from wormjax.errors import InputError
from wormjax.recordings.recording import UNSCORED
from wormjax.simulation.two_cycles import BETWEEN, FOCUS, LARGE, SMALL, find_drift, label_cycles, simulate_two_cycles

STARTS = {SMALL: (0.1, 0.5), LARGE: (0.5, 0.1)}


@pytest.fixture(scope="module")
def noisy():
    return np.asarray(simulate_two_cycles(jax.random.key(0), frames=6000))


def follow(start, until, last=60.0, points=3000, backward=False):
    """A fine integration of the equations as published: `points` in the last units of time."""

    def slope(_, activity):
        x, y = activity
        fast = -x + 1 / (1 + np.exp(-(8 * x - 6 * y - 0.34)))
        slow = (-y + 1 / (1 + np.exp(-(16 * x - 2 * y - 2.5)))) / 6
        return (-fast, -slow) if backward else (fast, slow)

    times = np.linspace(until - last, until, points)
    return solve_ivp(slope, (0, until), start, t_eval=times, rtol=1e-8, atol=1e-9).y.T


@pytest.mark.parametrize("cycle", [SMALL, LARGE])
def test_without_noise_each_start_ends_in_its_own_limit_cycle(cycle):
    activity = simulate_two_cycles(jax.random.key(0), 1000, noise=0.0, start=STARTS[cycle], settling_frames=6000)
    lowest, highest = ((0.08, 0.41), (0.03, 0.84))[cycle]
    assert float(activity[:, 0].min()) == pytest.approx(lowest, abs=0.006)
    assert float(activity[:, 0].max()) == pytest.approx(highest, abs=0.006)
    assert set(label_cycles(activity)[200:-200]) == {cycle}


@pytest.mark.parametrize("cycle", [SMALL, LARGE])
def test_steps_follow_the_published_equations(cycle):
    # For 10 units of time, before the errors of Euler's steps have grown.
    activity = simulate_two_cycles(jax.random.key(0), 100, noise=0.0, start=STARTS[cycle], settling_frames=0)
    np.testing.assert_allclose(activity, follow(STARTS[cycle], 9.9, 9.9, 100), atol=0.02)


def test_the_focus_and_the_unstable_cycle_are_where_the_constants_say():
    np.testing.assert_allclose(find_drift(np.array(FOCUS)), 0.0, atol=1e-4)
    backward = follow((0.345, 0.44), 300.0, backward=True)  # Unstable cycles attract backward in time.
    assert backward[:, 0].max() == pytest.approx(BETWEEN, abs=0.003)


def test_noise_goes_between_the_two_cycles(noisy):
    labels = label_cycles(noisy)
    scored = labels[labels != UNSCORED]
    assert 0.2 < (scored == LARGE).mean() < 0.9
    assert 4 < np.count_nonzero(np.diff(scored)) < 40
    assert noisy.min() > -0.1
    assert noisy.max() < 1.1
    edges = np.flatnonzero(np.diff(labels)) + 1
    visits = [(labels[start], stop - start) for start, stop in itertools.pairwise(edges)]
    assert min(frames for cycle, frames in visits if cycle == SMALL) > 50  # A turn takes 96 frames without noise,
    assert min(frames for cycle, frames in visits if cycle == LARGE) > 100  # or 185.


def test_turns_are_whole_and_labelled_by_their_excursion(noisy):
    labels, x = label_cycles(noisy), noisy[:, 0]
    edges = np.flatnonzero(np.diff(labels)) + 1
    for start, stop in zip(np.append(0, edges[:-1]), edges, strict=True):
        if labels[start] == SMALL:
            assert x[start:stop].max() <= BETWEEN
        if labels[start] == LARGE:
            assert x[start:stop].max() > BETWEEN
    np.testing.assert_allclose(x[edges], FOCUS[0], atol=0.05)  # A turn begins below the focus.
    assert (noisy[edges, 1] < FOCUS[1]).all()
    highest = [x[start:stop].max() for start, stop in itertools.pairwise(edges)]
    assert np.mean(np.abs(np.array(highest) - BETWEEN) < 0.05) < 0.1
    assert labels[0] == labels[-1] == UNSCORED
    assert (labels == UNSCORED).sum() < 450


def test_noise_has_the_deviation_that_is_asked_for():
    activity = np.asarray(simulate_two_cycles(jax.random.key(0), frames=3000, noise=0.2), np.float64)
    drift = np.asarray(find_drift(activity))
    shocks = np.diff(activity, axis=0) - 0.1 * 0.5 * (drift[1:] + drift[:-1])
    np.testing.assert_allclose(shocks.std(axis=0), 0.2 * 0.01 * np.sqrt(10), rtol=0.06)  # Ten steps of 0.01 a frame.


def test_steps_back_across_the_beginning_begin_no_turn():
    turns = np.concatenate([np.linspace(0.5, 1.02, 40), [0.99, 0.98], np.linspace(1.01, 2.01, 50), [1.99, 2.02, 2.5]])
    radius = np.where(np.arange(len(turns)) < 40, 0.2, 0.5)  # The step back is already on the large cycle.
    angle = 2 * np.pi * turns - np.pi / 2
    activity = np.array(FOCUS) + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    labels = label_cycles(activity)
    first, last = np.argmax(turns > 1.0), np.argmax(turns > 2.0)
    assert set(labels[:first]) == set(labels[last:]) == {UNSCORED}
    assert set(labels[first:last]) == {LARGE}


def test_same_key_same_activity_and_settling_is_cut_off():
    first = np.asarray(simulate_two_cycles(jax.random.key(3), 100, settling_frames=50))
    assert first.shape == (100, 2)
    assert np.array_equal(first, simulate_two_cycles(jax.random.key(3), 100, settling_frames=50))
    assert not np.array_equal(first, simulate_two_cycles(jax.random.key(4), 100, settling_frames=50))
    whole = np.asarray(simulate_two_cycles(jax.random.key(3), 150, settling_frames=0))
    np.testing.assert_allclose(whole[0], (0.5, 0.1), atol=1e-6)
    assert np.array_equal(first, whole[50:])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"frames": 0}, "frames"),
        ({"noise": -0.1}, "noise"),
        ({"settling_frames": -1}, "settling_frames"),
        ({"start": (0.5, float("nan"))}, "start"),
        ({"start": (0.5,)}, "start"),
    ],
)
def test_wrong_arguments_are_named(wrong, field):
    with pytest.raises(InputError, match=field):
        simulate_two_cycles(jax.random.key(0), **wrong)
