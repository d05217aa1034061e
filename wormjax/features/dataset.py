"""Recordings → one padded array of features on the device, with the motor states beside it.

The leading axis is the *stretch*: an uninterrupted part of one worm's recording (one per worm in Kato et al. 2015), so
that neither a derivative nor a model's temporal context ever reaches across a break.

The array is made once, at its final size, and filled worm by worm: beside it nothing grows with the number of worms.
"""

import dataclasses
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from wormjax.errors import ConfigError
from wormjax.features import derivatives, resampling
from wormjax.features.missing import fill_missing
from wormjax.features.neurons import align_neurons
from wormjax.features.scaling import scale_features
from wormjax.recordings.faults import fail
from wormjax.recordings.motor_states import choose_state_names, map_motor_states
from wormjax.recordings.recording import UNSCORED, Recording

INPUTS = ("trace", "causal_derivative", "smoothed_derivative", "source_derivative")
TIMED_INPUTS = ("causal_derivative", "smoothed_derivative")  # Made once for each of `derivative_seconds`.
BEHAVIOR_LIMIT = 3.0  # Of a scaled behaviour.
ALIGNMENT = 64  # Bytes. JAX takes a host array that begins at such an address as it is, and copies any other.


class WormArrays(NamedTuple):
    """What the compiled programs see; padded with zeros (states with UNSCORED, behaviour with NaN).

    A neuron is masked in a frame, or is absent from a worm, where all of its features are 0.
    """

    features: Float[Array, "stretch frame neuron feature"]
    states: Int[Array, "stretch frame"]
    valid: Bool[Array, "stretch frame"]
    behavior: Float[Array, "stretch frame target"] | None = None  # Scaled by worm; NaN where it was not scored.


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Worms as arrays, with the names that go with the axes."""

    arrays: WormArrays  # Features, states to train on, valid frames; numpy, which training moves to the device.
    scored_states: Int[np.ndarray, "stretch frame"]  # States to be scored on: UNSCORED in calibration minutes.
    scored: Bool[np.ndarray, "stretch frame"]  # Frames to be scored: neither padding nor calibration.
    times: Float[np.ndarray, "stretch frame"]  # Seconds [stretch, frame], 0 where padded.
    stretch_worm: Int[np.ndarray, " stretch"]  # Index into `worms` per stretch.
    # What the axes are called; `state_names` of the states to decode.
    worms: tuple[str, ...]
    neuron_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    state_names: tuple[str, ...]
    study: str  # The recordings' study; of several "kato2015+dag2023".
    frame_rate: float  # Hertz; the common rate, or the median over worms where nothing was resampled.
    fingerprints: tuple[str, ...] = ()  # Per worm, which know it by its traces.
    target_names: tuple[str, ...] = ()  # The continuous behaviours in `arrays.behavior`.
    worm_studies: tuple[str, ...] = ()  # The study of each worm.
    measured: Float[np.ndarray, "stretch frame target"] | None = None  # The behaviours in their own units, as scored.
    # Features of all of each worm's neurons, named or not, side by side, of several derivatives the first; None where
    # they are not read.
    activity: Float[np.ndarray, "stretch frame channel"] | None = None

    def __post_init__(self):
        if self.arrays.behavior is None:
            empty = np.zeros((*self.arrays.valid.shape, 0), np.float32)
            object.__setattr__(self, "arrays", self.arrays._replace(behavior=empty))
        if self.measured is None:
            object.__setattr__(self, "measured", np.array(self.arrays.behavior))
        if not self.worm_studies:
            object.__setattr__(self, "worm_studies", (self.study,) * len(self.worms))
        if not self.fingerprints:  # Worms that are made up are known by their names.
            object.__setattr__(self, "fingerprints", self.worms)

    def stretches_of(self, worm: int) -> list[int]:
        """Indices of one worm's stretches, in order of time."""
        return [int(index) for index in np.flatnonzero(self.stretch_worm == worm)]

    def find_present(self) -> Bool[np.ndarray, "worm neuron"]:
        """Return which neurons each worm has."""
        there = (self.arrays.features != 0).any(axis=(1, 3))
        return np.stack([there[self.stretches_of(worm)].any(axis=0) for worm in range(len(self.worms))])


class Request(NamedTuple):
    """What every worm must give."""

    inputs: Sequence[str]  # Features per neuron, of `INPUTS`; timed ones once for each of `derivative_seconds`.
    scaling: str  # See `scale_features`.
    # The neurons in play (`choose_neurons`). Where a worm lacks one, its features are 0, the mean of scaled ones.
    neuron_names: tuple[str, ...]
    calibration_seconds: float = 180.0  # The time from which "calibration" takes its statistics.
    derivative_seconds: Sequence[float] = (5.0,)  # Widths in seconds of the windows that derivatives are fitted in.
    # Multiplies the scaled trace: a weight below 1 makes any penalty on a model's parameters, and any noise in
    # training, count for more on the level of activity than on its changes.
    trace_weight: float = 1.0
    missing: str = "interpolate"  # What becomes of missing samples (`fill_missing`).
    state_map: Mapping[str, str] = MappingProxyType({})  # The file's name of a state → another name for it.
    # Of the states to decode; where they are those of a model that is trained already, others are not scored
    # (`strict_states` is false).
    state_names: Sequence[str] = ()
    strict_states: bool = False
    causal: bool = False  # Whether resampling and the filling of gaps read past frames only, as forecasts need it.
    targets: Sequence[str] = ()  # Names of continuous behaviours to decode; NaN in worms without them.
    everything: bool = False  # Whether the features of all of each worm's neurons are kept, too (`Dataset.activity`).

    @property
    def widths(self) -> list[int]:
        """How many features each input makes."""
        return [len(self.derivative_seconds) if name in TIMED_INPUTS else 1 for name in self.inputs]


