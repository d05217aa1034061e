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
from wormjax.models.classifiers import Correction
from wormjax.recordings.recording import UNSCORED
from wormjax.training.objectives import classification


class AheadData(NamedTuple):
    """What the objective reads; it stays on the device.

    `base` holds what a chain of states expects, as log-probabilities of all answers beside each other: an entry per
    stretch and set of worms that the chain was fitted to; zeros where there is none. Networks learn what to add, and
    how much it counts (wormjax.models.classifiers). `runs.own["base"]` [run, stretch] is the entry of each stretch
    for a run's training worms.
    """

    worms: WormArrays
    states: Int[Array, "stretch frame horizon"]
    onset: Int[Array, "stretch frame"]
    base: Float[Array, "entry frame answer"]


def split_answers(
    values: Float[Array, "*batch answer"], states: int, horizons: int
) -> tuple[Float[Array, "*batch horizon state"], Float[Array, "*batch interval"]]:
    """Split all answers beside each other into the states at each horizon, and the interval of the next reversal."""
    count = horizons * states
    return values[..., :count].reshape(*values.shape[:-1], horizons, states), values[..., count:]


class AheadObjective(NamedTuple):
    """The objective of a classifier of wormjax.models with `horizons * states + horizons + 1` outputs."""

    module: nn.Module
    sizes: tuple[int, int]  # Numbers of neurons and features.
    states: int
    horizons: int
    window_frames: int  # That an answer is given from.
    batch_windows: int
    augmentations: Collection[str] = classification.AUGMENTATIONS
    # Probability per edge type; with it, the graph costs `kl_weight` times its divergence, nats per edge.
    edge_prior: tuple[float, ...] | None = None

    @property
    def corrected(self) -> Correction:
        """Return the classifier joined with a chain."""
        return Correction(self.module, self.states, self.horizons)

    def initialise(self, run):
        """Return the variables of a run."""
        shape, answers = (1, self.window_frames), self.horizons * self.states + self.horizons + 1
        window = jnp.zeros((*shape, *self.sizes)), jnp.ones(shape, bool), jnp.zeros((1, answers))
        return self.corrected.init(classification.initial_key(run), *window)

    def answer(self, variables, data, run, windows, features, valid, training_rngs):
        """Return the log-probabilities of the answers, which were true, and the logits of the edges."""
        stretch, origin = windows[:, 0], windows[:, 1] + self.window_frames - 1
        base = data.base[run.own["base"][stretch], origin]
        decoding = self.corrected.apply(variables, features, valid, base, training_rngs)
        parts = split_answers(decoding.logits, self.states, self.horizons)
        true = data.states[stretch, origin], data.onset[stretch, origin]
        return [jax.nn.log_softmax(part) for part in parts], true, decoding.edge_logits

    def measure(self, log_probabilities, true, shard=None):
        """Return the loss, and its metrics: negative log-likelihoods of the states at each horizon and of the onset."""
        by_horizon, onset = (average_nll(log, own, shard) for log, own in zip(log_probabilities, true, strict=True))
        value = (by_horizon.sum() + onset) / (self.horizons + 1)
        return value, {"first_nll": by_horizon[0], "last_nll": by_horizon[-1], "onset_nll": onset}

    def loss(self, variables, data, run, progress, key, shard):
        """Return the loss of a shard's part of a batch of windows, and its metrics."""
        windows, keys = classification.draw_share(run, key, self.batch_windows, shard)
        batch = classification.cut_windows(data.worms, windows, self.window_frames)
        features, training_rngs = classification.disturb_windows(batch.features, keys, run.hyper, self.augmentations)
        answers, true, edge_logits = self.answer(variables, data, run, windows, features, batch.valid, training_rngs)
        value, metrics = self.measure(answers, true, shard)
        metrics = {"loss": value, **metrics}
        value += classification.charge_edges(edge_logits, self.edge_prior, run.hyper, self.batch_windows)
        return value, ({}, metrics)

    def validate(self, variables, data, run):
        """Return the mean loss over a run's validation windows, and its metrics."""
        windows = run.validation_windows
        batch = classification.cut_windows(data.worms, windows, self.window_frames)
        used = jnp.arange(len(windows)) < run.validation_count
        valid = batch.valid & used[:, None]
        answers, true, _ = self.answer(variables, data, run, windows, batch.features, valid, None)
        known = jnp.where(used[:, None], true[0], UNSCORED), jnp.where(used, true[1], UNSCORED)
        score, metrics = self.measure(answers, known)
        return score, {"nll": score, **metrics}


def average_nll(log_probabilities, true, shard: classification.Shard | None = None) -> Float[Array, " *question"]:
    """Return the mean negative log-likelihood of each question, over the windows in which its answer is known."""
    known = true != UNSCORED
    chosen = jnp.take_along_axis(log_probabilities, jnp.maximum(true, 0)[..., None], axis=-1)[..., 0]
    total = known.sum(axis=0)
    total = shard.total(total) if shard is not None else total
    return -(known * chosen).sum(axis=0) / jnp.maximum(total, 1)
