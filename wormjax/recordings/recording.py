"""Recording: one worm's calcium activity and behaviour, as every reader returns it.

The fields are those of the public whole-brain files (Kato et al. 2015, Nichols et al. 2017, Dag et al. 2023), with time
as the first axis. Fields are taken as people have them; what had to be changed is said, and kept in `notes`.
"""

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import os
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from wormjax.errors import InputError, RecordingWarning
from wormjax.recordings.names import find_other_columns, identify_neurons

UNSCORED = -1  # The motor state of a frame that nobody scored.
LARGEST_VALUE = 1e15  # In traces: the sum of a million squares still fits a float32.
SHORTEST_FRAME, LONGEST_FRAME = 0.02, 20.0  # Seconds from frame to frame, in the median.
UNITS = {"milliseconds": 1e-3, "microseconds": 1e-6, "minutes": 60.0, "hours": 3600.0}  # Of times, in seconds.
LOCAL_FRAMES = 20  # Whose rate is compared with the whole recording's.
SIMILAR_RATES = 1.25  # Rates that differ by no more than this factor count as the same.
UNEVEN = 0.05  # Share of frames at another rate from which on a recording has no even one.
PAUSE_FRAMES = 5  # A longer time between two frames, in median ones, is a pause: a stretch ends there.
MOST_PAUSES = 1 / 8  # Per frame: above, and with more than 20 pauses, the times are no recording's.
ROUNDED_TIMES = 0.1  # Share of repeated times above which they are rounded, and spread; below, the frames are dropped.
OUTLIER = 1000.0  # Times the 95th percentile of a neuron's distances from its median.
LONGEST_MESSAGE = 1200  # Characters.
MOST_STATES = 1000  # Of numbers without names.
MISSING = "missing (NaN)"
TOO_LARGE = "found more than the memory can hold, expected a smaller recording"


class RecordingError(InputError):
    """A recording, or the file that it came from, cannot be used."""

    def __init__(self, message: str):
        if len(message) > LONGEST_MESSAGE:  # A file may hold any number of names, of any length.
            message = f"{message[: 2 * LONGEST_MESSAGE // 3]} ... {message[-LONGEST_MESSAGE // 3 :]}"
        super().__init__(message)


class FieldError(RecordingError):
    """A field of one worm's recording cannot be used.

    Attributes:
      source: the file.
      worm: the worm's name.
      field: the name of the field in Recording, or in the file (`name_fields`).
      problem: what was found, and what was expected.
    """

    def __init__(self, source: str, worm: str, field: str, problem: str):
        super().__init__(f"{source}: worm {worm!r}, field {field!r}: {problem}")
        self.source, self.worm, self.field, self.problem = source, worm, field, problem


