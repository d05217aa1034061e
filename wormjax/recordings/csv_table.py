"""Read CSV files: a column per neuron, named by it, and a row per frame.

Times stand in a column `time` (or `times`, `seconds`, `t`, `time (s)`), in seconds; a file without one needs a frame
rate. Motor states stand in a column `state` (or `states`, `motor_state`), as names or numbers, empty where not scored.
Columns such as `unknown_3` or `12` are neurons that nobody identified. Separators are found by themselves.
"""

import os

import pandas as pd

from wormjax.recordings.files import list_files, note_opening
from wormjax.recordings.recording import FieldError, Recording, RecordingError, expect_distinct_worms

STUDY = "csv"
SUFFIXES = (".csv", ".tsv", ".txt")
TIMES = ("time", "times", "seconds", "t", "time (s)", "time_s")
STATES = ("state", "states", "motor_state")


def read(path: str | os.PathLike, frame_rate: float = 0.0) -> tuple[Recording, ...]:
    """Read the worm of a file, or of each file of a folder.

    Args:
      path: the file or folder.
      frame_rate: hertz, of files without a column of times.

    Raises:
      RecordingError: a file cannot be used, or has no times; the message names file and column.
    """
    worms = [_read_worm(file, table, frame_rate) for file, table in list_files(path, SUFFIXES, _load)]
    return expect_distinct_worms(worms, path)


def _load(path: str) -> pd.DataFrame | None:
    note_opening(path)
    try:
        table = pd.read_csv(path, sep=None, engine="python", encoding="utf-8-sig", skipinitialspace=True)
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: found a file that is not UTF-8, expected a CSV table") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError) as error:
        raise RecordingError(f"{path}: found a file that is no table ({error}), expected CSV") from None
    numbers = table.select_dtypes("number")
    return table if len(table) > 1 and numbers.shape[1] else None


def _read_worm(path: str, table: pd.DataFrame, frame_rate: float) -> Recording:
    worm = os.path.splitext(os.path.basename(path))[0]
    table.columns = [str(name).strip() for name in table.columns]
    lower = {name.lower(): name for name in table.columns}
    time, states = (next((lower[name] for name in names if name in lower), None) for names in (TIMES, STATES))
    if time is None and not frame_rate > 0:
        found = f"found none, and no frame rate, expected a column {' or '.join(TIMES[:3])}"
        raise FieldError(path, worm, "time", f"{found}, or the rate in hertz (frame_rate=, --config.data.frame_rate=)")
    empty = [name for name in table.columns if name.lower().startswith("unnamed:") and table[name].isna().all()]
    table = table.drop(columns=empty)
    given = {"frame_rate": frame_rate} if time is None else {}
    return Recording.from_dataframe(
        table, time=time, states=states, **given, study=STUDY, worm=worm, trace_units="units of the file", source=path
    )
