"""Reader of Dag et al. 2023 (Cell 186:2574): freely moving worms on food, NeuroPAL strain SWF702.

The layout of flavell-lab/NSM_5HTR_analysis: a recording a file in data/swf702_with_id/<uid>-data.h5, and the neuron
labels of all of them in data/receptor_expression/NeuroPAL_labels_dict.jld2 (`dict_match_dict` → uid → neuron number,
counted from 1 → label and confidence). Only a label without a question mark and with a confidence of at least 3 (of 5)
identifies a neuron; where two neurons carry it, the more confident one keeps it, and neither does if they are equal.

The traces are the ratio over its own level where the file has it (`traces_array_F_F20`; in the published files its
mean over time is 1), else the ratio (`trace_array_original`), else the z-scored `trace_array`. The motor state is
forward or reverse, from `reversal_vec`. Times are seconds from the first frame.
"""

import glob
import os

import h5py
import numpy as np
from jaxtyping import Float, Int

from wormjax.recordings import hdf5, jld2, kato2015
from wormjax.recordings.names import sort_candidates
from wormjax.recordings.recording import UNSCORED, Recording, RecordingError, name_fields

STUDY = "dag2023"
LABELS_FILE = "NeuroPAL_labels_dict.jld2"
LABELS_FOLDERS = ("", "receptor_expression", os.path.join("data", "receptor_expression"))
RECORDINGS_FOLDERS = ("", "swf702_with_id", os.path.join("data", "swf702_with_id"))
SUFFIX = "-data.h5"
LEAST_CONFIDENCE = 3
STATE_NAMES = ("forward", "reverse")  # reversal_vec is 0, 1.
# The first that is there is read: name → units.
TRACES = {"traces_array_F_F20": "F/F20", "trace_array_original": "ratio", "trace_array": "z-score"}
BEHAVIOR = ("velocity", "angular_velocity", "head_angle", "nose_angle", "nose_curling", "pumping", "worm_curvature")


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Reads all recordings of the folder as downloaded (its root, or a folder in it), or a single -data.h5.

    Raises:
      RecordingError: a file cannot be used, or the labels are not to be found beside or above the recordings.
    """
    path = os.fspath(path)
    files = _list_files(path) if os.path.isdir(path) else [path]
    for file in files:
        if not os.path.isfile(file):
            raise RecordingError(f"{file}: found no such file, expected a recording")
    labels = _find_labels_file(path)
    worms = []
    for file in files:
        uid = os.path.basename(file).removesuffix(SUFFIX)
        worms.append(_read_worm(file, uid, read_labels(labels, uid)))
    return kato2015.expect_distinct_worms(worms, path)


def read_labels(path: str | os.PathLike, uid: str) -> dict[int, tuple[str, float]]:
    """The labels of one recording: neuron number, counted from 1 → (label, confidence from 0 to 5)."""
    labels: dict[int, tuple[str, float]] = {}
    with hdf5.open_hdf5(path) as file:
        field = "NeuroPAL_labels"
        recordings = jld2.find_value(file, hdf5.get_member(file, field), "dict_match_dict", field)
        field = f"{field}/dict_match_dict"
        matches = jld2.read_compound(file, jld2.find_value(file, recordings, uid, field), f"{field}/{uid}")
        field = f"{field}/{uid}/1"
        if "1" not in matches:
            hdf5.fail(file.filename, field, f"found only {sorted(matches)}, expected the tuple's first entry")
        for number, entry in jld2.read_pairs(file, matches["1"], field):
            if not isinstance(number, float) or number != round(number):
                hdf5.fail(file.filename, field, f"found the key {number!r}, expected a neuron's number")
            labels[int(number)] = _read_label(file, entry, f"{field}/{int(number)}")
    return labels


def _read_label(file: h5py.File, entry: object, field: str) -> tuple[str, float]:
    values = dict(jld2.read_pairs(file, entry, field))
    for name in ("label", "confidence"):
        if name not in values:
            hdf5.fail(file.filename, field, f"found only {sorted(map(str, values))}, expected {name!r}")
    label = jld2.read_scalar(file, values["label"], f"{field}/label")
    confidence = jld2.read_scalar(file, values["confidence"], f"{field}/confidence")
    if not isinstance(label, str) or not isinstance(confidence, float):
        hdf5.fail(file.filename, field, f"found {label!r}, {confidence!r}, expected a label and its confidence")
    return label, confidence


def identify_neurons(
    labels: dict[int, tuple[str, float]], neurons: int, path: str = "labels"
) -> tuple[tuple[str | None, ...], tuple[tuple[str, ...], ...]]:
    """Labels → per neuron the name that identifies it (or None), and the candidates where it is doubtful."""
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


def _list_files(folder: str) -> list[str]:
    for inner in RECORDINGS_FOLDERS:
        files = sorted(glob.glob(os.path.join(glob.escape(os.path.join(folder, inner)), f"*{SUFFIX}")))
        if files:
            return files
    raise RecordingError(f"{folder}: found no recording in the folder, expected data/swf702_with_id/<uid>{SUFFIX}")


def _find_labels_file(path: str) -> str:
    """The labels beside the recordings, or in the folders of the download above them."""
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
        gcamp = hdf5.get_member(file, "gcamp")
        field = next((name for name in TRACES if hdf5.has_member(gcamp, name)), "trace_array")
        traces = hdf5.read_numbers(hdf5.get_member(gcamp, field, "gcamp"), path, f"gcamp/{field}")
        if traces.ndim != 2 or traces.dtype.kind != "f":
            found = f"found {traces.dtype} of shape {traces.shape}"
            hdf5.fail(path, f"gcamp/{field}", f"{found}, expected floating point [frame, neuron]")
        frames, neurons = traces.shape
        names, ambiguous = identify_neurons(labels, neurons, path)
        words = {"traces": f"gcamp/{field}", "times": "timing/timestamp_confocal", "stretches": "gcamp/idx_splits"}
        with name_fields(words):
            return Recording(
                study=STUDY,
                worm=uid,
                traces=traces,
                times=_read_times(file, frames),
                neuron_names=names,
                ambiguous_names=ambiguous,
                motor_state=_read_motor_state(file, frames),
                state_names=STATE_NAMES,
                behavior=_read_behavior(file, frames),
                stretches=_read_stretches(gcamp, frames),
                trace_units=TRACES[field],
                source=path,
            )


def _read_times(file: h5py.File, frames: int) -> Float[np.ndarray, " frame"]:
    field = "timing/timestamp_confocal"
    node = hdf5.get_member(hdf5.get_member(file, "timing"), "timestamp_confocal", "timing")
    times = hdf5.read_vector(node, file.filename, field, frames).astype(np.float64)
    return times - times[:1]


def _read_motor_state(file: h5py.File, frames: int) -> Int[np.ndarray, " frame"]:
    field = "behavior/reversal_vec"
    node = hdf5.get_member(hdf5.get_member(file, "behavior"), "reversal_vec", "behavior")
    values = hdf5.read_vector(node, file.filename, field, frames).astype(np.float64)
    scored = ~np.isnan(values)
    unknown = scored & ~np.isin(values, (0, 1))
    if unknown.any():
        found = f"found {values[unknown][0]:g} at frame {int(np.argmax(unknown))}"
        hdf5.fail(file.filename, field, f"{found}, expected 0 (forward) or 1 (reverse)")
    return np.where(scored, np.nan_to_num(values), UNSCORED).astype(np.int32)


def _read_behavior(file: h5py.File, frames: int) -> dict[str, Float[np.ndarray, " frame"]]:
    group = hdf5.get_member(file, "behavior")
    present = [name for name in BEHAVIOR if hdf5.has_member(group, name)]
    nodes = {name: hdf5.get_member(group, name, "behavior") for name in present}
    return {
        name: hdf5.read_vector(node, file.filename, f"behavior/{name}", frames).astype(np.float64)
        for name, node in nodes.items()
    }


def _read_stretches(gcamp: h5py.Group, frames: int) -> tuple[tuple[int, int], ...]:
    """`idx_splits` holds first and last frame, counted from 1 → [start, stop), counted from 0."""
    if not hdf5.has_member(gcamp, "idx_splits"):
        return ()
    path, field = hdf5.get_path(gcamp), "gcamp/idx_splits"
    splits = hdf5.read_numbers(hdf5.get_member(gcamp, "idx_splits", "gcamp"), path, field)
    if splits.ndim != 2 or splits.shape[0] != 2 or splits.dtype.kind not in "iu" or not splits.size:
        hdf5.fail(path, field, f"found {splits.dtype} of shape {splits.shape}, expected integers [2, stretch]")
    if splits.max() > frames or splits.min() < 1:
        hdf5.fail(path, field, f"found frames {splits.min()} to {splits.max()}, expected 1 to {frames}")
    return tuple((int(start) - 1, int(stop)) for start, stop in splits.T)
