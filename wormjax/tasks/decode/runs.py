"""Trains the decoders of a config and decodes worms with them: the steps that experiments are made of.

Every model, deep or linear, is trained into `workdir/models/NAME` and always decoded from there, so that a
table made right after training and one made from a restored checkpoint are one and the same.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax.baselines.hidden_markov import smooth_probabilities, transition_matrix
from wormjax.baselines.linear import LINEAR_BASELINES, LinearClassifier, fit_linear, predict_linear, stack_context
from wormjax.errors import ConfigError, InputError
from wormjax.features.dataset import Dataset, WormArrays
from wormjax.features.splits import TEST, TRAINING, VALIDATION
from wormjax.models.catalog import build_classifier
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.classification import score_states
from wormjax.scoring.rows import Row
from wormjax.tasks.decode.windows import predict_stretches
from wormjax.tasks.groups import Group, model_folder, number_run, split_by_seed
from wormjax.training.fitted import restore_fitted, save_fitted
from wormjax.training.loop import train_ensemble
from wormjax.training.objectives.classification import AUGMENTATIONS, Objective, classification
from wormjax.training.parallel import DEVICE_AXIS, Engine, build_engine
from wormjax.training.runs import Runs, build_runs
from wormjax.training.step import Recipe, build_recipe


class Decoded(NamedTuple):
    """One model's output for every group on the stretches of its test worms; the other stretches say nothing."""

    probabilities: Float[np.ndarray, "group stretch frame state"]
    edges: Float[np.ndarray, "group stretch edge type"] | None


def test_labels(config, dataset: Dataset, groups: Iterable[Group]) -> dict[int, np.ndarray] | None:
    """Seed → which frames may be seen and scored in a test; None where that is every frame."""
    if config.protocol.name != "same_worm":
        return None
    return {seed: labels == TEST for seed, labels in split_by_seed(config, dataset).items()}


def check_models(config):
    """Raises InputError for a model or baseline that does not exist, or that has other sizes than the config gives."""
    for name in config.baselines:
        if name not in LINEAR_BASELINES:
            expected = f"expected some of {', '.join(LINEAR_BASELINES)}"
            raise ConfigError("baselines", f"found {name!r}, {expected}")
    prior = tuple(config.train.edge_prior)
    for name in config.models:
        types = getattr(build_classifier(name, 2, _sizes(config, name)), "edge_types", 0)
        if prior and types and len(prior) != types:
            expected = f"expected the probability of each of the {types} edge types of {name}, or none"
            raise ConfigError("train.edge_prior", f"found {prior}, {expected}")


def train_baseline(name: str, config, dataset: Dataset, groups: Sequence[Group], workdir):
    """Fit one linear baseline for every group (`fit_baseline`) and keep it in the workdir."""
    folder = model_folder(workdir, name)
    if restore_fitted(folder) is None:
        save_fitted(folder, fit_baseline(name, config, dataset, groups))


def fit_baseline(name: str, config, dataset: Dataset, groups: Sequence[Group]) -> dict[str, np.ndarray]:
    """Return one linear baseline's arrays by group, fitted on all scored frames that are not kept for a test."""
    kind, offsets = LINEAR_BASELINES[name]
    labels = split_by_seed(config, dataset)
    same_worm = config.protocol.name == "same_worm"
    fitted: dict[tuple, LinearClassifier] = {}
    for group in groups:
        # On whole worms the seed would only move the split that the penalty is chosen on: one fit serves all.
        key = (group.split.train, group.seed if same_worm else 0)
        if key not in fitted:
            used = _find_used(config, dataset, labels[group.seed])
            validation = labels[group.seed] == VALIDATION
            frames = _stack_scored(dataset, group.split.train, used, validation, offsets)
            fitted[key] = fit_linear(
                *frames, len(dataset.state_names), kind, config.linear.inverse_penalty, config.linear.balanced
            )
    chosen = [fitted[group.split.train, group.seed if same_worm else 0] for group in groups]
    return LinearClassifier(*(np.stack(parts) for parts in zip(*chosen, strict=True)))._asdict()


def train_model(name: str, config, dataset: Dataset, groups: Sequence[Group], workdir, stop_after_chunks=None):
    """Trains one deep model for every group and member, all runs in one compiled program."""
    runs = build_group_runs(config, dataset, groups)
    return train_runs(name, config, dataset, runs, model_folder(workdir, name), stop_after_chunks)


