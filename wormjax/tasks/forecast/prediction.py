"""Forecast recordings with a trained forecaster: what `wormjax.Forecaster` and `wormjax predict` are made of.

A forecast sees the frames before its origin alone: the recording is cut there before it is resampled and scaled. The
benchmark's rows (`score_recordings`) scale a held-out worm by its whole recording, as published work does.
"""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from wormjax import graphs
from wormjax.errors import InputError, RecordingWarning
from wormjax.features.dataset import Dataset, WormArrays
from wormjax.features.forecast_origins import Starts
from wormjax.features.scaling import ROBUST_LIMIT
from wormjax.recordings.mending import select_frames
from wormjax.recordings.recording import UNSCORED, Recording
from wormjax.scoring.forecasts import Spread
from wormjax.scoring.rows import Row
from wormjax.tasks.forecast import linear
from wormjax.tasks.forecast import networks as forecasting
from wormjax.tasks.forecast.experiment import score_models
from wormjax.tasks.groups import Group, model_folder, restore_best
from wormjax.tasks.new_worms import build_new_dataset, note_training_worms
from wormjax.tasks.protocols import Split
from wormjax.tasks.training import Trained, open_model, train_best
from wormjax.training.workdir import describe_dataset


class ForecastTraces(NamedTuple):
    """A forecast of one recording, in its own units: its times, mixture and graph, as `wormjax.Forecaster` has them.

    A neuron that the recording lacks is NaN; step 1 is the first frame at or after the origin.
    """

    times: Float[np.ndarray, " step"]
    mean: Float[np.ndarray, "mode step neuron"]
    scale: Float[np.ndarray, "mode step neuron"]
    weights: Float[np.ndarray, " mode"]
    edges: Float[np.ndarray, "sender receiver type"] | None


def train_forecaster(name: str, config, dataset: Dataset, progress: bool = True) -> Trained:
    """Train one forecaster, a network or a baseline, on all worms of a dataset, in memory."""
    group = Group(config.seed, Split(tuple(range(len(dataset.worms))), ()))
    splits = [group.split]
    forecasting.check_training(config, dataset, splits, [group])
    fit, variables = linear.fit_linear(config, linear.gather_worms(dataset), splits), None
    if name in config.model:
        training = forecasting.build_training(name, config, dataset, splits, [group], fit)
        variables = train_best(training, name, progress)
    return Trained(name, config, describe_dataset(dataset), (group,), variables, fit)


def open_forecaster(workdir: str | os.PathLike, config, name: str | None = None) -> Trained:
    """Return a forecaster of a work directory: the first run that trained on the largest number of worms."""
    model, (number, *_), splits = open_model(workdir, config, (*config.models, *config.baselines), name)
    fits = restore_best(model_folder(workdir, forecasting.LINEAR))
    fit = jax.tree.map(lambda values: values[[number % splits]], fits)
    if model.name in config.models:
        best = restore_best(model_folder(workdir, model.name))
        model = model._replace(variables=jax.tree.map(lambda values: values[[number]], best))
    return model._replace(groups=model.groups[:1], fit=fit)


def forecast_recording(forecaster: Trained, recording: Recording, origin: float, steps: int) -> ForecastTraces:
    """Forecast a recording's traces from an origin, in seconds; frames at or after it are not seen.

    Steps are frames at the rate of the training.

    Raises:
      InputError: an origin with too few frames before it or outside the recording, more steps than were trained for, or
        a recording that cannot be used.
    """
    build_new_dataset(forecaster.config, forecaster.description, [recording])  # Says what is masked and resampled.
    with warnings.catch_warnings():  # What is odd in the whole recording has been said.
        warnings.simplefilter("ignore", RecordingWarning)
        return _forecast_end(forecaster, _cut_recording(forecaster, recording, origin), origin, steps)


def score_recordings(forecaster: Trained, recordings: Sequence[Recording]) -> list[Row]:
    """Return the rows of a forecaster on recordings: those that the benchmark writes."""
    config = forecaster.config.copy_and_resolve_references().unlock()
    dataset = build_new_dataset(config, forecaster.description, recordings)
    note_training_worms(forecaster.description, forecaster.groups, dataset)
    network = forecaster.variables is not None
    config.models, config.baselines = ((forecaster.name,), ()) if network else ((), (forecaster.name,))
    (group,) = forecaster.groups
    groups = [Group(group.seed, Split(group.split.train, tuple(range(len(dataset.worms)))))]
    data = forecaster.description, dataset, [groups[0].split], groups, forecaster.fit
    return list(score_models(config, *data, lambda name: forecaster.variables))


