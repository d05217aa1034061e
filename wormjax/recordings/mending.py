"""Check the fields of a Recording while it is made, and mend imperfect ones; what had to be changed is noted."""

import itertools
import unicodedata
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from wormjax.errors import note
from wormjax.recordings.faults import fail
from wormjax.recordings.names import identify_neurons

UNSCORED = -1  # The motor state of a frame that nobody scored.
LARGEST_VALUE = 1e15  # In traces: the sum of a million squares still fits a float32.
SHORTEST_FRAME, LONGEST_FRAME = 0.02, 20.0  # Seconds from frame to frame, in the median.
UNITS = {"milliseconds": 1e-3, "microseconds": 1e-6, "minutes": 60.0, "hours": 3600.0}  # Of times, in seconds.
PAUSE_FRAMES = 5  # A longer time between two frames, in median ones, is a pause: a stretch ends there.
MOST_PAUSES = 1 / 8  # Per frame: above, and with more than 20 pauses, the times are no recording's.
ROUNDED_TIMES = 0.1  # Share of repeated times above which they are rounded, and spread; below, the frames are dropped.
OUTLIER = 1000.0  # Times the 95th percentile of a neuron's distances from its median.
MOST_STATES = 1000  # Of numbers without names.
MISSING = "missing (NaN)"


def mend_fields(recording, frame_rate: float | None) -> None:
    """Check and mend all fields of a recording, and warn once of what was changed; FieldError for an unusable one."""
    for field in ("neuron_names", "ambiguous_names", "state_names", "stretches", "notes", "behavior"):
        if getattr(recording, field) is None:
            _set(recording, **{field: {} if field == "behavior" else ()})
    given = len(recording.notes)
    for field in ("study", "worm"):
        if not isinstance(getattr(recording, field), str) or not getattr(recording, field):
            found = f"found {_describe(getattr(recording, field))}, expected a name"
            fail(recording, field, f"{found}: give fields by name, Recording(traces=..., times=...)")
        _expect_one_line(recording, field, getattr(recording, field))
    _set(recording, notes=tuple(recording.notes))
    _take_traces(recording)
    _take_times(recording, frame_rate)
    _take_names(recording)
    _take_motor_state(recording)
    _take_companions(recording)
    _mend_times(recording)
    _drop_dead_neurons(recording)
    _split_stretches(recording)
    if recording.uneven and not any("not at one rate" in note for note in recording.notes):
        seconds = recording.local_seconds
        apart = f"frames are {seconds.min():.2g} to {seconds.max():.2g} s apart, not at one rate"
        _note(recording, f"{apart}: they are resampled before a model reads them")
    _note_outliers(recording)
    if len(recording.notes) > given:
        note(f"{recording.source}: worm {recording.worm!r}: {'; '.join(recording.notes[given:])}")


def _set(recording, **fields: Any) -> None:
    """Set fields of a frozen recording while it is made."""
    for name, value in fields.items():
        object.__setattr__(recording, name, value)


def _note(recording, sentence: str) -> None:
    _set(recording, notes=(*recording.notes, sentence))


def _expect_one_line(recording, field: str, name: str) -> None:
    """Refuse control characters and halves of characters in a name that goes into tables."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        fail(recording, field, f"found {name[:40]!a}, expected a name on one line")


def _take_numbers(recording, field: str, values: Any, expected: str) -> Float[np.ndarray, "..."]:
    """Return values as floating point of at most 64 bits, in native order; masked and infinite ones as they are."""
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = values.astype(np.float64).filled(np.nan)
        array = np.asarray(values)
        array = np.asarray(array, np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError, OverflowError):
        array = np.zeros(0, "U1")
    if array.dtype.kind not in "biufmM":
        fail(recording, field, f"found {_describe(values)}, expected {expected}")
    if array.dtype.kind == "M":
        array = array - array.reshape(-1)[:1]
    if array.dtype.kind == "m":
        array = array / np.timedelta64(1, "s")
    kind = np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(kind, copy=False)


def _take_vector(values: np.ndarray) -> np.ndarray:
    """Return a vector that may be given as [1, frame] or [frame, 1]."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def _take_traces(recording) -> None:
    if recording.traces is None:
        fail(recording, "traces", "found none, expected numbers [frame, neuron]")
    traces = _take_numbers(recording, "traces", recording.traces, "numbers [frame, neuron]")
    if np.asarray(recording.traces).dtype.kind in "biu":
        _note(recording, f"traces of {np.asarray(recording.traces).dtype} are read as floating point")
    if traces.ndim == 1:
        traces = traces[:, None]
    if traces.ndim != 2:
        fail(recording, "traces", f"found {_describe(traces)}, expected numbers [frame, neuron]")
    # What other fields say, where any does.
    frames = next((np.size(own) for own in (recording.times, recording.motor_state) if own is not None), None)
    names = len(recording.neuron_names)
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


