"""Train the decoders of a config and decode worms with them: the steps that experiments are made of."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import softmax

from wormjax.baselines.hidden_markov import smooth_probabilities, transition_matrix
from wormjax.baselines.linear import LINEAR_BASELINES
from wormjax.baselines.own_activity import Activity, factor_activity, refine_by_own_activity
from wormjax.errors import ConfigError, InputError
from wormjax.features.dataset import Dataset, measure_scale
from wormjax.features.neurons import ANY
from wormjax.features.splits import TEST
from wormjax.models.any_neurons import build_vocabulary, index_identities, keep_known, move_identities
from wormjax.models.catalog import build_classifier
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.behavior import score_behavior
from wormjax.scoring.classification import score_states
from wormjax.scoring.rows import Row
from wormjax.tasks.config_checks import check_edge_prior
from wormjax.tasks.decode.baselines import decode_linear, find_used
from wormjax.tasks.decode.refitting import measure_groups, mix_refitted
from wormjax.tasks.decode.windows import Decoded, predict_stretches
from wormjax.tasks.given_graphs import EDGES, check_given, give_graph, move_given
from wormjax.tasks.groups import Group, split_by_seed
from wormjax.tasks.training import Training, prepare_training, tabulate_runs, train_into
from wormjax.tasks.worms import MOTOR_STATE
from wormjax.training.objectives.classification import classification, list_augmentations
from wormjax.training.parallel import DEVICE_AXIS
from wormjax.training.runs import Runs, share_windows
from wormjax.value_checks import check_names

LEAST_PROBABILITY = math.exp(-6.0)  # Of a state before it is refined: a logarithm has no floor.
PLAIN = "{} without own activity"  # What a model's rows are called that are not refined, where others are.


def test_labels(config, dataset: Dataset, groups: Iterable[Group]) -> dict[int, np.ndarray] | None:
    """Return seed → which frames may be seen and scored in a test; None where that is every frame."""
    if config.protocol.name != "same_worm":
        return None
    return {seed: labels == TEST for seed, labels in split_by_seed(config, dataset).items()}


def check_models(config):
    """Raise ConfigError for a model or baseline that does not exist, or that has other sizes than the config gives."""
    check_names("baselines", config.baselines, LINEAR_BASELINES)
    behaviors = len({*config.data.get("targets", ())} - {MOTOR_STATE})
    for name in config.models:
        module = build_classifier(name, 2, _sizes(config, name), targets=behaviors)
        check_edge_prior(config, name, getattr(module, "edge_types", 0))
    check_given(config)


def train_model(name: str, config, dataset: Dataset, groups: Sequence[Group], workdir, stop_after_chunks=None):
    """Train one deep model for every group and member, all runs in one compiled program."""
    training = build_training(name, config, dataset, build_group_runs(config, dataset, groups))
    return train_into(workdir, name, config.train, training, stop_after_chunks)


def build_training(name: str, config, dataset: Dataset, runs: Runs) -> Training:
    """Return how a model's runs, with the graph that they are given, are trained, and by which compiled program."""
    train = config.train
    runs = give_graph(name, config, dataset, runs, train.window_frames)
    objective = classification(
        _build_module(name, config, dataset, dataset.neuron_names, parallel=train.placement == "batch"),
        sizes=dataset.arrays.features.shape[2:],
        window_frames=train.window_frames,
        batch_windows=train.batch_windows,
        augmentations=list_augmentations(runs.hyper),
        edge_prior=tuple(train.edge_prior) or None,
        target_weight=train.get("target_weight", 1.0),
    )
    return prepare_training(objective, train, runs, dataset.arrays)


