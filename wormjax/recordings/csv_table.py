"""Read CSV files: a row per frame, a column per neuron; the name of the file is the worm's.

A column of times is known by its name (`time`, `seconds`, `time_ms`, ...); without one the caller gives the frame rate.
`state` or `motor_state` holds the motor state as text or numbers, and columns named as behaviour (`velocity`, ...) are
behaviour. A counter of frames is skipped. All other columns are neurons; `unknown_3`, `12` or an empty name identifies
none. Words that cannot name a neuron, such as `label`, are left out with a warning, unless all columns are words.
Columns are separated by commas, semicolons (then a comma may be the decimal sign) or tabs; a byte order mark, or lines
of comments (`# ...`) above the names, do no harm.
"""

import csv
import os
import re

import numpy as np
import pandas as pd

from wormjax.recordings import dag2023, wormwideweb
from wormjax.recordings.files import iterate_files, note_opening
from wormjax.recordings.names import NEURONS, find_other_columns, normalise_neuron_name
from wormjax.recordings.recording import FieldError, Recording, RecordingError, expect_distinct_worms, warn_of_columns

STUDY = "csv"
SUFFIXES = (".csv", ".tsv", ".txt")
# The letters of a column's name → seconds of its unit.
TIMES = dict.fromkeys(("time", "times", "timestamp", "timestamps", "t", "seconds", "second", "secs", "sec"), 1.0)
TIMES |= dict.fromkeys(("timesec", "timeseconds", "timeinseconds", "timestampseconds", "timvectorseconds"), 1.0)
TIMES |= dict.fromkeys(("timems", "milliseconds", "ms", "timemilliseconds", "timestampms"), 1e-3)
TIMES |= dict.fromkeys(("minutes", "timemin", "timeminutes"), 60.0)
STATES = ("state", "motorstate", "states", "motorstates")
COUNTERS = ("", "frame", "frames", "index", "unnamed")
BEHAVIOR = {re.sub("[^a-z]", "", name): name for name in (*dag2023.BEHAVIOR, *wormwideweb.BEHAVIOR)}


def read(path: str | os.PathLike, frame_rate: float = 0.0) -> tuple[Recording, ...]:
    """Read the worm of a file, or of each file of a folder; `frame_rate` (hertz) is of files without times."""
    files = iterate_files(path, SUFFIXES, _load, skip_bad=True)
    return expect_distinct_worms([_read_worm(file, *table, frame_rate) for file, table in files], path)


def _load(path: str) -> tuple[list[str], pd.DataFrame] | None:
    """Return the names of the columns and the table, its columns numbered from 0; None for text that is no table."""
    note_opening(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            above, first, second = 0, stream.readline(), stream.readline()
            while first.startswith("#") and _count_marks(first) != _count_marks(second):
                above, first, second = above + 1, second, stream.readline()
        separator = max(",;\t", key=first.count)
        names = [name.strip() for name in next(csv.reader([first.lstrip("# ")], delimiter=separator), [])]
        table = pd.read_csv(
            path,
            header=None,
            skiprows=above + 1,
            sep=separator,
            decimal="," if separator == ";" and "," in second else ".",
            encoding="utf-8-sig",
            skipinitialspace=True,
            low_memory=False,
        )
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    except (ValueError, csv.Error, OSError) as error:  # Those of pandas, and text that is not UTF-8, are ValueErrors.
        if path.lower().endswith(".txt"):
            return None
        problem = " ".join(str(error).split())[:160]
        raise RecordingError(f"{path}: found a file that is no table ({problem}), expected CSV in UTF-8") from None
    if len(table) < 2 or not table.select_dtypes("number").shape[1]:
        if path.lower().endswith(".txt"):
            return None
        found = f"found {len(table)} row{'s' * (len(table) != 1)} after the names of the columns"
        found = found if len(table) < 2 else "found no column of numbers"
        raise RecordingError(f"{path}: {found}, expected a row of numbers per frame, two or more")
    table.index += above + 2  # The number of the line, for messages.
    if in_rows := sorted({normalise_neuron_name(str(name)) for name in table[0]} & NEURONS):
        found = f"found neurons in rows ({', '.join(in_rows[:3])}, ...)"
        raise RecordingError(f"{path}: {found}, expected a row per frame and a column per neuron: transpose the table")
    if table.shape[1] == len(names) + 1:  # R writes row names without a name of their column.
        names = ["", *names]
    if table.shape[1] != len(names):
        found = f"found {len(names)} names in the first line and {table.shape[1]} columns"
        raise RecordingError(f"{path}: {found}, expected a name per column")
    if any(re.fullmatch(r"[-+]?\d*\.\d+(e[-+]?\d+)?", name, re.IGNORECASE) for name in names):
        expected = "expected the names of the columns, which are neurons (a table with neurons in rows: transpose it)"
        raise RecordingError(f"{path}: found numbers in the first line, {expected}")
    return names, table


def _count_marks(line: str) -> int:
    return sum(map(line.count, ",;\t"))


def _read_worm(path: str, names: list[str], table: pd.DataFrame, frame_rate: float) -> Recording:
    worm = os.path.splitext(os.path.basename(path))[0]
    times, states, behavior, neurons = None, None, {}, []
    for column, name in enumerate(names):
        kind, values = re.sub("[^a-z]", "", name.lower()), table[column]
        if kind in TIMES and times is None:
            times = _take_numbers(path, worm, name, values) * TIMES[kind]
        elif kind in STATES and states is None:
            states = values.to_numpy()
        elif kind in BEHAVIOR:
            behavior[BEHAVIOR[kind]] = _take_numbers(path, worm, name, values)
        elif not (kind in COUNTERS and _counts_rows(values)):
            neurons.append(column)
    others = {neurons[place] for place in find_other_columns([names[column] for column in neurons])}
    neurons = [column for column in neurons if column not in others]
    if others:
        warn_of_columns(path, [names[column] for column in sorted(others)])
    if not neurons:
        raise RecordingError(f"{path}: found no column of a neuron, expected one per neuron")
    if times is None and not frame_rate:
        found = "found none, and no frame rate, expected a column 'time' in seconds, or the rate in hertz"
        raise FieldError(path, worm, "time", f"{found} (--frame_rate=, --config.data.frame_rate=, frame_rate=)")
    return Recording(
        study=STUDY,
        worm=worm,
        traces=np.column_stack([_take_numbers(path, worm, names[column], table[column]) for column in neurons]),
        times=times,
        frame_rate=None if times is not None else frame_rate,
        neuron_names=[names[column] for column in neurons],
        motor_state=states,
        behavior=behavior,
        trace_units="units of the file",
        source=path,
    )


def _take_numbers(path: str, worm: str, name: str, values: pd.Series) -> np.ndarray:
    """Return a column as floating point; an empty cell is NaN."""
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = numbers.isna() & values.notna()
    if wrong.any():
        line = wrong.idxmax()
        raise FieldError(path, worm, name, f"found {str(values[line])[:40]!r} in line {line}, expected numbers")
    return numbers.to_numpy(np.float64)


def _counts_rows(values: pd.Series) -> bool:
    """Return whether a column is empty, or counts its rows."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    return bool(np.isnan(numbers).all() or (numbers == numbers[0] + np.arange(len(numbers))).all())
