"""Read the JSON files of wormwideweb.org and its archive: Atanas & Kim et al. 2023 (Cell 186:4134), and others.

One file per worm, named by its uid. Traces are F/F20 (`trace_original`) where the file has them, else z-scored
(`trace_array`). A label of a confidence under 3 (of 5), or with a question mark, does not identify a neuron. The motor
state is reverse in the frames of `reversal_events` (from 1, both ends), else forward; without events, the sign of
`velocity` decides.
"""

import json
import os
from typing import Any

import numpy as np

from wormjax.recordings.dag2023 import identify_neurons
from wormjax.recordings.files import iterate_files, note_opening
from wormjax.recordings.motor_states import VELOCITY_STATES, split_velocity
from wormjax.recordings.recording import FieldError, Recording, RecordingError, expect_distinct_worms

STUDY = "wormwideweb"
SUFFIXES = (".json",)
TRACES = {"trace_original": "F/F20", "trace_array": "z-score"}  # The first that is there is read.
BEHAVIOR = ("velocity", "angular_velocity", "head_curvature", "body_curvature", "pumping")
SURE = 5.0  # The confidence of a label that has none.
SECONDS_PER_MINUTE = 60.0


def read(path: str | os.PathLike) -> tuple[Recording, ...]:
    """Read the worm of a JSON file, or of all of a folder; a folder's other JSON files are skipped."""
    files = iterate_files(path, SUFFIXES, _load, skip_bad=True)
    return expect_distinct_worms([_read_worm(file, content) for file, content in files], path)


def is_worm(path: str) -> bool:
    """Return whether a file names traces; it is not parsed."""
    with open(path, "rb") as stream:
        content = stream.read()
    return any(f'"{name}"'.encode() in content for name in TRACES)


def _load(path: str) -> dict[str, Any] | None:
    """Return the object of a file, None where it is none of a worm."""
    note_opening(path)
    try:
        with open(path, encoding="utf-8-sig") as stream:
            content = json.load(stream)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordingError(f"{path}: found a file that is not JSON ({error}), expected a worm") from None
    return content if isinstance(content, dict) and any(name in content for name in TRACES) else None


def _read_worm(path: str, content: dict[str, Any]) -> Recording:
    worm = str(content.get("uid") or os.path.splitext(os.path.basename(path))[0])

    def take(field: str) -> np.ndarray:
        try:
            return np.array(content[field], np.float64)  # null becomes NaN.
        except (TypeError, ValueError):
            raise FieldError(path, worm, field, "found something else, expected numbers of equal length") from None

    field = next(name for name in TRACES if content.get(name))
    traces = take(field)
    if traces.ndim != 2:
        raise FieldError(path, worm, field, f"found shape {traces.shape}, expected [neuron, frame]")
    traces = np.ascontiguousarray(traces.T)
    behavior = {name: take(name) for name in BEHAVIOR if content.get(name)}
    names, ambiguous = identify_neurons(_read_labels(content, path, worm), traces.shape[1], path)
    return Recording(
        study=STUDY,
        worm=worm,
        traces=traces,
        times=_read_times(content, take, len(traces), path, worm),
        neuron_names=names,
        ambiguous_names=ambiguous,
        **_read_states(content, behavior, len(traces), path, worm),
        behavior=behavior,
        trace_units=TRACES[field],
        source=path,
    )


def _read_times(content, take, frames: int, path: str, worm: str) -> np.ndarray:
    if content.get("timestamp_confocal"):
        return take("timestamp_confocal")
    step = content.get("avg_timestep")
    if not isinstance(step, int | float) or not step > 0:
        raise FieldError(path, worm, "timestamp_confocal", "found none, and no avg_timestep (minutes), expected either")
    return np.arange(frames) * step * SECONDS_PER_MINUTE


def _read_labels(content, path: str, worm: str) -> dict[int, tuple[str, float]]:
    labels = {}
    try:
        for number, entry in (content.get("labeled") or {}).items():
            confidence = entry.get("confidence")
            label = str(entry.get("label") or "")
            if label.lower() not in ("", "undefined", "missing"):
                labels[int(number)] = (label, SURE if confidence is None else float(confidence))
    except (AttributeError, TypeError, ValueError):
        expected = 'expected {"NUMBER": {"label": ..., "confidence": ...}}'
        raise FieldError(path, worm, "labeled", f"found something else, {expected}") from None
    return labels


def _read_states(content, behavior, frames: int, path: str, worm: str) -> dict[str, Any]:
    """Return the motor state and its names, {} where the file has neither events nor a velocity."""
    events = content.get("reversal_events")
    if events:
        states = np.zeros(frames, np.int32)
        try:
            for start, stop in events:
                states[max(int(start) - 1, 0) : int(stop)] = 1
        except (TypeError, ValueError):
            raise FieldError(path, worm, "reversal_events", "found no pairs, expected [[start, end], ...]") from None
        return {"motor_state": states, "state_names": VELOCITY_STATES}
    velocity = behavior.get("velocity")
    if velocity is None or velocity.shape != (frames,):
        return {}
    return {"motor_state": split_velocity(velocity), "state_names": VELOCITY_STATES}