@contextlib.contextmanager
def name_fields(file_fields: Mapping[str, str]) -> Iterator[None]:
    """Make errors of a Recording that is made within name the file's fields.

    Args:
      file_fields: Recording's field → the file's field.
    """
    try:
        yield
    except FieldError as error:
        raise FieldError(error.source, error.worm, file_fields.get(error.field, error.field), error.problem) from None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """One worm. Fields are checked when it is made, and FieldError names the first that cannot be used.

    Only `traces`, and `times` or `frame_rate`, must be given. Fields may be lists or arrays of any real type. Imperfect
    data are mended, said once (a RecordingWarning) and noted in `notes`: transposed traces, infinite samples (which
    become NaN), neurons that never vary (dropped), repeated times, pauses (which end a stretch), a
    name that several neurons carry (ambiguous for each).

    Examples:
      >>> worm = Recording(traces=[[0.1, 0.2], [0.3, 0.1], [0.2, 0.4]], frame_rate=3.0, neuron_names=["AVAL", None])
      >>> worm
      Recording(worm 'worm' of 'mine': 2 neurons, 1 named; 3 frames, 0.0 min at 3.00 Hz; no states)

    Attributes:
      study: the study's name, for instance "kato2015".
      worm: the worm's name, unique within the study.
      traces: activity [frame, neuron], in `trace_units`; NaN where a sample is missing. No neuron is constant.
      times: seconds [frame], strictly increasing.
      neuron_names: for each neuron the name that uniquely identifies it, or None; no name twice. By default all None.
      ambiguous_names: for each neuron the candidate names where there are several or doubtful ones, else ().
      motor_state: for each frame an index into `state_names`, or UNSCORED (-1); None if no state was scored. May be
        given as texts, booleans, or numbers with NaN.
      state_names: the study's own names of the motor states.
      derivatives: the source's smoothing derivative [frame, neuron], in trace units per second, or None. It depends
        on later frames: no forecaster may use it.
      behavior: other behaviour per frame, by name (velocity in mm/s, ...); NaN where it was not scored.
      stretches: uninterrupted stretches [start, stop) of frames, in order; () stands for all frames. A pause of more
        than PAUSE_FRAMES frames ends a stretch.
      trace_units: "dF/F", "z-score", ...
      source: the file that the recording was read from, for messages.
      notes: what had to be changed, one sentence each.
      frame_rate: hertz; when a recording is made, used where `times` are not given.
    """

    study: str = "mine"
    worm: str = "worm"
    traces: Float[np.ndarray, "frame neuron"] = None
    times: Float[np.ndarray, " frame"] = None
    neuron_names: tuple[str | None, ...] = ()
    ambiguous_names: tuple[tuple[str, ...], ...] = ()
    motor_state: Int[np.ndarray, " frame"] | None = None
    state_names: tuple[str, ...] = ()
    derivatives: Float[np.ndarray, "frame neuron"] | None = None
    behavior: Mapping[str, Float[np.ndarray, " frame"]] = dataclasses.field(default_factory=dict)
    stretches: tuple[tuple[int, int], ...] = ()
    trace_units: str = "dF/F"
    source: str = "memory"
    notes: tuple[str, ...] = ()
    frame_rate: dataclasses.InitVar[float | None] = None

    def __post_init__(self, frame_rate: float | None):
        given = len(self.notes)
        for field in ("study", "worm"):
            if not isinstance(getattr(self, field), str) or not getattr(self, field):
                found = f"found {_describe(getattr(self, field))}, expected a name"
                fail(self, field, f"{found}: give fields by name, Recording(traces=..., times=...)")
            _expect_one_line(self, field, getattr(self, field))
        _set(self, notes=tuple(self.notes))
        _take_traces(self)
        _take_times(self, frame_rate)
        _take_names(self)
        _take_motor_state(self)
        _take_companions(self)
        _mend_times(self)
        _drop_dead_neurons(self)
        _split_stretches(self)
        _note_uneven(self)
        _note_outliers(self)
        if len(self.notes) > given:
            say_notes(self, self.notes[given:])

    @classmethod
    def from_dataframe(
        cls, frame: pd.DataFrame, time: str | None = "time", states: str | None = None, **fields: Any
    ) -> "Recording":
        """Return the recording of a table with one row per frame.

        Args:
          frame: the table. Its columns are neurons by name, except those that `time`, `states` or `behavior` name, and
            words that cannot name a neuron, which are left out with a warning unless most columns have such names.
          time: the column of seconds; None with `frame_rate=`, or where the index holds the seconds.
          states: the column of motor states, as texts or numbers.
          **fields: further fields of Recording. `behavior` may be a list of columns.

        Raises:
          FieldError: a column that is not there, or whose values cannot be used.

        Examples:
          >>> table = pd.DataFrame({"time": [0.0, 0.5, 1.0], "AVAL": [0.1, 0.3, 0.2], "state": ["fwd", "rev", "fwd"]})
          >>> Recording.from_dataframe(table, time="time", states="state").state_names
          ('fwd', 'rev')
        """
        behavior = fields.pop("behavior", ())
        taken = [name for name in (time, states, *behavior) if name is not None and name not in fields]
        if time == "time" and "time" not in frame and ("frame_rate" in fields or frame.index.name == "time"):
            taken.remove("time")
        for name in taken:
            if name not in frame:
                columns = ", ".join(map(str, frame.columns[:12])) or "none"
                worm, source = fields.get("worm", "worm"), fields.get("source", "memory")
                expected = f"expected one of {columns}"
                if name == time:
                    expected = (
                        f"expected the column of seconds (time=...), or hertz (frame_rate=...); there are {columns}"
                    )
                raise FieldError(source, worm, name, f"found no such column, {expected}")
        if time is None and "time" in frame:
            worm, source = fields.get("worm", "worm"), fields.get("source", "memory")
            raise FieldError(source, worm, "time", "found such a column, expected time='time', or none of that name")
        neurons = frame.drop(columns=taken)
        if others := [neurons.columns[place] for place in find_other_columns([*map(str, neurons.columns)])]:
            warn_of_columns(fields.get("source", "memory"), others)
            neurons = neurons.drop(columns=others)
        if time in taken:
            fields["times"] = frame[time].to_numpy()
        elif "frame_rate" not in fields and not isinstance(frame.index, pd.RangeIndex):
            fields["times"] = frame.index.to_numpy()
        if states is not None:
            fields["motor_state"] = frame[states].to_numpy()
        if not isinstance(behavior, Mapping):
            behavior = {name: frame[name].to_numpy() for name in behavior}
        names = tuple(map(str, neurons.columns))
        return cls(**{"traces": neurons.to_numpy(), "neuron_names": names, "behavior": behavior} | fields)

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with a row per frame: `time`, each neuron's trace, behaviour, and `state` where it is scored.

        A neuron without a name is called `neuron_K`, counted from 1.
        """
        names = [name or f"neuron_{column}" for column, name in enumerate(self.neuron_names, 1)]
        table = pd.DataFrame(self.traces, columns=names)
        table.insert(0, "time", self.times)
        table = table.assign(**self.behavior)
        if self.motor_state is not None:
            table["state"] = pd.Categorical.from_codes(self.motor_state, list(self.state_names))
        return table

    @property
    def identified(self) -> dict[str, int]:
        """The uniquely identified neurons: name → column of `traces`."""
        return {name: column for column, name in enumerate(self.neuron_names) if name is not None}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of traces (as float32) and times (in milliseconds from the first): the same under any name."""
        digest = hashlib.sha256(repr(self.traces.shape).encode())
        with np.errstate(over="ignore", invalid="ignore"):
            digest.update(np.ascontiguousarray(self.traces, "<f4").tobytes())
            digest.update(np.round((self.times - self.times[0]) * 1e3).astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def local_seconds(self) -> Float[np.ndarray, " window"]:
        """Seconds from frame to frame, as means over each LOCAL_FRAMES frames of a stretch."""
        stretches = [self.times[start:stop] for start, stop in self.stretches]
        return np.concatenate([times[LOCAL_FRAMES:] - times[:-LOCAL_FRAMES] for times in stretches]) / LOCAL_FRAMES

    @property
    def uneven(self) -> bool:
        """Whether frames come at more than one rate. They are then resampled before a model reads them."""
        if not len(seconds := self.local_seconds):
            return False
        ratio = seconds / np.median(seconds)
        return bool((np.maximum(ratio, 1 / ratio) > SIMILAR_RATES).mean() > UNEVEN)

    @property
    def scored(self) -> bool:
        """Whether any frame has a scored motor state."""
        return self.motor_state is not None and bool((self.motor_state != UNSCORED).any())

    @property
    def state_shares(self) -> dict[str, float]:
        """The share of all frames that each state takes, those without a score left out."""
        states = np.zeros(0, int) if self.motor_state is None else self.motor_state
        return {name: float((states == k).sum() / len(self.times)) for k, name in enumerate(self.state_names)}

    def __repr__(self) -> str:
        frames, neurons = self.traces.shape
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.state_shares.items() if share)
        minutes = sum(self.times[stop - 1] - self.times[start] for start, stop in self.stretches) / 60
        parts = [f"{neurons} neurons, {len(self.identified)} named"]
        parts.append(f"{frames} frames, {minutes:.1f} min at {self.frame_rate:.2f} Hz")
        parts += [f"{len(self.stretches)} stretches"] if len(self.stretches) > 1 else []
        parts += [f"states {shares}" if shares else "no states", *self.notes]
        return f"Recording(worm {self.worm!r} of {self.study!r}: {'; '.join(parts)})"


