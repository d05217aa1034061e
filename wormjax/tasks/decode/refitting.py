"""The linear decoder beside a network that is refitted to the neurons that each worm has (`models.refitted`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import log_softmax, softmax
from threadpoolctl import threadpool_limits

from wormjax.baselines import linear
from wormjax.features.dataset import Dataset, WormArrays
from wormjax.models.any_neurons import UNKNOWN
from wormjax.models.refitted import Moments, find_moments, refit, sum_frames
from wormjax.tasks.decode.baselines import find_used
from wormjax.tasks.decode.windows import Decoded
from wormjax.tasks.groups import Group

LEAST_PROBABILITY = 1e-6  # Of a state that a network decodes: a logarithm has no floor.


def measure_groups(config, dataset: Dataset, groups: Sequence[Group], labels: Mapping[int, np.ndarray]) -> dict:
    """Return what is kept of each group's training worms, `train.members` times each; frames of a test are left out."""
    arrays, sums, found = dataset.arrays, {}, []
    for group in groups:
        used, parts = find_used(config, dataset, labels[group.seed]), []
        for stretch in np.flatnonzero(np.isin(dataset.stretch_worm, group.split.train)):
            own = used[stretch]
            if (key := (stretch, own.tobytes())) not in sums and own.any():
                channels = _average_neighbours(arrays.features[stretch].reshape(1, len(own), -1), own[None])
                labelled = arrays.states[stretch][own], dataset.measured[stretch][own], len(dataset.state_names)
                sums[key] = sum_frames(channels, *labelled)
            parts += [sums[key]] if own.any() else []
        moments = find_moments({name: sum(part[name] for part in parts) for name in parts[0]})
        found += [moments] * config.train.members
    stacked = {name: np.stack([getattr(one, name) for one in found]) for name in Moments._fields}
    return {name: values for name, values in stacked.items() if values.size}  # No checkpoint holds empty arrays.


@threadpool_limits.wrap(limits=1)  # Small systems of equations: more threads wait for each other.
def mix_refitted(
    decoded: Decoded,
    refitted: float,
    variables: Any,
    dataset: Dataset,
    arrays: WormArrays,
    stretches: Int[np.ndarray, "group stretch"],
    trained: Sequence[str],
) -> Decoded:
    """Return what groups decode of their stretches as the mean of the network and of its refitted decoder.

    The latter has a weight of 1 / (1 + (n / refitted)²) where it reads n of the worm's neurons: with few nearly all of
    it, with many nearly none. Probabilities are averaged as logarithms.

    Args:
      variables: those of the first run of each group.
      arrays: of the dataset; what is not to be read is 0.
      trained: the names of the neurons that the groups were trained on.
    """
    places = np.flatnonzero([bool(name) for name in trained])  # Of each number of the vocabulary but UNKNOWN.
    probabilities, size = decoded.probabilities.copy(), arrays.features.shape[-1]
    behavior = None if decoded.behavior is None else decoded.behavior.copy()
    for group, own in enumerate(stretches):
        moments = Moments(**{name: values[group] for name, values in variables["moments"].items()})
        if not moments.shares.any():  # Of a network that is calibrated alone.
            continue
        numbers = variables["identity"]["ids"][group, :, 0]
        for worm in np.unique(dataset.stretch_worm[own]):
            worm_stretches = dataset.stretches_of(worm)
            features, valid = arrays.features[worm_stretches], arrays.valid[worm_stretches]
            there = (features != 0).any(axis=(0, 1, 3)) & (numbers != UNKNOWN)
            if not there.any():
                continue
            read = (places[numbers[there] - 1][:, None] * size + np.arange(size)).ravel()
            states, behaviors = refit(moments, read)
            channels = features[:, :, there].reshape(*valid.shape, -1)
            share = 1.0 / (1.0 + (there.sum() / refitted) ** 2)
            row, frame = np.nonzero(valid)
            place = group, np.array(worm_stretches)[row], frame
            logits = np.log(np.maximum(probabilities[place], LEAST_PROBABILITY))
            linear_logits = log_softmax(_average_neighbours(channels @ states.weights, valid) + states.bias, axis=-1)
            probabilities[place] = softmax((1 - share) * logits + share * linear_logits, axis=-1)
            if behavior is not None:
                values = _average_neighbours(channels @ behaviors.weights, valid) + behaviors.bias
                behavior[place] *= 1 - share
                behavior[place] += share * (values + variables["targets"]["mean"][group])
    return Decoded(probabilities, decoded.edges, behavior)


def _average_neighbours(
    values: Float[np.ndarray, "stretch frame channel"], valid: Bool[np.ndarray, "stretch frame"]
) -> Float[np.ndarray, "used channel"]:
    """Return the mean over each valid frame and its neighbours in the stretch."""
    parts = []
    for own, used in zip(values, valid, strict=True):
        stacked = linear.stack_context(own[..., None], used, linear.NEIGHBOURS)[used]
        parts.append(stacked.reshape(len(stacked), len(linear.NEIGHBOURS), -1).mean(axis=1))
    return np.concatenate(parts)
