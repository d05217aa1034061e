"""wormjax's own recording file: HDF5, one group a worm. It is how a recording of one's own gets in.

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
    /<any name>/            a group a worm, read in the order of the names
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

Strings are UTF-8, of fixed or variable length; fixed is written, since a damaged heap of variable-length strings can
hang the HDF5 library. What was written is read back exactly, but for `source`, which names the container.
"""

import contextlib
import glob
import json
import os
import tempfile
from collections.abc import Iterator, Sequence

import h5py
import numpy as np

from wormjax.recordings import hdf5
from wormjax.recordings.kato2015 import expect_distinct_worms
from wormjax.recordings.recording import Recording, RecordingError

FORMAT = "wormjax recordings"
VERSION = 1


def write(path: str | os.PathLike, recordings: Sequence[Recording]) -> None:
    """Writes recordings to a container, whole: the file appears under its name when it is complete.

    Raises:
      RecordingError: no recording, a worm twice, or a name that HDF5 cannot hold.
    """
    path = os.fspath(path)
    expect_distinct_studies(recordings, path)
    with write_beside(path) as unfinished, h5py.File(unfinished, "w") as file:
        file.attrs["format"], file.attrs["version"] = _encode([FORMAT], path, "format")[0], VERSION
        digits = len(str(len(recordings)))
        for number, recording in enumerate(recordings, 1):
            _write_worm(file.create_group(f"worm_{number:0{digits}d}"), recording, path)


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Reads the recordings of a container, or of all containers (*.h5) of a folder.

    Raises:
      RecordingError: a file is not a container of this version, or cannot be used.
    """
    recordings = tuple(iterate(path))
    expect_distinct_studies(recordings, os.fspath(path))
    return recordings


def iterate(path: str | os.PathLike) -> Iterator[Recording]:
    """The recordings that `read` returns, a file at a time; whether a worm stands in two files is not checked."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        yield from _read_file(path)
        return
    files = sorted(glob.glob(os.path.join(glob.escape(path), "*.h5")))
    if not files:
        raise RecordingError(f"{path}: found no container in the folder, expected *.h5")
    for file in files:
        yield from _read_file(file)


def expect_distinct_studies(recordings: Sequence[Recording], path: str) -> None:
    """No worm stands twice in its study."""
    for study in {recording.study for recording in recordings} or {None}:
        expect_distinct_worms([recording for recording in recordings if recording.study == study], path)


