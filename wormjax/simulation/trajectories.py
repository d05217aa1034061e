"""Trajectories of many systems of one kind, with their graphs where known, in memory and in files.

Three kinds of file are read. `features` is [simulation, frame, object, feature], floating point and finite; `edges` is
[simulation, sender, receiver], the type of each edge, whole numbers from 0; its diagonal is ignored and set to 0. The
graph of a file without `edges` is unknown.

- HDF5 (.h5, .hdf5), as `write_trajectories` writes it: the datasets `features` and `edges`; on the root the attributes
  `format` ("wormjax-trajectories"), `version` (1), `system`, `frame_interval` (seconds), `feature_names` and
  `edge_types` (lists of strings). Only `features` is required.
- NumPy archives (.npz): the same names, each an array; only `features` is required.
- A folder of the .npy files of Kipf, Fetaya et al. (2018), for each SPLIT (train, valid, test) and a SUFFIX such as
  springs5: `loc_SPLIT_SUFFIX.npy` and `vel_SPLIT_SUFFIX.npy` [simulation, frame, dimension, object], or
  `feat_SPLIT_SUFFIX.npy` [simulation, object, frame, feature], and `edges_SPLIT_SUFFIX.npy` [simulation, receiver,
  sender]. Strengths 0 and 1 are types 0 and 1; with half strengths 0, 0.5, 1 are types 0, 1, 2; products of charges
  -1, 1 are types 0, 1 (-1, 0, 1: types 0, 1, 2).

A folder may also hold one HDF5 or NumPy archive per split: train.h5, valid.h5, test.h5.
"""

import dataclasses
import hashlib
import json
import numbers
import os
import re
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import jax
import numpy as np
from jaxtyping import Float, Int

from wormjax.atomic_write import open_place
from wormjax.errors import InputError
from wormjax.simulation import array_files

FORMAT, VERSION = "wormjax-trajectories", 1
SPLITS = ("train", "valid", "test")
HDF5_ENDINGS = (".h5", ".hdf5")
ARCHIVE_ENDINGS = (*HDF5_ENDINGS, ".npz")
ARRAYS = ("features", "edges")
ATTRIBUTES = ("format", "version", "system", "feature_names", "edge_types", "frame_interval")
MOST_EDGE_TYPES = 100
REFERENCE_INTERVAL = 0.1  # Seconds between the frames of the reference's files.


@dataclasses.dataclass(frozen=True, eq=False)
class Trajectories:
    """Many systems of one kind, observed at the same times, in NumPy or JAX arrays. Shapes are checked when made.

    Attributes:
      system: its name, for instance "springs".
      features: the observation of each object in each frame.
      edges: the type of each edge, the diagonal 0; None where the graph is unknown.
      feature_names: one per feature.
      edge_types: the name of each type; () where the graph is unknown.
      frame_interval: seconds from one frame to the next.
      source: the file that the trajectories were read from, for messages.
    """

    system: str
    features: Float[jax.Array | np.ndarray, "simulation frame object feature"]
    edges: Int[jax.Array | np.ndarray, "simulation sender receiver"] | None
    feature_names: tuple[str, ...]
    edge_types: tuple[str, ...] = ()
    frame_interval: float = REFERENCE_INTERVAL
    source: str = "memory"

    def __post_init__(self):
        shape = np.shape(self.features)
        if len(shape) != 4 or min(shape) < 1 or shape[2] < 2:
            expected = "[simulation, frame, object, feature], two objects or more"
            _fail(self.source, "features", f"found shape {shape}, expected {expected}")
        if len(self.feature_names) != shape[3]:
            found = f"found {len(self.feature_names)} names, expected {shape[3]}, one per feature"
            _fail(self.source, "feature_names", found)
        if self.edges is not None and np.shape(self.edges) != (shape[0], shape[2], shape[2]):
            found = f"found shape {np.shape(self.edges)}, expected {(shape[0], shape[2], shape[2])} as the features"
            _fail(self.source, "edges", f"{found}: [simulation, sender, receiver]")
        if not (np.isfinite(self.frame_interval) and self.frame_interval > 0):
            _fail(self.source, "frame_interval", f"found {self.frame_interval}, expected seconds above 0")


