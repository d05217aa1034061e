"""Trajectories → what a model of many systems trains, chooses and is tested on: opened, split and scaled.

Scaling "reference" is that of Kipf, Fetaya et al. (2018): all locations share one minimum and maximum, all velocities
another, any other feature has its own; the training simulations give them, and they are mapped to [-1, 1].
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from wormjax.errors import ConfigError, InputError
from wormjax.simulation.charged import simulate_charged
from wormjax.simulation.kuramoto import simulate_kuramoto
from wormjax.simulation.springs import simulate_springs
from wormjax.simulation.trajectories import SPLITS, Trajectories, cache_trajectories, read_splits, read_trajectories

SIMULATORS = {"springs": simulate_springs, "charged": simulate_charged, "kuramoto": simulate_kuramoto}
SCALINGS = ("reference", "none")
LOCATION_NAMES = frozenset("xyz")
SHARES = (0.8, 0.1, 0.1)  # Of one file's simulations: training, validation, test.


class Scaling(NamedTuple):
    """Lowest and highest value of each feature, mapped to -1 and 1; and the scaled features' typical change a frame."""

    low: Float[np.ndarray, " feature"]
    high: Float[np.ndarray, " feature"]
    change_scale: Float[np.ndarray, " feature"]


class Systems(NamedTuple):
    """The scaled splits of one kind of system, and how they were scaled."""

    train: Trajectories
    valid: Trajectories
    test: Trajectories
    scaling: Scaling


def open_systems(data, cache: str | os.PathLike) -> dict[str, Trajectories]:
    """The splits train, valid and test that a config's `data` section names: read from files, or simulated.

    Args:
      data: the section. `path` is a folder of splits, or one file, of which the first tenths train and the last test.
      cache: folder that keeps what was simulated.

    Raises:
      InputError: no such system, or files that cannot be used.
    """
    if data.path:
        return _read_path(Path(data.path), data.suffix or None)
    if data.system not in SIMULATORS:
        expected = f"expected one of {', '.join(SIMULATORS)}"
        raise ConfigError("data.system", f"found {data.system!r}, {expected}")
    return {split: _simulate(data, split, number, cache) for number, split in enumerate(SPLITS)}


def _simulate(data, split, number, cache):
    frames = data.test_frames if split == "test" else data.frames
    options: dict[str, Any] = {name: _to_plain(value) for name, value in data.simulation.items()}
    settings = {
        "system": data.system,
        "split": split,
        "seed": data.seed,
        "simulations": data.simulations[split],
        "objects": data.objects,
        "frames": frames,
        **options,
    }
    simulate = SIMULATORS[data.system]

    def make():
        key = jax.random.fold_in(jax.random.key(data.seed), number)
        return simulate(key, data.simulations[split], data.objects, frames, **options)

    try:
        return cache_trajectories(cache, f"{data.system}{data.objects}-{split}", settings, make)
    except TypeError as error:
        raise ConfigError("data.simulation", f"{error}") from None


def _to_plain(value):
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _read_path(path: Path, suffix) -> dict[str, Trajectories]:
    if path.is_dir():
        splits = read_splits(path, suffix)
        missing = [split for split in SPLITS if split not in splits]
        if missing:
            raise InputError(f"{path}: found no {missing[0]} split, expected {', '.join(SPLITS)}")
        return splits
    if not path.exists():
        raise ConfigError("data.path", f"found no such file or folder {str(path)!r}")
    whole = read_trajectories(path)
    count = len(whole.features)
    ends = np.cumsum([0, *(int(share * count) for share in SHARES[:-1]), count])[[0, 1, 2, -1]]
    if min(np.diff(ends)) < 1:
        raise InputError(f"{path}: field 'features': found {count} simulations, expected 10 or more to split")
    parts = zip(SPLITS, ends[:-1], ends[1:], strict=True)
    return {split: take_simulations(whole, slice(start, end)) for split, start, end in parts}


