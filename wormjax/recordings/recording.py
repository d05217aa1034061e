"""Recording: one worm's calcium activity and behaviour, as every reader returns it.

The fields are those of the public whole-brain files (Kato et al. 2015, Nichols et al. 2017, Dag et al. 2023), with time
as the first axis.
"""

import collections
import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

import numpy as np
from jaxtyping import Float, Int

from wormjax.errors import InputError

UNSCORED = -1  # The motor state of a frame that nobody scored.
LARGEST_VALUE = 1e15  # In traces: the sum of a million squares still fits a float32.
SHORTEST_FRAME, LONGEST_FRAME = 1e-4, 600.0  # Seconds from frame to frame, in the median.
LARGEST_GAP = 1000  # Mean over median time between frames; resampling fills gaps, and one wrong time fills the memory.
LONGEST_MESSAGE = 1200  # Characters.
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


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """One worm. Fields are checked when it is made, and FieldError names the first that cannot be used.

    Attributes:
      study: the study's name, for instance "kato2015".
      worm: the worm's name, unique within the study.
      traces: activity [frame, neuron], in `trace_units`; finite, no neuron constant.
      times: seconds [frame], strictly increasing.
      neuron_names: for each neuron the name that uniquely identifies it, or None; no name twice.
      ambiguous_names: for each neuron the candidate names where there are several or doubtful ones, else ().
      motor_state: for each frame an index into `state_names`, or UNSCORED (-1); None if no state was scored.
      state_names: the study's own names of the motor states.
      derivatives: the source's smoothing derivative [frame, neuron], in trace units per second, or None. It depends
        on later frames: no forecaster may use it.
      behavior: other behaviour per frame, by name (velocity in mm/s, ...); NaN where it was not scored.
      stretches: uninterrupted stretches [start, stop) of frames, in order; () stands for one stretch of all frames.
      trace_units: "dF/F", "z-score", ...
      source: the file that the recording was read from, for messages.
    """

    study: str
    worm: str
    traces: Float[np.ndarray, "frame neuron"]
    times: Float[np.ndarray, " frame"]
    neuron_names: tuple[str | None, ...]
    ambiguous_names: tuple[tuple[str, ...], ...] = ()
    motor_state: Int[np.ndarray, " frame"] | None = None
    state_names: tuple[str, ...] = ()
    derivatives: Float[np.ndarray, "frame neuron"] | None = None
    behavior: Mapping[str, Float[np.ndarray, " frame"]] = dataclasses.field(default_factory=dict)
    stretches: tuple[tuple[int, int], ...] = ()
    trace_units: str = "dF/F"
    source: str = "memory"

    def __post_init__(self):
        _check_traces(self)
        _check_times(self)
        _check_names(self)
        _check_motor_state(self)
        _check_companions(self)
        if not self.stretches:
            object.__setattr__(self, "stretches", ((0, len(self.times)),))
        _check_stretches(self)

    @property
    def frame_rate(self) -> float:
        """Frames per second: one over the median time between frames."""
        return float(1.0 / np.median(np.diff(self.times)))

    @property
    def identified(self) -> dict[str, int]:
        """The uniquely identified neurons: name → column of `traces`."""
        return {name: column for column, name in enumerate(self.neuron_names) if name is not None}


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


def _name_neuron(recording: Recording, column: int) -> str:
    name = recording.neuron_names[column] if column < len(recording.neuron_names) else None
    return f"neuron {column + 1}" + (f" ({name})" if name else "")


def _check_traces(recording: Recording):
    traces = recording.traces
    if not isinstance(traces, np.ndarray) or traces.ndim != 2 or traces.dtype.kind != "f":
        fail(recording, "traces", f"found {_describe(traces)}, expected floating point [frame, neuron]")
    frames, neurons = traces.shape
    if frames < 2 or neurons < 1:
        fail(recording, "traces", f"found {frames} frames of {neurons} neurons, expected at least 2 frames of 1")
    bad = ~np.isfinite(traces).all(axis=0)
    if bad.any():
        column = int(np.argmax(bad))
        frame = int(np.argmax(~np.isfinite(traces[:, column])))
        found = f"found {traces[frame, column]} at frame {frame} of {_name_neuron(recording, column)}"
        fail(recording, "traces", f"{found} ({int(bad.sum())} such neurons), expected finite values")
    largest = np.maximum(traces.max(axis=0), -traces.min(axis=0)).astype(np.float64)
    if largest.max() > LARGEST_VALUE:
        column = int(np.argmax(largest > LARGEST_VALUE))
        found = f"found {largest[column]:g} in {_name_neuron(recording, column)}"
        fail(recording, "traces", f"{found}, expected values within {LARGEST_VALUE:g}")
    constant = traces.max(axis=0) == traces.min(axis=0)
    if constant.any():
        column = int(np.argmax(constant))
        found = f"found the constant {traces[0, column]:g} in {_name_neuron(recording, column)}"
        fail(recording, "traces", f"{found} ({int(constant.sum())} such neurons), expected a trace that varies")