def write_trajectories(trajectories: Trajectories, path: str | os.PathLike, **settings: object):
    """Write an HDF5 file; it appears under its name when it is complete.

    Args:
      trajectories: what to write.
      path: the file, which ends in .h5 or .hdf5.
      settings: kept as JSON beside the data, for the reader's information.

    Raises:
      InputError: another ending, or a place that cannot be written to.
    """
    path = Path(path)
    if path.suffix not in HDF5_ENDINGS:
        raise InputError(f"{path}: found the ending {path.suffix!r}, expected one of {', '.join(HDF5_ENDINGS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_place(path) as beside, h5py.File(beside, "w") as file:
            file.create_dataset("features", data=np.asarray(trajectories.features))
            if trajectories.edges is not None:
                edges = np.asarray(trajectories.edges)
                file.create_dataset("edges", data=edges.astype(np.min_scalar_type(max(int(edges.max()), 1))))
            file.attrs.update(version=VERSION, frame_interval=float(trajectories.frame_interval))
            # Strings of fixed length: damaged strings of variable length can make the HDF5 library hang.
            texts = {"format": FORMAT, "system": trajectories.system, "settings": json.dumps(settings, sort_keys=True)}
            file.attrs.update({field: np.bytes_(text.encode()) for field, text in texts.items()})
            for field in ("feature_names", "edge_types"):
                file.attrs[field] = np.array([name.encode() for name in getattr(trajectories, field)], "S")
    except OSError as error:
        expected = "expected a folder to write to"
        raise InputError(f"{path}: cannot be written ({error.strerror or error}), {expected}") from None


def cache_trajectories(
    folder: str | os.PathLike, name: str, settings: Mapping[str, object], simulate: Callable[[], Trajectories]
) -> Trajectories:
    """Return the trajectories of a cached file, or call `simulate` and cache its result.

    Args:
      folder: the folder of the cache.
      name: the first part of the file's name; the rest is a digest of the settings.
      settings: all that the result depends on, the seed included; JSON must be able to hold them.
      simulate: makes the trajectories.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    path = Path(folder) / f"{name}-{digest}.h5"
    if path.exists():
        return read_trajectories(path)
    trajectories = simulate()
    write_trajectories(trajectories, path, **settings)
    return trajectories


def read_trajectories(path: str | os.PathLike) -> Trajectories:
    """Read an HDF5 file or a NumPy archive of the layout in this module's docstring.

    Raises:
      InputError: it cannot be read, or does not have that layout.
    """
    path = Path(path)
    if path.suffix not in ARCHIVE_ENDINGS:
        found = f"found the ending {path.suffix!r}"
        raise InputError(f"{path}: {found}, expected one of {', '.join(ARCHIVE_ENDINGS)}")
    if not path.is_file():
        raise InputError(f"{path}: found no such file")
    if path.suffix in HDF5_ENDINGS:
        fields = array_files.read_hdf5(path, ARRAYS, ATTRIBUTES)
    else:
        fields = array_files.read_npz(path, ARRAYS + ATTRIBUTES)
    layout, version = fields.pop("format", FORMAT), fields.pop("version", VERSION)
    if not (isinstance(layout, str) and isinstance(version, numbers.Real) and (layout, version) == (FORMAT, VERSION)):
        found = f"found {reprlib.repr(layout)} version {reprlib.repr(version)}"
        raise InputError(f"{path}: {found}, expected {FORMAT!r} version {VERSION}")
    if "features" not in fields:
        _fail(path, "features", f"found none (but {', '.join(sorted(fields)) or 'nothing'}), expected trajectories")
    return _make_trajectories(str(path), **fields)


def read_splits(folder: str | os.PathLike, suffix: str | None = None) -> dict[str, Trajectories]:
    """Read a folder of splits: one archive per split, or the reference's .npy files.

    Args:
      folder: the folder of the files.
      suffix: of the .npy files, for instance "springs5"; needed where the folder holds those of several systems.

    Returns:
      Those of the splits train, valid and test that the folder holds, equal in objects and features.

    Raises:
      InputError: the folder holds no split, or one that cannot be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: found no such folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(f"{folder}: found a folder that may not be read, expected one that may")
    splits = {}
    for split in SPLITS:
        archives = [path for ending in ARCHIVE_ENDINGS if (path := folder / f"{split}{ending}").is_file()]
        if len(archives) > 1:
            raise InputError(f"{folder}: found {archives[0].name} and {archives[1].name}, expected one of them")
        if archives:
            splits[split] = read_trajectories(archives[0])
    splits = splits or _read_reference(folder, suffix)
    _check_agreement(folder, splits)
    return splits


def _read_reference(folder, suffix) -> dict[str, Trajectories]:
    """Return the splits of a folder of the reference's .npy files."""
    names = "|".join(SPLITS)
    matches = [re.fullmatch(rf"(loc|feat)_({names})_(.+)\.npy", path.name) for path in folder.iterdir()]
    found = {(match[2], match[3]): match[1] for match in matches if match}
    suffixes = sorted({known for _, known in found})
    if suffix is None and len(suffixes) > 1:
        raise InputError(f"{folder}: found files of {', '.join(suffixes)}, expected the suffix of one of them")
    suffix = suffix or (suffixes[0] if suffixes else None)
    if suffix not in suffixes:
        expected = f"loc_train_{suffix or 'springs5'}.npy and its companions, or train.h5, valid.h5, test.h5"
        raise InputError(f"{folder}: found no trajectories, expected {expected}")
    loaded = {
        split: (_load_features(folder, split, suffix, found[split, suffix]), _load_edges(folder, split, suffix))
        for split in SPLITS
        if (split, suffix) in found
    }
    edge_types = _number_strengths(folder, suffix, [edges for _, edges in loaded.values() if edges is not None])
    splits = {}
    for split, ((features, names), edges) in loaded.items():
        source = folder / f"{'edges' if edges is not None else found[split, suffix]}_{split}_{suffix}.npy"
        types = None if edges is None else np.searchsorted(edge_types, edges).astype(np.int32)
        labels = [f"{value:g}" for value in edge_types] if types is not None else ()
        system = suffix.rstrip("0123456789") or suffix
        splits[split] = _make_trajectories(source, features, types, system, names, labels, REFERENCE_INTERVAL)
    return splits


def _load_features(folder, split, suffix, kind):
    """Return the features [simulation, frame, object, feature] of a split, and their names."""
    if kind == "feat":
        features = _load_npy(folder / f"feat_{split}_{suffix}.npy", 4)
        return features.swapaxes(1, 2), [f"feature {k + 1}" for k in range(features.shape[3])]
    paths = [folder / f"{field}_{split}_{suffix}.npy" for field in ("loc", "vel")]
    location, velocity = (_load_npy(path, 4) for path in paths)
    if location.shape != velocity.shape:
        expected = f"expected {location.shape} as in {paths[0].name}"
        raise InputError(f"{paths[1]}: found shape {velocity.shape}, {expected}")
    for path, values in zip(paths, (location, velocity), strict=True):
        _check_features(path, values.swapaxes(2, 3))
    if location.shape[2] > 3:
        found = f"found {location.shape[2]} dimensions, expected at most 3"
        raise InputError(f"{paths[0]}: {found}: [simulation, frame, dimension, object]")
    axes = "xyz"[: location.shape[2]]
    names = [*axes, *(f"velocity {axis}" for axis in axes)]
    return np.concatenate([location, velocity], axis=2).swapaxes(2, 3), names


def _load_edges(folder, split, suffix):
    """Return the strengths [simulation, sender, receiver] of a split, or None."""
    path = folder / f"edges_{split}_{suffix}.npy"
    if not path.is_file():
        return None
    edges = _load_npy(path, 3)
    if edges.shape[1] != edges.shape[2]:
        raise InputError(f"{path}: found shape {edges.shape}, expected [simulation, receiver, sender]")
    return edges.swapaxes(1, 2)


def _number_strengths(folder, suffix, edges):
    """Return the strengths that stand for types 0, 1, ... in all splits together."""
    others = [values[:, ~np.eye(values.shape[1], dtype=bool)] for values in edges]
    strengths = {float(value) for values in others for value in np.unique(values)[: MOST_EDGE_TYPES + 1]}
    for known in ((0.0, 1.0), (-1.0, 1.0), (0.0, 0.5, 1.0), (-1.0, 0.0, 1.0)):
        if strengths <= set(known):
            return np.array(known)
    if all(0 <= value < MOST_EDGE_TYPES and value == int(value) for value in strengths):
        return np.arange(max(strengths) + 1)
    values = ", ".join(f"{value:g}" for value in sorted(strengths)[:6])
    expected = "0 and 1, or 0, 0.5 and 1, or -1 and 1, or edge types 0, 1, 2, ..."
    raise InputError(f"{folder}: edges_*_{suffix}.npy: found the strengths {values}, expected {expected}")


def _load_npy(path, axes) -> np.ndarray:
    values = array_files.read_npy(path)
    if values.ndim != axes or values.dtype.kind not in "fiu" or not values.size:
        found = f"found {values.dtype} of shape {values.shape}"
        raise InputError(f"{path}: {found}, expected numbers of {axes} axes")
    return values


def _make_trajectories(
    source, features, edges=None, system="unnamed", feature_names=None, edge_types=(), frame_interval=REFERENCE_INTERVAL
) -> Trajectories:
    """Return the trajectories of a file's fields, checked."""
    features = _check_features(source, np.asarray(features))
    names = feature_names if feature_names is not None else [f"feature {k + 1}" for k in range(features.shape[3])]
    for field, value in (("system", system), ("feature_names", names), ("edge_types", edge_types)):
        texts = [value] if field == "system" else value
        is_list = isinstance(texts, list | tuple)
        if not is_list or not all(isinstance(text, str) and text.isprintable() for text in texts):
            _fail(source, field, f"found {reprlib.repr(value)}, expected printable text")
    if isinstance(frame_interval, bool) or not isinstance(frame_interval, numbers.Real):
        _fail(source, "frame_interval", f"found {reprlib.repr(frame_interval)}, expected seconds")
    if edges is not None:
        edges = _check_edges(source, np.asarray(edges))
        types = max(int(edges.max(initial=0)) + 1, 2)
        edge_types = edge_types or [f"type {k}" for k in range(types)]
        if len(edge_types) < types:
            found = f"found {len(edge_types)} names, expected {types} or more, one per edge type"
            _fail(source, "edge_types", found)
    return Trajectories(system, features, edges, tuple(names), tuple(edge_types), float(frame_interval), str(source))


def _check_features(source, features):
    if features.dtype.kind not in "fiu" or features.ndim != 4:
        found = f"found {features.dtype} of shape {features.shape}"
        _fail(source, "features", f"{found}, expected numbers [simulation, frame, object, feature]")
    with np.errstate(over="ignore", invalid="ignore"):
        single = features.astype(np.float32)  # Numbers from 3e38 become infinite.
    finite = np.isfinite(single)
    if not finite.all():
        bad = np.unravel_index(int(np.argmin(finite)), finite.shape)
        place = ", ".join(f"{axis} {k}" for axis, k in zip(("simulation", "frame", "object"), bad, strict=False))
        _fail(source, "features", f"found {features[bad]} at {place}, expected finite values")
    return single


def _check_edges(source, edges):
    if edges.ndim != 3 or edges.shape[1] != edges.shape[2] or edges.dtype.kind not in "fiub" or not edges.size:
        found = f"found {edges.dtype} of shape {edges.shape}"
        _fail(source, "edges", f"{found}, expected edge types [simulation, sender, receiver]")
    edges = np.where(np.eye(edges.shape[1], dtype=bool), np.zeros((), edges.dtype), edges)
    wrong = ~((edges >= 0) & (edges < MOST_EDGE_TYPES))  # NaN too.
    wrong |= False if edges.dtype.kind in "iub" else edges != np.floor(edges)
    if wrong.any():
        expected = f"expected whole numbers from 0 to {MOST_EDGE_TYPES - 1}"
        _fail(source, "edges", f"found the type {edges[wrong][0]}, {expected}")
    return edges.astype(np.int32)


def _check_agreement(folder, splits):
    first, *others = splits.items()
    for split, trajectories in others:
        for field, axis in (("objects", 2), ("features", 3)):
            here, there = trajectories.features.shape[axis], first[1].features.shape[axis]
            if here != there:
                found = f"found {here} {field} in {split} and {there} in {first[0]}"
                raise InputError(f"{folder}: {found}, expected the same in every split")


def _fail(source, field, problem):
    raise InputError(f"{source}: field {field!r}: {problem}")
