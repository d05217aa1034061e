"""Recording: one worm's calcium activity and behaviour, as every reader returns it.

The fields are those of the public whole-brain files (Kato et al. 2015, Nichols et al. 2017, Dag et al. 2023), with time
as the first axis. Fields are taken as people have them; what had to be changed is said, and kept in `notes`.
"""

import collections
import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from wormjax.errors import note
from wormjax.recordings.faults import FieldError, RecordingError
from wormjax.recordings.mending import UNSCORED, MeasuredRate, mend_fields
from wormjax.recordings.names import find_other_columns

LOCAL_FRAMES = 20  # Whose rate is compared with the whole recording's.
SIMILAR_RATES = 1.25  # Rates that differ by no more than this factor count as the same.
UNEVEN = 0.05  # Share of frames at another rate from which on a recording has no even one.


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
        mend_fields(self, frame_rate)

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
        if not isinstance(frame, pd.DataFrame):
            found = f"found {type(frame).__name__}, expected a DataFrame (of arrays: Recording(traces=...))"
            raise FieldError(fields.get("source", "memory"), fields.get("worm", "worm"), "frame", found)
        behavior = fields.pop("behavior", ())
        behavior = [behavior] if isinstance(behavior, str) else behavior
        taken = [name for name in (time, states, *behavior) if name is not None and name not in fields]
        if time == "time" and "time" not in frame and ("frame_rate" in fields or frame.index.name == "time"):
            taken.remove("time")
        columns = ", ".join(map(str, frame.columns[:12])) or "none"
        wrong = {name: f"found no such column, expected one of {columns}" for name in taken if name not in frame}
        if time in wrong:
            expected = "expected the column of seconds (time=...), or hertz (frame_rate=...); there are"
            wrong[time] = f"found no such column, {expected} {columns}"
        if time is None and "time" in frame:
            wrong["time"] = "found such a column, expected time='time', or none of that name"
        for name, problem in wrong.items():
            raise FieldError(fields.get("source", "memory"), fields.get("worm", "worm"), name, problem)
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


# Frames per second, by the median time between frames. Outside the class, where its name is the argument of __init__.
Recording.frame_rate = property(lambda recording: MeasuredRate(1.0 / np.median(np.diff(recording.times))))


def warn_of_columns(source: str, names: Sequence[str]) -> None:
    """Warn of columns of a table that are left out, since their names are words that name no neuron."""
    words = f"columns that name no neuron are left out: {', '.join(map(str, names))}"
    note(f"{source}: {words} (call one unknown_1 to keep it)")


def expect_distinct_worms(worms: Sequence[Recording], path: str | os.PathLike) -> tuple[Recording, ...]:
    """Return the recordings where there is any and no worm of a study occurs twice.

    A worm that occurs twice could be held out and trained on at once.
    """
    counts = collections.Counter((worm.study, worm.worm) for worm in worms)
    twice = sorted(name for (_, name), count in counts.items() if count > 1)
    if twice:
        raise RecordingError(f"{os.fspath(path)}: found worm {twice[0]!r} twice, expected each worm once")
    if not worms:
        raise RecordingError(f"{os.fspath(path)}: found no worm, expected at least one")
    return tuple(worms)
