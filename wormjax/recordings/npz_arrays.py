"""Read .npz files of NumPy: the fields of a Recording under their names, one worm per file.

`traces` and `times` (or `frame_rate`, hertz) are needed; `neuron_names`, `ambiguous_names` (JSON lists, as in the
container), `motor_state`, `state_names`, `derivatives`, `stretches`, `behavior/<name>`, `study`, `worm` and
`trace_units` are optional. Other arrays are skipped. No pickle is read.
"""

import os
import zipfile

import numpy as np

from wormjax.errors import note
from wormjax.recordings.files import iterate_files, note_opening
from wormjax.recordings.names import parse_candidates
from wormjax.recordings.recording import Recording, RecordingError, expect_distinct_worms

STUDY = "npz"
SUFFIXES = (".npz",)
FIELDS = ("traces", "times", "neuron_names", "motor_state", "state_names", "derivatives", "stretches")
TEXTS = ("study", "worm", "trace_units")
KNOWN = (*FIELDS, *TEXTS, "ambiguous_names", "frame_rate")
BEHAVIOR = "behavior/"
LARGEST = 1 << 32  # Bytes of all arrays.


def read(path: str | os.PathLike, frame_rate: float = 0.0) -> tuple[Recording, ...]:
    """Read the worm of a file, or of each file of a folder; `frame_rate` (hertz) is of files without one or times."""
    files = iterate_files(path, SUFFIXES, _load, skip_bad=True)
    return expect_distinct_worms([_read_worm(file, arrays, frame_rate) for file, arrays in files], path)


def is_worm(path: str) -> bool:
    """Return whether an archive holds traces; a damaged one does, so that `read` says what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "traces.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True


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
            known = {name for name in file.files if name in KNOWN or name.startswith(BEHAVIOR)}
            if known != set(file.files):
                skipped = ", ".join(sorted(set(file.files) - known)[:8])
                note(f"{path}: skipped arrays that are no fields of a recording: {skipped}")
            return {name: file[name] for name in known}
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
    rate = arrays["frame_rate"].reshape(-1)[0] if "frame_rate" in arrays else 0 if "times" in fields else frame_rate
    fields["frame_rate"] = float(rate) if rate else None
    if "ambiguous_names" in arrays:
        texts_of_names = arrays["ambiguous_names"].astype(str).reshape(-1)
        fields["ambiguous_names"] = parse_candidates(texts_of_names, path, "ambiguous_names")
    behavior = {name.removeprefix(BEHAVIOR): arrays[name] for name in sorted(arrays) if name.startswith(BEHAVIOR)}
    return Recording(**(defaults | texts | fields), behavior=behavior, source=path)
