"""Read NWB files (Neurodata Without Borders): one worm per file. NWB is HDF5, and no package but h5py is needed.

The C. elegans files of DANDI hold a RoiResponseSeries named `SignalCalciumImResponseSeries` in
processing/CalciumActivity, in `SignalDFoF` or `SignalRawFluor` or by itself, and beside it `NeuronIDs` (class
SegmentationLabels of the extension ndx-multichannel-volume) with `labels`, or a column `ID_labels` of the table of
regions. Older files have `Fluorescence/GCaMP_activity`. For other files the caller names the series and the labels.
Behaviour is every time series of processing/Behavior that has a value per frame; where it has a `velocity`, the motor
state is its sign.
"""

import os
from collections.abc import Iterator

import h5py
import numpy as np

from wormjax.recordings import hdf5
from wormjax.recordings.faults import name_fields
from wormjax.recordings.files import iterate_files
from wormjax.recordings.motor_states import VELOCITY_STATES, split_velocity
from wormjax.recordings.recording import Recording, expect_distinct_worms

STUDY = "nwb"
SUFFIXES = (".nwb",)
RESPONSES = "SignalCalciumImResponseSeries"
SERIES = (f"SignalDFoF/{RESPONSES}", f"SignalRawFluor/{RESPONSES}", RESPONSES, "Fluorescence/GCaMP_activity")
LABELS = ("NeuronIDs/labels", "ID_labels")
DEEPEST, MOST_NODES = 8, 10_000  # Of groups within groups.
MOST_LINKS = 4  # In a row.


def read(path: str | os.PathLike, series: str = "", labels: str = "") -> tuple[Recording, ...]:
    """Read the worm of a file, or of each file of a folder.

    `series` is the name or path of the series of traces, `labels` that of the labels of its regions: a column of their
    table, or an array. Both are found where they are not given.
    """
    files = iterate_files(path, SUFFIXES, lambda file: file)
    return expect_distinct_worms([_read_worm(file, series, labels) for file, _ in files], path)


def _read_worm(path: str, series: str, labels: str) -> Recording:
    with hdf5.open_hdf5(path) as file:
        nodes = dict(_walk(file))
        field = _find_series(file, nodes, series)
        node = nodes[field]
        traces = hdf5.read_numbers(_get(node, "data", field), f"{field}/data")
        names = _read_labels(file, nodes, field, labels, traces.shape)
        times, rate = _read_times(node, field)
        behavior = _read_behavior(nodes, len(traces))
        velocity = behavior.get("velocity")
        words = {"traces": f"{field}/data", "times": f"{field}/timestamps", "neuron_names": labels or "labels"}
        with name_fields(words):
            return Recording(
                study=STUDY,
                worm=os.path.splitext(os.path.basename(path))[0],
                traces=traces,
                times=times,
                frame_rate=rate,
                neuron_names=names,
                motor_state=None if velocity is None else split_velocity(velocity),
                state_names=() if velocity is None else VELOCITY_STATES,
                behavior=behavior,
                trace_units="dF/F" if "dfof" in field.lower() else "fluorescence",
                source=path,
            )


def _walk(file: h5py.File) -> Iterator[tuple[str, hdf5.Node]]:
    """Yield the groups and arrays of processing/ and acquisition/ by their paths. Links are not followed."""
    waiting = [name for name in ("processing", "acquisition") if hdf5.has_member(file, name)]
    for count, path in enumerate(waiting):
        if count > MOST_NODES:
            hdf5.fail(file, path, f"found more than {MOST_NODES:,} groups and arrays, expected a recording of one worm")
        parent, _, name = path.rpartition("/")
        group = file[parent] if parent else file
        with hdf5.guard(group, path):
            hard = isinstance(group.get(name, getlink=True), h5py.HardLink)
        if not hard:
            continue
        node = hdf5.get_member(group, name, parent)
        yield path, node
        if isinstance(node, h5py.Group) and path.count("/") < DEEPEST:
            waiting += [f"{path}/{member}" for member in hdf5.list_members(node, path)]


def _get(group: hdf5.Node, name: str, parent: str) -> hdf5.Node:
    """Return a member; a link to elsewhere in this file is followed, as NWB shares time stamps by links."""
    for _ in range(MOST_LINKS):
        with hdf5.guard(group, f"{parent}/{name}"):
            link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if not isinstance(link, h5py.SoftLink):
            break
        *steps, name = link.path.strip("/").split("/")
        parent = "/".join(steps) if link.path.startswith("/") else "/".join([parent, *steps])
        group = group.file if link.path.startswith("/") else group
        for step in steps:
            group = hdf5.get_member(group, step, parent)
    return hdf5.get_member(group, name, parent)


