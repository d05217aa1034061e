"""Read and write wormjax's own recording file: HDF5, one group per worm. Your own recordings get in this way.

    import numpy as np
    from wormjax.recordings import container
    from wormjax.recordings.recording import Recording
    worm = Recording(
        study="my study", worm="worm 1",
        traces=dff,                                  # floating point [frame, neuron]
        times=np.arange(len(dff)) / 3.0,             # seconds [frame]
        neuron_names=("AVAL", "AVAR", None),         # None: not identified
        motor_state=states, state_names=("forward", "reverse"))  # indices [frame], -1: not scored
    container.write("mine.h5", [worm])

Format, version 1 (a file may as well be written by MATLAB, R or Julia; lengths and units as in `Recording`):

    /                       attributes `format` = "wormjax recordings", `version` = 1
    /<any name>/            one group per worm, read in the order of the names
      attributes            `study`, `worm`; optional `trace_units` ("dF/F"), `read_from` (where it came from)
      traces                floating point [frame, neuron]
      times                 floating point [frame], seconds
      neuron_names          strings [neuron], "" where a neuron is not identified
      ambiguous_names       optional strings [neuron], each a JSON list of the candidates: `["AVAL", "AVAR"]`, or `[]`
      motor_state           optional integers [frame], indices into `state_names`, -1 where not scored
      state_names           optional strings [state]
      derivatives           optional floating point [frame, neuron]
      behavior/<name>       optional floating point [frame]
      stretches             optional integers [stretch, 2]: start and stop of uninterrupted frames, stop excluded

Strings are UTF-8, of fixed or variable length. `write` uses fixed length, since a damaged heap of variable-length
strings can hang the HDF5 library. Reading returns exactly what was written, except `source`, which names the container.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from wormjax.atomic_write import open_place
from wormjax.recordings import hdf5
from wormjax.recordings.files import iterate_files
from wormjax.recordings.names import parse_candidates
from wormjax.recordings.recording import Recording, RecordingError, expect_distinct_worms

SUFFIXES = (".h5", ".hdf5")
FORMAT = "wormjax recordings"
VERSION = 1


def write(path: str | os.PathLike, recordings: Sequence[Recording]) -> None:
    """Write recordings to a container; the file appears under its name when it is complete."""
    path = Path(path)
    expect_distinct_worms(recordings, path)
    digits = len(str(len(recordings)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_place(path) as unfinished, h5py.File(unfinished, "w") as file:
            file.attrs["format"], file.attrs["version"] = _encode([FORMAT], path, "format")[0], VERSION
            for number, recording in enumerate(recordings, 1):
                _write_worm(file.create_group(f"worm_{number:0{digits}d}"), recording, path)
    except OSError as error:
        expected = "expected a folder to write to"
        raise RecordingError(f"{path}: cannot be written ({error.strerror or error}), {expected}") from None


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Read the recordings of a container, or of all containers (*.h5, *.hdf5) of a folder; other files are skipped."""
    return expect_distinct_worms(tuple(iterate(path)), path)


def iterate(path: str | os.PathLike) -> Iterator[Recording]:
    """Yield the recordings that `read` returns, one at a time; a worm that occurs twice is not noticed."""
    files = [os.fspath(path)]
    if os.path.isdir(path):
        files = [file for file, _ in iterate_files(path, SUFFIXES, lambda file: is_container(file) or None)]
    for file_path in files:
        with hdf5.open_hdf5(file_path) as file:
            _check_version(file)
            for name in hdf5.list_members(file, "/"):
                yield _read_worm(hdf5.get_member(file, name), name)


def is_container(path: str | os.PathLike) -> bool:
    """Return whether an HDF5 file says that it is a container."""
    with hdf5.open_hdf5(path) as file, hdf5.guard(file, "format"):
        found = file.attrs.get("format", "")
    return found in (FORMAT, FORMAT.encode())


