"""What a classifier of the states ahead minimises: the cross-entropy of every question at the last frame of a window.

A window ends with the frame that the questions are asked in (wormjax.features.ahead), so that whatever context a
network takes within it lies in the past.
"""

from collections.abc import Collection
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wormjax.features.dataset import WormArrays
from wormjax.models.layers import TrainingRngs
from wormjax.models.markov_residual import Correction
from wormjax.models.sampling import kl_divergence
from wormjax.recordings.recording import UNSCORED
from wormjax.training.objectives.classification import (
    AUGMENTATIONS,
    INITIAL,
    Objective,
    augment_features,
    cut_windows,
    draw_windows,
    run_key,
)


class AheadData(NamedTuple):
    """What the objective reads; it stays on the device.

    `base` holds what a chain of states expects, as log-probabilities of all answers beside each other: an entry a
    stretch and a set of worms that the chain was fitted to; zeros where there is none. The networks learn what to add,
    and how much it counts (wormjax.models.correction).
    """

    worms: WormArrays
    states: Int[Array, "stretch frame horizon"]
    onset: Int[Array, "stretch frame"]
    base: Float[Array, "entry frame answer"]


class AheadRuns(NamedTuple):
    """Arrays with a leading run axis; windows are (stretch, first frame), padded after the counts.

    `base_index` is the entry of each stretch's base for this run's training worms.
    """

    seed: Int[Array, "run 2"]
    training_windows: Int[Array, "run window 2"]
    training_count: Int[Array, " run"]
    validation_windows: Int[Array, "run window 2"]
    validation_count: Int[Array, " run"]
    base_index: Int[Array, "run stretch"]
    steps: Int[Array, " run"]
    hyper: dict[str, Float[Array, " run"]]


def split_answers(
    values: Float[Array, "*batch answer"], states: int, horizons: int
) -> tuple[Float[Array, "*batch horizon state"], Float[Array, "*batch interval"]]:
    """All answers beside each other → the states at each horizon, and the interval of the next reversal."""
    count = horizons * states
    return values[..., :count].reshape(*values.shape[:-1], horizons, states), values[..., count:]


def ahead(
    module: nn.Module,
    sizes: tuple[int, int],
    states: int,
    horizons: int,
    window_frames: int,
    batch_windows: int,
    augmentations: Collection[str] = AUGMENTATIONS,
    edge_prior: tuple[float, ...] | None = None,
) -> Objective:
    """The objective of a classifier of wormjax.models with `horizons * states + horizons + 1` outputs.

    Args:
      module: the classifier.
      sizes: numbers of neurons and features.
      states, horizons: how many.
      window_frames: frames that an answer is given from.
      batch_windows: windows an update.
      augmentations: see `augment_features`.
      edge_prior: probability of each edge type; with it, the graph costs `kl_weight` times its divergence, nats per
        edge.
    """

    corrected = Correction(module, states, horizons)

    def initialise(run):
        window = jnp.zeros((1, window_frames, *sizes)), jnp.ones((1, window_frames), bool)
        base = jnp.zeros((1, horizons * states + horizons + 1))
        return corrected.init(jax.random.fold_in(run_key(run), jnp.uint32(INITIAL)), *window, base)

    def answer(variables, data, run, windows, features, valid, training_rngs):
        """Log-probabilities of the answers, and which were true."""
        stretch, origin = windows[:, 0], windows[:, 1] + window_frames - 1
        base = data.base[run.base_index[stretch], origin]
        decoding = corrected.apply(variables, features, valid, base, training_rngs)
        parts = split_answers(decoding.logits, states, horizons)
        log_states, log_onset = (jax.nn.log_softmax(part) for part in parts)
        true = data.states[stretch, origin], data.onset[stretch, origin]
        return (log_states, log_onset), true, decoding.edge_logits

    def count(log_probabilities, true, shard=None):
        """The mean negative log-likelihood of each question, over the windows in which its answer is known."""
        known = true != UNSCORED
        chosen = jnp.take_along_axis(log_probabilities, jnp.maximum(true, 0)[..., None], axis=-1)[..., 0]
        total = known.sum(axis=0)
        total = shard.total(total) if shard is not None else total
        return -(known * chosen).sum(axis=0) / jnp.maximum(total, 1)

    def loss(variables, data, run, progress, key, shard):
        window_key, noise_key = jax.random.split(key)
        windows = draw_windows(run.training_windows, run.training_count, window_key, batch_windows)
        keys = jax.vmap(lambda number: jax.random.fold_in(noise_key, number))(jnp.arange(batch_windows))
        part = batch_windows // shard.count
        windows = jax.lax.dynamic_slice_in_dim(windows, shard.index * part, part)
        keys = jax.lax.dynamic_slice_in_dim(keys, shard.index * part, part)
        batch = cut_windows(data.worms, windows, window_frames)
        training_rngs = TrainingRngs(
            jax.vmap(lambda k: jax.random.fold_in(k, 0))(keys), run.hyper["dropout"], run.hyper["temperature"]
        )
        augment_keys = jax.vmap(lambda k: jax.random.fold_in(k, 1))(keys)
        features = augment_features(batch.features, augment_keys, run.hyper, augmentations)
        outputs = answer(variables, data, run, windows, features, batch.valid, training_rngs)
        (log_states, log_onset), true, edge_logits = outputs
        by_horizon, onset = count(log_states, true[0], shard), count(log_onset, true[1], shard)
        value = (by_horizon.sum() + onset) / (horizons + 1)
        metrics = {"loss": value, "first_nll": by_horizon[0], "last_nll": by_horizon[-1], "onset_nll": onset}
        if edge_logits is not None and edge_prior is not None:
            divergence = kl_divergence(edge_logits, jnp.asarray(edge_prior)) / edge_logits.shape[-2]
            value += run.hyper["kl_weight"] * divergence.sum() / batch_windows
        return value, ({}, metrics)

    def validate(variables, data, run):
        windows = run.validation_windows
        batch = cut_windows(data.worms, windows, window_frames)
        used = jnp.arange(len(windows)) < run.validation_count
        (log_states, log_onset), true, _ = answer(
            variables, data, run, windows, batch.features, batch.valid & used[:, None], None
        )
        states_known = jnp.where(used[:, None], true[0], UNSCORED)
        by_horizon = count(log_states, states_known)
        onset = count(log_onset, jnp.where(used, true[1], UNSCORED))
        score = (by_horizon.sum() + onset) / (horizons + 1)
        return score, {"nll": score, "first_nll": by_horizon[0], "last_nll": by_horizon[-1], "onset_nll": onset}

    return Objective(initialise, loss, validate)
