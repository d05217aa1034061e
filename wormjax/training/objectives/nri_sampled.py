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
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from wormjax.features.symmetries import Symmetries, turn_and_mirror
from wormjax.models import nri as model
from wormjax.models.nri import Nri
from wormjax.models.sampling import sample_edges
from wormjax.training import masks
from wormjax.training.likelihoods import find_variance, negative_log_likelihood, remember, student_t_weights
from wormjax.training.objectives.classification import Objective, initial_key

TASKS = ("unsupervised", "supervised", "true_graph")
TURN = 3  # Of a simulation's keys, that which turns it.
# Of the graph: the encoder's, sampled; the decoder's, as `nri_exact` has it; or of each pair (`nri_pairwise`).
POSTERIORS = ("sampled", "exact", "listed", "pairwise")

# Numbers that may differ from run to run within one compiled program.
PER_RUN = (
    "learning_rate",
    "weight_decay",
    "temperature",
    "temperature_end",
    "kl_weight",
    "kl_weight_end",
    "kl_warm_up",
    "free_bits",
    "given",
    "given_end",
)


class SystemArrays(NamedTuple):
    """Trajectories of many simulations, scaled; an edge whose type is not known has type -1.

    `observed`: which samples count in loss and metrics; None for all. Edges that change have an axis of frames.
    `base`: of windows with a future, what a regression predicts of it (`objectives.nri_horizons`).
    """

    features: Float[Array, "simulation frame object feature"]
    edges: Int[Array, "simulation *frame edge"]
    observed: Bool[Array, "simulation frame object"] | None = None
    base: Float[Array, "simulation step object output"] | None = None


class SystemData(NamedTuple):
    """What an objective reads; it stays on the device."""

    training: SystemArrays
    validation: SystemArrays


class SystemRuns(NamedTuple):
    """Arrays with a leading run axis."""

    seed: Int[Array, "run 2"]
    validation_count: Int[Array, " run"]
    steps: Int[Array, " run"]
    hyper: dict[str, Float[Array, " run"]]


class Bound(NamedTuple):
    """What shapes the program of a bound.

    Attributes:
      task: "unsupervised"; "supervised" (cross-entropy of the true edge types, no decoder) or "true_graph" (the decoder
        is given them): what the encoder and the decoder can reach.
      batch: simulations an update.
      segments: pieces of each simulation that the decoder goes over.
      decoded_frames: first frames of a simulation that pieces are cut from; 0 for all.
      burn_in: true frames that a segment begins with; at least one.
      roll_out: frames after the burn-in, which are predicted; each is given to the prediction of the next with a
        probability that goes from `given` to `given_end`.
      hard: whether sampled edge types are one-hot (straight-through).
      variance: of the likelihood; 0 estimates it.
      variance_floor: of an estimated variance, in units of the features' own change from frame to frame, squared.
      degrees_of_freedom: of a Student's t likelihood; 0 for the Gaussian.
      prior: probability of each edge type; () for uniform.
      offset_and_gain: variance of each object's own offset and gain, in units of the errors' own; 0 for none. Of the
        exact posterior alone; see `likelihoods.take_out_units`.
      roll_out_weight: of roll-outs beside the exact posterior's evidence; 0 for none.
      combinations: of edges that arrive at an object, of which the listed posterior is made; 0 for all there are.
      strengths: of all messages of a system, of which the exact posterior tries each; () for one.
      symmetries: of which each simulation is shown one, drawn anew in each update; None shows them as they are.
    """

    task: str
    batch: int
    segments: int
    decoded_frames: int
    burn_in: int
    roll_out: int
    hard: bool
    variance: float
    variance_floor: float
    degrees_of_freedom: float
    prior: tuple[float, ...]
    offset_and_gain: float = 0.0
    roll_out_weight: float = 0.0
    combinations: int = 0
    symmetries: Symmetries | None = None
    strengths: tuple[float, ...] = ()