def _write_worm(group: h5py.Group, recording: Recording, path: Path) -> None:
    attributes = {"study": recording.study, "worm": recording.worm, "trace_units": recording.trace_units}
    for name, text in (attributes | {"read_from": recording.source}).items():
        value = _encode([text], path, name)
        group.attrs.create(name, value[0], dtype=value.dtype)
    group["traces"], group["times"] = recording.traces, recording.times
    group["neuron_names"] = _encode([name or "" for name in recording.neuron_names], path, "neuron_names")
    candidates = [json.dumps(list(names), ensure_ascii=False) for names in recording.ambiguous_names]
    group["ambiguous_names"] = _encode(candidates, path, "ambiguous_names")
    if recording.state_names:
        group["state_names"] = _encode(recording.state_names, path, "state_names")
    if recording.motor_state is not None:
        group["motor_state"] = recording.motor_state
    if recording.derivatives is not None:
        group["derivatives"] = recording.derivatives
    for name, values in recording.behavior.items():
        if not name or "/" in name or name == "." or not np.issubdtype(np.asarray(values).dtype, np.number):
            hdf5.fail(path, f"behavior/{name}", "found a name or values that HDF5 cannot hold, expected numbers")
        _encode([name], path, "behavior")  # Raises where HDF5 cannot hold it.
        group.require_group("behavior")[name] = np.asarray(values)
    group["stretches"] = np.array(recording.stretches, np.int64)


def _encode(texts: Sequence[str], path: Path, field: str) -> np.ndarray:
    """Return strings as an array of fixed length, UTF-8."""
    for text in texts:
        try:
            text.encode()
        except (UnicodeEncodeError, AttributeError):
            hdf5.fail(path, field, f"found {text!r}, expected text that UTF-8 can hold")
        if "\0" in text:
            hdf5.fail(path, field, f"found a NUL character in {text!r}, expected text without one")
    encoded = [text.encode() for text in texts]
    dtype = h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))
    return np.array(encoded, dtype)


def _check_version(file: h5py.File) -> None:
    """Raise RecordingError unless the file is a container of this version."""
    found = _read_attribute(file, "format", "")
    if found != FORMAT:
        expected = f"expected {FORMAT!r}: is it the file of a study? Then name that study"
        hdf5.fail(file, "format", f"found {found!r}, {expected}")
    with hdf5.guard(file, "version"):
        version = np.asarray(file.attrs.get("version", np.nan))
    if version.dtype.kind not in "iuf" or version.size != 1 or version.item() != VERSION:  # MATLAB writes 1.0.
        expected = f"expected {VERSION}: a file of a later version needs a later wormjax"
        hdf5.fail(file, "version", f"found {version.tolist()!r}, {expected}")


def _read_attribute(group: h5py.Group, name: str, default: str | None = None) -> str:
    with hdf5.guard(group, name):
        value = group.attrs.get(name, default)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if value is None:
        hdf5.fail(group, f"{group.name}/{name}", "found no such attribute, expected a text")
    return hdf5.decode(value, group, name)


def _read_worm(group: hdf5.Node, name: str) -> Recording:
    def numbers(field: str) -> np.ndarray:
        return hdf5.read_numbers(hdf5.get_member(group, field, name), f"{name}/{field}")

    def texts(field: str) -> list[str]:
        return hdf5.read_texts(hdf5.get_member(group, field, name), f"{name}/{field}")

    def has(field: str) -> bool:
        return hdf5.has_member(group, field)

    field = f"{name}/ambiguous_names"
    ambiguous = parse_candidates(texts("ambiguous_names"), group.file.filename, field) if has("ambiguous_names") else ()
    return Recording(
        neuron_names=tuple(text or None for text in texts("neuron_names")),
        study=_read_attribute(group, "study"),
        worm=_read_attribute(group, "worm"),
        traces=numbers("traces"),
        times=numbers("times"),
        ambiguous_names=ambiguous,
        motor_state=numbers("motor_state") if has("motor_state") else None,
        state_names=tuple(texts("state_names")) if has("state_names") else (),
        derivatives=numbers("derivatives") if has("derivatives") else None,
        behavior=_read_behavior(group, name) if has("behavior") else {},
        stretches=_read_stretches(group, numbers("stretches"), name) if has("stretches") else (),
        trace_units=_read_attribute(group, "trace_units", "dF/F"),
        source=group.file.filename,
    )


def _read_behavior(group: h5py.Group, name: str) -> dict[str, np.ndarray]:
    behavior, parent = hdf5.get_member(group, "behavior", name), f"{name}/behavior"
    if not isinstance(behavior, h5py.Group):
        hdf5.fail(group, parent, "found an array, expected a group of behaviours")
    return {
        member: hdf5.read_numbers(hdf5.get_member(behavior, member, parent), f"{parent}/{member}")
        for member in hdf5.list_members(behavior, parent)
    }


def _read_stretches(group: h5py.Group, values: np.ndarray, name: str) -> tuple[tuple[int, int], ...]:
    if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "iu":
        found = f"found {values.dtype} of shape {values.shape}"
        hdf5.fail(group, f"{name}/stretches", f"{found}, expected integers [stretch, 2]")
    return tuple((int(start), int(stop)) for start, stop in values)
