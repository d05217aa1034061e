"""Training curves as a CSV file: one row per chunk of updates, which pandas or a spreadsheet opens."""

import csv
import io
import os
from collections.abc import Mapping

from wormjax.atomic_write import open_place


def cut_curves(path: str | os.PathLike, step: int) -> None:
    """Remove the rows after `step`, which training repeats when it resumes from that step."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    kept = [row for row in rows if len(row) == len(header) and row[0].isdecimal() and int(row[0]) <= step]
    with open_place(path) as beside:
        beside.write_bytes(b"".join(map(_format_row, (header, *kept))))


def append_curves(path: str | os.PathLike, step: int, values: Mapping[str, float]) -> None:
    """Append a row of the same names as every other; the first row of a file also writes the header.

    OSError where it could not be written, for instance because the disk is full.
    """
    # Without a buffer: an error is raised here, and not when the file is collected.
    with open(path, "ab", buffering=0) as file:
        row = _format_row([step, *(f"{value:.9g}" for value in values.values())])
        rest = row if file.tell() else _format_row(["step", *values]) + row
        while rest:
            rest = rest[file.write(rest) :]


def _format_row(cells) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
