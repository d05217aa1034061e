"""Results: one row per number, kept as CSV. Every table, interval and figure is computed from these rows.

Columns: model, study, train_worms (joined with "+"; where a name holds a "+", a "\\" stands before it), test_study,
test_worm, seed, metric, value.
"""

import csv
import math
import os
import re
import sys
from collections.abc import Iterable
from typing import NamedTuple

from wormjax.atomic_write import open_place
from wormjax.errors import InputError
from wormjax.value_checks import shorten, show_value

SEPARATOR = "+"
# Control characters, and halves of characters, which UTF-8 has not.
UNWRITABLE = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff]")


class Row(NamedTuple):
    """One number: how a model, trained on some worms of a study, did on one test worm."""

    model: str
    study: str
    train_worms: tuple[str, ...]  # In a fixed order; () for a model that is not trained.
    test_study: str
    test_worm: str
    seed: int
    metric: str
    value: float

    @property
    def unseen(self) -> bool:
        """Whether the test worm was left out of training."""
        return self.study != self.test_study or self.test_worm not in self.train_worms


def write_rows(path: str | os.PathLike, rows: Iterable[Row]) -> None:
    """Write rows as CSV, in the order given, whole or not at all. `read_rows` returns them exactly.

    Raises:
      InputError: a name holds a line break, a value is not finite, or two rows give the same number.
    """
    rows = _check_rows(rows, path)
    with open_place(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        _write_csv(file, rows)


def check_output(path: str | os.PathLike | None):
    """Raise InputError if rows could not be written to `path` for want of a folder, before any work is done."""
    folder = os.path.dirname(os.path.abspath(path)) if path else "."
    if not os.path.isdir(folder):
        raise InputError(f"{path}: found no folder {folder!r}, expected one that exists (--output)")


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows to standard output as `write_rows` writes them."""
    _write_csv(sys.stdout, _check_rows(rows, "standard output"))


def _check_rows(rows, path) -> list[Row]:
    rows = [Row(*row) for row in rows]
    places = [f"{path}: row {number}" for number in range(1, len(rows) + 1)]
    for row, place in zip(rows, places, strict=True):
        _check_row(row, place)
    _check_repeats(rows, places)
    return rows


def _write_csv(file, rows):
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Row._fields)
    for row in rows:
        joined = SEPARATOR.join(re.sub(r"([+\\])", r"\\\1", worm) for worm in row.train_worms)
        writer.writerow(row._replace(train_worms=joined, seed=int(row.seed), value=repr(float(row.value))))


def read_rows(path: str | os.PathLike) -> list[Row]:
    """Read the rows of a results file, in their order.

    Raises:
      InputError: there is no such file, or a line of it is not a row; names file, line and field.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise InputError(f"{path}: found no regular file, expected a results file (CSV)")
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            if tuple(header := next(reader, [])) != Row._fields:
                joined = show_value(",".join(header))
                raise InputError(f"{path}: line 1: found {joined}, expected {','.join(Row._fields)!r}")
            numbered = [(f"{path}: line {reader.line_num}", cells) for cells in reader if cells]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}, expected a results file (CSV)") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: found no CSV in UTF-8 ({error}), expected a results file") from None
    rows = [_parse_row(cells, place) for place, cells in numbered]
    _check_repeats(rows, [place for place, _ in numbered])
    return rows


def _parse_row(cells: list[str], place: str) -> Row:
    if len(cells) != len(Row._fields):
        raise InputError(f"{place}: found {len(cells)} fields, expected {len(Row._fields)}: {','.join(Row._fields)}")
    texts = dict(zip(Row._fields, cells, strict=True))
    parts = re.findall(r"((?:\\.|[^+\\])*)(?:\+|$)", texts["train_worms"])  # The last match is the empty end.
    texts["train_worms"] = tuple(re.sub(r"\\(.)", r"\1", part) for part in parts[:-1])
    for field, kind, expected in (("seed", int, "a whole number"), ("value", float, "a finite number")):
        try:
            texts[field] = kind(texts[field])
        except ValueError:
            found = f"found {show_value(texts[field])}, expected {expected}"
            raise InputError(f"{place}: field {field!r}: {found}") from None
    row = Row(**texts)
    _check_row(row, place)
    return row


def _check_row(row: Row, place: str):
    if isinstance(row.train_worms, str):
        found = f"found the text {show_value(row.train_worms)}"
        raise InputError(f"{place}: field 'train_worms': {found}, expected a tuple of names")
    named = [(field, getattr(row, field)) for field in ("model", "study", "test_study", "test_worm", "metric")]
    for field, name in [*named, *(("train_worms", worm) for worm in row.train_worms)]:
        if not isinstance(name, str) or not name or UNWRITABLE.search(name):
            raise InputError(f"{place}: field {field!r}: found {show_value(name)}, expected a name on one line")
    if not math.isfinite(row.value):
        raise InputError(f"{place}: field 'value': found {row.value}, expected a finite number ({shorten(row.metric)})")


def _check_repeats(rows: list[Row], places: list[str]):
    first: dict[tuple, str] = {}
    for row, place in zip(rows, places, strict=True):
        if row[:-1] in first:
            found = f"found the {shorten(row.metric)} of {show_value(row.model)} on worm {show_value(row.test_worm)}"
            other = first[row[:-1]].rsplit(": ", 1)[-1]
            raise InputError(f"{place}: {found} a second time (as in {other}), expected each number once")
        first[row[:-1]] = place
