"""Intervals: how sure a mean over worms is, and a difference between two models on the same worms.

The worm is the unit of replication. Subsets and seeds that are scored on one worm share that worm's recording, so they
are not independent: they are averaged first, and the 95 % interval is Student's t over the worms' averages. (A
bootstrap over worms is not offered: with the four or five worms of these studies it covers far less than it says.)

Test worms also share training worms, which t over worms does not see. What an interval is to hold is the score expected
over worms *and* over training sets of that size. Where the rows allow it, its variance is therefore a jackknife over
worms, the mean made again without every row in which a worm trains or is tested (Efron & Stein 1981, Annals of
Statistics 9:586), or Student's where that is larger. Left-out rows must leave every other worm scored: with n worms
this holds for n - 2 or fewer training worms, and for n - 1 if the rows of n - 2 are there as well (`smaller`).

docs/trust.md has how often each interval holds the truth (experiments.benchmarks.interval_coverage). By leave one worm
out alone there is nothing but t, which is too narrow for errors in scaled units: read differences and skill there, or
run subsets of n - 2. A correction of t without them (Nadeau & Bengio 2003, Machine Learning 52:239) does not mend that,
and neither does an interval of ratios, so neither is made.

Every interval is cut to the range of its metric (`RANGES`): an accuracy's ends at 1, an error's begins at 0. No truth
lies outside, so that what is cut holds it as often.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from wormjax.scoring.rows import Row

LEVEL = 0.95  # Of confidence.
SHARE, POSITIVE, AT_MOST_ONE = (0.0, 1.0), (0.0, math.inf), (-math.inf, 1.0)
_SHARES = "accuracy balanced_accuracy auroc macro_f1 calibration_error edge_accuracy edge_auroc direction_auroc"
_SHARES += " hidden_auroc reversal_auroc coverage90 mode_share"
# Metric, without its step, horizon or part → the range of its values. Others, and the negative log-likelihood of a
# density (of forecasts: nll@STEP), have none.
RANGES = dict.fromkeys(_SHARES.split(), SHARE)
RANGES |= dict.fromkeys(("nll", "reversal_nll", "reversal_error", "mse", "mae", "crps"), POSITIVE)
RANGES["r2"] = AT_MOST_ONE


class Interval(NamedTuple):
    """A mean over worms and its confidence interval; `low` and `high` are None with fewer than two worms."""

    mean: float
    low: float | None
    high: float | None
    worms: int


class Scores(NamedTuple):
    """Scores by training set and worm (NaN where it is not tested), and which worms trained."""

    values: Float[np.ndarray, "split worm"]
    trained: Bool[np.ndarray, "split worm"]


def interval_over_worms(values: Float[np.ndarray, " worm"]) -> Interval:
    """Return the mean of one value per worm, of which there is one at least, with Student's t interval."""
    values = np.asarray(values, np.float64)
    worms = len(values)
    mean = float(values.mean())
    if worms < 2:
        return Interval(mean, None, None, worms)
    half = float(stats.t.ppf(0.5 + LEVEL / 2, worms - 1) * values.std(ddof=1) / math.sqrt(worms))
    return Interval(mean, mean - half, mean + half, worms)


def interval_over_splits(scores: Scores, smaller: Scores | None = None) -> Interval:
    """Return the mean over worms of their averages over training sets, and its interval given shared training worms.

    Args:
      scores: of one model and metric.
      smaller: the same after training on one worm fewer; read where `scores` cannot do without any of the worms.

    Returns:
      By the jackknife over worms where every worm can be left out and that makes it wider; else `interval_over_worms`.
    """
    tested = np.isfinite(scores.values)
    columns = tested.any(axis=0)
    averages = np.where(tested, scores.values, 0.0).sum(axis=0)[columns] / tested.sum(axis=0)[columns]
    plain = interval_over_worms(averages)
    if plain.low is None:
        return plain
    parts = _list_variances(scores) or (_list_variances(smaller) if smaller is not None else [])
    variance = sum(part for part, _ in parts)
    if not variance > 0:
        return plain
    # Satterthwaite's degrees of freedom; of one group of n worms, n - 1.
    freedom = variance**2 / sum(part**2 / count for part, count in parts)
    half = float(stats.t.ppf(0.5 + LEVEL / 2, freedom) * math.sqrt(variance))
    if half <= (plain.high - plain.mean) * (1 + 1e-9):
        return plain
    return Interval(plain.mean, plain.mean - half, plain.mean + half, plain.worms)


def interval_over_rows(rows: Iterable[Row], smaller: Iterable[Row] = ()) -> Interval:
    """Return `interval_over_splits` of the rows of one model and metric, cut to its range; seeds are averaged first.

    `rows` are of one number of training worms, `smaller` of one fewer, where there are such rows.
    """
    rows = list(rows)
    interval = _interval_over_cells(_average_cells(rows), _average_cells(smaller))
    return cut_to_range(interval, find_range(rows[0].metric))


