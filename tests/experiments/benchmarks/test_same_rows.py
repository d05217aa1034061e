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
    assert compare_rows(old, old.iloc[::-1])[0] == 0.0


def test_the_largest_difference_is_named():
    largest, row = compare_rows(table(0.5, 0.7), table(0.5001, 0.75))
    assert largest == pytest.approx(0.05)
    assert row == "mlp s a s b 1 accuracy"


def test_a_nan_on_one_side_is_a_difference():
    assert compare_rows(table(0.5), table(math.nan))[0] == math.inf


def test_a_row_of_one_table_only_is_an_error():
    with pytest.raises(ValueError, match="1 rows stand in one table only"):
        compare_rows(table(0.5), table(0.5, 0.6))
