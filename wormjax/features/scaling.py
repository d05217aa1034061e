"""Scaling of each neuron's features within its worm. No statistic ever crosses from one worm to another.

All but "calibration" take their statistics from the worm's whole recording, as published work does: a held-out worm's
traces (never its motor states) set its own scale. "calibration" takes them from the first minutes only, as an
experimenter on line would have them; those minutes are then not scored.
"""

import warnings

import numpy as np
from jaxtyping import Float

SCALINGS = ("zscore", "minmax", "none", "calibration", "robust")
ROBUST_LIMIT = 10.0  # Of a robustly scaled value.
QUARTILES_OF_GAUSSIAN = 1.349  # Their distance, in standard deviations.


def scale_features(
    features: Float[np.ndarray, "frame channel"], scaling: str, calibration_frames: int | None = None
) -> Float[np.ndarray, "frame channel"]:
    """Scale each channel of a worm by its own statistics over time; they count no NaN (masked), which becomes 0.

    `scaling` is "zscore" (mean 0, s.d. 1), "minmax" (to [-1, 1], as in Wang et al. 2021), "none", "calibration"
    (z-score with mean and s.d. of the first `calibration_frames`), or "robust" (median 0, distance of the quartiles as
    of s.d. 1, cut at ±10, so that outliers neither set the scale nor leave it).
    """
    if np.isnan(features).any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # A channel may have no sample at all.
            return np.nan_to_num(_scale_known(features, scaling, calibration_frames, np.nanmean, np.nanstd))
    return _scale_known(features, scaling, calibration_frames, np.mean, np.std)


def _scale_known(features, scaling, calibration_frames, mean, deviate):
    if scaling == "none":
        return features.astype(np.float64)
    features = features.astype(np.float64, copy=False)
    if scaling == "minmax":
        low, high = np.fmin.reduce(features, axis=0), np.fmax.reduce(features, axis=0)
        return 2 * (features - low) / _nonzero(high - low, features) - 1
    if scaling == "robust":
        low, middle, high = np.nanquantile(features, (0.25, 0.5, 0.75), axis=0)
        spread = (high - low) / QUARTILES_OF_GAUSSIAN
        # A channel that rests most of the time has its standard deviation instead.
        spread = np.where(spread > 0, spread, _nonzero(deviate(features, axis=0), features))
        return np.clip((features - middle) / spread, -ROBUST_LIMIT, ROBUST_LIMIT)
    reference = features[:calibration_frames] if scaling == "calibration" else features
    scaled = features - mean(reference, axis=0)
    scaled /= _nonzero(deviate(reference, axis=0), reference)
    return scaled


def _nonzero(scale: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the scale, or 1 where a channel does not vary in its reference frames and so keeps its units."""
    largest = np.maximum(np.fmax.reduce(reference, axis=0), -np.fmin.reduce(reference, axis=0))
    rounding = 1e-9 * largest  # A constant's mean is not the constant to the last digit.
    return np.where(scale > rounding, scale, 1.0)
