"""Reader of Kato et al. 2015 (Cell 163:656): immobilised worms, whole-brain calcium, eight motor states.

The files of OSF node 2395t: WT_NoStim.mat (five worms), WT_Stim.mat, AVA_HisCl.mat, MATLAB v7.3. Two layouts are in
circulation, and both are read whatever the file's name:

- `IDs`, `traces`, `tracesDif`, `timVectorSeconds` (`timeVectorSeconds` in the sister files), `States`, `States_key`;
- `NeuronNames`, `deltaFOverF_bc`, `derivs`, `tv`, and `States` as a struct of one binary vector a state.

States are counted from 1: the eight of WT_NoStim, or, in the sister files, FWD, REV, REVSUS, TURN as the node's readme
lists them. A file's own `States_key` goes before both.
"""

import collections
import os
from collections.abc import Sequence

import h5py
import numpy as np
from jaxtyping import Float, Int

from wormjax.recordings import hdf5, matlab
from wormjax.recordings.names import sort_candidates
from wormjax.recordings.recording import UNSCORED, Recording, RecordingError, name_fields

STUDY = "kato2015"
STRUCTS = ("WT_NoStim", "NoStim_Data", "WT_Stim", "AVA_HisCl")
MOST_NEURONS, MOST_STATES = 10_000, 1_000  # A worm has 302 neurons.
FILES = ("WT_NoStim.mat", "NoStim_Data.mat")
EIGHT_STATES = ("FWD", "SLOW", "DT", "VT", "REV1", "REV2", "REVSUS", "NOSTATE")
SISTER_STATES = ("FWD", "REV", "REVSUS", "TURN")
# Recording's field → its names in the two layouts.
FIELDS = {
    "neuron_names": ("IDs", "NeuronNames"),
    "traces": ("traces", "deltaFOverF_bc"),
    "derivatives": ("tracesDif", "derivs"),
    "times": ("timVectorSeconds", "timeVectorSeconds", "tv"),
    "motor_state": ("States",),
    "frame_rate": ("fps",),
    "worm": ("dataset",),
}


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Reads the worms of a file, or of the WT_NoStim.mat or NoStim_Data.mat in a folder.

    Args:
      path: a file (WT_NoStim.mat, NoStim_Data.mat, WT_Stim.mat, AVA_HisCl.mat), or the folder that holds it.
    Returns:
      a recording per worm, traces in dF/F, corrected for bleaching.
    Raises:
      RecordingError: the file cannot be used; the message names file and field.
    """
    with hdf5.open_hdf5(find_file(path, FILES)) as file:
        name, struct = matlab.find_struct(file, STRUCTS)
        fields = {ours: matlab.find_field(struct, names) for ours, names in FIELDS.items()}
        for required in ("neuron_names", "traces", "motor_state"):
            if fields[required] is None:
                hdf5.get_member(struct, FIELDS[required][0])  # Raises, and says what is there instead.
        count = len(matlab.read_entries(struct, fields["traces"]))
        worms = [_read_worm(struct, name, fields, index, count) for index in range(count)]
    return expect_distinct_worms(worms, os.fspath(path))


def find_file(path: str | os.PathLike, names: Sequence[str]) -> str:
    """The path itself if it is a file, or the first of `names` in it if it is a folder."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        return path
    for name in names:
        if os.path.isfile(os.path.join(path, name)):
            return os.path.join(path, name)
    raise RecordingError(f"{path}: found no recording in the folder, expected one of: {', '.join(names)}")


def expect_distinct_worms(worms: Sequence[Recording], path: str) -> tuple[Recording, ...]:
    """The recordings, if there is any and no worm stands twice: a worm twice would be its own held-out worm."""
    counts = collections.Counter(worm.worm for worm in worms)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        hdf5.fail(path, "dataset", f"found worm {twice[0]!r} twice, expected each worm once")
    if not worms:
        raise RecordingError(f"{path}: found no worm, expected at least one")
    return tuple(worms)


def read_entry(struct: h5py.Group, field: str, index: int, count: int | None = None) -> hdf5.Node:
    """What a worm's reference in a field leads to; `count` worms are expected."""
    references = matlab.read_entries(struct, field)
    if count is not None and len(references) != count:
        hdf5.fail(hdf5.get_path(struct), field, f"found {len(references)} entries, expected {count}, one a worm")
    return hdf5.follow(struct.file, references[index], field)


def read_traces(node: hdf5.Node, field: str) -> Float[np.ndarray, "frame neuron"]:
    """A worm's traces; HDF5 holds MATLAB's [frame, neuron] as [neuron, frame]."""
    values = hdf5.read_numbers(node, hdf5.get_path(node), field)
    if values.ndim != 2 or values.dtype.kind != "f":
        found = f"found {values.dtype} of shape {values.shape}"
        hdf5.fail(hdf5.get_path(node), field, f"{found}, expected floating point [neuron, frame]")
    return np.ascontiguousarray(values.T)


def read_derivatives(node: hdf5.Node, field: str, shape: tuple[int, int]) -> Float[np.ndarray, "frame neuron"]:
    """The source's derivatives; where they are one sample shorter than the traces the last one is repeated."""
    values = read_traces(node, field)
    if values.shape == (shape[0] - 1, shape[1]):
        values = np.concatenate([values, values[-1:]])
    if values.shape != shape:
        found = f"found shape {values.shape[::-1]}, expected {shape[::-1]} as the traces (or a frame less)"
        hdf5.fail(hdf5.get_path(node), field, found)
    return values


