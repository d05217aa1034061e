"""Read dictionaries from JLD2 files (Julia's own HDF5 layout), for the neuron labels of Dag et al. 2023.

A dictionary is an array of object references, each to a pair: a compound of `first` (the key) and `second` (the
value). A key or a value stands in the pair itself or is referred to, and references may lead to references. A tuple is
a compound with the fields `1`, `2`, ... Nothing is unpickled: only numbers and strings are read.
"""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from wormjax.recordings import hdf5

DEEPEST = 8  # References that lead to references; more is a cycle.
MOST_PAIRS = 10_000  # In one dictionary.


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
