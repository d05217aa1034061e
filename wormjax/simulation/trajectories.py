"""Trajectories of many systems of one kind, with their graphs where known, in memory and in files.

Three kinds of file are read. `features` is [simulation, frame, object, feature], floating point; a sample that is NaN
is missing, and where systems have fewer objects than others, the objects that they lack are NaN in all frames. `edges`
is [simulation, sender, receiver], the type of each edge, whole numbers from 0 (or all from 1, which are renumbered), -1
or NaN where unknown; its diagonal is ignored and set to 0. Edges that change are [simulation, frame, sender, receiver];
those of frame t act from it to frame t + 1. Flat edges [simulation, N (N - 1)] are in the order of Kipf,
Fetaya et al. (2018): by receiver, then by sender. The graph of a file without `edges` is unknown.

- HDF5 (.h5, .hdf5), as `write_trajectories` writes it: the datasets `features`, `edges` and `temperatures` (one per
  simulation); on the root the attributes `format` ("wormjax-trajectories"), `version` (1), `system`, `frame_interval`
  (seconds), `feature_names`, `edge_types` and `object_names` (lists of strings). Only `features` is required.
- NumPy archives (.npz): the same names, each an array; only `features` is required.
- A folder of the .npy files of Kipf, Fetaya et al. (2018), for each SPLIT (train, valid, test) and a SUFFIX such as
  springs5: `loc_SPLIT_SUFFIX.npy` and `vel_SPLIT_SUFFIX.npy` [simulation, frame, dimension, object], or
  `feat_SPLIT_SUFFIX.npy` [simulation, object, frame, feature], and `edges_SPLIT_SUFFIX.npy` [simulation, receiver,
  sender]. Strengths 0 and 1 are types 0 and 1; with half strengths 0, 0.5, 1 are types 0, 1, 2; products of charges
  -1, 1 are types 0, 1 (-1, 0, 1: types 0, 1, 2). Without velocities, these are differences of locations.
- The .npy files of StructInfer (Wang et al. 2024, NeurIPS datasets and benchmarks), SUFFIX such as springs15r1 or
  netsims30r2_n1: as above, or `bold_SPLIT_SUFFIX.npy` [simulation, frame, 1, object], as its simulator writes, or
  [simulation, object, dimension, frame], as its documentation has them. One graph [receiver, sender], by which its
  simulator multiplies the objects' states, is that of all simulations; any weight above 0 is an edge.

A folder may also hold one HDF5 or NumPy archive per split: train.h5, valid.h5, test.h5.
"""

import dataclasses
import hashlib
import json
import numbers
import os
import re
import reprlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax.atomic_write import open_place
from wormjax.errors import InputError, RecordingWarning
from wormjax.simulation import array_files

FORMAT, VERSION = "wormjax-trajectories", 1
SPLITS = ("train", "valid", "test")
HDF5_ENDINGS = (".h5", ".hdf5")
ARCHIVE_ENDINGS = (*HDF5_ENDINGS, ".npz")
ARRAYS = ("features", "edges", "temperatures")
ATTRIBUTES = ("format", "version", "system", "feature_names", "edge_types", "object_names", "frame_interval")
MOST_EDGE_TYPES = 100
REFERENCE_INTERVAL = 0.1  # Seconds between the frames of the reference's files.


