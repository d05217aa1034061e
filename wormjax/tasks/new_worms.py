"""Worms for models that are already trained: their neurons, states and rate are those of the training."""

import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from wormjax.errors import ConfigError, InputError, note
from wormjax.features.dataset import Dataset
from wormjax.features.neurons import UNNAMED
from wormjax.features.studies import SIMULATED
from wormjax.recordings.recording import UNSCORED, Recording
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.tasks.training import read_splits
from wormjax.tasks.worms import (
    STATELESS_EXPERIMENTS,
    build,
    choose_rate,
    count_longest,
    count_needed,
    list_names,
    name_apart,
    open_config_recordings,
    open_test_recordings,
    warn_of,
)
from wormjax.training.workdir import refuse_changes


def prepare_new_worms(config, description: dict, train_splits: Sequence[Split]) -> tuple[Dataset, tuple[Split, ...]]:
    """Return other recordings for runs that are already trained, and the worms that are new to each.

    Returns:
      The dataset, and for each training split the worms that are not among its training worms.
    """
    cross = config.protocol.name == "cross_study"
    recordings = open_test_recordings(config) if cross else open_config_recordings(config)
    dataset = build_new_dataset(config, description, recordings, leave_out=True)
    if config.get("experiment", "generalize") not in STATELESS_EXPERIMENTS:
        for worm, name in enumerate(dataset.worms):
            if (dataset.scored_states[dataset.stretches_of(worm)] == UNSCORED).all():
                found = f"worm {name!r} has no scored motor state among {', '.join(dataset.state_names)}"
                note(f"{found}: it gets no score")
    everyone = range(len(dataset.worms))
    splits = [
        Split(split.train, tuple(k for k in everyone if not is_training_worm(description, split, dataset, k)))
        for split in train_splits
    ]
    return dataset, tuple(splits)


def build_new_dataset(
    config, description: dict, recordings: Sequence[Recording], leave_out: bool = False, neurons=None
) -> Dataset:
    """Return recordings as a dataset for a model that is already trained: its neurons, its states, its rate.

    A neuron that a worm lacks is masked. A worm at another rate than that of the training is resampled to it. A
    warning names both.

    With `leave_out`, a worm with none of the neurons is left out, with a warning, where another has some. `neurons`
    take the place of the training's, for a model that reads more.

    Raises:
      InputError: a recording with none of the neurons, or one that cannot be used.
    """
    rate, rates, kept = description["frame_rate"], [], []
    neurons = description["neurons"] if neurons is None else neurons
    named = [name for name in description["neurons"] if name != UNNAMED]
    strangers = [worm.study for worm in recordings if worm.study != SIMULATED]
    if description["study"] == SIMULATED and strangers:
        found = f"the model was trained on simulated worms, and {strangers[0]!r} is none"
        note(f"{found}: what it predicts means nothing for a real worm; train on recordings (data.study)")
    for worm in recordings:
        missing = [name for name in named if name not in worm.identified]
        stranger = not set(neurons) & set(worm.identified)  # With what a model reads by its class, too.
        if stranger and leave_out and any(set(neurons) & set(other.identified) for other in recordings):
            warn_of(worm, " is left out: it has none of the model's neurons")
            continue
        if stranger:
            there = ", ".join(sorted(worm.identified)) or "none"
            expected = f"expected some of {list_names(neurons)}, which the model was trained on"
            raise InputError(f"{worm.source}: worm {worm.worm!r}: found the named neurons {there}, {expected}")
        if missing:
            lacks = f"it lacks {len(missing)} of {len(named)} neurons ({list_names(missing)})"
            warn_of(worm, f": {lacks}; these are masked")
        kept.append(worm)
        rates.append(config.data.frame_rate or choose_rate(worm, rate, "the rate of the training"))
        at = config.data.frame_rate or rate
        frames, needed = count_longest(worm, at), count_needed(config, at)
        if frames < needed:
            short = f"its longest stretch lasts {frames / at:.1f} s, a window of the training {needed / at:.1f} s"
            warn_of(worm, f": {short}: results are uncertain")
    known = dict(zip(description["worms"], description["fingerprints"], strict=True))
    return build(config, name_apart(kept, known), neurons, description["states"], rates, description["targets"])


def note_training_worms(description: dict, groups: Sequence[Group], dataset: Dataset) -> Bool[np.ndarray, "group worm"]:
    """Note the worms of a dataset that all groups trained on, and return which ones each group did."""
    worms = range(len(dataset.worms))
    trained = np.array([[is_training_worm(description, one.split, dataset, k) for k in worms] for one in groups])
    for worm in np.flatnonzero(trained.all(axis=0)):
        note(f"worm {dataset.worms[worm]!r} trained the model: its scores say nothing of worms never seen")
    return trained


def is_training_worm(description: dict, split: Split, dataset: Dataset, worm: int) -> bool:
    """Return whether a worm of a dataset is one that a split trained on, by its traces and not by its name."""
    return dataset.fingerprints[worm] in {description["fingerprints"][k] for k in split.train}


def prepare_evaluation(
    config, workdir: str | os.PathLike, open_fields: Sequence[str]
) -> tuple[dict, list[Split], Dataset, list[Split]]:
    """Return what scoring a trained workdir again needs, on its own recordings or on others.

    `open_fields` are the beginnings of fields that may differ from training: the recordings, and how they are scored.

    Returns:
      The description of the training data, the splits of training, the dataset to test on, and for each split the
      worms of it that are not training worms.

    Raises:
      InputError: no trained workdir, a config that differs where training fixed it, or recordings that do not fit.
    """
    refuse_changes(config, workdir, open_fields)
    description, splits = read_splits(config, workdir)
    dataset, test_splits = prepare_new_worms(config, description, splits)
    if config.protocol.name != "same_worm" and not any(split.test for split in test_splits):
        raise ConfigError("data.path", "found no worm that is not a training worm of every run")
    return description, splits, dataset, list(test_splits)
