"""The files of a folder that a reader can use, and what the reading process says of them."""

import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from wormjax.errors import note
from wormjax.recordings.recording import RecordingError

_log = logging.getLogger(__name__)
Content = TypeVar("Content")
MOST_FILES = 10_000
SHOWN_FILES = 6


def list_folder(folder: str | os.PathLike) -> list[str]:
    """Return the paths of a folder's files, in the order of their names, without hidden ones."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise RecordingError(f"{folder}: found a folder that cannot be read ({error.strerror})") from None
    if len(names) > MOST_FILES:
        raise RecordingError(f"{folder}: found {len(names):,} files, expected at most {MOST_FILES:,}")
    return [path for path in (os.path.join(folder, name) for name in names) if os.path.isfile(path)]


def iterate_files(
    path: str | os.PathLike, suffixes: Sequence[str], load: Callable[[str], Content | None], skip_bad: bool = False
) -> Iterator[tuple[str, Content]]:
    """Yield the files of a folder (or the one given) that a reader can use, by name, with what `load` makes of each.

    Args:
      suffixes: of a reader's files, in lower case; others are skipped.
      load: path → content; None where a file is of another kind.
      skip_bad: whether a file of a folder that cannot be loaded is skipped, with a warning.

    RecordingError where no file can be used.
    """
    path = os.fspath(path)
    expected = f"expected {' or '.join(f'*{suffix}' for suffix in suffixes)}"
    if not os.path.isdir(path):
        if not os.path.isfile(path):
            raise RecordingError(f"{path}: found no such file, expected a recording")
        content = load(path)
        if content is None:
            raise RecordingError(f"{path}: found a file of another kind, {expected} of a worm")
        yield path, content
        return
    some = False
    for file in list_folder(path):
        if not file.lower().endswith(tuple(suffixes)):
            continue
        try:
            content = load(file)
        except RecordingError as error:
            if not skip_bad:
                raise
            note(f"{error}; the file is skipped")
            continue
        if content is not None:
            some = True
            yield file, content
    if not some:
        raise RecordingError(f"{path}: found no recording in the folder, {expected}")


def say_skipped(folder: str | os.PathLike, read: Collection[str]) -> None:
    """Warn of the files of a folder that are not among those read, in one line."""
    skipped = [os.path.basename(path) for path in list_folder(folder) if path not in read]
    if skipped:
        shown = ", ".join(skipped[:SHOWN_FILES]) + (" ..." if len(skipped) > SHOWN_FILES else "")
        note(f"{os.fspath(folder)}: skipped {len(skipped)} files of another kind: {shown}")


def note_opening(path: str) -> None:
    """Tell the caller's process which file is read now: this one may end while it does."""
    _log.debug("opening %s", path)
