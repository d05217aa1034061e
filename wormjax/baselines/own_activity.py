"""Refine what was decoded from a worm by the worm's own activity, without its labels.

A decoder of worms never seen weighs each neuron as in other worms, and cannot read a neuron that has no name. What it
decodes is right on average over neurons, though; so a ridge regression from all of the worm's neurons, named or not, to
what was decoded finds the weights of this worm's own neurons, and leaves out what they do not have in common
(self-training; pseudo-labels, Lee 2013). It helps where an output is a linear function of the activity, such as
velocity or the logit of reverse against forward; four motor states, of which turns are brief, it decodes worse.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

PENALTY = 12.0  # Per frame; from 5 to 25 the scores of inner folds on Dag et al. (2023) differ by 0.002.
WEIGHT = 0.7


class Activity(NamedTuple):
    """A worm's scaled channels, and the matrix that turns outputs into the weights of their ridge regression."""

    channels: Float[np.ndarray, "frame channel"]
    solver: Float[np.ndarray, "channel frame"]


def factor_activity(activity: Float[np.ndarray, "frame channel"]) -> Activity:
    """Return what regressions on a worm's activity share, however many outputs are regressed.

    Any features of any of the worm's neurons are scaled here by channel. NaN, where missing, is the mean.
    """
    channels = _scale(np.asarray(activity, np.float64))
    channels = channels[:, channels.any(axis=0)]
    covariance = channels.T @ channels + PENALTY * len(channels) * np.eye(channels.shape[1])
    return Activity(channels, np.linalg.solve(covariance, channels.T))


def refine_by_own_activity(
    decoded: Float[np.ndarray, "frame output"], activity: Activity, weight: float = WEIGHT
) -> Float[np.ndarray, "frame output"]:
    """Return the mean of what was decoded and of its regression, which counts `weight`, on the worm's own activity.

    Each output (logits rather than probabilities) keeps its mean and standard deviation over the frames. Nothing but
    the worm's activity is used: no motor state, no behaviour. All of the recording is, so that it is no way to decode
    while recording.

    >>> decoded = np.array([[0.0], [1.0], [5.0], [2.0]])
    >>> activity = factor_activity(np.array([[0.0], [1.0], [2.0], [3.0]]))
    >>> refine_by_own_activity(decoded, activity, weight=1.0).round(2).tolist()
    [[-0.51], [1.16], [2.84], [4.51]]
    """
    if not activity.channels.shape[1] or not weight:
        return decoded
    mean, sd, scaled = decoded.mean(axis=0), decoded.std(axis=0), _scale(decoded)
    regressed = activity.channels @ (activity.solver @ scaled)
    return mean + sd * _scale((1 - weight) * scaled + weight * _scale(regressed))


def _scale(values: Float[np.ndarray, "frame channel"]) -> Float[np.ndarray, "frame channel"]:
    """Return each channel with mean 0 and standard deviation 1; zeros for one that does not vary or is missing."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, values - np.where(known, values, 0.0).sum(axis=0) / count, 0.0)
    sd = np.sqrt((centred**2).sum(axis=0) / count)
    return centred / np.where(sd > 1e-9, sd, np.inf)
