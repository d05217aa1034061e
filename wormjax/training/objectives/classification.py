"""What a train step minimises. An objective is three pure functions of one run; everything else is shared.

`Objective` is all that the loop, the ensembles and the parallel code know of a task, so that classification, neural
relational inference and forecasting train by the same few functions.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from wormjax.features.dataset import WormArrays
from wormjax.models.layers import TrainingRngs
from wormjax.models.sampling import kl_divergence
from wormjax.recordings.recording import UNSCORED
from wormjax.training.runs import Runs

AUGMENTATIONS = ("gain", "offset", "noise", "neuron_dropout", "neuron_dropout_most")
INITIAL = 2**31  # No step has this number, so that initial parameters have a key of their own.


class Shard(NamedTuple):
    """Which part of each batch this device works on; the whole batch on a single one."""

    index: Int[Array, ""] | int = 0
    count: int = 1
    axis_name: str | None = None

    def total(self, value):
        """Return the sum over the devices that share the batch."""
        return value if self.axis_name is None else jax.lax.psum(value, self.axis_name)


class Objective(NamedTuple):
    """Functions of one run.

    initialise: run → variables (a flax dictionary with "params" and perhaps "batch_stats").
    loss: variables, data, run, progress, key, shard → (this shard's part of the loss, (batch_stats, metrics)); the
      parts add up. Progress goes from 0 to 1 over the run's steps.
    validate: variables, data, run → (score, metrics); the lower the score the better.
    """

    initialise: Callable[..., Any]
    loss: Callable[..., Any]
    validate: Callable[..., Any]


def run_key(run: Runs) -> PRNGKeyArray:
    """Return the key that all of a run's randomness grows from."""
    return jax.random.fold_in(jax.random.key(run.seed[0]), run.seed[1])


def initial_key(run: Runs) -> PRNGKeyArray:
    """Return the key of a run's initial parameters."""
    return jax.random.fold_in(run_key(run), jnp.uint32(INITIAL))


def draw_windows(
    windows: Int[Array, "window 2"], count: Int[Array, ""], key: PRNGKeyArray, batch: int
) -> Int[Array, "batch 2"]:
    """Draw windows uniformly, with replacement, from the first `count` of a run's table."""
    return windows[jax.random.randint(key, (batch,), 0, count)]


def draw_share(run: Runs, key: PRNGKeyArray, batch: int, shard: Shard) -> tuple[Int[Array, "part 2"], PRNGKeyArray]:
    """Draw a batch of a run's training windows, a key each; return this shard's part of both."""
    window_key, noise_key = jax.random.split(key)
    windows = draw_windows(run.training_windows, run.training_count, window_key, batch)
    keys = jax.vmap(lambda number: jax.random.fold_in(noise_key, number))(jnp.arange(batch))
    part = batch // shard.count
    return tuple(jax.lax.dynamic_slice_in_dim(values, shard.index * part, part) for values in (windows, keys))


def cut_windows(data: WormArrays, windows: Int[Array, "window 2"], length: int) -> WormArrays:
    """Return features [window, frame, neuron, feature], states and valid frames of windows (stretch, first frame)."""

    def cut(values, window):
        start = (window[0], window[1], *(0,) * (values.ndim - 2))
        return jax.lax.dynamic_slice(values, start, (1, length, *values.shape[2:]))[0]

    return jax.tree.map(lambda values: jax.vmap(lambda window: cut(values, window))(windows), data)


def list_augmentations(hyper: dict[str, Float[np.ndarray, " run"]]) -> tuple[str, ...]:
    """Return the kinds of `AUGMENTATIONS` that any run's hyperparameters have."""
    return tuple(kind for kind in AUGMENTATIONS if kind in hyper and (hyper[kind] > 0).any())


def augment_features(
    features: Float[Array, "window frame neuron feature"],
    keys: PRNGKeyArray,
    hyper: dict[str, Array],
    kinds: Collection[str] = AUGMENTATIONS,
) -> Float[Array, "window frame neuron feature"]:
    """Make each window look as if it came from another worm: gains, offsets, noise, and neurons not seen.

    `gain`: s.d. of the logarithm of each neuron's gain; `offset`: s.d. of each feature's offset; `noise`: s.d. of the
    noise added to each value; `neuron_dropout`: probability that a neuron is silent; where `neuron_dropout_most` is
    above it, each window draws its own between both. All in units of scaled features. Only `kinds` are drawn: random
    numbers cost time, even where they are multiplied by zero.
    """

    def augment(key, window):
        gain_key, offset_key, noise_key, drop_key = jax.random.split(key, 4)
        neurons, size = window.shape[1:]
        there = (window != 0).any(axis=-1, keepdims=True)  # What is masked stays masked.
        if "gain" in kinds:
            window = window * jnp.exp(hyper["gain"] * jax.random.normal(gain_key, (neurons, 1)))
        if "offset" in kinds:
            window = window + hyper["offset"] * jax.random.normal(offset_key, (neurons, size))
        if "noise" in kinds:
            window = window + hyper["noise"] * jax.random.normal(noise_key, window.shape)
        silent = hyper["neuron_dropout"]
        if "neuron_dropout_most" in kinds:
            spread = jnp.maximum(hyper["neuron_dropout_most"] - silent, 0.0)
            silent += spread * jax.random.uniform(jax.random.fold_in(drop_key, 0))
        if "neuron_dropout" in kinds or "neuron_dropout_most" in kinds:
            window = window * jax.random.bernoulli(drop_key, 1.0 - silent, (neurons, 1))
        return window * there

    return jax.vmap(augment)(keys, features)


def disturb_windows(
    features: Float[Array, "window frame neuron feature"], keys: PRNGKeyArray, hyper: dict[str, Array], kinds
) -> tuple[Float[Array, "window frame neuron feature"], TrainingRngs]:
    """Return windows as a network is shown them in training, and the rngs of the pass; see `augment_features`."""
    rng_keys, augment_keys = (jax.vmap(lambda key, n=n: jax.random.fold_in(key, n))(keys) for n in range(2))
    rngs = TrainingRngs(rng_keys, hyper["dropout"], hyper["temperature"])
    return augment_features(features, augment_keys, hyper, kinds), rngs


def charge_edges(edge_logits, edge_prior, hyper, batch: int) -> Float[Array, ""] | float:
    """Return what a batch's inferred graphs cost: `kl_weight` times their divergence from a prior, nats per edge."""
    if edge_logits is None or edge_prior is None:
        return 0.0
    divergence = kl_divergence(edge_logits, jnp.asarray(edge_prior)) / edge_logits.shape[-2]
    return hyper["kl_weight"] * divergence.sum() / batch


def classification(
    module: nn.Module,
    sizes: tuple[int, int],
    window_frames: int,
    batch_windows: int,
    augmentations: Collection[str] = AUGMENTATIONS,
    edge_prior: tuple[float, ...] | None = None,
    target_weight: float = 1.0,
) -> Objective:
    """Return the objective of the cross-entropy of the motor state per frame.

    Label smoothing, class balance and augmentation are hyperparameters. A module that decodes behaviours adds the mean
    squared error of each, in variances, times `target_weight`. What `runs.own` holds takes the place of the module's
    collections of the same names, which are no parameters ("identity", "targets").

    `sizes` are the numbers of neurons and features, `module` one of the classifiers of wormjax.models.

    Validation is by the plain negative log-likelihood a frame, so that it compares across hyperparameters. With an
    `edge_prior` (probability per edge type) the inferred graph pays `kl_weight` times its divergence, nats per edge.
    """

    def initialise(run):
        window = jnp.zeros((1, window_frames, *sizes)), jnp.ones((1, window_frames), bool)
        variables = module.init(initial_key(run), *window)
        return variables | {name: own for name, own in (run.own or {}).items() if name in variables}

    def loss(variables, data, run, progress, key, shard):
        windows, keys = draw_share(run, key, batch_windows, shard)
        batch = cut_windows(data, windows, window_frames)
        features, training_rngs = disturb_windows(batch.features, keys, run.hyper, augmentations)
        decoding, updates = module.apply(variables, features, batch.valid, training_rngs, mutable=["batch_stats"])
        # Of a frame: 0 where unscored, else (inverse class frequency) ** class_balance.
        balanced = jnp.maximum(run.class_weights, 1e-6) ** run.hyper["class_balance"]
        weights = jnp.where(batch.states == UNSCORED, 0.0, balanced[jnp.maximum(batch.states, 0)])
        total = shard.total(weights.sum())
        log_likelihood = _log_likelihood(decoding.logits, batch.states, run.hyper["label_smoothing"])
        value = -(weights * log_likelihood).sum() / jnp.maximum(total, 1e-6)
        value += charge_edges(decoding.edge_logits, edge_prior, run.hyper, batch_windows)
        if decoding.behavior is not None:
            error, known = _behavior_error(decoding.behavior, batch.behavior, run)
            value += (
                target_weight * (error.sum(axis=(0, 1)) / jnp.maximum(shard.total(known.sum(axis=(0, 1))), 1)).sum()
            )
        correct = ((decoding.logits.argmax(-1) == batch.states) * (weights > 0)).sum()
        frames = jnp.maximum(shard.total((weights > 0).sum()), 1)
        return value, (updates.get("batch_stats", {}), {"loss": value, "accuracy": correct / frames})

    def validate(variables, data, run):
        batch = cut_windows(data, run.validation_windows, window_frames)
        used = jnp.arange(len(run.validation_windows)) < run.validation_count
        decoding = module.apply(variables, batch.features, batch.valid & used[:, None], None)
        scored = (batch.states != UNSCORED) & used[:, None]
        log_likelihood = _log_likelihood(decoding.logits, batch.states, 0.0)
        frames = jnp.maximum(scored.sum(), 1)
        score = -(scored * log_likelihood).sum() / frames
        accuracy = (scored * (decoding.logits.argmax(-1) == batch.states)).sum() / frames
        metrics = {"nll": score, "accuracy": accuracy}
        if decoding.behavior is not None:
            error, known = _behavior_error(decoding.behavior, batch.behavior, run)
            error, known = ((values * used[:, None, None]).sum(axis=(0, 1)) for values in (error, known))
            metrics["behavior_error"] = (error / jnp.maximum(known, 1)).sum()
            score += target_weight * metrics["behavior_error"]
        return score, metrics

    return Objective(initialise, loss, validate)


def _behavior_error(decoded, measured, run):
    """Return the squared error of each behaviour in variances, 0 where it is not known, and where it is known."""
    known, scale = jnp.isfinite(measured), run.own["targets"]
    scaled = (decoded - scale["mean"]) / scale["sd"]
    return jnp.where(known, scaled - jnp.where(known, measured, 0), 0.0) ** 2, known


def _log_likelihood(logits, states, smoothing):
    count = logits.shape[-1]
    target = jax.nn.one_hot(jnp.maximum(states, 0), count) * (1.0 - smoothing) + smoothing / count
    return (target * jax.nn.log_softmax(logits)).sum(axis=-1)
