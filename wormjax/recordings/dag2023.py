"""Read Dag et al. 2023 (Cell 186:2574): freely moving worms on food, NeuroPAL strain SWF702.

The layout of flavell-lab/NSM_5HTR_analysis: one recording per file in data/swf702_with_id/<uid>-data.h5, and the neuron
labels of all of them in data/receptor_expression/NeuroPAL_labels_dict.jld2 (`dict_match_dict` → uid → neuron number,
from 1 → label and confidence). Only a label without a question mark and with a confidence of at least 3 (of 5)
identifies a neuron; where two neurons carry it, the more confident one keeps it, and neither does if they are equal.

The traces are the ratio relative to its own level where the file has it (`traces_array_F_F20`; in the published files
its mean over time is 1), else the ratio (`trace_array_original`), else the z-scored `trace_array`. The motor state is
forward or reverse, from `reversal_vec`. Times are seconds from the first frame.

The labels are in JLD2, Julia's own HDF5 layout. A dictionary is an array of object references, each to a pair: a
compound of `first` (the key) and `second` (the value). A key or a value stands in the pair itself or is referred to,
and references may lead to references. A tuple is a compound with the fields `1`, `2`, ...; nothing else is read.
"""

import glob
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from wormjax.recordings import hdf5
from wormjax.recordings.faults import RecordingError, name_fields
from wormjax.recordings.motor_states import number_states
from wormjax.recordings.names import sort_candidates
from wormjax.recordings.recording import Recording, expect_distinct_worms

STUDY = "dag2023"
LABELS_FILE = "NeuroPAL_labels_dict.jld2"
LABELS_FOLDERS = ("", "receptor_expression", os.path.join("data", "receptor_expression"))
RECORDINGS_FOLDERS = ("", "swf702_with_id", os.path.join("data", "swf702_with_id"))
SUFFIX = "-data.h5"
LEAST_CONFIDENCE = 3
STATE_NAMES = ("forward", "reverse")  # 0 and 1 in reversal_vec.
# Name → units; the first that is there is read.
TRACES = {"traces_array_F_F20": "F/F20", "trace_array_original": "ratio", "trace_array": "z-score"}
BEHAVIOR = ("velocity", "angular_velocity", "head_angle", "nose_angle", "nose_curling", "pumping", "worm_curvature")
DEEPEST = 8  # References that lead to references; more is a cycle.
MOST_PAIRS = 10_000  # In one dictionary.


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Read all recordings of the folder as downloaded (its root, or a folder in it), or a single -data.h5."""
    path = os.fspath(path)
    files = find_files(path) if os.path.isdir(path) else [path]
    if not files:
        raise RecordingError(f"{path}: found no recording in the folder, expected data/swf702_with_id/<uid>{SUFFIX}")
    labels = _find_labels_file(path)
    uids = [os.path.basename(file).removesuffix(SUFFIX) for file in files]
    worms = [_read_worm(file, uid, read_labels(labels, uid)) for file, uid in zip(files, uids, strict=True)]
    return expect_distinct_worms(worms, path)


def read_labels(path: str | os.PathLike, uid: str) -> dict[int, tuple[str, float]]:
    """Return the labels of one recording: neuron number, from 1 → (label, confidence from 0 to 5)."""
    labels: dict[int, tuple[str, float]] = {}
    with hdf5.open_hdf5(path) as file:
        field = "NeuroPAL_labels"
        recordings = find_value(file, hdf5.get_member(file, field), "dict_match_dict", field)
        field = f"{field}/dict_match_dict"
        matches = read_compound(file, find_value(file, recordings, uid, field), f"{field}/{uid}")
        field = f"{field}/{uid}/1"
        if "1" not in matches:
            hdf5.fail(file, field, f"found only {sorted(matches)}, expected the tuple's first entry")
        for number, entry in read_pairs(file, matches["1"], field):
            if not isinstance(number, float) or number != round(number):
                hdf5.fail(file, field, f"found the key {number!r}, expected a neuron's number")
            labels[int(number)] = _read_label(file, entry, f"{field}/{int(number)}")
    return labels


def _read_label(file: h5py.File, entry: object, field: str) -> tuple[str, float]:
    values = dict(read_pairs(file, entry, field))
    for name in ("label", "confidence"):
        if name not in values:
            hdf5.fail(file, field, f"found only {sorted(map(str, values))}, expected {name!r}")
    label = read_scalar(file, values["label"], f"{field}/label")
    confidence = read_scalar(file, values["confidence"], f"{field}/confidence")
    if not isinstance(label, str) or not isinstance(confidence, float):
        hdf5.fail(file, field, f"found {label!r}, {confidence!r}, expected a label and its confidence")
    return label, confidence


def identify_neurons(
    labels: dict[int, tuple[str, float]], neurons: int, path: str = "labels"
) -> tuple[tuple[str | None, ...], tuple[tuple[str, ...], ...]]:
    """Return, for each neuron, the name that identifies it (or None), and the candidates where it is doubtful."""
    names: list[str | None] = [None] * neurons
    candidates: list[tuple[str, ...]] = [()] * neurons
    holders: dict[str, list[int]] = {}
    for number, (label, confidence) in sorted(labels.items()):
        if not 1 <= number <= neurons:
            hdf5.fail(path, "dict_match_dict", f"found neuron number {number}, expected 1 to {neurons}")
        name, candidates[number - 1] = sort_candidates([label])
        if name is None:
            continue
        candidates[number - 1] = (name,)
        if confidence >= LEAST_CONFIDENCE:
            holders.setdefault(name, []).append(number)
    for name, numbers in holders.items():
        best = max(labels[number][1] for number in numbers)
        most_confident = [number for number in numbers if labels[number][1] == best]
        if len(most_confident) == 1:
            names[most_confident[0] - 1], candidates[most_confident[0] - 1] = name, ()
    return tuple(names), tuple(candidates)


def find_files(folder: str) -> list[str]:
    """Return the recordings of a folder, or of the first of the download's folders in it that holds any."""
    for inner in RECORDINGS_FOLDERS:
        files = sorted(glob.glob(os.path.join(glob.escape(os.path.join(folder, inner)), f"*{SUFFIX}")))
        if files:
            return files
    return []


