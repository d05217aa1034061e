"""The causal derivative never sees a later frame; the smoothed one does, and is refused where that would leak."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from wormjax.errors import InputError
from wormjax.features.derivatives import causal_derivative, refuse_future, smoothed_derivative

RATE = 3.0  # Hz
TIMES = np.arange(60)[:, None] / RATE


def test_the_causal_slope_of_a_line_is_exact_once_the_window_is_full():
    slopes = causal_derivative(4.0 - 2.5 * TIMES, RATE, seconds=5.0)
    np.testing.assert_allclose(slopes[14:], -2.5, rtol=1e-9)


def test_a_short_causal_window_is_the_difference_to_the_frame_before():
    trace = np.random.default_rng(0).normal(size=(20, 2))
    slopes = causal_derivative(trace, RATE, seconds=0.1)
    np.testing.assert_allclose(slopes[1:], np.diff(trace, axis=0) * RATE, atol=1e-12)
    np.testing.assert_allclose(slopes[0], 0.0, atol=1e-12)


def test_the_causal_slope_is_that_of_the_least_squares_line():
    trace = np.random.default_rng(1).normal(size=60)
    slopes = causal_derivative(trace[:, None], RATE, seconds=4.0)[:, 0]
    for frame in (11, 30, 59):
        past = slice(frame - 11, frame + 1)
        assert slopes[frame] == pytest.approx(np.polyfit(TIMES[past, 0], trace[past], 1)[0])


@given(
    frames=st.integers(2, 50),
    frame=st.integers(0, 48),
    seconds=st.floats(0.1, 20),
    change=st.floats(-1e6, 1e6),
    seed=st.integers(0, 50),
)
@settings(deadline=None)
def test_no_later_frame_ever_enters_the_causal_derivative(frames, frame, seconds, change, seed):
    frame = min(frame, frames - 2)
    trace = np.random.default_rng(seed).normal(size=(frames, 2))
    changed = trace.copy()
    changed[frame + 1 :] += change
    before, after = causal_derivative(trace, RATE, seconds), causal_derivative(changed, RATE, seconds)
    np.testing.assert_array_equal(before[: frame + 1], after[: frame + 1])
    # Nor does it matter whether there is a later frame at all.
    np.testing.assert_allclose(before[: frame + 1], causal_derivative(trace[: frame + 1], RATE, seconds), atol=1e-12)


def test_the_smoothed_derivative_of_a_parabola_is_exact():
    parabola = 1.0 + 0.5 * TIMES - 0.3 * TIMES**2
    np.testing.assert_allclose(smoothed_derivative(parabola, RATE, 5.0), 0.5 - 0.6 * TIMES, atol=1e-9)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 9])
def test_short_stretches_have_a_smoothed_derivative_too(frames):
    slopes = smoothed_derivative(TIMES[:frames] * 2.0, RATE, 5.0)
    assert slopes.shape == (frames, 1)
    np.testing.assert_allclose(slopes, 2.0 if frames > 2 else 0.0, rtol=1e-9)


def test_the_smoothed_derivative_sees_the_future():
    trace = np.random.default_rng(2).normal(size=(60, 1))
    changed = trace.copy()
    changed[31:] += 1.0
    assert abs(smoothed_derivative(changed, RATE, 5.0) - smoothed_derivative(trace, RATE, 5.0))[30] > 0.01


@pytest.mark.parametrize("derive", [causal_derivative, smoothed_derivative])
def test_neurons_do_not_mix_and_units_are_per_second(derive):
    traces = np.random.default_rng(3).normal(size=(60, 2))
    together = derive(traces, RATE, 3.0)
    np.testing.assert_allclose(together[:, [1]], derive(traces[:, [1]], RATE, 3.0), atol=1e-12)
    # The same frames at twice the rate last half as long: slopes double.
    np.testing.assert_allclose(derive(traces, 2 * RATE, 1.5), 2 * together, atol=1e-12)


@pytest.mark.parametrize("leak", ["smoothed_derivative", "source_derivative"])
def test_forecasting_refuses_inputs_that_see_the_future(leak):
    with pytest.raises(InputError, match=leak) as caught:
        refuse_future(("trace", leak))
    assert "\n" not in str(caught.value)


def test_forecasting_takes_inputs_that_see_the_past_alone():
    refuse_future(("trace", "causal_derivative"))
