"""The comparison of rows finds a value that moved, a row that is missing, and a NaN on one side only."""

import math

import pandas as pd
import pytest

from experiments.benchmarks.same_rows import KEYS, compare_rows


def table(*values):
    rows = [("mlp", "s", "a", "s", "b", seed, "accuracy", value) for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=[*KEYS, "value"])


def test_equal_tables_differ_by_nothing_and_their_order_does_not_count():
    old = table(0.5, math.nan, math.inf)
    largest, lone = compare_rows(old, old.iloc[::-1])
    assert largest["difference"].tolist() == [0.0]
    assert lone.empty


def test_the_largest_difference_of_a_metric_is_named():
    largest, _ = compare_rows(table(0.5, 0.7), table(0.5001, 0.75))
    assert largest.loc["accuracy", "difference"] == pytest.approx(0.05)
    assert largest.loc["accuracy", "row"] == "mlp s a s b 1 accuracy"


def test_a_nan_on_one_side_is_a_difference():
    assert compare_rows(table(0.5), table(math.nan))[0]["difference"].tolist() == [math.inf]


def test_a_row_of_one_table_only_is_returned():
    assert compare_rows(table(0.5), table(0.5, 0.6))[1]["seed"].tolist() == [1]
