"""Experiments of graphs between neurons small enough for a test."""

import ml_collections

from configs.neuron_graphs import get_config

SMALL = {
    "data.simulation.worms": 3,
    "data.simulation.minutes": 2.0,
    "data.simulation.neurons": 10,
    "data.simulation.named": 0.9,
    "nulls.rewirings": 20,
    "nulls.permutations": 20,
    "nulls.shifts": 3,
    "nulls.draws": 50,
    "curves.shares": (0.5, 1.0),
    "perturbation.starts": 2,
    "perturbation.seconds": 3.0,
    "tasks.reconstruct.model.network": {"identity": "class", "embedding": 4, "node_hidden": 4, "channels": 6},
    "tasks.reconstruct.train.members": 1,
    "tasks.forecast.model.recurrent.hidden": 4,
    "tasks.forecast.linear.adaptation.order": 2,
    "tasks.forecast.linear.orders": (2,),
}
TRAIN = {"steps": 4, "steps_per_chunk": 2, "batch_windows": 4, "placement": "single", "checkpoint_seconds": 0.0}


def small_config(**fields) -> ml_collections.ConfigDict:
    """The config of experiments.relate, made small; `fields` by their full names, "." written "__"."""
    config = get_config()
    changes = SMALL | {name.replace("__", "."): value for name, value in fields.items()}
    network = ml_collections.ConfigDict(changes.pop("tasks.reconstruct.model.network"))
    with config.unlocked():
        config.tasks.reconstruct.model.network = network
        config.tasks.reconstruct.train.update({**TRAIN, "window_frames": 16})
        config.tasks.forecast.train.update({**TRAIN, "roll_out": 4, "burn_in": 4})
        config.update_from_flattened_dict(changes)
    return config
