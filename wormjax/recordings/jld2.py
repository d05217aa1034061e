"""Reading dictionaries from JLD2 files (Julia's own HDF5 layout), for the neuron labels of Dag et al. 2023.

A dictionary is an array of object references, each to a pair: a compound of `first` (the key) and `second` (the
value). A key or a value stands in the pair itself or behind a reference, and references may lead to references. A
tuple is a compound with the fields `1`, `2`, ... Nothing is unpickled: only numbers and strings are read.
"""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from wormjax.recordings import hdf5

DEEPEST = 8  # References that lead to references; more is a cycle.
MOST_PAIRS = 10_000  # Of one dictionary.


def follow_all(file: h5py.File, value: Any, field: str) -> Any:
    """Follows a reference, and the scalar references behind it, to the first node that is none."""
    for _ in range(DEEPEST):
        if isinstance(value, h5py.Reference):
            value = hdf5.follow(file, value, field)
        if not isinstance(value, h5py.Dataset):
            return value
        with hdf5.guard(file.filename, field):
            is_reference = value.shape == () and h5py.check_ref_dtype(value.dtype) is h5py.Reference
            if not is_reference:
                return value
            value = value[()]
    hdf5.fail(file.filename, field, f"found more than {DEEPEST} references in a row, expected data")


def read_pairs(file: h5py.File, node: Any, field: str) -> Iterator[tuple[str | float, Any]]:
    """A dictionary's keys, each with its value: a node, or a plain number or bytes."""
    dictionary = hdf5.expect_dataset(follow_all(file, node, field), file.filename, field)
    if dictionary.size > MOST_PAIRS:
        hdf5.fail(file.filename, field, f"found {dictionary.size:,} entries, expected at most {MOST_PAIRS:,}")
    for reference in hdf5.read_references(dictionary, file.filename, field):
        pair = read_compound(file, reference, field)
        if not {"first", "second"} <= set(pair):
            hdf5.fail(file.filename, field, f"found the fields {sorted(pair)}, expected a pair: first, second")
        yield read_scalar(file, pair["first"], field), pair["second"]


def find_value(file: h5py.File, node: Any, key: str, field: str) -> Any:
    """The value of a dictionary's key."""
    known = []
    for name, value in read_pairs(file, node, field):
        if name == key:
            return value
        known.append(str(name))
    hdf5.fail(file.filename, field, f"found no key {key!r}, expected it among: {', '.join(known[:12])}")


def read_compound(file: h5py.File, value: Any, field: str) -> dict[str, Any]:
    """A pair or a tuple: the name of each of its fields, with what stands there."""
    node = hdf5.expect_dataset(follow_all(file, value, field), file.filename, field)
    with hdf5.guard(file.filename, field):
        names, shape = node.dtype.names, node.shape
        if names is None or shape != ():
            hdf5.fail(file.filename, field, f"found {node.dtype} of shape {shape}, expected a pair or a tuple")
        record = node[()]
        return {name: record[name] for name in names}


def read_scalar(file: h5py.File, value: Any, field: str) -> str | float:
    """A number or a string, from the pair itself or from behind a reference."""
    value = follow_all(file, value, field)
    if isinstance(value, hdf5.Node):
        dataset = hdf5.expect_dataset(value, file.filename, field)
        with hdf5.guard(file.filename, field):
            if dataset.shape != () or dataset.dtype.kind not in "biufSO":
                hdf5.fail(file.filename, field, f"found {dataset.dtype} of shape {dataset.shape}, expected one value")
            value = dataset[()]
    if isinstance(value, bytes | str):
        return hdf5.decode(value, file.filename, field)
    if isinstance(value, int | float | np.number | np.bool_):
        return float(value)
    hdf5.fail(file.filename, field, f"found a {type(value).__name__}, expected a number or a string")
