"""Metrics of decoded continuous behaviours, such as velocity: how well predictions match what was measured."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

FEWEST_FRAMES = 3
SUFFIXES = {"_r": "correlation (Pearson)", "_r2": "R²"}


def score_behavior(
    predicted: Float[np.ndarray, "frame target"], measured: Float[np.ndarray, "frame target"], names: Sequence[str]
) -> dict[str, float]:
    """Return the scores of one worm's decoded behaviours; frames in which a behaviour is NaN are ignored.

    Returns:
      NAME_r: the correlation (Pearson), 0 for a prediction that does not vary.
      NAME_r2: the coefficient of determination.
      What is undefined, with fewer than FEWEST_FRAMES frames or a behaviour that does not vary, is left out.

    Examples:
      >>> velocity = np.array([[0.1], [0.2], [np.nan], [-0.1]])
      >>> score_behavior(2 * velocity, velocity, ["velocity"])["velocity_r"]
      1.0
    """
    scores = {}
    for name, ours, theirs in zip(names, predicted.T, measured.T, strict=True):
        known = np.isfinite(theirs)
        ours, theirs = ours[known].astype(np.float64), theirs[known].astype(np.float64)
        if len(ours) < FEWEST_FRAMES or np.ptp(theirs) == 0:
            continue
        scores[f"{name}_r"] = float(pearsonr(ours, theirs).statistic) if np.ptp(ours) > 0 else 0.0
        scores[f"{name}_r2"] = float(r2_score(theirs, ours))
    return scores


def title_metric(metric: str) -> str | None:
    """Return what the metric of a behaviour is called in tables; None for another metric."""
    for suffix, title in SUFFIXES.items():
        if metric.endswith(suffix):
            return f"{metric.removesuffix(suffix).replace('_', ' ').capitalize()}: {title}"
    return None
