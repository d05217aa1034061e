"""The exact posterior of a graph under a decoder that goes one frame ahead: every combination of edges is tried.

What a node does in the next frame depends, with all frames given, on the edges that arrive at it and on no others. So
the likelihood of a whole graph is a product over receivers, and K edge types and N nodes leave K^(N - 1) combinations
per receiver to compare (16 for two types and five objects) where there are K^(N (N - 1)) graphs. The sum over them
needs no encoder and no sampling.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wormjax.errors import ConfigError

LARGEST = 1_024  # Combinations per receiver.

Combinations = Float[np.ndarray, "combination sender type"]
ByCombination = Float[Array, "combination *batch node"]
Price = Float[Array, ""] | float


def list_combinations(senders: int, types: int) -> Combinations:
    """Return every combination of the types of the edges from `senders` senders, one-hot; InputError above LARGEST."""
    count = types**senders
    if count > LARGEST:
        found = f"found 'exact' with {senders + 1} objects and {types} edge types, {count:,} combinations of edges"
        raise ConfigError("train.posterior", f"{found}, expected {LARGEST:,} at most, or 'listed' or 'sampled'")
    return np.eye(types, dtype=np.float32)[np.array([*itertools.product(range(types), repeat=senders)])]


def weigh_combinations(
    log_likelihood: ByCombination, combinations: Combinations, prior: Float[Array, " type"], price: Price = 1.0
) -> tuple[Float[Array, "*batch node"], ByCombination]:
    """Return the evidence of each node, nats, and the posterior of the combinations of edges that arrive at it.

    The posterior is the one that makes the expected log likelihood less `price` times the divergence from the prior
    largest; the evidence is that largest value. At a price of one it is the logarithm of the marginal likelihood; at a
    higher price weaker beliefs are drawn from the same frames, as is right while the decoder is a poor one.
    """
    log_prior = jnp.einsum("csk,k->c", combinations, jnp.log(prior))
    log_prior = log_prior.reshape(-1, *(1,) * (log_likelihood.ndim - 1))
    joint = log_prior + log_likelihood / price
    return price * jax.nn.logsumexp(joint, axis=0), jax.nn.softmax(joint, axis=0)


def try_strengths(combinations: Combinations, strengths: Sequence[float]) -> Combinations:
    """Return every combination at every strength of its messages, one strength after another."""
    return np.concatenate([np.float32(strength) * combinations for strength in strengths or (1.0,)])


def weigh_strengths(
    log_likelihood: ByCombination,
    combinations: Combinations,
    prior: Float[Array, " type"],
    strengths: int,
    price: Price = 1.0,
) -> tuple[Float[Array, "*batch part"], ByCombination]:
    """Return evidence and posterior as `weigh_combinations` does, of combinations at several strengths of messages.

    All nodes of a system share one strength, unknown and before anything is seen equally likely to be any; so the
    evidence is the whole system's (one part), and the posterior is that of strength and combination together, in the
    order of `try_strengths`. With fewer than two strengths there is nothing to infer, and each node is a part.
    """
    if strengths < 2:
        return weigh_combinations(log_likelihood, combinations, prior, price)
    tried = log_likelihood.reshape(strengths, -1, *log_likelihood.shape[1:])
    evidence, posterior = jax.vmap(lambda one: weigh_combinations(one, combinations, prior, price))(tried)
    total = evidence.sum(axis=-1) / price - np.log(strengths)
    posterior = posterior * jax.nn.softmax(total, axis=0)[:, None, ..., None]
    return price * jax.nn.logsumexp(total, axis=0)[..., None], posterior.reshape(log_likelihood.shape)


def marginalise_edges(posterior: ByCombination, combinations: Combinations) -> Float[Array, "*batch edge type"]:
    """Return the probability of each edge's types, in the order of wormjax.graphs."""
    edges = jnp.einsum("c...n,csk->...nsk", posterior, combinations)
    return edges.reshape(*edges.shape[:-3], -1, edges.shape[-1])