def _ends_with(path: str, name: str) -> bool:
    return f"/{path}".endswith(f"/{name.strip('/')}")


def _find_series(file: h5py.File, nodes: dict[str, hdf5.Node], series: str) -> str:
    """Return the path of the series of traces."""
    known = [path for path, node in nodes.items() if isinstance(node, h5py.Group) and hdf5.has_member(node, "data")]
    with hdf5.guard(file, "neurodata_type"):
        responses = [path for path in known if str(nodes[path].attrs.get("neurodata_type")) == "RoiResponseSeries"]
    for name in [series] if series else SERIES:
        found = [path for path in known if _ends_with(path, name)]
        if found:
            break
    else:
        found = [] if series else [path for path in responses if "reference" not in path.lower()]
    if len(found) != 1:
        listed = ", ".join((found or responses or known)[:8]) or "no series"
        what = f"found {len(found)} series {series!r}" if series else f"found {len(found)} series of traces"
        hdf5.fail(file, "series", f"{what}, expected one: name it (series=); the file has {listed}")
    return found[0]


def _read_labels(
    file: h5py.File, nodes: dict[str, hdf5.Node], field: str, labels: str, shape: tuple[int, ...]
) -> list[str]:
    """Return a label per region of the series; [] where the file has none and the caller named none."""
    rows, table = _find_regions(file, nodes[field], field)
    for name in [labels] if labels else LABELS:
        if "/" not in name and table is not None and hdf5.has_member(table, name):
            column = hdf5.read_texts(_get(table, name, f"{field}/rois"), name)
            if rows.dtype.kind not in "iu" or not ((rows >= 0) & (rows < len(column))).all():
                hdf5.fail(file, f"{field}/rois", f"found rows beyond {len(column)}, expected rows of {name!r}")
            return [column[row] for row in rows]
        found = [path for path, place in nodes.items() if isinstance(place, h5py.Dataset) and _ends_with(path, name)]
        if not labels:  # Other series have labels, too.
            found = [path for path in found if nodes[path].size in shape]
        if len(found) > 1:
            hdf5.fail(file, name, f"found {len(found)}: {', '.join(found[:8])}, expected one: name its path (labels=)")
        if found:
            return hdf5.read_texts(nodes[found[0]], found[0])
    if labels:
        known = hdf5.list_members(table, field) if table is not None else []
        known += [path for path, place in nodes.items() if isinstance(place, h5py.Dataset) and place.dtype.kind in "SO"]
        hdf5.fail(file, labels, f"found no such labels, expected one of: {', '.join(known[:12]) or 'none'}")
    return []


def _find_regions(file: h5py.File, node: hdf5.Node, field: str) -> tuple[np.ndarray | None, h5py.Group | None]:
    """Return the rows of a series' regions in their table, and the table; None where it refers to none."""
    if not hdf5.has_member(node, "rois"):
        return None, None
    rois = _get(node, "rois", field)
    with hdf5.guard(rois, f"{field}/rois"):
        reference = rois.attrs.get("table")
    table = hdf5.follow(file, reference, f"{field}/rois") if isinstance(reference, h5py.Reference) else None
    if not isinstance(table, h5py.Group):
        return None, None
    return hdf5.read_vector(rois, f"{field}/rois"), table


def _read_times(node: hdf5.Node, field: str) -> tuple[np.ndarray | None, float | None]:
    """Return the seconds of each frame, or the frame rate."""
    if hdf5.has_member(node, "timestamps"):
        return hdf5.read_vector(_get(node, "timestamps", field), f"{field}/timestamps"), None
    start = _get(node, "starting_time", field)
    with hdf5.guard(start, f"{field}/starting_time"):
        rate = np.asarray(start.attrs.get("rate", np.nan)).reshape(-1)
    if rate.size != 1 or rate.dtype.kind not in "iuf" or not 0 < rate[0] < np.inf:
        hdf5.fail(node, f"{field}/starting_time", f"found the rate {rate.tolist()[:3]}, expected hertz above 0")
    return None, float(rate[0])


def _read_behavior(nodes: dict[str, hdf5.Node], frames: int) -> dict[str, np.ndarray]:
    """Return the behaviour that has a value per frame, by name."""
    behavior = {}
    for path, node in nodes.items():
        parts = path.split("/")
        if parts[0] != "processing" or len(parts) < 3 or parts[1].lower() != "behavior":
            continue
        if isinstance(node, h5py.Group) and isinstance(nodes.get(f"{path}/data"), h5py.Dataset):
            data = nodes[f"{path}/data"]
            if data.shape == (frames,) and data.dtype.kind in "biuf":
                behavior[parts[-1]] = hdf5.read_numbers(data, f"{path}/data").astype(np.float64)
    return behavior
