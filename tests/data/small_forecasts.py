"""Experiments of forecasts small enough for a test: a config of few steps, and made-up worms that no line explains."""

from collections.abc import Sequence

import ml_collections
import numpy as np

from configs.forecast import get_config
from wormjax.features.dataset import Dataset, WormArrays
from wormjax.recordings.motor_states import STATE_SETS

GRAPH = {
    "kind": "graph",
    "drift": "adapted",
    "hidden": 5,
    "message_hidden": 4,
    "encoder_hidden": 4,
    "embedding": 3,
    "modes": 1,
}
SMALL = {
    "data.simulation.worms": 2,
    "data.simulation.minutes": 2.0,
    "data.neurons": "AVAL,AVBL,RIML,VB01",
    "split.block": 48,
    "split.gap": 4,
    "forecast.first": 16,
    "forecast.every": 16,
    "forecast.steps": 8,
    "forecast.scored": (1, 2, 4, 8),
    "linear.orders": (1, 2),
    "linear.ridges": (1e-2,),
    "linear.adaptation.order": 2,
    "linear.adaptation.weights": (3.0,),
    "linear.adaptation.ridges": (1e-2,),
    "linear.adaptation.block": 8,
    "baselines": ("persistence", "var_2", "var_adapted"),
    "models": ("nri_graph",),
    "train.steps": 2,
    "train.steps_per_chunk": 1,
    "train.burn_in": 3,
    "train.roll_out": 4,
    "train.batch_windows": 4,
    "train.placement": "single",
    "train.checkpoint_seconds": 0.0,
}
FRAMES = (1200, 300)  # Of each worm.
NEURONS = ("first", "second", "third", "follower")


def small_config(**fields) -> ml_collections.ConfigDict:
    """The config of experiments.forecast, made small; `fields` by their full names, "." written "__"."""
    config = get_config()
    config.model = ml_collections.ConfigDict({"nri_graph": GRAPH | {"graph": "static"}})
    changes = {name.replace("__", "."): value for name, value in fields.items()}
    for name in [name for name in changes if name.startswith("model.") and name.count(".") == 1]:
        config.model[name.partition(".")[2]] = ml_collections.ConfigDict(changes.pop(name))
    with config.unlocked():
        config.update_from_flattened_dict(SMALL | changes)
    return config


def small_dataset(frames: Sequence[int] = FRAMES, seed: int = 0) -> Dataset:
    """Worms of four neurons: three wander, the last follows the first's distance from zero, one frame later.

    That distance is uncorrelated with a symmetric walk: no linear model sees the follower's next move coming.
    """
    features = np.zeros((len(frames), max(frames), 4, 1), np.float32)
    states = np.zeros(features.shape[:2], np.int32)
    for worm, count in enumerate(frames):
        random = np.random.default_rng([seed, worm])
        walk = np.zeros((count, 4))
        for frame in range(1, count):
            walk[frame, :3] = 0.8 * walk[frame - 1, :3] + 0.6 * random.normal(size=3)
            walk[frame, 3] = 1.5 * (abs(walk[frame - 1, 0]) - 0.8) + 0.1 * random.normal()
        features[worm, :count, :, 0] = walk
        states[worm, :count] = np.repeat(random.integers(0, 4, count), 10)[:count]
    valid = np.arange(max(frames)) < np.array(frames)[:, None]
    states = np.where(valid, states, -1).astype(np.int32)
    return Dataset(
        arrays=WormArrays(features, states, valid),
        scored_states=states.copy(),
        scored=valid.copy(),
        times=np.where(valid, np.arange(max(frames)) / 3.0, 0.0),
        stretch_worm=np.arange(len(frames), dtype=np.int32),
        worms=tuple(f"worm {worm}" for worm in range(len(frames))),
        neuron_names=NEURONS,
        feature_names=("trace",),
        state_names=STATE_SETS["four"],
        study="made up",
        frame_rate=3.0,
    )
