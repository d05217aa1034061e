"""Decode the present motor state and forecast neurons by the (loop, phase) model of an asymmetric diffusion map.

Rows in the form of the other models, on the same frames: its decoding is scored as a classifier's, its forecasts as a
forecaster's. Where a new worm is placed is known from frames up to the present alone.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from wormjax.baselines import loops
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import Starts
from wormjax.scoring.forecasts import Spread
from wormjax.tasks.ahead import baselines as simple

EVERY = 16  # Frames between two forecasts of a training worm.
SMALLEST_SCALE = 1e-3  # Of a spread: nothing is ever certain.


def decode_dataset(
    model: loops.LoopModel, shares: Float[np.ndarray, "state motor_state"], dataset: Dataset, worms: Sequence[int]
) -> Float[np.ndarray, "stretch frame motor_state"]:
    """Return the motor state's probabilities in every frame of some worms' stretches; zeros elsewhere."""
    probabilities = np.zeros((*dataset.arrays.valid.shape, shares.shape[1]), np.float32)
    for worm in worms:
        for stretch in dataset.stretches_of(worm):
            valid = dataset.arrays.valid[stretch]
            placed = loops.place_worm(model, dataset.arrays.features[stretch][valid][..., 0])
            probabilities[stretch, valid] = placed @ shares
    return probabilities


def forecast_starts(
    model: loops.LoopModel, dataset: Dataset, starts: Starts, steps: int, train: Sequence[int]
) -> Spread:
    """Return forecasts of the traces: the mean activity where the flow carries a worm, and its own departure.

    A worm's activity departs from the mean activity of the states it is in. How much of that departure is left after
    each step, and how large errors are, is learnt on the training worms, each placed by the frames of the
    others; a lone one by frames of its other half.

    Args:
      model: of the training worms, of the first feature of this dataset.
      dataset: with traces as its only feature.
      train: the model's worms, indices into the dataset in the order that the model was fitted in.
    """
    worms = simple.gather_worms(dataset)
    traces = np.concatenate([part.features[..., 0] for worm in train for part in worms[worm]]).astype(np.float64)
    means = np.zeros((len(model.loop_of_state), traces.shape[1]))
    np.add.at(means, model.state, traces)
    means /= np.bincount(model.state, minlength=len(means))[:, None]
    past, future, carried = [], [], []
    reach = model.embedding.delays * model.embedding.delay_frames  # Before it, a place is not yet all that it will be.
    for own, stretches in _list_rests(model, dataset, train):
        # The model by the other frames alone, by as many neighbours, that far apart, as they surely have.
        rest, options = loops.keep_frames(model, ~own), model.neighbourhood
        most = max(1, int((~own).sum()) // (2 * options.apart_frames - 1))
        rest = rest._replace(neighbourhood=options._replace(neighbours=min(options.neighbours, most)))
        for stretch in stretches:
            frames = np.flatnonzero(own & (model.places.stretch == stretch))
            chosen = np.arange(min(reach, len(frames) // 2), len(frames) - 1, EVERY)
            placed = loops.place_worm(rest, traces[frames], chosen)
            carried.append(_carry(model, placed, steps) @ means)
            past.append(traces[frames[chosen]])
            padded = np.concatenate([traces[frames], np.full((steps, traces.shape[1]), np.nan)])
            future.append(padded[chosen[:, None] + np.arange(1, steps + 1)])
    keep, scale = _fit_departure(*(np.concatenate(parts) for parts in (past, future, carried)))
    mean = np.zeros((len(starts.frame), steps, traces.shape[1]))
    for number in np.unique(starts.stretch):
        own = starts.stretch == number
        values = dataset.arrays.features[number][dataset.arrays.valid[number]][..., 0]
        placed = loops.place_worm(model, values, starts.frame[own] - 1)
        own_means = _carry(model, placed, steps) @ means
        departure = values[starts.frame[own] - 1] - own_means[:, 0]
        mean[own] = own_means[:, 1:] + keep[:, None] * departure[:, None]
    mean = mean.astype(np.float32)[:, None, ..., None]
    return Spread(mean, np.broadcast_to(scale[..., None], mean.shape), np.ones((len(mean), 1)))


def _list_rests(model, dataset, train) -> list[tuple[Bool[np.ndarray, " frame"], list[int]]]:
    """Return (frames, their stretches) of each training worm, or of each half of a lone one."""
    stretch = model.places.stretch
    if len(train) > 1:
        of_stretch = np.concatenate([np.full(len(dataset.stretches_of(worm)), k) for k, worm in enumerate(train)])
        return [(of_stretch[stretch] == k, np.flatnonzero(of_stretch == k).tolist()) for k in range(len(train))]
    first = np.arange(len(stretch)) < len(stretch) // 2
    return [(own, np.unique(stretch[own]).tolist()) for own in (first, ~first)]


def _carry(model, placed, steps) -> Float[np.ndarray, "start step state"]:
    """Return distributions now (step 0) and after each step."""
    return np.concatenate([placed[:, None], loops.carry_states(model, placed, range(1, steps + 1))], axis=1)


def _fit_departure(past, future, carried):
    """Return for each step the share of the departure that is left, and the s.d. of what is then missed, by neuron."""
    departure, missing = past - carried[:, 0], future - carried[:, 1:]
    known = np.isfinite(missing)
    both = np.where(known, departure[:, None] * np.nan_to_num(missing), 0.0).sum(axis=(0, 2))
    power = np.where(known, departure[:, None] ** 2, 0.0).sum(axis=(0, 2))
    keep = np.clip(both / np.maximum(power, 1e-12), 0.0, 1.0)
    squares = np.where(known, (np.nan_to_num(missing) - keep[:, None] * departure[:, None]) ** 2, 0.0).sum(axis=0)
    scale = np.sqrt(squares / np.maximum(known.sum(axis=0), 1))
    scale = np.where(known.any(axis=0), scale, np.nanmax(scale))  # No training stretch may reach the last steps.
    return keep, np.maximum(scale, SMALLEST_SCALE)
