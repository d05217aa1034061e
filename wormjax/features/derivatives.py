"""Time derivatives of the traces. `causal_derivative` sees the past alone; `smoothed_derivative` sees the future."""

import numpy as np
from jaxtyping import Float
from scipy.signal import savgol_filter

from wormjax.errors import ConfigError

# Inputs that look ahead in time. Whoever predicts the future refuses them (see refuse_future).
SEES_THE_FUTURE = ("smoothed_derivative", "source_derivative")

Traces = Float[np.ndarray, "frame neuron"]


def causal_derivative(traces: Traces, frame_rate: float, seconds: float) -> Traces:
    """Return the slope of the least-squares line through the last `seconds` of the trace, in trace units per second.

    Frame t uses frames t - n + 1 to t, at least two; before the first frame the trace is taken as its first value,
    so that nothing later than t ever enters.
    """
    count = max(2, round(seconds * frame_rate))
    positions = np.arange(count) - (count - 1) / 2
    weights = positions / (positions**2).sum() * frame_rate  # Weight of frame t - count + 1 + k at position k.
    padded = np.concatenate([np.repeat(traces[:1], count - 1, axis=0), traces]).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, count, axis=0)
    return windows @ weights


def smoothed_derivative(traces: Traces, frame_rate: float, seconds: float) -> Traces:
    """Return the derivative of a quadratic fitted around each frame (Savitzky-Golay), in trace units per second.

    The window of `seconds` is centred: half of it lies in the future.
    """
    count = max(3, 2 * round(seconds * frame_rate / 2) + 1)
    count = min(count, len(traces) - 1 + len(traces) % 2)
    if count < 3:
        return np.zeros_like(traces, dtype=np.float64)
    return savgol_filter(traces.astype(np.float64), count, 2, deriv=1, delta=1 / frame_rate, axis=0)


def refuse_future(inputs: tuple[str, ...]):
    """Raise InputError if one of a forecaster's inputs sees the future."""
    leaking = [name for name in inputs if name in SEES_THE_FUTURE]
    if leaking:
        found = f"found {', '.join(leaking)}, which see the future"
        raise ConfigError("data.inputs", f"{found}, expected 'trace' or 'causal_derivative' to forecast")