def build_group_runs(config, dataset: Dataset, groups: Sequence[Group]) -> Runs:
    """Return the runs of all groups, `train.members` of each group beside each other.

    Raises:
      InputError: a group without a single training or validation window, or without a scored frame to train on.
    """
    labels = split_by_seed(config, dataset)
    for group in groups:
        own = np.isin(dataset.stretch_worm, group.split.train)
        states = dataset.arrays.states[own][find_used(config, dataset, labels[group.seed])[own]]
        if (states == UNSCORED).all():
            worms = ", ".join(dataset.worms[worm] for worm in group.split.train)
            found = f"found {worms} as training worms, of which no frame has a scored motor state to train on"
            expected = "expected more training worms (protocol.train_counts), or recordings without these"
            raise ConfigError("data.path", f"{found}; {expected}")
    train_worms = [group.split.train for group in groups for _ in range(config.train.members)]
    runs = tabulate_runs(config, dataset, groups, config.train.members)
    if share := config.train.test_study_share:
        tested = np.array(dataset.worm_studies)[dataset.stretch_worm] == config.data.test_study
        runs = share_windows(runs, tested, share)
    own = _describe_runs(config, dataset, train_worms)
    if any(config.model.get(name, {}).get("refitted") for name in config.models):
        own["moments"] = measure_groups(config, dataset, groups, labels)
    return runs._replace(own=own or None)


def _describe_runs(config, dataset: Dataset, train_worms: Sequence[Sequence[int]]) -> dict:
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
    return own


def decode_model(name: str, config, description: dict, dataset: Dataset, groups: Sequence[Group], best) -> Decoded:
    """Decode the stretches of every group's test worms with that group.

    `description` is of the training data, `best` are the parameters of the runs of `groups`.

    Raises:
      InputError: the parameters are of another number of runs.
    """
    count = len(jax.tree.leaves(best)[0])
    members = 1 if name in LINEAR_BASELINES else config.train.members
    if count != len(groups) * members:
        raise InputError(f"checkpoint of {name!r}: found {count} runs, expected {len(groups)} groups of {members}")
    tested = test_labels(config, dataset, groups)
    # The stretches that each group is tested on; the shorter lists are filled up with what is there.
    own = [np.flatnonzero(np.isin(dataset.stretch_worm, group.split.test)) for group in groups]
    longest = max(1, *map(len, own))
    stretches = np.stack([np.resize(few if len(few) else [0], longest) for few in own])
    vocabulary = tuple(description["neurons"])
    if "identity" in best and vocabulary != dataset.neuron_names:
        ids = move_identities(best["identity"]["ids"], vocabulary, dataset.neuron_names)
        best = {**best, "identity": {"ids": ids}}
        if "given" in best:
            edges = move_given(name, config, best["given"]["edges"], vocabulary, dataset.neuron_names)
            best["given"] = {"edges": edges}
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
        valid = dataset.arrays.valid & tested[seed]  # Nothing but the tested frames.
        states = np.where(valid, dataset.arrays.states, UNSCORED)
        features = dataset.arrays.features * valid[..., None, None]
        arrays = dataset.arrays._replace(features=features, states=states, valid=valid)
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
    """Return the variables of some runs; which worms a baseline was fitted for, "tested", is the same for all."""
    own = {name: values for name, values in variables.items() if name != "tested"}
    return {**variables, **jax.tree.map(lambda x: x[runs], own)}


def _decode_arrays(name, config, dataset, vocabulary, variables, arrays, members, stretches) -> Decoded:
    if name in LINEAR_BASELINES:
        fingerprints = [dataset.fingerprints[worm] for worm in dataset.stretch_worm]
        probabilities, behavior = decode_linear(name, variables, arrays, stretches, fingerprints)
        return Decoded(probabilities, None, behavior)
    window = 0 if config.decode.whole else config.train.window_frames
    own = config.decode.get("own_statistics", False) and "batch_stats" in variables
    module = _build_module(name, config, dataset, vocabulary)
    refitted, variables = getattr(module, "refitted", 0.0), dict(variables)
    if refitted:
        module, moments = module.clone(refitted=0.0), variables.pop("moments")
    predictions = predict_stretches(module, variables, arrays, window, own, np.repeat(stretches, members, axis=0))

    def spread_out(values):  # The mean over members, of all stretches; zero where a group was not tested.
        mean = values.reshape(len(stretches), members, *values.shape[1:]).mean(axis=1)
        spread = np.zeros((len(mean), len(arrays.valid), *mean.shape[2:]), mean.dtype)
        spread[np.arange(len(mean))[:, None], stretches] = mean
        return spread

    decoded = jax.tree.map(spread_out, predictions)
    if not refitted:
        return decoded
    first = select_runs({**variables, "moments": moments}, np.arange(len(stretches)) * members)
    return mix_refitted(decoded, refitted, first, dataset, arrays, stretches, vocabulary)


