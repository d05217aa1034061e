"""Training of networks on worms: runs of groups, the program that trains them, and what is kept of them.

Every network is trained into `workdir/models/NAME` and always run from there, so that a table made right after training
and one made from a restored checkpoint are one and the same.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from wormjax.features.dataset import Dataset
from wormjax.tasks.groups import Group, model_folder, number_run, split_by_seed
from wormjax.training.loop import train_ensemble, train_in_memory
from wormjax.training.objectives.classification import Objective
from wormjax.training.parallel import Engine, build_engine
from wormjax.training.runs import Runs, build_runs
from wormjax.training.step import Recipe, TrainState, build_recipe

Labels = Mapping[int, Int[np.ndarray, "stretch frame"]]  # By seed.


class Training(NamedTuple):
    """How runs are trained, by which compiled program, and on what."""

    engine: Engine
    recipe: Recipe
    data: Any
    runs: Runs
    objective: Objective


def tabulate_runs(
    config,
    dataset: Dataset,
    groups: Sequence[Group],
    members: int,
    window: int = 0,
    field: str = "train.window_frames",
    labels: Labels | None = None,
) -> Runs:
    """Return the runs of all groups, `members` of each group beside each other.

    `window` takes the place of `train.window_frames`, and `field` is what an error then calls it. `labels` take the
    place of those that the config gives (`split_by_seed`).
    """
    train = config.train
    if window:
        train = train.copy_and_resolve_references().unlock()
        train.window_frames = window
    pairs = [(group, member) for group in groups for member in range(members)]
    return build_runs(
        dataset,
        train_worms=[group.split.train for group, _ in pairs],
        seeds=[group.seed for group, _ in pairs],
        members=[number_run(dataset, group.split, member) for group, member in pairs],
        labels=split_by_seed(config, dataset) if labels is None else labels,
        train=train,
        length_field=field,
    )


def prepare_training(objective: Objective, train, runs: Runs, data: Any) -> Training:
    """Return the training of runs for an objective, by a config's section `train`."""
    recipe, count = build_recipe(train), len(runs.seed)
    engine = build_engine(
        objective, recipe, count, train.placement, train.devices, train.batch_windows, train.runs_at_once
    )
    return Training(engine, recipe, data, runs, objective)


def train_into(
    workdir: str | os.PathLike, name: str, train, training: Training, stop_after_chunks: int | None = None
) -> TrainState:
    """Train all runs of a network in one compiled program; checkpoints and curves go into the network's folder."""
    return train_ensemble(*training[:4], model_folder(workdir, name), name, train.checkpoint_seconds, stop_after_chunks)


def train_best(training: Training, name: str, progress: bool = True, initial: Any = None) -> Any:
    """Train all runs of a network in memory; return the parameters that are kept, stacked by run."""
    return train_in_memory(*training[:4], name, progress, initial).best
