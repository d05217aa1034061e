"""Open MATLAB files of version 5 to 7 (what `save` writes without '-v7.3') in the layout of v7.3, which is HDF5.

SciPy reads the file, and its content is laid out in an HDF5 file in memory, so that `matlab` reads both: a struct is a
group, a cell array an array of references, text an array of UTF-16 code units, and matrices are transposed. The file's
struct has a cell with an entry per worm in each field; an array of structs, one per worm, and the struct of a single
worm are brought into that form.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence

import h5py
import numpy as np
import scipy.io

from wormjax.recordings import hdf5
from wormjax.recordings.files import note_opening
from wormjax.recordings.recording import RecordingError

HEADER = b"MATLAB 5.0"
IN_MEMORY = " (MATLAB v5)"  # After the path, in the name of the file in memory.
REFERENCES = "#refs#"


def is_v5(path: str | os.PathLike) -> bool:
    """Return whether a file is of MATLAB before v7.3."""
    try:
        with open(path, "rb") as stream:
            return stream.read(len(HEADER)) == HEADER
    except OSError:
        return False


def list_variables(path: str | os.PathLike) -> list[str]:
    """Return the names of a file's variables, whose values are not read."""
    note_opening(os.fspath(path))
    try:
        return [name for name, *_ in scipy.io.whosmat(path)]
    except Exception as error:
        _refuse(path, error)


@contextlib.contextmanager
def open_v5(path: str | os.PathLike, many: Sequence[str]) -> Iterator[h5py.File]:
    """Open a file in the layout of v7.3.

    `many` are fields that are a matrix per worm: a struct in which they are no cells is that of a single worm.
    """
    note_opening(os.fspath(path))
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # SciPy raises more than ten types for a damaged file.
        _refuse(path, error)
    with h5py.File(os.fspath(path) + IN_MEMORY, "w", driver="core", backing_store=False) as file:
        file.create_group(REFERENCES)
        for name, value in content.items():
            if not name.startswith("__"):
                _add_variable(file, name, np.asarray(value), many)
        yield file


def _refuse(path: str | os.PathLike, error: Exception):
    found = f"found a MATLAB file that cannot be read ({type(error).__name__}: {error})"
    raise RecordingError(f"{os.fspath(path)}: {found}, expected a whole one") from None


def _add_variable(file: h5py.File, name: str, value: np.ndarray, many: Sequence[str]) -> None:
    """Add a variable; in a struct, each field becomes a cell with an entry per worm."""
    if value.dtype.names is None:
        _add(file, name, value)
        return
    group, entries = file.create_group(name), value.reshape(-1)
    single = any(field in value.dtype.names and entries[0][field].dtype.kind != "O" for field in many if entries.size)
    for field in value.dtype.names:
        worms = [np.asarray(entry[field]) for entry in entries]
        if len(worms) == 1 and not single and worms[0].dtype.kind == "O":
            worms = _list_entries(worms[0])
        _add_cell(group, field, worms)


def _list_entries(cell: np.ndarray) -> list[np.ndarray]:
    """Return the entries of a cell array in MATLAB's order, by columns."""
    return [np.asarray(entry) for entry in cell.reshape(-1, order="F")]


def _add(group: h5py.Group, name: str, value: np.ndarray) -> None:
    if value.dtype.names is not None:
        inner = group.create_group(name)
        for field in value.dtype.names if value.size else ():
            _add(inner, field, np.asarray(value.reshape(-1)[0][field]))
        return
    if value.dtype.kind == "O":
        _add_cell(group, name, _list_entries(value))
    elif value.dtype.kind == "U":
        text = "".join(value.reshape(-1).tolist())
        group[name] = np.frombuffer(text.encode("utf-16-le", "replace"), np.uint16)[:, None]
    elif value.dtype.kind in "biuf":
        group[name] = value.T
    else:
        path = group.file.filename.removesuffix(IN_MEMORY)
        hdf5.fail(path, name, f"found values of type {value.dtype}, expected numbers, text, cells or structs")
    if not value.size:
        group[name].attrs["MATLAB_empty"] = np.uint8(1)


def _add_cell(group: h5py.Group, name: str, entries: Sequence[np.ndarray]) -> None:
    kept, prefix = group.file[REFERENCES], f"{group.name}/{name}".replace("/", ".")  # A name for each entry.
    references = np.empty((len(entries), 1), h5py.ref_dtype)
    for row, entry in enumerate(entries):
        place = f"{prefix}.{row}"
        _add(kept, place, entry)
        references[row, 0] = kept[place].ref
    group.create_dataset(name, data=references, dtype=h5py.ref_dtype)
    if not entries:
        group[name].attrs["MATLAB_empty"] = np.uint8(1)
