"""A run = (seed, training worms): what distinguishes the runs of an ensemble, stacked on a leading run axis.

The data are shared by all runs and stay on the device once; a run holds the table of windows that it may draw from, and
the hyperparameters that may differ from run to run without another compilation.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.splits import TRAINING, VALIDATION, split_frames, window_starts
from wormjax.recordings.recording import UNSCORED

# Hyperparameters that are numbers inside the program; all others (sizes, counts) shape it and need one each.
PER_RUN = (
    "learning_rate",
    "weight_decay",
    "dropout",
    "label_smoothing",
    "class_balance",
    "noise",
    "gain",
    "offset",
    "neuron_dropout",
    "neuron_dropout_most",
    "temperature",
    "kl_weight",
    "spread_weight",
    "given",
    "given_end",
    "given_until",
)


class Runs(NamedTuple):
    """Arrays with a leading run axis; windows are (stretch, first frame), padded after the counts."""

    seed: Int[Array, "run 2"]  # The seed, and a number that distinguishes the runs of one seed.
    training_windows: Int[Array, "run window 2"]
    training_count: Int[Array, " run"]
    validation_windows: Int[Array, "run window 2"]  # An axis of length 0 where the whole of each worm trains.
    validation_count: Int[Array, " run"]
    class_weights: Float[Array, "run state"]
    steps: Int[Array, " run"]
    hyper: dict[str, Float[Array, " run"]]
    own: dict[str, Shaped[Array, "run ..."]] | None = None  # What an objective reads besides; see its documentation.


def split_stretches(
    dataset: Dataset, block: int, gap: int, validation_fraction: float, test_fraction: float, seed: int
) -> Int[np.ndarray, "stretch frame"]:
    """Label every frame of every stretch TRAINING, VALIDATION, TEST or GAP; padding is GAP.

    The split of a worm depends on the seed and the worm alone, not on the worms that it is trained with.
    """
    labels = np.full(dataset.arrays.valid.shape, -1, np.int32)
    for stretch, valid in enumerate(dataset.arrays.valid):
        rng = np.random.default_rng([seed, stretch])
        frames = int(valid.sum())
        labels[stretch, :frames] = split_frames(frames, block, gap, validation_fraction, test_fraction, rng)
    return labels


def tabulate_windows(
    labels: Int[np.ndarray, "stretch frame"], split: int, length: int, stride: int
) -> list[Int[np.ndarray, "window 2"]]:
    """Return per stretch the windows (stretch, first frame) that lie in one split."""
    tables = []
    for stretch, row in enumerate(labels):
        starts = window_starts(row, split, length, stride)
        tables.append(np.stack([np.full_like(starts, stretch), starts], axis=1))
    return tables


def build_runs(
    dataset: Dataset,
    train_worms: Sequence[Sequence[int]],
    seeds: Sequence[int],
    members: Sequence[int],
    labels: Mapping[int, Int[np.ndarray, "stretch frame"]],
    train,
    length_field: str = "train.window_frames",
) -> Runs:
    """Return one run per entry of `train_worms`, `seeds` and `members`, which are of one length.

    Args:
      train_worms: the worms (indices) that each run trains on.
      members: each run's number among the runs of its seed; distinguishes their random numbers.
      labels: seed → the labels of `split_stretches`.
      train: the config's `train` section.
      length_field: what an error calls `train.window_frames`, where the config has no such field.
    """
    tables, weights = [], []
    for worms, seed in zip(train_worms, seeds, strict=True):
        stretches = np.flatnonzero(np.isin(dataset.stretch_worm, worms))
        splits = {}
        for split, stride in ((TRAINING, train.window_stride), (VALIDATION, train.window_frames)):
            windows = tabulate_windows(labels[seed][stretches], split, train.window_frames, stride)
            table = np.concatenate(windows)
            table[:, 0] = stretches[table[:, 0]]
            splits[split] = table
        validated = (labels[seed] == VALIDATION).any()
        _check_windows(dataset, worms, splits, train.window_frames, validated, length_field)
        tables.append((splits[TRAINING], splits[VALIDATION]))
        weights.append(_class_weights(dataset, labels[seed], stretches))
    training, training_count = _stack_tables([pair[0] for pair in tables])
    validation, validation_count = _stack_tables([pair[1] for pair in tables])
    count, steps = len(train_worms), np.full(len(train_worms), train.steps, np.int32)
    if train.get("epochs", 0):  # Passes over each run's own windows.
        steps = (train.epochs * np.ceil(training_count / train.batch_windows)).astype(np.int32)
    return Runs(
        seed=np.stack([np.asarray(seeds), np.asarray(members)], axis=1).astype(np.int32),
        training_windows=training,
        training_count=training_count,
        validation_windows=validation,
        validation_count=validation_count,
        class_weights=np.stack(weights).astype(np.float32),
        steps=steps,
        hyper={name: np.full(count, getattr(train, name), np.float32) for name in PER_RUN if name in train},
    )


def share_windows(runs: Runs, chosen: Bool[np.ndarray, " stretch"], share: float) -> Runs:
    """Return runs of whose training windows a share, between 0 and 1, is in chosen stretches.

    Windows are repeated for it; none is left out. A run that has windows on one side alone stays as it is.
    """
    tables = []
    for windows, count in zip(runs.training_windows, runs.training_count, strict=True):
        own = chosen[windows[:count, 0]]
        parts = [(windows[:count][own], share), (windows[:count][~own], 1.0 - share)]
        total = max(len(part) / weight for part, weight in parts)
        both = own.any() and not own.all()
        repeated = (
            [np.resize(part, (round(total * weight), 2)) for part, weight in parts] if both else [windows[:count]]
        )
        tables.append(np.concatenate(repeated))
    training_windows, training_count = _stack_tables(tables)
    return runs._replace(training_windows=training_windows, training_count=training_count)


def _check_windows(dataset, worms, splits, length, expected, field):
    for split, name in ((TRAINING, "training"), (VALIDATION, "validation")):
        if not len(splits[split]) and (split == TRAINING or expected):
            frames = {dataset.worms[w]: int(dataset.arrays.valid[dataset.stretches_of(w)].sum()) for w in worms}
            found = ", ".join(f"{worm} of {count} frames" for worm, count in frames.items())
            raise ConfigError(
                field,
                f"found {length}, which leaves no {name} window in {found}; "
                "expected one that fits into 'split.block' and the recordings",
            )


def _class_weights(dataset, labels, stretches):
    """Return each state's inverse frequency among the run's training frames: 0 where it is absent, mean 1 per frame."""
    states = dataset.arrays.states[stretches]
    scored = states[(labels[stretches] == TRAINING) & (states != UNSCORED)]
    counts = np.bincount(scored, minlength=len(dataset.state_names))
    present = counts > 0
    return np.where(present, counts.sum() / (max(present.sum(), 1) * np.maximum(counts, 1)), 0.0)


def _stack_tables(tables):
    counts = np.array([len(table) for table in tables], np.int32)
    stacked = np.zeros((len(tables), counts.max(), 2), np.int32)
    for index, table in enumerate(tables):
        # Filled up with a window of its own, so that a run does not so much as touch another worm's frames.
        if len(table):
            stacked[index] = table[0]
        stacked[index, : len(table)] = table
    return stacked, counts