def train_runs(name: str, config, dataset: Dataset, runs: Runs, folder: str, stop_after_chunks=None):
    """Trains given runs of one deep model; checkpoints and curves go into `folder`."""
    _, recipe, engine = build_training(name, config, dataset, runs)
    seconds = config.train.checkpoint_seconds
    return train_ensemble(engine, recipe, dataset.arrays, runs, folder, name, seconds, stop_after_chunks)


def build_training(name: str, config, dataset: Dataset, runs: Runs) -> tuple[Objective, Recipe, Engine]:
    """What a model is trained for, how, and by which compiled program."""
    train = config.train
    recipe = build_recipe(train)
    objective = classification(
        _build_module(name, config, dataset, parallel=train.placement == "batch"),
        sizes=dataset.arrays.features.shape[2:],
        window_frames=train.window_frames,
        batch_windows=train.batch_windows,
        augmentations=tuple(kind for kind in AUGMENTATIONS if (runs.hyper[kind] > 0).any()),
        edge_prior=tuple(train.edge_prior) or None,
    )
    engine = build_engine(
        objective, recipe, len(runs.seed), train.placement, train.devices, train.batch_windows, train.runs_at_once
    )
    return objective, recipe, engine


def build_group_runs(config, dataset: Dataset, groups: Sequence[Group]) -> Runs:
    """The runs of all groups, `train.members` a group beside each other.

    Raises:
      InputError: a group without a single training or validation window, or without a scored frame to train on.
    """
    members, labels = config.train.members, split_by_seed(config, dataset)
    for group in groups:
        own = np.isin(dataset.stretch_worm, group.split.train)
        states = dataset.arrays.states[own][_find_used(config, dataset, labels[group.seed])[own]]
        if (states == UNSCORED).all():
            worms = ", ".join(dataset.worms[worm] for worm in group.split.train)
            found = f"found {worms} as training worms, of which no frame has a scored motor state to train on"
            expected = "expected more training worms (protocol.train_counts), or recordings without these"
            raise ConfigError("data.path", f"{found}; {expected}")
    return build_runs(
        dataset,
        train_worms=[group.split.train for group in groups for _ in range(members)],
        seeds=[group.seed for group in groups for _ in range(members)],
        members=[number_run(dataset, group.split, member) for group in groups for member in range(members)],
        labels=labels,
        train=config.train,
    )


def decode_model(name: str, config, description: dict, dataset: Dataset, groups: Sequence[Group], best) -> Decoded:
    """Decodes the stretches of every group's test worms with that group.

    Args:
      name, config: the model and the config that it was trained by.
      description: of the data that it was trained on (`workdir.read_description`).
      dataset: the worms to decode.
      groups: the groups that the runs belong to.
      best: the runs' parameters (`restore_best`).

    Raises:
      InputError: the parameters are of another number of runs.
    """
    count = len(jax.tree.leaves(best)[0])
    members = 1 if name in LINEAR_BASELINES else config.train.members
    if count != len(groups) * members:
        raise InputError(f"checkpoint of {name!r}: found {count} runs, expected {len(groups)} groups of {members}")
    tested = test_labels(config, dataset, groups)
    stretches = _list_tested(groups, dataset)
    if tested is None:
        decoded = _decode_arrays(name, config, dataset, best, dataset.arrays, members, stretches)
        if config.decode.state_durations:
            return decoded._replace(probabilities=_smooth(decoded.probabilities, dataset, groups, description))
        return decoded
    parts = []  # Within a worm each seed tests other frames. Groups are ordered by seed.
    for seed, indices in itertools.groupby(range(len(groups)), lambda k: groups[k].seed):
        own = np.array([*indices])
        variables = select_runs(best, (own[:, None] * members + np.arange(members)).ravel())
        arrays = _mask_arrays(dataset.arrays, tested[seed])
        parts.append(_decode_arrays(name, config, dataset, variables, arrays, members, stretches[own]))
    edges = None if parts[0].edges is None else np.concatenate([part.edges for part in parts])
    return Decoded(np.concatenate([part.probabilities for part in parts]), edges)


def select_runs(variables, runs: Int[np.ndarray, " run"]):
    """Return the variables of some runs."""
    return jax.tree.map(lambda x: x[runs], variables)


def _list_tested(groups, dataset) -> Int[np.ndarray, "group chosen"]:
    """The stretches that each group is tested on; the shorter lists are filled up with what is there."""
    tested = [np.flatnonzero(np.isin(dataset.stretch_worm, group.split.test)) for group in groups]
    longest = max(1, *map(len, tested))
    return np.stack([np.resize(stretches if len(stretches) else [0], longest) for stretches in tested])


