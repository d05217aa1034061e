"""Trials, and a config that predicts all their steps at once, small enough for a test."""

import ml_collections
import numpy as np
from small_systems import small_config

HORIZON = {
    "data.frames": 10,
    "data.test_frames": 16,
    "data.stride": 4,
    "data.train_stride": 2,
    "data.scaling": "features",
    "model.encoder.name": "mlp",
    "model.decoder.name": "horizon",
    "model.edge_types": 2,
    "linear.lags": (1, 2, 4),
    "linear.joint": False,
    "baselines": ("static", "constant_velocity", "damped_velocity", "var", "ridge"),
    "train.segments": 1,
    "train.mirror": True,
    "evaluate.steps": (1, 3, 6),
    "evaluate.error": "distance",
    "evaluate.features": ("x", "y"),
    "evaluate.futures": 5,
}


def horizon_config(**fields) -> ml_collections.ConfigDict:
    """The config of a model of all steps at once, made small; `fields` as for `small_config`."""
    changes = {name.replace(".", "__"): value for name, value in HORIZON.items()}
    return small_config(**changes | fields)


def make_trials(lengths, seed=0) -> dict[str, np.ndarray]:
    """A leader that wanders and followers that go where it was two frames ago."""
    random, trials = np.random.default_rng(seed), {}
    for number, length in enumerate(lengths):
        leader = np.cumsum(random.normal(size=(length + 2, 2)), axis=0)
        followers = [leader[:-2] + offset + 0.01 * random.normal(size=(length, 2)) for offset in (1.0, -1.0)]
        trials[f"trial {seed}-{number}"] = np.stack([leader[2:], *followers], axis=1).astype(np.float32)
    return trials


def write_trials(path, trials):
    """Write trials as one file."""
    np.savez(path, names=np.array(("leader", "f1", "f2")), **trials)
