"""Scores of edges against a reference graph that may be unknown for some pairs: AUROC, direction, and their nulls.

A reference is a matrix [sender, receiver] of 1 (edge), 0 (none) and NaN (not known). Three nulls say how far a score
stands out of chance: the reference rewired with its degrees kept (Maslov & Sneppen 2002, Science 296:910), the names of
the scored neurons permuted, and, where the scores are made, circular shifts of the traces. Intervals are a bootstrap
over neuron classes: left and right of a class are drawn together, since they are no two samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.metrics import average_precision_score

from wormjax.recordings.names import find_mirrors, split_neuron_name
from wormjax.scoring.classification import rank_auroc

SWAPS = 10  # Tried per edge when a graph is rewired.

Matrix = Float[np.ndarray, "sender receiver"]
Pairs = Bool[np.ndarray, "sender receiver"]


class GraphScore(NamedTuple):
    """How well scores find the edges of a reference."""

    pairs: int  # That are scored, ordered.
    edges: int  # Among them.
    auroc: float
    average_precision: float


def find_pairs(scores: Matrix, reference: Matrix) -> Pairs:
    """Return the pairs of two neurons that have a score and are known in the reference."""
    return np.isfinite(scores) & np.isfinite(reference) & ~np.eye(len(scores), dtype=bool)


def find_homologues(names: Sequence[str]) -> Pairs:
    """Return the left-right pairs, in both directions."""
    mirrors, places = np.array(find_mirrors(names)), np.arange(len(names))
    pairs = np.zeros((len(names), len(names)), bool)
    own = (mirrors >= 0) & (mirrors != places)
    pairs[places[own], mirrors[own]] = True
    return pairs


def weigh_auroc(
    scores: Float[np.ndarray, " pair"], edges: Bool[np.ndarray, "*draw pair"], weights: Float[np.ndarray, "draw pair"]
) -> Float[np.ndarray, " draw"]:
    """Return the AUROC with each pair counted by each draw's weights."""
    order = np.argsort(scores, kind="stable")
    scores, edges, weights = scores[order], edges[..., order], weights[:, order]
    starts = np.flatnonzero(np.concatenate([[True], scores[1:] > scores[:-1]]))
    with_edge = np.add.reduceat(weights * edges, starts, axis=1)
    without = np.add.reduceat(weights * ~edges, starts, axis=1)
    below = np.cumsum(without, axis=1) - without / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (with_edge * below).sum(axis=1) / (with_edge.sum(axis=1) * without.sum(axis=1))


class Draws(NamedTuple):
    """Bootstrap draws of neuron classes: how often each neuron occurs in each, and the class of each neuron."""

    counts: Float[np.ndarray, "draw neuron"]
    classes: Int[np.ndarray, " neuron"]


def draw_classes(names: Sequence[str], draws: int) -> Draws:
    """Return draws of as many classes as there are, with replacement."""
    classes = np.unique([split_neuron_name(name)[0] for name in names], return_inverse=True)[1]
    size = classes.max() + 1
    counts = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), draws)[:, classes]
    return Draws(counts.astype(float), classes)


def bootstrap_auroc(scores: Matrix, reference: Matrix, pairs: Pairs, draws: Draws) -> Float[np.ndarray, " draw"]:
    """Return the AUROC of the chosen pairs in each draw.

    A pair counts for both of its ends; within a class once, so that its expected weight is that of all others.
    """
    return weigh_auroc(scores[pairs], reference[pairs] > 0, _weigh_pairs(pairs, draws))


def _weigh_pairs(pairs: Pairs, draws: Draws) -> Float[np.ndarray, "draw pair"]:
    senders, receivers = np.nonzero(pairs)
    weights = draws.counts[:, senders] * draws.counts[:, receivers]
    within = draws.classes[senders] == draws.classes[receivers]
    weights[:, within] = draws.counts[:, senders[within]]
    return weights


