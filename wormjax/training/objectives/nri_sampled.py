"""What neural relational inference minimises (Kipf, Fetaya et al. 2018): the negative evidence lower bound.

A batch is some simulations; the encoder sees each whole, the decoder goes over short segments of it. The loss is the
Gaussian negative log-likelihood of the segments' frames, as if of whole trajectories, plus the divergence of the edge
types from their prior, a value (object × frame × feature) of the trajectory.

Where a few frames can hardly be predicted (charges that meet), a Student's t likelihood keeps them from drowning all
others; its scale is estimated by the same running mean (`likelihoods`).

One difference from the reference matters more than any size. There the variance of the likelihood is fixed at 5e-5,
several times what a spring does to a frame: for thousands of updates the decoder has no use for a graph. Here, unless
`variance` fixes it, the variance is the decoder's own mean squared error, feature by feature and step by step of the
roll-out, as it falls (the likelihood's maximum in the variance): however small the graph's part in a frame is, it
counts as soon as it is the larger part of what is left unexplained.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from wormjax.models import nri as model
from wormjax.models.nri import Nri
from wormjax.models.sampling import sample_edges
from wormjax.training import masks
from wormjax.training.likelihoods import find_variance, negative_log_likelihood, remember, student_t_weights
from wormjax.training.objectives.classification import Objective, initial_key
from wormjax.training.objectives.roll_outs import RollOuts
from wormjax.training.objectives.system_batches import Bound, SystemArrays, anneal, draw_batch, find_prior, fold_keys


def evidence_lower_bound(nri: Nri, bound: Bound, frames: int, objects: int) -> Objective:
    """Return the objective of one model on simulations of `frames` frames and `objects` objects; see `Bound`.

    Validation scores are in the same units as the loss: nats per value, at the variance of the training.
    """
    if bound.task == "supervised":
        return _supervised(nri, bound, frames, objects)
    prior, rolls = find_prior(nri, bound), RollOuts(bound)
    likelihood = Likelihood(bound, np.asarray(nri.change_scale, np.float32) ** 2)
    values = (frames - 1) * objects * len(nri.change_scale)  # Of one trajectory.

    def initialise(run):
        errors = jnp.broadcast_to(likelihood.scale, (bound.roll_out, len(likelihood.scale)))
        params = model.initialise(nri, initial_key(run), frames, objects)
        return {"params": params, "batch_stats": {"squared_error": errors}}

    def choose_graph(params, batch, hyper, progress, keys=None):
        """Return edges to decode on, their cost in nats, and the logits; None where the graph is given."""
        if bound.task == "true_graph" or nri.encoder is None:
            return jax.nn.one_hot(batch.edges, nri.edge_types), jnp.zeros(len(batch.edges)), None
        logits, log_prior, pairs = infer_logits(nri, params, batch, prior)
        return *draw_edges(logits, log_prior, pairs, bound.hard, hyper, progress, keys), logits

    def loss(variables, data, run, progress, key, shard):
        batch, keys = draw_batch(data.training, bound.batch, key, shard, bound.symmetries)
        params = variables["params"]
        edges, cost, _ = choose_graph(params, batch, run.hyper, progress, fold_keys(keys, 0))
        chance = anneal(run.hyper["given"], run.hyper["given_end"], progress)
        rolled = rolls.draw(batch, edges, keys, chance, bound.segments)
        squares = rolls.measure(nri, params, rolled, batch.features)
        return likelihood.lose(variables, squares, rolled.weights, cost, values, shard)

    def validate(variables, data, run):
        params, batch = variables["params"], data.validation
        edges, cost, logits = choose_graph(params, batch, run.hyper | {"free_bits": 0.0}, 1.0)
        accuracy = {}
        if logits is not None:
            accuracy = {"edge_accuracy": best_accuracy(logits.argmax(axis=-1), batch.edges, nri.edge_types)}
        rolled = rolls.tile(batch, edges)
        squares = rolls.measure(nri, params, rolled, batch.features)
        nll = likelihood.average(squares, rolled.weights, variables["batch_stats"]["squared_error"])
        score = (nll + cost / values).mean()
        return score, {"negative_elbo": score, "mse": average_all(squares, rolled.weights), **accuracy}

    return Objective(initialise, loss, validate)


class Likelihood(NamedTuple):
    """Of a decoder's errors [simulation, ..., step, object, feature], by their running mean square [step, feature]."""

    bound: Bound
    scale: Float[np.ndarray, "*step feature"]  # The mean square that the floor of the variance is measured in.

    def find(self, squared_error: Float[Array, "step feature"]) -> Float[Array, "step one feature"]:
        """Return the variance."""
        return find_variance(squared_error, self.bound, self.scale)[:, None]

    def average(self, squares, weights, squared_error) -> Float[Array, " simulation"]:
        """Return the negative log-likelihood, nats per value that counts."""
        nll = negative_log_likelihood(squares, self.find(squared_error), self.bound.degrees_of_freedom)
        return masks.average(nll, weights, tuple(range(1, nll.ndim)))

    def lose(self, variables, squares, weights, cost, values, shard):
        """Return a shard's part of the loss at the new variance, the running mean squares, and metrics.

        `weights`: which objects of which frames count (None for all). The `cost` of the edges of each simulation, in
        nats, is shared out over the `values` that it has.
        """
        old, batch = variables["batch_stats"]["squared_error"], self.bound.batch
        weighed = squares * student_t_weights(squares, self.find(old), self.bound.degrees_of_freedom)
        axes = (*range(squares.ndim - 3), squares.ndim - 2)
        errors = shard.total(masks.average(weighed, weights, axes) / shard.count)
        new = jax.lax.stop_gradient(remember(old, errors))
        value = (self.average(squares, weights, new) + cost / values).sum() / batch
        metrics = {"loss": value, "mse": average_all(squares, weights) / shard.count, "kl": cost.sum() / batch}
        return value, (variables["batch_stats"] | {"squared_error": new}, metrics)