class _MeasuredRate(float):
    """The rate of a recording. `dataclasses.replace` gives it again, beside times that may be others."""


def _measure_rate(recording: Recording) -> float:
    """Frames per second: one over the median time between frames."""
    return _MeasuredRate(1.0 / np.median(np.diff(recording.times)))


# Outside the class, where its name is the argument of __init__.
Recording.frame_rate = property(_measure_rate)


def say_notes(recording: Recording, notes: Sequence[str]) -> None:
    """Warn of what had to be changed in a recording, in one line."""
    text = f"{recording.source}: worm {recording.worm!r}: {'; '.join(notes)}"
    warnings.warn(text, RecordingWarning, stacklevel=4)  # At the line that makes the recording.


def warn_of_columns(source: str, names: Sequence[str]) -> None:
    """Warn of columns of a table that are left out, since their names are words that name no neuron."""
    words = f"columns that name no neuron are left out: {', '.join(map(str, names))}"
    warnings.warn(f"{source}: {words} (call one unknown_1 to keep it)", RecordingWarning, stacklevel=3)


def fail(recording: Recording, field: str, problem: str) -> NoReturn:
    """Raise the one-line error of a recording's field."""
    raise FieldError(recording.source, recording.worm, field, problem)


def expect_distinct_worms(worms: Sequence[Recording], path: str | os.PathLike) -> tuple[Recording, ...]:
    """Return the recordings where there is any and no worm of a study occurs twice.

    A worm that occurs twice could be held out and trained on at once.

    Raises:
      RecordingError: no worm, or one that occurs twice.
    """
    counts = collections.Counter((worm.study, worm.worm) for worm in worms)
    twice = sorted(name for (_, name), count in counts.items() if count > 1)
    if twice:
        raise RecordingError(f"{os.fspath(path)}: found worm {twice[0]!r} twice, expected each worm once")
    if not worms:
        raise RecordingError(f"{os.fspath(path)}: found no worm, expected at least one")
    return tuple(worms)