def score_graph(scores: Matrix, reference: Matrix, left_out: Pairs | None = None) -> GraphScore | None:
    """Score a graph against a reference; None where all of its pairs are edges, or none.

    Scores are larger for an edge, and NaN for pairs that are not scored; pairs that are `left_out` do not count.
    """
    pairs = find_pairs(scores, reference)
    if left_out is not None:
        pairs &= ~left_out
    values, edges = scores[pairs], reference[pairs] > 0
    if edges.all() or not edges.any():
        return None
    precision = average_precision_score(edges, values)
    return GraphScore(len(edges), int(edges.sum()), float(rank_auroc(values, edges)), float(precision))


def find_bounds(draws: Float[np.ndarray, " draw"]) -> tuple[float, float]:
    """Return the ends of the 95 % interval of bootstrap draws."""
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return float(low), float(high)


def score_direction(scores: Matrix, reference: Matrix, draws: Draws) -> dict[str, float]:
    """Return how often the score of an edge exceeds that of its reverse, which is none; {} where there is no such pair.

    A tie counts half, so that a symmetric method has 0.5.

    Returns:
      direction, its 95 % interval over classes (direction_low, direction_high), and one_way_pairs, how many they are.
    """
    pairs = find_pairs(scores, reference) & find_pairs(scores.T, reference.T)
    one_way = pairs & (reference > 0) & (reference.T == 0)
    if not one_way.any():
        return {}
    difference = (scores - scores.T)[one_way]
    right, weights = (difference > 0) + 0.5 * (difference == 0), _weigh_pairs(one_way, draws)
    with np.errstate(invalid="ignore"):
        low, high = find_bounds((weights @ right) / weights.sum(axis=1))
    return {"direction": right.mean(), "direction_low": low, "direction_high": high, "one_way_pairs": len(right)}


def rewire(reference: Matrix, pairs: Pairs, random: np.random.Generator) -> Matrix:
    """Return a reference with the ends of its edges exchanged among the chosen pairs: every neuron keeps its degrees.

    A symmetric reference among symmetric pairs stays symmetric.
    """
    edges = (reference > 0) & pairs
    if not (edges != edges.T).any() and not (pairs != pairs.T).any():
        return _rewire_symmetric(edges, pairs, random)
    senders, receivers = (list(ends) for ends in np.nonzero(edges))
    count = len(senders)
    for first, second in random.integers(0, max(count, 1), (SWAPS * count, 2)).tolist():
        a, b, c, d = senders[first], receivers[first], senders[second], receivers[second]
        if pairs[a, d] and pairs[c, b] and not edges[a, d] and not edges[c, b]:
            edges[a, b] = edges[c, d] = False
            edges[a, d] = edges[c, b] = True
            receivers[first], receivers[second] = d, b
    return np.where(pairs, edges, np.nan)


def _rewire_symmetric(edges, pairs, random):
    one, other = (list(ends) for ends in np.nonzero(np.triu(edges)))
    count = len(one)
    for first, second, turn in random.integers(0, max(count, 2), (SWAPS * count, 3)).tolist():
        a, b, c, d = one[first % count], other[first % count], one[second % count], other[second % count]
        c, d = (d, c) if turn % 2 else (c, d)
        if a != d and b != c and pairs[a, d] and pairs[c, b] and not edges[a, d] and not edges[c, b]:
            for x, y, there in ((a, b, False), (c, d, False), (a, d, True), (c, b, True)):
                edges[x, y] = edges[y, x] = there
            other[first % count], one[second % count], other[second % count] = d, c, b
    return np.where(pairs, edges, np.nan)


def permute_names(
    scores: Matrix, reference: Matrix, orders: Int[np.ndarray, "permutation neuron"]
) -> Float[np.ndarray, " permutation"]:
    """Return the AUROC with the scored neurons in other orders."""
    pairs = find_pairs(scores, np.zeros_like(scores))
    senders, receivers = np.nonzero(pairs)
    places = np.argsort(np.reshape(orders, (-1, len(scores))), axis=1)  # Of each neuron.
    known = reference[places[:, senders], places[:, receivers]]
    return weigh_auroc(scores[pairs], known > 0, np.isfinite(known).astype(float))


def find_p_value(value: float, null: Float[np.ndarray, " null"]) -> float:
    """Return the one-sided p-value of a value among those of a null; NaN where there is none."""
    null = null[np.isfinite(null)]
    return float((1 + (null >= value).sum()) / (1 + len(null))) if len(null) else np.nan
