"""Linear classifiers of the motor state: what a deep model must beat. Fitted by scikit-learn, kept as two arrays.

Logistic regression and linear discriminant analysis with Ledoit-Wolf shrinkage, each on a frame alone or on the frame
and its neighbours. The penalty of logistic regression is chosen on validation windows of the training worms. Both give
softmax(features @ weights + bias), so that one function predicts for both and a checkpoint holds them without a pickle.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge

INVERSE_PENALTIES = (1e-3, 1e-2, 1e-1)  # scikit-learn's C, to choose from.
NO_CONTEXT, NEIGHBOURS, CONTEXT = (0,), (-1, 0, 1), (-8, -4, 0, 4, 8)

Channels = Float[np.ndarray, "frame channel"]
Frames = Bool[np.ndarray, " frame"]


class LinearClassifier(NamedTuple):
    """features @ weights + bias: logits of states, or behaviours; features are the frames at `offsets` together."""

    weights: Float[np.ndarray, "channel state"]
    bias: Float[np.ndarray, " state"]


ALL, SHARED, PAIRS = "all", "shared", "pairs"


class LinearBaseline(NamedTuple):
    """A linear decoder of motor states; behaviours are decoded from the same channels by ridge regression."""

    kind: str  # "logistic" or "lda".
    offsets: tuple[int, ...]  # Frames before and after the decoded one.
    # ALL in play, a missing one being 0; SHARED by all worms; or PAIRS: a decoder for each pair of a training and a
    # tested worm, on the neurons that both have, averaged over training worms.
    neurons: str = ALL


LINEAR_BASELINES = {
    "logistic_regression": LinearBaseline("logistic", NO_CONTEXT),
    "logistic_regression_neighbours": LinearBaseline("logistic", NEIGHBOURS),
    "logistic_regression_context": LinearBaseline("logistic", CONTEXT),
    "lda": LinearBaseline("lda", NO_CONTEXT),
    "lda_context": LinearBaseline("lda", CONTEXT),
    "linear_shared": LinearBaseline("logistic", NEIGHBOURS, SHARED),
    "linear_union": LinearBaseline("logistic", NEIGHBOURS),
    "linear_pairs": LinearBaseline("logistic", NEIGHBOURS, PAIRS),
}


def stack_context(
    features: Float[np.ndarray, "frame neuron feature"], valid: Frames, offsets: Sequence[int]
) -> Channels:
    """Return the frames at t + offset beside each other; beyond the ends the nearest valid frame stands in."""
    frames = np.flatnonzero(valid)
    flat = features.reshape(len(features), -1)
    if not len(frames):
        return np.zeros((len(features), flat.shape[1] * len(offsets)))
    positions = np.arange(len(features))[:, None] + np.asarray(offsets)
    nearest = frames[np.searchsorted((frames[:-1] + frames[1:]) / 2, positions)]
    return flat[nearest].reshape(len(features), -1).astype(np.float64)


def fit_linear(
    channels: Channels,
    states: Int[np.ndarray, " frame"],
    validation: Frames,
    count: int,
    kind: str,
    inverse_penalty: float = 0.0,
    balanced: bool = False,
) -> LinearClassifier:
    """Fit scored frames of all training worms; a state that does not occur gets a probability of (almost) zero.

    Args:
      states: 0 to count - 1.
      validation: the frames on which the penalty is chosen; the final fit uses all.
      kind: "logistic" (L2 penalty) or "lda" (shrinkage by Ledoit & Wolf, which needs no choice).
      inverse_penalty: scikit-learn's C for logistic regression; 0 chooses it on the validation frames.
      balanced: whether logistic regression weighs each state by its inverse frequency.
    """
    if kind == "lda":
        return _keep_arrays(LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), channels, states, count)
    chosen = inverse_penalty or _choose_penalty(channels, states, validation, count, balanced)
    return _keep_arrays(_logistic(chosen, balanced), channels, states, count)


def fit_ridge(channels: Channels, behavior: Float[np.ndarray, "frame target"], penalty: float) -> LinearClassifier:
    """Fit each behaviour to the frames in which it is known; without such a frame it is decoded as 0."""
    weights, bias = np.zeros((channels.shape[1], behavior.shape[1])), np.zeros(behavior.shape[1])
    for target, values in enumerate(behavior.T):
        known = np.isfinite(values)
        if known.any():
            model = Ridge(penalty).fit(channels[known], values[known])
            weights[:, target], bias[target] = model.coef_, model.intercept_
    return LinearClassifier(weights, bias)


def _logistic(inverse_penalty: float, balanced: bool) -> LogisticRegression:
    weights = "balanced" if balanced else None
    return LogisticRegression(C=inverse_penalty, class_weight=weights, max_iter=300, tol=1e-3)


def _choose_penalty(channels, states, validation, count, balanced) -> float:
    """Return the inverse penalty of the least negative log-likelihood on the validation frames."""
    if not validation.any() or validation.all():
        return INVERSE_PENALTIES[1]
    losses = []
    for inverse in INVERSE_PENALTIES:
        model = _logistic(inverse, balanced)
        fitted = _keep_arrays(model, channels[~validation], states[~validation], count)
        predicted = predict_linear(fitted, channels[validation])
        chosen = predicted[np.arange(len(predicted)), states[validation]]
        losses.append(-np.log(np.maximum(chosen, 1e-7)).mean())
    return INVERSE_PENALTIES[int(np.argmin(losses))]


def _keep_arrays(model, channels, states, count) -> LinearClassifier:
    present = np.unique(states)
    if not len(present):
        return LinearClassifier(np.zeros((channels.shape[1], count)), np.zeros(count))
    weights, bias = np.zeros((channels.shape[1], count)), np.full(count, -1e9)
    if len(present) == 1:
        bias[present] = 0.0
        return LinearClassifier(weights, bias)
    model.fit(channels, states)
    if len(present) == 2:  # scikit-learn keeps one row, for the second class against the first.
        weights[:, present] = np.stack([np.zeros_like(model.coef_[0]), model.coef_[0]], axis=1)
        bias[present] = 0.0, model.intercept_[0]
    else:
        weights[:, present], bias[present] = model.coef_.T, model.intercept_
    return LinearClassifier(weights, bias)


def predict_linear(classifier: LinearClassifier, channels: Channels) -> Float[np.ndarray, "frame state"]:
    """Return the probability of each state per frame."""
    return softmax(channels @ classifier.weights + classifier.bias, axis=-1)
