"""Read .npy, .npz and HDF5 files of numbers that may be damaged: each is read, or one line says what is wrong.

What a file declares is compared with what it stores before memory is allocated, and nothing is unpickled.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wormjax.errors import InputError
from wormjax.recordings import hdf5
from wormjax.recordings.isolation import call_isolated

LARGEST_UNPACKED = 256 << 20  # Bytes that may be compressed more than a hundredfold; positions and edges never are.
HIGHEST_COMPRESSION = 100
LARGEST_ATTRIBUTE = 1 << 20  # Bytes.
LONGEST_MESSAGE = 300  # Characters of a library's message.


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """Return the array of a .npy file; InputError for none, and for one that is damaged or holds Python objects."""
    if not Path(path).is_file():
        raise InputError(f"{path}: found no such file, expected a .npy file")
    with _guard(path, "a .npy file"):
        # A memory map is refused where the file is shorter than its header declares.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))


def list_npz(path: str | os.PathLike) -> list[str]:
    """Return the names of the fields of a NumPy archive; InputError for a file that is none."""
    with _guard(path, "a NumPy archive"), np.load(path, allow_pickle=False) as archive:
        return list(archive.files)


def read_npz(path: str | os.PathLike, names: Sequence[str]) -> dict[str, Any]:
    """Return those of the named fields that a NumPy archive holds; strings and single numbers as Python's own.

    InputError for a file that is damaged, holds Python objects, or unpacks to far more than it stores.
    """
    with _guard(path, "a NumPy archive without objects"), np.load(path, allow_pickle=False) as archive:
        fields = [name for name in names if name in archive.files]
        for name in fields:
            member = archive.zip.getinfo(f"{name}.npy")
            _check_size(member.file_size, member.compress_size, name)
        return {name: _simplify(np.asarray(archive[name])) for name in fields}


def read_hdf5(path: str | os.PathLike, arrays: Sequence[str], attributes: Sequence[str]) -> dict[str, Any]:
    """Return those of the named arrays and root attributes that an HDF5 file holds.

    InputError for a file that is damaged, or that declares far more than it stores.
    """
    fields = {}
    with _guard(path, "an HDF5 file"), hdf5.open_hdf5(path) as file:
        for name in arrays:
            if hdf5.has_member(file, name):
                dataset = hdf5.expect_dataset(hdf5.get_member(file, name), name)
                _check_size(dataset.nbytes, dataset.id.get_storage_size(), name)
                fields[name] = hdf5.read_numbers(dataset, name)
        known = [name for name in attributes if name in file.attrs]
        varying = [name for name in known if _has_variable_length(file, name)]
        fields |= {name: _simplify(np.asarray(file.attrs[name])) for name in known if name not in varying}
    # Damaged strings of variable length can hang the HDF5 library or end the process.
    return fields | (call_isolated(read_attributes, path, varying)[0] if varying else {})


def read_attributes(path: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the named root attributes of an HDF5 file."""
    with hdf5.open_hdf5(path) as file:
        yield {name: _simplify(np.asarray(file.attrs[name])) for name in names}


def _has_variable_length(file: h5py.File, name: str) -> bool:
    """Return whether an attribute holds strings of variable length; raise ValueError where it cannot be read."""
    attribute = file.attrs.get_id(name)
    kind = attribute.dtype
    if attribute.shape is None or np.prod(attribute.shape, dtype=float) * kind.itemsize > LARGEST_ATTRIBUTE:
        raise ValueError(f"attribute {name!r} has the shape {attribute.shape}")
    if h5py.check_string_dtype(kind) is None and kind.kind not in "biufSU":
        raise ValueError(f"attribute {name!r} is of type {kind}")
    return kind.kind == "O"


def _check_size(declared: int, stored: int, name: str) -> None:
    if declared > max(HIGHEST_COMPRESSION * stored, LARGEST_UNPACKED):
        raise ValueError(f"field {name!r}: found {declared:,} bytes packed into {stored:,}")


def _simplify(value: np.ndarray) -> Any:
    """Return strings, lists of strings and single numbers as Python's own, other arrays as they are."""
    if value.dtype.kind in "SUO":
        return _decode(value.tolist())
    return value.item() if value.ndim == 0 else value


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


@contextlib.contextmanager
def _guard(path: str | os.PathLike, kind: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = str(error)[:LONGEST_MESSAGE] or type(error).__name__
        raise InputError(f"{path}: cannot be read as {kind} ({reason})") from None