def build_dataset(
    recordings: Sequence[Recording],
    neuron_names: Sequence[str],
    inputs: Sequence[str] = ("trace", "smoothed_derivative"),
    scaling: str = "zscore",
    frame_rate: float | Sequence[float] = 0.0,
    state_set: str = "four",
    release: bool = False,
    **fields: Any,
) -> Dataset:
    """Align, resample, differentiate and scale each worm by itself, and pad all to one array.

    Args:
      frame_rate: common rate in hertz; 0 keeps each worm's own frames. Or the rate of each worm.
      state_set: "four" (reverse, forward, dorsal turn, ventral turn), "two" (reverse, forward), or "own".
      release: whether to take each worm out of `recordings`, then a list, once it is in the array (None is left in its
        place), so that long recordings are not held twice.
      fields: those of `Request`.

    InputError for no width of derivatives, and for a recording that lacks an input or is too short for its calibration.
    """
    request = Request(inputs, scaling, tuple(neuron_names), **fields)
    if 0 in request.widths:
        raise ConfigError("data.derivative_seconds", "found none, expected seconds above 0")
    if not request.state_names:
        names = choose_state_names(recordings, state_set, request.state_map)
        request = request._replace(state_names=names, strict_states=True)
    rates = [frame_rate] * len(recordings) if np.ndim(frame_rate) == 0 else frame_rate
    dataset = _allocate(recordings, request, rates)
    stretch = 0
    for worm, recording in enumerate(recordings):
        if release:
            recordings[worm] = None
        _fill_worm(dataset, stretch, recording, request, rates[worm])
        stretch += len(recording.stretches)
        del recording  # Or it would stay until the next one is at hand.
    dataset.scored_states[:] = np.where(dataset.scored, dataset.arrays.states, UNSCORED)
    return dataset


def _allocate(recordings, request, rates) -> Dataset:
    """Return the dataset of these worms with nothing but padding in it."""
    lengths = []
    for recording, rate in zip(recordings, rates, strict=True):
        for start, stop in recording.stretches:
            times = recording.times[start:stop]
            lengths.append(len(resampling.resampled_times(times, rate)) if rate else len(times))
    shape, stretches = (len(lengths), max(lengths)), [len(recording.stretches) for recording in recordings]
    states, activity, names = np.full(shape, UNSCORED, np.int32), None, []
    for name in request.inputs:
        names += [f"{name} {seconds:g} s" for seconds in request.derivative_seconds] if name in TIMED_INPUTS else [name]
    if request.everything:
        most = max(recording.traces.shape[1] for recording in recordings)
        activity = np.zeros((*shape, most * len(request.inputs)), np.float32)
    return Dataset(
        arrays=WormArrays(
            allocate_zeros((*shape, len(request.neuron_names), len(names))),
            states,
            np.zeros(shape, bool),
            np.full((*shape, len(request.targets)), np.nan, np.float32),
        ),
        scored_states=states.copy(),
        scored=np.zeros(shape, bool),
        times=np.zeros(shape),
        stretch_worm=np.repeat(np.arange(len(stretches)), stretches).astype(np.int32),
        worms=tuple(recording.worm for recording in recordings),
        neuron_names=request.neuron_names,
        feature_names=tuple(names),
        state_names=tuple(request.state_names),
        fingerprints=tuple(recording.fingerprint for recording in recordings),
        study="+".join(dict.fromkeys(recording.study for recording in recordings)),
        frame_rate=float(np.median([rate or worm.frame_rate for worm, rate in zip(recordings, rates, strict=True)])),
        target_names=tuple(request.targets),
        worm_studies=tuple(recording.study for recording in recordings),
        activity=activity,
    )