def average_all(squares: Float[Array, "*batch"], weights: Array | None) -> Float[Array, ""]:
    """Return the mean square of all that counts."""
    return masks.average(squares, weights, tuple(range(squares.ndim)))


def draw_edges(logits, log_prior, pairs, hard: bool, hyper, progress, keys=None, relaxed: bool = False):
    """Return edges to decode on, of the pairs that are there, and their cost in nats (`charge_edges`).

    They are sampled, or without keys the likeliest, or the mean of samples if `relaxed`.
    """
    if keys is not None:
        temperature = anneal(hyper["temperature"], hyper["temperature_end"], progress)
        edges = jax.vmap(lambda x, key: sample_edges(x, key, temperature, hard))(logits, keys)
    elif relaxed:
        edges = jax.nn.softmax(logits)
    else:
        edges = jax.nn.one_hot(logits.argmax(axis=-1), logits.shape[-1])
    edges = edges if pairs is None else edges * pairs[..., None]
    return edges, charge_edges(logits, log_prior, hyper, progress, pairs)


def infer_logits(nri: Nri, params, batch: SystemArrays, prior):
    """Return the logits of the edges, the logarithm of their prior, and which edges are there (None for all).

    Of a model with a graph in each frame, those of all frames but the last, and the prior that the model has of it.
    """
    if model.is_dynamic(nri):
        logits, log_prior = model.encode_frames(nri, params, batch.features, batch.observed)
        pairs = masks.find_pairs_by_frame(batch.observed)
        return logits, jax.nn.log_softmax(log_prior), None if pairs is None else pairs[:, :-1]
    return model.encode(nri, params, batch.features), jnp.log(prior), masks.find_pairs(batch.observed)