@contextlib.contextmanager
def write_beside(path: str) -> Iterator[str]:
    """A path beside `path` to write to; it takes the place of `path` at the end, or is removed on an error."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written ({error.strerror}), expected a folder to write to") from None
    os.close(handle)
    try:
        yield unfinished
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(unfinished, 0o666 & ~umask)  # mkstemp allows the owner alone.
        os.replace(unfinished, path)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        if os.path.exists(unfinished):
            os.remove(unfinished)


def _write_worm(group: h5py.Group, recording: Recording, path: str) -> None:
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
        _encode([name], path, "behavior")  # Raises where it is no text for HDF5.
        group.require_group("behavior")[name] = np.asarray(values)
    group["stretches"] = np.array(recording.stretches, np.int64)


def _encode(texts: Sequence[str], path: str, field: str) -> np.ndarray:
    """Strings as an array of fixed length, UTF-8."""
    for text in texts:
        try:
            text.encode()
        except (UnicodeEncodeError, AttributeError):
            hdf5.fail(path, field, f"found {text!r}, expected text that UTF-8 can hold")
        if "\0" in text:
            hdf5.fail(path, field, f"found a NUL character in {text!r}, expected text without")
    encoded = [text.encode() for text in texts]
    dtype = h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))
    return np.array(encoded, dtype)


def _read_file(path: str) -> tuple[Recording, ...]:
    with hdf5.open_hdf5(path) as file:
        _check_version(file)
        worms = [_read_worm(hdf5.get_member(file, name), name) for name in hdf5.list_members(file, "/")]
    expect_distinct_studies(worms, path)
    return tuple(worms)


def _check_version(file: h5py.File) -> None:
    found = _read_attribute(file, "format", "")
    if found != FORMAT:
        expected = f"expected {FORMAT!r}: is it the file of a study? Then name that study"
        hdf5.fail(file.filename, "format", f"found {found!r}, {expected}")
    with hdf5.guard(file.filename, "version"):
        version = np.asarray(file.attrs.get("version", np.nan))
    if version.dtype.kind not in "iuf" or version.size != 1 or version.item() != VERSION:  # MATLAB writes 1.0.
        expected = f"expected {VERSION}: a file of a later version needs a later wormjax"
        hdf5.fail(file.filename, "version", f"found {version.tolist()!r}, {expected}")


def _read_attribute(group: h5py.Group, name: str, default: str | None = None) -> str:
    path = hdf5.get_path(group)
    with hdf5.guard(path, name):
        value = group.attrs.get(name, default)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if value is None:
        hdf5.fail(path, f"{group.name}/{name}", "found no such attribute, expected a text")
    return hdf5.decode(value, path, name)


def _read_worm(group: hdf5.Node, name: str) -> Recording:
    path = hdf5.get_path(group)

    def node(field: str) -> h5py.Dataset:
        return hdf5.get_member(group, field, name)

    def numbers(field: str) -> np.ndarray | None:
        return hdf5.read_numbers(node(field), path, f"{name}/{field}") if hdf5.has_member(group, field) else None

    def texts(field: str) -> list[str]:
        return hdf5.read_texts(node(field), path, f"{name}/{field}") if hdf5.has_member(group, field) else []

    names = hdf5.read_texts(node("neuron_names"), path, f"{name}/neuron_names")
    return Recording(
        study=_read_attribute(group, "study"),
        worm=_read_attribute(group, "worm"),
        traces=hdf5.read_numbers(node("traces"), path, f"{name}/traces"),
        times=hdf5.read_numbers(node("times"), path, f"{name}/times"),
        neuron_names=tuple(text or None for text in names),
        ambiguous_names=_read_candidates(texts("ambiguous_names"), path, f"{name}/ambiguous_names"),
        motor_state=numbers("motor_state"),
        state_names=tuple(texts("state_names")),
        derivatives=numbers("derivatives"),
        behavior=_read_behavior(group, name),
        stretches=_read_stretches(numbers("stretches"), path, f"{name}/stretches"),
        trace_units=_read_attribute(group, "trace_units", "dF/F"),
        source=path,
    )


def _read_candidates(texts: list[str], path: str, field: str) -> tuple[tuple[str, ...], ...]:
    candidates = []
    for text in texts:
        try:
            names = json.loads(text or "[]")
        except (ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            hdf5.fail(path, field, f'found {text[:40]!r}, expected a JSON list of names: ["AVAL", "AVAR"]')
        candidates.append(tuple(names))
    return tuple(candidates)


def _read_behavior(group: h5py.Group, name: str) -> dict[str, np.ndarray]:
    if not hdf5.has_member(group, "behavior"):
        return {}
    behavior, path = hdf5.get_member(group, "behavior", name), hdf5.get_path(group)
    if not isinstance(behavior, h5py.Group):
        hdf5.fail(path, f"{name}/behavior", "found an array, expected a group of behaviours")
    return {
        member: hdf5.read_numbers(
            hdf5.get_member(behavior, member, f"{name}/behavior"), path, f"{name}/behavior/{member}"
        )
        for member in hdf5.list_members(behavior, f"{name}/behavior")
    }


def _read_stretches(values: np.ndarray | None, path: str, field: str) -> tuple[tuple[int, int], ...]:
    if values is None:
        return ()
    if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "iu":
        hdf5.fail(path, field, f"found {values.dtype} of shape {values.shape}, expected integers [stretch, 2]")
    return tuple((int(start), int(stop)) for start, stop in values)