def _set(recording: Recording, **fields: Any) -> None:
    """Set fields of a frozen recording while it is made."""
    for name, value in fields.items():
        object.__setattr__(recording, name, value)


def _note(recording: Recording, sentence: str) -> None:
    _set(recording, notes=(*recording.notes, sentence))


def _expect_one_line(recording: Recording, field: str, name: str) -> None:
    """Refuse control characters and halves of characters in a name that goes into tables."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        fail(recording, field, f"found {name[:40]!a}, expected a name on one line")


def _take_numbers(recording: Recording, field: str, values: Any, expected: str) -> Float[np.ndarray, "..."]:
    """Return values as floating point of at most 64 bits, in native order; masked and infinite ones as they are."""
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = values.astype(np.float64).filled(np.nan)
        array = np.asarray(values)
        if array.dtype.kind in "OU" or array.dtype.kind not in "biufmM":
            array = np.asarray(array, np.float64) if array.dtype.kind == "O" else None
    except (TypeError, ValueError, OverflowError):
        array = None
    if array is None:
        fail(recording, field, f"found {_describe(values)}, expected {expected}")
    if array.dtype.kind == "M":
        array = array - array.reshape(-1)[:1]
    if array.dtype.kind == "m":
        array = array / np.timedelta64(1, "s")
    kinds = {("f", 2): np.float32, ("f", 4): np.float32}
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(kinds.get((array.dtype.kind, array.dtype.itemsize), np.float64), copy=False)


def _take_vector(recording: Recording, values: np.ndarray) -> np.ndarray:
    """Return a vector that may be given as [1, frame] or [frame, 1]."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def _count_frames(recording: Recording) -> int | None:
    """Return how many frames other fields than the traces say there are; None where none does."""
    for values in (recording.times, recording.motor_state):
        if values is not None:
            return int(np.size(values))
    return None


