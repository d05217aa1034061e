"""Read MATLAB structs as the labs of Kato et al. 2015 and Nichols et al. 2017 saved them.

A struct is a group. A field with one entry per worm is a cell array: an array of object references. Text is an array of
UTF-16 code units, and an empty array carries the attribute `MATLAB_empty`. References are followed at most `DEEPEST`
cells down, so that a file whose references form a cycle ends in an error.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from wormjax.recordings import hdf5, matlab_v5
from wormjax.recordings.faults import name_fields
from wormjax.recordings.names import sort_candidates
from wormjax.recordings.recording import Recording, RecordingError, expect_distinct_worms

DEEPEST = 2  # A neuron's entry is a cell array of names; one more level does no harm.
MOST_NAMES = 64  # Candidates for one neuron.
MOST_WORMS = MOST_NEURONS = 10_000  # In one file; in one worm, which has 302 neurons.
MOST_STATES = 1_000
# Recording's field → its names in the layouts that are in circulation.
FIELDS = {
    "neuron_names": ("IDs", "NeuronNames"),
    "traces": ("traces", "deltaFOverF_bc"),
    "derivatives": ("tracesDif", "derivs"),
    "times": ("timVectorSeconds", "timeVectorSeconds", "tv"),
    "frame_rate": ("fps",),
    "worm": ("dataset",),
}


def list_files(path: str | os.PathLike, names: Sequence[str]) -> list[str]:
    """Return the path itself where it is no folder, else those of `names` that the folder holds, in their order."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        return [path]
    files = [os.path.join(path, name) for name in names]
    found = [file for file in files if os.path.isfile(file)]
    if not found:
        raise RecordingError(f"{path}: found no recording in the folder, expected one of: {', '.join(names)}")
    return found


def list_variables(path: str | os.PathLike) -> list[str]:
    """Return the names of a file's variables."""
    if matlab_v5.is_v5(path):
        return matlab_v5.list_variables(path)
    with hdf5.open_hdf5(path) as file:
        return hdf5.list_members(file, "/")


def find_struct(file: h5py.File, names: Sequence[str]) -> tuple[str, h5py.Group]:
    """Return the name of the file's struct, the first of `names` that is there, and the struct."""
    members = [name for name in hdf5.list_members(file, "/") if not name.startswith("#")]
    for name in names:
        if name in members:
            struct = hdf5.get_member(file, name)
            if not isinstance(struct, h5py.Group):
                hdf5.fail(file, name, "found an array, expected a struct")
            return name, struct
    found = f"found only: {', '.join(members[:12]) or 'nothing'}"
    raise RecordingError(f"{file.filename}: {found}, expected one of the structs {', '.join(names)}")


def find_field(struct: h5py.Group, names: Sequence[str]) -> str | None:
    """Return the first of `names` that the struct has, or None."""
    members = hdf5.list_members(struct, names[0])
    return next((name for name in names if name in members), None)


def find_fields(struct: h5py.Group) -> dict[str, str]:
    """Return the names in this struct of those `FIELDS` that it has; RecordingError without names or traces."""
    fields = {ours: theirs for ours, names in FIELDS.items() if (theirs := find_field(struct, names))}
    for required in ("neuron_names", "traces"):
        if required not in fields:
            hdf5.get_member(struct, FIELDS[required][0])  # Raises, and says which fields there are.
    return fields


def read_entries(struct: h5py.Group, field: str) -> list[hdf5.Node]:
    """Return what the references of a field lead to, one per worm."""
    references = hdf5.read_references(hdf5.get_member(struct, field), field, MOST_WORMS)
    return [hdf5.follow(struct.file, reference, field) for reference in references]


def read_worms(struct: h5py.Group, struct_name: str, fields: dict[str, str]) -> list[dict[str, Any]]:
    """Return, for each worm of a struct, all that a Recording takes but `study` and the motor state.

    Worms without a name get theirs from that of the struct.
    """
    entries = {ours: read_entries(struct, theirs) for ours, theirs in fields.items()}
    count = len(entries["traces"])
    for ours, own in entries.items():
        expect_one_per_worm(struct, fields[ours], len(own), count)
    worms = [{ours: own[index] for ours, own in entries.items()} for index in range(count)]
    return [_read_worm(struct, f"{struct_name} {number}", worm, fields) for number, worm in enumerate(worms, 1)]


def read_recordings(
    path: str, study: str, structs: Sequence[str], read_states: Callable[..., tuple[str, list]]
) -> tuple[str, tuple[Recording, ...]]:
    """Return the name of the first of `structs` that a file has, and its worms.

    `read_states` takes the struct, its name and each worm's number of frames, and returns the field of the motor state,
    and each worm's states and their names.
    """
    with matlab_v5.open_v5(path, FIELDS["traces"]) if matlab_v5.is_v5(path) else hdf5.open_hdf5(path) as file:
        name, struct = find_struct(file, structs)
        fields = find_fields(struct)
        worms = read_worms(struct, name, fields)
        field, states = read_states(struct, name, [len(worm["traces"]) for worm in worms])
        expect_one_per_worm(struct, field, len(states), len(worms))
        recordings = []
        for worm, (numbers, names) in zip(worms, states, strict=True):
            with name_fields(fields | {"motor_state": field}):
                recordings.append(Recording(study, **worm, motor_state=numbers, state_names=names))
    return name, expect_distinct_worms(recordings, path)


def expect_one_per_worm(struct: h5py.Group, field: str, found: int, worms: int) -> None:
    """Raise RecordingError unless a field has one entry per worm."""
    if found != worms:
        hdf5.fail(struct, field, f"found {found} entries, expected {worms}, one per worm")