def score_model(name: str, config, description: dict, dataset: Dataset, groups, decoded: Decoded) -> list[Row]:
    """Return the rows of one model: every group on every test worm of its split, every metric."""
    rows, stated = [], MOTOR_STATE in config.data.get("targets", (MOTOR_STATE,))
    tested = test_labels(config, dataset, groups)
    for index, group in enumerate(groups):
        scored = dataset.scored if tested is None else dataset.scored & tested[group.seed]
        place = describe_training(description, group.split.train)
        for worm in group.split.test:
            stretches = dataset.stretches_of(worm)
            behavior = None if decoded.behavior is None else decoded.behavior[index, stretches]
            metrics = score_worm(dataset, stretches, scored, decoded.probabilities[index, stretches], behavior, stated)
            where = name, *place, dataset.worm_studies[worm], dataset.worms[worm], group.seed
            rows += [Row(*where, metric, value) for metric, value in metrics.items()]
    return rows


def describe_training(description: dict, worms: Sequence[int]) -> tuple[str, tuple[str, ...]]:
    """Return the studies and the names of training worms, as rows have them."""
    studies = dict.fromkeys(description["worm_studies"][worm] for worm in worms)
    return "+".join(studies), tuple(description["worms"][worm] for worm in worms)


def score_worm(
    dataset: Dataset,
    stretches: Sequence[int],
    scored: Bool[np.ndarray, "stretch frame"],
    probabilities: Float[np.ndarray, "own frame state"],
    behavior: Float[np.ndarray, "own frame target"] | None,
    stated: bool = True,
) -> dict[str, float]:
    """Return metric → value of what was decoded of one worm's stretches, in the frames that are scored."""
    metrics = {}
    if stated:
        states = np.where(scored, dataset.scored_states, UNSCORED)[stretches]
        metrics |= score_states(probabilities.reshape(-1, probabilities.shape[-1]), states.ravel())
    if behavior is not None:
        measured = np.where(scored[..., None], dataset.measured, np.nan)[stretches]
        flat = (values.reshape(-1, measured.shape[-1]) for values in (behavior, measured))
        metrics |= score_behavior(*flat, dataset.target_names)
    return metrics


def score_decoder(
    label: str, name: str, config, description, dataset: Dataset, groups, variables, activity
) -> list[Row]:
    """Return the rows of one decoder under a label, refined by the worms' own activity (`factor_worms`) and plain."""
    decoded = {label: decode_model(name, config, description, dataset, groups, variables)}
    return score_models(config, description, dataset, groups, refine_all(decoded, dataset, groups, activity))


def score_models(config, description: dict, dataset: Dataset, groups, decoded: dict[str, Decoded]) -> list[Row]:
    """Return the rows of several models (`score_model`)."""
    scored = (score_model(name, config, description, dataset, groups, one) for name, one in decoded.items())
    return list(itertools.chain(*scored))


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


def _smooth(probabilities, dataset, groups, description):
    """Return each group's probabilities in the light of how long its training worms' states lasted."""
    counts = np.asarray(description["transition_counts"])
    by_group = np.stack([transition_matrix(counts[list(group.split.train)].sum(axis=0)) for group in groups])
    return smooth_probabilities(probabilities, dataset.arrays.valid[None], by_group[:, None])
