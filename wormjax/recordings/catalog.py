"""The readers of recordings, by name: `open_study("kato2015", path)`, or `open_study("auto", path)`."""

import difflib
import inspect
import os
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from wormjax.errors import InputError
from wormjax.recordings import (
    container,
    csv_table,
    dag2023,
    hdf5,
    isolation,
    kato2015,
    matlab,
    nichols2017,
    npz_arrays,
    nwb,
    wormwideweb,
)
from wormjax.recordings.files import list_folder, say_skipped
from wormjax.recordings.recording import Recording, RecordingError, expect_distinct_worms

READERS: dict[str, types.ModuleType] = {
    "kato2015": kato2015,
    "nichols2017": nichols2017,
    "dag2023": dag2023,
    "wormwideweb": wormwideweb,
    "nwb": nwb,
    "csv": csv_table,
    "npz": npz_arrays,
    "container": container,
}
BEHAVIOR = "behavior/"  # Before a behaviour's name, among the fields of a recording.
AUTO = "auto"  # Instead of a reader's name: found by the files.
DOWNLOADED = ("kato2015", "nichols2017", "dag2023")
BY_SUFFIX = {suffix: name for name in ("nwb", "csv") for suffix in READERS[name].SUFFIXES}
ONE_BY_ONE = (".csv", ".tsv", *wormwideweb.SUFFIXES, *npz_arrays.SUFFIXES)  # Read although another one cannot be.
# A folder's files of the first kind that is there are read. Tables come last: they often describe the recordings.
KINDS = (("kato2015", "nichols2017", "dag2023", "container", "nwb"), ("wormwideweb", "npz"), ("csv",))


def open_study(study: str, path: str | os.PathLike | None, **options: Any) -> tuple[Recording, ...]:
    """Read recordings from a file or a folder, in a process of its own.

    `study` is one of `READERS`, or "auto", which finds the reader by the files; "container" is wormjax's own file.
    Options are the reader's: `frame_rate` (hertz) of "csv" and "npz" files without times, `series` and `labels` of
    "nwb". A frame rate of 0 is none, and readers whose files hold the times do without it.

    InputError for no such reader, path or option, and for a file that cannot be used, or that hangs or crashes its
    reader.
    """
    if study not in (*READERS, AUTO):
        near = difflib.get_close_matches(study, READERS, 1) if isinstance(study, str) else []
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join((*READERS, AUTO))}"
        raise InputError(f"data.study: found no study {study!r}, {hint}")
    if not path or not os.path.exists(path):
        found = f"found no file or folder {os.fspath(path)!r}" if path else "found no path"
        remedy = f"; wormjax download --study={study} --folder=FOLDER fetches them" if study in DOWNLOADED else ""
        raise InputError(f"{found}, expected {'recordings' if study == AUTO else f'the recordings of {study}'}{remedy}")
    rate = options.get("frame_rate") or None
    if rate is not None and (not isinstance(rate, int | float | np.number) or not 0 < rate < np.inf):
        raise InputError(f"frame_rate: found {rate!r}, expected hertz above 0")
    worms = []
    for fields in isolation.call_isolated(list_fields, path, study, options):
        behavior = {name: fields.pop(name) for name in list(fields) if name.startswith(BEHAVIOR)}
        behavior = {name.removeprefix(BEHAVIOR): values for name, values in behavior.items()}
        worms.append(Recording(**fields, behavior=behavior))
    return expect_distinct_worms(worms, path)


def list_fields(path: str, study: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the fields of each recording, those of `behavior` under names of their own."""
    study = find_reader(path) if study == AUTO else study
    known = inspect.signature(READERS[study].read).parameters
    unknown = [name for name in options if name not in known and name != "frame_rate"]  # A rate that is not needed.
    if unknown:
        expected = ", ".join(name for name in known if name != "path") or "none"
        raise InputError(f"reader {study!r}: found the option {unknown[0]!r}, expected some of: {expected}")
    own = {name: value for name, value in options.items() if name in known}
    read = {os.path.join(path, dag2023.LABELS_FILE)}
    for recording in container.iterate(path) if study == "container" else READERS[study].read(path, **own):
        read.add(recording.source)
        fields = dict(vars(recording))
        behavior = fields.pop("behavior")
        yield fields | {f"{BEHAVIOR}{name}": np.asarray(values) for name, values in behavior.items()}
    if os.path.isdir(path):
        unread = [file for file in list_folder(path) if file not in read and file.lower().endswith(ONE_BY_ONE)]
        noted = [file for file in unread if _find_reader_of_file(file) == study]  # Why it could not be read.
        say_skipped(path, read.union(noted))


def find_reader(path: str | os.PathLike) -> str:
    """Return the name of the reader of a file, or of what a folder holds."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        found = _find_reader_of_file(path)
        if found is None:
            expected = f"expected a file of one of: {', '.join(READERS)}"
            raise RecordingError(f"{path}: found a file of no known kind, {expected}")
        return found
    if dag2023.find_files(path):
        return "dag2023"
    files = {file: _find_reader_of_file(file) for file in list_folder(path) if not file.lower().endswith(".txt")}
    for kind in KINDS:
        found = sorted({reader for reader in files.values() if reader in kind})
        if len(found) > 1:
            remedy = f"expected those of one reader; name it: one of {', '.join(READERS)}"
            raise RecordingError(f"{path}: found files of {', '.join(found)}, {remedy}")
        if found:
            return found[0]
    raise RecordingError(f"{path}: found no recording in the folder, expected files of one of {', '.join(READERS)}")


def _find_reader_of_file(path: str) -> str | None:
    """Return the name of a file's reader, by its suffix and what it holds; None where no reader reads it."""
    suffix = os.path.splitext(path)[1].lower()
    if not os.path.isfile(path):
        return None
    if suffix == ".mat":
        names = matlab.list_variables(path)
        studies = {"nichols2017": nichols2017.CONDITIONS, "kato2015": kato2015.STRUCTS}
        return next((study for study, structs in studies.items() if set(structs) & set(names)), None)
    if suffix in container.SUFFIXES:
        with hdf5.open_hdf5(path) as file, hdf5.guard(file, "/"):
            if "nwb_version" in file.attrs:
                return "nwb"
            if "gcamp" in file:
                return "dag2023"
        return "container" if container.is_container(path) else None
    if suffix in wormwideweb.SUFFIXES:
        return "wormwideweb" if wormwideweb.is_worm(path) else None
    if suffix in npz_arrays.SUFFIXES:
        return "npz" if npz_arrays.is_worm(path) else None
    return BY_SUFFIX.get(suffix)
