"""How alike the graphs of several worms are, by method, beside those of shuffled neurons.

That is the quadratic assignment procedure (Krackhardt 1988, Social Networks 10:359): edges that share a neuron go
together by themselves, so the edges alone are no sample of their own.
"""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wormjax.graphs import edges_to_matrix, matrix_to_edges


class GraphSimilarity(NamedTuple):
    """How alike the graphs of several methods are, and those of shuffled neurons; NaN where a graph is constant."""

    methods: tuple[str, ...]
    between: Float[np.ndarray, "method method"]  # Correlation of two methods' graphs of a worm, mean over worms.
    between_null: Float[np.ndarray, "shuffle method method"]  # 1 on the diagonal.
    pairs: Int[np.ndarray, "pair 2"]
    across: Float[np.ndarray, "method pair"]  # Correlation of a method's graphs of two worms.
    across_null: Float[np.ndarray, "shuffle method"]  # Its mean over pairs.


def compare_scores(
    scores: Mapping[str, Float[np.ndarray, "worm edge"]], shuffles: int = 500, seed: int = 0
) -> GraphSimilarity:
    """Correlate scores of edges: methods within a worm, and worms within a method, each with its null.

    A shuffle gives every graph (of each method and worm) its own order of neurons, so nothing is left in common but
    what any two such graphs have.

    Scores are any number per edge, such as `Relation.score`, of the same worms and neurons in the same order.
    """
    values = np.stack([np.asarray(own, np.float64) for own in scores.values()])
    worms, neurons = values.shape[1], (1 + math.isqrt(1 + 4 * values.shape[-1])) // 2
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


def _correlate_all(values, pairs):
    """Return correlations: between methods [method, method], mean over worms; across worms [method, pair]."""
    centred = values - values.mean(axis=-1, keepdims=True)
    size = np.sqrt((centred**2).mean(axis=-1, keepdims=True))
    varies = size > 1e-9
    scaled = np.where(varies, centred / np.where(varies, size, 1.0), np.nan) / np.sqrt(values.shape[-1])
    between = np.einsum("awe,bwe->wab", scaled, scaled)
    across = (scaled[:, pairs[:, 0]] * scaled[:, pairs[:, 1]]).sum(axis=-1)
    return _mean(between, axis=0), across


def _mean(values, axis):
    """Return the mean of what is a number; NaN where nothing is."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