def _mark_missing(recording, field: str, values: np.ndarray) -> np.ndarray:
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


def _name_neuron(recording, column: int) -> str:
    name = recording.neuron_names[column] if column < len(recording.neuron_names) else None
    return f"neuron {column + 1}" + (f" ({name})" if name else "")


class MeasuredRate(float):
    """The rate of a recording. `dataclasses.replace` gives it again, beside times that may be others."""


def _take_times(recording, frame_rate: float | None) -> None:
    frames, given = recording.traces.shape[0], recording.times is not None
    if frame_rate is not None and (not isinstance(frame_rate, int | float | np.number) or not 0 < frame_rate < np.inf):
        fail(recording, "frame_rate", f"found {frame_rate!r}, expected hertz above 0")
    if not given:
        if frame_rate is None:
            fail(recording, "times", "found none, and no frame_rate, expected either: seconds [frame], or hertz")
        _set(recording, times=np.arange(frames) / float(frame_rate))
    times = _take_vector(_take_numbers(recording, "times", recording.times, "seconds [frame]"))
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
    if given and not isinstance(frame_rate, MeasuredRate | None) and abs(usual * frame_rate - 1) > 0.01:
        _note(recording, f"frame_rate {frame_rate:g} is not used: by their times, frames come at {1 / usual:.2f} Hz")


def _take_names(recording) -> None:
    neurons = recording.traces.shape[1]
    if isinstance(recording.neuron_names, str | set | frozenset):
        found = f"found a {type(recording.neuron_names).__name__}"
        fail(recording, "neuron_names", f"{found}, expected a list with a name per neuron, in the order of the traces")
    for field, what in (("neuron_names", "names"), ("ambiguous_names", "entries")):
        given = len(getattr(recording, field))
        if given not in (0, neurons):
            fail(recording, field, f"found {given} {what}, expected {neurons}")
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


def _take_motor_state(recording) -> None:
    if isinstance(recording.state_names, str):
        fail(recording, "state_names", "found a str, expected a list with a name per state")
    names = tuple(map(str, recording.state_names))
    for name in names:
        _expect_one_line(recording, "state_names", name)
    states = None
    if recording.motor_state is not None:
        given, frames = np.asarray(recording.motor_state), recording.traces.shape[0]
        if given.dtype.kind == "S":
            given = np.char.decode(given, "utf-8", "replace")
        given = _take_vector(given)
        if given.shape != (frames,):
            fail(recording, "motor_state", f"found {_describe(given)}, expected {frames} states, one per frame")
        numbered = given.dtype.kind not in "OUST" or all(
            _is_nothing(one) or isinstance(one, int | float) for one in given
        )
        states, names = (_take_state_numbers if numbered else _take_state_names)(recording, given, names)
    _set(recording, motor_state=states, state_names=names)


def _take_state_names(recording, given: np.ndarray, names: tuple[str, ...]):
    """Return the states of texts, and their names: in alphabetical order where none are given."""
    texts = pd.Series([None if _is_nothing(state) else str(state) for state in given.tolist()], dtype=object)
    names = names or tuple(sorted(set(texts.dropna())))
    numbers = {name: number for number, name in enumerate(names)}
    states = texts.map(numbers)
    unknown = states.isna() & texts.notna()
    if unknown.any():
        found = f"found {texts[unknown].iloc[0]!r} at frame {int(np.argmax(unknown))}"
        fail(recording, "motor_state", f"{found}, expected one of: {', '.join(names)}")
    return states.fillna(UNSCORED).to_numpy(np.int32), names


