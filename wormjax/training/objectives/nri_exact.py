"""Neural relational inference with the exact posterior of the graph: no sampling, and no encoder in the decoder's way.

The decoder climbs the logarithm of its own marginal likelihood, in which every combination of the edges that arrive at
a node is weighed (`arriving_edges`), and the encoder learns the posterior that comes out of it. So the decoder
need not wait for an encoder that knows the graph, nor the encoder for a decoder that knows the forces, which is where
the evidence lower bound stands still on systems whose graph says little about the next frame.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wormjax.models import edge_chains
from wormjax.models import nri as model
from wormjax.models.nri import Nri
from wormjax.training import likelihoods, masks
from wormjax.training.objectives import nri_sampled as sampled
from wormjax.training.objectives.arriving_edges import Measured, Pieces, Posterior, list_arriving
from wormjax.training.objectives.classification import Objective, initial_key
from wormjax.training.objectives.roll_outs import Rolled, RollOuts
from wormjax.training.objectives.system_batches import Bound, SystemArrays, anneal, draw_batch

AT_ONCE = 16  # Simulations that are validated at a time.


def exact_evidence(nri: Nri, bound: Bound, frames: int, objects: int) -> Objective:
    """Return the objective of an encoder and a decoder on simulations of `frames` frames and `objects` objects.

    The loss, nats per value, is minus the log marginal likelihood of the frames after `bound.segments` pieces of each
    simulation, none drawn twice, plus the cross-entropy of the encoder's edges under the posterior that those pieces
    give. The likelihood is that of `elbo`; `kl_weight` to `kl_weight_end` is the price of a nat of posterior. What has
    to do with sampling has no part in it: temperatures, `hard`, `free_bits`, `kl_warm_up`. All frames are given.

    One frame ahead is enough to find the graph, but not all that a decoder is for; and under a Student's t likelihood,
    which finds the graph where some frames can hardly be predicted, it cares little for these. `roll_out_weight` adds
    to what the decoder climbs (and the encoder does not see) the Gaussian likelihood of `evidence_lower_bound`: of
    roll-outs of `roll_out` frames on the posterior's edges, as many as have `segments` frames together. It grows from 0
    with the square of the progress, so that the graph is found first.

    Validation scores are the loss over all pieces at the last price, and not the evidence lower bound of the encoder's
    own edges, in which the one edge in a hundred that it has wrong costs more than all that a good decoder learns.

    With `bound.combinations` the sums are over the likeliest of them alone (`models.listed_posterior`), which is what
    many objects leave time for; the decoder must be one whose messages add up.

    Of a model with a graph in each frame, the likelihood is that of all frames, summed over all sequences of graphs
    (`models.edge_chains`); the encoder's posterior learns the smoothed edges, and its prior, from the frames so far,
    the same. Edges change with probabilities that are estimated beside the squared errors.
    """
    kind = _ChangingEvidence if model.is_dynamic(nri) else _ExactEvidence
    parts = kind(nri, bound, frames, objects)
    return Objective(parts.initialise, parts.loss, parts.validate)


class _Judged(NamedTuple):
    """Of a batch: nats per value of each simulation, without and of roll-outs, and what they come from."""

    nats: Float[Array, " simulation"]
    measured: Measured
    found: Posterior
    edges: Float[Array, "simulation *segment edge type"]
    log_edges: tuple[Float[Array, "simulation *segment edge type"], ...]
    metrics: dict[str, Float[Array, ""]]
    rolled: Rolled | None = None
    rolled_squares: Array | None = None
    rolled_nats: Float[Array, " simulation"] | None = None


class _ExactEvidence:
    """The functions of the objective of `exact_evidence`, and what they share."""

    accuracies = ("edge_accuracy", "posterior_edge_accuracy")

    def __init__(self, nri: Nri, bound: Bound, frames: int, objects: int):
        self.nri, self.bound, self.frames, self.objects = nri, bound, frames, objects
        self.pieces, self.arriving = Pieces(bound, frames), list_arriving(nri, bound, objects)
        self.scale = np.asarray(nri.change_scale, np.float32) ** 2
        self.rolls = RollOuts(bound) if bound.roll_out_weight > 0 else None
        self.rolled = max(self.pieces.count // bound.roll_out, 1)  # Roll-outs per simulation.

    def initialise(self, run):
        """Return the variables of a run."""
        statistics = {"squared_error": self.scale[None]}
        if self.rolls:
            statistics["roll_out_error"] = jnp.broadcast_to(self.scale, (self.bound.roll_out, len(self.scale)))
        params = model.initialise(self.nri, initial_key(run), self.frames, self.objects)
        return {"params": params, "batch_stats": statistics}

    def loss(self, variables, data, run, progress, key, shard):
        """Return the loss of a shard's part of a batch, the running means of squared errors, and metrics."""
        bound, statistics = self.bound, variables["batch_stats"]
        batch, keys = draw_batch(data.training, bound.batch, key, shard, bound.symmetries)
        cut, weights = jax.vmap(self.pieces.draw)(batch.features, keys), None
        others = jax.vmap(self.pieces.leave)(batch.features, keys) if bound.cross_fitted else None
        if batch.observed is not None:
            weights = jax.vmap(self.pieces.weigh)(batch.observed, keys)
        chance = anneal(run.hyper["given"], run.hyper["given_end"], progress)

        def draw(edges):
            return self.rolls.draw(batch, edges, keys, chance, self.rolled)

        price = price_posterior(run.hyper, progress)
        judged = self._judge(variables, price, batch, cut, weights, draw, others)
        measured, found = judged.measured, judged.found
        old, weight = statistics["squared_error"], found.combinations[..., None]
        counts = likelihoods.student_t_weights(measured.white, self._find(old), bound.degrees_of_freedom)
        errors = masks.average((weight * measured.white * counts).sum(axis=0), weights, (0, 1, 2))
        new = {"squared_error": likelihoods.remember(old, shard.total(errors / shard.count))}
        new |= self._remember(statistics, found, shard)
        value = judged.nats.sum() / bound.batch
        if self.rolls:
            value += progress**2 * judged.rolled_nats.sum() / bound.batch
            errors = shard.total(masks.average(judged.rolled_squares, judged.rolled.weights, (0, 1, 3)) / shard.count)
            new["roll_out_error"] = likelihoods.remember(statistics["roll_out_error"], errors)
        metrics = {name: metric / shard.count for name, metric in judged.metrics.items()}
        return value, (jax.lax.stop_gradient(new), {**metrics, "loss": value})

    def validate(self, variables, data, run):
        """Return the mean loss over validation simulations at the last price, and metrics."""
        price, batch = price_posterior(run.hyper, 1.0), data.validation

        def score(system):
            """Return one simulation's loss and metrics, and the likeliest edges of each kind in `accuracies`."""
            one = SystemArrays(*(None if part is None else part[None] for part in (system[0], None, system[1])))
            cut, weights = self.pieces.all(system[0])[None], self.pieces.weigh(system[1])
            weights = None if weights is None else weights[None]
            judged = self._judge(variables, price, one, cut, weights, lambda edges: self.rolls.tile(one, edges))
            value = judged.nats[0] + (judged.rolled_nats[0] if self.rolls else 0.0)
            edges = tuple(part[0].argmax(axis=-1) for part in (*judged.log_edges, judged.edges))
            return {"loss": value, **judged.metrics}, edges

        measured, inferred = jax.lax.map(score, (batch.features, batch.observed), batch_size=AT_ONCE)
        metrics = {name: values.mean() for name, values in measured.items()}
        for name, edges in zip(self.accuracies, inferred, strict=True):
            metrics[name] = sampled.best_accuracy(edges, self._cut_edges(batch.edges), self.nri.edge_types)
        return metrics["loss"], metrics

    def _judge(self, variables, price, batch, cut, weights, draw, others=None) -> _Judged:
        """Return what pieces of a batch, and roll-outs that `draw` cuts on the posterior's edges, say of a model.

        `others`: the pieces that an encoder of evidence reads; None for all.
        """
        params, statistics = variables["params"], variables["batch_stats"]
        variance, pairs = self._find(statistics["squared_error"]), self._find_pairs(batch.observed)
        measured = self.arriving.measure(params, cut, variance, batch.features, weights, price)
        found = self.arriving.weigh(measured, statistics, price)
        edges = found.edges if pairs is None else found.edges * pairs[..., None]
        log_edges = self._encode(params, batch.features, batch.observed, others)
        cross_entropy = sum(-(edges * part).sum(axis=tuple(range(1, edges.ndim))) for part in log_edges)
        squares = (found.combinations[..., None] * measured.squares).sum(axis=0)
        nats = (cross_entropy - found.evidence.sum(axis=1)) / squares[0].size
        metrics = {"mse": sampled.average_all(squares, weights), "cross_entropy": cross_entropy.mean()}
        judged = _Judged(nats, measured, found, edges, log_edges, metrics)
        if not self.rolls:
            return judged
        rolled = draw(edges)
        squares = self.rolls.measure(self.nri, params, rolled, batch.features)
        # A Gaussian of the errors' own variance.
        gaussian = sampled.Likelihood(self.bound._replace(degrees_of_freedom=0.0), self.scale)
        nats = self.bound.roll_out_weight * gaussian.average(squares, rolled.weights, statistics["roll_out_error"])
        metrics["roll_out_mse"] = sampled.average_all(squares, rolled.weights)
        return judged._replace(rolled=rolled, rolled_squares=squares, rolled_nats=nats)

    def _find_pairs(self, observed):
        return masks.find_pairs(observed)

    def _cut_edges(self, true):
        return true

    def _encode(self, params, features, observed, others=None):
        """Return the log probabilities of each edge's type, of every read-out of the encoder."""
        return (jax.nn.log_softmax(model.encode(self.nri, params, features, others)),)

    def _remember(self, statistics, found: Posterior, shard) -> dict[str, Any]:
        """Return running means other than those of errors."""
        return {}

    def _find(self, squared_error):
        return likelihoods.find_variance(squared_error, self.bound, self.scale)[0]