def read_neuron_names(
    node: hdf5.Node, field: str, neurons: int
) -> tuple[tuple[str | None, ...], tuple[tuple[str, ...], ...]]:
    """Per neuron the name that identifies it (or None), and the candidates where it is doubtful."""
    entries = matlab.read_cell(node, field, MOST_NEURONS)
    if len(entries) != neurons:
        found = f"found {len(entries)} names, expected {neurons}, one a neuron of the traces"
        hdf5.fail(hdf5.get_path(node), field, found)
    sorted_names = [sort_candidates(matlab.read_names(entry, field)) for entry in entries]
    return tuple(name for name, _ in sorted_names), tuple(candidates for _, candidates in sorted_names)


def number_states(
    numbers: np.ndarray, names: Sequence[str], first: int, path: str, field: str
) -> Int[np.ndarray, " frame"]:
    """State numbers counted from `first` → indices into `names`; NaN → UNSCORED."""
    numbers = numbers.astype(np.float64)
    scored = ~np.isnan(numbers)
    unknown = scored & ~np.isin(numbers, np.arange(first, first + len(names)))
    if unknown.any():
        found = f"found state number {numbers[unknown][0]:g} at frame {int(np.argmax(unknown))}"
        known = ", ".join(f"{first + k} {name}" for k, name in enumerate(names))
        hdf5.fail(path, field, f"{found}, expected one of: {known}")
    return np.where(scored, np.where(scored, numbers, 0) - first, UNSCORED).astype(np.int32)


def _read_worm(
    struct: h5py.Group, struct_name: str, fields: dict[str, str | None], index: int, count: int
) -> Recording:
    path = hdf5.get_path(struct)

    def entry(ours: str) -> hdf5.Node:
        return read_entry(struct, fields[ours], index, count)

    traces = read_traces(entry("traces"), fields["traces"])
    names, ambiguous = read_neuron_names(entry("neuron_names"), fields["neuron_names"], traces.shape[1])
    states, state_names = _read_states(struct, struct_name, entry("motor_state"), index, len(traces))
    worm = matlab.read_characters(entry("worm"), fields["worm"]) if fields["worm"] else ""
    derivatives = None
    if fields["derivatives"]:
        derivatives = read_derivatives(entry("derivatives"), fields["derivatives"], traces.shape)
    with name_fields({ours: theirs for ours, theirs in fields.items() if theirs}):
        return Recording(
            study=STUDY,
            worm=worm or f"{struct_name} {index + 1}",
            traces=traces,
            times=_read_times(struct, fields, index, len(traces)),
            neuron_names=names,
            ambiguous_names=ambiguous,
            motor_state=states,
            state_names=state_names,
            derivatives=derivatives,
            source=path,
        )


def _read_times(
    struct: h5py.Group, fields: dict[str, str | None], index: int, frames: int
) -> Float[np.ndarray, " frame"]:
    path, field = hdf5.get_path(struct), fields["times"]
    if field is not None:
        return hdf5.read_vector(read_entry(struct, field, index), path, field, frames).astype(np.float64)
    if fields["frame_rate"] is None:
        hdf5.fail(path, FIELDS["times"][0], "found neither times nor the frame rate 'fps', expected one of them")
    rate = hdf5.read_vector(read_entry(struct, "fps", index), path, "fps")
    if rate.size != 1 or not 0 < rate[0] < np.inf:
        hdf5.fail(path, "fps", f"found {rate.tolist()[:3]}, expected frames per second")
    return np.arange(frames) / float(rate[0])


def _read_states(
    struct: h5py.Group, struct_name: str, node: hdf5.Node, index: int, frames: int
) -> tuple[Int[np.ndarray, " frame"], tuple[str, ...]]:
    if isinstance(node, h5py.Group):
        return _read_binary_states(node, frames), EIGHT_STATES
    names = SISTER_STATES if struct_name in ("WT_Stim", "AVA_HisCl") else EIGHT_STATES
    if hdf5.has_member(struct, "States_key"):
        names = _read_state_names(read_entry(struct, "States_key", index))
    numbers = hdf5.read_vector(node, hdf5.get_path(struct), "States", frames)
    return number_states(numbers, names, 1, hdf5.get_path(struct), "States"), names


def _read_state_names(node: hdf5.Node) -> tuple[str, ...]:
    entries = matlab.read_cell(node, "States_key", MOST_STATES)
    names = tuple(matlab.read_characters(entry, "States_key") for entry in entries)
    if not names or not all(names):
        hdf5.fail(hdf5.get_path(node), "States_key", f"found the names {names}, expected one a state")
    return names


def _read_binary_states(group: h5py.Group, frames: int) -> Int[np.ndarray, " frame"]:
    """Eight vectors of 0 and 1; a frame with none of them, or with more than one, is not scored."""
    states = np.full(frames, UNSCORED, np.int32)
    marked = np.zeros(frames, np.int32)
    for number, name in enumerate(EIGHT_STATES):
        field = f"States/{name.lower()}"
        member = hdf5.get_member(group, name.lower(), "States")
        vector = hdf5.read_vector(member, hdf5.get_path(group), field, frames)
        if not np.isin(vector, (0, 1)).all():
            found = f"found {vector[~np.isin(vector, (0, 1))][0]}, expected 0 or 1"
            hdf5.fail(hdf5.get_path(group), field, found)
        states[vector == 1] = number
        marked += vector == 1
    states[marked > 1] = UNSCORED
    return states
