"""Trains the decoders of a config and decodes worms with them: the steps that experiments are made of.

Every model, deep or linear, is trained into `workdir/models/NAME` and always decoded from there, so that a
table made right after training and one made from a restored checkpoint are one and the same.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import softmax

from wormjax.baselines.hidden_markov import smooth_probabilities, transition_matrix
from wormjax.baselines.linear import (
    LINEAR_BASELINES,
    PAIRS,
    SHARED,
    LinearClassifier,
    fit_linear,
    fit_ridge,
    predict_linear,
    stack_context,
)
from wormjax.baselines.own_activity import Activity, factor_activity, refine_by_own_activity
from wormjax.errors import ConfigError, InputError
from wormjax.features.dataset import Dataset, WormArrays, measure_scale
from wormjax.features.neurons import ANY
from wormjax.features.splits import TEST, TRAINING, VALIDATION
from wormjax.models.any_neurons import build_vocabulary, index_identities
from wormjax.models.catalog import build_classifier
from wormjax.models.identities import keep_known, move_identities
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.behavior import score_behavior
from wormjax.scoring.classification import score_states
from wormjax.scoring.rows import Row
from wormjax.tasks.decode.windows import predict_stretches
from wormjax.tasks.given_graphs import EDGES, check_given, find_given, give_graph
from wormjax.tasks.groups import Group, model_folder, number_run, split_by_seed
from wormjax.tasks.worms import MOTOR_STATE
from wormjax.training.fitted import restore_fitted, save_fitted
from wormjax.training.loop import train_ensemble
from wormjax.training.objectives.classification import Objective, classification, list_augmentations
from wormjax.training.parallel import DEVICE_AXIS, Engine, build_engine
from wormjax.training.runs import Runs, build_runs, share_windows
from wormjax.training.step import Recipe, build_recipe

LEAST_PROBABILITY = math.exp(-6.0)  # Of a state before it is refined: a logarithm has no floor.
PLAIN = "{} without own activity"  # What a model's rows are called that are not refined, where others are.


class Decoded(NamedTuple):
    """One model's output for every group on the stretches of its test worms; the other stretches say nothing."""

    probabilities: Float[np.ndarray, "group stretch frame state"]
    edges: Float[np.ndarray, "group stretch edge type"] | None = None
    behavior: Float[np.ndarray, "group stretch frame target"] | None = None


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
    prior, targets = tuple(config.train.edge_prior), len(list_behaviors(config))
    for name in config.models:
        types = getattr(build_classifier(name, 2, _sizes(config, name), targets=targets), "edge_types", 0)
        if prior and types and len(prior) != types:
            expected = f"expected the probability of each of the {types} edge types of {name}, or none"
            raise ConfigError("train.edge_prior", f"found {prior}, {expected}")
    check_given(config)


def list_behaviors(config) -> list[str]:
    """Return the continuous behaviours among a config's targets."""
    return [target for target in config.data.get("targets", ()) if target != MOTOR_STATE]


def train_baseline(
    name: str, config, dataset: Dataset, groups: Sequence[Group], workdir, tested: Dataset | None = None
):
    """Fit one linear baseline for every group (`fit_baseline`) and keep it in the workdir."""
    folder = model_folder(workdir, name)
    if restore_fitted(folder) is None:
        save_fitted(folder, fit_baseline(name, config, dataset, groups, tested))


