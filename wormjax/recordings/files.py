"""The files of a folder that a reader can use, and what the reading process says of them."""

import logging
import os
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

from wormjax.errors import RecordingWarning
from wormjax.recordings.recording import RecordingError

_log = logging.getLogger(__name__)
Content = TypeVar("Content")
MOST_FILES = 10_000


def list_files(
    path: str | os.PathLike, suffixes: Sequence[str], load: Callable[[str], Content | None]
) -> list[tuple[str, Content]]:
    """Return the files that a reader can use, in the order of their names, with what `load` makes of each.

    Args:
      path: a file, or a folder, whose other files are skipped.
      suffixes: of a reader's files, in lower case.
      load: path → content; None where a file is of another kind.

    Raises:
      RecordingError: no file that can be used.
    """
    path = os.fspath(path)
    expected = f"expected {' or '.join(f'*{suffix}' for suffix in suffixes)}"
    if not os.path.isdir(path):
        if not os.path.isfile(path):
            raise RecordingError(f"{path}: found no such file, expected a recording")
        content = load(path)
        if content is None:
            raise RecordingError(f"{path}: found a file of another kind, {expected} of a worm")
        return [(path, content)]
    names = sorted(name for name in os.listdir(path) if name.lower().endswith(tuple(suffixes)))[:MOST_FILES]
    files = [os.path.join(path, name) for name in names if not name.startswith(".")]
    loaded = [(file, load(file)) for file in files]
    skipped = [os.path.basename(file) for file, content in loaded if content is None]
    if len(skipped) == len(loaded):
        raise RecordingError(f"{path}: found no recording in the folder, {expected}")
    if skipped:
        text = f"{path}: skipped {len(skipped)} files of another kind: {', '.join(skipped[:6])}"
        warnings.warn(text, RecordingWarning, stacklevel=2)
    return [(file, content) for file, content in loaded if content is not None]


def note_opening(path: str) -> None:
    """Tell the caller's process which file is read now: this one may end while it does."""
    _log.debug("opening %s", path)
