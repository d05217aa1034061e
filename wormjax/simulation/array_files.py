"""Guarded reading of .npy, .npz and HDF5 files: what a file declares is compared with what it stores, then it is read.

A .npy header may declare a shape of 10¹² numbers or name Python objects, an archive may unpack to a thousand times its
size, and an HDF5 attribute of variable-length strings may lead the HDF5 library round in circles. NumPy's own reading
allocates first. Nothing is ever unpickled.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import h5py
import numpy as np

from wormjax.errors import InputError
from wormjax.recordings.hdf5 import expect_dataset, fail, get_member, guard, has_member, open_hdf5
from wormjax.simulation import attribute_strings
from wormjax.value_checks import shorten

LARGEST_ARRAY = 2 << 30  # Bytes. The reference's largest file holds a tenth.
LARGEST_UNPACKED = 256 << 20  # Bytes that may be stored in less than a hundredth; positions and edges never are.
HIGHEST_COMPRESSION = 100
LARGEST_ATTRIBUTE = 1 << 20  # Bytes.
LONGEST_HEADER = 10_000  # Characters of a .npy header.
SECONDS = 30.0  # Until strings of varying length are read; it takes one, of which the process that reads them most.


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of a .npy file of numbers or strings.

    Raises:
      InputError: no such file, one that is damaged, or one of Python objects.
    """
    path = Path(path)
    if not path.is_file():
        _refuse(path, "a .npy file", "found no such file")
    with _guard(path, "a .npy file"), open(path, "rb") as stream:
        return _read_array(stream, os.path.getsize(path))


def read_npz(path: str | os.PathLike, names: Sequence[str]) -> dict[str, Any]:
    """Those of the named fields that a NumPy archive holds: arrays, and strings and single numbers as Python's own.

    Raises:
      InputError: a file that is damaged, of Python objects, or that unpacks to far more than it stores.
    """
    fields = {}
    with _guard(path, "a NumPy archive without objects"), zipfile.ZipFile(path) as archive:
        for name in names:
            if f"{name}.npy" not in archive.namelist():
                continue
            member = archive.getinfo(f"{name}.npy")
            _check_size(member.file_size, member.compress_size, f"field {name!r}: ")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"field {name!r}: found a way of compression that NumPy does not write")
            with archive.open(member) as stream:
                fields[name] = simplify(_read_array(stream, member.file_size, f"field {name!r}: "))
    return fields


def read_hdf5(path: str | os.PathLike, arrays: Sequence[str], attributes: Sequence[str]) -> dict[str, Any]:
    """Those of the named arrays and root attributes that an HDF5 file holds.

    Raises:
      InputError: a file that is damaged, or that declares far more than it stores.
    """
    path, fields = os.fspath(path), {}
    with _guard(path, "an HDF5 file"), open_hdf5(path) as file:
        for name in arrays:
            if has_member(file, name):
                fields[name] = _read_dataset(get_member(file, name), path, name)
        with guard(path, "attributes"):
            there = [name for name in attributes if name in file.attrs]
            varying = [name for name in there if _is_varying(file, name)]
            fields |= {name: simplify(np.asarray(file.attrs[name])) for name in there if name not in varying}
    return fields | (_read_varying(path, varying) if varying else {})


def simplify(value: np.ndarray) -> Any:
    """Strings, lists of strings and single numbers as Python's own; other arrays as they are."""
    if value.dtype.kind in "SUO":
        return _decode(value.tolist())
    return value.item() if value.ndim == 0 else value


def _read_dataset(node, path, name):
    dataset = expect_dataset(node, path, name)
    with guard(path, name):
        if dataset.dtype.kind not in "fiub":
            fail(path, name, f"found {shorten(str(dataset.dtype))} of shape {dataset.shape}, expected numbers")
        _check_size(math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size())
        return dataset[()]


def _is_varying(file, name) -> bool:
    """Whether an attribute is of strings of varying length; ValueError where it is too large, or none that is read."""
    attribute = file.attrs.get_id(name)
    shape, kind = attribute.shape, attribute.dtype
    if math.prod(shape) * kind.itemsize > LARGEST_ATTRIBUTE:
        raise ValueError(f"attribute {name!r} declares {math.prod(shape) * kind.itemsize:,} bytes")
    if h5py.check_string_dtype(kind) is None and kind.kind not in "biufSU":
        raise ValueError(f"attribute {name!r} is of type {shorten(str(kind))}")
    return kind.kind == "O"


def _read_varying(path: str, names: Sequence[str]) -> dict[str, Any]:
    """Attributes of strings of varying length, read in a process of their own that can be ended."""
    command = [sys.executable, "-P", attribute_strings.__file__, path, *names]
    with _guard(path, "an HDF5 file"):
        try:
            done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            done = None
        if done is None or done.returncode:
            raise ValueError(f"damaged attribute {', '.join(names)}")
        return json.loads(done.stdout)


def _read_array(stream: BinaryIO, size: int, place: str = "") -> np.ndarray:
    """An array in NumPy's format from a stream of so many bytes; ValueError where it declares others than there are."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{place}found version {version}, expected (1, 0) or (2, 0)")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, kind = read(stream, max_header_size=LONGEST_HEADER)
    if kind.hasobject or kind.kind not in "fiubSU" or not kind.itemsize:
        raise ValueError(f"{place}found values of type {shorten(str(kind))}, expected numbers or strings")
    if any(length < 0 for length in shape):
        raise ValueError(f"{place}found shape {shape}")
    declared, there = math.prod(shape) * kind.itemsize, size - stream.tell()
    if declared > min(there, LARGEST_ARRAY):
        raise ValueError(f"{place}found {there:,} bytes, expected {declared:,} for the declared shape {shape}")
    content = stream.read(declared)
    if len(content) < declared:
        raise ValueError(f"{place}found {len(content):,} bytes, expected {declared:,} for the declared shape {shape}")
    return np.frombuffer(content, kind).reshape(shape, order="F" if fortran_order else "C")


def _check_size(declared: int, stored: int, place: str = ""):
    most = LARGEST_ARRAY if declared <= HIGHEST_COMPRESSION * stored else LARGEST_UNPACKED
    if declared > most:
        raise ValueError(f"{place}found {declared:,} bytes packed into {stored:,}, expected at most {most:,}")


def _decode(value):
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


@contextlib.contextmanager
def _guard(path, what: str) -> Iterator[None]:
    """One line for whatever is raised by the libraries that read a damaged file: it may be anything."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        _refuse(path, what, shorten(str(error), 300) or type(error).__name__)


def _refuse(path, what: str, reason: str) -> NoReturn:
    raise InputError(f"{path}: cannot be read as {what} ({reason})")
