"""Whole files: written beside their place and moved into it, so that a reader never meets half a file."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from wormjax.errors import InputError


@contextlib.contextmanager
def open_place(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path beside `path` to write to; moves it to `path` on success, removes it on any failure.

    Raises:
      InputError: the folder of `path` does not exist, or `path` is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: found no folder {str(path.parent)!r}, expected one that exists")
    if path.is_dir():
        raise InputError(f"{path}: found a folder, expected the name of a file")
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
