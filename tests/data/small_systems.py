"""Systems and configs of neural relational inference small enough for a test."""

import dataclasses
import os

import ml_collections
import numpy as np

from configs.nri_springs import get_defaults
from wormjax.simulation.trajectories import SPLITS, Trajectories

SMALL = {
    "data.objects": 3,
    "data.frames": 12,
    "data.test_frames": 20,
    "data.simulations.train": 60,
    "data.simulations.valid": 20,
    "data.simulations.test": 20,
    "model.encoder.hidden": 8,
    "model.encoder.kernels": (1, 1),
    "model.encoder.stride": 3,
    "model.encoder.pooling": 1,
    "model.encoder.rounds": 1,
    "model.decoder.hidden": 8,
    "model.decoder.name": "mlp",
    "model.lstm_hidden": 8,
    "models": ("nri",),
    "baselines": (),
    "train.posterior": "sampled",
    "train.steps": 4,
    "train.baseline_steps": 4,
    "train.steps_per_chunk": 2,
    "train.batch_simulations": 8,
    "train.turn_and_mirror": False,
    "train.segments": 2,
    "train.burn_in": 1,
    "train.roll_out": 1,
    "train.given": 1.0,
    "train.given_end": 1.0,
    "train.learning_rate": 3e-3,
    "train.placement": "single",
    "train.checkpoint_seconds": 0.0,
    "evaluate.steps": (1, 4, 8),
}
NAMES = ("x", "y", "velocity x", "velocity y")


def small_config(**fields) -> ml_collections.ConfigDict:
    """The config of experiments.infer, made small; `fields` by their full names, "." written "__"."""
    config = get_defaults("small")
    changes = {name.replace("__", "."): value for name, value in fields.items()}
    with config.unlocked():
        config.update_from_flattened_dict(SMALL | changes)
    return config


def make_system(simulations: int, frames: int, objects: int = 3, seed=0, types: int = 2) -> Trajectories:
    """Particles that circle, each pair that has an edge about its middle: any numbers that move smoothly will do."""
    random = np.random.default_rng(seed)
    edges = np.triu(random.integers(0, types, (simulations, objects, objects)), 1).astype(np.int32)
    edges += edges.swapaxes(1, 2)
    degree = edges.sum(axis=1)[:, None, :, None]
    phase, centre = random.normal(size=(2, simulations, 1, objects, 1))
    angle = phase + 0.2 * (1.0 + degree) * np.arange(frames)[None, :, None, None]
    location = centre + np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)
    velocity = 0.2 * (1.0 + degree) * np.concatenate([-np.sin(angle), np.cos(angle)], axis=-1)
    features = np.concatenate([location, velocity], axis=-1).astype(np.float32)
    return Trajectories("circles", features, edges, NAMES, tuple(f"type {k}" for k in range(types)))


def make_splits(objects: int = 3, frames: int = 12, test_frames: int = 20, seed: int = 0) -> dict[str, Trajectories]:
    """Training, validation and test systems, as many as `small_config` asks for."""
    counts = {split: SMALL[f"data.simulations.{split}"] for split in SPLITS}
    return {
        split: make_system(count, test_frames if split == "test" else frames, objects, [seed, number])
        for number, (split, count) in enumerate(counts.items())
    }


def write_archives(folder: str | os.PathLike, splits: dict[str, Trajectories], known: bool = True):
    """Writes train.npz, valid.npz and test.npz, with their graphs where `known`."""
    for split, trajectories in splits.items():
        fields = {"features": trajectories.features, "feature_names": np.array(trajectories.feature_names)}
        fields |= {"edges": trajectories.edges} if known else {}
        np.savez(os.path.join(folder, f"{split}.npz"), **fields, system=trajectories.system)


def write_reference(folder: str | os.PathLike, splits: dict[str, Trajectories], suffix: str = "springs3"):
    """Writes the .npy files of the reference, whose objects stand last and whose edges are [receiver, sender]."""
    for split, trajectories in splits.items():
        location, velocity = np.split(np.asarray(trajectories.features).swapaxes(2, 3), 2, axis=2)
        edges = np.asarray(trajectories.edges, float).swapaxes(1, 2)
        for field, values in (("loc", location), ("vel", velocity), ("edges", edges)):
            np.save(os.path.join(folder, f"{field}_{split}_{suffix}.npy"), values)


def replace_features(trajectories: Trajectories, features) -> Trajectories:
    """The trajectories with other features."""
    return dataclasses.replace(trajectories, features=np.asarray(features, np.float32))


def write_subjects(folder: str | os.PathLike, count: int, regions: int = 5, frames: int = 60, seed: int = 0):
    """Write `sim3_subject_*.npz` files of skewed effects on one graph; return the signals and the graph, as written."""
    random = np.random.default_rng(seed)
    causes = np.eye(regions, dtype=np.int16) + np.eye(regions, k=-1, dtype=np.int16)
    mixing = np.linalg.inv(np.eye(regions) - 0.6 * np.eye(regions, k=-1))
    signals = [mixing @ random.gamma(1.0, 1.0, (regions, frames)) for _ in range(count)]
    for number, signal in enumerate(signals):
        np.savez(os.path.join(folder, f"sim3_subject_{number}.npz"), X_np=signal, Gref=causes, n=regions, T=frames)
    return signals, causes
