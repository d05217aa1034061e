"""Experiments of reconstruction small enough for a test: a config of few steps, worms of different neurons."""

import ml_collections

from configs.reconstruct import get_config

SMALL = {
    "data.simulation.worms": 3,
    "data.simulation.minutes": 2.0,
    "data.simulation.neurons": 14,
    "data.simulation.named": 0.8,
    "split.block": 48,
    "split.gap": 4,
    "linear.penalties": (0.1, 1.0),
    "linear.shrinkages": (0.5, 0.8),
    "model.network": {"identity": "class", "embedding": 4, "node_hidden": 4, "channels": 6},
    "train.steps": 4,
    "train.steps_per_chunk": 2,
    "train.window_frames": 16,
    "train.batch_windows": 4,
    "train.members": 2,
    "train.placement": "single",
    "train.checkpoint_seconds": 0.0,
}


def small_config(**fields) -> ml_collections.ConfigDict:
    """The config of experiments.reconstruct, made small; `fields` by their full names, "." written "__"."""
    config = get_config()
    changes = SMALL | {name.replace("__", "."): value for name, value in fields.items()}
    config.model.network = ml_collections.ConfigDict(changes.pop("model.network"))
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    return config