def find_range(metric: str) -> tuple[float, float]:
    """Return the lowest and the highest value that a metric can have."""
    name = re.split("[@:]", metric)[0]
    if name == "nll" and re.fullmatch(r"nll@\d+(:.*)?", metric):  # Of a forecast's density at a step.
        return -math.inf, math.inf
    ends = {"_r": (-1.0, 1.0), "_r2": AT_MOST_ONE}  # Of decoded behaviours: velocity_r.
    return RANGES.get(name) or next((own for end, own in ends.items() if name.endswith(end)), (-math.inf, math.inf))


def cut_to_range(interval: Interval, limits: tuple[float, float]) -> Interval:
    """Return an interval without the values that its mean cannot have: so cut, it holds the truth as often."""
    if interval.low is None:
        return interval
    low, high = min(limits[0], interval.mean), max(limits[1], interval.mean)  # A mean may be rounded out of the range.
    return interval._replace(low=max(interval.low, low), high=min(interval.high, high))


def difference_over_worms(
    ours: Iterable[Row], theirs: Iterable[Row], smaller: tuple[Iterable[Row], Iterable[Row]] = ((), ())
) -> Interval | None:
    """Return the paired difference between two models, ours - theirs, as a mean over worms with its interval.

    Compared where both were scored: on the same test worm after training on the same worms. Seeds are averaged first
    (a linear baseline has one, a network several), then the differences of each worm, then the worms.

    `smaller` are both models' rows of one training worm fewer (`interval_over_splits`).

    Returns:
      The interval, or None where the two share no training set and test worm.
    """
    ours, theirs = list(ours), list(theirs)
    cells = _subtract(ours, theirs)
    if not cells:
        return None
    low, high = find_range(ours[0].metric)
    return cut_to_range(_interval_over_cells(cells, _subtract(*smaller)), (low - high, high - low))


def _subtract(ours, theirs) -> dict[tuple, float]:
    ours, theirs = _average_cells(ours), _average_cells(theirs)
    return {cell: ours[cell] - theirs[cell] for cell in sorted(ours.keys() & theirs.keys())}


def _interval_over_cells(cells: dict[tuple, float], smaller: dict[tuple, float]) -> Interval:
    return interval_over_splits(_tabulate(cells), _tabulate(smaller) if smaller else None)


def _tabulate(cells: dict[tuple, float]) -> Scores:
    """Cells (study, training worms, test study, test worm) → scores by training set and worm of either study."""
    splits = {split: number for number, split in enumerate(dict.fromkeys(cell[:2] for cell in cells))}
    worms = [(study, worm) for study, train in splits for worm in train] + [cell[2:] for cell in cells]
    numbers = {worm: number for number, worm in enumerate(sorted(set(worms)))}
    values = np.full((len(splits), len(numbers)), np.nan)
    trained = np.zeros(values.shape, bool)
    for (study, train), number in splits.items():
        trained[number, [numbers[study, worm] for worm in train]] = True
    for cell, value in cells.items():
        values[splits[cell[:2]], numbers[cell[2:]]] = value
    return Scores(values, trained)


def _list_variances(scores: Scores) -> list[tuple[float, int]]:
    """Return the jackknife's variance of the mean and its degrees of freedom, of each group of worms that do the same.

    Worms that train and are tested are one group; across studies, those that train and those that are tested are two.
    Empty where a group is a lone worm, or where leaving a worm out leaves another one without a score.
    """
    tested = np.isfinite(scores.values)
    trains, is_tested = scores.trained.any(axis=0), tested.any(axis=0)
    left_out = (~scores.trained).T.astype(np.float64)
    counts, sums = left_out @ tested, left_out @ np.where(tested, scores.values, 0.0)  # [left-out worm, worm]
    others = is_tested & ~np.eye(len(is_tested), dtype=bool)
    involved = trains | is_tested
    if (others & (counts == 0))[involved].any() or (others.sum(axis=1) == 0)[involved].any():
        return []
    means = (np.where(others, sums, 0.0) / np.maximum(counts, 1)).sum(axis=1) / np.maximum(others.sum(axis=1), 1)
    variances = []
    for role in ((True, True), (True, False), (False, True)):
        group = means[(trains == role[0]) & (is_tested == role[1])]
        if len(group) == 1:
            return []
        if len(group):
            variances.append((float((len(group) - 1) * group.var()), len(group) - 1))
    return variances


def _average_cells(rows: Iterable[Row]) -> dict[tuple, float]:
    """Return study, training worms, test study and test worm → the mean value over seeds."""
    values = defaultdict(list)
    for row in rows:
        values[row.study, tuple(sorted(row.train_worms)), row.test_study, row.test_worm].append(row.value)
    return {cell: math.fsum(members) / len(members) for cell, members in values.items()}
