"""Read Nichols et al. 2017 (Science 356:eaam6851): immobilised worms before and during lethargus (sleep).

The files of OSF node kbf38, MATLAB v7.3, are n2_prelet.mat, n2_let.mat, npr1_prelet.mat and npr1_let.mat, each a struct
of the file's name with the fields of Kato et al. 2015 (`IDs`, `traces`, `tracesDif`, `timeVectorSeconds`, `dataset`).
The motor state is `FiveStates` or `FourStates`, a struct of the vector and its names. FiveStates, numbered from 0,
distinguishes dorsal from ventral turns and takes precedence. FourStates is numbered from 1 where the lab wrote `+ 1`,
else from 0: the numbers in the whole file decide. `tracesDif` is one sample shorter than `traces`; its last sample is
repeated, so that both have the same frames.
"""

import dataclasses
import os
from collections.abc import Sequence

import h5py
import numpy as np
from jaxtyping import Int

from wormjax.recordings import hdf5, matlab
from wormjax.recordings.motor_states import number_states
from wormjax.recordings.recording import Recording, expect_distinct_worms

STUDY = "nichols2017"
CONDITIONS = ("n2_prelet", "n2_let", "npr1_prelet", "npr1_let")
# Field → its names where the file has none, and the number of the first where the numbers leave it open.
STATE_FIELDS = {
    "FiveStates": (("Forward", "Quiescence", "Reversal", "Dorsal turn", "Ventral turn", "undefined turn"), 0),
    "FourStates": (("Reversal", "Forward", "Quiescence", "Turn"), 1),
}


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Read the worms of one condition's file, or of all of the four files that a folder holds.

    A worm's name is its `dataset`, preceded by the condition where two files use the same name.
    """
    files = matlab.list_files(path, [f"{condition}.mat" for condition in CONDITIONS])
    conditions = [matlab.read_recordings(file, STUDY, CONDITIONS, _read_states) for file in files]
    names = [worm.worm for _, worms in conditions for worm in worms]
    if len(set(names)) < len(names):
        conditions = [
            (condition, tuple(dataclasses.replace(worm, worm=f"{condition} {worm.worm}") for worm in worms))
            for condition, worms in conditions
        ]
    return expect_distinct_worms([worm for _, worms in conditions for worm in worms], path)


def _find_first(states: Sequence[tuple[np.ndarray, tuple[str, ...]]], first: int) -> int:
    """Return the number of the first state, which the numbers of all worms decide."""
    if any((numbers == 0).any() for numbers, _ in states):
        return 0
    return 1 if any((numbers == len(names)).any() for numbers, names in states) else first


def _read_states(struct: h5py.Group, *_) -> tuple[str, list[tuple[Int[np.ndarray, " frame"], tuple[str, ...]]]]:
    """Return the field of the motor state, and each worm's states and their names; all worms share the first number."""
    field = matlab.find_field(struct, tuple(STATE_FIELDS))
    if field is None:
        hdf5.get_member(struct, "FiveStates")  # Raises, and says which fields there are.
    default_names, first = STATE_FIELDS[field]
    worms = [_read_state_entry(entry, field) for entry in matlab.read_entries(struct, field)]
    worms = [(numbers, names or default_names) for numbers, names in worms]
    first = _find_first(worms, first)
    return field, [(number_states(numbers, names, first, struct, field), names) for numbers, names in worms]


def _read_state_entry(entry: hdf5.Node, field: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return a worm's state numbers and their names, () where the file has none.

    The entry is a struct of a vector and a cell of names, or the vector alone.
    """
    members = [(field, entry)]
    if isinstance(entry, h5py.Group):
        own = hdf5.list_members(entry, field)
        members = [(f"{field}/{name}", hdf5.get_member(entry, name, field)) for name in own]
    cells = [(name, node) for name, node in members if matlab.is_cell(node, name)]
    vectors = [(name, node) for name, node in members if not matlab.is_cell(node, name)]
    if not vectors:
        hdf5.fail(entry, field, "found no numbers, expected one state number per frame")
    names = ()
    if cells:
        name, node = cells[0]
        names = tuple(matlab.read_characters(cell, name) for cell in matlab.read_cell(node, name, matlab.MOST_STATES))
    return hdf5.read_vector(vectors[0][1], vectors[0][0]), names
