"""Experiments of the state ahead small enough for a test: a config of few steps, and made-up worms of slow states."""

from collections.abc import Sequence

import ml_collections
import numpy as np

from configs.ahead import get_config
from wormjax.features.dataset import Dataset, WormArrays
from wormjax.recordings.motor_states import STATE_SETS
from wormjax.recordings.recording import UNSCORED

MLP = {"kind": "mlp", "hidden": 4, "offsets": (-4, 0), "base": "none"}
GRAPH = {"kind": "nri_graph", "node_hidden": 2, "edge_hidden": 3, "channels": 4, "dilations": (1,), "base": "none"}
SMALL = {
    "data.simulation.worms": 2,
    "data.simulation.minutes": 2.0,
    "data.neurons": "AVAL,AVBL,RIML,VB02",
    "split.block": 48,
    "split.gap": 4,
    "ahead.seconds": (1.0, 3.0),
    "ahead.first": 16,
    "ahead.every": 4,
    "linear.offsets": (-4, 0),
    "linear.inverse_penalty": 0.1,
    "linear.frame_weights": (0.1, 1.0),
    "diffusion_map.delays": 2,
    "diffusion_map.neighbours": 4,
    "diffusion_map.apart_frames": 5,
    "diffusion_map.phase_bins": 12,
    "diffusion_map.attempts": 2,
    "diffusion_map.cells": 20,
    "models": ("mlp",),
    "train.steps": 4,
    "train.steps_per_chunk": 2,
    "train.window_frames": 12,
    "train.batch_windows": 4,
    "train.members": 1,
    "train.placement": "single",
    "train.checkpoint_seconds": 0.0,
}
FRAMES = ((150,), (140,), (90, 60))  # Of each stretch of each worm.


def small_config(**fields) -> ml_collections.ConfigDict:
    """The config of experiments.ahead, made small; `fields` by their full names, "." written "__"."""
    config = get_config()
    config.model = ml_collections.ConfigDict({"mlp": MLP, "graph": GRAPH})
    config.pools = ml_collections.ConfigDict()
    changes = {name.replace("__", "."): value for name, value in fields.items()}
    for name in [name for name in changes if name.startswith("model.") and name.count(".") == 1]:
        config.model[name.partition(".")[2]] = ml_collections.ConfigDict(changes.pop(name))
    with config.unlocked():
        config.update_from_flattened_dict(SMALL | changes)
    return config


def small_dataset(
    frames: Sequence[Sequence[int]] = FRAMES, neurons: int = 3, bouts: tuple[int, int] = (5, 16), seed: int = 0
) -> Dataset:
    """Worms at 3 Hz whose neurons tell the motor state, a bout at a time, through noise; some frames are unscored.

    Args:
      frames: of each stretch of each worm.
      neurons: how many, of two features each.
      bouts: least number of frames of a bout, and one more than the largest.
      seed: of the worms.
    """
    prototypes = np.random.default_rng(seed).normal(size=(4, neurons, 2))
    lengths = [(worm, count) for worm, counts in enumerate(frames) for count in counts]
    longest = max(count for _, count in lengths) + 3
    features = np.zeros((len(lengths), longest, neurons, 2), np.float32)
    states = np.full((len(lengths), longest), UNSCORED, np.int32)
    for stretch, (_, count) in enumerate(lengths):
        random = np.random.default_rng([seed, stretch])
        order = np.cumsum(random.integers(1, 4, count)) % 4  # No state follows itself.
        own = np.repeat(order, random.integers(*bouts, count))[:count]
        features[stretch, :count] = prototypes[own] + 0.7 * random.normal(size=(count, neurons, 2))
        states[stretch, :count] = np.where(random.random(count) < 0.02, UNSCORED, own)
    valid = np.arange(longest) < np.array([count for _, count in lengths])[:, None]
    return Dataset(
        arrays=WormArrays(features, states, valid),
        scored_states=states.copy(),
        scored=valid.copy(),
        times=np.where(valid, np.arange(longest) / 3.0, 0.0),
        stretch_worm=np.array([worm for worm, _ in lengths], np.int32),
        worms=tuple(f"worm {worm}" for worm in range(len(frames))),
        neuron_names=tuple(f"N{neuron}" for neuron in range(neurons)),
        feature_names=("trace", "causal_derivative 5 s"),
        state_names=STATE_SETS["four"],
        study="made up",
        frame_rate=3.0,
    )
