"""Reconstruct the neurons of recordings with a trained model: what `wormjax.Reconstructor` is made of."""

import os
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
from jaxtyping import Float

from wormjax.errors import InputError
from wormjax.features.dataset import Dataset
from wormjax.recordings.recording import Recording
from wormjax.tasks.groups import Group, list_groups, model_folder, restore_best
from wormjax.tasks.protocols import Split, list_config_splits
from wormjax.tasks.reconstruct import baselines, networks
from wormjax.tasks.reconstruct.experiment import LINEAR, MIXTURE, reconstruct_worm, score_neurons
from wormjax.tasks.worms import build_new_dataset
from wormjax.training.loop import train_in_memory
from wormjax.training.workdir import describe_dataset, read_description


class TrainedReconstructor(NamedTuple):
    """A model's name, config, the description of its training data, its group, and what was learnt.

    `fit` is what the baselines learn, with the penalties of one split; `variables` are the parameters of each network
    that the model is made of, stacked by member.
    """

    name: str
    config: ml_collections.ConfigDict
    description: dict[str, Any]
    group: Group
    fit: dict[str, Any]
    variables: dict[str, Any]


class ReconstructedWorm(NamedTuple):
    """The traces of one recording's neurons, each reconstructed from all others, beside those measured.

    Attributes:
      times: seconds.
      reconstructed: of all neurons that enough training worms have, those that the recording lacks included.
      measured: NaN where a neuron was not recorded. Both are in the units of scaled traces.
      r2: NaN for a neuron that the recording lacks.
      neurons: the names.
    """

    times: Float[np.ndarray, " frame"]
    reconstructed: Float[np.ndarray, "frame neuron"]
    measured: Float[np.ndarray, "frame neuron"]
    r2: Float[np.ndarray, " neuron"]
    neurons: tuple[str, ...]


def list_parts(name: str, config) -> tuple[str, ...]:
    """Return the models and baselines that a model is the mean of: itself, or those of the mixture."""
    return tuple(config.mixture) if name == MIXTURE else (name,)


def train_reconstructor(name: str, config, dataset: Dataset, progress: bool = True) -> TrainedReconstructor:
    """Train one model, a network, a baseline or the mixture, on all worms of a dataset, in memory."""
    group = Group(config.seed, Split(tuple(range(len(dataset.worms))), ()))
    fit, variables = baselines.fit_baselines(config, dataset, [group.split]), {}
    for part in list_parts(name, config):
        if part in config.model:
            recipe, engine, runs = networks.build_training(part, config, dataset, [group])
            variables[part] = train_in_memory(engine, recipe, dataset.arrays, runs, part, progress).best
    return TrainedReconstructor(name, config, describe_dataset(dataset), group, fit, variables)


def open_reconstructor(workdir: str | os.PathLike, config, name: str | None = None) -> TrainedReconstructor:
    """Return a model of a work directory: the first run that trained on the largest number of worms.

    Args:
      workdir: of `experiments.reconstruct`.
      config: that of the work directory (`dispatch.read_experiment`).
      name: one of its models or baselines, or "mixture"; None takes the mixture, or else the first.

    Raises:
      InputError: no such model, or one that has not been trained to its end.
    """
    known = (*([MIXTURE] if config.mixture else ()), *config.models, *config.baselines)
    name = known[0] if name is None else name
    if name not in known:
        raise InputError(f"{os.fspath(workdir)}: found no model {name!r}, expected one of: {', '.join(known)}")
    description = read_description(workdir)
    tests = len(description.get("test", description)["worms"])
    splits = list_config_splits(config, description["worm_studies"], tests)
    groups = list_groups(config, splits)
    number = int(np.argmax([len(group.split.train) for group in groups]))
    split, runs = number % len(splits), slice(number * config.train.members, (number + 1) * config.train.members)
    fit = restore_best(model_folder(workdir, LINEAR))
    fit["penalty"] = {part: chosen[split : split + 1] for part, chosen in fit["penalty"].items()}
    variables = {
        part: jax.tree.map(lambda values: values[runs], restore_best(model_folder(workdir, part)))
        for part in list_parts(name, config)
        if part in config.model
    }
    return TrainedReconstructor(name, config, description, groups[number], fit, variables)


def reconstruct_recording(trained: TrainedReconstructor, recording: Recording) -> ReconstructedWorm:
    """Reconstruct every neuron of a recording from all its others, and those that it lacks from all that it has.

    Raises:
      InputError: a recording that cannot be used.
    """
    config, train = trained.config, trained.group.split.train
    dataset = build_new_dataset(config, trained.description, [recording])
    chosen = np.flatnonzero(baselines.find_known(trained.fit, train, config.data.least_worms))
    parts = [
        reconstruct_worm(part, config, trained.fit, 0, train, trained.variables.get(part), dataset, 0, chosen)
        for part in list_parts(trained.name, config)
    ]
    values, valid = np.mean(parts, axis=0), dataset.arrays.valid
    measured = dataset.arrays.features[..., 0]
    r2 = score_neurons(values, measured)[chosen]
    known = np.where(measured == 0, np.nan, measured)
    names = tuple(dataset.neuron_names[k] for k in chosen)
    return ReconstructedWorm(dataset.times[valid], values[valid][:, chosen], known[valid][:, chosen], r2, names)
