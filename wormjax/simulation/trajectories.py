"""Trajectories of many systems of one kind, with their graphs where known, in memory and in files.

Three forms of file are read. `features` is [simulation, frame, object, feature], floating point and finite; `edges` is
[simulation, sender, receiver], whole numbers from 0, each the type of that edge; the diagonal means nothing and is set
to 0. A file without `edges` holds systems whose graph is not known.

- HDF5 (.h5, .hdf5), what `write_trajectories` writes: the datasets `features` and `edges`; on the root the attributes
  `format` ("wormjax-trajectories"), `version` (1), `system`, `frame_interval` (seconds), `feature_names` and
  `edge_types` (lists of strings). Only `features` must be there.
- NumPy archives (.npz): the same names, each an array; only `features` must be there.
- A folder of the .npy files of Kipf, Fetaya et al. (2018), for each SPLIT (train, valid, test) and a SUFFIX such as
  springs5: `loc_SPLIT_SUFFIX.npy` and `vel_SPLIT_SUFFIX.npy` [simulation, frame, dimension, object], or
  `feat_SPLIT_SUFFIX.npy` [simulation, object, frame, feature], and `edges_SPLIT_SUFFIX.npy` [simulation, receiver,
  sender]. Strengths 0 and 1 are types 0 and 1; with half strengths 0, 0.5, 1 are types 0, 1, 2; products of charges
  -1, 1 are types 0, 1 (-1, 0, 1: types 0, 1, 2).

A folder may also hold one HDF5 or NumPy archive a split: train.h5, valid.h5, test.h5.

Whatever a file holds, reading it ends in trajectories or in one line: what it declares is checked against what it
stores before anything is allocated (`array_files`), and nothing is ever unpickled.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import jax
import numpy as np
from jaxtyping import Float, Int

from wormjax.errors import InputError
from wormjax.simulation import array_files
from wormjax.value_checks import check_value, number, several, show_value, text

FORMAT, VERSION = "wormjax-trajectories", 1
SPLITS = ("train", "valid", "test")
HDF5_ENDINGS = (".h5", ".hdf5")
ARCHIVE_ENDINGS = (*HDF5_ENDINGS, ".npz")
ARRAYS = ("features", "edges")
ATTRIBUTES = ("format", "version", "system", "feature_names", "edge_types", "frame_interval")
MOST_EDGE_TYPES = 100
REFERENCE_INTERVAL = 0.1  # Seconds between the frames of the reference's files.


class TrajectoriesError(InputError):
    """Trajectories, or the file that they came from, cannot be used."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trajectories:
    """Many systems of one kind, observed at the same times. Shapes are checked when made, NumPy or JAX arrays alike.

    Attributes:
      system: its name, for instance "springs".
      features: what was observed of each object in each frame.
      edges: the type of each edge, the diagonal 0; None where the graph is not known.
      feature_names: one a feature.
      edge_types: the name of each type; () where the graph is not known.
      frame_interval: seconds from one frame to the next.
      source: the file that it was read from, for messages.
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
            found = f"found {len(self.feature_names)} names, expected {shape[3]}, one a feature"
            _fail(self.source, "feature_names", found)
        if self.edges is not None and np.shape(self.edges) != (shape[0], shape[2], shape[2]):
            found = f"found shape {np.shape(self.edges)}, expected {(shape[0], shape[2], shape[2])} as the features"
            _fail(self.source, "edges", f"{found}: [simulation, sender, receiver]")
        if not (np.isfinite(self.frame_interval) and self.frame_interval > 0):
            _fail(self.source, "frame_interval", f"found {self.frame_interval}, expected seconds above 0")


def write_trajectories(trajectories: Trajectories, path: str | os.PathLike, **settings: object):
    """Writes an HDF5 file, whole or not at all. `settings` are kept as JSON beside the data, for the reader's eye."""
    path = Path(path)
    if path.suffix not in HDF5_ENDINGS:
        raise TrajectoriesError(f"{path}: found the ending {path.suffix!r}, expected one of {', '.join(HDF5_ENDINGS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    except OSError as error:
        raise TrajectoriesError(
            f"{path}: cannot be written ({error.strerror}), expected a folder to write to"
        ) from None
    os.close(handle)
    try:
        with h5py.File(beside, "w") as file:
            features = np.asarray(trajectories.features)
            file.create_dataset("features", data=features)
            if trajectories.edges is not None:
                edges = np.asarray(trajectories.edges)
                file.create_dataset("edges", data=edges.astype(np.min_scalar_type(max(int(edges.max()), 1))))
            file.attrs.update(version=VERSION, frame_interval=float(trajectories.frame_interval))
            # Strings of fixed length: a damaged file whose strings vary in length can make HDF5 hang.
            texts = {"format": FORMAT, "system": trajectories.system, "settings": json.dumps(settings, sort_keys=True)}
            file.attrs.update({field: np.bytes_(text.encode()) for field, text in texts.items()})
            for field in ("feature_names", "edge_types"):
                file.attrs[field] = np.array([name.encode() for name in getattr(trajectories, field)], "S")
        os.replace(beside, path)
    finally:
        Path(beside).unlink(missing_ok=True)


def cache_trajectories(
    folder: str | os.PathLike, name: str, settings: Mapping[str, object], simulate: Callable[[], Trajectories]
) -> Trajectories:
    """Reads what `simulate` made with these settings before, or calls it and keeps the result.

    Args:
      folder: of the cache.
      name: how the file's name begins; its end stands for the settings, so other settings are another file.
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
    """Reads an HDF5 file or a NumPy archive of the form that this module's docstring describes.

    Raises:
      TrajectoriesError: it cannot be read, or does not have that form.
    """
    path = Path(path)
    if path.suffix not in ARCHIVE_ENDINGS:
        found = f"found the ending {path.suffix!r}"
        raise TrajectoriesError(f"{path}: {found}, expected one of {', '.join(ARCHIVE_ENDINGS)}")
    if not path.is_file():
        raise TrajectoriesError(f"{path}: found no such file")
    with _as_trajectories_error():
        if path.suffix in HDF5_ENDINGS:
            fields = array_files.read_hdf5(path, ARRAYS, ATTRIBUTES)
        else:
            fields = array_files.read_npz(path, ARRAYS + ATTRIBUTES)
    form, version = fields.pop("format", FORMAT), fields.pop("version", VERSION)
    if (form, version) != (FORMAT, VERSION):
        found = f"found {show_value(form)} version {show_value(version)}"
        raise TrajectoriesError(f"{path}: {found}, expected {FORMAT!r} version {VERSION}")
    if "features" not in fields:
        _fail(path, "features", f"found none (but {', '.join(sorted(fields)) or 'nothing'}), expected trajectories")
    return _make_trajectories(str(path), **fields)


def read_splits(folder: str | os.PathLike, suffix: str | None = None) -> dict[str, Trajectories]:
    """Reads a folder of splits: one archive a split, or the reference's .npy files.

    Args:
      folder: where the files are.
      suffix: of the .npy files, for instance "springs5"; needed where the folder holds those of several systems.

    Returns:
      The splits that are there, of train, valid, test, which must agree in objects, features and edge types.

    Raises:
      TrajectoriesError: none is there, or one cannot be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TrajectoriesError(f"{folder}: found no such folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise TrajectoriesError(f"{folder}: found a folder that may not be read, expected one that may")
    splits = {}
    for split in SPLITS:
        archives = [path for ending in ARCHIVE_ENDINGS if (path := folder / f"{split}{ending}").is_file()]
        if len(archives) > 1:
            raise TrajectoriesError(f"{folder}: found {archives[0].name} and {archives[1].name}, expected one of them")
        if archives:
            splits[split] = read_trajectories(archives[0])
    splits = splits or _read_reference(folder, suffix)
    _check_agreement(folder, splits)
    return splits


def _read_reference(folder, suffix):
    names = "|".join(SPLITS)
    matches = [re.fullmatch(rf"(loc|feat)_({names})_(.+)\.npy", path.name) for path in folder.iterdir()]
    found = {(match[2], match[3]): match[1] for match in matches if match}
    suffixes = sorted({known for _, known in found})
    if suffix is None and len(suffixes) > 1:
        raise TrajectoriesError(f"{folder}: found files of {', '.join(suffixes)}, expected the suffix of one of them")
    suffix = suffix or (suffixes[0] if suffixes else None)
    if suffix not in suffixes:
        expected = f"loc_train_{suffix or 'springs5'}.npy and its companions, or train.h5, valid.h5, test.h5"
        raise TrajectoriesError(f"{folder}: found no trajectories, expected {expected}")
    loaded = {
        split: (_load_features(folder, split, suffix, found[split, suffix]), _load_edges(folder, split, suffix))
        for split in SPLITS
        if (split, suffix) in found
    }
    edge_types = _number_strengths(folder, suffix, [edges for _, edges in loaded.values() if edges is not None])
    splits = {}
    for split, ((features, names), edges) in loaded.items():
        source = str(folder / f"edges_{split}_{suffix}.npy")
        types = None if edges is None else np.searchsorted(edge_types, edges).astype(np.int32)
        labels = [f"{value:g}" for value in edge_types] if types is not None else ()
        system = suffix.rstrip("0123456789") or suffix
        splits[split] = _make_trajectories(source, features, types, system, names, labels, REFERENCE_INTERVAL)
    return splits


def _load_features(folder, split, suffix, kind):
    """Features [simulation, frame, object, feature] of a split of the reference's files, and their names."""
    if kind == "feat":
        features = _load_npy(folder / f"feat_{split}_{suffix}.npy", 4)
        return features.swapaxes(1, 2), [f"feature {k + 1}" for k in range(features.shape[3])]
    location_path, velocity_path = (folder / f"{field}_{split}_{suffix}.npy" for field in ("loc", "vel"))
    location, velocity = _load_npy(location_path, 4), _load_npy(velocity_path, 4)
    if location.shape != velocity.shape:
        raise TrajectoriesError(
            f"{velocity_path}: found shape {velocity.shape}, expected {location.shape} as in {location_path.name}"
        )
    for path, values in ((location_path, location), (velocity_path, velocity)):
        _check_features(path, values.swapaxes(2, 3))
    axes = ["x", "y", "z"][: location.shape[2]]
    names = [*axes, *(f"velocity {axis}" for axis in axes)]
    if len(axes) != location.shape[2]:
        found = f"found {location.shape[2]} dimensions, expected at most 3"
        raise TrajectoriesError(f"{location_path}: {found}: [simulation, frame, dimension, object]")
    return np.concatenate([location, velocity], axis=2).swapaxes(2, 3), names


def _load_edges(folder, split, suffix):
    """Strengths [simulation, sender, receiver] of a split of the reference's files, or None."""
    path = folder / f"edges_{split}_{suffix}.npy"
    if not path.is_file():
        return None
    edges = _load_npy(path, 3)
    if edges.shape[1] != edges.shape[2]:
        raise TrajectoriesError(f"{path}: found shape {edges.shape}, expected [simulation, receiver, sender]")
    return edges.swapaxes(1, 2)


def _number_strengths(folder, suffix, edges):
    """The strengths that stand for types 0, 1, ... in all splits together."""
    others = [values[:, ~np.eye(values.shape[1], dtype=bool)] for values in edges]
    strengths = {float(value) for values in others for value in np.unique(values)[: MOST_EDGE_TYPES + 1]}
    for known in ((0.0, 1.0), (-1.0, 1.0), (0.0, 0.5, 1.0), (-1.0, 0.0, 1.0)):
        if strengths <= set(known):
            return np.array(known)
    if all(0 <= value < MOST_EDGE_TYPES and value == int(value) for value in strengths):
        return np.arange(max(strengths) + 1)
    values = ", ".join(f"{value:g}" for value in sorted(strengths)[:6])
    expected = "0 and 1, or 0, 0.5 and 1, or -1 and 1, or edge types 0, 1, 2, ..."
    raise TrajectoriesError(f"{folder}: edges_*_{suffix}.npy: found the strengths {values}, expected {expected}")


def _load_npy(path, axes):
    with _as_trajectories_error():
        values = array_files.read_npy(path)
    if values.ndim != axes or values.dtype.kind not in "fiu" or not values.size:
        found = f"found {values.dtype} of shape {values.shape}"
        raise TrajectoriesError(f"{path}: {found}, expected numbers of {axes} axes")
    return values


@contextlib.contextmanager
def _as_trajectories_error():
    try:
        yield
    except InputError as error:
        raise TrajectoriesError(str(error)) from None


def _make_trajectories(
    source,
    features,
    edges=None,
    system="unnamed",
    feature_names=None,
    edge_types=(),
    frame_interval=REFERENCE_INTERVAL,
):
    """Trajectories of what a file held, once it is seen to be sound."""
    features = _check_features(source, np.asarray(features))
    names = feature_names if feature_names is not None else [f"feature {k + 1}" for k in range(features.shape[3])]
    for field, value, kind in (
        ("system", system, text()),
        ("feature_names", names, several(text(), most=100_000)),
        ("edge_types", edge_types, several(text())),
        ("frame_interval", frame_interval, number(above=0)),
    ):
        with _as_trajectories_error():
            check_value(f"{source}: field {field!r}", value, kind)
    if edges is not None:
        edges = _check_edges(source, np.asarray(edges))
        types = max(int(edges.max(initial=0)) + 1, 2)
        edge_types = tuple(edge_types) if len(edge_types) else tuple(f"type {k}" for k in range(types))
        if len(edge_types) < types:
            found = f"found {len(edge_types)} names, expected {types} or more, one a type of edge"
            _fail(source, "edge_types", found)
    names, types = tuple(names), tuple(edge_types)
    return Trajectories(system, features, edges, names, types, float(frame_interval), str(source))


def _check_features(source, features):
    if features.dtype.kind not in "fiu" or features.ndim != 4:
        found = f"found {features.dtype} of shape {features.shape}"
        _fail(source, "features", f"{found}, expected numbers [simulation, frame, object, feature]")
    with np.errstate(over="ignore", invalid="ignore"):
        single = features.astype(np.float32)  # In which numbers from 3e38 are infinite.
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
                raise TrajectoriesError(f"{folder}: {found}, expected the same in every split")


def _fail(source, field, problem):
    raise TrajectoriesError(f"{source}: field {field!r}: {problem}")