def _check_times(recording: Recording):
    times, frames = recording.times, recording.traces.shape[0]
    if not isinstance(times, np.ndarray) or times.shape != (frames,) or times.dtype.kind != "f":
        fail(recording, "times", f"found {_describe(times)}, expected {frames} seconds, one per frame")
    if not np.isfinite(times).all():
        fail(recording, "times", f"found {times[~np.isfinite(times)][0]}, expected finite seconds")
    steps = np.diff(times)
    if (steps <= 0).any():
        frame = int(np.argmax(steps <= 0))
        found = f"found {times[frame + 1]:g} s after {times[frame]:g} s at frame {frame + 1}"
        fail(recording, "times", f"{found}, expected times that increase")
    usual = float(np.median(steps))
    if not SHORTEST_FRAME <= usual <= LONGEST_FRAME:
        expected = f"expected seconds: {SHORTEST_FRAME:g} to {LONGEST_FRAME:g} of them"
        fail(recording, "times", f"found frames that are {usual:g} s apart, {expected}")
    if float(times[-1]) - float(times[0]) > LARGEST_GAP * usual * len(steps):
        frame = int(np.argmax(steps))
        found = f"found a gap of {steps[frame]:g} s at frame {frame + 1} among frames that are {usual:g} s apart"
        fail(recording, "times", f"{found}, expected one time scale")


def _check_names(recording: Recording):
    neurons = recording.traces.shape[1]
    if len(recording.neuron_names) != neurons:
        fail(recording, "neuron_names", f"found {len(recording.neuron_names)} names, expected {neurons}")
    if not recording.ambiguous_names:
        object.__setattr__(recording, "ambiguous_names", ((),) * neurons)
    if len(recording.ambiguous_names) != neurons:
        fail(recording, "ambiguous_names", f"found {len(recording.ambiguous_names)} entries, expected {neurons}")
    seen: dict[str, int] = {}
    for column, name in enumerate(recording.neuron_names):
        if name is None:
            continue
        if not isinstance(name, str) or not name:
            fail(recording, "neuron_names", f"found {name!r} for neuron {column + 1}, expected a name or None")
        if name in seen:
            found = f"found {name} twice (neurons {seen[name] + 1} and {column + 1})"
            fail(recording, "neuron_names", f"{found}, expected each name once")
        seen[name] = column


def _check_motor_state(recording: Recording):
    states, frames = recording.motor_state, recording.traces.shape[0]
    if states is None:
        return
    if not isinstance(states, np.ndarray) or states.shape != (frames,) or states.dtype.kind not in "iu":
        fail(recording, "motor_state", f"found {_describe(states)}, expected {frames} integers, one per frame")
    unknown = (states < UNSCORED) | (states >= len(recording.state_names))
    if unknown.any():
        found = f"found state number {states[unknown][0]} at frame {int(np.argmax(unknown))}"
        known = ", ".join(f"{k} {name}" for k, name in enumerate(recording.state_names))
        fail(recording, "motor_state", f"{found}, expected one of: {known} (or {UNSCORED}, not scored)")


def _check_companions(recording: Recording):
    derivatives, shape = recording.derivatives, recording.traces.shape
    if derivatives is not None:
        if not isinstance(derivatives, np.ndarray) or derivatives.dtype.kind != "f" or derivatives.shape != shape:
            expected = f"expected floating point {shape} as the traces"
            fail(recording, "derivatives", f"found {_describe(derivatives)}, {expected}")
        largest = float(max(derivatives.max(), -derivatives.min()))
        if not largest <= LARGEST_VALUE:  # NaN, too.
            fail(recording, "derivatives", f"found {largest:g}, expected finite values within {LARGEST_VALUE:g}")
    for name, values in recording.behavior.items():
        if np.shape(values) != shape[:1]:
            fail(recording, f"behavior/{name}", f"found shape {np.shape(values)}, expected {shape[:1]}")


def _check_stretches(recording: Recording):
    frames, last = recording.traces.shape[0], 0
    for start, stop in recording.stretches:
        if not last <= start < stop <= frames:
            found = f"found [{start}, {stop}) after frame {last}"
            fail(recording, "stretches", f"{found}, expected increasing stretches within {frames} frames")
        last = stop


def _describe(value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
