"""Neural relational inference with the exact posterior of the graph: no sampling, and no encoder in the decoder's way.

The decoder climbs the logarithm of its own marginal likelihood, in which every combination of the edges that arrive at
a node is weighed (`models.exact_posterior`), and the encoder learns the posterior that comes out of it. So the decoder
need not wait for an encoder that knows the graph, nor the encoder for a decoder that knows the forces, which is where
the evidence lower bound stands still on systems whose graph tells little of the next frame.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from wormjax.models import nri as model
from wormjax.models.exact_posterior import (
    decode_combinations,
    list_combinations,
    marginalise_edges,
    weigh_combinations,
)
from wormjax.models.nri import Nri
from wormjax.training.likelihoods import (
    MEMORY,
    find_variance,
    negative_log_likelihood,
    student_t_weights,
    take_out_units,
)
from wormjax.training.objectives.classification import INITIAL, Objective, run_key
from wormjax.training.objectives.nri_sampled import (
    Bound,
    anneal,
    best_accuracy,
    cut_segments,
    draw_batch,
    find_prior,
    squared_errors,
    tile_segments,
)

AT_ONCE = 16  # Simulations that are validated at a time.


def exact_evidence(nri: Nri, bound: Bound, frames: int, objects: int) -> Objective:
    """The objective of an encoder and a decoder on simulations of so many frames and objects.

    The loss, nats per value, is minus the log marginal likelihood of the frames after `bound.segments` pieces of each
    simulation, none drawn twice, plus the cross-entropy of the encoder's edges under the posterior that those pieces
    give. The likelihood is that of `elbo`; `kl_weight` to `kl_weight_end` is the price of a nat of posterior. What has
    to do with sampling has no part in it: temperatures, `hard`, `free_bits`, `kl_warm_up`. All frames are given.

    One frame ahead is enough to find the graph, but not all that a decoder is for; and under a Student's t likelihood,
    which finds the graph where some frames can hardly be predicted, it cares little for these. `roll_out_weight` adds
    to what the decoder climbs (and the encoder does not see) the Gaussian likelihood of `evidence_lower_bound`: of
    roll-outs of `roll_out` frames on the posterior's edges, as many as have `segments` frames together. It grows from 0
    with the square of the progress, so that the graph is found first.

    Validation scores are the loss over all pieces at the last price. They are not the evidence lower bound of the
    encoder's own edges: under a decoder that knows springs to four digits, the one edge in a hundred that the encoder
    has wrong costs more than all that the decoder learns.

    Raises:
      InputError: more combinations of edges than can be tried.
    """
    pieces = _Pieces(bound, frames)
    combinations = list_combinations(objects - 1, nri.edge_types)
    prior = find_prior(nri, bound)
    scale = np.asarray(nri.change_scale, np.float32) ** 2
    rolls, length = bound.roll_out_weight > 0, bound.burn_in + bound.roll_out - 1
    decoded = slice(None, bound.decoded_frames or None)

    def initialise(run):
        key = jax.random.fold_in(run_key(run), jnp.uint32(INITIAL))
        statistics = {"squared_error": scale[None]}
        if rolls:
            statistics["roll_out_error"] = jnp.broadcast_to(scale, (bound.roll_out, len(scale)))
        return {"params": model.initialise(nri, key, frames, objects), "batch_stats": statistics}

    def measure(params, cut, variance, features):
        return measure_combinations(nri, bound, params, cut, combinations, variance, features)

    def find(squared_error):
        return find_variance(squared_error, bound.variance, bound.variance_floor, scale)[0]

    def roll_out(params, statistics, cut, edges, given, features):
        """Squared errors, and nats per value of each simulation by a Gaussian of the errors' own variance."""
        squares = squared_errors(nri, params, cut, edges, given, features)[:, :, -bound.roll_out :]
        variance = find_variance(statistics["roll_out_error"], bound.variance, bound.variance_floor, scale)
        nats = negative_log_likelihood(squares, variance[:, None], 0.0).mean(axis=(1, 2, 3, 4))
        return squares, bound.roll_out_weight * nats

    def draw_roll_outs(features, key, chance):
        """Pieces of a simulation, and which of their frames are given."""
        count = max(pieces.count // bound.roll_out, 1)
        cut = cut_segments(features[decoded], jax.random.fold_in(key, 1), count, length + 1)
        given = jax.random.bernoulli(jax.random.fold_in(key, 2), chance, (count, length))
        return cut, given | (jnp.arange(length) < bound.burn_in)

    def loss(variables, data, run, progress, key, shard):
        batch, keys = draw_batch(data.training, bound.batch, key, shard, bound.symmetries)
        cut = jax.vmap(pieces.draw)(batch.features, keys)
        params, statistics = variables["params"], variables["batch_stats"]
        old = statistics["squared_error"]
        squares, white, log_likelihood = measure(params, cut, find(old), batch.features)
        price = price_posterior(run.hyper, progress)
        evidence, posterior = weigh_combinations(log_likelihood, combinations, prior, price)
        posterior = jax.lax.stop_gradient(posterior)
        log_edges = jax.nn.log_softmax(model.encode(nri, params, batch.features))
        edges = marginalise_edges(posterior, combinations)
        cross_entropy = -(edges * log_edges).sum(axis=(1, 2))
        values = cut.shape[1] * objects * len(scale)
        value = ((cross_entropy - evidence.sum(axis=1)) / values).sum() / bound.batch
        weight = posterior[:, :, None, :, None]
        weighed = weight * white * student_t_weights(white, find(old), bound.degrees_of_freedom)
        errors = shard.total(weighed.sum(axis=0).mean(axis=(0, 1, 2)) / shard.count)
        new = {"squared_error": MEMORY * old + (1.0 - MEMORY) * errors}
        metrics = {
            "mse": (weight * squares).sum(axis=0).mean() / shard.count,
            "cross_entropy": cross_entropy.sum() / bound.batch,
        }
        if rolls:
            chance = anneal(run.hyper["given"], run.hyper["given_end"], progress)
            rolled, given = jax.vmap(draw_roll_outs, in_axes=(0, 0, None))(batch.features, keys, chance)
            squares, nats = roll_out(params, statistics, rolled, edges, given, batch.features)
            value += progress**2 * nats.sum() / bound.batch
            errors = shard.total(squares.mean(axis=(0, 1, 3)) / shard.count)
            new["roll_out_error"] = MEMORY * statistics["roll_out_error"] + (1.0 - MEMORY) * errors
            metrics["roll_out_mse"] = squares.mean() / shard.count
        metrics["loss"] = value
        return value, (jax.lax.stop_gradient(new), metrics)

    def validate(variables, data, run):
        params, variance = variables["params"], find(variables["batch_stats"]["squared_error"])
        price = price_posterior(run.hyper, 1.0)

        def score(simulation):
            features, _ = simulation
            squares, _, log_likelihood = measure(params, pieces.all(features)[None], variance, features[None])
            evidence, posterior = weigh_combinations(log_likelihood, combinations, prior, price)
            log_edges = jax.nn.log_softmax(model.encode(nri, params, features[None]))[0]
            edges = marginalise_edges(posterior, combinations)[0]
            cross_entropy = -(edges * log_edges).sum()
            mse = (posterior[:, :, None, :, None] * squares).sum(axis=0).mean()
            value = (cross_entropy - evidence.sum()) / squares[0].size
            found = {"mse": mse, "cross_entropy": cross_entropy}
            if rolls:
                cut = tile_segments(features[None, decoded], length + 1)
                given = jnp.broadcast_to(jnp.arange(length) < bound.burn_in, (1, cut.shape[1], length))
                inputs = params, variables["batch_stats"], cut, edges[None], given, features[None]
                squares, nats = roll_out(*inputs)
                value += nats[0]
                found["roll_out_mse"] = squares.mean()
            return {"loss": value, **found}, log_edges.argmax(axis=-1), edges.argmax(axis=-1)

        batch = data.validation
        measured, inferred, found = jax.lax.map(score, (batch.features, batch.edges), batch_size=AT_ONCE)
        metrics = {name: values.mean() for name, values in measured.items()}
        metrics["edge_accuracy"] = best_accuracy(inferred, batch.edges, nri.edge_types)
        metrics["posterior_edge_accuracy"] = best_accuracy(found, batch.edges, nri.edge_types)
        return metrics["loss"], metrics

    return Objective(initialise, loss, validate)


def infer_posterior(
    nri: Nri,
    bound: Bound,
    price: float,
    variables: Mapping[str, Any],
    features: Float[np.ndarray, "simulation frame object feature"],
) -> Float[np.ndarray, "run simulation edge type"]:
    """The posterior of every edge's type under each run's decoder (stacked variables), without its encoder."""
    pieces = _Pieces(bound, features.shape[1])
    combinations = list_combinations(features.shape[2] - 1, nri.edge_types)
    prior = find_prior(nri, bound)
    scale = np.asarray(nri.change_scale, np.float32) ** 2

    def infer_run(run):
        squared_error = run["batch_stats"]["squared_error"]
        variance = find_variance(squared_error, bound.variance, bound.variance_floor, scale)[0]

        def infer(simulation):
            cut = pieces.all(simulation)[None]
            inputs = run["params"], cut, combinations, variance, simulation[None]
            _, _, log_likelihood = measure_combinations(nri, bound, *inputs)
            _, posterior = weigh_combinations(log_likelihood, combinations, prior, price)
            return marginalise_edges(posterior, combinations)[0]

        return jax.lax.map(infer, features, batch_size=AT_ONCE)

    edges = jax.jit(lambda stacked: jax.lax.map(infer_run, stacked))(variables)
    return np.minimum(edges, 1.0)  # Rounding may lift one above.


def measure_combinations(
    nri: Nri,
    bound: Bound,
    params,
    pieces: Float[Array, "simulation segment frame object feature"],
    combinations: Float[np.ndarray, "combination sender type"],
    variance: Float[Array, " feature"],
    history: Float[Array, "simulation frame object feature"],
) -> tuple[
    Float[Array, "combination simulation segment object feature"],
    Float[Array, "combination simulation segment object feature"],
    Float[Array, "combination simulation object"],
]:
    """Under every combination: squared errors of the last frame of every piece, the same less what each object's own
    offset and gain explain, and log likelihoods of all pieces together."""
    predicted = decode_combinations(nri, params, pieces[:, :, :-1], combinations, history)
    errors, cost = predicted - pieces[:, :, -1], 0.0
    squares = white = errors**2
    if bound.offset_and_gain:
        scale = jnp.asarray(nri.change_scale)
        errors, cost = take_out_units(errors, predicted, scale, bound.offset_and_gain)
        white = errors**2
    return squares, white, -negative_log_likelihood(white, variance, bound.degrees_of_freedom).sum(axis=(2, 4)) - cost


def price_posterior(hyper, progress) -> Float[Array, ""]:
    """What a nat of posterior costs so far: from `kl_weight` to `kl_weight_end` by a constant factor a step."""
    return hyper["kl_weight"] ** (1.0 - progress) * hyper["kl_weight_end"] ** progress


class _Pieces:
    """Cuts simulations into pieces of the frames given and the one predicted after them."""

    def __init__(self, bound: Bound, frames: int):
        self.length = bound.burn_in + 1
        self.total = min(bound.decoded_frames or frames, frames) - bound.burn_in
        self.count = min(bound.segments, self.total)

    def draw(self, features: Float[Array, "frame object feature"], key: PRNGKeyArray):
        """`segments` pieces that begin at different frames: [segment, frame, object, feature]."""
        if self.count == self.total:
            return self.all(features)
        return self._cut(features, jax.random.permutation(key, self.total)[: self.count])

    def all(self, features: Float[Array, "frame object feature"]):
        """Every piece."""
        return self._cut(features, jnp.arange(self.total))

    def _cut(self, features, starts: Int[Array, " segment"]):
        return features[starts[:, None] + jnp.arange(self.length)]
