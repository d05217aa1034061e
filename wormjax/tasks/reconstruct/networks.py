"""Train the reconstruction networks of a config and reconstruct worms with them."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax.features.dataset import Dataset
from wormjax.models.any_neurons import build_vocabulary, index_identities, keep_known
from wormjax.models.reconstruction import ReconstructionNetwork
from wormjax.recordings.names import find_mirrors
from wormjax.tasks.given_graphs import EDGES, check_given, give_graph
from wormjax.tasks.groups import Group
from wormjax.tasks.training import Training, prepare_training, tabulate_runs, train_into
from wormjax.training.objectives.classification import list_augmentations
from wormjax.training.objectives.reconstruction import reconstruction
from wormjax.training.runs import Runs
from wormjax.training.stacked_runs import map_chunks
from wormjax.value_checks import check_names, check_value, text

GIVEN = ("parent", "name", "neurons")  # Fields of a module that the data set.
Chosen = Int[np.ndarray, " chosen"]
HIDDEN_AT_ONCE = 8  # Passes over a stretch, each with other neurons hidden, in one call.


def check_models(config) -> None:
    """Raise ConfigError for a network that the config does not describe, or describes with what does not exist."""
    check_names("models", config.models, config.model)
    for name in config.models:
        fields = set(ReconstructionNetwork.__dataclass_fields__).difference(GIVEN) | {EDGES}
        check_names(f"model.{name}", config.model[name], sorted(fields))
        check_value(f"model.{name}.graph", config.model[name].get("graph", "complete"), text(("complete", "given")))
    check_given(config)


def build_module(name: str, config, neurons: Sequence[str]) -> ReconstructionNetwork:
    """Return the network of one model."""
    sizes = {key: value for key, value in config.model[name].items() if key != EDGES}
    return ReconstructionNetwork(neurons=tuple(neurons), **sizes)


def build_group_runs(config, dataset: Dataset, groups: Sequence[Group]) -> Runs:
    """Return the runs of all groups, `train.members` of each group beside each other."""
    runs, members = tabulate_runs(config, dataset, groups, config.train.members), config.train.members
    ids = index_identities(dataset.neuron_names, build_vocabulary(dataset.neuron_names))
    present = dataset.find_present()
    known = [keep_known(ids, present[list(group.split.train)]) for group in groups for _ in range(members)]
    return runs._replace(own={"identity": {"ids": np.stack(known)}})


def build_training(name: str, config, dataset: Dataset, groups: Sequence[Group]) -> Training:
    """Return how a network is trained, by which compiled program, and its runs."""
    train, runs = config.train, build_group_runs(config, dataset, groups)
    runs = give_graph(name, config, dataset, runs, train.window_frames)
    objective = reconstruction(
        build_module(name, config, dataset.neuron_names),
        dataset.arrays.features.shape[2:],
        train.window_frames,
        train.batch_windows,
        tuple(train.hidden_shares),
        find_mirrors(dataset.neuron_names),
        train.mirrored,
        list_augmentations(runs.hyper),
    )
    return prepare_training(objective, train, runs, dataset.arrays)


def train_model(name: str, config, dataset: Dataset, groups: Sequence[Group], workdir, stop_after_chunks=None):
    """Train one network for every group and member, all runs in one compiled program."""
    training = build_training(name, config, dataset, groups)
    return train_into(workdir, name, config.train, training, stop_after_chunks)


def reconstruct(
    name: str, config, variables, dataset: Dataset, worm: int, neurons: Chosen, withheld: Chosen
) -> Float[np.ndarray, "stretch frame neuron"]:
    """Return a network's reconstruction of chosen neurons of a worm's stretches, each from all others; else NaN.

    The reconstructions of a group's members are averaged. `neurons` are hidden one at a time, each with another that is
    `withheld`; -1 for none.
    """
    own, count = dataset.stretches_of(worm), len(dataset.neuron_names)
    module = build_module(name, config, dataset.neuron_names)
    hidden = (np.arange(count) == neurons[:, None]) | (np.arange(count) == withheld[:, None])
    values = np.full((len(own), dataset.arrays.valid.shape[1], count), np.nan, np.float32)
    for place, stretch in enumerate(own if len(neurons) else []):
        worms = dataset.arrays.features[stretch], dataset.arrays.valid[stretch]
        predict = functools.partial(_predict, module, variables, worms)
        values[place][:, neurons] = map_chunks(predict, (hidden, neurons), HIDDEN_AT_ONCE).T
    return values


# The module is static and the worm an argument, so that all calls with one shape share one compiled program.
@functools.partial(jax.jit, static_argnums=0)
def _predict(module, variables, worm, chosen: tuple[Bool[np.ndarray, "set neuron"], Int[np.ndarray, " set"]]):
    """Return the mean over members [set, frame] of the neuron that each set is about."""
    features, valid = worm

    def predict(own):
        hidden, neuron = own
        each = jax.lax.map(lambda one: module.apply(one, features[None], valid[None], hidden[None])[0], variables)
        return jnp.take(each.mean(axis=0), neuron, axis=-1)

    return jax.lax.map(predict, chosen)