def evidence_lower_bound(nri: Nri, bound: Bound, frames: int, objects: int) -> Objective:
    """Return the objective of one model on simulations of `frames` frames and `objects` objects; see `Bound`.

    Validation scores are in the same units as the loss: nats per value, at the variance of the training.
    """
    if bound.task == "supervised":
        return _supervised(nri, bound, frames, objects)
    decoded, decoded_edges = (
        slice(None, end) for end in (bound.decoded_frames or None, (bound.decoded_frames or frames) - 1)
    )
    length = bound.burn_in + bound.roll_out - 1  # Frames of a segment that another is predicted from.
    prior = find_prior(nri, bound)
    scale = np.asarray(nri.change_scale, np.float32) ** 2
    values = (frames - 1) * objects * len(nri.change_scale)  # Of one trajectory.

    def find(squared_error):
        return find_variance(squared_error, bound.variance, bound.variance_floor, scale)

    def initialise(run):
        errors = jnp.broadcast_to(scale, (bound.roll_out, len(scale)))
        params = model.initialise(nri, initial_key(run), frames, objects)
        return {"params": params, "batch_stats": {"squared_error": errors}}

    def choose_graph(params, batch, hyper, progress, keys=None):
        """Return edges to decode on (sampled, or without keys the likeliest), their cost in nats, and the logits."""
        if bound.task == "true_graph" or nri.encoder is None:
            return jax.nn.one_hot(batch.edges, nri.edge_types), jnp.zeros(len(batch.edges)), None
        logits, log_prior, pairs = infer_logits(nri, params, batch, prior)
        if keys is None:
            edges = jax.nn.one_hot(logits.argmax(axis=-1), nri.edge_types)
        else:
            temperature = anneal(hyper["temperature"], hyper["temperature_end"], progress)
            edges = jax.vmap(lambda x, key: sample_edges(x, key, temperature, bound.hard))(logits, keys)
        edges = edges if pairs is None else edges * pairs[..., None]
        return edges, charge_edges(logits, log_prior, hyper, progress, pairs), logits

    def weigh(pieces):
        weights = masks.weigh_following(pieces)
        return None if weights is None else weights[:, :, -bound.roll_out :]

    def loss(variables, data, run, progress, key, shard):
        batch, keys = draw_batch(data.training, bound.batch, key, shard, bound.symmetries)
        edge_keys, cut_keys, given_keys = (jax.vmap(lambda k, n=n: jax.random.fold_in(k, n))(keys) for n in range(3))
        params = variables["params"]
        edges, cost, _ = choose_graph(params, batch, run.hyper, progress, edge_keys)
        cut = jax.vmap(lambda x, k: cut_segments(x, k, bound.segments, length + 1))
        pieces, weights = cut(batch.features[:, decoded], cut_keys), None
        if batch.observed is not None:
            weights = weigh(cut(masks.as_feature(batch.observed[:, decoded]), cut_keys))
        chance = anneal(run.hyper["given"], run.hyper["given_end"], progress)
        given = jax.vmap(lambda k: jax.random.bernoulli(k, chance, (bound.segments, length)))(given_keys)
        given = given | (jnp.arange(length) < bound.burn_in)
        if edges.ndim == 4:
            edges = jax.vmap(lambda x, k: cut_segments(x, k, bound.segments, length))(edges[:, decoded_edges], cut_keys)
        squares = squared_errors(nri, params, pieces, edges, given, batch.features)[:, :, -bound.roll_out :]
        old = variables["batch_stats"]["squared_error"]
        weighed = squares * student_t_weights(squares, find(old)[:, None], bound.degrees_of_freedom)
        errors = shard.total(masks.average(weighed, weights, (0, 1, 3)) / shard.count)
        new = jax.lax.stop_gradient(remember(old, errors))
        nll = negative_log_likelihood(squares, find(new)[:, None], bound.degrees_of_freedom)
        nll = masks.average(nll, weights, (1, 2, 3, 4))
        value = (nll + cost / values).sum() / bound.batch
        mse = masks.average(squares, weights, (0, 1, 2, 3, 4))
        metrics = {"loss": value, "mse": mse / shard.count, "kl": cost.sum() / bound.batch}
        return value, ({"squared_error": new}, metrics)

    def validate(variables, data, run):
        params, batch = variables["params"], data.validation
        edges, cost, logits = choose_graph(params, batch, run.hyper | {"free_bits": 0.0}, 1.0)
        accuracy = {}
        if logits is not None:
            accuracy = {"edge_accuracy": best_accuracy(logits.argmax(axis=-1), batch.edges, nri.edge_types)}
        pieces, weights = tile_segments(batch.features[:, decoded], length + 1), None
        if batch.observed is not None:
            weights = weigh(tile_segments(masks.as_feature(batch.observed[:, decoded]), length + 1))
        given = jnp.broadcast_to(jnp.arange(length) < bound.burn_in, (*pieces.shape[:2], length))
        if edges.ndim == 4:
            edges = tile_edges(edges[:, decoded_edges], length)
        squares = squared_errors(nri, params, pieces, edges, given, batch.features)[:, :, -bound.roll_out :]
        variance = find(variables["batch_stats"]["squared_error"])[:, None]
        nll = negative_log_likelihood(squares, variance, bound.degrees_of_freedom)
        nll = masks.average(nll, weights, (1, 2, 3, 4))
        score = (nll + cost / values).mean()
        mse = masks.average(squares, weights, (0, 1, 2, 3, 4))
        return score, {"negative_elbo": score, "mse": mse, **accuracy}

    return Objective(initialise, loss, validate)


