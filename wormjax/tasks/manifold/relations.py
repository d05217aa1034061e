"""Relational graphs of every worm of a dataset, and how alike graphs are: between methods, and between worms.

Graphs are compared by Pearson's correlation of their edges' probabilities, against the same with the neurons of each
graph shuffled (the quadratic assignment procedure, Krackhardt 1988, Social Networks 10:359): edges that share a neuron
go together by themselves, so the edges alone are no sample of their own. Graphs inferred by a deep model are compared
in the same way.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from wormjax.baselines.relational_graphs import RELATIONS, Relation, choose_relation, measure_relation
from wormjax.errors import InputError
from wormjax.features.dataset import Dataset
from wormjax.graphs import complete_edges


def relate_worms(
    dataset: Dataset,
    methods: Sequence[str] = tuple(RELATIONS),
    shifts: int = 200,
    lag: int = 6,
    order: int = 4,
    seed: int = 0,
) -> dict[str, Float[np.ndarray, "worm edge type"]]:
    """Method → the probabilities of no edge and of an edge, in every worm; see `measure_worms`."""
    measured = measure_worms(dataset, methods, shifts, lag, order, seed)
    return {name: relation.edges for name, relation in measured.items()}


def measure_worms(
    dataset: Dataset,
    methods: Sequence[str] = tuple(RELATIONS),
    shifts: int = 200,
    lag: int = 6,
    order: int = 4,
    seed: int = 0,
) -> dict[str, Relation]:
    """Method → its probabilities, scores, z and p-values [worm, edge], by the first feature (the trace) of the dataset.

    Each worm is related by itself, over all its valid frames: stretches of one worm are laid end to end, and shifted in
    one circle.

    Args:
      dataset: of any number of worms, which may differ in length.
      methods: names of wormjax.baselines.relational_graphs.RELATIONS.
      shifts: of each neuron, for the null.
      lag: frames, for "lagged_correlation"; 6 are 2 s in Kato's worms.
      order: past frames, for "granger"; 1 cannot tell a neuron that goes on rising from one that is driven.
      seed: of the shifts; each worm has its own.

    Raises:
      InputError: an unknown method, one neuron alone, or fewer frames or shifts than a method needs.
    """
    for method in methods:
        choose_relation(method)
    found = {}
    for method in methods:
        worms = [
            measure_relation(
                method, join_stretches(dataset, worm), np.random.default_rng([seed, worm]), shifts, lag, order
            )
            for worm in range(len(dataset.worms))
        ]
        found[method] = Relation(*(np.stack(values) for values in zip(*worms, strict=True)))
    return found


def join_stretches(dataset: Dataset, worm: int) -> Float[np.ndarray, "frame neuron 1"]:
    """The first feature in all valid frames of a worm, its stretches one after the other."""
    parts = [dataset.arrays.features[k][dataset.arrays.valid[k]] for k in dataset.stretches_of(worm)]
    return np.concatenate([np.asarray(part)[..., :1] for part in parts])


def measure_false_edges(
    dataset: Dataset, method: str, level: float = 0.05, shifts: int = 100, lag: int = 6, order: int = 4, seed: int = 0
) -> Float[np.ndarray, " pair"]:
    """The share of edges with p <= level between neurons of two worms, which cannot be related; each pair of worms.

    The null on the recordings themselves: near `level` where circular shifts are honest, above it where something else
    that all worms share (a trend, for instance) passes for a relation. Both worms are put side by side as if they were
    one, cut to the shorter.

    Raises:
      InputError: as `measure_worms`; fewer than two worms.
    """
    pairs = list(combinations(range(len(dataset.worms)), 2))
    if not pairs:
        raise InputError(f"edges between worms: found {len(dataset.worms)} worm, expected 2 or more")
    neurons = len(dataset.neuron_names)
    senders, receivers = complete_edges(2 * neurons)
    between = (senders < neurons) != (receivers < neurons)
    shares = []
    for number, pair in enumerate(pairs):
        traces = [join_stretches(dataset, worm) for worm in pair]
        frames = min(len(trace) for trace in traces)
        both = np.concatenate([trace[:frames] for trace in traces], axis=1)
        relation = measure_relation(method, both, np.random.default_rng([seed, number]), shifts, lag, order)
        shares.append(np.mean(relation.p_value[between] <= level))
    return np.array(shares)


def correlate_neurons(dataset: Dataset) -> Float[np.ndarray, "neuron neuron"]:
    """The neurons' correlation with its sign, mean over worms: an order of neurons for figures comes of it."""
    matrices = []
    for worm in range(len(dataset.worms)):
        trace = join_stretches(dataset, worm)[..., 0].astype(np.float64)
        centred = trace - trace.mean(axis=0)
        size = np.sqrt((centred**2).sum(axis=0))
        scaled = centred / np.where(size > 0, size, 1.0)  # A constant neuron correlates with none.
        matrices.append(scaled.T @ scaled)
    return np.mean(matrices, axis=0)
