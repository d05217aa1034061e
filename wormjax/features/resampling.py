"""Bringing recordings to a common frame rate, each uninterrupted stretch by itself."""

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import make_interp_spline

Times = Float[np.ndarray, " frame"]
NewTimes = Float[np.ndarray, " new_frame"]


def resampled_times(times: Times, frame_rate: float) -> NewTimes:
    """Return evenly spaced times in seconds at `frame_rate` hertz, from the first time to at most the last."""
    count = int(np.floor((times[-1] - times[0]) * frame_rate + 1e-9)) + 1
    return times[0] + np.arange(count) / frame_rate


def resample_values(
    values: Float[np.ndarray, "frame channel"], times: Times, new_times: NewTimes, causal: bool = False
) -> Float[np.ndarray, "new_frame channel"]:
    """Return each channel at new times: the mean over one new sample where that pools frames, else interpolated.

    Averaging the integral of the piecewise linear signal over each new sample's width keeps noise above the new
    Nyquist frequency from folding down when the rate falls; when it rises, plain interpolation is all there is.

    With `causal`, a new frame is the mean of the frames recorded since the new frame before it, or the last recorded
    frame where there is none: it depends on no later frame, and no recorded frame counts in two means.
    """
    if not values.shape[1]:
        return np.zeros((len(new_times), 0))
    if causal:
        stops = _count_recorded(times, new_times)
        starts = np.minimum(np.concatenate([[0], stops[:-1]]), stops - 1)
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
        return (sums[stops] - sums[starts]) / (stops - starts)[:, None]
    values = values.astype(np.float64)
    # A single new frame is too short a stretch to know its width.
    width = np.median(np.diff(new_times)) if len(new_times) > 1 else 0.0
    if not width or width <= 1.2 * np.median(np.diff(times)):
        return np.stack([np.interp(new_times, times, column) for column in values.T], axis=1)
    left, right = (np.clip(new_times + half, *times[[0, -1]]) for half in (-width / 2, width / 2))
    integral = make_interp_spline(times, values, k=1).antiderivative()
    return (integral(right) - integral(left)) / (right - left)[:, None]


def resample_states(
    states: Int[np.ndarray, " frame"], times: Times, new_times: NewTimes, causal: bool = False
) -> Int[np.ndarray, " new_frame"]:
    """Return the state of the frame that is nearest in time; with `causal`, of the last frame recorded by then."""
    if causal:
        return states[_count_recorded(times, new_times) - 1]
    right = np.clip(np.searchsorted(times, new_times), 1, len(times) - 1)
    nearer_left = new_times - times[right - 1] <= times[right] - new_times
    return states[np.where(nearer_left, right - 1, right)]


def _count_recorded(times, new_times):
    """Return how many frames are recorded by each new time; times that differ by rounding alone are the same."""
    return np.maximum(np.searchsorted(times, new_times + 1e-6, side="right"), 1)
