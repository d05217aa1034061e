"""The errors of recordings: one line that names the file, the worm and the field."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import NoReturn

from wormjax.errors import InputError

LONGEST_MESSAGE = 1200  # Characters.
TOO_LARGE = "found more than the memory can hold, expected a smaller recording"


class RecordingError(InputError):
    """A recording, or the file that it came from, cannot be used."""

    def __init__(self, message: str):
        if len(message) > LONGEST_MESSAGE:  # A file may hold any number of names, of any length.
            message = f"{message[: 2 * LONGEST_MESSAGE // 3]} ... {message[-LONGEST_MESSAGE // 3 :]}"
        super().__init__(message)


class FieldError(RecordingError):
    """A field of one worm's recording cannot be used."""

    def __init__(self, source: str, worm: str, field: str, problem: str):
        super().__init__(f"{source}: worm {worm!r}, field {field!r}: {problem}")
        self.source, self.worm, self.field, self.problem = source, worm, field, problem


@contextlib.contextmanager
def name_fields(file_fields: Mapping[str, str]) -> Iterator[None]:
    """Make errors of a Recording that is made within name the file's own fields: `file_fields` of Recording's."""
    try:
        yield
    except FieldError as error:
        raise FieldError(error.source, error.worm, file_fields.get(error.field, error.field), error.problem) from None


def fail(recording, field: str, problem: str) -> NoReturn:
    """Raise the one-line error of a recording's field."""
    raise FieldError(recording.source, recording.worm, field, problem)