def _take_traces(recording: Recording) -> None:
    if recording.traces is None:
        fail(recording, "traces", "found none, expected numbers [frame, neuron]")
    traces = _take_numbers(recording, "traces", recording.traces, "numbers [frame, neuron]")
    if np.asarray(recording.traces).dtype.kind in "biu":
        _note(recording, f"traces of {np.asarray(recording.traces).dtype} are read as floating point")
    if traces.ndim == 1:
        traces = traces[:, None]
    if traces.ndim != 2:
        fail(recording, "traces", f"found {_describe(traces)}, expected numbers [frame, neuron]")
    frames, names = _count_frames(recording), len(recording.neuron_names)
    by_frames = frames in traces.shape and traces.shape[0] != frames
    if by_frames or (frames is None and names == traces.shape[0] != traces.shape[1]):
        traces = traces.T
        _note(recording, f"found traces [neuron, frame], read as [frame, neuron]: {traces.shape}")
        if recording.derivatives is not None and np.ndim(recording.derivatives) == 2:
            _set(recording, derivatives=np.transpose(recording.derivatives))
    if traces.shape[0] < 2 or traces.shape[1] < 1:
        found = f"found {traces.shape[0]} frames of {traces.shape[1]} neurons"
        fail(recording, "traces", f"{found}, expected at least 2 frames of 1")
    _set(recording, traces=_mark_missing(recording, "traces", traces))


def _mark_missing(recording: Recording, field: str, values: np.ndarray) -> np.ndarray:
    """Return values with NaN for infinity, after a check of their size."""
    infinite = np.isinf(values)
    if infinite.any():
        _note(recording, f"{int(infinite.sum())} infinite samples of {field} are missing")
        values = np.where(infinite, values.dtype.type(np.nan), values)
    largest = np.nanmax(np.abs(values), initial=0.0) if values.size else 0.0
    if largest > LARGEST_VALUE:
        column = int(np.argmax((np.abs(values) > LARGEST_VALUE).any(axis=0)))
        found = f"found {largest:g} in {_name_neuron(recording, column)}"
        fail(recording, field, f"{found}, expected values within {LARGEST_VALUE:g}")
    return values


def _name_neuron(recording: Recording, column: int) -> str:
    name = recording.neuron_names[column] if column < len(recording.neuron_names) else None
    return f"neuron {column + 1}" + (f" ({name})" if name else "")


def _take_times(recording: Recording, frame_rate: float | None) -> None:
    frames, given = recording.traces.shape[0], recording.times is not None
    if frame_rate is not None and (not isinstance(frame_rate, int | float | np.number) or not 0 < frame_rate < np.inf):
        fail(recording, "frame_rate", f"found {frame_rate!r}, expected hertz above 0")
    if not given:
        if frame_rate is None:
            fail(recording, "times", "found none, and no frame_rate, expected either: seconds [frame], or hertz")
        _set(recording, times=np.arange(frames) / float(frame_rate))
    times = _take_vector(recording, _take_numbers(recording, "times", recording.times, "seconds [frame]"))
    if times.shape != (frames,):
        found = f"found {_describe(recording.times)} with traces of shape {recording.traces.shape}"
        fail(recording, "times", f"{found}, expected {frames} seconds, one per frame")
    if not np.isfinite(times).all():
        fail(recording, "times", f"found {times[~np.isfinite(times)][0]}, expected finite seconds")
    _set(recording, times=times.astype(np.float64, copy=False) if times.dtype != np.float32 else times)
    steps = np.diff(times)
    if (steps < 0).any():
        frame = int(np.argmax(steps < 0))
        found = f"found {times[frame + 1]:g} s after {times[frame]:g} s at frame {frame + 1}"
        fail(recording, "times", f"{found}, expected times that increase")
    if not steps.any():
        fail(recording, "times", f"found {times[0]:g} s in all frames, expected times that increase")
    usual = float(np.median(steps[steps > 0]))
    if (steps == 0).mean() > ROUNDED_TIMES:
        usual *= 1 - (steps == 0).mean()
    if not SHORTEST_FRAME <= usual <= LONGEST_FRAME:
        units = [unit for unit, size in UNITS.items() if 0.05 <= usual * size <= 2.0]
        hint = f"; if they are in {units[0]}, multiply them by {UNITS[units[0]]:g}" if units else ""
        found = f"found frames that are {usual:g} s apart"
        fail(recording, "times", f"{found}, expected seconds: {SHORTEST_FRAME:g} to {LONGEST_FRAME:g} of them{hint}")
    if given and not isinstance(frame_rate, _MeasuredRate | None) and abs(usual * frame_rate - 1) > 0.01:
        _note(recording, f"frame_rate {frame_rate:g} is not used: by their times, frames come at {1 / usual:.2f} Hz")