def _find_labels_file(path: str) -> str:
    """Return the path of the labels beside the recordings, or in the folders of the download above them."""
    base = os.path.abspath(path)
    for _ in range(4):
        for inner in LABELS_FOLDERS:
            candidate = os.path.join(base, inner, LABELS_FILE)
            if os.path.isfile(candidate):
                return candidate
        base = os.path.dirname(base)
    expected = f"expected it beside them or in ../receptor_expression/{LABELS_FILE}"
    raise RecordingError(f"{path}: found no neuron labels for these recordings, {expected}")


def _read_worm(path: str, uid: str, labels: dict[int, tuple[str, float]]) -> Recording:
    with hdf5.open_hdf5(path) as file:
        gcamp, behavior, timing = (hdf5.get_member(file, name) for name in ("gcamp", "behavior", "timing"))
        field = next((name for name in TRACES if hdf5.has_member(gcamp, name)), "trace_array")
        traces = hdf5.read_matrix(hdf5.get_member(gcamp, field, "gcamp"), f"gcamp/{field}", "[frame, neuron]")
        frames, neurons = traces.shape
        times = _read_vector(timing, "timing", "timestamp_confocal", frames)
        reversals = _read_vector(behavior, "behavior", "reversal_vec", frames)
        names, ambiguous = identify_neurons(labels, neurons, path)
        words = {"traces": f"gcamp/{field}", "times": "timing/timestamp_confocal", "stretches": "gcamp/idx_splits"}
        with name_fields(words):
            return Recording(
                study=STUDY,
                worm=uid,
                traces=traces,
                times=times - times[:1],
                neuron_names=names,
                ambiguous_names=ambiguous,
                motor_state=number_states(reversals, STATE_NAMES, 0, file, "behavior/reversal_vec"),
                state_names=STATE_NAMES,
                behavior={
                    name: _read_vector(behavior, "behavior", name, frames)
                    for name in BEHAVIOR
                    if hdf5.has_member(behavior, name)
                },
                stretches=_read_stretches(gcamp, frames),
                trace_units=TRACES[field],
                source=path,
            )


