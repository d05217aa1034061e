"""Reconstruct the neurons of recordings with a trained model: what `wormjax.Reconstructor` is made of."""

import os

import jax
import numpy as np

from wormjax.features.dataset import Dataset
from wormjax.recordings.recording import Recording
from wormjax.tasks.groups import Group, model_folder, restore_best
from wormjax.tasks.new_worms import build_new_dataset, note_training_worms
from wormjax.tasks.protocols import Split
from wormjax.tasks.reconstruct import baselines, networks
from wormjax.tasks.reconstruct.experiment import LINEAR, MIXTURE, reconstruct_worm, score_neurons
from wormjax.tasks.training import Trained, open_model, train_best
from wormjax.training.workdir import describe_dataset


def list_parts(name: str, config) -> tuple[str, ...]:
    """Return the models and baselines that a model is the mean of: itself, or those of the mixture."""
    return tuple(config.mixture) if name == MIXTURE else (name,)


def train_reconstructor(name: str, config, dataset: Dataset, progress: bool = True) -> Trained:
    """Train one model, a network, a baseline or the mixture, on all worms of a dataset, in memory."""
    group = Group(config.seed, Split(tuple(range(len(dataset.worms))), ()))
    fit, variables = baselines.fit_baselines(config, dataset, [group.split]), {}
    for part in list_parts(name, config):
        if part in config.model:
            training = networks.build_training(part, config, dataset, [group])
            variables[part] = train_best(training, part, progress)
    return Trained(name, config, describe_dataset(dataset), (group,), variables, fit)


def open_reconstructor(workdir: str | os.PathLike, config, name: str | None = None) -> Trained:
    """Return a model of a work directory: the first run that trained on the largest number of worms."""
    known = (*([MIXTURE] if config.mixture else ()), *config.models, *config.baselines)
    model, (number, *_), splits = open_model(workdir, config, known, name)
    fit, members = restore_best(model_folder(workdir, LINEAR)), config.train.members
    fit["penalty"] = {part: chosen[[number % splits]] for part, chosen in fit["penalty"].items()}
    runs = slice(number * members, (number + 1) * members)
    variables = {
        part: jax.tree.map(lambda values: values[runs], restore_best(model_folder(workdir, part)))
        for part in list_parts(model.name, config)
        if part in config.model
    }
    return model._replace(groups=model.groups[:1], variables=variables, fit=fit)


def reconstruct_recording(trained: Trained, recording: Recording) -> tuple:
    """Reconstruct every neuron of a recording from all its others, and those that it lacks from all that it has.

    Returns the fields of `wormjax.Reconstruction` after the worm's name.
    """
    config, train, variables = trained.config, trained.groups[0].split.train, trained.variables or {}
    dataset = build_new_dataset(config, trained.description, [recording])
    note_training_worms(trained.description, trained.groups, dataset)
    chosen = np.flatnonzero(baselines.find_known(trained.fit, train, config.data.least_worms))
    parts = [
        reconstruct_worm(part, config, trained.fit, 0, train, variables.get(part), dataset, 0, chosen)
        for part in list_parts(trained.name, config)
    ]
    values, valid = np.mean(parts, axis=0), dataset.arrays.valid
    measured = dataset.arrays.features[..., 0]
    r2 = score_neurons(values, measured)[chosen]
    known = np.where(measured == 0, np.nan, measured)
    names = tuple(dataset.neuron_names[k] for k in chosen)
    return dataset.times[valid], values[valid][:, chosen], known[valid][:, chosen], r2, names
