"""Sparse vector autoregression: which senders each neuron's next change depends on, as posterior probabilities.

The linear case of neural relational inference on forecasting (Kipf, Fetaya et al. 2018): an edge is a latent that is
there or not, its message is the sender's activity times a weight, and the posterior is factorised over edges. Messages
that add up make the likelihood quadratic, so that each edge's posterior has a closed form given the others
(Carbonetto & Stephens 2012, Bayesian Analysis 7:73): no network encodes and nothing is sampled. Each worm has a graph
of its own; the prior of an edge is shared over worms and learnt from them.

It is calibrated as far as the noise is white: slow noise, and common input that is not recorded, count as edges.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, logit

from wormjax.baselines.relations import standardize

ROUNDS, SWEEPS = 6, 4  # Updates of the prior, and of all edges between two of them.
PRIOR_WORMS = 2.0  # How many worms the mean over all edges counts for in the prior of one.
FIRST_PRIOR = 0.1
EXTREME = 1e-4  # No prior is nearer to 0 or 1.


class _Worm:
    """One worm's sums of products, and the factorised posterior of its edges and weights."""

    def __init__(self, traces: Float[np.ndarray, "frame neuron"]):
        scaled = standardize(traces, axis=0)
        past, change = scaled[:-1], standardize(np.diff(scaled, axis=0), axis=0)
        self.frames, neurons = past.shape
        self.gram, self.cross = past.T @ past, past.T @ change
        self.square = (change**2).sum(axis=0)
        self.present = np.where(np.eye(neurons, dtype=bool), 1.0, FIRST_PRIOR)
        self.mean, self.variance = np.zeros((2, neurons, neurons))
        self.noise, self.slab = np.ones(neurons), 0.05

    def sweep(self, prior: Float[np.ndarray, "sender receiver"]) -> None:
        """Update the posterior of each sender's edges, given those of all others; then the noise and the slab."""
        own, log_odds = np.diagonal(self.gram), logit(prior)
        weights = self.present * self.mean
        for sender in range(len(own)):
            self.variance[sender] = self.noise / (own[sender] + 1 / self.slab)
            rest = self.cross[sender] - self.gram[sender] @ weights + own[sender] * weights[sender]
            self.mean[sender] = self.variance[sender] / self.noise * rest
            gain = self.mean[sender] ** 2 / self.variance[sender]
            gain += np.log(self.variance[sender] / (self.slab * self.noise))
            self.present[sender] = expit(log_odds[sender] + gain / 2)
            self.present[sender, sender] = 1.0  # A neuron's own past always counts.
            weights[sender] = self.present[sender] * self.mean[sender]
        square = self.present * (self.variance + self.mean**2)
        residual = self.square - 2 * (weights * self.cross).sum(axis=0) + (weights * (self.gram @ weights)).sum(axis=0)
        spread = ((square - weights**2) * own[:, None]).sum(axis=0) + square.sum(axis=0) / self.slab
        self.noise = np.maximum((residual + spread) / (self.frames + self.present.sum(axis=0)), 1e-6)
        self.slab = max(float((square / self.noise).sum() / self.present.sum()), 1e-6)


def infer_edges(
    traces: Sequence[Float[np.ndarray, "frame neuron"]], columns: Sequence[Int[np.ndarray, " neuron"]], neurons: int
) -> list[Float[np.ndarray, "sender receiver"]]:
    """Return the posterior of each edge in each worm, 0 on the diagonal; `columns`: places of its neurons among all."""
    worms = [_Worm(one) for one in traces]
    places = [np.ix_(own, own) for own in columns]
    prior = np.full((neurons, neurons), FIRST_PRIOR)
    for _ in range(ROUNDS):
        for worm, place in zip(worms, places, strict=True):
            for _ in range(SWEEPS):
                worm.sweep(prior[place])
        prior = _learn_prior(worms, places, neurons)
    found = [worm.present.copy() for worm in worms]
    for one in found:
        np.fill_diagonal(one, 0.0)
    return found


def _learn_prior(worms, places, neurons):
    """Return the mean posterior of each edge over the worms that have it, shrunk to that of all edges."""
    total, count = np.zeros((2, neurons, neurons))
    for worm, place in zip(worms, places, strict=True):
        total[place] += worm.present
        count[place] += 1
    off = ~np.eye(neurons, dtype=bool)
    common = total[off].sum() / count[off].sum()
    return np.clip((total + PRIOR_WORMS * common) / (count + PRIOR_WORMS), EXTREME, 1 - EXTREME)