def _read_vector(group: hdf5.Node, parent: str, name: str, frames: int) -> Float[np.ndarray, " frame"]:
    return hdf5.read_vector(hdf5.get_member(group, name, parent), f"{parent}/{name}", frames).astype(np.float64)


def _read_stretches(gcamp: h5py.Group, frames: int) -> tuple[tuple[int, int], ...]:
    """Return [start, stop) from 0 of each stretch; `idx_splits` holds the first and last frame, from 1."""
    if not hdf5.has_member(gcamp, "idx_splits"):
        return ()
    field = "gcamp/idx_splits"
    splits = hdf5.read_numbers(hdf5.get_member(gcamp, "idx_splits", "gcamp"), field)
    if splits.ndim != 2 or splits.shape[0] != 2 or splits.dtype.kind not in "iu" or not splits.size:
        hdf5.fail(gcamp, field, f"found {splits.dtype} of shape {splits.shape}, expected integers [2, stretch]")
    if splits.max() > frames or splits.min() < 1:
        hdf5.fail(gcamp, field, f"found frames {splits.min()} to {splits.max()}, expected 1 to {frames}")
    return tuple((int(start) - 1, int(stop)) for start, stop in splits.T)


def read_pairs(file: h5py.File, value: Any, field: str) -> Iterator[tuple[str | float, Any]]:
    """Yield a dictionary's keys, each with its value: an array, or a plain number or bytes."""
    for reference in hdf5.read_references(_expect_dataset(file, value, field), field, MOST_PAIRS):
        pair = read_compound(file, reference, field)
        if not {"first", "second"} <= set(pair):
            hdf5.fail(file, field, f"found the fields {sorted(pair)}, expected a pair: first, second")
        yield read_scalar(file, pair["first"], field), pair["second"]


def find_value(file: h5py.File, value: Any, key: str, field: str) -> Any:
    """Return the value of a dictionary's key."""
    known = []
    for name, found in read_pairs(file, value, field):
        if name == key:
            return found
        known.append(str(name))
    hdf5.fail(file, field, f"found no key {key!r}, expected it among: {', '.join(known[:12])}")


def read_compound(file: h5py.File, value: Any, field: str) -> dict[str, Any]:
    """Return the fields of a pair or a tuple, by name."""
    node = _expect_dataset(file, value, field)
    with hdf5.guard(file, field):
        names, shape = node.dtype.names, node.shape
        if names is None or shape != ():
            hdf5.fail(file, field, f"found {node.dtype} of shape {shape}, expected a pair or a tuple")
        record = node[()]
        return {name: record[name] for name in names}


def read_scalar(file: h5py.File, value: Any, field: str) -> str | float:
    """Return a number or a string, from the pair itself or from where it refers to."""
    value = _follow_all(file, value, field)
    if isinstance(value, hdf5.Node):
        dataset = hdf5.expect_dataset(value, field)
        with hdf5.guard(file, field):
            if dataset.shape != () or dataset.dtype.kind not in "biufSO":
                hdf5.fail(file, field, f"found {dataset.dtype} of shape {dataset.shape}, expected one value")
            value = dataset[()]
    if isinstance(value, bytes | str):
        return hdf5.decode(value, file, field)
    if isinstance(value, int | float | np.number | np.bool_):
        return float(value)
    hdf5.fail(file, field, f"found a {type(value).__name__}, expected a number or a string")


def _expect_dataset(file: h5py.File, value: Any, field: str) -> h5py.Dataset:
    """Return the array that a value is, or refers to."""
    node = _follow_all(file, value, field)
    if not isinstance(node, hdf5.Node):
        hdf5.fail(file, field, f"found a {type(node).__name__}, expected an array")
    return hdf5.expect_dataset(node, field)


def _follow_all(file: h5py.File, value: Any, field: str) -> Any:
    """Follow a reference, and the single references that it leads to, to the first value that is none."""
    for _ in range(DEEPEST):
        if isinstance(value, h5py.Reference):
            value = hdf5.follow(file, value, field)
        if not isinstance(value, h5py.Dataset):
            return value
        with hdf5.guard(file, field):
            if value.shape != () or h5py.check_ref_dtype(value.dtype) is not h5py.Reference:
                return value
            value = value[()]
    hdf5.fail(file, field, f"found more than {DEEPEST} references in a row, expected data")
