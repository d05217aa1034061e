"""Networks that give the motor state to come: the classifiers of wormjax.models, asked at the end of a window.

A window ends with the last frame known, so whatever context a classifier takes lies in the past. With `base`, a network
corrects what a chain of states expects; the chain that a training worm is seen with is fitted to the others.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import Starts
from wormjax.models.catalog import CLASSIFIERS, build_classifier
from wormjax.models.classifiers import Correction
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead.questions import Answers, ask, find_steps, tabulate
from wormjax.tasks.config_checks import check_edge_prior
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.tasks.training import Training, prepare_training, tabulate_runs, train_into
from wormjax.training.objectives.classification import list_augmentations
from wormjax.training.objectives.future_states import AheadData, AheadObjective, split_answers
from wormjax.training.runs import Runs
from wormjax.training.stacked_runs import map_chunks
from wormjax.value_checks import check_names, check_value, text

BASES = ("none", simple.DWELL, simple.DWELL + simple.KNOWN)
GIVEN = ("kind", "base")  # Fields of a model's section that are not sizes of its network.
RESERVED = "simple"  # The folder of what all simple baselines learn; a network's folder has its name.
SMALLEST_BASE = 1e-4  # Probability that a chain gives any answer, so that a network can raise it.
STARTS_AT_ONCE = 256


def check_models(config):
    """Raise ConfigError for a model that the config does not describe, or describes with what does not exist."""
    check_names("models", config.models, config.model)
    for name in config.models:
        if name in (*simple.BASELINES, RESERVED):
            expected = "expected a name that is no baseline's"
            raise ConfigError("models", f"found {name!r}, {expected} and not {RESERVED!r}")
        section = config.model[name]
        for field, choices in (("kind", CLASSIFIERS), ("base", BASES)):
            check_value(f"model.{name}.{field}", section.get(field), text(choices))
        if section.kind.startswith("wang_"):
            expected = "expected a network without batch normalisation"
            raise ConfigError(f"model.{name}.kind", f"found {section.kind!r}, {expected}")
        try:
            module = build_classifier(section.kind, 2, _sizes(config, name))
        except ConfigError as error:  # It knows the kind, not what the config calls the section.
            field = error.field.replace(f"model.{section.kind}", f"model.{name}")
            raise ConfigError(field, error.problem) from None
        check_edge_prior(config, name, getattr(module, "edge_types", 0))


def count_answers(config, dataset: Dataset) -> int:
    """Return outputs of a network: a state at each horizon, and the interval of the next reversal."""
    horizons = len(config.ahead.seconds)
    return horizons * len(dataset.state_names) + horizons + 1


def tabulate_bases(
    config, setting: simple.Setting, dataset: Dataset, splits: Sequence[Split], base: str
) -> tuple[Float[np.ndarray, "entry frame answer"], Int[np.ndarray, "split stretch"]]:
    """Return what a chain expects in every frame of a split's training worms, fitted to its other training worms.

    Of a lone training worm, each half is seen with the chain of the other.

    Returns:
      Log-probabilities by entry, and each split's entry of each stretch (0 where it is not used).
    """
    index = np.zeros((len(splits), len(dataset.stretch_worm)), np.int32)
    shape = (dataset.arrays.valid.shape[1], count_answers(config, dataset))
    if base == "none":
        return np.zeros((1, *shape), np.float32), index
    worms, entries, numbers = simple.gather_worms(dataset), [], {}
    for number, split in enumerate(splits):
        for worm in split.train:
            others = tuple(other for other in split.train if other != worm)
            stretches = dataset.stretches_of(worm)
            if (worm, others) not in numbers:
                numbers[worm, others] = len(entries)
                seen = _see_training_worm(setting, worms, worm, others, base)
                entries += [np.pad(values, ((0, shape[0] - len(values)), (0, 0))) for values in seen]
            index[number, stretches] = numbers[worm, others] + np.arange(len(stretches))
    return np.stack(entries), index


def _see_training_worm(setting, worms, worm, others, base) -> list[np.ndarray]:
    """Return log-probabilities [frame, answer] by stretch."""
    if others:
        fit = simple.fit_simple(setting, [worms[other] for other in others])
        return [expect(setting, fit, stretch, base) for stretch in worms[worm]]
    first, second = simple.list_parts([worms[worm]])
    halves = []
    for part, rest in ((first, second), (second, first)):
        fit = simple.fit_simple(setting, [rest])
        halves += [expect(setting, fit, stretch, base) for stretch in part]
    if len(halves) == len(worms[worm]):
        return halves
    joined = np.concatenate(halves)  # The cut lies within a stretch.
    return np.split(joined, np.cumsum([len(stretch.states) for stretch in worms[worm]])[:-1])


def expect(setting: simple.Setting, fit: dict, stretch: simple.Stretch, base: str) -> Float[np.ndarray, "frame answer"]:
    """Return log-probabilities of all answers by a chain, in every frame of a stretch."""
    answers = simple.answer_baseline(base, setting, fit, stretch, np.arange(len(stretch.states)))
    states = answers.states.reshape(len(answers.states), -1)
    both = np.concatenate([states, answers.onset], axis=1)
    return np.log(np.maximum(both, SMALLEST_BASE)).astype(np.float32)


def build_training(name: str, config, setting, dataset: Dataset, splits: Sequence[Split], groups) -> Training:
    """Return how one network's runs are trained, and by which compiled program."""
    train = config.train
    targets = tabulate(config, dataset, dataset.arrays.states)
    bases, index = tabulate_bases(config, setting, dataset, splits, config.model[name].base)
    of_run = np.repeat([splits.index(group.split) for group in groups], train.members)
    runs = build_group_runs(config, dataset, groups)._replace(own={"base": index[of_run]})
    objective = AheadObjective(
        build_module(name, config, dataset),
        sizes=dataset.arrays.features.shape[2:],
        states=len(dataset.state_names),
        horizons=len(config.ahead.seconds),
        window_frames=train.window_frames,
        batch_windows=train.batch_windows,
        augmentations=list_augmentations(runs.hyper),
        edge_prior=tuple(train.edge_prior) or None,
    )
    return prepare_training(objective, train, runs, AheadData(dataset.arrays, targets.states, targets.onset, bases))