class _ChangingEvidence(_ExactEvidence):
    """The same of edges that change from frame to frame."""

    accuracies = ("edge_accuracy", "prior_edge_accuracy", "posterior_edge_accuracy")

    def __init__(self, nri: Nri, bound: Bound, frames: int, objects: int):
        super().__init__(nri, bound._replace(segments=frames), frames, objects)  # A chain has no gaps.

    def initialise(self, run):
        """Return the variables of a run."""
        variables = super().initialise(run)
        transitions = {"transition": jnp.asarray(edge_chains.stay_mostly(self.nri.edge_types))}
        return variables | {"batch_stats": variables["batch_stats"] | transitions}

    def _find_pairs(self, observed):
        pairs = masks.find_pairs_by_frame(observed)
        return None if pairs is None else pairs[..., self.bound.burn_in - 1 : self.pieces.last, :]

    def _cut_edges(self, true):
        return true[:, self.bound.burn_in - 1 :] if true.ndim == 3 else true

    def _encode(self, params, features, observed, others=None):
        logits = model.encode_frames(self.nri, params, features, observed)
        return tuple(jax.nn.log_softmax(part[:, self.bound.burn_in - 1 : self.pieces.last]) for part in logits)

    def _remember(self, statistics, found, shard):
        counts = shard.total(found.transitions)
        counts = (counts + 1e-6) / (counts + 1e-6).sum(axis=-1, keepdims=True)
        return {"transition": likelihoods.remember(statistics["transition"], counts)}


def price_posterior(hyper, progress) -> Float[Array, ""]:
    """Return what a nat of posterior costs so far: from `kl_weight` to `kl_weight_end` by a constant factor."""
    return hyper["kl_weight"] ** (1.0 - progress) * hyper["kl_weight_end"] ** progress
