"""Missing samples of a trace (NaN): a short gap is filled, a longer one is a mask.

Masked samples become 0 after scaling, which is the mean of a z-score, and no statistic of scaling counts them. A neuron
that a worm lacks is a trace without a sample.
"""

import numpy as np
import pandas as pd
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
    masked, some = gone.copy(), gone.any(axis=0)
    if not some.any():
        return values, masked
    table = pd.DataFrame(values[:, some])
    known = pd.DataFrame(np.where(gone[:, some], np.nan, times[:, None]))  # Times of the samples that are known.
    before, after = known.ffill(), known.bfill()
    if causal:
        # How long a gap will be is not known within it, and nothing is known before the first sample.
        filled, gaps = table.ffill().bfill(), times[:, None] - before
    else:
        filled, gaps = table.interpolate(limit_direction="both"), after.fillna(times[-1]) - before.fillna(times[0])
    values = values.copy()
    values[:, some] = filled.fillna(0.0)
    if missing == "interpolate":
        masked[:, some] &= ~((gaps <= LONGEST_GAP) & known.notna().any()).to_numpy()
    return values, masked
