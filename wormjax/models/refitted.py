"""A linear decoder that is refitted to the neurons that a worm has, without the worms that it was fitted to.

Linear discriminant analysis and ridge regression need no more of the training worms than means and covariances of
their channels (`find_moments`). Those of some neurons are parts of those of all, so that a worm with any neurons has
a decoder of exactly these, in closed form (`refit`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

PENALTY = 1.0  # Per frame, of the square of each weight; features have a variance of about 1.
LEAST_SHARE = 1e-9  # Of a state that no training worm was in.


class Linear(NamedTuple):
    """channels @ weights + bias."""

    weights: Float[np.ndarray, "channel output"]
    bias: Float[np.ndarray, " output"]


class Moments(NamedTuple):
    """What is kept of the training worms; a channel is 0 where a worm lacks its neuron."""

    shares: Float[np.ndarray, " state"]  # Of the scored frames.
    means: Float[np.ndarray, "state channel"]
    within: Float[np.ndarray, "channel channel"]  # Covariance about the mean of the frame's own state.
    # Of the behaviours, in the frames in which each is known; None where none is decoded.
    centres: Float[np.ndarray, "target channel"] | None = None  # Mean.
    slopes: Float[np.ndarray, "target channel"] | None = None  # Covariance with the behaviour.


def sum_frames(
    channels: Float[np.ndarray, "frame channel"],
    states: Int[np.ndarray, " frame"],
    behavior: Float[np.ndarray, "frame target"],
    count: int,
) -> dict[str, np.ndarray]:
    """Return the sums over frames that moments are made of; those of several recordings add up.

    There are `count` states; one below 0 is unscored. An unknown behaviour is NaN.
    """
    scored, known = channels[states >= 0], np.isfinite(behavior)
    own, values = np.eye(count)[states[states >= 0]], np.where(known, behavior, 0.0)
    return {
        "frames": own.sum(axis=0),
        "sums": own.T @ scored,
        "products": scored.T @ scored,
        "known": known.sum(axis=0),
        "known_sums": known.T.astype(np.float64) @ channels,
        "values": values.sum(axis=0),
        "value_products": values.T @ channels,
    }


def find_moments(sums: dict[str, np.ndarray]) -> Moments:
    """Return the moments of all frames whose sums are given (`sum_frames`)."""
    frames, known = sums["frames"], np.maximum(sums["known"], 1)[:, None]
    total, means = max(frames.sum(), 1), sums["sums"] / np.maximum(frames, 1)[:, None]
    within = (sums["products"] - means.T * frames @ means) / total
    centres = sums["known_sums"] / known
    slopes = sums["value_products"] / known - sums["values"][:, None] / known * centres
    return Moments(*(values.astype(np.float32) for values in (frames / total, means, within, centres, slopes)))


def refit(moments: Moments, read: Int[np.ndarray, " channel"]) -> tuple[Linear, Linear | None]:
    """Return the decoders of states (logits) and of behaviours (less their means), which read the channels `read`.

    >>> channels, states = np.array([[0.0, 5.0], [2.0, 5.0], [0.0, 4.0], [2.0, 4.0]]), np.array([0, 1, 0, 1])
    >>> moments = find_moments(sum_frames(channels, states, 3.0 * channels[:, :1], 2))
    >>> logits, behavior = refit(moments, np.array([0]))
    >>> (channels[:, :1] @ logits.weights + logits.bias).argmax(axis=1).tolist()
    [0, 1, 0, 1]
    """
    shares, means = moments.shares.astype(np.float64), moments.means[:, read].astype(np.float64)
    within = moments.within[np.ix_(read, read)] + PENALTY * np.eye(len(read))
    between = (means - shares @ means).T * shares @ (means - shares @ means)
    logits = np.linalg.solve(within, means.T)
    states = Linear(logits, np.log(np.maximum(shares, LEAST_SHARE)) - 0.5 * (means * logits.T).sum(axis=1))
    if moments.slopes is None:
        return states, None
    weights = np.linalg.solve(within + between, moments.slopes[:, read].T)
    return states, Linear(weights, -(moments.centres[:, read] * weights.T).sum(axis=1))
