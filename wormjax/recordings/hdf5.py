"""Guarded reading of HDF5 files: whatever is wrong with a file ends in a RecordingError that names file and field.

The public recordings are HDF5 (MATLAB v7.3 and JLD2 files are too). The HDF5 library reports damage by many kinds of
exception, and a damaged file may declare an array that fills the memory; all access goes through the functions here.
"""

import contextlib
import difflib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import h5py
import numpy as np

from wormjax.recordings.recording import RecordingError

LARGEST_ARRAY = 2 << 30  # Bytes. The largest published recording is a hundred times smaller.
HIGHEST_COMPRESSION = 1100  # deflate reaches 1032; more than that is not data but a mistake.
TOO_LARGE = "found more than the memory can hold, expected a smaller recording"
MOST_MEMBERS = 10_000  # Of a group that is listed: a worm each, or a field each.
OPENED: list[Callable[[str], None]] = []  # Called with each file's path before it is opened.
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)
DAMAGE += (SystemError, NotImplementedError)

Node = h5py.Group | h5py.Dataset


def get_path(node: h5py.HLObject) -> str:
    """The path of the file that a group or an array stands in; h5py's own way takes as long as reading a number."""
    return os.fsdecode(h5py.h5f.get_name(node.id))


def fail(path: str | os.PathLike, field: str, problem: str) -> NoReturn:
    """Raises the one-line error of a file's field."""
    raise RecordingError(f"{os.fspath(path)}: field {field!r}: {problem}")


@contextlib.contextmanager
def guard(path: str | os.PathLike, field: str) -> Iterator[None]:
    """Turns what the HDF5 library raises into a RecordingError; only calls of h5py belong inside."""
    try:
        yield
    except RecordingError:
        raise
    except MemoryError:
        fail(path, field, TOO_LARGE)
    except DAMAGE as error:
        fail(path, field, f"found damaged or unreadable HDF5 data ({error}), expected a whole file")


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """Opens an HDF5 file for reading.

    Raises:
      RecordingError: there is no such file, or it is not a whole HDF5 file.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise RecordingError(f"{path}: found no such file, expected a recording")
    for listener in OPENED:
        listener(path)
    try:
        file = h5py.File(path, "r")
    except MemoryError:
        raise RecordingError(f"{path}: {TOO_LARGE}") from None
    except DAMAGE as error:
        raise RecordingError(f"{path}: {_describe_foreign_file(path, error)}") from None
    try:
        yield file
    except MemoryError:
        raise RecordingError(f"{path}: {TOO_LARGE}") from None
    finally:
        with contextlib.suppress(*DAMAGE):  # A damaged file may not even close.
            file.close()


def _describe_foreign_file(path: str, error: BaseException) -> str:
    try:
        with open(path, "rb") as stream:
            head = stream.read(128)
    except OSError as unreadable:
        return f"found a file that cannot be opened ({unreadable.strerror}), expected a recording"
    if head.startswith(b"MATLAB 5.0"):
        return "found a MATLAB v5 file, expected v7.3 (in MATLAB: load it, then save with '-v7.3')"
    if b"\x89HDF\r\n" in head or head.startswith(b"MATLAB 7.3"):
        return f"found a truncated or damaged HDF5 file ({error}), expected a whole one: download it again"
    return "found a file that is not HDF5, expected an HDF5 recording (.mat v7.3, .h5)"


def list_members(group: h5py.Group, field: str) -> list[str]:
    """The names in a group; h5py gives a name that is no UTF-8 as bytes."""
    path = get_path(group)
    with guard(path, field):
        if len(group) > MOST_MEMBERS:
            fail(path, field, f"found a group of {len(group):,} members, expected at most {MOST_MEMBERS:,}")
        names = list(group.keys())
    return sorted(name if isinstance(name, str) else name.decode(errors="backslashreplace") for name in names)


def get_member(group: Node, name: str, parent: str = "") -> Node:
    """The member `name` of a group; `parent` is the group's own name, for messages."""
    path, field = get_path(group), f"{parent}/{name}".lstrip("/")
    if not isinstance(group, h5py.Group):
        fail(path, parent or name, "found an array, expected a group of fields")
    link = find_link(group, name, field)
    if link is None:
        members = list_members(group, field)
        near = difflib.get_close_matches(name, members, 1)
        found = f"did you mean {near[0]!r}?" if near else f"found only: {', '.join(members[:12]) or 'nothing'}"
        fail(path, field, f"found no such field, expected one ({found})")
    if not isinstance(link, h5py.HardLink):
        # A soft link may lead on to an external one, and that to any file or pipe of the machine.
        fail(path, field, "found a link to data elsewhere, expected the data themselves")
    with guard(path, field):
        node = group[name]
    if not isinstance(node, Node):
        fail(path, field, f"found a {type(node).__name__.lower()}, expected data")
    return node