@dataclasses.dataclass(frozen=True, eq=False)
class Trajectories:
    """Many systems of one kind, observed at the same times, in NumPy or JAX arrays. Shapes are checked when made.

    Attributes:
      system: its name, for instance "springs".
      features: the observation of each object in each frame.
      edges: the type of each edge, the diagonal 0; None where the graph is unknown. With an axis of frames where edges
        change: those of a frame act from it to the next.
      feature_names: one per feature.
      edge_types: the name of each type; () where the graph is unknown.
      frame_interval: seconds from one frame to the next.
      source: the file that the trajectories were read from, for messages.
      object_names: one per object; () where they have none.
      observed: which samples were there; None for all. Features given as NaN make it, and become the object's last
        value before, or its first one: nothing is taken from later frames but at the start. An object that is never
        observed in a simulation is not part of it, and stands at the mean of the others.
      sample_names: one per simulation, such as a subject; () where they have none. Not written to files.
      temperatures: a factor of the strength of all a simulation's edges; None where all have the same, or unknown ones.

    Examples:
      >>> walks = np.cumsum(np.random.default_rng(0).normal(size=(8, 49, 5, 2)), axis=1)
      >>> wormjax.Trajectories("walks", walks, None, ("x", "y")).features.shape
      (8, 49, 5, 2)
    """

    system: str
    features: Float[jax.Array | np.ndarray, "simulation frame object feature"]
    edges: Int[jax.Array | np.ndarray, "simulation *frame sender receiver"] | None
    feature_names: tuple[str, ...]
    edge_types: tuple[str, ...] = ()
    frame_interval: float = REFERENCE_INTERVAL
    source: str = "memory"
    object_names: tuple[str, ...] = ()
    observed: Bool[np.ndarray, "simulation frame object"] | None = None
    sample_names: tuple[str, ...] = ()
    temperatures: Float[jax.Array | np.ndarray, " simulation"] | None = None

    def __post_init__(self):
        shape = np.shape(self.features)
        if len(shape) != 4 or min(shape) < 1 or shape[2] < 2:
            expected = "[simulation, frame, object, feature], two objects or more"
            _fail(self.source, "features", f"found shape {shape}, expected {expected}")
        if len(self.feature_names) != shape[3]:
            found = f"found {len(self.feature_names)} names, expected {shape[3]}, one per feature"
            _fail(self.source, "feature_names", found)
        changing = (*shape[:3], shape[2])
        if self.edges is not None and np.shape(self.edges) not in ((shape[0], *changing[2:]), changing):
            found = f"found shape {np.shape(self.edges)}, expected {(shape[0], *changing[2:])} as the features"
            _fail(self.source, "edges", f"{found}: [simulation, sender, receiver], or {changing} where edges change")
        if not (np.isfinite(self.frame_interval) and self.frame_interval > 0):
            _fail(self.source, "frame_interval", f"found {self.frame_interval}, expected seconds above 0")
        if self.object_names and len(self.object_names) != shape[2]:
            found = f"found {len(self.object_names)} names, expected {shape[2]}, one per object"
            _fail(self.source, "object_names", found)
        if self.sample_names and len(self.sample_names) != shape[0]:
            found = f"found {len(self.sample_names)} names, expected {shape[0]}, one per simulation"
            _fail(self.source, "sample_names", found)
        if self.temperatures is not None:
            _check_temperatures(self.source, np.asarray(self.temperatures), shape[0])
        missing = np.isnan(np.asarray(self.features))
        if missing.any():
            if missing.all():
                _fail(self.source, "features", "found no value, expected some")
            there = ~missing.any(axis=3)
            if self.observed is not None:
                there &= self.observed
            object.__setattr__(self, "observed", there)
            object.__setattr__(self, "features", _fill_missing(np.asarray(self.features), there))

    @property
    def present(self) -> Bool[np.ndarray, "simulation object"]:
        """Return which objects are part of each simulation."""
        if self.observed is None:
            return np.ones((np.shape(self.features)[0], np.shape(self.features)[2]), bool)
        return np.asarray(self.observed).any(axis=1)


def _fill_missing(features, there):
    """Return features with missing samples held at the object's last value, at the start at its first one."""
    frames = np.arange(features.shape[1])[None, :, None]
    last = np.maximum.accumulate(np.where(there, frames, -1), axis=1)
    source = np.where(last >= 0, last, np.argmax(there, axis=1)[:, None])
    filled = np.take_along_axis(features, source[..., None], axis=1)
    absent = ~there.any(axis=1)  # [simulation, object]
    if absent.any():
        shown = there[..., None] & np.isfinite(features)
        total = np.where(shown, features, 0.0).sum(axis=(1, 2)) / np.maximum(shown.sum(axis=(1, 2)), 1)
        filled = np.where(absent[:, None, :, None], total[:, None, None], filled)
    return filled.astype(features.dtype)


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
            file.create_dataset("features", data=hide_missing(trajectories))
            if trajectories.edges is not None:
                edges = np.asarray(trajectories.edges)
                kind = np.min_scalar_type(max(int(edges.max()), 1)) if edges.min() >= 0 else np.int16
                file.create_dataset("edges", data=edges.astype(kind))
            if trajectories.temperatures is not None:
                file.create_dataset("temperatures", data=np.asarray(trajectories.temperatures, np.float32))
            file.attrs.update(version=VERSION, frame_interval=float(trajectories.frame_interval))
            # Strings of fixed length: damaged strings of variable length can make the HDF5 library hang.
            texts = {"format": FORMAT, "system": trajectories.system, "settings": json.dumps(settings, sort_keys=True)}
            file.attrs.update({field: np.bytes_(text.encode()) for field, text in texts.items()})
            for field in ("feature_names", "edge_types", "object_names"):
                file.attrs[field] = np.array([name.encode() for name in getattr(trajectories, field)], "S")
    except OSError as error:
        expected = "expected a folder to write to"
        raise InputError(f"{path}: cannot be written ({error.strerror or error}), {expected}") from None


