"""Folders of one NumPy archive per subject, as Netsim (Smith et al. 2011, NeuroImage 54:875) is in circulation.

`NAME_subject_NUMBER.npz` holds `X_np` [region, frame], the BOLD signal, and `Gref` [effect, cause], 1 where there is an
effect. Its diagonal is not read. The frames of Netsim are three seconds apart.
"""

import re
from pathlib import Path

import numpy as np

from wormjax.errors import InputError
from wormjax.simulation import array_files
from wormjax.simulation.trajectories import Trajectories

PATTERN = re.compile(r"(.+)_subject_(\d+)\.npz")
FRAME_INTERVAL = 3.0  # Seconds.


def list_subjects(folder: Path) -> list[Path]:
    """Return the files of the subjects of a folder, in the order of their numbers."""
    matches = [match for path in folder.iterdir() if (match := PATTERN.fullmatch(path.name))]
    return [folder / match[0] for match in sorted(matches, key=lambda match: (match[1], int(match[2])))]


def read_subjects(folder: Path) -> Trajectories:
    """Return all subjects of a folder, each a system whose one feature is its BOLD signal.

    InputError for a file that cannot be read, or a subject with other regions or frames than the first.
    """
    paths = list_subjects(folder)
    signals, graphs = zip(*(_read_subject(path) for path in paths), strict=True)
    for path, signal in zip(paths, signals, strict=True):
        if signal.shape != signals[0].shape:
            expected = f"expected {signals[0].shape} as in {paths[0].name}: [region, frame]"
            raise InputError(f"{path}: field 'X_np': found shape {signal.shape}, {expected}")
    features = np.stack(signals).swapaxes(1, 2)[..., None].astype(np.float32)
    known = any((graph >= 0).any() for graph in graphs)
    system = PATTERN.fullmatch(paths[0].name)[1]
    types = ("no edge", "edge") if known else ()
    names = tuple(path.stem for path in paths)
    edges = np.stack(graphs) if known else None
    return Trajectories(system, features, edges, ("BOLD",), types, FRAME_INTERVAL, str(folder), (), sample_names=names)


def _read_subject(path):
    """Return a subject's signal [region, frame] and graph [sender, receiver], -1 where it is unknown."""
    fields = array_files.read_npz(path, ("X_np", "Gref"))
    signal = np.asarray(fields.get("X_np", ()))
    if signal.ndim != 2 or signal.dtype.kind not in "fiu" or signal.shape[0] < 2 or np.isinf(signal).any():
        found = f"found {signal.dtype} of shape {signal.shape}" if signal.size else "found none"
        raise InputError(
            f"{path}: field 'X_np': {found}, expected finite numbers [region, frame] of two regions or more"
        )
    regions = len(signal)
    graph = np.asarray(fields.get("Gref", np.full((regions, regions), -1)))
    if graph.shape != (regions, regions) or graph.dtype.kind not in "fiub":
        found = f"found {graph.dtype} of shape {graph.shape}"
        raise InputError(f"{path}: field 'Gref': {found}, expected {(regions, regions)}: [effect, cause]")
    edges = np.where(np.isnan(graph) | (graph < 0), -1, graph != 0).T.astype(np.int32)
    np.fill_diagonal(edges, 0)
    return signal, edges
