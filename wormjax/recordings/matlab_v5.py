"""Read MATLAB v5 to v7 files (not HDF5) of the layouts that `matlab` reads: what `save` writes without '-v7.3'.

SciPy reads the file; cells become arrays of objects and structs become records. A field has an entry per worm.
"""

import os
from typing import Any

import numpy as np
import scipy.io

from wormjax.recordings.files import note_opening
from wormjax.recordings.names import sort_candidates
from wormjax.recordings.recording import RecordingError

HEADER = b"MATLAB 5.0"


def is_v5(path: str | os.PathLike) -> bool:
    """Return whether a file is of MATLAB before v7.3."""
    try:
        with open(path, "rb") as stream:
            return stream.read(len(HEADER)) == HEADER
    except OSError:
        return False


def read_struct(path: str, names: tuple[str, ...]) -> tuple[str, dict[str, list[Any]]]:
    """Return the name of a file's struct, the first of `names` that is there, and its fields, a list with a worm each.

    Raises:
      RecordingError: the file is damaged, or has no such struct.
    """
    note_opening(path)
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # SciPy raises more than ten types for a damaged file.
        found = f"found a MATLAB file that cannot be read ({type(error).__name__}: {error})"
        raise RecordingError(f"{path}: {found}, expected a whole one") from None
    there = [name for name in content if not name.startswith("__")]
    name = next((name for name in names if name in content), None)
    if name is None or getattr(content[name].dtype, "names", None) is None:
        found = f"found only: {', '.join(there[:12]) or 'nothing'}"
        raise RecordingError(f"{path}: {found}, expected one of the structs {', '.join(names)}")
    struct = content[name].reshape(-1)[0]
    return name, {field: _list_entries(struct[field]) for field in content[name].dtype.names}


def read_worms(path: str, struct_name: str, struct: dict[str, list[Any]], fields: dict[str, tuple]) -> list[dict]:
    """Return, for each worm, all that a Recording takes but `study` and the motor state.

    Args:
      path: the file, for messages.
      struct_name: from which worms without a name get theirs.
      struct: of `read_struct`.
      fields: Recording's field → its names in the layouts that are in circulation.
    """
    found = {ours: next((name for name in theirs if name in struct), None) for ours, theirs in fields.items()}
    for required in ("neuron_names", "traces"):
        if found[required] is None:
            there = ", ".join(list(struct)[:12])
            raise RecordingError(f"{path}: field {fields[required][0]!r}: found only {there}, expected it too")
    count = len(struct[found["traces"]])
    for name in filter(None, found.values()):
        if len(struct[name]) != count:
            raise RecordingError(f"{path}: field {name!r}: found {len(struct[name])} entries, expected {count}")
    worms = []
    for index in range(count):
        entry = {ours: struct[name][index] for ours, name in found.items() if name}
        traces = np.asarray(entry["traces"])
        names = [sort_candidates(list_texts(one)) for one in _list_entries(entry["neuron_names"])]
        worm = {
            "worm": " ".join(list_texts(entry.get("worm", ""))) or f"{struct_name} {index + 1}",
            "traces": traces,
            "neuron_names": tuple(name for name, _ in names),
            "ambiguous_names": tuple(candidates for _, candidates in names),
            "derivatives": _read_derivatives(entry.get("derivatives"), traces.shape),
            "source": path,
        }
        if "times" in entry:
            worm["times"] = np.asarray(entry["times"], np.float64).reshape(-1)
        elif "frame_rate" in entry:
            worm["frame_rate"] = float(np.ravel(entry["frame_rate"])[0])
        worms.append(worm)
    return worms


def read_states(entry: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return a worm's state numbers, and their names where its entry is a struct of both."""
    if getattr(entry.dtype, "names", None):
        parts = [entry.reshape(-1)[0][name] for name in entry.dtype.names]
        vector = next(part for part in parts if part.dtype.kind in "iufb")
        cells = [part for part in parts if part.dtype.kind == "O"]
        return np.ravel(vector).astype(np.float64), tuple(list_texts(cells[0])) if cells else ()
    return np.ravel(entry).astype(np.float64), ()


def _read_derivatives(values, shape):
    if values is None:
        return None
    if getattr(values.dtype, "names", None):  # A struct, as in NoStim_Data.mat.
        values = values.reshape(-1)[0]["traces"]
    values = np.asarray(values)
    if values.shape == (shape[0] - 1, shape[1]):
        values = np.concatenate([values, values[-1:]])
    return values if values.shape in (shape, shape[::-1]) else None


def _list_entries(cell: np.ndarray) -> list[Any]:
    """Return the entries of a cell array; of anything else, itself."""
    return cell.reshape(-1).tolist() if isinstance(cell, np.ndarray) and cell.dtype.kind == "O" else [cell]


def list_texts(value: Any) -> list[str]:
    """Return the texts of a char array, or of cells of them."""
    if isinstance(value, np.ndarray):
        return [text for one in value.reshape(-1).tolist() for text in list_texts(one)]
    text = str(value).strip()
    return [text] if text else []