def hide_missing(trajectories: Trajectories) -> Float[np.ndarray, "simulation frame object feature"]:
    """Return the features with NaN where nothing was observed."""
    features = np.asarray(trajectories.features)
    if trajectories.observed is None:
        return features
    return np.where(np.asarray(trajectories.observed)[..., None], features, np.float32(np.nan))


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
    return _read_archives([Path(path)])[0]


def _read_archives(paths) -> list[Trajectories]:
    """Return the trajectories of files that belong together: their edges are numbered alike."""
    loaded = [_load_fields(path) for path in paths]
    for path, fields in zip(paths, loaded, strict=True):
        fields["features"] = _check_features(path, np.asarray(fields["features"]))
        if "edges" in fields:
            fields["edges"] = _check_edges(path, np.asarray(fields["edges"]), fields["features"].shape)
    known = [fields for fields in loaded if "edges" in fields]
    if known and _is_counted_from_one([fields["edges"] for fields in known], known[0].get("edge_types", ())):
        _note(paths[0], "edges", "edge types are counted from 1; they are renumbered from 0")
        for fields in known:
            fields["edges"] = _clear_diagonal(fields["edges"] - (fields["edges"] > 0))
    trajectories = [_make_trajectories(str(path), **fields) for path, fields in zip(paths, loaded, strict=True)]
    types = max((one.edge_types for one in trajectories), key=len)
    return [dataclasses.replace(one, edge_types=one.edge_types and types) for one in trajectories]


def _load_fields(path):
    """Return the fields of one archive."""
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
    return fields


def read_splits(folder: str | os.PathLike, suffix: str | None = None) -> dict[str, Trajectories]:
    """Read a folder of splits: one archive per split, or the reference's .npy files.

    Args:
      folder: the folder of the files.
      suffix: of the .npy files, for instance "springs5"; needed where the folder holds those of several systems.

    Returns:
      Those of the splits train, valid and test that the folder holds, equal in features. A split of fewer objects than
      another is padded with objects that are never observed.

    Raises:
      InputError: the folder holds no split, or one that cannot be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: found no such folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(f"{folder}: found a folder that may not be read, expected one that may")
    found = {}
    for split in SPLITS:
        archives = [path for ending in ARCHIVE_ENDINGS if (path := folder / f"{split}{ending}").is_file()]
        if len(archives) > 1:
            raise InputError(f"{folder}: found {archives[0].name} and {archives[1].name}, expected one of them")
        if archives:
            found[split] = archives[0]
    if found:
        splits = dict(zip(found, _read_archives(list(found.values())), strict=True))
    else:
        splits = _read_reference(folder, suffix)
    return _pad_objects(folder, splits)


def _read_reference(folder, suffix) -> dict[str, Trajectories]:
    """Return the splits of a folder of the reference's .npy files."""
    names = "|".join(SPLITS)
    matches = [re.fullmatch(rf"(loc|feat|bold)_({names})_(.+)\.npy", path.name) for path in folder.iterdir()]
    found = {(match[2], match[3]): match[1] for match in matches if match}
    suffixes = sorted({known for _, known in found})
    if suffix is None and len(suffixes) > 1:
        raise InputError(f"{folder}: found files of {', '.join(suffixes)}, expected the suffix of one of them")
    suffix = suffix or (suffixes[0] if suffixes else None)
    if suffix not in suffixes:
        expected = f"loc_train_{suffix or 'springs5'}.npy and its companions, or train.h5, valid.h5, test.h5"
        raise InputError(f"{folder}: found no trajectories, expected {expected}")
    has_velocities = any((folder / f"vel_{split}_{suffix}.npy").is_file() for split in SPLITS)
    if not has_velocities and "loc" in found.values():
        _note(folder, f"vel_*_{suffix}.npy", "found none; velocities are differences of locations")
    loaded = {}
    for split in SPLITS:
        if (split, suffix) in found:
            features, names = _load_features(folder, split, suffix, found[split, suffix], has_velocities)
            loaded[split] = features, names, _load_edges(folder, split, suffix, features.shape)
    edge_types = _number_strengths(folder, suffix, [edges for *_, edges in loaded.values() if edges is not None])
    splits = {}
    for split, (features, names, edges) in loaded.items():
        source = folder / f"{'edges' if edges is not None else found[split, suffix]}_{split}_{suffix}.npy"
        types = None
        if edges is not None:
            types = np.where(np.isnan(edges), -1, np.searchsorted(edge_types, edges)).astype(np.int32)
        labels = [f"{value:g}" for value in edge_types] if types is not None else ()
        system = re.sub(r"\d+(r\d+(_n\d+)?)?$", "", suffix) or suffix
        features = _check_features(source, features)
        types = None if types is None else _check_edges(source, types, features.shape)
        splits[split] = _make_trajectories(source, features, types, system, names, labels, REFERENCE_INTERVAL)
    return splits


