"""Neural relational inference with the exact posterior of the graph: no sampling, and no encoder in the decoder's way.

The decoder climbs the logarithm of its own marginal likelihood, in which every combination of the edges that arrive at
a node is weighed (`models.exact_posterior`), and the encoder learns the posterior that comes out of it. So the decoder
need not wait for an encoder that knows the graph, nor the encoder for a decoder that knows the forces, which is where
the evidence lower bound stands still on systems whose graph says little about the next frame.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from wormjax.models import edge_chains
from wormjax.models import exact_posterior as exact
from wormjax.models import listed_posterior as listed
from wormjax.models import nri as model
from wormjax.models.nri import Nri
from wormjax.training import likelihoods, masks
from wormjax.training.objectives import nri_sampled as sampled
from wormjax.training.objectives.classification import Objective, initial_key

AT_ONCE = 16  # Simulations that are validated at a time.


def exact_evidence(nri: Nri, bound: sampled.Bound, frames: int, objects: int) -> Objective:
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

    Validation scores are the loss over all pieces at the last price. They are not the evidence lower bound of the
    encoder's own edges: under a decoder that knows springs to four digits, the one edge in a hundred that the encoder
    has wrong costs more than all that the decoder learns.

    With `bound.combinations` the sums are over the likeliest of them alone (`models.listed_posterior`), which is what
    many objects leave time for; the decoder must be one whose messages add up.

    Of a model with a graph in each frame, the likelihood is that of all frames, summed over all sequences of graphs
    (`models.edge_chains`); the encoder's posterior learns the smoothed edges, and its prior, from the frames so far,
    the same. Edges change with probabilities that are estimated beside the squared errors.

    Raises:
      InputError: more combinations of edges than can be tried.
    """
    kind = _ListedEvidence if bound.combinations else _ExactEvidence
    kind = _StrengthEvidence if bound.strengths else kind
    parts = (_ChangingEvidence if model.is_dynamic(nri) else kind)(nri, bound, frames, objects)
    return Objective(parts.initialise, parts.loss, parts.validate)