def _read_worm(struct: h5py.Group, name: str, worm: dict[str, hdf5.Node], fields: dict[str, str]) -> dict[str, Any]:
    traces = _read_traces(worm["traces"], fields["traces"])
    names, ambiguous = _read_neuron_names(worm["neuron_names"], fields["neuron_names"], traces.shape[1])
    derivatives = None
    if "derivatives" in worm:
        derivatives = _read_derivatives(worm["derivatives"], fields["derivatives"], traces.shape)
    return {
        "worm": ("worm" in worm and read_characters(worm["worm"], fields["worm"])) or name,
        "traces": traces,
        "times": _read_times(struct, worm, fields, len(traces)),
        "neuron_names": names,
        "ambiguous_names": ambiguous,
        "derivatives": derivatives,
        "source": struct.file.filename.removesuffix(matlab_v5.IN_MEMORY),
    }


def _read_traces(node: hdf5.Node, field: str) -> Float[np.ndarray, "frame neuron"]:
    """Return a worm's traces; HDF5 holds MATLAB's [frame, neuron] as [neuron, frame]."""
    return np.ascontiguousarray(hdf5.read_matrix(node, field, "[neuron, frame]").T)


def _read_derivatives(node: hdf5.Node, field: str, shape: tuple[int, int]) -> Float[np.ndarray, "frame neuron"]:
    """Return the source's derivatives; where they are one sample shorter than the traces, the last one is repeated."""
    if isinstance(node, h5py.Group):  # A struct, as in the public NoStim_Data.mat.
        node, field = hdf5.get_member(node, "traces", field), f"{field}/traces"
    values = _read_traces(node, field)
    if values.shape == (shape[0] - 1, shape[1]):
        values = np.concatenate([values, values[-1:]])
    if values.shape != shape:
        expected = f"{shape[::-1]} as the traces (or one frame less)"
        hdf5.fail(node, field, f"found shape {values.shape[::-1]}, expected {expected}")
    return values


def _read_neuron_names(
    node: hdf5.Node, field: str, neurons: int
) -> tuple[tuple[str | None, ...], tuple[tuple[str, ...], ...]]:
    """Return, for each neuron, the name that identifies it (or None), and the candidates where it is doubtful."""
    entries = read_cell(node, field, MOST_NEURONS)
    if len(entries) != neurons:
        hdf5.fail(node, field, f"found {len(entries)} names, expected {neurons}, one per neuron of the traces")
    names = [sort_candidates(_read_names(entry, field)) for entry in entries]
    return tuple(name for name, _ in names), tuple(candidates for _, candidates in names)


def _read_times(
    struct: h5py.Group, worm: dict[str, hdf5.Node], fields: dict[str, str], frames: int
) -> Float[np.ndarray, " frame"]:
    """Return the seconds of each frame, from the times or else from the frame rate."""
    if "times" in worm:
        return hdf5.read_vector(worm["times"], fields["times"], frames).astype(np.float64)
    if "frame_rate" not in worm:
        expected = "expected one of them"
        hdf5.fail(struct, FIELDS["times"][0], f"found neither times nor the frame rate 'fps', {expected}")
    rate = hdf5.read_vector(worm["frame_rate"], "fps")
    if rate.size != 1 or not 0 < rate[0] < np.inf:
        hdf5.fail(struct, "fps", f"found {rate.tolist()[:3]}, expected frames per second")
    return np.arange(frames) / float(rate[0])


def is_cell(node: hdf5.Node, field: str) -> bool:
    """Return whether the node is a cell array."""
    with hdf5.guard(node, field):
        return isinstance(node, h5py.Dataset) and h5py.check_ref_dtype(node.dtype) is not None


def _is_empty(node: hdf5.Node, field: str) -> bool:
    """Return whether the node is MATLAB's empty array."""
    with hdf5.guard(node, field):
        if isinstance(node, h5py.Group):
            return False
        return bool(np.any(node.attrs.get("MATLAB_empty", 0))) or node.shape is None or node.size == 0


def read_characters(node: hdf5.Node, field: str) -> str:
    """Return the text of a char array; MATLAB's empty array is the empty text."""
    if _is_empty(node, field):
        return ""
    units = hdf5.read_numbers(node, field)
    if units.dtype not in (np.uint16, np.uint8):
        hdf5.fail(node, field, f"found values of type {units.dtype}, expected characters (uint16)")
    try:
        # HDF5 stores a row of text transposed, which a row or a column survives.
        return units.reshape(-1).astype("<u2").tobytes().decode("utf-16-le").strip("\0 ")
    except UnicodeDecodeError:
        hdf5.fail(node, field, "found bytes that are no text, expected characters")


def read_cell(node: hdf5.Node, field: str, most: int) -> list[hdf5.Node]:
    """Return the entries of a cell array, of which there may be at most `most`."""
    if _is_empty(node, field):
        return []
    return [hdf5.follow(node.file, entry, field) for entry in hdf5.read_references(node, field, most)]


def _read_names(node: hdf5.Node, field: str, depth: int = 0) -> list[str]:
    """Return the texts in a char array, or in a cell array of them, in order, without the empty ones."""
    if _is_empty(node, field):
        return []
    if not is_cell(node, field):
        text = read_characters(node, field)
        return [text] if text else []
    if depth == DEEPEST:
        hdf5.fail(node, field, f"found cells nested deeper than {DEEPEST}, expected names")
    return [name for entry in read_cell(node, field, MOST_NAMES) for name in _read_names(entry, field, depth + 1)]
