"""The linear baselines of decoding: fitted to groups' training worms, and decoded with."""

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Bool
from threadpoolctl import threadpool_limits

from wormjax.baselines import linear
from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset, WormArrays
from wormjax.features.splits import TRAINING, VALIDATION
from wormjax.recordings.recording import UNSCORED
from wormjax.tasks.groups import Group, model_folder, split_by_seed
from wormjax.training.fitted import fit_once


def train_baseline(
    name: str, config, dataset: Dataset, groups: Sequence[Group], workdir, tested: Dataset | None = None
):
    """Fit one linear baseline for every group (`fit_baseline`) and keep it in the workdir."""
    fit_once(model_folder(workdir, name), lambda: fit_baseline(name, config, dataset, groups, tested))


@threadpool_limits.wrap(limits=1)  # Small products: more threads wait for each other.
def fit_baseline(
    name: str, config, dataset: Dataset, groups: Sequence[Group], tested: Dataset | None = None
) -> dict[str, np.ndarray]:
    """Return one linear baseline's arrays by group, fitted on all scored frames that are not kept for a test.

    Of PAIRS the arrays are by group, tested worm (known by the fingerprints in "tested") and training worm, NaN where a
    group has fewer of these than another.

    `tested` are the worms to be tested, if others than those of `dataset`; PAIRS and SHARED read which neurons they
    have.
    """
    baseline, labels, tested = linear.LINEAR_BASELINES[name], split_by_seed(config, dataset), tested or dataset
    present, there = dataset.find_present(), tested.find_present()
    same_worm = config.protocol.name == "same_worm"

    @functools.cache
    def fit(worms, seed, neurons):
        return fit_neurons(name, config, dataset, worms, np.array(neurons), labels[seed])

    def fit_group(group):
        # On whole worms the seed would only move the split that the penalty is chosen on: one fit serves all.
        seed = group.seed if same_worm else config.seed
        if baseline.neurons != linear.PAIRS:
            shared = present.all(axis=0) & there.all(axis=0)
            neurons = shared if baseline.neurons == linear.SHARED else np.ones_like(shared)
            return fit(group.split.train, seed, tuple(neurons.tolist()))
        most, rows = max(len(other.split.train) for other in groups), []
        for own in there:
            fits = [fit((worm,), seed, tuple((present[worm] & own).tolist())) for worm in group.split.train]
            lacking = jax.tree.map(lambda values: np.full_like(values, np.nan), fits[0])
            rows.append(stack([*fits, *[lacking] * (most - len(fits))]))
        return stack(rows)

    def stack(fits):
        return jax.tree.map(lambda *parts: np.stack(parts), *fits)

    fitted = stack([*map(fit_group, groups)])
    return fitted | ({"tested": np.array(tested.fingerprints)} if baseline.neurons == linear.PAIRS else {})


def fit_neurons(name: str, config, dataset: Dataset, worms, neurons, labels) -> dict[str, np.ndarray]:
    """Return the weights of states, and of behaviours where there are any, fitted to some worms and neurons.

    Neurons that are not read are 0; `labels` are the split of all frames.
    """
    baseline, settings = linear.LINEAR_BASELINES[name], config.linear
    used = find_used(config, dataset, labels)
    channels, stretch, frame = _stack_frames(dataset, worms, used, neurons, baseline.offsets)
    states, validation = dataset.arrays.states[stretch, frame], labels[stretch, frame] == VALIDATION
    scored, read = states != UNSCORED, channels.any(axis=0)
    read[:1] |= not read.any()  # A fit needs a channel.
    own = channels[:, read]  # What is always 0 would only take time.
    frames = own[scored], states[scored], validation[scored]
    penalty = settings.inverse_penalty, settings.balanced
    fits = {"": linear.fit_linear(*frames, len(dataset.state_names), baseline.kind, *penalty)}
    if dataset.target_names:
        behavior = dataset.measured[stretch, frame].astype(np.float64)
        fits["behavior_"] = linear.fit_ridge(own, behavior, settings.ridge_penalty)
    fitted = {}
    for prefix, fit in fits.items():
        weights = np.zeros((len(read), len(fit.bias)))
        weights[read] = fit.weights
        fitted |= {f"{prefix}weights": weights, f"{prefix}bias": fit.bias}
    return fitted


def find_used(config, dataset, labels) -> Bool[np.ndarray, "stretch frame"]:
    """Return the frames that may train: all of a worm, but under "same_worm" those not kept for a test."""
    return np.isin(labels, (TRAINING, VALIDATION)) if config.protocol.name == "same_worm" else dataset.arrays.valid


def _stack_frames(dataset, worms, used, neurons, offsets):
    """Return the channels of all frames in use of some worms and neurons, and the stretch and frame of each."""
    stretches = np.flatnonzero(np.isin(dataset.stretch_worm, worms))
    channels, places = [], []
    for stretch in stretches:
        features = dataset.arrays.features[stretch] * neurons[:, None]
        channels.append(linear.stack_context(features, used[stretch], offsets)[used[stretch]])
        frames = np.flatnonzero(used[stretch])
        places.append(np.stack([np.full_like(frames, stretch), frames]))
    return np.concatenate(channels), *np.concatenate(places, axis=1)


@threadpool_limits.wrap(limits=1)
def decode_linear(name, variables, arrays: WormArrays, stretches, fingerprints):
    """Return probabilities and behaviours (None for no behaviour) of stretches, by a baseline of every group.

    The fingerprints are those of the worm of each stretch.
    """
    baseline, variables = linear.LINEAR_BASELINES[name], dict(variables)
    tested = list(variables.pop("tested", ()))
    shape = (len(stretches), *arrays.valid.shape)
    probabilities = np.zeros((*shape, variables["bias"].shape[-1]), np.float32)
    behavior = None
    if "behavior_bias" in variables:
        behavior = np.zeros((*shape, variables["behavior_bias"].shape[-1]), np.float32)
    for stretch in np.unique(stretches):
        channels = linear.stack_context(arrays.features[stretch], arrays.valid[stretch], baseline.offsets)
        for index in np.flatnonzero((stretches == stretch).any(axis=1)):
            fits = jax.tree.map(lambda values, index=index: values[index], variables)
            if baseline.neurons == linear.PAIRS:
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
                [linear.predict_linear(linear.LinearClassifier(*one), channels) for one in states], axis=0
            )
            if behavior is not None:
                weights, bias = (fits[f"behavior_{part}"][known].mean(axis=0) for part in ("weights", "bias"))
                behavior[index, stretch] = channels @ weights + bias
    return probabilities, behavior