def _cut_recording(forecaster: Trained, recording: Recording, origin: float) -> Recording:
    """Return the frames before an origin, of which there must be enough in the stretch that it continues."""
    first, last = recording.times[0], recording.times[-1]
    if not first <= origin <= last + 1.5 / recording.frame_rate:
        found = f"found {origin:g} s, expected one within the recording or right after it, {first:g} to {last:g} s"
        raise InputError(f"origin: {found}")
    frames = int(np.searchsorted(recording.times, origin - 1e-9))
    needed = forecaster.config.forecast.first
    stretches = tuple((start, min(stop, frames)) for start, stop in recording.stretches if start < frames)
    start, stop = stretches[-1] if frames >= 2 else (0, 0)
    if stop - start < needed:
        first = recording.times[min(needed, len(recording.times) - 1)]
        found = f"found {origin:g} s, which has {stop - start} frames of its stretch before it"
        raise InputError(f"origin: {found}, expected {needed} or more (from {first:g} s on)")
    return dataclasses.replace(recording, **select_frames(recording, slice(frames)), stretches=stretches)


def _forecast_end(forecaster: Trained, cut: Recording, origin: float, steps: int) -> ForecastTraces:
    """Return the forecast that follows the frames before an origin."""
    config, plain = (forecaster.config.copy_and_resolve_references().unlock() for _ in range(2))
    plain.data.scaling, plain.data.trace_weight = "none", 1.0
    dataset, unscaled = (build_new_dataset(scaled, forecaster.description, [cut]) for scaled in (config, plain))
    last = len(dataset.arrays.valid) - 1
    frame = int(dataset.arrays.valid[last].sum())
    # One more frame of zeros, with which a forecast starts: the worm's, as in the benchmark, and read by nothing.
    pads = [[(0, 0), (0, 1)] + [(0, 0)] * (values.ndim - 2) for values in dataset.arrays]
    arrays = WormArrays(*map(np.pad, dataset.arrays, pads))
    arrays.states[:, -1], arrays.valid[last, frame] = UNSCORED, True
    dataset = dataclasses.replace(dataset, arrays=arrays)
    times = dataset.times[last, frame - 1] + np.arange(1, config.forecast.steps + 1) / dataset.frame_rate
    # In a slower recording the last frame may lie several steps back: the first ones come before the origin.
    skipped = int((times < origin - 1e-6).sum())
    if skipped + steps > len(times):
        found = f"found {steps}, {skipped + steps} after the last frame before the origin"
        raise InputError(f"steps: {found}, expected {len(times)} at most, as in training (forecast.steps)")
    config.forecast.steps, kept = skipped + steps, slice(skipped, skipped + steps)
    start = Starts(*(np.array([value], np.int32) for value in (last, frame, 0, dataset.arrays.states[last, frame - 1])))
    if forecaster.variables is None:
        spread, edges = forecasting.forecast_baseline(forecaster.name, config, forecaster.fit, 0, dataset, start), None
    else:
        predict = forecasting.build_forecaster(forecaster.name, config, dataset, 1)
        variables = jax.tree.map(lambda values: values[0], forecaster.variables)
        arguments = forecaster.name, config, forecaster.fit, 0, variables, dataset, start
        spread, edges = forecasting.forecast_starts(predict, *arguments)
    lacking = np.array([name not in cut.identified for name in dataset.neuron_names])
    mean, scale = (np.where(lacking, np.nan, values)[:, kept] for values in _undo_scaling(spread, dataset, unscaled))
    if edges is not None:
        kinds = [graphs.edges_to_matrix(kind, len(lacking)) for kind in np.moveaxis(edges[0], -1, 0)]
        edges = graphs.mask_edges(np.stack(kinds, axis=-1), lacking)
    return ForecastTraces(times[kept], mean, scale, spread.weights[0], edges)


def _undo_scaling(spread: Spread, dataset: Dataset, unscaled: Dataset):
    """Return the mean and scale [mode, step, neuron] of the first feature in the units of the unscaled traces.

    Scaling is a line. It is read off the samples that follow it: masked ones are 0 in both datasets, and robust scaling
    cuts the largest.
    """
    valid = unscaled.arrays.valid
    scaled, plain = (
        d.arrays.features[:, : valid.shape[1]][valid][..., 0].astype(np.float64) for d in (dataset, unscaled)
    )
    off_line = ((scaled == 0) & (plain == 0)) | (np.abs(scaled) >= ROBUST_LIMIT)
    scaled, plain = (np.ma.masked_array(values, off_line) for values in (scaled, plain))
    gain = (np.ma.ptp(plain, axis=0) / np.ma.ptp(scaled, axis=0)).filled(np.nan)
    offset = plain.mean(axis=0).filled(np.nan) - gain * scaled.mean(axis=0).filled(np.nan)
    return spread.mean[0, ..., 0] * gain + offset, spread.scale[0, ..., 0] * gain
