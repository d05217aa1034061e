"""Missing samples of a trace (NaN): a short gap is filled, a longer one is a mask.

Masked samples become 0 after scaling, which is the mean of a z-score, and no statistic of scaling counts them. A neuron
that a worm lacks is a trace without a sample.
"""

import numpy as np
from jaxtyping import Bool, Float

MISSING = ("interpolate", "mask")
LONGEST_GAP = 3.0  # Seconds between the known samples around a gap that is filled.


def fill_missing(
    values: Float[np.ndarray, "frame channel"],
    times: Float[np.ndarray, " frame"],
    missing: str = "interpolate",
    causal: bool = False,
) -> tuple[Float[np.ndarray, "frame channel"], Bool[np.ndarray, "frame channel"]]:
    """Return the values of one uninterrupted stretch without NaN, and which of them stay masked.

    "interpolate" fills gaps of at most LONGEST_GAP, linearly; "mask" masks every missing sample. With `causal`, no
    sample depends on a later one: gaps hold the last value. Masked samples are filled as well, so that derivatives are
    finite; scaling sets them to 0.
    """
    gone = np.isnan(values)
    if not gone.any():
        return values, gone
    values, masked = values.copy(), gone.copy()
    frames = np.arange(len(values))
    for channel in np.flatnonzero(gone.any(axis=0)):
        known = np.flatnonzero(~gone[:, channel])
        if not len(known):
            values[:, channel] = 0.0
            continue
        lost = np.flatnonzero(gone[:, channel])
        after = np.searchsorted(known, lost)
        before = known[np.maximum(after - 1, 0)]
        inside = (after > 0) & (after < len(known))
        gaps = times[known[np.minimum(after, len(known) - 1)]] - times[before]
        gaps = np.where(inside, gaps, np.where(after > 0, times[-1] - times[before], times[known[0]] - times[0]))
        if causal:
            values[lost, channel] = values[before, channel]
            # How long a gap will be is not known within it, and nothing is known before the first sample.
            gaps = np.where(after > 0, times[lost] - times[before], np.inf)
        else:
            values[lost, channel] = np.interp(frames[lost], known, values[known, channel])
        if missing == "interpolate":
            masked[lost, channel] = gaps > LONGEST_GAP
    return values, masked
