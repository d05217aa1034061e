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
from wormjax.training.elbo import Bound, best_accuracy, draw_batch, find_prior
from wormjax.training.likelihoods import MEMORY, find_variance, surprise, take_out_units, weigh_squares
from wormjax.training.objectives import INITIAL, Objective, run_key

AT_ONCE = 16  # Simulations that are validated at a time.


def exact_evidence(nri: Nri, bound: Bound, frames: int, objects: int) -> Objective:
    """The objective of an encoder and a decoder on simulations of so many frames and objects.

    The loss, nats a value, is minus the log marginal likelihood of the frames behind `bound.segments` pieces of each
    simulation, none drawn twice, plus the cross-entropy of the encoder's edges under the posterior that those pieces
    give. The likelihood is that of `elbo`; `kl_weight` to `kl_weight_end` is the price of a nat of posterior. What has
    to do with sampling has no part in it: temperatures, `hard`, `free_bits`, `kl_warm_up`; nor has `given`, since all
    frames are given.

    A Student's t likelihood, under which the graph is found where some frames can hardly be predicted, has the decoder
    care little for these. `gaussian_weight` adds the Gaussian log likelihood of the same predictions, weighed by the
    same posterior, to what the decoder climbs, and no more: the posterior stays that of the t.

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
    leaps = bound.gaussian_weight > 0

    def initialise(run):
        key = jax.random.fold_in(run_key(run), jnp.uint32(INITIAL))
        statistics = {"squared_error": scale[None]} | ({"mean_square": scale[None]} if leaps else {})
        return {"params": model.initialise(nri, key, frames, objects), "batch_stats": statistics}

    def measure(params, cut, variance, features):
        return measure_combinations(nri, bound, params, cut, combinations, variance, features)

    def find(squared_error):
        return find_variance(squared_error, bound.variance, bound.variance_floor, scale)[0]

    def charge_leaps(statistics, posterior, squares):
        """Nats a value of each simulation, by a Gaussian of the errors' own variance; and their mean squares."""
        weighed = (posterior[:, :, None, :, None] * squares).sum(axis=0)
        nats = surprise(weighed, find(statistics["mean_square"]), 0.0).mean(axis=(1, 2, 3))
        return bound.gaussian_weight * nats, weighed.mean(axis=(0, 1, 2))

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
        weighed = weight * white * weigh_squares(white, find(old), bound.degrees_of_freedom)
        errors = shard.total(weighed.sum(axis=0).mean(axis=(0, 1, 2)) / shard.count)
        new = {"squared_error": MEMORY * old + (1.0 - MEMORY) * errors}
        if leaps:
            cost, mean_squares = charge_leaps(statistics, posterior, squares)
            value += cost.sum() / bound.batch
            total = shard.total(mean_squares / shard.count)
            new["mean_square"] = MEMORY * statistics["mean_square"] + (1.0 - MEMORY) * total
        metrics = {
            "loss": value,
            "mse": (weight * squares).sum(axis=0).mean() / shard.count,
            "cross_entropy": cross_entropy.sum() / bound.batch,
        }
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
            if leaps:
                value += charge_leaps(variables["batch_stats"], posterior, squares)[0][0]
            return value, mse, cross_entropy, log_edges.argmax(axis=-1), edges.argmax(axis=-1)

        batch = data.validation
        scores, mse, entropies, inferred, found = jax.lax.map(score, (batch.features, batch.edges), batch_size=AT_ONCE)
        metrics = {
            "loss": scores.mean(),
            "mse": mse.mean(),
            "cross_entropy": entropies.mean(),
            "edge_accuracy": best_accuracy(inferred, batch.edges, nri.edge_types),
            "posterior_edge_accuracy": best_accuracy(found, batch.edges, nri.edge_types),
        }
        return scores.mean(), metrics

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
    return squares, white, -surprise(white, variance, bound.degrees_of_freedom).sum(axis=(2, 4)) - cost


def price_posterior(hyper, progress) -> Float[Array, ""]:
    """What a nat of posterior costs so far: from `kl_weight` to `kl_weight_end` by a constant factor a step."""
    return hyper["kl_weight"] ** (1.0 - progress) * hyper["kl_weight_end"] ** progress


class _Pieces:
    """Cuts simulations into pieces of the frames given and the one predicted behind them."""

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