def _load_features(folder, split, suffix, kind, has_velocities):
    """Return the features [simulation, frame, object, feature] of a split, and their names."""
    if kind == "feat":
        features = _load_npy(folder / f"feat_{split}_{suffix}.npy", 4)
        return features.swapaxes(1, 2), [f"feature {k + 1}" for k in range(features.shape[3])]
    if kind == "bold":
        features = _load_series(folder, "bold", split, suffix).swapaxes(2, 3)
        count = features.shape[3]
        return features, ["BOLD"] if count == 1 else [f"BOLD {k + 1}" for k in range(count)]
    paths = [folder / f"{field}_{split}_{suffix}.npy" for field in ("loc", "vel")]
    location = _load_series(folder, "loc", split, suffix)
    velocity = _load_series(folder, "vel", split, suffix) if has_velocities else _difference(location)
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


def _load_series(folder, field, split, suffix):
    """Return the series [simulation, frame, dimension, object] of a file, whose objects may stand second."""
    series = _load_npy(folder / f"{field}_{split}_{suffix}.npy", 4)
    path = folder / f"edges_{split}_{suffix}.npy"
    if not path.is_file():
        return series
    graph = _load_npy(path, (2, 3)).shape
    if graph == (series.shape[1],) * 2 and series.shape[3] != series.shape[1]:
        return np.moveaxis(series, 1, 3).swapaxes(1, 2)
    return series


def _difference(location):
    """Return velocities from each frame and the one before it; the first frame has that of the second."""
    changes = np.diff(location.astype(np.float64), axis=1) / REFERENCE_INTERVAL
    return np.concatenate([changes[:, :1], changes], axis=1) if changes.shape[1] else np.zeros(location.shape)


def _load_edges(folder, split, suffix, shape):
    """Return the strengths [simulation, sender, receiver] of a split, or None."""
    path = folder / f"edges_{split}_{suffix}.npy"
    if not path.is_file():
        return None
    count, _, objects, _ = shape
    edges = _load_npy(path, (2, 3)).astype(float)
    if edges.ndim == 2 and edges.shape == (count, objects * (objects - 1)):
        return _unflatten(edges, objects)
    if edges.shape == (objects, objects):  # StructInfer: one graph, whose weights are above 0.
        return np.broadcast_to((edges > 0).T.astype(float), (count, objects, objects))
    if edges.ndim != 3 or edges.shape[1] != edges.shape[2]:
        expected = "expected [simulation, receiver, sender], or flat edges [simulation, N (N - 1)]"
        raise InputError(f"{path}: found shape {edges.shape}, {expected}")
    return edges.swapaxes(1, 2)