def _take_state_numbers(recording, given: np.ndarray, names: tuple[str, ...]):
    """Return the states of numbers, NaN being unscored, and their names: "state 0", ... where none are given."""
    if given.dtype.kind == "O":
        given = np.array([np.nan if _is_nothing(state) else state for state in given], np.float64)
    numbers = given
    if given.dtype.kind not in "iu":
        numbers = _take_numbers(recording, "motor_state", given, "numbers or names of states")
    if numbers.dtype.kind == "f":
        nothing = np.isnan(numbers)
        numbers = np.where(nothing, UNSCORED, numbers)
        if nothing.any():
            _note(recording, f"{int(nothing.sum())} frames whose state is NaN are not scored")
    if not names:
        count = int(min(max(numbers.max(initial=0), 0), MOST_STATES)) + 1
        names = ("False", "True") if given.dtype.kind == "b" else tuple(f"state {k}" for k in range(count))
    unknown = (numbers < UNSCORED) | (numbers >= len(names)) | (numbers != np.round(numbers))
    if unknown.any():
        found = f"found state number {numbers[unknown][0]} at frame {int(np.argmax(unknown))}"
        known = ", ".join(f"{k} {name}" for k, name in enumerate(names))
        fail(recording, "motor_state", f"{found}, expected one of: {known} (or {UNSCORED}, not scored)")
    return (numbers if numbers.dtype.kind == "i" else numbers.astype(np.int32)), names


def _take_companions(recording) -> None:
    shape = recording.traces.shape
    if recording.derivatives is not None:
        derivatives = _take_numbers(recording, "derivatives", recording.derivatives, "numbers [frame, neuron]")
        if derivatives.shape == shape[::-1] != shape:
            derivatives = derivatives.T
        if derivatives.shape != shape:
            fail(recording, "derivatives", f"found {_describe(derivatives)}, expected {shape} as the traces")
        _set(recording, derivatives=_mark_missing(recording, "derivatives", derivatives))
    behavior = {}
    if not isinstance(recording.behavior, Mapping):
        fail(recording, "behavior", f"found {_describe(recording.behavior)}, expected numbers [frame] by name")
    for name, given in recording.behavior.items():
        values = _take_vector(np.asarray(given))
        if values.shape != shape[:1] or values.dtype.kind not in "biuf":
            fail(recording, f"behavior/{name}", f"found {_describe(values)}, expected numbers of shape {shape[:1]}")
        behavior[name] = values
    _set(recording, behavior=behavior)


def _mend_times(recording) -> None:
    """Spread times that are rounded; drop the later of two frames with one time."""
    _set(recording, stretches=_check_stretches(recording))
    times, frames = recording.times, len(recording.times)
    repeated = np.r_[False, np.diff(times) == 0]
    if repeated.mean() > ROUNDED_TIMES:
        first = np.flatnonzero(~repeated)
        usual = float(np.median(np.diff(times[first])))
        ends = np.r_[times[first[1:]], times[first[-1]] + usual]
        counts = np.diff(np.r_[first, frames])
        steps = np.minimum(ends - times[first], usual) / counts
        within = np.arange(frames) - np.repeat(first, counts)
        _set(recording, times=times + within * np.repeat(steps, counts))
        _note(recording, f"{int(repeated.sum())} of {frames} times repeat the one before: rounded ones, spread evenly")
    elif repeated.any():
        _note(recording, f"{int(repeated.sum())} frames with the time of the frame before are dropped")
        places = np.cumsum(np.r_[0, ~repeated])
        stretches = [(int(places[start]), int(places[stop])) for start, stop in recording.stretches]
        _set(recording, **select_frames(recording, ~repeated))
        if len(recording.times) < 2:
            fail(recording, "times", f"found {len(recording.times)} distinct times, expected at least 2")
        _set(recording, stretches=tuple((start, stop) for start, stop in stretches if start < stop))


def select_frames(recording, chosen: np.ndarray | slice) -> dict[str, Any]:
    """Return the fields of a recording that have a value per frame, at the frames chosen."""
    fields = {name: getattr(recording, name) for name in ("traces", "times", "motor_state", "derivatives")}
    kept = {name: values[chosen] for name, values in fields.items() if values is not None}
    return kept | {"behavior": {name: values[chosen] for name, values in recording.behavior.items()}}


def _drop_dead_neurons(recording) -> None:
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
    names += " ..." if dead.sum() > 8 else ""
    _note(recording, f"{int(dead.sum())} neurons that never vary are dropped: {names}")
    kept = np.flatnonzero(~dead)
    _set(recording, traces=traces[:, kept])
    if recording.derivatives is not None:
        _set(recording, derivatives=recording.derivatives[:, kept])
    for field in ("neuron_names", "ambiguous_names"):
        _set(recording, **{field: tuple(getattr(recording, field)[column] for column in kept)})


def _check_stretches(recording) -> tuple[tuple[int, int], ...]:
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


def _split_stretches(recording) -> None:
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


def _note_outliers(recording) -> None:
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