def allocate_zeros(shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """float32 zeros of any shape that a CPU device uses where they are: `jax.device_put` does not copy them."""
    size = math.prod(shape) * np.dtype(np.float32).itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(np.float32).reshape(shape)


def _fill_worm(dataset: Dataset, first: int, recording, request, frame_rate):
    """Write one worm's features, states and times into the stretches from `first` on."""
    aligned = _align(recording, request)
    stretches = [_stretch_features(recording, span, *aligned, request, frame_rate) for span in recording.stretches]
    del aligned
    borders = np.cumsum([0] + [len(stretch[1]) for stretch in stretches])
    rate = frame_rate or recording.frame_rate
    calibration_frames = max(2, round(request.calibration_seconds * rate))
    calibrated = request.scaling == "calibration"
    if calibrated and calibration_frames >= borders[-1]:
        found = f"found {borders[-1]} frames at {rate:.2f} Hz"
        wanted = f"expected more than {request.calibration_seconds:g} s (data.calibration_seconds)"
        fail(recording, "times", f"{found}, {wanted}")
    states, times, behavior = ([stretch[k] for stretch in stretches] for k in (1, 2, 3))
    features = [stretch[0] for stretch in stretches]
    del stretches
    features = features[0] if len(features) == 1 else np.concatenate(features)
    shape = features.shape
    features = scale_features(features.reshape(shape[0], -1), request.scaling, calibration_frames).reshape(shape)
    if request.trace_weight != 1.0:
        features *= np.where(np.array(dataset.feature_names) == "trace", request.trace_weight, 1.0)
    features, everything = np.split(features, [len(request.neuron_names)], axis=1)
    for index, (start, stop) in enumerate(itertools.pairwise(borders)):
        row, frames = first + index, slice(0, stop - start)
        dataset.arrays.features[row, frames] = features[start:stop]
        if request.everything:
            firsts = np.cumsum([0, *request.widths[:-1]])  # Of a derivative in several widths the first.
            own = everything[start:stop][..., firsts].reshape(stop - start, -1)
            dataset.activity[row, frames, : own.shape[1]] = own
        dataset.arrays.states[row, frames], dataset.times[row, frames] = states[index], times[index]
        dataset.measured[row, frames] = behavior[index]
        dataset.arrays.behavior[row, frames] = scale_behavior(behavior[index], *measure_scale(np.concatenate(behavior)))
        dataset.arrays.valid[row, frames] = True
        dataset.scored[row, max(0, calibration_frames - start) * calibrated : stop - start] = True


def measure_scale(
    behavior: Float[np.ndarray, "frame target"],
) -> tuple[Float[np.ndarray, " target"], Float[np.ndarray, " target"]]:
    """Return the mean and standard deviation of each behaviour; 0 and 1 where it is never scored, or constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # A behaviour may not be scored at all.
        mean, sd = np.nanmean(behavior, axis=0), np.nanstd(behavior, axis=0)
    return np.nan_to_num(mean), np.where(sd > 0, sd, 1.0)


def scale_behavior(behavior, mean, sd) -> Float[np.ndarray, "... target"]:
    """Return behaviours in standard deviations, cut at BEHAVIOR_LIMIT, so that no outlier rules a loss."""
    return np.clip((behavior - mean) / sd, -BEHAVIOR_LIMIT, BEHAVIOR_LIMIT)


def _align(recording, request):
    """Return a worm's channels by name [frame, neuron], its motor states and its targets, at its own frame rate."""
    channels = {"trace": align_neurons(recording, request.neuron_names)}
    if "source_derivative" in request.inputs:
        if recording.derivatives is None:
            fail(recording, "derivatives", "found none, expected the source's derivative (data.inputs)")
        channels["source_derivative"] = align_neurons(recording, request.neuron_names, "derivatives")
    if request.everything:
        whole = {"trace": recording.traces, "source_derivative": recording.derivatives}
        channels = {name: np.concatenate([values, whole[name]], axis=1) for name, values in channels.items()}
    lacking = np.full(len(recording.times), np.nan)
    behavior = np.stack([recording.behavior.get(name, lacking) for name in request.targets] or [lacking], axis=-1)
    states = map_motor_states(recording, request.state_names, request.state_map, request.strict_states)
    return channels, states, behavior[:, : len(request.targets)]


def _stretch_features(recording, span, channels, states, behavior, request, frame_rate):
    """Features [frame, neuron, feature] (NaN where masked), states, times and targets [frame, target] of a stretch."""
    part, rate = slice(*span), recording.frame_rate
    times, states = recording.times[part], states[part]
    behavior, unscored = fill_missing(behavior[part], times, "mask")
    filled = {
        name: fill_missing(values[part], times, request.missing, request.causal) for name, values in channels.items()
    }
    channels = {name: values for name, (values, _) in filled.items()}
    masks = [masked for _, masked in filled.values() if masked.any()]
    if frame_rate:
        new_times = resampling.resampled_times(times, frame_rate)
        grid = times, new_times, request.causal
        channels = {name: resampling.resample_values(values, *grid) for name, values in channels.items()}
        states = resampling.resample_states(states, *grid)
        behavior = resampling.resample_values(behavior, *grid)
        unscored = resampling.resample_states(unscored, *grid)
        masks = [resampling.resample_states(masked, *grid) for masked in masks]
        times, rate = new_times, frame_rate
    columns = []
    for name in request.inputs:
        if name in channels:
            columns.append(channels[name])
        else:
            derive = getattr(derivatives, name)
            columns += [derive(channels["trace"], rate, seconds) for seconds in request.derivative_seconds]
    features = np.stack(columns, axis=-1)
    for masked in masks:
        features[masked] = np.nan
    return features, states, times, np.where(unscored, np.nan, behavior)
