"""A trained model: what the estimators of the instrument hold, save and load, or open from a work directory."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_collections

from wormjax.errors import InputError
from wormjax.tasks.groups import Group, list_groups
from wormjax.tasks.protocols import Split, list_config_splits
from wormjax.training.workdir import read_description


class Trained(NamedTuple):
    """One model and what it has learnt.

    Attributes:
      name: of the model or baseline.
      config: that it was trained by.
      description: of the data that it was trained on; plain numbers and texts.
      groups: the seed and the training worms of its runs; () where it was not trained on worms.
      variables: the parameters of a network, stacked by run; None for a baseline.
      fit: what baselines, and the networks' drift, have learnt of the training worms of the first group.
    """

    name: str
    config: ml_collections.ConfigDict
    description: dict[str, Any]
    groups: tuple[Group, ...]
    variables: Any
    fit: dict[str, Any] | None = None


def read_splits(config, workdir: str | os.PathLike) -> tuple[dict[str, Any], list[Split]]:
    """Return the description of a work directory's training data, and the splits of its training."""
    description = read_description(workdir)
    tests = len(description.get("test", description)["worms"])
    return description, list_config_splits(config, description["worm_studies"], tests)


class Opened(NamedTuple):
    """A model of a work directory: its name, what its runs are, and the numbers of those on the most training worms."""

    name: str
    description: dict[str, Any]
    groups: list[Group]
    chosen: list[int]
    splits: int


def open_model(workdir: str | os.PathLike, config, known: Sequence[str], name: str | None) -> Opened:
    """Return which runs of a work directory are a model's; without a name, of the first that is known."""
    name = known[0] if name is None else name
    if name not in known:
        raise InputError(f"{os.fspath(workdir)}: found no model {name!r}, expected one of: {', '.join(known)}")
    description, splits = read_splits(config, workdir)
    groups = list_groups(config, splits)
    most = max(len(split.train) for split in splits)
    chosen = [k for k, group in enumerate(groups) if len(group.split.train) == most]
    return Opened(name, description, groups, chosen, len(splits))
