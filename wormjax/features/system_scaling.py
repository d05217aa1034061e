"""Systems scaled for a model by the simulations that it trains on.

Scaling "reference" is that of Kipf, Fetaya et al. (2018): all locations share one minimum and maximum, all velocities
another, any other feature has its own; the training simulations give them, and they are mapped to [-1, 1]. With
"features" each feature has its own.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wormjax.errors import InputError
from wormjax.features.systems import cut_frames
from wormjax.simulation.trajectories import Trajectories, hide_missing

SCALINGS = ("reference", "features", "none")
LOCATION_NAMES = frozenset("xyz")


class Scaling(NamedTuple):
    """Lowest and highest value of each feature, mapped to -1 and 1; typical change of scaled features per frame."""

    low: Float[np.ndarray, " feature"]
    high: Float[np.ndarray, " feature"]
    change_scale: Float[np.ndarray, " feature"]


class Systems(NamedTuple):
    """The scaled splits of one kind of system, and how they were scaled."""

    train: Trajectories
    valid: Trajectories
    test: Trajectories
    scaling: Scaling


def scale_systems(
    splits: Mapping[str, Trajectories], frames: int, scaling: str = "reference", whole: bool = False
) -> Systems:
    """Scale all splits by the training simulations, of which the first `frames` frames are kept to train on, or all.

    InputError for splits of fewer frames.
    """
    for split, trajectories in splits.items():
        if trajectories.features.shape[1] < frames:
            found = f"found {trajectories.features.shape[1]} frames in the {split} split"
            raise InputError(f"{trajectories.source}: field 'features': {found}, expected {frames} (data.frames)")
    train, valid = (splits[name] if whole else cut_frames(splits[name], frames) for name in ("train", "valid"))
    low, high = _measure_range(train, scaling)
    unscaled = Scaling(low, high, np.ones(len(low)))
    train = scale_trajectories(train, unscaled)
    changes = np.diff(hide_missing(train)[:2_000], axis=1)
    scale = Scaling(low, high, _measure_change(changes))
    return Systems(train, scale_trajectories(valid, scale), scale_trajectories(splits["test"], scale), scale)


def scale_trajectories(trajectories: Trajectories, scaling: Scaling) -> Trajectories:
    """Return features mapped so that `low` becomes -1 and `high` 1."""
    middle, half = (scaling.high + scaling.low) / 2, (scaling.high - scaling.low) / 2
    features = (np.asarray(trajectories.features) - middle.astype(np.float32)) / half.astype(np.float32)
    return dataclasses.replace(trajectories, features=features)


def _measure_change(changes):
    """Return the s.d. of most changes: from their median, which a few leaps do not move; of all, where most are 0."""
    median, deviation = (np.nanmedian, np.nanstd) if np.isnan(changes).any() else (np.median, np.std)
    typical = 1.4826 * median(np.abs(changes), axis=(0, 1, 2))
    spread = deviation(changes, axis=(0, 1, 2))
    return np.maximum(np.where(typical > 0.01 * spread, typical, spread), 1e-6)


def _measure_range(train, scaling):
    features = hide_missing(train)
    if scaling == "none":
        return -np.ones(features.shape[-1]), np.ones(features.shape[-1])
    low, high = (reduce(features, axis=(0, 1, 2)).astype(float) for reduce in (np.nanmin, np.nanmax))
    locations = [name in LOCATION_NAMES for name in train.feature_names]
    velocities = [name.startswith("velocity") for name in train.feature_names]
    for group in (locations, velocities) if scaling == "reference" else ():
        if any(group):
            low[group], high[group] = low[group].min(), high[group].max()
    if (high <= low).any():
        name = train.feature_names[int(np.argmax(high <= low))]
        raise InputError(f"{train.source}: field 'features': found {name!r} constant, expected one that changes")
    return low, high
