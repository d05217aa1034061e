"""Relational graphs of every worm of a dataset, and those between worms, which cannot be related."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from wormjax.baselines.relational_graphs import RELATIONS, Relation, measure_relation
from wormjax.baselines.relations import standardize
from wormjax.features.dataset import Dataset
from wormjax.graphs import complete_edges


def measure_worms(
    dataset: Dataset, methods: Sequence[str] = RELATIONS, shifts: int = 200, lag: int = 6, order: int = 4, seed: int = 0
) -> dict[str, Relation]:
    """Return method → its probabilities, scores and p-values [worm, edge], by the first feature, the trace.

    Each worm is related by itself, over all its valid frames: stretches of one worm are laid end to end, and shifted in
    one circle.

    Args:
      lag: frames, for "lagged_correlation"; 6 are 2 s in Kato's worms.
      order: past frames, for "granger"; with 1, a neuron that goes on rising looks driven.
      seed: of the shifts; each worm has its own.

    Raises:
      InputError: one neuron alone, or fewer frames than a method needs.
    """
    found, traces = {}, [join_stretches(dataset, worm) for worm in range(len(dataset.worms))]
    for method in methods:
        randoms = (np.random.default_rng([seed, worm]) for worm in range(len(traces)))
        own = [measure_relation(method, *pair, shifts, lag, order) for pair in zip(traces, randoms, strict=True)]
        found[method] = Relation(*(np.stack(values) for values in zip(*own, strict=True)))
    return found


def join_stretches(dataset: Dataset, worm: int) -> Float[np.ndarray, "frame neuron 1"]:
    """Return the first feature in all valid frames of a worm, its stretches one after the other."""
    parts = [dataset.arrays.features[k][dataset.arrays.valid[k]] for k in dataset.stretches_of(worm)]
    return np.concatenate([np.asarray(part)[..., :1] for part in parts])


def measure_false_edges(
    dataset: Dataset, method: str, level: float = 0.05, shifts: int = 100, lag: int = 6, order: int = 4, seed: int = 0
) -> Float[np.ndarray, " pair"]:
    """Return the share of edges with p <= level between neurons of each pair of worms, which cannot be related.

    The null on the recordings themselves: near `level` where circular shifts are honest, above it where something else
    that all worms share (a trend, for instance) passes for a relation. Both worms are put side by side as if they were
    one, cut to the shorter.

    Raises: as `measure_worms`.
    """
    neurons = len(dataset.neuron_names)
    senders, receivers = complete_edges(2 * neurons)
    between = (senders < neurons) != (receivers < neurons)
    shares = []
    for number, pair in enumerate(combinations(range(len(dataset.worms)), 2)):
        traces = [join_stretches(dataset, worm) for worm in pair]
        frames = min(len(trace) for trace in traces)
        both = np.concatenate([trace[:frames] for trace in traces], axis=1)
        relation = measure_relation(method, both, np.random.default_rng([seed, number]), shifts, lag, order)
        shares.append(np.mean(relation.p_value[between] <= level))
    return np.array(shares)


def correlate_neurons(dataset: Dataset) -> Float[np.ndarray, "neuron neuron"]:
    """Return the neurons' correlation with its sign, mean over worms: it orders neurons in figures."""
    worms = (join_stretches(dataset, worm)[..., 0].astype(np.float64) for worm in range(len(dataset.worms)))
    return np.mean([scaled.T @ scaled / len(scaled) for scaled in (standardize(own, axis=0) for own in worms)], axis=0)
