"""Read HDF5 files that may be damaged: every fault ends in a RecordingError that names file and field.

The public recordings are HDF5 (MATLAB v7.3 and JLD2 files are too). The HDF5 library reports damage by many kinds of
exception, and a damaged file may declare an array that fills the memory. All access goes through these functions.
"""

import contextlib
import difflib
import logging
import math
import os
from collections.abc import Iterator
from typing import Any, NoReturn

import h5py
import numpy as np

from wormjax.recordings.faults import TOO_LARGE, RecordingError

LARGEST_ARRAY = 2 << 30  # Bytes. The largest published recording is a hundred times smaller.
HIGHEST_COMPRESSION = 1100  # deflate reaches 1032; a file that declares more is damaged.
MOST_MEMBERS = 10_000  # Of a group that is listed: one per worm, or one per field.
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)
DAMAGE += (SystemError, NotImplementedError)

Node = h5py.Group | h5py.Dataset
Place = Node | str | os.PathLike

_log = logging.getLogger(__name__)


def fail(place: Place, field: str, problem: str) -> NoReturn:
    """Raise the one-line error of a field, at a place (a path, or a group or array in a file)."""
    # h5py's own `node.file.filename` takes as long as reading a number.
    path = os.fsdecode(h5py.h5f.get_name(place.id)) if isinstance(place, Node) else os.fspath(place)
    raise RecordingError(f"{path}: field {field!r}: {problem}")


@contextlib.contextmanager
def guard(place: Place, field: str) -> Iterator[None]:
    """Turn what the HDF5 library raises into a RecordingError. Only calls of h5py belong inside."""
    try:
        yield
    except RecordingError:
        raise
    except MemoryError:
        fail(place, field, TOO_LARGE)
    except DAMAGE as error:
        fail(place, field, f"found damaged or unreadable HDF5 data ({error}), expected a whole file")


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading."""
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise RecordingError(f"{path}: found no such file, expected a recording")
    _log.debug("opening %s", path)
    try:
        file = h5py.File(path, "r")
    except MemoryError:
        raise RecordingError(f"{path}: {TOO_LARGE}") from None
    except DAMAGE as error:
        raise RecordingError(f"{path}: {_describe_unopened(path, error)}") from None
    try:
        yield file
    except MemoryError:
        raise RecordingError(f"{path}: {TOO_LARGE}") from None
    finally:
        with contextlib.suppress(*DAMAGE):  # Closing a damaged file may fail, too.
            file.close()


def _describe_unopened(path: str, error: BaseException) -> str:
    """Return what is wrong with a file that h5py could not open."""
    if "unable to lock file" in str(error) or "already open" in str(error):
        return "found a locked file: another program holds it open, expected it closed there"
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
    """Return the names in a group, sorted; `field` is the group's own name, for messages."""
    with guard(group, field):
        if len(group) > MOST_MEMBERS:
            fail(group, field, f"found a group of {len(group):,} members, expected at most {MOST_MEMBERS:,}")
        names = list(group.keys())
    # h5py returns a name that is not UTF-8 as bytes.
    return sorted(name if isinstance(name, str) else name.decode(errors="backslashreplace") for name in names)


def get_member(group: Node, name: str, parent: str = "") -> Node:
    """Return the member `name` of a group; `parent` is the group's own name, for messages."""
    field = f"{parent}/{name}".lstrip("/")
    if not isinstance(group, h5py.Group):
        fail(group, parent or name, "found an array, expected a group of fields")
    with guard(group, field):
        link = group.get(name, getlink=True)
    if link is None:
        members = list_members(group, field)
        near = difflib.get_close_matches(name, members, 1)
        found = f"did you mean {near[0]!r}?" if near else f"found only: {', '.join(members[:12]) or 'nothing'}"
        fail(group, field, f"found no such field, expected one ({found})")
    if not isinstance(link, h5py.HardLink):
        # A soft link may lead on to an external one, and that to any file or pipe of the machine.
        fail(group, field, "found a link to data elsewhere, expected the data themselves")
    with guard(group, field):
        node = group[name]
    if not isinstance(node, Node):
        fail(group, field, f"found a {type(node).__name__.lower()}, expected data")
    return node


def has_member(group: Node, name: str) -> bool:
    """Return whether a group has a member. A link that leads nowhere counts, so that `get_member` refuses it."""
    with guard(group, name):
        return isinstance(group, h5py.Group) and group.get(name, getlink=True) is not None