def has_member(group: Node, name: str) -> bool:
    """Whether a group has the member; one that leads nowhere counts, so that it is not passed over."""
    return isinstance(group, h5py.Group) and find_link(group, name, name) is not None


def find_link(group: h5py.Group, name: str, field: str) -> object | None:
    """How a group holds its member (h5py.HardLink: itself), or None where it has none."""
    with guard(get_path(group), field):
        return group.get(name, getlink=True)


def expect_dataset(node: Any, path: str, field: str) -> h5py.Dataset:
    """The node itself where it is an array within reach, else a RecordingError."""
    if not isinstance(node, h5py.Dataset):
        fail(path, field, f"found a {type(node).__name__.lower()}, expected an array")
    with guard(path, field):
        shape, size = node.shape, node.dtype.itemsize
        stored, external, virtual = node.id.get_storage_size(), node.external, node.is_virtual
    if shape is None:
        fail(path, field, "found nothing (an empty HDF5 dataspace), expected an array")
    if external or virtual:
        fail(path, field, "found data kept in another file, expected the data themselves")
    declared = math.prod(shape) * size
    if declared > min(LARGEST_ARRAY, HIGHEST_COMPRESSION * stored):
        found = f"found a declared size of {declared:,} bytes (shape {shape}), of which {stored:,} are stored"
        fail(path, field, f"{found}, expected at most {LARGEST_ARRAY:,} and all of them stored")
    return node


def read_numbers(node: Any, path: str, field: str) -> np.ndarray:
    """An array of numbers (booleans, integers, floating point), in its own type, this machine's byte order."""
    dataset = expect_dataset(node, path, field)
    with guard(path, field):
        kind, name = dataset.dtype.kind, str(dataset.dtype)
        if kind not in "biuf":
            fail(path, field, f"found values of type {name}, expected numbers")
        values = dataset[()]
    # JAX knows neither another machine's byte order nor long doubles.
    native = values.dtype.newbyteorder("=")
    if kind == "f" and native.itemsize > 8:
        native = np.dtype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values).astype(native, copy=False)


def read_vector(node: Any, path: str, field: str, length: int | None = None) -> np.ndarray:
    """A vector of numbers, stored as [length], [length, 1] or [1, length]."""
    values = read_numbers(node, path, field)
    if values.ndim > 2 or max(values.shape, default=1) != values.size:
        fail(path, field, f"found shape {values.shape}, expected a vector")
    if length is not None and values.size != length:
        fail(path, field, f"found {values.size} values, expected {length}, one a frame")
    return values.reshape(-1)


def read_text(node: Any, path: str, field: str) -> str:
    """A single string, of fixed or variable length."""
    texts = read_texts(node, path, field)
    if len(texts) != 1:
        fail(path, field, f"found {len(texts)} strings, expected one")
    return texts[0]


def read_texts(node: Any, path: str, field: str) -> list[str]:
    """Strings, of fixed or variable length, UTF-8."""
    dataset = expect_dataset(node, path, field)
    with guard(path, field):
        if dataset.dtype.kind not in "SO" or h5py.check_ref_dtype(dataset.dtype) is not None:
            fail(path, field, f"found values of type {dataset.dtype}, expected strings")
        values = np.asarray(dataset[()]).reshape(-1).tolist()
    return [decode(value, path, field) for value in values]


def decode(value: Any, path: str, field: str) -> str:
    """A string from the bytes that h5py returns."""
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        fail(path, field, f"found a value of type {type(value).__name__}, expected a string")
    try:
        return value.decode()
    except UnicodeDecodeError:
        fail(path, field, f"found {value[:20]!r}, expected UTF-8 characters")


def read_references(node: Any, path: str, field: str) -> list[h5py.Reference]:
    """An array of object references, flat."""
    dataset = expect_dataset(node, path, field)
    with guard(path, field):
        if h5py.check_ref_dtype(dataset.dtype) is not h5py.Reference:
            fail(path, field, f"found values of type {dataset.dtype}, expected references (a cell array)")
        return np.asarray(dataset[()], object).reshape(-1).tolist()


def follow(file: h5py.File, reference: Any, field: str) -> Node:
    """The object that a reference leads to."""
    path = file.filename
    if not isinstance(reference, h5py.Reference) or not reference:
        fail(path, field, "found an empty reference, expected one to data")
    with guard(path, field):
        node = file[reference]
    if not isinstance(node, h5py.Group | h5py.Dataset):
        fail(path, field, f"found a reference to a {type(node).__name__}, expected one to data")
    return node