def _number_strengths(folder, suffix, edges):
    """Return the strengths that stand for types 0, 1, ... in all splits together."""
    others = [values[:, ~np.eye(values.shape[1], dtype=bool)] for values in edges]
    strengths = {
        float(value) for values in others for value in np.unique(values)[: MOST_EDGE_TYPES + 1] if not np.isnan(value)
    }
    for known in ((0.0, 1.0), (-1.0, 1.0), (0.0, 0.5, 1.0), (-1.0, 0.0, 1.0)):
        if strengths <= set(known):
            return np.array(known)
    if all(0 <= value < MOST_EDGE_TYPES and value == int(value) for value in strengths):
        first = int(min(strengths) == 1)
        if first:
            _note(folder, f"edges_*_{suffix}.npy", "edge types are counted from 1; they are renumbered from 0")
        return np.arange(first, max(strengths) + 1)
    values = ", ".join(f"{value:g}" for value in sorted(strengths)[:6])
    expected = "0 and 1, or 0, 0.5 and 1, or -1 and 1, or edge types 0, 1, 2, ..."
    raise InputError(f"{folder}: edges_*_{suffix}.npy: found the strengths {values}, expected {expected}")


def _load_npy(path, axes) -> np.ndarray:
    values = array_files.read_npy(path)
    if values.ndim not in np.atleast_1d(axes) or values.dtype.kind not in "fiu" or not values.size:
        found = f"found {values.dtype} of shape {values.shape}"
        wanted = " or ".join(map(str, np.atleast_1d(axes)))
        raise InputError(f"{path}: {found}, expected numbers of {wanted} axes")
    return values


def _make_trajectories(
    source,
    features,
    edges=None,
    system="unnamed",
    feature_names=None,
    edge_types=(),
    frame_interval=REFERENCE_INTERVAL,
    object_names=(),
    temperatures=None,
) -> Trajectories:
    """Return the trajectories of a file's fields; features and edges are checked."""
    names = feature_names if feature_names is not None else [f"feature {k + 1}" for k in range(features.shape[3])]
    lists = {"feature_names": names, "edge_types": edge_types, "object_names": object_names}
    for field, value in {"system": system, **lists}.items():
        texts = [value] if field == "system" else value
        is_list = isinstance(texts, list | tuple) or (isinstance(texts, np.ndarray) and not texts.size)
        if not is_list or not all(isinstance(text, str) and text.isprintable() for text in texts):
            _fail(source, field, f"found {reprlib.repr(value)}, expected printable text")
    if isinstance(frame_interval, bool) or not isinstance(frame_interval, numbers.Real):
        _fail(source, "frame_interval", f"found {reprlib.repr(frame_interval)}, expected seconds")
    if edges is not None:
        types = max(int(edges.max(initial=0)) + 1, 2)
        edge_types = edge_types or [f"type {k}" for k in range(types)]
        if len(edge_types) < types:
            found = f"found {len(edge_types)} names, expected {types} or more, one per edge type"
            _fail(source, "edge_types", found)
    missing = np.isnan(features).any(axis=(1, 3))
    if missing.any():
        absent = np.isnan(features).all(axis=(1, 3)).any(axis=0).sum()
        parts = f" ({absent} objects are absent from some)" if absent else ""
        _note(source, "features", f"samples are missing in {missing.any(axis=1).sum()} simulations{parts}; masked")
    named = tuple(names), tuple(edge_types), float(frame_interval), str(source), tuple(object_names)
    return Trajectories(system, features, edges, *named, temperatures=temperatures)


def _check_temperatures(source, temperatures, simulations):
    if temperatures.shape != (simulations,) or temperatures.dtype.kind not in "fiu":
        found = f"found {temperatures.dtype} of shape {temperatures.shape}"
        _fail(source, "temperatures", f"{found}, expected a number per simulation, {simulations}")
    if not (np.isfinite(temperatures) & (temperatures > 0)).all():
        _fail(source, "temperatures", "found one that is not above 0, expected finite numbers above 0")


