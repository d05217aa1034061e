"""Intervals: how sure a mean over worms is, and a difference between two models on the same worms.

The worm is the unit of replication. Subsets and seeds that are scored on one worm share that worm's recording, so they
are not independent: they are averaged first, and the 95 % interval is Student's t over the worms' averages. (A
bootstrap over worms is not offered: with the four or five worms of these studies it covers far less than it says.)
What remains untold: test worms also share training worms, so that the interval is, if anything, narrow.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from wormjax.evaluation.results import Row


class Interval(NamedTuple):
    """A mean over worms and its confidence interval; `low` and `high` are None with fewer than two worms."""

    mean: float
    low: float | None
    high: float | None
    worms: int


def interval_over_worms(values: Float[np.ndarray, " worm"], level: float = 0.95) -> Interval:
    """The mean of one value a worm, with Student's t interval.

    Raises:
      ValueError: there is no worm.
    """
    values = np.asarray(values, np.float64)
    worms = len(values)
    if not worms:
        raise ValueError("found no worm, expected at least one to average over")
    mean = float(values.mean())
    if worms < 2:
        return Interval(mean, None, None, worms)
    half = float(stats.t.ppf(0.5 + level / 2, worms - 1) * values.std(ddof=1) / math.sqrt(worms))
    return Interval(mean, mean - half, mean + half, worms)


def average_by_worm(rows: Iterable[Row]) -> dict[tuple[str, str], float]:
    """(test study, test worm) → the mean value over training subsets and seeds. Rows: one model, one metric."""
    return _average_by(rows, _worm)


def difference_over_worms(ours: Iterable[Row], theirs: Iterable[Row], level: float = 0.95) -> Interval | None:
    """Paired difference between two models, ours - theirs, as a mean over worms with its interval.

    Compared where both were scored: on the same test worm after training on the same worms. Seeds are averaged first
    (a linear baseline has one, a network several), then the differences of each worm, then the worms.

    Args:
      ours: the rows of one model and one metric.
      theirs: the rows of the other model, the same metric.

    Returns:
      The interval, or None where the two share no training set and test worm.
    """
    ours, theirs = _average_by(ours, _cell), _average_by(theirs, _cell)
    by_worm = defaultdict(list)
    for cell in sorted(ours.keys() & theirs.keys()):
        by_worm[cell[-2:]].append(ours[cell] - theirs[cell])
    if not by_worm:
        return None
    return interval_over_worms(np.array([np.mean(by_worm[worm]) for worm in sorted(by_worm)]), level)


def _worm(row: Row) -> tuple[str, str]:
    return (row.test_study, row.test_worm)


def _cell(row: Row) -> tuple:
    return (row.study, tuple(sorted(row.train_worms)), row.test_study, row.test_worm)


def _average_by(rows: Iterable[Row], key) -> dict[tuple, float]:
    values = defaultdict(list)
    for row in rows:
        values[key(row)].append(row.value)
    return {group: math.fsum(members) / len(members) for group, members in values.items()}