def _take_names(recording: Recording) -> None:
    neurons = recording.traces.shape[1]
    if isinstance(recording.neuron_names, str | set | frozenset):
        found = f"found a {type(recording.neuron_names).__name__}"
        fail(recording, "neuron_names", f"{found}, expected a list with a name per neuron, in the order of the traces")
    for field in ("neuron_names", "ambiguous_names"):
        given = len(getattr(recording, field))
        if given not in (0, neurons):
            fail(
                recording,
                field,
                f"found {given} {'names' if field == 'neuron_names' else 'entries'}, expected {neurons}",
            )
    entries = tuple(recording.neuron_names) or (None,) * neurons
    for column, name in enumerate(entries):
        if not isinstance(name, str) and not _is_nothing(name) and not isinstance(name, int | float | np.number):
            fail(recording, "neuron_names", f"found {name!r} for neuron {column + 1}, expected a name or None")
    names, candidates, twice = identify_neurons(entries, recording.ambiguous_names)
    _set(recording, neuron_names=names, ambiguous_names=candidates)
    if twice:
        shown = ", ".join(name[:20] for name in twice[:8]) + (" ..." if len(twice) > 8 else "")
        _note(recording, f"found names that several neurons carry, ambiguous for each: {shown}")


def _is_nothing(value: Any) -> bool:
    """Return whether a name or a state is absent: None, NaN or an empty text."""
    return not value if isinstance(value, str) else np.ndim(value) == 0 and bool(pd.isna(value))


def _take_motor_state(recording: Recording) -> None:
    names = tuple(map(str, recording.state_names))
    for name in names:
        _expect_one_line(recording, "state_names", name)
    _set(recording, state_names=names)
    if recording.motor_state is None:
        return
    given, frames = np.asarray(recording.motor_state), recording.traces.shape[0]
    if given.dtype.kind == "S":
        given = np.char.decode(given, "utf-8", "replace")
    given = _take_vector(recording, given)
    if given.shape != (frames,):
        fail(recording, "motor_state", f"found {_describe(given)}, expected {frames} states, one per frame")
    if given.dtype.kind in "OUST" and not all(_is_nothing(state) or isinstance(state, int | float) for state in given):
        texts = [None if _is_nothing(state) else str(state) for state in given.tolist()]
        names = names or tuple(sorted(set(texts) - {None}))
        numbers = {None: UNSCORED} | {name: number for number, name in enumerate(names)}
        for frame, text in enumerate(texts):
            if text not in numbers:
                known = ", ".join(names)
                fail(recording, "motor_state", f"found {text!r} at frame {frame}, expected one of: {known}")
        _set(recording, motor_state=np.array([numbers[text] for text in texts], np.int32), state_names=names)
        return
    if given.dtype.kind == "O":
        given = np.array([np.nan if _is_nothing(state) else state for state in given], np.float64)
    numbers = (
        _take_numbers(recording, "motor_state", given, "numbers or names of states")
        if given.dtype.kind not in "iu"
        else given
    )
    if numbers.dtype.kind == "f":
        nothing = np.isnan(numbers)
        numbers = np.where(nothing, UNSCORED, numbers)
        if nothing.any():
            _note(recording, f"{int(nothing.sum())} frames whose state is NaN are not scored")
    count = len(names)
    if not count:
        count = int(min(max(numbers.max(initial=0), 0), MOST_STATES)) + 1
        names = ("False", "True") if given.dtype.kind == "b" else tuple(f"state {k}" for k in range(count))
        count = len(names)
    unknown = (numbers < UNSCORED) | (numbers >= count) | (numbers != np.round(numbers))
    if unknown.any():
        found = f"found state number {numbers[unknown][0]} at frame {int(np.argmax(unknown))}"
        known = ", ".join(f"{k} {name}" for k, name in enumerate(names))
        fail(recording, "motor_state", f"{found}, expected one of: {known} (or {UNSCORED}, not scored)")
    if numbers.dtype.kind != "i":
        numbers = numbers.astype(np.int32)
    _set(recording, motor_state=numbers, state_names=names)


