"""The studies that can be opened, by name: `open_study("kato2015", path)`."""

import difflib
import os
import types

from wormjax.errors import InputError
from wormjax.recordings import container, dag2023, isolation, kato2015, nichols2017
from wormjax.recordings.recording import Recording

READERS: dict[str, types.ModuleType] = {
    "kato2015": kato2015,
    "nichols2017": nichols2017,
    "dag2023": dag2023,
    "container": container,
}


def open_study(study: str, path: str | os.PathLike | None) -> tuple[Recording, ...]:
    """Reads a study's recordings from a file or a folder, as downloaded; in a process of their own (see isolation).

    Args:
      study: one of `READERS`; "container" is wormjax's own file, for recordings of one's own.
      path: the file or folder.
    Raises:
      InputError: no such study, no such path, or a file that cannot be used, or that hangs or crashes what reads it.
    """
    if study not in READERS:
        near = difflib.get_close_matches(study, READERS, 1) if isinstance(study, str) else []
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(READERS)}"
        raise InputError(f"data.study: found no study {study!r}, {hint}")
    if not path or not os.path.exists(path):
        raise InputError(f"data.path: found {_describe_path(path)}, {_describe_remedy(study)}")
    recordings = isolation.read_isolated(study, path)
    container.expect_distinct_studies(recordings, os.fspath(path))
    return recordings


def _describe_path(path: str | os.PathLike | None) -> str:
    return f"no file or folder {os.fspath(path)!r}" if path else "no path"


def _describe_remedy(study: str) -> str:
    expected = f"expected the recordings of {study} (--config.data.path=PATH)"
    if study == "container":
        return expected
    return f"{expected}; python -m experiments.download --study={study} --folder=FOLDER fetches them"