def fit_baseline(
    name: str, config, dataset: Dataset, groups: Sequence[Group], tested: Dataset | None = None
) -> dict[str, np.ndarray]:
    """Return one linear baseline's arrays by group, fitted on all scored frames that are not kept for a test.

    Of PAIRS the arrays are by group, tested worm (known by the fingerprints in "tested") and training worm, NaN where a
    group has fewer of these than another.

    Args:
      name: of one of LINEAR_BASELINES.
      config: of decoding.
      dataset: the training worms.
      groups: the seeds and splits.
      tested: the worms to be tested, if others than those of `dataset`; PAIRS and SHARED read which neurons they have.
    """
    baseline, labels, tested = LINEAR_BASELINES[name], split_by_seed(config, dataset), tested or dataset
    present, there = dataset.find_present(), tested.find_present()
    same_worm = config.protocol.name == "same_worm"

    @functools.cache
    def fit(worms, seed, neurons):
        return fit_neurons(name, config, dataset, worms, np.array(neurons), labels[seed])

    def fit_group(group):
        # On whole worms the seed would only move the split that the penalty is chosen on: one fit serves all.
        seed = group.seed if same_worm else config.seed
        if baseline.neurons != PAIRS:
            shared = present.all(axis=0) & there.all(axis=0)
            neurons = shared if baseline.neurons == SHARED else np.ones_like(shared)
            return fit(group.split.train, seed, tuple(neurons.tolist()))
        trained = [
            [fit((worm,), seed, tuple((present[worm] & own).tolist())) for worm in group.split.train] for own in there
        ]
        most = max(len(other.split.train) for other in groups)
        stacked = jax.tree.map(lambda *parts: np.stack(parts), *(_stack_padded(row, most) for row in trained))
        return stacked

    fitted = jax.tree.map(lambda *parts: np.stack(parts), *map(fit_group, groups))
    return fitted | ({"tested": np.array(tested.fingerprints)} if baseline.neurons == PAIRS else {})


def _stack_padded(fits: list[dict], count: int) -> dict[str, np.ndarray]:
    """Return fits stacked by training worm, with NaN for those that a group lacks."""
    lacking = jax.tree.map(lambda values: np.full_like(values, np.nan), fits[0])
    return jax.tree.map(lambda *parts: np.stack(parts), *fits, *[lacking] * (count - len(fits)))


def fit_neurons(name: str, config, dataset: Dataset, worms, neurons, labels) -> dict[str, np.ndarray]:
    """Return the weights of states, and of behaviours where there are any, fitted to some worms and neurons.

    Args:
      name: of one of LINEAR_BASELINES.
      config: of decoding.
      dataset: the worms.
      worms: indices of those that train.
      neurons: which neurons are read [neuron]; all others are 0.
      labels: the split of all frames.
    """
    baseline, linear = LINEAR_BASELINES[name], config.linear
    used = _find_used(config, dataset, labels)
    channels, stretch, frame = _stack_frames(dataset, worms, used, neurons, baseline.offsets)
    states, validation = dataset.arrays.states[stretch, frame], labels[stretch, frame] == VALIDATION
    scored, read = states != UNSCORED, channels.any(axis=0)
    read[:1] |= not read.any()  # A fit needs a channel.
    own = channels[:, read]  # What is always 0 would only take time.
    frames = own[scored], states[scored], validation[scored]
    fits = {"": fit_linear(*frames, len(dataset.state_names), baseline.kind, linear.inverse_penalty, linear.balanced)}
    if dataset.target_names:
        behavior = dataset.measured[stretch, frame].astype(np.float64)
        fits["behavior_"] = fit_ridge(own, behavior, linear.ridge_penalty)
    fitted = {}
    for prefix, fit in fits.items():
        weights = np.zeros((len(read), len(fit.bias)))
        weights[read] = fit.weights
        fitted |= {f"{prefix}weights": weights, f"{prefix}bias": fit.bias}
    return fitted


def train_model(name: str, config, dataset: Dataset, groups: Sequence[Group], workdir, stop_after_chunks=None):
    """Trains one deep model for every group and member, all runs in one compiled program."""
    runs = build_group_runs(config, dataset, groups)
    return train_runs(name, config, dataset, runs, model_folder(workdir, name), stop_after_chunks)


def train_runs(name: str, config, dataset: Dataset, runs: Runs, folder: str, stop_after_chunks=None):
    """Train given runs of one deep model; checkpoints and curves go into `folder`."""
    runs = give_graph(name, config, dataset.neuron_names, runs)
    _, recipe, engine = build_training(name, config, dataset, runs)
    seconds = config.train.checkpoint_seconds
    return train_ensemble(engine, recipe, dataset.arrays, runs, folder, name, seconds, stop_after_chunks)


