"""The studies that can be opened, by name: `open_study("kato2015", path)`."""

import difflib
import os
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from wormjax.errors import InputError
from wormjax.recordings import container, dag2023, isolation, kato2015, nichols2017
from wormjax.recordings.recording import Recording, expect_distinct_worms, say_notes

READERS: dict[str, types.ModuleType] = {
    "kato2015": kato2015,
    "nichols2017": nichols2017,
    "dag2023": dag2023,
    "container": container,
}


def open_study(study: str, path: str | os.PathLike | None) -> tuple[Recording, ...]:
    """Read a study's recordings from a file or a folder, as downloaded, in a process of its own.

    Args:
      study: one of `READERS`; "container" is wormjax's own file, for your own recordings.
      path: the file or folder.

    Raises:
      InputError: no such study, no such path, or a file that cannot be used, or that hangs or crashes its reader.
    """
    if study not in READERS:
        near = difflib.get_close_matches(study, READERS, 1) if isinstance(study, str) else []
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(READERS)}"
        raise InputError(f"data.study: found no study {study!r}, {hint}")
    if not path or not os.path.exists(path):
        found = f"found no file or folder {os.fspath(path)!r}" if path else "found no path"
        remedy = f"expected the recordings of {study} (--config.data.path=PATH)"
        if study != "container":
            remedy += f"; python -m experiments.download --study={study} --folder=FOLDER fetches them"
        raise InputError(f"data.path: {found}, {remedy}")
    recordings = [_make_recording(fields) for fields in isolation.call_isolated(list_fields, path, study)]
    return expect_distinct_worms(recordings, path)


def list_fields(path: str, study: str) -> Iterator[dict[str, Any]]:
    """Yield the fields of each recording of a study, those of `behavior` under names of their own."""
    for recording in container.iterate(path) if study == "container" else READERS[study].read(path):
        fields = dict(vars(recording))
        behavior = fields.pop("behavior")
        yield fields | {f"behavior/{name}": np.asarray(values) for name, values in behavior.items()}


def _make_recording(fields: dict[str, Any]) -> Recording:
    """Return the recording of fields in which tuples have become lists."""
    behavior = {name.removeprefix("behavior/"): fields[name] for name in fields if name.startswith("behavior/")}
    plain = {name: value for name, value in fields.items() if not name.startswith("behavior/")}
    for name in ("neuron_names", "state_names", "notes"):
        plain[name] = tuple(plain[name])
    for name in ("ambiguous_names", "stretches"):
        plain[name] = tuple(map(tuple, plain[name]))
    recording = Recording(**plain, behavior=behavior)
    if plain["notes"]:  # They were made in the process that read the file.
        say_notes(recording, plain["notes"])
    return recording
