"""Read NWB files (HDF5) of whole-brain imaging, as DANDI has them for C. elegans, without pynwb or an extension.

The traces are a `RoiResponseSeries` below `processing`: `CalciumActivity/SignalDFoF/SignalCalciumImResponseSeries`, or
`SignalRawFluor`, or, in older files, `CalciumActivity/Fluorescence/GCaMP_activity`. The names are `labels` of
`CalciumActivity/NeuronIDs` (class SegmentationLabels of the extension ndx-multichannel-volume), one per ROI, empty or
`nan` where nobody identified it, with a final `?` where it is doubtful. For other labs' files the series and the labels
can be named.
"""

import os

import h5py
import numpy as np

from wormjax.recordings import hdf5
from wormjax.recordings.files import list_files
from wormjax.recordings.recording import Recording, RecordingError, expect_distinct_worms, name_fields

STUDY = "nwb"
SUFFIXES = (".nwb",)
SERIES = "RoiResponseSeries"
PREFERRED = ("SignalDFoF", "DfOverF", "SignalRawFluor", "Fluorescence")
DEEPEST = 4  # Groups below processing/.


def read(path: str | os.PathLike, series: str = "", labels: str = "") -> tuple[Recording, ...]:
    """Read the worm of a file, or of each file of a folder.

    Args:
      path: the file or folder.
      series: the group of the traces, such as "processing/ophys/Fluorescence/Response"; "" finds it.
      labels: the array of names; "" finds one with an entry per ROI.

    Raises:
      RecordingError: a file cannot be used; the message names file and field.
    """
    worms = [_read_worm(file, series, labels) for file, _ in list_files(path, SUFFIXES, lambda file: file)]
    return expect_distinct_worms(worms, path)


def _read_worm(path: str, series: str, labels: str) -> Recording:
    with hdf5.open_hdf5(path) as file:
        place = series.strip("/") or _find_series(file)
        group = _follow(file, place)
        traces = hdf5.read_matrix(hdf5.get_member(group, "data", place), f"{place}/data", "[time, roi]")
        label_place = labels.strip("/") or _find_labels(file, place, traces.shape[1])
        names = hdf5.read_texts(_follow(file, label_place), label_place) if label_place else []
        with hdf5.guard(file, "identifier"):
            identifier = file["identifier"][()] if "identifier" in file else b""
        worm = hdf5.decode(identifier, file, "identifier") if isinstance(identifier, bytes) and identifier else ""
        words = {"traces": f"{place}/data", "times": f"{place}/timestamps", "neuron_names": label_place or "labels"}
        with name_fields(words):
            return Recording(
                study=STUDY,
                worm=os.path.splitext(os.path.basename(path))[0] or worm,
                traces=traces,
                neuron_names=tuple(names),
                trace_units="dF/F" if "DFoF" in place or "DfOverF" in place else "fluorescence",
                source=path,
                **_read_times(group, place, len(traces)),
            )


def _read_times(group: h5py.Group, place: str, frames: int) -> dict:
    """Return `times`, or the frame rate of regular ones."""
    if hdf5.has_member(group, "timestamps"):
        node = hdf5.get_member(group, "timestamps", place)
        return {"times": hdf5.read_vector(node, f"{place}/timestamps", frames).astype(np.float64)}
    start = hdf5.get_member(group, "starting_time", place)
    with hdf5.guard(start, f"{place}/starting_time"):
        rate = float(np.asarray(start.attrs.get("rate", np.nan)).reshape(-1)[0])
    if not 0 < rate < np.inf:
        hdf5.fail(start, f"{place}/starting_time", f"found the rate {rate:g}, expected hertz")
    return {"frame_rate": rate}


def _follow(file: h5py.File, place: str) -> hdf5.Node:
    node, parent = file, ""
    for name in place.split("/"):
        node = hdf5.get_member(node, name, parent)
        parent = f"{parent}/{name}".strip("/")
    return node


def _find_series(file: h5py.File) -> str:
    """Return the place of the series of traces; where there are several, the one that `PREFERRED` has first."""
    places = [place for place, node in _walk(file) if isinstance(node, h5py.Group) and _type_of(node) == SERIES]
    places = [place for place in places if any(name in place for name in PREFERRED)] or places
    if not places:
        found = f"found no {SERIES} below processing"
        raise RecordingError(f"{file.filename}: {found}, expected one (series='processing/...' names another)")
    order = [min((k for k, name in enumerate(PREFERRED) if name in place), default=len(PREFERRED)) for place in places]
    return places[int(np.argmin(order))]


def _find_labels(file: h5py.File, series: str, rois: int) -> str:
    """Return the place of an array of texts called labels, with an entry per ROI; "" where there is none."""
    for place, node in _walk(file):
        if isinstance(node, h5py.Dataset) and place.endswith("/labels"):
            with hdf5.guard(node, place):
                if node.shape == (rois,) and h5py.check_string_dtype(node.dtype):
                    return place
    return ""


def _walk(file: h5py.File):
    """Yield the places and the nodes below processing/, at most `DEEPEST` groups down."""
    waiting = [("processing", hdf5.get_member(file, "processing"), 0)]
    while waiting:
        place, node, depth = waiting.pop(0)
        yield place, node
        if isinstance(node, h5py.Group) and depth < DEEPEST:
            for name in hdf5.list_members(node, place):
                if hdf5.has_member(node, name):
                    waiting.append((f"{place}/{name}", hdf5.get_member(node, name, place), depth + 1))


def _type_of(node: h5py.Group) -> str:
    with hdf5.guard(node, "neurodata_type"):
        kind = node.attrs.get("neurodata_type", "")
    return kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)
