"""Recordings → one padded array of features on the device, with the motor states beside it.

The leading axis is the *stretch*: an uninterrupted part of one worm's recording (one a worm in Kato et al. 2015), so
that neither a derivative nor a model's temporal context ever reaches across a break.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from wormjax.errors import InputError
from wormjax.features import derivatives, resampling
from wormjax.features.neurons import align_neurons
from wormjax.features.scaling import SCALINGS, scale_features
from wormjax.recordings.motor_states import STATE_SETS, map_motor_states
from wormjax.recordings.recording import UNSCORED, Recording, fail

INPUTS = ("trace", "causal_derivative", "smoothed_derivative", "source_derivative")
TIMED_INPUTS = ("causal_derivative", "smoothed_derivative")  # Made once for each of `derivative_seconds`.


class WormArrays(NamedTuple):
    """What the compiled programs see; padded with zeros (states with UNSCORED) to the longest stretch."""

    features: Float[Array, "stretch frame neuron feature"]
    states: Int[Array, "stretch frame"]
    valid: Bool[Array, "stretch frame"]


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Worms as arrays, with the names that go with the axes.

    Attributes:
      arrays: features, states to train on, valid frames; numpy, moved to the device by whoever trains.
      scored_states: states to be scored on [stretch, frame]: UNSCORED in calibration minutes.
      scored: frames that may be scored [stretch, frame]: neither padding nor in calibration minutes.
      times: seconds [stretch, frame], 0 where padded.
      stretch_worm: index into `worms` per stretch.
      worms, neuron_names, feature_names, state_names: what the axes are called.
      study: the recordings' study.
      frame_rate: hertz; the common rate, or the median over worms where nothing was resampled.
    """

    arrays: WormArrays
    scored_states: Int[np.ndarray, "stretch frame"]
    scored: Bool[np.ndarray, "stretch frame"]
    times: Float[np.ndarray, "stretch frame"]
    stretch_worm: Int[np.ndarray, " stretch"]
    worms: tuple[str, ...]
    neuron_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    state_names: tuple[str, ...]
    study: str
    frame_rate: float

    def stretches_of(self, worm: int) -> list[int]:
        """Indices of one worm's stretches, in order of time."""
        return [int(index) for index in np.flatnonzero(self.stretch_worm == worm)]


def build_dataset(
    recordings: Sequence[Recording],
    neuron_names: Sequence[str],
    inputs: Sequence[str] = ("trace", "smoothed_derivative"),
    scaling: str = "zscore",
    calibration_seconds: float = 180.0,
    derivative_seconds: Sequence[float] = (5.0,),
    frame_rate: float = 0.0,
    state_set: str = "four",
    trace_weight: float = 1.0,
) -> Dataset:
    """Aligns, resamples, differentiates and scales each worm by itself, and pads all to one array.

    Args:
      recordings: the worms, of one study.
      neuron_names: the neurons in play, all identified in every worm.
      inputs: features a neuron, of `INPUTS`; each derivative is made once for each of `derivative_seconds`.
      scaling: see `scale_features`.
      calibration_seconds: the time from which "calibration" takes its statistics.
      derivative_seconds: widths in seconds of the windows that derivatives are fitted in.
      frame_rate: common rate in hertz; 0 keeps each worm's own frames.
      state_set: "four" (reverse, forward, dorsal turn, ventral turn) or "two" (reverse, forward).
      trace_weight: multiplies the scaled trace: a weight below 1 makes any penalty on a model's parameters, and any
        noise in training, count for more on the level of activity than on its changes.

    Raises:
      InputError: an unknown input or scaling, a time or rate that cannot be, two worms of one name, or a recording
        that lacks what is asked for or is too short for its calibration.
    """
    _check_request(recordings, inputs, scaling, state_set)
    _check_times(inputs, derivative_seconds, frame_rate)
    rows, feature_names = [], _feature_names(inputs, derivative_seconds)
    for worm, recording in enumerate(recordings):
        rate = frame_rate or recording.frame_rate
        stretches = [
            _stretch_features(recording, span, neuron_names, inputs, derivative_seconds, frame_rate, state_set)
            for span in recording.stretches
        ]
        features = np.concatenate([stretch[0] for stretch in stretches])
        calibration_frames = max(2, round(calibration_seconds * rate))
        if scaling == "calibration" and calibration_frames >= len(features):
            found = f"found {len(features)} frames at {rate:.2f} Hz"
            fail(
                recording, "times", f"{found}, expected more than {calibration_seconds:g} s (data.calibration_seconds)"
            )
        scaled = scale_features(features.reshape(len(features), -1), scaling, calibration_frames)
        scaled = scaled.reshape(features.shape) * np.where(np.array(feature_names) == "trace", trace_weight, 1.0)
        borders = np.cumsum([0] + [len(stretch[0]) for stretch in stretches])
        for (_, states, times), start, stop in zip(stretches, borders[:-1], borders[1:], strict=True):
            scored = np.ones(len(states), bool)
            if scaling == "calibration":
                scored[: max(0, calibration_frames - start)] = False
            rows.append((worm, scaled[start:stop], states, scored, times))
    return _pad_rows(rows, recordings, neuron_names, feature_names, frame_rate, state_set)


