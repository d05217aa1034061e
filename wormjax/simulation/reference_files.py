"""Trajectories in the .npy files of other projects.

- A folder of the .npy files of Kipf, Fetaya et al. (2018), for each SPLIT (train, valid, test) and a SUFFIX such as
  springs5: `loc_SPLIT_SUFFIX.npy` and `vel_SPLIT_SUFFIX.npy` [simulation, frame, dimension, object], or
  `feat_SPLIT_SUFFIX.npy` [simulation, object, frame, feature], and `edges_SPLIT_SUFFIX.npy` [simulation, receiver,
  sender]. Strengths 0 and 1 are types 0 and 1; with half strengths 0, 0.5, 1 are types 0, 1, 2; products of charges
  -1, 1 are types 0, 1 (-1, 0, 1: types 0, 1, 2). Without velocities, these are differences of locations.
- The .npy files of StructInfer (Wang et al. 2024, NeurIPS datasets and benchmarks), SUFFIX such as springs15r1 or
  netsims30r2_n1: as above, or `bold_SPLIT_SUFFIX.npy` [simulation, frame, 1, object], as its simulator writes, or
  [simulation, object, dimension, frame], as its documentation has them. One graph [receiver, sender], by which its
  simulator multiplies the objects' states, is that of all simulations; any weight above 0 is an edge.
"""

import re

import numpy as np

from wormjax.errors import InputError
from wormjax.simulation import array_files
from wormjax.simulation.trajectories import (
    MOST_EDGE_TYPES,
    REFERENCE_INTERVAL,
    SPLITS,
    Trajectories,
    check_edges,
    check_features,
    make_trajectories,
    note_field,
    unflatten_edges,
)


def read_reference(folder, suffix) -> dict[str, Trajectories]:
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
        note_field(folder, f"vel_*_{suffix}.npy", "found none; velocities are differences of locations")
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
        features = check_features(source, features)
        types = None if types is None else check_edges(source, types, features.shape)
        splits[split] = make_trajectories(source, features, types, system, names, labels, REFERENCE_INTERVAL)
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
        check_features(path, values.swapaxes(2, 3))
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
        return unflatten_edges(edges, objects)
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
            note_field(folder, f"edges_*_{suffix}.npy", "edge types are counted from 1; they are renumbered from 0")
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