def _supervised(nri, bound, frames, objects) -> Objective:
    def initialise(run):
        return {"params": model.initialise(nri._replace(decoder=None), initial_key(run), frames, objects)}

    def cross_entropy(params, batch):
        """Return each simulation's cross-entropy and accuracy over its known edges; 0 where none is known.

        With a graph in each frame, the prior from the frames so far learns the edges, too.
        """
        logits, log_prior, _ = infer_logits(nri, params, batch, find_prior(nri, bound))
        log_probabilities = jax.nn.log_softmax(logits)
        edges = match_frames(batch.edges, log_probabilities.shape[1:-1])
        known, axes = edges >= 0, tuple(range(1, edges.ndim))
        count = jnp.maximum(known.sum(axis=axes), 1)
        correct = (log_probabilities.argmax(axis=-1) == edges).sum(axis=axes) / count
        learnt = log_probabilities + log_prior if model.is_dynamic(nri) else log_probabilities
        chosen = jnp.take_along_axis(learnt, jnp.maximum(edges, 0)[..., None], axis=-1)[..., 0]
        return -(chosen * known).sum(axis=axes) / count, correct

    def loss(variables, data, run, progress, key, shard):
        batch, _ = draw_batch(data.training, bound.batch, key, shard, bound.symmetries)
        value, correct = (part.sum() / bound.batch for part in cross_entropy(variables["params"], batch))
        return value, ({}, {"loss": value, "edge_accuracy": correct})

    def validate(variables, data, run):
        edges = data.validation.edges
        count = jnp.maximum((edges >= 0).any(axis=tuple(range(1, edges.ndim))).sum(), 1)
        score, correct = (part.sum() / count for part in cross_entropy(variables["params"], data.validation))
        return score, {"cross_entropy": score, "edge_accuracy": correct}

    return Objective(initialise, loss, validate)


def match_frames(
    true: Int[Array, "simulation *frame edge"], shape: tuple[int, ...]
) -> Int[Array, "simulation *interval edge"]:
    """Return true edges in the shape of those inferred of a simulation: [edge], or [interval, edge] of changing ones.

    Edges of the last frame act on nothing observed, and are left out; edges that do not change are those of each frame.
    """
    if true.ndim == 3:
        return true[:, : shape[0]] if len(shape) == 2 else true[:, :-1]
    return jnp.broadcast_to(true[:, None], (len(true), *shape)) if len(shape) == 2 else true


def best_accuracy(inferred: Int[Array, "*batch"], true: Int[Array, "*batch"], types: int) -> Float[Array, ""]:
    """Return the edge accuracy under the best renaming of the inferred types; NaN where no edge is known.

    It is for the eye, not for choosing.
    """
    true = match_frames(true, inferred.shape[1:])
    if true.ndim > inferred.ndim:  # One graph for all frames of edges that change.
        inferred = jnp.broadcast_to(inferred[:, None], true.shape)
    known = (true >= 0).astype(jnp.float32)
    matrix = jnp.zeros((types, types)).at[inferred, jnp.clip(true, 0, types - 1)].add(known) / known.sum()
    order = jnp.arange(types)
    renamed = [matrix[order, jnp.array(matching)].sum() for matching in itertools.permutations(range(types))]
    return jnp.stack(renamed).max()


def charge_edges(logits, log_prior, hyper, progress, pairs=None) -> Float[Array, " simulation"]:
    """Return KL(q || prior) of each simulation's edges in nats, above `free_bits` an edge, times its weight so far.

    Of edges that change it is the sum over frames.
    """
    log_probabilities = jax.nn.log_softmax(logits)
    divergence = (jnp.exp(log_probabilities) * (log_probabilities - log_prior)).sum(axis=-1)
    warm_up = hyper["kl_warm_up"]
    warm = jnp.where(progress < warm_up, progress / jnp.maximum(warm_up, 1e-6), 1.0)
    weight = hyper["kl_weight"] ** (1.0 - progress) * hyper["kl_weight_end"] ** progress
    charged = jnp.maximum(divergence, hyper["free_bits"] * jnp.log(2.0))
    charged = charged if pairs is None else charged * pairs
    return warm * weight * charged.sum(axis=tuple(range(1, charged.ndim)))