def build_group_runs(config, dataset: Dataset, groups: Sequence[Group]) -> Runs:
    """Return each group's runs, `train.members` per group.

    Where some frames validate, a window of training keeps clear of them with the frames that it predicts, too.
    """
    window, field = config.train.window_frames, "train.window_frames"
    if config.split.validation_fraction:
        window, field = window + max(find_steps(config, dataset)), f"{field} and the frames of ahead.seconds"
    return tabulate_runs(config, dataset, groups, config.train.members, window, field)


def train_model(name: str, config, setting, dataset: Dataset, splits, groups, workdir, stop_after_chunks=None):
    """Train one network for every group and member, all runs in one compiled program."""
    training = build_training(name, config, setting, dataset, splits, groups)
    return train_into(workdir, name, config.train, training, stop_after_chunks)


def build_module(name: str, config, dataset: Dataset) -> nn.Module:
    """Return the network of one model."""
    return build_classifier(config.model[name].kind, count_answers(config, dataset), _sizes(config, name))


def build_answering(name: str, config, dataset: Dataset):
    """Return a function (members' variables, features, valid, starts, base) → answers, averaged over members.

    It takes any number of starts and is compiled once.
    """
    window, states, horizons = config.train.window_frames, len(dataset.state_names), len(config.ahead.seconds)
    module = Correction(build_module(name, config, dataset), states, horizons)

    @jax.jit
    def answer_chunk(variables, features, valid, starts):
        def one(inputs):
            number, last, expected = inputs
            place = jax.lax.dynamic_slice
            own_features = place(features, (number, last, 0, 0), (1, window, *features.shape[2:]))
            own_valid = place(valid, (number, last), (1, window))
            decoding = jax.vmap(lambda v: module.apply(v, own_features, own_valid, expected[None]))(variables)
            logits = split_answers(decoding.logits[:, 0], states, horizons)
            edges = None if decoding.edge_logits is None else jax.nn.softmax(decoding.edge_logits)[:, 0].mean(axis=0)
            return *(jax.nn.softmax(part).mean(axis=0) for part in logits), edges

        # Frames are counted with the padding in front: a window that ends before frame `frame` begins at `frame`.
        return jax.vmap(one)(starts)

    size = max(1, min(STARTS_AT_ONCE, len(ask(config, dataset)[0].frame)))

    def answer(variables, features, valid, stretch, frame, base):
        features, valid = jnp.asarray(features), jnp.asarray(valid)
        return map_chunks(lambda chunk: answer_chunk(variables, features, valid, chunk), (stretch, frame, base), size)

    return answer


def answer_starts(
    answer, config, dataset: Dataset, starts: Starts, variables, base: Float[np.ndarray, "start answer"]
) -> tuple[Answers, Float[np.ndarray, "start edge type"] | None]:
    """Return one group's answers (`build_answering`) at `starts`; no frame at or after a start enters them."""
    window = config.train.window_frames
    features = np.pad(dataset.arrays.features, ((0, 0), (window, 0), (0, 0), (0, 0)))
    valid = np.pad(dataset.arrays.valid, ((0, 0), (window, 0)))
    states, onset, edges = answer(variables, features, valid, starts.stretch, starts.frame, base)
    return Answers(states.astype(np.float64), onset.astype(np.float64)), edges


def expect_starts(config, setting, fit: dict, dataset: Dataset, starts: Starts, base: str):
    """Return what a split's chain expects at each start of worms that it was not fitted to [start, answer]."""
    expected = np.zeros((len(starts.frame), count_answers(config, dataset)), np.float32)
    if base == "none":
        return expected
    for number in np.unique(starts.stretch):
        own = starts.stretch == number
        expected[own] = expect(setting, fit, simple.cut_stretch(dataset, number), base)[starts.frame[own] - 1]
    return expected


def _sizes(config, name) -> dict:
    return {field: value for field, value in config.model[name].items() if field not in GIVEN}
