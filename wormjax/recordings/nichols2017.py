"""Reader of Nichols et al. 2017 (Science 356:eaam6851): immobilised worms before and during lethargus (sleep).

The files of OSF node kbf38, MATLAB v7.3: n2_prelet.mat, n2_let.mat, npr1_prelet.mat, npr1_let.mat, each a struct of the
file's name with the fields of Kato et al. 2015 (`IDs`, `traces`, `tracesDif`, `timeVectorSeconds`, `dataset`), and the
motor state as `FiveStates` or `FourStates`: a struct of the vector and its names. FiveStates, counted from 0, tells
dorsal from ventral turns and is taken where it is there; FourStates is counted from 1 where the lab wrote `+ 1`, else
from 0: the numbers in the whole file decide. `tracesDif` is one sample shorter than `traces`; its last sample is
repeated, so that both have the same frames.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import NamedTuple

import h5py
import numpy as np
from jaxtyping import Int

from wormjax.recordings import hdf5, kato2015, matlab
from wormjax.recordings.recording import Recording, RecordingError, name_fields

STUDY = "nichols2017"
CONDITIONS = ("n2_prelet", "n2_let", "npr1_prelet", "npr1_let")
# Field → its names where the file has none, and the number of the first where the numbers leave it open.
STATE_FIELDS = {
    "FiveStates": (("Forward", "Quiescence", "Reversal", "Dorsal turn", "Ventral turn", "undefined turn"), 0),
    "FourStates": (("Reversal", "Forward", "Quiescence", "Turn"), 1),
}
TIMES = ("timeVectorSeconds", "timVectorSeconds", "tv")


class States(NamedTuple):
    """A worm's motor state, and the field that it came from."""

    field: str
    numbers: Int[np.ndarray, " frame"]
    names: tuple[str, ...]


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Reads the worms of one condition's file, or of all of the four files that a folder holds.

    A worm's name is its `dataset`; the condition stands before it where two files use the same name.

    Raises:
      RecordingError: a file cannot be used; the message names file and field.
    """
    path = os.fspath(path)
    files = _list_files(path) if os.path.isdir(path) else [path]
    conditions = [_read_condition(file) for file in files]
    names = [worm.worm for _, worms in conditions for worm in worms]
    if len(set(names)) < len(names):
        conditions = [(condition, _prefix_worms(worms, condition)) for condition, worms in conditions]
    return kato2015.expect_distinct_worms([worm for _, worms in conditions for worm in worms], path)


def _prefix_worms(worms: Sequence[Recording], condition: str) -> list[Recording]:
    return [dataclasses.replace(worm, worm=f"{condition} {worm.worm}") for worm in worms]


def _read_condition(path: str) -> tuple[str, tuple[Recording, ...]]:
    with hdf5.open_hdf5(path) as file:
        condition, struct = matlab.find_struct(file, CONDITIONS)
        states = _read_states(struct)
        count = len(matlab.read_entries(struct, "traces"))
        if len(states) != count:
            field = next(name for name in STATE_FIELDS if hdf5.has_member(struct, name))
            hdf5.fail(file.filename, field, f"found {len(states)} entries, expected {count}, one a worm")
        worms = [_read_worm(struct, condition, index, states[index]) for index in range(count)]
    return condition, kato2015.expect_distinct_worms(worms, path)


def _list_files(folder: str) -> list[str]:
    files = [os.path.join(folder, f"{condition}.mat") for condition in CONDITIONS]
    found = [file for file in files if os.path.isfile(file)]
    if not found:
        expected = ", ".join(f"{condition}.mat" for condition in CONDITIONS)
        raise RecordingError(f"{folder}: found no recording in the folder, expected one of: {expected}")
    return found


def _read_worm(struct: h5py.Group, condition: str, index: int, states: States) -> Recording:
    path = hdf5.get_path(struct)
    traces = kato2015.read_traces(kato2015.read_entry(struct, "traces", index), "traces")
    names, ambiguous = kato2015.read_neuron_names(kato2015.read_entry(struct, "IDs", index), "IDs", traces.shape[1])
    times_field = matlab.find_field(struct, TIMES) or TIMES[0]
    times = hdf5.read_vector(kato2015.read_entry(struct, times_field, index), path, times_field, len(traces))
    derivatives = None
    if hdf5.has_member(struct, "tracesDif"):
        node = kato2015.read_entry(struct, "tracesDif", index)
        derivatives = kato2015.read_derivatives(node, "tracesDif", traces.shape)
    worm = ""
    if hdf5.has_member(struct, "dataset"):
        worm = matlab.read_characters(kato2015.read_entry(struct, "dataset", index), "dataset")
    words = {"times": times_field, "derivatives": "tracesDif", "neuron_names": "IDs", "motor_state": states.field}
    with name_fields(words):
        return Recording(
            study=STUDY,
            worm=worm or f"{condition} {index + 1}",
            traces=traces,
            times=times.astype(np.float64),
            neuron_names=names,
            ambiguous_names=ambiguous,
            motor_state=states.numbers,
            state_names=states.names,
            derivatives=derivatives,
            source=path,
        )


def _read_states(struct: h5py.Group) -> list[States]:
    """Per worm the motor state and its names; from all worms at once, since they share the first number."""
    path = hdf5.get_path(struct)
    field = matlab.find_field(struct, tuple(STATE_FIELDS))
    if field is None:
        hdf5.get_member(struct, "FiveStates")  # Raises, and says what is there instead.
    default_names, default_first = STATE_FIELDS[field]
    entries = [hdf5.follow(struct.file, reference, field) for reference in matlab.read_entries(struct, field)]
    vectors = [_read_state_vector(entry, field) for entry in entries]
    names = [_read_state_names(entry, field) or default_names for entry in entries]
    first = default_first
    if any(np.any(vector == 0) for vector in vectors):
        first = 0
    elif any(np.any(vector == len(own)) for vector, own in zip(vectors, names, strict=True)):
        first = 1
    return [
        States(field, kato2015.number_states(vector, own, first, path, field), own)
        for vector, own in zip(vectors, names, strict=True)
    ]


def _read_state_vector(entry: hdf5.Node, field: str) -> np.ndarray:
    path = hdf5.get_path(entry)
    for name, member in _list_entry(entry, field):
        if not _holds_text(member, name):
            return hdf5.read_vector(member, path, name)
    hdf5.fail(path, field, "found no numbers, expected a state number a frame")


def _read_state_names(entry: hdf5.Node, field: str) -> tuple[str, ...]:
    for name, member in _list_entry(entry, field):
        if _holds_text(member, name):
            cells = matlab.read_cell(member, name, kato2015.MOST_STATES)
            return tuple(matlab.read_characters(cell, name) for cell in cells)
    return ()


def _list_entry(entry: hdf5.Node, field: str) -> list[tuple[str, hdf5.Node]]:
    """A struct's members with their names, or the vector alone where no struct was saved."""
    if not isinstance(entry, h5py.Group):
        return [(field, entry)]
    members = hdf5.list_members(entry, field)
    return [(f"{field}/{name}", hdf5.get_member(entry, name, field)) for name in members]


def _holds_text(node: hdf5.Node, field: str) -> bool:
    with hdf5.guard(hdf5.get_path(node), field):
        return isinstance(node, h5py.Dataset) and h5py.check_ref_dtype(node.dtype) is not None
