"""Read .npz files of NumPy: the fields of a Recording under their names, one worm per file.

`traces` and `times` (or `frame_rate`, hertz) are needed; `neuron_names`, `motor_state`, `state_names`, `derivatives`,
`stretches`, `study`, `worm`, `trace_units` are optional. No pickle is read.
"""

import os
import zipfile

import numpy as np

from wormjax.recordings.files import list_files, note_opening
from wormjax.recordings.recording import Recording, RecordingError, expect_distinct_worms

STUDY = "npz"
SUFFIXES = (".npz",)
FIELDS = ("traces", "times", "neuron_names", "motor_state", "state_names", "derivatives", "stretches")
TEXTS = ("study", "worm", "trace_units")
LARGEST = 1 << 32  # Bytes of all arrays.


def read(path: str | os.PathLike, frame_rate: float = 0.0) -> tuple[Recording, ...]:
    """Read the worm of a file, or of each file of a folder.

    Args:
      path: the file or folder.
      frame_rate: hertz, of files with neither `times` nor `frame_rate`.

    Raises:
      RecordingError: a file cannot be used; the message names file and field.
    """
    worms = [_read_worm(file, arrays, frame_rate) for file, arrays in list_files(path, SUFFIXES, _load)]
    return expect_distinct_worms(worms, path)


def _load(path: str) -> dict[str, np.ndarray] | None:
    note_opening(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise RecordingError(f"{path}: found {size:,} bytes of arrays, expected at most {LARGEST:,}")
        with np.load(path, allow_pickle=False) as file:
            if "traces" not in file.files:
                return None
            known = (*FIELDS, *TEXTS, "frame_rate")
            return {name: file[name] for name in file.files if name in known}
    except RecordingError:
        raise
    except Exception as error:  # zipfile and NumPy raise more than ten types for a damaged file.
        found = f"found a file that cannot be read ({type(error).__name__}: {error})"
        raise RecordingError(f"{path}: {found}, expected a whole .npz of numbers and text") from None


def _read_worm(path: str, arrays: dict[str, np.ndarray], frame_rate: float) -> Recording:
    fields = {name: arrays[name] for name in FIELDS if name in arrays}
    for name in ("neuron_names", "state_names"):
        if name in fields:
            fields[name] = tuple(fields[name].reshape(-1).tolist())
    texts = {name: str(arrays[name].reshape(-1)[0]) for name in TEXTS if name in arrays and arrays[name].size}
    defaults = {"study": STUDY, "worm": os.path.splitext(os.path.basename(path))[0]}
    if "times" not in fields:
        rate = arrays["frame_rate"].reshape(-1)[0] if "frame_rate" in arrays else frame_rate
        fields["frame_rate"] = float(rate) if rate else None
    return Recording(**(defaults | texts | fields), source=path)
