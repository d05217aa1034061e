"""Sampling of discrete edge types with gradients: the Gumbel-softmax (Jang et al. 2017; Maddison et al. 2017)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from wormjax.models.layers import TrainingRngs, draw_keys


def sample_edges(
    logits: Float[Array, "*batch edge type"],
    key: PRNGKeyArray,
    temperature: float | Float[Array, ""] = 0.5,
    hard: bool = False,
) -> Float[Array, "*batch edge type"]:
    """Draw a relaxed one-hot type of each edge; over many keys their arg max is distributed as softmax(logits).

    With a temperature towards 0 the samples are one-hot and their gradients vary more; `hard` samples are one-hot, with
    the relaxed sample's gradient (straight-through).
    """
    soft = jax.nn.softmax((logits + jax.random.gumbel(key, logits.shape, logits.dtype)) / temperature)
    if not hard:
        return soft
    one_hot = jax.nn.one_hot(jnp.argmax(soft, axis=-1), logits.shape[-1], dtype=soft.dtype)
    return one_hot + (soft - jax.lax.stop_gradient(soft))  # In this order exactly one-hot.


def sample_graphs(
    logits: Float[Array, "window edge type"], training_rngs: TrainingRngs | None, hard: bool
) -> Float[Array, "window edge type"]:
    """Draw a graph for each window in training; else return the probabilities of the types."""
    if training_rngs is None:
        return jax.nn.softmax(logits)
    sample = jax.vmap(sample_edges, in_axes=(0, 0, None, None))
    return sample(logits, draw_keys(training_rngs, 100), training_rngs.temperature, hard)


def kl_divergence(
    logits: Float[Array, "*batch edge type"], prior: Float[Array, "*edges type"]
) -> Float[Array, " *batch"]:
    """Return KL(q || prior) in nats, summed over edges, for q = softmax(logits)."""
    log_probabilities = jax.nn.log_softmax(logits)
    difference = log_probabilities - jnp.log(prior)
    return (jnp.exp(log_probabilities) * difference).sum(axis=(-2, -1))
