"""Training of networks on worms: runs of groups, the program that trains them, what is kept and opened of them.

Every network is trained into `workdir/models/NAME` and always run from there, so that a table made right after training
and one made from a restored checkpoint are one and the same.
"""

import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np
from jaxtyping import Int

from wormjax.errors import InputError
from wormjax.features.dataset import Dataset
from wormjax.tasks.groups import Group, list_groups, model_folder, split_by_seed
from wormjax.tasks.protocols import Split, list_config_splits
from wormjax.training.loop import train_ensemble, train_in_memory
from wormjax.training.objectives.classification import Objective
from wormjax.training.parallel import Engine, build_engine
from wormjax.training.runs import Runs, build_runs
from wormjax.training.step import Recipe, TrainState, build_recipe
from wormjax.training.workdir import read_description

Labels = Mapping[int, Int[np.ndarray, "stretch frame"]]  # By seed.


class Training(NamedTuple):
    """How runs are trained, by which compiled program, and on what."""

    engine: Engine
    recipe: Recipe
    data: Any
    runs: Any
    objective: Objective


def tabulate_runs(
    config, dataset: Dataset, groups, members: int, window: int = 0, field: str = "train.window_frames", labels=None
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
    names = ["+".join(sorted(dataset.worms[worm] for worm in group.split.train)) for group, _ in pairs]
    return build_runs(
        dataset,
        train_worms=[group.split.train for group, _ in pairs],
        seeds=[group.seed for group, _ in pairs],
        # The randomness of a run, from its training worms' names: whatever other runs there are.
        members=[
            zlib.crc32(f"{own}/{member}".encode()) & 0x7FFFFFFF for own, (_, member) in zip(names, pairs, strict=True)
        ],
        labels=split_by_seed(config, dataset) if labels is None else labels,
        train=train,
        length_field=field,
    )


def prepare_training(objective: Objective, train, runs: Any, data: Any, clip_parts: bool = False) -> Training:
    """Return the training of runs for an objective, by a config's section `train`."""
    recipe = build_recipe(train)._replace(clip_parts=clip_parts)
    batch = train.batch_windows if "batch_windows" in train else train.batch_simulations
    places = train.placement, train.devices, batch, train.runs_at_once
    return Training(build_engine(objective, recipe, len(runs.seed), *places), recipe, data, runs, objective)


def train_into(
    workdir: str | os.PathLike, name: str, train, training: Training, stop_after_chunks: int | None = None
) -> TrainState:
    """Train all runs of a network in one compiled program; checkpoints and curves go into the network's folder."""
    return train_ensemble(*training[:4], model_folder(workdir, name), name, train.checkpoint_seconds, stop_after_chunks)


def train_best(training: Training, name: str, progress: bool = True, initial: Any = None) -> Any:
    """Train all runs of a network in memory; return the parameters that are kept, stacked by run."""
    return train_in_memory(*training[:4], name, progress, initial).best


class Trained(NamedTuple):
    """One model or baseline, its config, the description of the data that it was trained on, and what it has learnt."""

    name: str
    config: ml_collections.ConfigDict
    description: dict[str, Any]
    groups: tuple[Group, ...]  # The seed and the training worms of its runs; () where it was not trained on worms.
    variables: Any  # The parameters of a network, stacked by run; None for a baseline.
    # What baselines, and the networks' drift, have learnt of the training worms of the first group.
    fit: dict[str, Any] | None = None


def read_splits(config, workdir: str | os.PathLike) -> tuple[dict[str, Any], list[Split]]:
    """Return the description of a work directory's training data, and the splits of its training."""
    description = read_description(workdir)
    tests = len(description.get("test", description)["worms"])
    return description, list_config_splits(config, description["worm_studies"], tests)


def open_model(workdir: str | os.PathLike, config, known: Sequence[str], name: str | None) -> tuple[Trained, list, int]:
    """Return a model of a work directory without its parameters, its runs by number, and how many splits there are.

    Its runs are those on the most training worms; without a name it is the first that is known.
    """
    name = known[0] if name is None else name
    if name not in known:
        raise InputError(f"{os.fspath(workdir)}: found no model {name!r}, expected one of: {', '.join(known)}")
    description, splits = read_splits(config, workdir)
    groups = list_groups(config, splits)
    most = max(len(split.train) for split in splits)
    chosen = [k for k, group in enumerate(groups) if len(group.split.train) == most]
    return Trained(name, config, description, tuple(groups[k] for k in chosen), None), chosen, len(splits)
