"""Files of trajectories: written, cached and read.

`features` is [simulation, frame, object, feature], floating point. A sample that is NaN is missing; objects that a
system lacks are NaN in all frames. `edges` is [simulation, sender, receiver], the type of each edge, whole numbers
from 0 (or all from 1, which are renumbered), -1 or NaN where unknown; the diagonal is ignored and set to 0. Edges that
change are [simulation, frame, sender, receiver]; those of frame t act from it to frame t + 1. Flat edges [simulation,
N (N - 1)] are in the order of Kipf, Fetaya et al. (2018): by receiver, then by sender. The graph of a file without
`edges` is unknown.

- HDF5 (.h5, .hdf5), as `write_trajectories` writes it: the datasets `features`, `edges` and `temperatures` (one per
  simulation); on the root the attributes `format` ("wormjax-trajectories"), `version` (1), `system`, `frame_interval`
  (seconds), `feature_names`, `edge_types` and `object_names` (lists of strings). Only `features` is required.
- NumPy archives (.npz): the same names, each an array; only `features` is required.
- The .npy files of others (`reference_files`).

A folder may hold one HDF5 or NumPy archive per split: train.h5, valid.h5, test.h5.
"""

import dataclasses
import hashlib
import json
import numbers
import os
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

from wormjax.atomic_write import open_place
from wormjax.errors import InputError
from wormjax.simulation import array_files
from wormjax.simulation.reference_files import read_reference
from wormjax.simulation.trajectories import (
    SPLITS,
    Trajectories,
    check_edges,
    check_features,
    clear_diagonal,
    fail_field,
    hide_missing,
    make_trajectories,
    note_field,
)

FORMAT, VERSION = "wormjax-trajectories", 1
HDF5_ENDINGS = (".h5", ".hdf5")
ARCHIVE_ENDINGS = (*HDF5_ENDINGS, ".npz")
ARRAYS = ("features", "edges", "temperatures")
ATTRIBUTES = ("format", "version", "system", "feature_names", "edge_types", "object_names", "frame_interval")


def write_trajectories(trajectories: Trajectories, path: str | os.PathLike, **settings: object):
    """Write an HDF5 file (.h5 or .hdf5), which appears under its name when it is complete.

    `settings` are kept as JSON beside the data, for the reader's information. InputError for another ending, or a place
    that cannot be written to.
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


def cache_trajectories(
    folder: str | os.PathLike, name: str, settings: Mapping[str, object], simulate: Callable[[], Trajectories]
) -> Trajectories:
    """Return the trajectories of a cached file, or call `simulate` and cache its result.

    The file is called `name` and a digest of `settings`: all that the result depends on, the seed included, as JSON has
    it.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    path = Path(folder) / f"{name}-{digest}.h5"
    if path.exists():
        return read_trajectories(path)
    trajectories = simulate()
    write_trajectories(trajectories, path, **settings)
    return trajectories


def read_trajectories(path: str | os.PathLike) -> Trajectories:
    """Read an HDF5 file or a NumPy archive of the layout in this module's docstring; InputError for any other."""
    return _read_archives([Path(path)])[0]


def _read_archives(paths) -> list[Trajectories]:
    """Return the trajectories of files that belong together: their edges are numbered alike."""
    loaded = [_load_fields(path) for path in paths]
    for path, fields in zip(paths, loaded, strict=True):
        fields["features"] = check_features(path, np.asarray(fields["features"]))
        if "edges" in fields:
            fields["edges"] = check_edges(path, np.asarray(fields["edges"]), fields["features"].shape)
    known = [fields for fields in loaded if "edges" in fields]
    if known and _is_counted_from_one([fields["edges"] for fields in known], known[0].get("edge_types", ())):
        note_field(paths[0], "edges", "edge types are counted from 1; they are renumbered from 0")
        for fields in known:
            fields["edges"] = clear_diagonal(fields["edges"] - (fields["edges"] > 0))
    trajectories = [make_trajectories(str(path), **fields) for path, fields in zip(paths, loaded, strict=True)]
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
        fail_field(
            path, "features", f"found none (but {', '.join(sorted(fields)) or 'nothing'}), expected trajectories"
        )
    return fields


def read_splits(folder: str | os.PathLike, suffix: str | None = None) -> dict[str, Trajectories]:
    """Return those of the splits train, valid and test that a folder holds, equal in features.

    They are one archive per split, or the reference's .npy files, of which `suffix` chooses (for instance "springs5")
    where the folder holds those of several systems. A split of fewer objects than another is padded with objects that
    are never observed. InputError for no split, or one that cannot be used.
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
        splits = read_reference(folder, suffix)
    first, *others = splits.items()
    for split, trajectories in others:
        here, there = trajectories.features.shape[3], first[1].features.shape[3]
        if here != there:
            found = f"found {here} features in {split} and {there} in {first[0]}"
            raise InputError(f"{folder}: {found}, expected the same in every split")
    most = max(one.features.shape[2] for one in splits.values())
    return {split: pad_objects(one, most) for split, one in splits.items()}


def _is_counted_from_one(edges, names) -> bool:
    """Return whether edge types are numbered from 1: 1 occurs, 0 does not, and others do."""
    known = np.unique([kind for one in edges for kind in np.unique(one[..., ~np.eye(one.shape[-1], dtype=bool)])])
    known = known[known >= 0]
    return bool(len(known) and known[0] == 1 and known[-1] >= 2 and (not len(names) or len(names) == known[-1]))


def pad_objects(trajectories: Trajectories, objects: int) -> Trajectories:
    """Return the trajectories with that many objects; those added are never observed, and have no name."""
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