def _check_request(recordings, inputs, scaling, state_set):
    unknown = [name for name in inputs if name not in INPUTS]
    if unknown or not inputs:
        raise InputError(f"config field 'data.inputs': found {unknown or 'none'}, expected some of {', '.join(INPUTS)}")
    if scaling not in SCALINGS:
        raise InputError(f"config field 'data.scaling': found {scaling!r}, expected one of {', '.join(SCALINGS)}")
    if state_set not in STATE_SETS:
        raise InputError(f"config field 'data.states': found {state_set!r}, expected one of {', '.join(STATE_SETS)}")
    names = [recording.worm for recording in recordings]
    twice = [recording for recording in recordings if names.count(recording.worm) > 1]
    if twice:
        fail(twice[0], "worm", f"found the name {twice[0].worm!r} for two worms, expected each name once")


def _check_times(inputs, derivative_seconds, frame_rate):
    if set(inputs) & set(TIMED_INPUTS) and not (len(derivative_seconds) and min(derivative_seconds) > 0):
        found = ", ".join(f"{seconds:g}" for seconds in derivative_seconds) or "none"
        raise InputError(f"config field 'data.derivative_seconds': found {found}, expected seconds above 0")
    if not 0 <= frame_rate < np.inf:
        raise InputError(
            f"config field 'data.frame_rate': found {frame_rate:g}, expected hertz, or 0 for each worm's own"
        )


def _feature_names(inputs, derivative_seconds) -> tuple[str, ...]:
    names = []
    for name in inputs:
        names += [f"{name} {seconds:g} s" for seconds in derivative_seconds] if name in TIMED_INPUTS else [name]
    return tuple(names)


def _stretch_features(recording, span, neuron_names, inputs, derivative_seconds, frame_rate, state_set):
    """Features [frame, neuron, feature] in their own units, states and times of one stretch."""
    part = slice(*span)
    times = recording.times[part]
    channels = {"trace": align_neurons(recording, neuron_names)[part]}
    if "source_derivative" in inputs:
        if recording.derivatives is None:
            fail(recording, "derivatives", "found none, expected the source's derivative (data.inputs)")
        channels["source_derivative"] = align_neurons(recording, neuron_names, "derivatives")[part]
    states = map_motor_states(recording, state_set)[part]
    rate = recording.frame_rate
    if frame_rate:
        new_times = resampling.resampled_times(times, frame_rate)
        channels = {name: resampling.resample_values(values, times, new_times) for name, values in channels.items()}
        states = resampling.resample_states(states, times, new_times)
        times, rate = new_times, frame_rate
    columns = []
    for name in inputs:
        if name in channels:
            columns.append(channels[name])
        else:
            derive = getattr(derivatives, name)
            columns += [derive(channels["trace"], rate, seconds) for seconds in derivative_seconds]
    return np.stack(columns, axis=-1), states, times


def _pad_rows(rows, recordings, neuron_names, feature_names, frame_rate, state_set) -> Dataset:
    longest = max(len(row[2]) for row in rows)
    features = np.zeros((len(rows), longest, len(neuron_names), len(feature_names)), np.float32)
    states = np.full((len(rows), longest), UNSCORED, np.int32)
    scored, valid = np.zeros((len(rows), longest), bool), np.zeros((len(rows), longest), bool)
    times = np.zeros((len(rows), longest))
    for index, (_, row_features, row_states, row_scored, row_times) in enumerate(rows):
        frames = len(row_states)
        features[index, :frames], states[index, :frames] = row_features, row_states
        scored[index, :frames], times[index, :frames], valid[index, :frames] = row_scored, row_times, True
    return Dataset(
        arrays=WormArrays(features, states, valid),
        scored_states=np.where(scored, states, UNSCORED).astype(np.int32),
        scored=scored,
        times=times,
        stretch_worm=np.array([row[0] for row in rows], np.int32),
        worms=tuple(recording.worm for recording in recordings),
        neuron_names=tuple(neuron_names),
        feature_names=feature_names,
        state_names=STATE_SETS[state_set],
        study=recordings[0].study,
        frame_rate=frame_rate or float(np.median([recording.frame_rate for recording in recordings])),
    )
