"""A group is a seed and the worms that train: what one row of results is about."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from wormjax.errors import InputError
from wormjax.features.dataset import Dataset
from wormjax.scoring.rows import Row
from wormjax.tasks.protocols import Split
from wormjax.training.checkpoints import open_checkpoints, restore_latest
from wormjax.training.fitted import restore_fitted
from wormjax.training.runs import split_stretches


class Group(NamedTuple):
    """What one row of results is about: a seed and the worms that trained. A group's members are averaged."""

    seed: int
    split: Split


def list_groups(config, splits: Sequence[Split]) -> list[Group]:
    """Return all groups of an experiment, seeds outermost."""
    return [Group(seed, split) for seed in list_seeds(config) for split in splits]


def list_seeds(config) -> list[int]:
    """Return `config.seeds` seeds, from `config.seed` on."""
    return list(range(config.seed, config.seed + config.seeds))


def split_by_seed(config, dataset: Dataset) -> dict[int, Int[np.ndarray, "stretch frame"]]:
    """Return seed → the label of every frame. Only "same_worm" keeps test frames within a worm."""
    split = config.split
    test_fraction = split.test_fraction if config.protocol.name == "same_worm" else 0.0
    return {
        seed: split_stretches(dataset, split.block, split.gap, split.validation_fraction, test_fraction, seed)
        for seed in list_seeds(config)
    }


def model_folder(workdir: str | os.PathLike, name: str) -> str:
    """Return the folder of one model's checkpoints and curves."""
    return os.path.join(workdir, "models", name)


def score_worms(
    model: str, names, dataset: Dataset, group: Group, worm_of: Int[np.ndarray, " start"], score: Callable
) -> list[Row]:
    """Return a model's rows on one group's test worms that have a start.

    `names` are the training study and the names of its worms; `worm_of` is the worm of each start; `score` takes which
    starts are of one worm (a mask) and returns metric → value.
    """
    study, worms = names
    trained, rows = tuple(worms[worm] for worm in group.split.train), []
    for worm in group.split.test:
        if (own := worm_of == worm).any():
            place = (model, study, trained, dataset.study, dataset.worms[worm], group.seed)
            rows += [Row(*place, metric, value) for metric, value in score(own).items()]
    return rows


def restore_best(folder: str | os.PathLike):
    """Return the kept parameters of a model's runs, stacked by run, or what a baseline was fitted to.

    Raises:
      InputError: no checkpoint, or a damaged one.
    """
    fitted = restore_fitted(folder)
    if fitted is not None:
        return fitted
    path = os.path.join(folder, "checkpoints")
    if not os.path.isdir(path):
        raise InputError(f"{path}: found no such folder, expected the checkpoints of a trained model")
    with open_checkpoints(path, read_only=True) as manager:
        restored = restore_latest(manager, fall_back=False)
    if restored is None or "best" not in restored[1]:
        raise InputError(f"{path}: found no whole checkpoint, expected one")
    return restored[1]["best"]


def restore_from(workdir: str | os.PathLike) -> Callable[[str], Any]:
    """Return a function from a model's name to what a workdir holds of it (`restore_best`)."""
    return lambda name: restore_best(model_folder(workdir, name))