def expect_dataset(node: Node, field: str) -> h5py.Dataset:
    """Return the node where it is an array whose data lie in the file, of a size that fits what is stored."""
    if not isinstance(node, h5py.Dataset):
        fail(node, field, "found a group, expected an array")
    with guard(node, field):
        shape, size = node.shape, node.dtype.itemsize
        stored, elsewhere = node.id.get_storage_size(), node.external or node.is_virtual
    if shape is None:
        fail(node, field, "found nothing (an empty HDF5 dataspace), expected an array")
    if elsewhere:
        fail(node, field, "found data kept in another file, expected the data themselves")
    declared = math.prod(shape) * size
    if declared > min(LARGEST_ARRAY, HIGHEST_COMPRESSION * stored):
        found = f"found a declared size of {declared:,} bytes (shape {shape}), of which {stored:,} are stored"
        fail(node, field, f"{found}, expected at most {LARGEST_ARRAY:,} and all of them stored")
    return node


def read_numbers(node: Node, field: str) -> np.ndarray:
    """Return an array of numbers (booleans, integers, floating point) in its own type, native byte order."""
    dataset = expect_dataset(node, field)
    with guard(node, field):
        if dataset.dtype.kind not in "biuf":
            fail(node, field, f"found values of type {dataset.dtype}, expected numbers")
        values = np.asarray(dataset[()])
    # JAX reads neither the other byte order nor long doubles.
    native = values.dtype.newbyteorder("=")
    if native.kind == "f" and native.itemsize > 8:
        native = np.dtype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(native, copy=False)


def read_matrix(node: Node, field: str, axes: str) -> np.ndarray:
    """Return a floating-point array of two axes; `axes` names them, for messages."""
    values = read_numbers(node, field)
    if values.ndim != 2 or values.dtype.kind != "f":
        fail(node, field, f"found {values.dtype} of shape {values.shape}, expected floating point {axes}")
    return values


def read_vector(node: Node, field: str, length: int | None = None) -> np.ndarray:
    """Return a vector of numbers, stored as [length], [length, 1] or [1, length]."""
    values = read_numbers(node, field)
    if values.ndim > 2 or max(values.shape, default=1) != values.size:
        fail(node, field, f"found shape {values.shape}, expected a vector")
    if length is not None and values.size != length:
        fail(node, field, f"found {values.size} values, expected {length}, one per frame")
    return values.reshape(-1)


def read_texts(node: Node, field: str) -> list[str]:
    """Return strings, stored with fixed or variable length, UTF-8."""
    dataset = expect_dataset(node, field)
    with guard(node, field):
        if dataset.dtype.kind not in "SO" or h5py.check_ref_dtype(dataset.dtype) is not None:
            fail(node, field, f"found values of type {dataset.dtype}, expected strings")
        values = np.asarray(dataset[()]).reshape(-1).tolist()
    return [decode(value, node, field) for value in values]


def decode(value: Any, place: Place, field: str) -> str:
    """Return the text of a string or of UTF-8 bytes."""
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        fail(place, field, f"found a value of type {type(value).__name__}, expected a string")
    try:
        return value.decode()
    except UnicodeDecodeError:
        fail(place, field, f"found {value[:20]!r}, expected UTF-8 characters")


def read_references(node: Node, field: str, most: int) -> list[h5py.Reference]:
    """Return an array of object references (a cell array), flat, of at most `most` entries."""
    dataset = expect_dataset(node, field)
    if dataset.size > most:
        fail(node, field, f"found {dataset.size:,} entries, expected at most {most:,}")
    with guard(node, field):
        if h5py.check_ref_dtype(dataset.dtype) is not h5py.Reference:
            fail(node, field, f"found values of type {dataset.dtype}, expected references (a cell array)")
        return np.asarray(dataset[()], object).reshape(-1).tolist()


def follow(file: h5py.File, reference: Any, field: str) -> Node:
    """Return the group or the array that a reference leads to."""
    if not isinstance(reference, h5py.Reference) or not reference:
        fail(file, field, "found an empty reference, expected one to data")
    with guard(file, field):
        node = file[reference]
    if not isinstance(node, Node):
        fail(file, field, f"found a reference to a {type(node).__name__}, expected one to data")
    return node
