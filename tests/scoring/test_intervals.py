"""Intervals cover what they say they cover, with the worm as the unit."""

import numpy as np
import pytest
from scipy import stats

from wormjax.scoring.intervals import (
    RANGES,
    difference_over_worms,
    find_range,
    interval_over_rows,
    interval_over_worms,
)
from wormjax.scoring.rows import Row


def row(worm, value, model="a", train=("x",), seed=0):
    return Row(model, "s", train, "s", worm, seed, "accuracy", value)


def test_interval_is_students_t():
    values = np.array([0.8, 0.9, 0.95, 0.85])
    interval = interval_over_worms(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.mean == pytest.approx(0.875)
    assert interval.worms == 4


@pytest.mark.parametrize("worms", [3, 5, 12])
def test_interval_covers_the_true_mean_in_95_percent(worms):
    draws = np.random.default_rng(worms).normal(0.9, 0.05, (4000, worms))
    intervals = [interval_over_worms(values) for values in draws]
    covered = np.mean([interval.low <= 0.9 <= interval.high for interval in intervals])
    assert 0.938 < covered < 0.962  # 0.95 ± 3.5 standard errors.


def test_one_worm_has_no_interval():
    assert interval_over_worms(np.array([0.7])) == (0.7, None, None, 1)


def test_subsets_and_seeds_are_no_worms():
    rows = [row(worm, value, seed=seed) for seed in range(50) for worm, value in (("u", 0.8), ("v", 0.9))]
    interval = interval_over_rows(rows)
    assert (interval.mean, interval.worms) == (pytest.approx(0.85), 2)
    assert interval.low == pytest.approx(interval_over_worms(np.array([0.8, 0.9])).low)


def test_worms_weigh_the_same_however_often_they_are_scored():
    rows = [row("u", 0.5), *(row("v", 1.0, seed=seed) for seed in range(9))]
    assert interval_over_rows(rows).mean == pytest.approx(0.75)


def test_same_worm_name_in_two_studies_is_two_worms():
    assert interval_over_rows([row("u", 0.5), row("u", 0.7)._replace(test_study="t")]).worms == 2


def test_paired_difference_by_hand():
    ours = [row("u", 0.9, seed=0), row("u", 0.7, seed=1), row("v", 0.95), row("only ours", 0.1)]
    theirs = [row("u", 0.7, "b"), row("v", 0.9, "b"), row("only theirs", 1.0, "b")]
    difference = difference_over_worms(ours, theirs)
    expected = interval_over_worms(np.array([0.8 - 0.7, 0.95 - 0.9]))
    assert difference == pytest.approx(expected)


def test_pairs_are_of_the_same_training_worms():
    ours = [row("u", 0.9, train=("x", "y")), row("u", 0.2, train=("z",))]
    theirs = [row("u", 0.8, "b", train=("y", "x")), row("u", 0.9, "b", train=("w",))]
    assert difference_over_worms(ours, theirs).mean == pytest.approx(0.1)


def test_nothing_shared_gives_no_difference():
    assert difference_over_worms([row("u", 0.9)], [row("v", 0.8, "b")]) is None


def test_pairing_takes_out_what_worms_share():
    rng = np.random.default_rng(0)
    levels, gains = rng.normal(0.7, 0.2, 6), rng.normal(0.05, 0.01, 6)
    ours = [row(f"w{k}", levels[k] + gains[k]) for k in range(6)]
    theirs = [row(f"w{k}", levels[k], "b") for k in range(6)]
    paired = difference_over_worms(ours, theirs)
    assert paired.low > 0
    assert paired.high - paired.low < 0.05


@pytest.mark.parametrize(
    ("metric", "low", "high"),
    [
        ("accuracy", 0, 1),
        ("balanced_accuracy@10s", 0, 1),
        ("coverage90@16", 0, 1),
        ("edge_accuracy", 0, 1),
        ("mse@8:AVAL", 0, np.inf),
        ("nll", 0, np.inf),
        ("nll@10s", 0, np.inf),
        ("nll@8", -np.inf, np.inf),
        ("r2@4", -np.inf, 1),
        ("speed", -np.inf, np.inf),
    ],
)
def test_intervals_stay_within_the_range_of_their_metric(metric, low, high):
    assert find_range(metric) == (low, high)
    values = (0.02, 0.99) if high == 1 else (0.02, 1.5)  # Of two worms: t is 12.7.
    rows = [row(worm, value)._replace(metric=metric) for worm, value in zip("uv", values, strict=True)]
    interval = interval_over_rows(rows)
    plain = interval_over_worms(np.array(values))
    assert plain.low < -1
    assert interval.low == max(low, plain.low)
    assert interval.high == min(high, plain.high)
    assert interval.low <= interval.mean <= interval.high


def test_differences_of_shares_are_at_most_one():
    ours = [row("u", 0.99), row("v", 0.2)]
    difference = difference_over_worms(ours, [row("u", 0.1, "b"), row("v", 0.6, "b")])
    assert (difference.low, difference.high) == (-1.0, 1.0)


def test_no_mean_is_cut_away():
    rows = [row("u", 1.0), row("v", 1.0)]
    assert interval_over_rows(rows)[:3] == (1.0, 1.0, 1.0)
    assert RANGES["accuracy"] == (0.0, 1.0)
