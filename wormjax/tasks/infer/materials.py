"""The systems of an `infer` config: opened or simulated, scaled, and stacked into the arrays that train and test."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax import graphs
from wormjax.baselines.horizon_regression import number_kinds
from wormjax.errors import ConfigError
from wormjax.features.system_scaling import Scaling, Systems, scale_systems, scale_trajectories
from wormjax.features.systems import cut_frames, hide_objects, open_systems
from wormjax.models.nri import HORIZON
from wormjax.scoring.frame_errors import DISTANCE
from wormjax.scoring.rows import Row
from wormjax.simulation.trajectories import SPLITS, Trajectories, hide_missing
from wormjax.tasks.infer.horizons import Base, fit_base
from wormjax.training.objectives.system_batches import SystemArrays, SystemData


class Materials(NamedTuple):
    """A config's systems, ready to train and test on; `whole` are those with the hidden objects, if any are hidden."""

    systems: Systems
    data: SystemData
    edge_types: int
    base: Base | None = None
    whole: Systems | None = None


def prepare_materials(config, cache: str | os.PathLike) -> Materials:
    """Open or simulate, scale and stack all systems that a config names.

    Raises:
      InputError: a file or a field that cannot be used.
    """
    splits, hidden = open_systems(config.data, cache), config.data.get("hidden", 0)
    if not hidden:
        return gather_materials(config, scale_splits(config, splits))
    systems = scale_splits(config, {split: hide_objects(splits[split], hidden) for split in SPLITS})
    # Nobody knows the range of what is hidden: the whole is scaled as the observed objects are.
    whole = {split: scale_trajectories(splits[split], systems.scaling) for split in SPLITS}
    whole |= {split: cut_frames(whole[split], config.data.frames) for split in ("train", "valid")}
    return gather_materials(config, systems)._replace(whole=Systems(**whole, scaling=systems.scaling))


def scale_splits(config, splits: Mapping[str, Trajectories]) -> Systems:
    """Scale the splits as a config asks, and keep the frames that its models train on."""
    return scale_systems(splits, config.data.frames, config.data.scaling, whole=config.model.decoder.name == HORIZON)


def gather_materials(config, systems: Systems) -> Materials:
    """Return scaled systems with the arrays that train, and the number of edge types."""
    types = config.model.edge_types or max(len(systems.train.edge_types), 2)
    data = SystemData(stack_system(systems.train), stack_system(systems.valid))
    if config.model.decoder.name != HORIZON:
        return Materials(systems, data, types)
    base = fit_base(config, systems)
    data = SystemData(data.training._replace(base=base.training), data.validation._replace(base=base.validation))
    return Materials(systems, data, types, base)


def stack_system(trajectories: Trajectories) -> SystemArrays:
    """Return the arrays that training reads: features at float32, types by edge, -1 where the graph is not known."""
    pairs = find_pairs(trajectories.present)
    edges = np.full(pairs.shape, -1)
    if trajectories.edges is not None:
        pairs = pairs[:, None] if np.ndim(trajectories.edges) == 4 else pairs
        edges = np.where(pairs, graphs.matrix_to_edges(trajectories.edges), -1)
    observed = None if trajectories.observed is None else np.asarray(trajectories.observed)
    return SystemArrays(np.asarray(trajectories.features, np.float32), edges.astype(np.int32), observed)


def find_edges(trajectories: Trajectories, history: int) -> Int[np.ndarray, "simulation *frame edge"]:
    """Return the true types of the edges that a model infers from the first frames, -1 where one is not known."""
    edges = stack_system(trajectories).edges
    return edges[:, :history] if edges.ndim == 3 else edges


def list_rows(model: str, study: str, group: str, seed: int, scores: Mapping[str, float]) -> list[Row]:
    """Return the rows of a model's scores on a group of test systems."""
    return [Row(model, study, ("train",), study, group, seed, metric, value) for metric, value in scores.items()]


def find_pairs(present: Bool[np.ndarray, "simulation object"]) -> Bool[np.ndarray, "simulation edge"]:
    """Return which edges have both their objects."""
    return graphs.matrix_to_edges(present[:, :, None] & present[:, None, :])


def name_types(config, known: Sequence[str], count: int) -> list[str]:
    """Return the names of `count` inferred types: the true ones', or what the decoder makes of them."""
    first = "no edge" if config.model.skip_first else "type 0"
    names = list(known) or [first]
    return [*names, *(f"type {k}" for k in range(len(names), count))]


def describe_materials(materials: Materials) -> dict:
    """Return what a workdir records of its systems: their names, their scale and a fingerprint."""
    systems, digest = materials.systems, hashlib.sha256()
    splits = materials.data.training._replace(base=None), materials.data.validation._replace(base=None)
    for arrays in (*splits[0], *splits[1], systems.test.features):
        if arrays is not None:
            digest.update(np.ascontiguousarray(arrays).tobytes())
    return {
        "system": systems.train.system,
        "objects": int(systems.train.features.shape[2]),
        "features": list(systems.train.feature_names),
        "kinds": list(number_kinds(systems.train.object_names, systems.train.features.shape[2])),
        "edge_types": list(systems.train.edge_types),
        "edge_type_count": materials.edge_types,
        **{field: values.tolist() for field, values in systems.scaling._asdict().items()},
        "fingerprint": digest.hexdigest(),
    }


def find_unknown(materials: Materials) -> str | None:
    """Return the file whose systems, to train or to choose on, have no known graph; None where all have one."""
    for split in (materials.systems.train, materials.systems.valid):
        if split.edges is None or (stack_system(split).edges < 0).all():
            return split.source
    return None


def find_truth(config, test: Trajectories) -> Float[np.ndarray, "simulation frame object feature"]:
    """Return the features with NaN for all that is not scored: missing, or not in `evaluate.features`, or unscored.

    Raises:
      InputError: a name in `evaluate` that the systems do not have.
    """
    truth = np.array(hide_missing(test))
    for field, names in (("features", test.feature_names), ("unscored", test.object_names)):
        unknown = [name for name in config.evaluate[field] if name not in names]
        if unknown:
            found = f"found {unknown[0]!r}, expected some of {', '.join(names) or 'none: they have no names'}"
            raise ConfigError(f"evaluate.{field}", found)
    if config.evaluate.features:
        truth[..., [name not in config.evaluate.features for name in test.feature_names]] = np.nan
    unscored = (*config.evaluate.unscored, *config.model.decoder.given)
    if unscored:
        truth[:, :, [name in unscored for name in test.object_names]] = np.nan
    return truth


def find_units(config, scaling: Scaling) -> Float[np.ndarray, " feature"] | None:
    """Return what a scaled feature of 1 is in the units of the file, where errors are distances in them; else None."""
    return (scaling.high - scaling.low) / 2 if config.evaluate.error == DISTANCE else None