def build_training(name: str, config, dataset: Dataset, runs: Runs) -> tuple[Objective, Recipe, Engine]:
    """What a model is trained for, how, and by which compiled program."""
    train = config.train
    recipe = build_recipe(train)
    objective = classification(
        _build_module(name, config, dataset, dataset.neuron_names, parallel=train.placement == "batch"),
        sizes=dataset.arrays.features.shape[2:],
        window_frames=train.window_frames,
        batch_windows=train.batch_windows,
        augmentations=list_augmentations(runs.hyper),
        edge_prior=tuple(train.edge_prior) or None,
        target_weight=train.get("target_weight", 1.0),
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
    train_worms = [group.split.train for group in groups for _ in range(members)]
    runs = build_runs(
        dataset,
        train_worms=train_worms,
        seeds=[group.seed for group in groups for _ in range(members)],
        members=[number_run(dataset, group.split, member) for group in groups for member in range(members)],
        labels=labels,
        train=config.train,
    )
    if share := config.train.test_study_share:
        tested = np.array(dataset.worm_studies)[dataset.stretch_worm] == config.data.test_study
        runs = share_windows(runs, tested, share)
    return runs._replace(own=_describe_runs(config, dataset, train_worms))


def _describe_runs(config, dataset: Dataset, train_worms: Sequence[Sequence[int]]) -> dict | None:
    """Return by run what its training worms fix: the neurons that it may use, and the scale of each behaviour."""
    own = {}
    if config.data.neurons == ANY:
        ids = index_identities(dataset.neuron_names, build_vocabulary(dataset.neuron_names))
        present, least = dataset.find_present(), config.data.least_worms
        own["identity"] = {"ids": np.stack([keep_known(ids, present[list(worms)], least) for worms in train_worms])}
    if dataset.target_names:
        measured = [dataset.measured[np.isin(dataset.stretch_worm, worms)] for worms in train_worms]
        scales = [measure_scale(values.reshape(-1, values.shape[-1])) for values in measured]
        mean, sd = (np.stack(values).astype(np.float32) for values in zip(*scales, strict=True))
        own["targets"] = {"mean": mean, "sd": sd}
    return own or None


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
    vocabulary = tuple(description["neurons"])
    if "identity" in best and vocabulary != dataset.neuron_names:
        ids = move_identities(best["identity"]["ids"], vocabulary, dataset.neuron_names)
        best = {**best, "identity": {"ids": ids}}
        if "given" in best:
            edges = find_given(name, config, dataset.neuron_names)
            best["given"] = {"edges": np.broadcast_to(edges, (count, *edges.shape))}
    decode = functools.partial(_decode_arrays, name, config, dataset, vocabulary)
    if tested is None:
        decoded = decode(best, dataset.arrays, members, stretches)
        if config.decode.state_durations:
            return decoded._replace(probabilities=_smooth(decoded.probabilities, dataset, groups, description))
        return decoded
    parts = []  # Within a worm each seed tests other frames. Groups are ordered by seed.
    for seed, indices in itertools.groupby(range(len(groups)), lambda k: groups[k].seed):
        own = np.array([*indices])
        variables = select_runs(best, (own[:, None] * members + np.arange(members)).ravel())
        arrays = _mask_arrays(dataset.arrays, tested[seed])
        parts.append(decode(variables, arrays, members, stretches[own]))
    return jax.tree.map(lambda *values: np.concatenate(values), *parts)


def factor_worms(config, dataset: Dataset) -> list[Activity] | None:
    """Return each worm's own activity, by which decodings are refined; None where `decode.own_activity` is off."""
    if not config.decode.get("own_activity", False):
        return None
    stretches = [dataset.stretches_of(worm) for worm in range(len(dataset.worms))]
    return [factor_activity(dataset.activity[own][dataset.arrays.valid[own]]) for own in stretches]


def refine_all(
    decoded: dict[str, Decoded], dataset: Dataset, groups: Sequence[Group], activity: Sequence[Activity] | None
) -> dict[str, Decoded]:
    """Return models' decodings, refined, and the plain ones under names of PLAIN; without activity only the latter."""
    if activity is None:
        return decoded
    refined = {name: refine_decoded(one, dataset, groups, activity) for name, one in decoded.items()}
    return refined | {PLAIN.format(name): one for name, one in decoded.items()}


def refine_decoded(
    decoded: Decoded, dataset: Dataset, groups: Sequence[Group], activity: Sequence[Activity] | None
) -> Decoded:
    """Return what was decoded, refined by each test worm's own activity (`factor_worms`), without labels."""
    if activity is None:
        return decoded
    probabilities = decoded.probabilities.copy()
    behavior = None if decoded.behavior is None else decoded.behavior.copy()
    states = probabilities.shape[-1]
    for index, group in enumerate(groups):
        for worm in group.split.test:
            stretches = dataset.stretches_of(worm)
            valid = dataset.arrays.valid[stretches]
            logits = np.log(np.maximum(probabilities[index, stretches][valid], LEAST_PROBABILITY)).astype(np.float64)
            outputs = logits - logits.mean(axis=-1, keepdims=True)
            if behavior is not None:
                outputs = np.concatenate([outputs, behavior[index, stretches][valid]], axis=-1)
            refined = refine_by_own_activity(outputs, activity[worm])
            place = np.nonzero(valid)
            rows = np.array(stretches)[place[0]]
            probabilities[index, rows, place[1]] = softmax(refined[:, :states], axis=-1)
            if behavior is not None:
                behavior[index, rows, place[1]] = refined[:, states:]
    return Decoded(probabilities, decoded.edges, behavior)


def select_runs(variables, runs: Int[np.ndarray, " run"]):
    """Return the variables of some runs."""
    return jax.tree.map(lambda x: x[runs], variables)


def _list_tested(groups, dataset) -> Int[np.ndarray, "group chosen"]:
    """The stretches that each group is tested on; the shorter lists are filled up with what is there."""
    tested = [np.flatnonzero(np.isin(dataset.stretch_worm, group.split.test)) for group in groups]
    longest = max(1, *map(len, tested))
    return np.stack([np.resize(stretches if len(stretches) else [0], longest) for stretches in tested])


def _decode_arrays(name, config, dataset, vocabulary, variables, arrays, members, stretches) -> Decoded:
    if name in LINEAR_BASELINES:
        fingerprints = [dataset.fingerprints[worm] for worm in dataset.stretch_worm]
        return _decode_linear(name, variables, arrays, stretches, fingerprints)
    window = 0 if config.decode.whole else config.train.window_frames
    own = config.decode.get("own_statistics", False) and "batch_stats" in variables
    module = _build_module(name, config, dataset, vocabulary)
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
    rows, targets = [], config.data.get("targets", (MOTOR_STATE,))
    tested = test_labels(config, dataset, groups)
    for index, group in enumerate(groups):
        scored = dataset.scored if tested is None else dataset.scored & tested[group.seed]
        states = np.where(scored, dataset.scored_states, UNSCORED)
        train_worms = tuple(description["worms"][worm] for worm in group.split.train)
        study = "+".join(dict.fromkeys(description["worm_studies"][worm] for worm in group.split.train))
        for worm in group.split.test:
            stretches = dataset.stretches_of(worm)
            probabilities = decoded.probabilities[index, stretches].reshape(-1, len(dataset.state_names))
            metrics = score_states(probabilities, states[stretches].reshape(-1)) if MOTOR_STATE in targets else {}
            if decoded.behavior is not None:
                measured = np.where(scored[..., None], dataset.measured, np.nan)[stretches]
                flat = (
                    values.reshape(-1, measured.shape[-1]) for values in (decoded.behavior[index, stretches], measured)
                )
                metrics |= score_behavior(*flat, dataset.target_names)
            place = name, study, train_worms, dataset.worm_studies[worm], dataset.worms[worm], group.seed
            rows += [Row(*place, metric, value) for metric, value in metrics.items()]
    return rows


def _sizes(config, name) -> dict:
    return {field: value for field, value in config.model.get(name, {}).items() if field != EDGES}


def _build_module(name, config, dataset, vocabulary, parallel=False):
    return build_classifier(
        name,
        len(dataset.state_names),
        _sizes(config, name),
        DEVICE_AXIS if parallel else None,
        vocabulary,
        len(dataset.target_names),
        config.data.get("unnamed", False),
    )


def _find_used(config, dataset, labels) -> Bool[np.ndarray, "stretch frame"]:
    """Return the frames that may train: all of a worm, but under "same_worm" those not kept for a test."""
    return np.isin(labels, (TRAINING, VALIDATION)) if config.protocol.name == "same_worm" else dataset.arrays.valid


def _stack_frames(dataset, worms, used, neurons, offsets):
    """Return the channels of all frames in use of some worms and neurons, and the stretch and frame of each."""
    stretches = np.flatnonzero(np.isin(dataset.stretch_worm, worms))
    channels, places = [], []
    for stretch in stretches:
        features = dataset.arrays.features[stretch] * neurons[:, None]
        channels.append(stack_context(features, used[stretch], offsets)[used[stretch]])
        frames = np.flatnonzero(used[stretch])
        places.append(np.stack([np.full_like(frames, stretch), frames]))
    return np.concatenate(channels), *np.concatenate(places, axis=1)


def _decode_linear(name, variables, arrays: WormArrays, stretches, fingerprints) -> Decoded:
    """Decode stretches, each of a worm with a fingerprint, with a baseline of every group."""
    baseline, variables = LINEAR_BASELINES[name], dict(variables)
    tested = list(variables.pop("tested", ()))
    shape = (len(stretches), *arrays.valid.shape)
    probabilities = np.zeros((*shape, variables["bias"].shape[-1]), np.float32)
    behavior = None
    if "behavior_bias" in variables:
        behavior = np.zeros((*shape, variables["behavior_bias"].shape[-1]), np.float32)
    for stretch in np.unique(stretches):
        channels = stack_context(arrays.features[stretch], arrays.valid[stretch], baseline.offsets)
        for index in np.flatnonzero((stretches == stretch).any(axis=1)):
            fits = jax.tree.map(lambda values, index=index: values[index], variables)
            if baseline.neurons == PAIRS:
                if fingerprints[stretch] not in tested:
                    found = f"found a worm that {name!r} was not fitted for, since it is fitted to each tested worm"
                    raise ConfigError("baselines", f"{found}; expected the worms of the training")
                worm = tested.index(fingerprints[stretch])
                fits = jax.tree.map(lambda values, worm=worm: values[worm], fits)
            else:
                fits = jax.tree.map(lambda values: values[None], fits)
            known = np.isfinite(fits["bias"]).all(axis=1)
            states = zip(fits["weights"][known], fits["bias"][known], strict=True)
            probabilities[index, stretch] = np.mean(
                [predict_linear(LinearClassifier(*one), channels) for one in states], axis=0
            )
            if behavior is not None:
                weights, bias = (fits[f"behavior_{part}"][known].mean(axis=0) for part in ("weights", "bias"))
                behavior[index, stretch] = channels @ weights + bias
    return Decoded(probabilities, None, behavior)


def _mask_arrays(arrays: WormArrays, tested) -> WormArrays:
    """The arrays with nothing but the tested frames in them."""
    valid = arrays.valid & tested
    features, states = arrays.features * valid[..., None, None], np.where(valid, arrays.states, UNSCORED)
    return arrays._replace(features=features, states=states, valid=valid)


def _smooth(probabilities, dataset, groups, description):
    """Each group's probabilities in the light of how long its training worms' states lasted."""
    counts = np.asarray(description["transition_counts"])
    by_group = np.stack([transition_matrix(counts[list(group.split.train)].sum(axis=0)) for group in groups])
    return smooth_probabilities(probabilities, dataset.arrays.valid[None], by_group[:, None])


def _average_members(values, members):
    if values is None:
        return None
    return values.reshape(len(values) // members, members, *values.shape[1:]).mean(axis=1)
