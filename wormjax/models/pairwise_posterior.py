"""The posterior of a directed graph, pair by pair, where effects are faster than frames (functional MRI).

A frame every few seconds does not show which of two regions moved first, and a region's own haemodynamic delay
misleads. What is left is what the two do at the same time:

- Whether they are linked: their partial correlation given all others, with the shrinkage of Chen et al. (2010, IEEE
  Trans. Signal Process. 58:5016).
- Which way: the robust skewness ratio of Hyvärinen & Smith (2013, JMLR 14:111), x → y where h(x) goes together with y
  more than h(y) does with x, h(u) = log cosh max(u, 0). The input of each region is taken to be skewed to the right.

Each is a number in units of its own sampling error. A mixture of no edge, an edge one way and an edge the other way
explains both; its few parameters are shared by all pairs of all systems and maximise the likelihood, without any label.
An edge is an effect of positive sign; at most one direction of a pair has one.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wormjax import graphs

TINY = 1e-6


def initialise_pairs() -> dict[str, Any]:
    """Return the parameters of the mixture: two values stand for unlinked and linked pairs."""
    return {
        "edge_log_odds": jnp.array(-1.7),
        "link_mean": jnp.array([0.0, 3.0]),
        "link_log_sd": jnp.array([0.0, 0.3]),
        "direction_log_mean": jnp.array(0.0),
        "direction_log_sd": jnp.array([0.0, 0.0]),
    }


def measure_pairs(
    features: Float[Array, "frame node feature"],
) -> tuple[Float[Array, "sender receiver"], Float[Array, "sender receiver"]]:
    """Return how strongly nodes are linked, and how clearly the sender drives the receiver, the mean over features."""
    return tuple(part.mean(axis=0) for part in jax.vmap(_measure_feature, in_axes=2)(features))


def _measure_feature(values):
    frames, nodes = values.shape
    values = values - values.mean(axis=0)
    values = values / jnp.maximum(values.std(axis=0), TINY)
    correlation = values.T @ values / frames
    identity = jnp.eye(nodes)
    correlation = jnp.where(identity > 0, 1.0, correlation)  # Also of a node that does not vary.
    # The oracle approximating shrinkage towards no correlation, as sklearn.covariance.oas has it.
    squares = (correlation**2).sum()
    shrinkage = (squares + nodes**2) / ((frames + 1.0) * jnp.maximum(squares - nodes, TINY))
    shrinkage = jnp.minimum(shrinkage, 1.0)
    precision = jnp.linalg.inv((1.0 - shrinkage) * correlation + shrinkage * identity)
    scale = jnp.sqrt(jnp.diagonal(precision))
    partial = jnp.clip(-precision / (scale[:, None] * scale), -0.999, 0.999)
    root = jnp.sqrt(float(frames))
    positive = jnp.maximum(values, 0.0)
    bent = positive + jnp.log1p(jnp.exp(-2.0 * positive))  # log cosh, up to a constant.
    bent = bent - bent.mean(axis=0)
    asymmetry = bent.T @ values / frames
    asymmetry -= asymmetry.T
    both = (bent * values).T @ (bent * values) / frames
    squares = (bent**2).T @ values**2 / frames
    spread = jnp.sqrt(jnp.maximum(squares + squares.T - 2.0 * both - asymmetry**2, TINY))
    return root * jnp.arctanh(partial), root * jnp.sign(correlation) * asymmetry / spread


def infer_pairs(
    params: Mapping[str, Any], features: Float[Array, "frame node feature"]
) -> tuple[Float[Array, ""], Float[Array, "edge type"]]:
    """Return the log likelihood of a system's pairs, and the posterior of each edge: type 0 is no edge."""
    link, direction = measure_pairs(features)
    odds, mean, sd = params["edge_log_odds"], params["link_mean"], params["link_log_sd"]
    ahead, noise = jnp.exp(params["direction_log_mean"]), params["direction_log_sd"]
    absent = jax.nn.log_sigmoid(-odds) + _log_normal(link, mean[0], sd[0]) + _log_normal(direction, 0.0, noise[0])
    present = jax.nn.log_sigmoid(odds) - jnp.log(2.0) + _log_normal(link, mean[1], sd[1])
    there = present + _log_normal(direction, ahead, noise[1])
    evidence = jnp.logaddexp(absent, jnp.logaddexp(there, there.T))
    senders, receivers = graphs.complete_edges(features.shape[1])
    edge = jnp.exp(there - evidence)[senders, receivers]
    return evidence[senders, receivers].sum() / 2.0, jnp.stack([1.0 - edge, edge], axis=-1)


def _log_normal(value, mean, log_sd):
    return -0.5 * ((value - mean) * jnp.exp(-log_sd)) ** 2 - log_sd - 0.5 * jnp.log(2.0 * jnp.pi)
