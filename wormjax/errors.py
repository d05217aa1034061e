"""The one kind of error that a user can mend: wrong input. Programs print it in one line and exit with code 2."""


class InputError(ValueError):
    """Input that cannot be used. The message is one printable line: file, field, what was found, what was expected."""

    def __init__(self, message: str):
        line = " ".join(str(message).split())
        super().__init__("".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in line))


class TrainingError(RuntimeError):
    """Training met a number that is not finite. Programs print it in one line and exit with code 1."""