def _take_companions(recording: Recording) -> None:
    shape = recording.traces.shape
    if recording.derivatives is not None:
        derivatives = _take_numbers(recording, "derivatives", recording.derivatives, "numbers [frame, neuron]")
        if derivatives.shape == shape[::-1] != shape:
            derivatives = derivatives.T
        if derivatives.shape != shape:
            fail(recording, "derivatives", f"found {_describe(derivatives)}, expected {shape} as the traces")
        _set(recording, derivatives=_mark_missing(recording, "derivatives", derivatives))
    behavior = {}
    for name, given in recording.behavior.items():
        values = _take_vector(recording, np.asarray(given))
        if values.shape != shape[:1]:
            fail(recording, f"behavior/{name}", f"found shape {np.shape(given)}, expected {shape[:1]}")
        behavior[name] = values
    _set(recording, behavior=behavior)


def _mend_times(recording: Recording) -> None:
    """Spread times that are rounded; drop the later of two frames with one time."""
    times, frames = recording.times, len(recording.times)
    repeated = np.r_[False, np.diff(times) == 0]
    if not repeated.any():
        _set(recording, stretches=_check_stretches(recording))
        return
    if repeated.mean() > ROUNDED_TIMES:
        first = np.flatnonzero(~repeated)
        usual = float(np.median(np.diff(times[first])))
        ends = np.r_[times[first[1:]], times[first[-1]] + usual]
        counts = np.diff(np.r_[first, frames])
        steps = np.minimum(ends - times[first], usual) / counts
        within = np.arange(frames) - np.repeat(first, counts)
        _set(recording, times=times + within * np.repeat(steps, counts), stretches=_check_stretches(recording))
        _note(recording, f"{int(repeated.sum())} of {frames} times repeat the one before: rounded ones, spread evenly")
        return
    _note(recording, f"{int(repeated.sum())} frames with the time of the frame before are dropped")
    places = np.cumsum(np.r_[0, ~repeated])
    stretches = [(int(places[start]), int(places[stop])) for start, stop in _check_stretches(recording)]
    _keep_frames(recording, ~repeated)
    _set(recording, stretches=tuple((start, stop) for start, stop in stretches if start < stop))


def _keep_frames(recording: Recording, kept: np.ndarray) -> None:
    for field in ("traces", "times", "motor_state", "derivatives"):
        if getattr(recording, field) is not None:
            _set(recording, **{field: getattr(recording, field)[kept]})
    _set(recording, behavior={name: values[kept] for name, values in recording.behavior.items()})
    if len(recording.times) < 2:
        fail(recording, "times", f"found {len(recording.times)} distinct times, expected at least 2")


