"""Reading MATLAB v7.3 structs (HDF5) as the labs of Kato et al. 2015 and Nichols et al. 2017 saved them.

A struct is a group. A field that holds one entry a worm is a cell array: an array of object references. Text is an
array of UTF-16 code units, and an empty array carries the attribute `MATLAB_empty`. What a field leads to is followed
at most `DEEPEST` cells down, so that a file whose references form a cycle ends in an error.
"""

from collections.abc import Sequence

import h5py
import numpy as np

from wormjax.recordings import hdf5
from wormjax.recordings.recording import RecordingError

DEEPEST = 2  # A neuron's entry is a cell array of names; one more level does no harm.
MOST_NAMES = 64  # Candidates of one neuron.
MOST_WORMS = 10_000  # Of one file.


def find_struct(file: h5py.File, names: Sequence[str]) -> tuple[str, h5py.Group]:
    """The file's struct: the first of `names` that is there."""
    members = [name for name in hdf5.list_members(file, "/") if not name.startswith("#")]
    for name in names:
        if name in members:
            struct = hdf5.get_member(file, name)
            if not isinstance(struct, h5py.Group):
                hdf5.fail(file.filename, name, "found an array, expected a struct")
            return name, struct
    found = f"found only: {', '.join(members[:12]) or 'nothing'}"
    raise RecordingError(f"{file.filename}: {found}, expected one of the structs {', '.join(names)}")


def find_field(struct: h5py.Group, names: Sequence[str]) -> str | None:
    """The first of `names` that the struct has, or None."""
    members = hdf5.list_members(struct, names[0])
    return next((name for name in names if name in members), None)


def read_entries(struct: h5py.Group, field: str) -> list[h5py.Reference]:
    """The references of a field that holds one entry a worm."""
    path = hdf5.get_path(struct)
    node = hdf5.expect_dataset(hdf5.get_member(struct, field), path, field)
    if node.size > MOST_WORMS:
        hdf5.fail(path, field, f"found {node.size:,} entries, expected at most {MOST_WORMS:,}, one a worm")
    return hdf5.read_references(node, path, field)


def is_empty(node: hdf5.Node, field: str) -> bool:
    """Whether the node is MATLAB's empty array."""
    with hdf5.guard(hdf5.get_path(node), field):
        if isinstance(node, h5py.Group):
            return False
        return bool(np.any(node.attrs.get("MATLAB_empty", 0))) or node.shape is None or node.size == 0


def read_characters(node: hdf5.Node, field: str) -> str:
    """A char array as text; MATLAB's empty array is the empty text."""
    if is_empty(node, field):
        return ""
    path = hdf5.get_path(node)
    units = hdf5.read_numbers(node, path, field)
    if units.dtype not in (np.uint16, np.uint8):
        hdf5.fail(path, field, f"found values of type {units.dtype}, expected characters (uint16)")
    try:
        # MATLAB's char arrays are UTF-16; HDF5 stores a row of text transposed, which a row or a column survives.
        return units.reshape(-1).astype("<u2").tobytes().decode("utf-16-le").strip("\0 ")
    except UnicodeDecodeError:
        hdf5.fail(path, field, "found bytes that are no text, expected characters")


def read_cell(node: hdf5.Node, field: str, most: int) -> list[hdf5.Node]:
    """The entries of a cell array, at most so many: following a reference takes time."""
    if is_empty(node, field):
        return []
    dataset = hdf5.expect_dataset(node, hdf5.get_path(node), field)
    if dataset.size > most:
        hdf5.fail(hdf5.get_path(node), field, f"found {dataset.size} names, expected at most {most}")
    references = hdf5.read_references(node, hdf5.get_path(node), field)
    return [hdf5.follow(node.file, reference, field) for reference in references]


def read_names(node: hdf5.Node, field: str, depth: int = 0) -> list[str]:
    """The texts in a char array, or in a cell array of them, in order; empty entries are left out."""
    if is_empty(node, field):
        return []
    with hdf5.guard(hdf5.get_path(node), field):
        is_cell = isinstance(node, h5py.Dataset) and h5py.check_ref_dtype(node.dtype) is not None
    if not is_cell:
        text = read_characters(node, field)
        return [text] if text else []
    if depth == DEEPEST:
        hdf5.fail(hdf5.get_path(node), field, f"found cells nested deeper than {DEEPEST}, expected names")
    entries = read_cell(node, field, MOST_NAMES)
    return [name for entry in entries for name in read_names(entry, field, depth + 1)]