def _decode_arrays(name, config, dataset, variables, arrays, members, stretches) -> Decoded:
    if name in LINEAR_BASELINES:
        return Decoded(_decode_linear(name, variables, arrays, stretches), None)
    window = 0 if config.decode.whole else config.train.window_frames
    own = config.decode.get("own_statistics", False) and "batch_stats" in variables
    module = _build_module(name, config, dataset)
    predictions = predict_stretches(module, variables, arrays, window, own, np.repeat(stretches, members, axis=0))
    averaged = [_average_members(values, members) for values in predictions]
    return Decoded(*(_spread_out(values, stretches, len(arrays.valid)) for values in averaged))


def _spread_out(values, stretches, count):
    """From the stretches that each group was tested on to all stretches, zero on the others."""
    if values is None:
        return None
    spread = np.zeros((len(values), count, *values.shape[2:]), values.dtype)
    spread[np.arange(len(values))[:, None], stretches] = values
    return spread


def score_model(name: str, config, description: dict, dataset: Dataset, groups, decoded: Decoded) -> list[Row]:
    """The rows of one model: every group on every test worm of its split, every metric."""
    rows = []
    tested = test_labels(config, dataset, groups)
    for index, group in enumerate(groups):
        states = dataset.scored_states
        if tested is not None:
            states = np.where(tested[group.seed], states, UNSCORED)
        train_worms = tuple(description["worms"][worm] for worm in group.split.train)
        for worm in group.split.test:
            stretches = dataset.stretches_of(worm)
            probabilities = decoded.probabilities[index, stretches].reshape(-1, len(dataset.state_names))
            metrics = score_states(probabilities, states[stretches].reshape(-1))
            rows += [
                Row(
                    name,
                    description["study"],
                    train_worms,
                    dataset.study,
                    dataset.worms[worm],
                    group.seed,
                    metric,
                    value,
                )
                for metric, value in metrics.items()
            ]
    return rows


def _sizes(config, name) -> dict:
    return dict(config.model.get(name, {}))


def _build_module(name, config, dataset, parallel=False):
    axis_name = DEVICE_AXIS if parallel else None
    return build_classifier(name, len(dataset.state_names), _sizes(config, name), axis_name)


def _find_used(config, dataset, labels) -> Bool[np.ndarray, "stretch frame"]:
    """Return the frames that may train: all of a worm, but under "same_worm" those not kept for a test."""
    return np.isin(labels, (TRAINING, VALIDATION)) if config.protocol.name == "same_worm" else dataset.arrays.valid


def _stack_scored(dataset, worms, used, validation, offsets):
    """The channels of all scored frames in use, their states, and which of them are for validation."""
    channels, states, kept = [], [], []
    for stretch in np.flatnonzero(np.isin(dataset.stretch_worm, worms)):
        scored = used[stretch] & (dataset.arrays.states[stretch] != UNSCORED)
        channels.append(stack_context(dataset.arrays.features[stretch], used[stretch], offsets)[scored])
        states.append(dataset.arrays.states[stretch][scored])
        kept.append(validation[stretch][scored])
    return np.concatenate(channels), np.concatenate(states), np.concatenate(kept)


def _decode_linear(name, variables, arrays: WormArrays, stretches):
    offsets = LINEAR_BASELINES[name][1]
    fitted = [LinearClassifier(*pair) for pair in zip(variables["weights"], variables["bias"], strict=True)]
    probabilities = np.zeros((len(fitted), *arrays.valid.shape, fitted[0].bias.size), np.float32)
    for stretch in np.unique(stretches):
        channels = stack_context(arrays.features[stretch], arrays.valid[stretch], offsets)
        for index in np.flatnonzero((stretches == stretch).any(axis=1)):
            probabilities[index, stretch] = predict_linear(fitted[index], channels)
    return probabilities


def _mask_arrays(arrays: WormArrays, tested) -> WormArrays:
    """The arrays with nothing but the tested frames in them."""
    valid = arrays.valid & tested
    return WormArrays(arrays.features * valid[..., None, None], np.where(valid, arrays.states, UNSCORED), valid)


def _smooth(probabilities, dataset, groups, description):
    """Each group's probabilities in the light of how long its training worms' states lasted."""
    counts = np.asarray(description["transition_counts"])
    by_group = np.stack([transition_matrix(counts[list(group.split.train)].sum(axis=0)) for group in groups])
    return smooth_probabilities(probabilities, dataset.arrays.valid[None], by_group[:, None])


def _average_members(values, members):
    if values is None:
        return None
    return values.reshape(len(values) // members, members, *values.shape[1:]).mean(axis=1)
