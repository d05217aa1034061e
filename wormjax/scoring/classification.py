"""Metrics of decoded motor states: how well a model's probabilities per frame match the states that were scored.

Accuracy is what Wang et al. (2021, Frontiers in AI 4:618372) report. Balanced accuracy stands beside it because worms
spend most frames in two of the four states; the negative log-likelihood and the expected calibration error (Guo et al.
2017, arXiv 1706.04599) judge the probabilities and not the decision alone.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from wormjax.errors import InputError
from wormjax.recordings.recording import UNSCORED

SMALLEST_PROBABILITY = 1e-7  # One sure mistake costs 16 nats and not infinity.
CALIBRATION_BINS = 15

Probabilities = Float[np.ndarray, "frame state"]
States = Int[np.ndarray, " frame"]


def score_states(probabilities: Probabilities, states: States) -> dict[str, float]:
    """Score one worm's decoded motor states. Frames whose state is UNSCORED (-1) are ignored.

    Args:
      probabilities: the model's probability of each state in each frame; rows sum to one.
      states: the scored state of each frame, an index into the columns of `probabilities`, or -1.

    Returns:
      Metric → value; every value is finite, and what is undefined is left out (no key). No frame scored: {}.
      accuracy: share of frames whose most probable state is the scored one.
      balanced_accuracy: recall per state, averaged over the states that occur in `states`.
      auroc: area under the ROC curve. Two states: of state 0 ("reverse") against state 1. More: each state that
        occurs against the rest, averaged. Left out where fewer than two states occur.
      nll: negative log-likelihood, nats per frame, probabilities clipped at 1e-7.
      calibration_error: expected calibration error of the top probability, 15 bins of equal width.
      macro_f1: F1 per state, averaged over the states that occur or are predicted.

    Raises:
      InputError: a probability is not finite (a training run that diverged).
    """
    probabilities, states = _select_scored(probabilities, states)
    if not len(states):
        return {}
    predicted = probabilities.argmax(axis=1)
    _, recall, f1, occurs = precision_recall_fscore_support(states, predicted, zero_division=0)
    scores = {
        "accuracy": np.mean(predicted == states),
        "balanced_accuracy": recall[occurs > 0].mean(),
        "nll": measure_nll(probabilities, states),
        "calibration_error": measure_calibration_error(probabilities, states),
        "macro_f1": f1.mean(),
    }
    if len(np.unique(states)) > 1:
        scores["auroc"] = measure_auroc(probabilities, states)
    return {metric: float(value) for metric, value in scores.items()}


def confusion(probabilities: Probabilities, states: States, n: int) -> Int[np.ndarray, "true predicted"]:
    """Return counts of scored frames by true and by decoded state. Raises: as `score_states`."""
    probabilities, states = _select_scored(probabilities, states)
    if not len(states):
        return np.zeros((n, n), np.int64)
    return confusion_matrix(states, probabilities.argmax(axis=1), labels=np.arange(n)).astype(np.int64)


def measure_auroc(probabilities: Probabilities, states: States) -> float:
    """Return the area under the ROC curve, as `score_states` defines it; at least two states must occur in `states`."""
    columns = (0,) if probabilities.shape[1] == 2 else np.unique(states)
    return float(np.mean([rank_auroc(probabilities[:, column], states == column) for column in columns]))


def rank_auroc(scores: Float[np.ndarray, " item"], positive: Bool[np.ndarray, "*set item"]) -> np.ndarray:
    """Return the area under the ROC curve of one set of positive items, or of several; NaN where all are, or none."""
    ranks = rankdata(scores)
    count = positive.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positive @ ranks - count * (count + 1) / 2) / (count * (len(scores) - count))


def measure_nll(probabilities: Probabilities, states: States) -> float:
    """Return the mean negative log-likelihood of the scored states, nats per frame; probabilities clipped at 1e-7."""
    likelihood = probabilities[np.arange(len(states)), states]
    return float(-np.log(np.clip(likelihood, SMALLEST_PROBABILITY, 1.0)).mean())


def measure_calibration_error(probabilities: Probabilities, states: States) -> float:
    """Return the expected calibration error: |accuracy - mean top probability| of each bin, weighted by its frames.

    A bin holds (lower, upper] of the top probability, as in Guo et al. (2017).
    """
    top = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == states
    members = np.clip(np.ceil(top * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gap = np.bincount(members, weights=correct - top, minlength=CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(states))


def _select_scored(probabilities, states):
    probabilities, states = np.asarray(probabilities, np.float64), np.asarray(states)
    scored = states != UNSCORED
    probabilities, states = probabilities[scored], states[scored]
    bad = ~np.isfinite(probabilities).all(axis=1)
    if bad.any():
        found = f"probabilities: found values that are not finite in {bad.sum()} of {len(bad)} scored frames"
        raise InputError(f"{found}, expected finite ones (did the training diverge? a lower train.learning_rate helps)")
    return probabilities, states
