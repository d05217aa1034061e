"""The manifold experiment small enough for a test: few frames, few steps, one small network."""

import ml_collections

from configs.manifold import get_config

TRAIN = {
    "steps": 2,
    "steps_per_chunk": 1,
    "window_frames": 16,
    "batch_windows": 4,
    "members": 1,
    "runs_at_once": 1_000,
    "placement": "single",
    "checkpoint_seconds": 0.0,
}
SMALL = {
    "data.simulation.worms": 2,
    "data.simulation.minutes": 3.0,
    "data.neurons": "AVAL,AVBL,RIML,VB01",
    "components.gap_seconds": 5.0,
    "relations.methods": ("correlation", "granger"),
    "relations.shifts": 4,
    "relations.order": 1,
    "toy.frames": 1500,
    "sensitivity.parameters.delays": (2, 4),
    "sensitivity.parameters.delay_frames": (),
    "sensitivity.parameters.neighbours": (500, 5),
    "sensitivity.parameters.noise_frames": (),
    "sensitivity.parameters.phase_bins": (),
    "sensitivity.parameters.resolution": (),
    "tasks.decode.models": ("mlp",),
    "tasks.decode.model.mlp.hidden": 4,
    "tasks.decode.baselines": ("lda",),
    "tasks.forecast.models": (),
    "tasks.forecast.baselines": ("persistence", "mean"),
    "tasks.forecast.linear.orders": (1,),
    "tasks.forecast.forecast.steps": 16,
    "tasks.forecast.forecast.scored": (1, 4, 8),
    "tasks.ahead.models": (),
    "tasks.ahead.baselines": ("frequencies", "dwell_chain", "diffusion_map"),
    "tasks.ahead.ahead.seconds": (1.0, 5.0),
    "tasks.ahead.diffusion_map.delays": 4,
    "tasks.ahead.diffusion_map.neighbours": 5,
    "tasks.ahead.diffusion_map.phase_bins": 30,
    "tasks.ahead.diffusion_map.attempts": 2,
    "tasks.ahead.diffusion_map.cells": 30,
}


def small_config(**fields) -> ml_collections.ConfigDict:
    """The config of experiments.manifold, made small; `fields` by their full names, "." written "__"."""
    config = get_config()
    changes = SMALL | {f"tasks.decode.train.{name}": value for name, value in TRAIN.items()}
    changes |= {name.replace("__", "."): value for name, value in fields.items()}
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    return config
