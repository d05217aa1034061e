"""One graph of several worms: the mean of each pair over the worms that have both neurons, shrunk to that of classes.

Left and right of a class, and the neurons of the cord, are wired alike. So a pair's score is the mean over n worms, and
counts beside it, as c worms do, the mean over all pairs of the same two classes. c is chosen without any reference: the
value by which the consensus of the other worms is most correlated with the scores of a worm that is left out.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from wormjax.recordings.names import split_neuron_name

MOST_HALVINGS = 10

Stack = Float[np.ndarray, "worm sender receiver"]
Matrix = Float[np.ndarray, "sender receiver"]


def number_classes(names: Sequence[str]) -> Int[np.ndarray, " neuron"]:
    """Return the number of each neuron's class."""
    return np.unique([split_neuron_name(name)[0] for name in names], return_inverse=True)[1]


def count_worms(stack: Stack) -> Int[np.ndarray, "sender receiver"]:
    """Return how many worms have each pair."""
    return np.isfinite(stack).sum(axis=0)


def sum_classes(values: Matrix, classes: Int[np.ndarray, " neuron"]) -> Float[np.ndarray, "class class"]:
    """Return the sum of a matrix over the pairs of each two classes."""
    member = np.eye(classes.max() + 1)[classes]
    return member.T @ values @ member


def pool_worms(stack: Stack, classes: Int[np.ndarray, " neuron"], class_worms: float = 0.0) -> Matrix:
    """Return the consensus of the worms' scores; NaN for pairs that none has.

    `class_worms`: for how many worms the mean over the pairs of two classes (`number_classes`) counts.
    """
    counts, total = count_worms(stack), np.nansum(stack, axis=0)
    if class_worms:
        means = sum_classes(total, classes) / np.maximum(sum_classes(counts, classes), 1)
        total = total + class_worms * means[np.ix_(classes, classes)]
    # Rounded, so that a symmetric method gives an edge and its reverse the very same score.
    return np.where(counts > 0, np.round(total / np.maximum(counts + class_worms, 1e-12), 12), np.nan)


def choose_class_worms(stack: Stack, classes: Int[np.ndarray, " neuron"], candidates: Sequence[float]) -> float:
    """Return the candidate by which the other worms best predict each worm, on average; the first of a lone worm."""
    if len(stack) < 2:
        return candidates[0]

    def predict(class_worms: float) -> float:
        """Return the correlation of each worm's scores with the consensus of the others, mean over worms."""
        found = []
        for worm, own in enumerate(stack):
            found.append(correlate(pool_worms(np.delete(stack, worm, axis=0), classes, class_worms), own))
        return float(np.nan_to_num(np.nanmean(found)))

    return max(candidates, key=predict)


def correlate(one: Matrix, other: Matrix) -> float:
    """Return Pearson's correlation over the pairs that both have; NaN where one does not vary."""
    both = np.isfinite(one) & np.isfinite(other)
    pairs = np.stack([one[both], other[both]]).astype(np.float64)
    if pairs.shape[1] < 3 or pairs.std(axis=1).min() < 1e-12:
        return float("nan")
    return float(np.corrcoef(pairs)[0, 1])


def list_halvings(worms: int) -> list[tuple[list[int], list[int]]]:
    """Return the ways to halve the worms, each once; of many the first `MOST_HALVINGS`. An odd worm is left out."""
    half, everyone, ways = worms // 2, set(range(worms)), []
    for first in combinations(everyone, half) if half else ():
        rest = combinations(sorted(everyone.difference(first)), half)
        ways += [(list(first), list(second)) for second in rest if second > first]
    return _spread(ways)


def compare_halves(halves: Sequence[tuple[Matrix, Matrix]], permutations: int, seed: int = 0) -> tuple[float, float]:
    """Return the correlation of the graphs of two halves of the worms, and the 95th percentile of its null.

    The mean over halvings; in the null the neurons of one half are permuted, this number of times per halving.
    """
    random, null = np.random.default_rng(seed), []
    for one, other in halves:
        for _ in range(permutations):
            order = random.permutation(len(other))
            null.append(correlate(one, other[np.ix_(order, order)]))
    if not halves:
        return float("nan"), float("nan")
    return float(np.nanmean([correlate(*pair) for pair in halves])), float(np.nanpercentile(null, 95))


def list_subsets(worms: int, count: int) -> list[list[int]]:
    """Return sets of a given number of worms; of very many sets, some that are spread over all."""
    return _spread([list(one) for one in combinations(range(worms), count)])


def _spread(ways: list) -> list:
    return ways[:: max(1, len(ways) // MOST_HALVINGS)][:MOST_HALVINGS]