class _ExactEvidence:
    """The functions of the objective of `exact_evidence`, and what they share."""

    def __init__(self, nri: Nri, bound: sampled.Bound, frames: int, objects: int):
        self.nri, self.bound, self.frames, self.objects = nri, bound, frames, objects
        self.pieces = _Pieces(bound, frames)
        self.combinations = self._list(objects - 1)
        self.prior = sampled.find_prior(nri, bound)
        self.scale = np.asarray(nri.change_scale, np.float32) ** 2
        self.rolls, self.length = bound.roll_out_weight > 0, bound.burn_in + bound.roll_out - 1
        self.decoded = slice(None, bound.decoded_frames or None)

    def initialise(self, run):
        """Return the variables of a run."""
        statistics = {"squared_error": self.scale[None]}
        if self.rolls:
            statistics["roll_out_error"] = jnp.broadcast_to(self.scale, (self.bound.roll_out, len(self.scale)))
        params = model.initialise(self.nri, initial_key(run), self.frames, self.objects)
        return {"params": params, "batch_stats": statistics}

    def loss(self, variables, data, run, progress, key, shard):
        """Return the loss of a shard's part of a batch, the running means of squared errors, and metrics."""
        bound = self.bound
        batch, keys = sampled.draw_batch(data.training, bound.batch, key, shard, bound.symmetries)
        cut, pairs = jax.vmap(self.pieces.draw)(batch.features, keys), self._find_pairs(batch.observed)
        weights = None
        if batch.observed is not None:
            weights = _weigh_pieces(jax.vmap(self.pieces.draw)(masks.as_feature(batch.observed), keys))
        params, statistics = variables["params"], variables["batch_stats"]
        old = statistics["squared_error"]
        price = price_posterior(run.hyper, progress)
        measured = self._measure(params, cut, self._find(old), batch.features, weights, price)
        squares, white, *measured = measured
        evidence, posterior, edges, found = self._infer(*measured, statistics, price)
        edges = edges if pairs is None else edges * pairs[..., None]
        cross_entropy = self._compare(edges, self._encode(params, batch.features, batch.observed))
        values = cut.shape[1] * self.objects * len(self.scale)
        value = ((cross_entropy - evidence.sum(axis=1)) / values).sum() / bound.batch
        weight = posterior[..., None]
        weighed = weight * white * likelihoods.student_t_weights(white, self._find(old), bound.degrees_of_freedom)
        errors = shard.total(masks.average(weighed.sum(axis=0), weights, (0, 1, 2)) / shard.count)
        new = {"squared_error": likelihoods.remember(old, errors), **self._remember(statistics, found, shard)}
        metrics = {
            "mse": masks.average((weight * squares).sum(axis=0), weights, (0, 1, 2, 3)) / shard.count,
            "cross_entropy": cross_entropy.sum() / bound.batch,
        }
        if self.rolls:
            chance = sampled.anneal(run.hyper["given"], run.hyper["given_end"], progress)
            rolled, given = jax.vmap(self._draw_roll_outs, in_axes=(0, 0, None))(batch.features, keys, chance)
            if batch.observed is not None:
                draw = jax.vmap(self._draw_roll_outs, in_axes=(0, 0, None))
                weights = self._weigh_roll_outs(draw(masks.as_feature(batch.observed), keys, chance)[0])
            squares, nats = self._roll_out(params, statistics, rolled, edges, given, batch.features, weights)
            value += progress**2 * nats.sum() / bound.batch
            errors = shard.total(masks.average(squares, weights, (0, 1, 3)) / shard.count)
            new["roll_out_error"] = likelihoods.remember(statistics["roll_out_error"], errors)
            metrics["roll_out_mse"] = masks.average(squares, weights, (0, 1, 2, 3, 4)) / shard.count
        metrics["loss"] = value
        return value, (jax.lax.stop_gradient(new), metrics)

    def validate(self, variables, data, run):
        """Return the mean loss over validation simulations at the last price, and metrics."""
        variance = self._find(variables["batch_stats"]["squared_error"])
        price, batch = price_posterior(run.hyper, 1.0), data.validation
        measured, inferred = jax.lax.map(
            lambda system: self._score(variables, variance, price, *system),
            (batch.features, batch.observed),
            batch_size=AT_ONCE,
        )
        metrics = {name: values.mean() for name, values in measured.items()}
        for name, edges in zip(self.accuracies, inferred, strict=True):
            metrics[name] = sampled.best_accuracy(edges, self._cut_edges(batch.edges), self.nri.edge_types)
        return metrics["loss"], metrics

    def _score(self, variables, variance, price, features, observed):
        """Return one simulation's loss and metrics, and the likeliest edges of each kind in `accuracies`."""
        params, bound = variables["params"], self.bound
        cut, weights, pairs = self.pieces.all(features)[None], None, self._find_pairs(observed)
        if observed is not None:
            weights = _weigh_pieces(self.pieces.all(masks.as_feature(observed))[None])
        squares, _, *measured = self._measure(params, cut, variance, features[None], weights, price)
        evidence, posterior, edges, _ = self._infer(*measured, variables["batch_stats"], price)
        edges = edges if pairs is None else edges * pairs[..., None]
        log_edges = self._encode(params, features[None], None if observed is None else observed[None])
        cross_entropy = self._compare(edges, log_edges)[0]
        mse = masks.average((posterior[..., None] * squares).sum(axis=0), weights, (0, 1, 2, 3))
        value = (cross_entropy - evidence.sum()) / squares[0].size
        found = {"mse": mse, "cross_entropy": cross_entropy}
        if self.rolls:
            cut = sampled.tile_segments(features[None, self.decoded], self.length + 1)
            given = jnp.broadcast_to(jnp.arange(self.length) < bound.burn_in, (1, cut.shape[1], self.length))
            if observed is not None:
                shown = sampled.tile_segments(masks.as_feature(observed)[None, self.decoded], self.length + 1)
                weights = self._weigh_roll_outs(shown)
            inputs = params, variables["batch_stats"], cut, edges, given, features[None], weights
            squares, nats = self._roll_out(*inputs)
            value += nats[0]
            found["roll_out_mse"] = masks.average(squares, weights, (0, 1, 2, 3, 4))
        return {"loss": value, **found}, tuple(part[0].argmax(axis=-1) for part in (*log_edges, edges))

    accuracies = ("edge_accuracy", "posterior_edge_accuracy")

    def _list(self, senders):
        return exact.list_combinations(senders, self.nri.edge_types)

    def _measure(self, params, cut, variance, features, weights, price):
        inputs = self.nri, self.bound, params, cut, self.combinations, variance, features, weights
        return measure_combinations(*inputs)

    def _find_pairs(self, observed):
        return masks.find_pairs(observed)

    def _cut_edges(self, true):
        return true

    def _encode(self, params, features, observed):
        """Return the log probabilities of each edge's type, of every read-out of the encoder."""
        return (jax.nn.log_softmax(model.encode(self.nri, params, features)),)

    def _compare(self, edges, log_edges):
        """Return the cross-entropy of the encoder's edges under the posterior, nats of each simulation."""
        return sum(-(edges * part).sum(axis=tuple(range(1, edges.ndim))) for part in log_edges)

    def _infer(self, log_likelihood, statistics, price):
        """Return evidence [simulation, object], posterior [combination, simulation, 1, object], edges, and None."""
        evidence, posterior = exact.weigh_combinations(log_likelihood, self.combinations, self.prior, price)
        posterior = jax.lax.stop_gradient(posterior)
        return evidence, posterior[:, :, None], exact.marginalise_edges(posterior, self.combinations), None

    def _remember(self, statistics, found, shard):
        """Return running means other than those of errors."""
        return {}

    def _weigh_roll_outs(self, pieces):
        return masks.weigh_following(pieces)[:, :, -self.bound.roll_out :]

    def _find(self, squared_error):
        return likelihoods.find_variance(squared_error, self.bound.variance, self.bound.variance_floor, self.scale)[0]

    def _roll_out(self, params, statistics, cut, edges, given, features, weights):
        """Return squared errors, and nats per value of each simulation by a Gaussian of the errors' own variance."""
        bound = self.bound
        squares = sampled.squared_errors(self.nri, params, cut, edges, given, features)[:, :, -bound.roll_out :]
        error = statistics["roll_out_error"]
        variance = likelihoods.find_variance(error, bound.variance, bound.variance_floor, self.scale)
        nats = likelihoods.negative_log_likelihood(squares, variance[:, None], 0.0)
        nats = masks.average(nats, weights, (1, 2, 3, 4))
        return squares, bound.roll_out_weight * nats

    def _draw_roll_outs(self, features, key, chance):
        """Return pieces of a simulation, and which of their frames are given."""
        count = max(self.pieces.count // self.bound.roll_out, 1)
        cut = sampled.cut_segments(features[self.decoded], jax.random.fold_in(key, 1), count, self.length + 1)
        given = jax.random.bernoulli(jax.random.fold_in(key, 2), chance, (count, self.length))
        return cut, given | (jnp.arange(self.length) < self.bound.burn_in)


class _StrengthEvidence(_ExactEvidence):
    """The same of systems whose edges have a strength of their own, one of `bound.strengths`."""

    def _measure(self, params, cut, variance, features, weights, price):
        tried = exact.try_strengths(self.combinations, self.bound.strengths)
        return measure_combinations(self.nri, self.bound, params, cut, tried, variance, features, weights)

    def _infer(self, log_likelihood, statistics, price):
        count = len(self.bound.strengths)
        evidence, posterior = exact.weigh_strengths(log_likelihood, self.combinations, self.prior, count, price)
        posterior = jax.lax.stop_gradient(posterior)
        edges = exact.marginalise_edges(posterior, np.tile(self.combinations, (count, 1, 1)))
        return evidence, posterior[:, :, None], edges, None


class _ListedEvidence(_ExactEvidence):
    """The same over the likeliest combinations of each object alone."""

    def _list(self, senders):
        return listed.list_switches(senders, self.nri.edge_types)

    def _measure(self, params, cut, variance, features, weights, price):
        inputs = self.nri, self.bound, params, cut, self.combinations, variance, features, weights
        return measure_listed(*inputs, self.prior, price)

    def _infer(self, log_likelihood, combinations, statistics, price):
        return *weigh_listed(log_likelihood, combinations, self.prior, price), None


def measure_listed(
    nri: Nri,
    bound: sampled.Bound,
    params,
    pieces: Float[Array, "simulation segment frame object feature"],
    switches: Float[np.ndarray, "switch sender type"],
    variance: Float[Array, " feature"],
    history: Float[Array, "simulation frame object feature"],
    weights: Float[Array, "simulation segment object"] | None,
    prior: Float[np.ndarray, " type"],
    price: Float[Array, ""] | float,
) -> tuple[
    Float[Array, "combination simulation segment object feature"],
    Float[Array, "combination simulation segment object feature"],
    Float[Array, "combination simulation object"],
    Float[Array, "simulation object combination sender type"],
]:
    """Return what `measure_combinations` does, of the likeliest combinations of each object, and these.

    A decoder whose messages add up says what every combination does when it has gone ahead once without and once with
    each edge. Places left over, where there are fewer combinations, have a likelihood of 0.
    """
    predicted = exact.decode_combinations(nri, params, pieces[:, :, :-1], switches, history)
    base, effects = predicted[0] - pieces[:, :, -1], predicted[1:] - predicted[:1]
    scale = jnp.broadcast_to(variance**-0.5, base.shape)
    scale = scale if weights is None else scale * weights[..., None]

    def search(scale):
        target, moved = (jax.lax.stop_gradient(part * scale) for part in (-base, effects))
        gram = jnp.einsum("asfnk,bsfnk->snab", moved, moved) / price
        linear = jnp.einsum("asfnk,sfnk->sna", moved, target) / price
        find = functools.partial(listed.find_combinations, log_prior=jnp.log(prior), most=bound.combinations)
        return jax.vmap(jax.vmap(find))(gram, linear)

    def explain(found):
        chosen = found.combinations[..., 1:].reshape(*found.combinations.shape[:3], -1)
        return base + jnp.einsum("snca,asfnk->csfnk", chosen, effects)

    found = search(scale)
    errors = explain(found)
    if bound.degrees_of_freedom:  # The quadratic form of a second search is without the outliers of the first.
        first = jax.lax.stop_gradient(errors[0]) ** 2
        counts = likelihoods.student_t_weights(first, variance, bound.degrees_of_freedom)
        found = search(scale * counts**0.5)
        errors = explain(found)
    nll = likelihoods.negative_log_likelihood(errors**2, variance, bound.degrees_of_freedom)
    nll = (nll if weights is None else nll * weights[..., None]).sum(axis=(2, 4))
    log_likelihood = jnp.where(jnp.moveaxis(found.valid, 2, 0), -nll, -jnp.inf)
    return errors**2, errors**2, log_likelihood, found.combinations


def weigh_listed(
    log_likelihood: Float[Array, "combination simulation object"],
    combinations: Float[Array, "simulation object combination sender type"],
    prior: Float[np.ndarray, " type"],
    price: Float[Array, ""] | float,
) -> tuple[
    Float[Array, "simulation object"],
    Float[Array, "combination simulation one object"],
    Float[Array, "simulation edge type"],
]:
    """Return evidence, posterior and edges of listed combinations, as `exact_posterior` does of all."""
    log_prior = jnp.einsum("sncek,k->csn", combinations, jnp.log(prior))
    joint = log_prior + log_likelihood / price
    posterior = jax.lax.stop_gradient(jax.nn.softmax(joint, axis=0))
    edges = jnp.einsum("csn,sncek->snek", posterior, combinations)
    edges = edges.reshape(len(edges), -1, edges.shape[-1])
    return price * jax.nn.logsumexp(joint, axis=0), posterior[:, :, None], edges


class _ChangingEvidence(_ExactEvidence):
    """The same of edges that change from frame to frame."""

    accuracies = ("edge_accuracy", "prior_edge_accuracy", "posterior_edge_accuracy")

    def __init__(self, nri: Nri, bound: sampled.Bound, frames: int, objects: int):
        super().__init__(nri, bound._replace(segments=frames), frames, objects)  # A chain has no gaps.

    def initialise(self, run):
        """Return the variables of a run."""
        variables = super().initialise(run)
        transitions = {"transition": jnp.asarray(edge_chains.stay_mostly(self.nri.edge_types))}
        return variables | {"batch_stats": variables["batch_stats"] | transitions}

    def _measure(self, params, cut, variance, features, weights, price):
        inputs = self.nri, self.bound, params, cut, self.combinations, variance, features, weights
        return measure_combinations(*inputs, by_frame=True)

    def _find_pairs(self, observed):
        pairs = masks.find_pairs_by_frame(observed)
        return None if pairs is None else pairs[..., self.bound.burn_in - 1 : self.pieces.last, :]

    def _cut_edges(self, true):
        return true[:, self.bound.burn_in - 1 :] if true.ndim == 3 else true

    def _encode(self, params, features, observed):
        logits = model.encode_frames(self.nri, params, features, observed)
        return tuple(jax.nn.log_softmax(part[:, self.bound.burn_in - 1 : self.pieces.last]) for part in logits)

    def _infer(self, log_likelihood, statistics, price):
        return smooth_edges(log_likelihood, self.combinations, self.prior, statistics["transition"], price)

    def _remember(self, statistics, found, shard):
        counts = shard.total(found)
        counts = (counts + 1e-6) / (counts + 1e-6).sum(axis=-1, keepdims=True)
        return {"transition": likelihoods.remember(statistics["transition"], counts)}


def smooth_edges(
    log_likelihood: Float[Array, "combination simulation interval object"], combinations, prior, transition, price
):
    """Return evidence [simulation, object], posterior (as the likelihood), edges by frame, and transition counts."""
    chains = edge_chains.follow_chains(jnp.moveaxis(log_likelihood, 2, 0), prior, transition, price)
    edges = exact.marginalise_edges(chains.smoothed.swapaxes(0, 1), combinations)
    return chains.evidence, jnp.moveaxis(chains.smoothed, 0, 2), edges.swapaxes(0, 1), chains.transitions


def infer_posterior(
    nri: Nri,
    bound: sampled.Bound,
    price: float,
    variables: Mapping[str, Any],
    features: Float[np.ndarray, "simulation frame object feature"],
    observed: Bool[np.ndarray, "simulation frame object"] | None = None,
) -> Float[np.ndarray, "run simulation edge type"]:
    """Return the posterior of every edge's type under each run's decoder (stacked variables), without its encoder."""
    senders, prior = features.shape[2] - 1, sampled.find_prior(nri, bound)
    if bound.combinations:
        switches = listed.list_switches(senders, nri.edge_types)

        def infer_listed(_, measure, __):
            found = measure(measure_listed, switches, prior, price)
            return weigh_listed(*found[2:], prior, price)[2][0]

        return _map_systems(nri, bound, infer_listed, variables, features, observed)
    combinations, strengths = exact.list_combinations(senders, nri.edge_types), len(bound.strengths)
    tried = exact.try_strengths(combinations, bound.strengths)

    def infer(_, measure, __):
        log_likelihood = measure(measure_combinations, tried)[2]
        _, posterior = exact.weigh_strengths(log_likelihood, combinations, prior, strengths, price)
        return exact.marginalise_edges(posterior, np.tile(combinations, (max(strengths, 1), 1, 1)))[0]

    return _map_systems(nri, bound, infer, variables, features, observed)


def infer_strengths(
    nri: Nri,
    bound: sampled.Bound,
    price: float,
    variables: Mapping[str, Any],
    features: Float[np.ndarray, "simulation frame object feature"],
    observed: Bool[np.ndarray, "simulation frame object"] | None = None,
) -> Float[np.ndarray, "run simulation"]:
    """Return the strength of each system's messages: the posterior mean, in logarithms, over `bound.strengths`."""
    combinations, prior = exact.list_combinations(features.shape[2] - 1, nri.edge_types), sampled.find_prior(nri, bound)
    tried, strengths = exact.try_strengths(combinations, bound.strengths), len(bound.strengths)

    def infer(_, measure, __):
        log_likelihood = measure(measure_combinations, tried)[2]
        _, posterior = exact.weigh_strengths(log_likelihood, combinations, prior, strengths, price)
        return posterior[:, 0, 0].reshape(strengths, -1).sum(axis=1)

    shares = np.asarray(_map_systems(nri, bound, infer, variables, features, observed))
    return np.exp(shares @ np.log(bound.strengths))


class ChangingEdges(NamedTuple):
    """The posterior of edges in each frame by a run's decoder.

    Attributes:
      smoothed: given all frames, of each frame but the last.
      predicted: given the frames up to that one, of each frame, the last one too.
    """

    smoothed: Float[np.ndarray, "run simulation interval edge type"]
    predicted: Float[np.ndarray, "run simulation frame edge type"]


def infer_changes(
    nri: Nri,
    bound: sampled.Bound,
    price: float,
    variables: Mapping[str, Any],
    features: Float[np.ndarray, "simulation frame object feature"],
    observed: Bool[np.ndarray, "simulation frame object"] | None = None,
) -> ChangingEdges:
    """Return the posterior of every edge's type in each frame under each run's decoder, without its encoder.

    Frames before the first that the decoder predicts have the edges of that one.
    """
    bound = bound._replace(decoded_frames=0)
    combinations, prior = exact.list_combinations(features.shape[2] - 1, nri.edge_types), sampled.find_prior(nri, bound)

    def infer(run, measure, _):
        log_likelihood = measure(measure_combinations, combinations, True)[2]
        inputs = jnp.moveaxis(log_likelihood, 2, 0), prior, run["batch_stats"]["transition"], price
        chains = edge_chains.follow_chains(*inputs)
        parts = (exact.marginalise_edges(part.swapaxes(0, 1), combinations) for part in chains[1:3])
        first = [(bound.burn_in - 1, 0), (0, 0), (0, 0)]
        return ChangingEdges(*(jnp.pad(part[:, 0], first, mode="edge") for part in parts))

    return _map_systems(nri, bound, infer, variables, features, observed)


def adapt_edges(
    nri: Nri,
    bound: sampled.Bound,
    price: float,
    variables: Mapping[str, Any],
    features: Float[np.ndarray, "simulation frame object feature"],
    observed: Bool[np.ndarray, "simulation frame object"] | None,
    edges: Float[np.ndarray, "run simulation edge type"],
    steps: int,
    learning_rate: float,
) -> Float[np.ndarray, "run simulation edge type"]:
    """Return the encoder's posterior of every edge's type, adapted to each system by gradient steps of Adam.

    As Löwe et al. (2022, arXiv 2006.10833) adapt it at test time: the logits of one system's edges, which begin at the
    encoder's, climb the evidence lower bound under the decoder, which stays as it is. There the bound is estimated by
    edges that are sampled; here it is a sum over all combinations of edges. Its maximum is the posterior of
    `infer_posterior` where that is one graph, or edges that do not depend on each other.

    Args:
      edges: probabilities that the encoder gives (`networks.infer_edges`).
      steps, learning_rate: of Adam.
    """
    combinations, prior = exact.list_combinations(features.shape[2] - 1, nri.edge_types), sampled.find_prior(nri, bound)
    optimizer = optax.adam(learning_rate)

    def adapt(_, measure, begin):
        log_likelihood = measure(measure_combinations, combinations)[2]

        def lose(logits):
            log_edges = jax.nn.log_softmax(logits)
            log_share = jnp.einsum("csk,nsk->cn", combinations, log_edges)
            divergence = (jnp.exp(log_edges) * (log_edges - jnp.log(prior))).sum()
            return price * divergence - (jnp.exp(log_share) * log_likelihood[:, 0]).sum()

        def step(_, state):
            logits, moments = state
            change, moments = optimizer.update(jax.grad(lose)(logits), moments)
            return optax.apply_updates(logits, change), moments

        logits = jnp.log(jnp.maximum(begin, 1e-12)).reshape(features.shape[2], -1, nri.edge_types)
        logits, _ = jax.lax.fori_loop(0, steps, step, (logits, optimizer.init(logits)))
        return jax.nn.softmax(logits).reshape(begin.shape)

    return _map_systems(nri, bound, adapt, variables, features, observed, edges)


def _map_systems(nri, bound, infer, variables, features, observed, edges=None):
    """Return what `infer` makes of each run's variables, of a way to measure each system, and of the system's edges.

    That way takes a function that measures combinations, these, and what else the function takes at its end.
    """
    pieces = _Pieces(bound, features.shape[1])
    scale = np.asarray(nri.change_scale, np.float32) ** 2

    def infer_run(run):
        run, run_edges = run
        squared_error = run["batch_stats"]["squared_error"]
        variance = likelihoods.find_variance(squared_error, bound.variance, bound.variance_floor, scale)[0]

        def infer_system(system):
            simulation, there, begin = system
            cut, weights = pieces.all(simulation)[None], None
            if there is not None:
                weights = _weigh_pieces(pieces.all(masks.as_feature(there))[None])

            def measure(function, combinations, *others):
                inputs = run["params"], cut, combinations, variance, simulation[None], weights
                return function(nri, bound, *inputs, *others)

            return infer(run, measure, begin)

        return jax.lax.map(infer_system, (features, observed, run_edges), batch_size=AT_ONCE)

    inferred = jax.jit(lambda stacked: jax.lax.map(infer_run, stacked))((variables, edges))
    return jax.tree.map(lambda part: np.minimum(part, 1.0), inferred)  # Rounding may lift one above.


def measure_combinations(
    nri: Nri,
    bound: sampled.Bound,
    params,
    pieces: Float[Array, "simulation segment frame object feature"],
    combinations: Float[np.ndarray, "combination sender type"],
    variance: Float[Array, " feature"],
    history: Float[Array, "simulation frame object feature"],
    weights: Float[Array, "simulation segment object"] | None = None,
    by_frame: bool = False,
) -> tuple[
    Float[Array, "combination simulation segment object feature"],
    Float[Array, "combination simulation segment object feature"],
    Float[Array, "combination simulation *segment object"],
]:
    """Return squared errors and likelihoods under every combination.

    These are squared errors of the last frame of every piece, the same less what each object's own offset and gain
    explain, and log likelihoods of all pieces together, of those alone whose weight is 1. `by_frame` has the
    likelihood of each piece, in which senders of weight 0 have no effect.
    """
    predicted = exact.decode_combinations(nri, params, pieces[:, :, :-1], combinations, history)
    if by_frame and weights is not None:
        predicted = edge_chains.ignore_absent(predicted, weights, nri.edge_types)
    errors, cost = predicted - pieces[:, :, -1], 0.0
    squares = white = errors**2
    if bound.offset_and_gain:
        scale = jnp.asarray(nri.change_scale)
        errors = errors if weights is None else errors * weights[..., None]
        errors, cost = likelihoods.take_out_units(errors, predicted, scale, bound.offset_and_gain)
        white = errors**2
    nll = likelihoods.negative_log_likelihood(white, variance, bound.degrees_of_freedom)
    nll = nll if weights is None else nll * weights[..., None]
    if by_frame:
        return squares, white, -nll.sum(axis=4)
    return squares, white, -nll.sum(axis=(2, 4)) - cost


def _weigh_pieces(
    observed: Float[Array, "simulation segment frame object one"],
) -> Float[Array, "simulation segment object"]:
    """Return 1 for each object of a piece that is observed in all its frames, else 0."""
    return masks.weigh_following(observed)[:, :, -1]


def price_posterior(hyper, progress) -> Float[Array, ""]:
    """Return what a nat of posterior costs so far: from `kl_weight` to `kl_weight_end` by a constant factor a step."""
    return hyper["kl_weight"] ** (1.0 - progress) * hyper["kl_weight_end"] ** progress


class _Pieces:
    """Cuts simulations into pieces of the frames given and the one predicted after them."""

    def __init__(self, bound: sampled.Bound, frames: int):
        self.length = bound.burn_in + 1
        self.last = min(bound.decoded_frames or frames, frames) - 1  # The last frame that is predicted.
        self.total = self.last + 1 - bound.burn_in
        self.count = min(bound.segments, self.total)

    def draw(self, features: Float[Array, "frame object feature"], key: PRNGKeyArray):
        """Return `segments` pieces that begin at different frames: [segment, frame, object, feature]."""
        if self.count == self.total:
            return self.all(features)
        return self._cut(features, jax.random.permutation(key, self.total)[: self.count])

    def all(self, features: Float[Array, "frame object feature"]):
        """Return every piece."""
        return self._cut(features, jnp.arange(self.total))

    def _cut(self, features, starts: Int[Array, " segment"]):
        return features[starts[:, None] + jnp.arange(self.length)]
