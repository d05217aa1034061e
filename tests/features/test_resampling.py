"""A new frame rate keeps what the old frames say, folds no noise down, and never runs beyond the recording."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from wormjax.features.resampling import resample_states, resample_values, resampled_times

UNEVEN = np.cumsum(np.random.default_rng(0).uniform(0.2, 0.5, 400))  # Seconds; about 2.9 Hz.


@given(
    steps=st.lists(st.floats(0.05, 2.0), min_size=1, max_size=60),
    start=st.floats(-100, 1e4),
    rate=st.floats(0.2, 20),
)
@settings(deadline=None)
def test_new_times_are_even_and_stay_within_the_recording(steps, start, rate):
    times = start + np.concatenate([[0.0], np.cumsum(steps)])
    new_times = resampled_times(times, rate)
    assert new_times[0] == times[0]
    assert new_times[-1] <= times[-1] + 1e-6
    assert new_times[-1] > times[-1] - 1 / rate - 1e-6
    np.testing.assert_allclose(np.diff(new_times), 1 / rate, rtol=1e-6)


def test_the_last_frame_of_an_even_recording_is_kept():
    times = np.arange(31) / 3.0
    np.testing.assert_allclose(resampled_times(times, 3.0), times)


@pytest.mark.parametrize("rate", [0.7, 1.0, 2.0, 2.9, 5.0, 11.0])
def test_a_constant_stays_constant(rate):
    values = np.full((len(UNEVEN), 2), [3.25, -1.5])
    new = resample_values(values, UNEVEN, resampled_times(UNEVEN, rate))
    np.testing.assert_allclose(new, np.broadcast_to([3.25, -1.5], new.shape), rtol=1e-9)


@pytest.mark.parametrize("rate", [1.0, 2.0, 2.9, 5.0])
def test_a_line_stays_a_line_away_from_the_ends(rate):
    values = np.stack([UNEVEN, 1 - 2 * UNEVEN], axis=1)
    times = resampled_times(UNEVEN, rate)
    new = resample_values(values, UNEVEN, times)[1:-1]
    np.testing.assert_allclose(new, np.stack([times, 1 - 2 * times], axis=1)[1:-1], atol=1e-9)


@pytest.mark.parametrize("rate", [1.0, 2.0, 5.0])
def test_a_slow_sine_survives(rate):
    times = resampled_times(UNEVEN, rate)
    new = resample_values(np.sin(2 * np.pi * 0.05 * UNEVEN)[:, None], UNEVEN, times)[1:-1, 0]
    np.testing.assert_allclose(new, np.sin(2 * np.pi * 0.05 * times)[1:-1], atol=0.02)


def test_frames_at_their_own_times_come_back_unchanged():
    values = np.random.default_rng(1).normal(size=(50, 3))
    times = np.arange(50) / 3.0
    np.testing.assert_allclose(resample_values(values, times, times), values, atol=1e-12)


def test_noise_above_the_new_nyquist_frequency_falls_when_the_rate_does():
    times = np.arange(4000) / 10.0
    noise = np.random.default_rng(2).normal(size=(4000, 1))
    new = resample_values(noise, times, resampled_times(times, 1.0))
    # The mean of ten independent frames; picking every tenth would keep all of the standard deviation.
    assert new.std() == pytest.approx(10**-0.5, rel=0.15)
    alternating = resample_values(np.cos(np.pi * np.arange(4000))[:, None], times, resampled_times(times, 1.0))
    assert abs(alternating).max() < 0.15


def test_channels_do_not_mix():
    values = np.random.default_rng(3).normal(size=(len(UNEVEN), 3))
    times = resampled_times(UNEVEN, 1.0)
    alone = np.concatenate([resample_values(values[:, [k]], UNEVEN, times) for k in range(3)], axis=1)
    np.testing.assert_array_equal(resample_values(values, UNEVEN, times), alone)


@given(
    steps=st.lists(st.floats(0.05, 2.0), min_size=1, max_size=40),
    rate=st.floats(0.2, 20),
    seed=st.integers(0, 100),
)
@settings(deadline=None)
def test_states_are_those_of_the_nearest_frame(steps, rate, seed):
    times = np.concatenate([[0.0], np.cumsum(steps)])
    states = np.random.default_rng(seed).integers(-1, 4, len(times))
    new_times = resampled_times(times, rate)
    for state, time in zip(resample_states(states, times, new_times), new_times, strict=True):
        distance = abs(times - time)
        assert state in states[distance <= distance.min() + 1e-9]


@pytest.mark.parametrize("rate", [0.5, 3.0])
def test_a_stretch_of_a_single_frame_keeps_that_frame(rate):
    times, values = np.array([7.0]), np.array([[1.5, -2.0]])
    new_times = resampled_times(times, rate)
    assert new_times.tolist() == [7.0]
    assert resample_values(values, times, new_times).tolist() == [[1.5, -2.0]]
    assert resample_states(np.array([3]), times, new_times).tolist() == [3]


@given(
    steps=st.lists(st.floats(0.05, 2.0), min_size=2, max_size=40),
    rate=st.floats(0.2, 20),
    cut=st.integers(0, 39),
)
@settings(deadline=None)
def test_a_causal_frame_depends_on_no_later_one_at_any_rate(steps, rate, cut):
    times = np.concatenate([[0.0], np.cumsum(steps)])
    new_times = resampled_times(times, rate)
    last = min(cut, len(times) - 1)
    values = np.random.default_rng(0).normal(size=(len(times), 2))
    changed, states = values.copy(), np.arange(len(times))
    changed[last + 1 :] += 1e3
    before, after = (resample_values(one, times, new_times, causal=True) for one in (values, changed))
    seen = new_times < (times[last + 1] if last + 1 < len(times) else np.inf) - 1e-5
    np.testing.assert_array_equal(before[seen], after[seen])
    assert (times[resample_states(states, times, new_times, causal=True)] <= new_times + 1e-5).all()


@pytest.mark.parametrize("rate", [0.5, 1.0, 1.3, 2.0, 2.9, 4.5, 10.0])
def test_white_noise_stays_unpredictable_at_every_rate(rate):
    """Frames that hold anything recorded after the origin are not correlated with the frame at the origin."""
    times = np.arange(30_000) / 3.0
    new_times = resampled_times(times, rate)
    noise = np.random.default_rng(0).normal(size=(len(times), 1))
    steps = int(np.ceil(max(1.0, rate / 3.0)))  # Above 3 Hz, the next frames may repeat the last one recorded.
    found = {}
    for causal in (True, False):
        new = resample_values(noise, times, new_times, causal)[:, 0]
        found[causal] = np.corrcoef(new[:-steps], new[steps:])[0, 1] ** 2
    assert found[True] < (0.002 if (rate <= 3.0 and 3.0 % rate == 0) or rate > 3.0 else 0.01)
    if rate == 1.0:
        assert found[False] > 0.005  # The centred window, whose ends are shared.


def test_the_causal_mean_is_that_of_the_frames_since_the_last_one():
    times, values = np.arange(7) / 3.0, np.arange(7.0)[:, None]
    assert resample_values(values, times, resampled_times(times, 1.0), causal=True)[:, 0].tolist() == [0.0, 2.0, 5.0]
    held = resample_values(values, times, resampled_times(times, 6.0), causal=True)[:6, 0]
    assert held.tolist() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