def take_simulations(trajectories: Trajectories, chosen: slice) -> Trajectories:
    """Some of the simulations."""
    edges = None if trajectories.edges is None else trajectories.edges[chosen]
    return dataclasses.replace(trajectories, features=trajectories.features[chosen], edges=edges)


def hold_out_simulations(trajectories: Trajectories) -> tuple[Trajectories, Trajectories]:
    """Return the first simulations to train on, and the last tenth, to choose parameters by.

    Raises:
      InputError: a single simulation.
    """
    count = len(trajectories.features)
    if count < 2:
        found = f"found {count} simulation, expected two or more; a long one can be cut (`cut_windows`)"
        raise InputError(f"{trajectories.source}: field 'features': {found}")
    start = count - max(1, int(SHARES[1] * count))
    return take_simulations(trajectories, slice(start)), take_simulations(trajectories, slice(start, None))


def scale_systems(splits: Mapping[str, Trajectories], frames: int, scaling: str = "reference") -> Systems:
    """Scales all splits by the training simulations, of which the first `frames` frames are kept to train on.

    Raises:
      InputError: an unknown scaling, or splits of fewer frames.
    """
    if scaling not in SCALINGS:
        raise ConfigError("data.scaling", f"found {scaling!r}, expected one of {', '.join(SCALINGS)}")
    for split, trajectories in splits.items():
        if trajectories.features.shape[1] < frames:
            found = f"found {trajectories.features.shape[1]} frames in the {split} split"
            raise InputError(f"{trajectories.source}: field 'features': {found}, expected {frames} (data.frames)")
    train, valid = (_cut_frames(splits[name], frames) for name in ("train", "valid"))
    low, high = _measure_range(train, scaling)
    unscaled = Scaling(low, high, np.ones(len(low)))
    train = scale_trajectories(train, unscaled)
    changes = np.diff(np.asarray(train.features[:2_000]), axis=1)
    scale = Scaling(low, high, _measure_change(changes))
    return Systems(train, scale_trajectories(valid, scale), scale_trajectories(splits["test"], scale), scale)


def scale_trajectories(trajectories: Trajectories, scaling: Scaling) -> Trajectories:
    """Features mapped so that `low` becomes -1 and `high` 1."""
    middle, half = (scaling.high + scaling.low) / 2, (scaling.high - scaling.low) / 2
    features = (np.asarray(trajectories.features) - middle.astype(np.float32)) / half.astype(np.float32)
    return dataclasses.replace(trajectories, features=features)


def _measure_change(changes):
    """The s.d. that most changes have: from their median, which a few leaps do not move; the s.d. where most are 0."""
    typical = 1.4826 * np.median(np.abs(changes), axis=(0, 1, 2))
    spread = changes.std(axis=(0, 1, 2))
    return np.maximum(np.where(typical > 0.01 * spread, typical, spread), 1e-6)


def _cut_frames(trajectories, frames):
    return dataclasses.replace(trajectories, features=trajectories.features[:, :frames])


def _measure_range(train, scaling):
    features = np.asarray(train.features)
    if scaling == "none":
        return -np.ones(features.shape[-1]), np.ones(features.shape[-1])
    low, high = (reduce(features, axis=(0, 1, 2)).astype(float) for reduce in (np.min, np.max))
    for group in _group_features(train.feature_names):
        low[group], high[group] = low[group].min(), high[group].max()
    if (high <= low).any():
        name = train.feature_names[int(np.argmax(high <= low))]
        raise InputError(f"{train.source}: field 'features': found {name!r} constant, expected one that changes")
    return low, high


def _group_features(names):
    """Which features share a range: locations, velocities, and each other one by itself."""
    locations = [k for k, name in enumerate(names) if name in LOCATION_NAMES]
    velocities = [k for k, name in enumerate(names) if name.startswith("velocity")]
    others = [[k] for k in range(len(names)) if k not in locations and k not in velocities]
    return [group for group in (locations, velocities, *others) if group]
