"""Bringing recordings to a common frame rate, each uninterrupted stretch by itself."""

import numpy as np
from jaxtyping import Float, Int


def resampled_times(times: Float[np.ndarray, " frame"], frame_rate: float) -> Float[np.ndarray, " new_frame"]:
    """Evenly spaced times in seconds at `frame_rate` hertz, from the first time to at most the last."""
    count = int(np.floor((times[-1] - times[0]) * frame_rate + 1e-9)) + 1
    return times[0] + np.arange(count) / frame_rate


def resample_values(
    values: Float[np.ndarray, "frame channel"],
    times: Float[np.ndarray, " frame"],
    new_times: Float[np.ndarray, " new_frame"],
) -> Float[np.ndarray, "new_frame channel"]:
    """Each channel at new times: the mean over one new sample where that pools frames, else linear interpolation.

    Averaging the integral of the piecewise linear signal over each new sample's width keeps noise above the new
    Nyquist frequency from folding down when the rate falls; when it rises, plain interpolation is all there is.
    """
    columns = values.T.astype(np.float64)
    # A single new frame is too short a stretch to know its width.
    width = np.median(np.diff(new_times)) if len(new_times) > 1 else 0.0
    if not width or width <= 1.2 * np.median(np.diff(times)):
        return np.stack([np.interp(new_times, times, column) for column in columns], axis=1)
    left, right = (
        np.clip(new_times - width / 2, *times[[0, -1]]),
        np.clip(new_times + width / 2, *times[[0, -1]]),
    )
    resampled = [(_integral(right, times, c) - _integral(left, times, c)) / (right - left) for c in columns]
    return np.stack(resampled, axis=1)


def resample_states(
    states: Int[np.ndarray, " frame"],
    times: Float[np.ndarray, " frame"],
    new_times: Float[np.ndarray, " new_frame"],
) -> Int[np.ndarray, " new_frame"]:
    """The state of the frame that is nearest in time."""
    right = np.clip(np.searchsorted(times, new_times), 1, len(times) - 1)
    nearer_left = new_times - times[right - 1] <= times[right] - new_times
    return states[np.where(nearer_left, right - 1, right)]


def _integral(at, times, values):
    """The integral from times[0] to `at` of the piecewise linear function through (times, values)."""
    steps = np.diff(times)
    whole = np.concatenate([[0.0], np.cumsum(0.5 * (values[1:] + values[:-1]) * steps)])
    index = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    part = at - times[index]
    slope = (values[index + 1] - values[index]) / steps[index]
    return whole[index] + values[index] * part + 0.5 * slope * part**2
