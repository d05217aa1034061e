"""Read Kato et al. 2015 (Cell 163:656): immobilised worms, whole-brain calcium, eight motor states.

The files of OSF node 2395t are WT_NoStim.mat (five worms), WT_Stim.mat and AVA_HisCl.mat, MATLAB v7.3. Two layouts are
in circulation, and both are read whatever the file's name:

- `IDs`, `traces`, `tracesDif`, `timVectorSeconds` (`timeVectorSeconds` in the sister files), `States`, `States_key`;
- `NeuronNames`, `deltaFOverF_bc`, `derivs`, `tv`, and `States` as a struct of one binary vector per state.

States are numbered from 1: the eight of WT_NoStim, or, in the sister files, FWD, REV, REVSUS, TURN as the node's readme
lists them. A file's own `States_key` takes precedence over both.
"""

import os

import h5py
import numpy as np
from jaxtyping import Int

from wormjax.recordings import hdf5, matlab
from wormjax.recordings.motor_states import number_states
from wormjax.recordings.recording import UNSCORED, Recording

STUDY = "kato2015"
STRUCTS = ("WT_NoStim", "NoStim_Data", "WT_Stim", "AVA_HisCl")
FILES = ("WT_NoStim.mat", "NoStim_Data.mat")
EIGHT_STATES = ("FWD", "SLOW", "DT", "VT", "REV1", "REV2", "REVSUS", "NOSTATE")
SISTER_STATES = ("FWD", "REV", "REVSUS", "TURN")


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Read the worms of a file of the OSF node, or of the WT_NoStim.mat or NoStim_Data.mat in a folder.

    Traces are in dF/F, corrected for bleaching.
    """
    return matlab.read_recordings(matlab.list_files(path, FILES)[0], STUDY, STRUCTS, _read_states)[1]


def _read_states(struct: h5py.Group, struct_name: str, frames: list[int]) -> tuple[str, list]:
    """Return the field of the motor state, and each worm's states and their names."""
    entries, keys, worms = matlab.read_entries(struct, "States"), None, []
    matlab.expect_one_per_worm(struct, "States", len(entries), len(frames))
    for index, (node, count) in enumerate(zip(entries, frames, strict=True)):
        names = SISTER_STATES if struct_name in ("WT_Stim", "AVA_HisCl") else EIGHT_STATES
        if isinstance(node, h5py.Group):
            worms.append((_read_binary_states(node, count), EIGHT_STATES))
            continue
        if hdf5.has_member(struct, "States_key"):
            keys = keys or matlab.read_entries(struct, "States_key")
            matlab.expect_one_per_worm(struct, "States_key", len(keys), len(entries))
            cells = matlab.read_cell(keys[index], "States_key", matlab.MOST_STATES)
            names = tuple(matlab.read_characters(cell, "States_key") for cell in cells)
            if not names or not all(names):
                hdf5.fail(struct, "States_key", f"found the names {names}, expected one per state")
        numbers = hdf5.read_vector(node, "States", count)
        worms.append((number_states(numbers, names, 1, struct, "States"), names))
    return "States", worms


def _read_binary_states(group: h5py.Group, frames: int) -> Int[np.ndarray, " frame"]:
    """Return states from eight vectors of 0 and 1; a frame with none of them, or with more than one, is not scored."""
    vectors = []
    for name in EIGHT_STATES:
        field = f"States/{name.lower()}"
        vector = hdf5.read_vector(hdf5.get_member(group, name.lower(), "States"), field, frames)
        if not np.isin(vector, (0, 1)).all():
            hdf5.fail(group, field, f"found {vector[~np.isin(vector, (0, 1))][0]}, expected 0 or 1")
        vectors.append(vector)
    marked = np.array(vectors, np.int32)
    return np.where(marked.sum(axis=0) == 1, marked.argmax(axis=0), UNSCORED).astype(np.int32)