def infer_logits(nri: Nri, params, batch: SystemArrays, prior):
    """Return the logits of the edges, the logarithm of their prior, and which edges are there (None for all).

    Of a model with a graph in each frame, those of all frames but the last, and the prior that the model has of it.
    """
    if model.is_dynamic(nri):
        logits, log_prior = model.encode_frames(nri, params, batch.features, batch.observed)
        pairs = masks.find_pairs_by_frame(batch.observed)
        return logits, jax.nn.log_softmax(log_prior), None if pairs is None else pairs[:, :-1]
    return model.encode(nri, params, batch.features), jnp.log(prior), masks.find_pairs(batch.observed)


def find_prior(nri: Nri, bound: Bound) -> Float[np.ndarray, " type"]:
    """Return the probability of each edge type before anything is seen."""
    return np.asarray(bound.prior or (1.0 / nri.edge_types,) * nri.edge_types, np.float32)


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


def draw_batch(
    arrays: SystemArrays, batch: int, key: PRNGKeyArray, shard, symmetries: Symmetries | None = None
) -> tuple[SystemArrays, PRNGKeyArray]:
    """Draw this shard's part of a batch of simulations, each after one of the symmetries, and a key each."""
    draw_key, noise_key = jax.random.split(key)
    part = batch // shard.count
    chosen = jax.random.randint(draw_key, (batch,), 0, len(arrays.features))
    chosen = jax.lax.dynamic_slice_in_dim(chosen, shard.index * part, part)
    numbers = shard.index * part + jnp.arange(part)
    keys = jax.vmap(lambda number: jax.random.fold_in(noise_key, number))(numbers)
    features = arrays.features[chosen]
    if symmetries is not None:
        turn_keys = jax.vmap(lambda key: jax.random.fold_in(key, TURN))(keys)
        features = jax.vmap(lambda x, key: turn_and_mirror(x, symmetries, key))(features, turn_keys)
    observed = None if arrays.observed is None else arrays.observed[chosen]
    base = None if arrays.base is None else arrays.base[chosen]
    return SystemArrays(features, arrays.edges[chosen], observed, base), keys


def cut_segments(
    features: Float[Array, "frame object feature"], key: PRNGKeyArray, count: int, length: int
) -> Float[Array, "segment frame object feature"]:
    """Cut `count` pieces of a simulation, each of `length` frames, beginning anywhere."""
    starts = jax.random.randint(key, (count,), 0, features.shape[0] - length + 1)
    return jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(features, start, length))(starts)


