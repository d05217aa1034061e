"""The errors that programs print in one line, without a traceback."""

import warnings


class InputError(ValueError):
    """Input that cannot be used. The message is one printable line: file, field, what was found, what was expected."""

    def __init__(self, message: str):
        line = " ".join(str(message).split())
        super().__init__("".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in line))


class ConfigError(InputError):
    """A config field whose value cannot be used: its full name, and what was found and expected."""

    def __init__(self, field: str, problem: str):
        super().__init__(f"config field '{field}': {problem}")
        self.field, self.problem = field, problem


class TrainingError(RuntimeError):
    """Training met a number that is not finite. Programs print it in one line and exit with code 1."""


class RecordingWarning(UserWarning):
    """Data that are imperfect, and what was done about it. Programs print it as a note, once."""


def note(text: str) -> None:
    """Warn of imperfect data (RecordingWarning) once, without naming the line of wormjax that does.

    Python itself forgets what it has warned of whenever a library changes a filter for a while. Under a filter "always"
    notes are repeated. A note that a filter ignores is given later, where no filter does.
    """
    matching = (action for action, _, category, *_ in warnings.filters if issubclass(RecordingWarning, category))
    action = next(matching, "default")
    if action != "ignore" and (action == "always" or text not in _SAID):
        _SAID.add(text)
        warnings.warn_explicit(text, RecordingWarning, "<wormjax>", 1)


_SAID: set[str] = set()
