"""Relational graphs of every worm of a dataset, and how alike graphs are: between methods, and between worms.

Graphs are compared by Pearson's correlation of their edges' probabilities, against the same with the neurons of each
graph shuffled (the quadratic assignment procedure, Krackhardt 1988, Social Networks 10:359): edges that share a neuron
go together by themselves, so the edges alone are no sample of their own. Graphs inferred by a deep model are compared
in the same way.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wormjax.baselines.relational_graphs import RELATIONS, Relation, choose_relation, measure_relation
from wormjax.errors import InputError
from wormjax.features.dataset import Dataset
from wormjax.graphs import complete_edges, edges_to_matrix, matrix_to_edges


class GraphSimilarity(NamedTuple):
    """How alike the graphs of several methods are; NaN where a graph is constant.

    Attributes:
      methods: names, in the order of the axes.
      between: correlation of two methods' graphs of the same worm, mean over worms.
      between_null: the same with the neurons of each graph shuffled, a matrix a shuffle; 1 on the diagonal.
      pairs: the two worms of each pair.
      across: correlation of a method's graphs of two worms.
      across_null: its mean over pairs, with the neurons of each graph shuffled.
    """

    methods: tuple[str, ...]
    between: Float[np.ndarray, "method method"]
    between_null: Float[np.ndarray, "shuffle method method"]
    pairs: Int[np.ndarray, "pair 2"]
    across: Float[np.ndarray, "method pair"]
    across_null: Float[np.ndarray, "shuffle method"]


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


def compare_graphs(
    graphs: Mapping[str, Float[np.ndarray, "worm edge type"]], shuffles: int = 500, seed: int = 0
) -> GraphSimilarity:
    """Correlates the probabilities of an edge: methods within a worm, and worms within a method, each with its null.

    Probabilities say how sure an edge is: where nearly all are (as of correlation, in neurons that move together), what
    is left to compare is little, and `compare_scores` says more.

    Args:
      graphs: name → the probabilities of edge types, of the same worms and neurons in the same order; any number of
        types, of which the first is "no edge". A deep model's graphs are averaged over its windows first.
      shuffles: for the nulls.
      seed: of the shuffles.

    Raises:
      InputError: no graph, or shapes that do not go together.
    """
    for name, edges in graphs.items():
        if np.ndim(edges) != 3 or np.shape(edges)[2] < 2:
            expected = "[worm, edge, type] with 2 types or more"
            raise InputError(f"graphs to compare, method {name!r}: found shape {np.shape(edges)}, expected {expected}")
    present = {name: 1.0 - np.asarray(edges, np.float64)[..., 0] for name, edges in graphs.items()}
    return compare_scores(present, shuffles, seed)


def compare_scores(
    scores: Mapping[str, Float[np.ndarray, "worm edge"]], shuffles: int = 500, seed: int = 0
) -> GraphSimilarity:
    """`compare_graphs` for any number an edge, such as `Relation.score`; its unit does not matter.

    A shuffle gives every graph (of each method and worm) its own order of neurons, so nothing is left in common but
    what any two such graphs have.
    """
    values = _check_scores(scores)
    worms, neurons = values.shape[1], _count_neurons(values.shape[-1])
    pairs = np.array(list(combinations(range(worms), 2)), int).reshape(-1, 2)
    between, across = _correlate_all(values, pairs)
    matrices = edges_to_matrix(values, neurons)
    random, nulls = np.random.default_rng(seed), []
    for _ in range(shuffles):
        order = random.permuted(np.broadcast_to(np.arange(neurons), (*values.shape[:2], neurons)), axis=-1)
        rows = np.take_along_axis(matrices, order[..., None], axis=2)
        shuffled = np.take_along_axis(rows, order[:, :, None], axis=3)
        one_between, one_across = _correlate_all(matrix_to_edges(shuffled), pairs)
        nulls.append((one_between, _mean(one_across, axis=1)))
    between_null, across_null = (np.array(part) for part in zip(*nulls, strict=True))
    return GraphSimilarity(tuple(scores), between, between_null, pairs, across, across_null)


def _check_scores(scores) -> Float[np.ndarray, "method worm edge"]:
    if not scores:
        raise InputError("graphs to compare: found none, expected one method's or more")
    first = np.shape(next(iter(scores.values())))
    for name, values in scores.items():
        if np.ndim(values) != 2 or np.shape(values) != first:
            expected = f"[worm, edge], {first} as the first"
            raise InputError(f"graphs to compare, method {name!r}: found shape {np.shape(values)}, expected {expected}")
    return np.stack([np.asarray(values, np.float64) for values in scores.values()])


def _count_neurons(edges):
    neurons = round((1 + np.sqrt(1 + 4 * edges)) / 2)
    if neurons * (neurons - 1) != edges or neurons < 2:
        raise InputError(f"graphs to compare: found {edges} edges, expected n (n - 1) for n neurons")
    return neurons


def _correlate_all(values, pairs):
    """Between methods [method, method], mean over worms; across worms [method, pair]."""
    centred = values - values.mean(axis=-1, keepdims=True)
    size = np.sqrt((centred**2).mean(axis=-1, keepdims=True))
    varies = size > 1e-9
    scaled = np.where(varies, centred / np.where(varies, size, 1.0), np.nan) / np.sqrt(values.shape[-1])
    between = np.einsum("awe,bwe->wab", scaled, scaled)
    across = (scaled[:, pairs[:, 0]] * scaled[:, pairs[:, 1]]).sum(axis=-1)
    return _mean(between, axis=0), across


def _mean(values, axis):
    """Mean of what is a number; NaN where nothing is."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