def _check_features(source, features):
    if features.dtype.kind not in "fiu" or features.ndim != 4:
        found = f"found {features.dtype} of shape {features.shape}"
        _fail(source, "features", f"{found}, expected numbers [simulation, frame, object, feature]")
    with np.errstate(over="ignore", invalid="ignore"):
        single = features.astype(np.float32)  # Numbers from 3e38 become infinite.
    finite = np.isfinite(single) | np.isnan(features)
    if not finite.all():
        bad = np.unravel_index(int(np.argmin(finite)), finite.shape)
        place = ", ".join(f"{axis} {k}" for axis, k in zip(("simulation", "frame", "object"), bad, strict=False))
        _fail(source, "features", f"found {features[bad]} at {place}, expected finite values")
    return single


def _check_edges(source, edges, shape):
    """Return edge types [simulation, sender, receiver] at int32, -1 where unknown."""
    objects = shape[2]
    if edges.ndim == 2 and edges.shape == (shape[0], objects * (objects - 1)) and edges.dtype.kind in "fiub":
        edges = _unflatten(edges, objects)
    square = edges.ndim in (3, 4) and edges.shape[-2] == edges.shape[-1]
    if not square or edges.dtype.kind not in "fiub" or not edges.size:
        found = f"found {edges.dtype} of shape {edges.shape}"
        _fail(source, "edges", f"{found}, expected edge types [simulation, sender, receiver]")
    edges = _clear_diagonal(edges)
    if edges.dtype.kind == "f":
        edges = np.where(np.isnan(edges), -1.0, edges)
    wrong = ~((edges >= -1) & (edges < MOST_EDGE_TYPES))
    wrong |= False if edges.dtype.kind in "iub" else edges != np.floor(edges)
    if wrong.any():
        expected = f"expected whole numbers from 0 to {MOST_EDGE_TYPES - 1}, or -1 where unknown"
        _fail(source, "edges", f"found the type {edges[wrong][0]}, {expected}")
    return edges.astype(np.int32)


def _unflatten(edges, objects):
    """Return flat edges, by receiver and then by sender, as [simulation, sender, receiver]."""
    matrix = np.zeros((len(edges), objects, objects), edges.dtype)
    matrix[:, ~np.eye(objects, dtype=bool)] = edges
    return matrix.swapaxes(1, 2)


def _clear_diagonal(edges):
    return np.where(np.eye(edges.shape[-1], dtype=bool), np.zeros((), edges.dtype), edges)


def _is_counted_from_one(edges, names) -> bool:
    """Return whether edge types are numbered from 1: 1 occurs, 0 does not, and others do."""
    known = np.unique([kind for one in edges for kind in np.unique(one[..., ~np.eye(one.shape[-1], dtype=bool)])])
    known = known[known >= 0]
    return bool(len(known) and known[0] == 1 and known[-1] >= 2 and (not len(names) or len(names) == known[-1]))


def _pad_objects(folder, splits):
    """Return splits of equally many objects; those that a split lacks are never observed."""
    first, *others = splits.items()
    for split, trajectories in others:
        here, there = trajectories.features.shape[3], first[1].features.shape[3]
        if here != there:
            found = f"found {here} features in {split} and {there} in {first[0]}"
            raise InputError(f"{folder}: {found}, expected the same in every split")
    most = max(one.features.shape[2] for one in splits.values())
    return {split: pad_objects(one, most) for split, one in splits.items()}


def pad_objects(trajectories: Trajectories, objects: int) -> Trajectories:
    """Return the trajectories with so many objects; those added are never observed, and have no name."""
    more = objects - np.shape(trajectories.features)[2]
    if not more:
        return trajectories
    edges = trajectories.edges
    if edges is not None:
        others = [(0, 0)] * (np.ndim(edges) - 2)
        edges = np.pad(np.asarray(edges), [*others, (0, more), (0, more)], constant_values=-1)
    features = np.pad(hide_missing(trajectories), [(0, 0), (0, 0), (0, more), (0, 0)], constant_values=np.nan)
    names = (*trajectories.object_names, *("",) * more) if trajectories.object_names else ()
    return dataclasses.replace(trajectories, features=features, edges=edges, observed=None, object_names=names)


def _note(source, field, text):
    warnings.warn(f"{source}: field {field!r}: {text}", RecordingWarning, stacklevel=3)


def _fail(source, field, problem):
    raise InputError(f"{source}: field {field!r}: {problem}")
