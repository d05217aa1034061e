"""The exact posterior of edges that change: a hidden Markov chain over the combinations that arrive at a receiver.

Each edge keeps its type from frame to frame or changes it, by one matrix of transition probabilities, independently of
the others. Under a decoder that goes one frame ahead, the likelihood of each frame given the combination of arriving
edges is known (`exact_posterior`), so that the forward algorithm has the evidence of a whole trajectory, all sequences
of graphs summed over. Its derivative with respect to the log likelihoods is the smoothed posterior of each frame, which
has seen the whole trajectory; what it predicts before each frame is the prior from the past.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wormjax import graphs

FIRST_STAY = 0.95  # Probability that an edge keeps its type to the next frame, before it has been estimated.


class Chains(NamedTuple):
    """What the forward algorithm says of each receiver."""

    evidence: Float[Array, "*batch"]  # Log marginal likelihood of all frames, nats.
    smoothed: Float[Array, "frame combination *batch"]  # Probability in each frame, given all frames.
    predicted: Float[Array, "later combination *batch"]  # The same, given the frames before; one frame more.
    transitions: Float[Array, "type type"]  # Expected number, over all edges and frames.


def stay_mostly(types: int) -> Float[np.ndarray, "type type"]:
    """Return the transition probabilities that training begins with."""
    other = (1.0 - FIRST_STAY) / (types - 1)
    return np.where(np.eye(types, dtype=bool), FIRST_STAY, other).astype(np.float32)


def follow_chains(
    log_likelihood: Float[Array, "frame combination *batch"],
    initial: Float[Array, " type"],
    transition: Float[Array, "type type"],
    price: Float[Array, ""] | float = 1.0,
) -> Chains:
    """Return evidence, smoothed and predicted combinations of edges; differentiable by its evidence.

    Combinations are in the order of `exact_posterior.list_combinations`; the `initial` probability is of each edge type
    in the first frame, the `transition` to the next type (columns) after each type (rows); `price` is as in
    `exact_posterior.weigh_combinations`.

    Examples:
      >>> chains = follow_chains(log_likelihood, prior, stay_mostly(2))
      >>> edges = marginalise_edges(chains.smoothed[0], combinations)  # Of the first frame.
    """
    inputs = log_likelihood, jnp.log(transition)

    def total(log_likelihood, log_transition):
        evidence, predicted = _go_forward(log_likelihood, initial, jnp.exp(log_transition), price)
        return evidence.sum(), predicted

    held = jax.lax.stop_gradient(inputs)
    (_, predicted), (smoothed, transitions) = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(*held)
    evidence, _ = _go_forward(*inputs[:1], initial, transition, price)
    return Chains(evidence, *jax.lax.stop_gradient((smoothed, predicted, transitions / price)))


def ignore_absent(
    predicted: Float[Array, "combination simulation interval object feature"],
    there: Float[Array, "simulation interval object"],
    types: int,
) -> Float[Array, "combination simulation interval object feature"]:
    """Return predictions in which the edge of a sender that is not there has the first type in every combination."""
    count = there.shape[-1]
    sent = graphs.send(there[..., None]).reshape(*there.shape, count - 1)
    factored = predicted.reshape((types,) * (count - 1) + predicted.shape[1:])
    for sender in range(count - 1):
        first = jnp.take(factored, jnp.array([0]), axis=sender)
        factored = jnp.where(sent[..., sender, None] > 0, factored, first)
    return factored.reshape(predicted.shape)


def _go_forward(log_likelihood, initial, transition, price):
    """Return the evidence [*batch] and the predicted combinations [later, combination, *batch]."""
    count, *batch = log_likelihood.shape[1:]
    types = len(initial)
    senders = round(np.log(count) / np.log(types))

    def move(probability):
        """One transition of each sender's edge, one after another: K² S sums and not K^2S."""
        factored = probability.reshape((types,) * senders + tuple(batch))
        for sender in range(senders):
            factored = jnp.moveaxis(jnp.tensordot(transition, factored, axes=(0, sender)), 0, sender)
        return factored.reshape(count, *batch)

    def advance(predicted, nats):
        largest = jax.lax.stop_gradient(nats.max(axis=0))
        joint = predicted * jnp.exp(nats - largest)
        sums = joint.sum(axis=0)
        following = move(joint / sums)
        return following, (largest + jnp.log(sums), following)

    first = jnp.ones(())
    for _ in range(senders):
        first = (first[..., None] * jnp.asarray(initial)).reshape(-1)
    first = jnp.broadcast_to(first.reshape(-1, *(1,) * len(batch)), (count, *batch))
    _, (evidence, later) = jax.lax.scan(advance, first, log_likelihood / price)
    return price * evidence.sum(axis=0), jnp.concatenate([first[None], later])