def _drop_dead_neurons(recording: Recording) -> None:
    """Drop the neurons whose trace never varies, or has no sample."""
    traces = recording.traces
    dead = ~(np.fmax.reduce(traces, axis=0) > np.fmin.reduce(traces, axis=0))
    missing = np.isnan(traces[:, ~dead]).sum(axis=0)
    if missing.any() and not any(MISSING in note for note in recording.notes):
        _note(recording, f"{int(missing.sum())} samples of {int((missing > 0).sum())} neurons are {MISSING}")
    if not dead.any():
        return
    if dead.all():
        value = "nan at frame 0 of" if np.isnan(traces[0, 0]) else f"the constant {traces[0, 0]:g} in"
        found = f"found {value} {_name_neuron(recording, 0)} ({dead.size} such neurons)"
        fail(recording, "traces", f"{found}, expected a trace that varies")
    names = ", ".join(_name_neuron(recording, column) for column in np.flatnonzero(dead)[:8])
    _note(
        recording, f"{int(dead.sum())} neurons that never vary are dropped: {names}{' ...' if dead.sum() > 8 else ''}"
    )
    kept = np.flatnonzero(~dead)
    _set(recording, traces=traces[:, kept])
    if recording.derivatives is not None:
        _set(recording, derivatives=recording.derivatives[:, kept])
    for field in ("neuron_names", "ambiguous_names"):
        _set(recording, **{field: tuple(getattr(recording, field)[column] for column in kept)})


def _check_stretches(recording: Recording) -> tuple[tuple[int, int], ...]:
    frames, last = recording.traces.shape[0], 0
    try:
        stretches = tuple((int(start), int(stop)) for start, stop in recording.stretches) or ((0, frames),)
    except (TypeError, ValueError):
        fail(recording, "stretches", f"found {_describe(recording.stretches)}, expected pairs of start and stop")
    for start, stop in stretches:
        if not last <= start < stop <= frames:
            found = f"found [{start}, {stop}) after frame {last}"
            fail(recording, "stretches", f"{found}, expected increasing stretches within {frames} frames")
        last = stop
    return stretches


def _split_stretches(recording: Recording) -> None:
    """End a stretch at each pause."""
    steps = np.diff(recording.times)
    usual = float(np.median(steps))
    paused = steps > PAUSE_FRAMES * usual
    if paused.sum() > max(20, MOST_PAUSES * len(steps)):
        found = f"found {int(paused.sum())} gaps of more than {PAUSE_FRAMES} frames, which are {usual:g} s apart"
        fail(recording, "times", f"{found}, expected frames at a regular rate")
    stretches = []
    for start, stop in recording.stretches:
        inside = np.flatnonzero(paused[start : stop - 1]) + start + 1
        stretches += itertools.pairwise([start, *map(int, inside), stop])
    added = len(stretches) - len(recording.stretches)
    if added:
        _note(recording, f"{added} pauses (the longest of {steps[paused].max():.1f} s) end a stretch each")
    _set(recording, stretches=tuple(stretches))


def _note_uneven(recording: Recording) -> None:
    if recording.uneven and not any("not at one rate" in note for note in recording.notes):
        seconds = recording.local_seconds
        apart = f"frames are {seconds.min():.2g} to {seconds.max():.2g} s apart, not at one rate"
        _note(recording, f"{apart}: they are resampled before a model reads them")


def _note_outliers(recording: Recording) -> None:
    """Note the neurons whose largest sample is far beyond the others."""
    traces = recording.traces
    some = traces[:: max(1, len(traces) // 2000)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # A neuron may have no sample among these.
        middle = np.nanmedian(some, axis=0)
        usual = np.nanpercentile(np.abs(some - middle), 95, axis=0)
    largest = np.fmax(np.fmax.reduce(traces, axis=0) - middle, middle - np.fmin.reduce(traces, axis=0))
    wild = (usual > 0) & (largest > OUTLIER * usual)
    if wild.any() and not any("outliers" in note for note in recording.notes):
        names = ", ".join(_name_neuron(recording, column) for column in np.flatnonzero(wild)[:8])
        ratio = float((largest[wild] / usual[wild]).max())
        _note(recording, f"outliers up to {ratio:.0e} times the usual range in {names}: see data.scaling='robust'")


def _describe(value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"{type(value).__name__} {value!r}"[:80] if isinstance(value, str | int | float) else type(value).__name__