def tile_segments(
    features: Float[Array, "simulation frame object feature"], length: int
) -> Float[Array, "simulation segment frame object feature"]:
    """Cut pieces of `length` frames that follow each other, the last frame of one being the first of the next."""
    count = (features.shape[1] - 1) // (length - 1)
    return jnp.stack([features[:, k * (length - 1) : k * (length - 1) + length] for k in range(count)], axis=1)


def tile_edges(
    edges: Float[Array, "simulation interval edge type"], length: int
) -> Float[Array, "simulation segment interval edge type"]:
    """Cut the edges that go with the pieces of `tile_segments`: those of all frames of a piece but the last."""
    count = edges.shape[1] // length
    return edges[:, : count * length].reshape(len(edges), count, length, *edges.shape[2:])


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
    """Return the edge accuracy under the best renaming of the inferred types: for the eye, not for choosing."""
    true = match_frames(true, inferred.shape[1:])
    if true.ndim > inferred.ndim:  # One graph for all frames of edges that change.
        inferred = jnp.broadcast_to(inferred[:, None], true.shape)
    known = (true >= 0).astype(jnp.float32)
    matrix = jnp.zeros((types, types)).at[inferred, jnp.clip(true, 0, types - 1)].add(known) / jnp.maximum(
        known.sum(), 1.0
    )
    order = jnp.arange(types)
    renamed = [matrix[order, jnp.array(matching)].sum() for matching in itertools.permutations(range(types))]
    return jnp.stack(renamed).max()


def squared_errors(
    nri: Nri,
    params: Any,
    pieces: Float[Array, "simulation segment frame object feature"],
    edges: Float[Array, "simulation *piece edge type"],
    given: Bool[Array, "simulation segment step"],
    history: Float[Array, "simulation frame object feature"],
) -> Float[Array, "simulation segment step object feature"]:
    """Return squared errors of every frame after the first of each piece, by `model.decode`.

    Edges are those of a simulation, or [simulation, segment, step, edge, type] where they change.
    """
    if edges.ndim == 3:
        edges = jnp.broadcast_to(edges[:, None], (*pieces.shape[:2], *edges.shape[1:]))
    predicted = model.decode(nri, params, pieces[:, :, :-1], edges, given, history)
    return (predicted - pieces[:, :, 1:]) ** 2


def charge_edges(logits, log_prior, hyper, progress, pairs=None) -> Float[Array, " simulation"]:
    """Return KL(q || prior) of each simulation's edges in nats, above `free_bits` an edge, times its weight so far.

    Of edges that change it is the sum over frames.
    """
    log_probabilities = jax.nn.log_softmax(logits)
    divergence = (jnp.exp(log_probabilities) * (log_probabilities - log_prior)).sum(axis=-1)
    warm_up = hyper["kl_warm_up"]
    warm = jnp.where(progress < warm_up, progress / jnp.maximum(warm_up, 1e-6), 1.0)
    weight = hyper["kl_weight"] ** (1.0 - progress) * hyper["kl_weight_end"] ** progress
    charged = masks.apply_mask(jnp.maximum(divergence, hyper["free_bits"] * jnp.log(2.0)), pairs)
    return warm * weight * charged.sum(axis=tuple(range(1, charged.ndim)))


def anneal(start, end, progress):
    """Go from `start` to `end`, in a line."""
    return start + (end - start) * progress


def stack_runs(seeds: Sequence[int], train, validation_count: int) -> SystemRuns:
    """Stack one run per seed, with the hyperparameters of a config's `train` section."""
    count = len(seeds)
    return SystemRuns(
        seed=np.stack([np.asarray(seeds), np.zeros(count)], axis=1).astype(np.int32),
        validation_count=np.full(count, validation_count, np.int32),
        steps=np.full(count, train.steps, np.int32),
        hyper={name: np.full(count, train[name], np.float32) for name in PER_RUN},
    )
