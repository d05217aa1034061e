"""The measurements of neural relational inference: every row has numbers."""

import jax
import numpy as np
import pytest

from configs.nri_springs import get_config
from experiments.benchmarks import nri as benchmark

pytestmark = pytest.mark.usefixtures("quick_compilation")

PLAN = benchmark.Plan(get_config, steps=1, repeats=1, placements=("single",), hidden=8, batch=4)
_, RECURRENT = benchmark.REFERENCE_SECONDS


def assert_table(rows, labels):
    header, rule, *body = rows
    assert [row[0] for row in body] == labels
    assert {len(row) for row in body} == {len(header)} == {len(rule)}
    numbers = [cell for row in body for cell in row if not isinstance(cell, str)]
    assert np.isfinite(numbers).all()
    assert min(numbers) > 0
    assert all(benchmark.format_row(row).count("|") == len(header) + 1 for row in rows)
    return [dict(zip(header, row, strict=True)) for row in body]


@pytest.mark.slow
def test_every_model_is_measured(monkeypatch):
    configs = benchmark.choose_configs(PLAN)
    kept = {label: configs[label] for label in (RECURRENT, "nri_springs:small")}
    monkeypatch.setattr(benchmark, "choose_configs", lambda plan: kept)
    looped, plain = assert_table(list(benchmark.measure_sizes(PLAN)), list(kept))
    assert looped["times faster"] == pytest.approx(13.8 / looped["s per update"])
    assert plain["reference, s"] == ""


@pytest.fixture
def asked(monkeypatch):
    """What would be measured, (config, materials) each; the measurement itself is that of the test above."""
    calls = []

    def remember(config, materials, plan):
        calls.append((config, materials))
        return benchmark.Measured(0.5 * len(calls), 1.0, 1e9, 1e6)

    monkeypatch.setattr(benchmark, "measure_updates", remember)
    return calls


def test_more_objects_are_measured(asked):
    rows = assert_table(list(benchmark.measure_objects(PLAN, (3, 4))), ["3", "4"])
    assert [row["edges"] for row in rows] == [6, 12]
    assert [materials.data.training.features.shape[2] for _, materials in asked] == [3, 4]
    assert rows[1]["µs per update and edge"] == pytest.approx(1e6 * 1.0 / (4 * 12))
    assert [benchmark.fit_batch(objects) for objects in (5, 10, 100)] == [128, 28, 1]


def test_an_ensemble_is_measured(asked, monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    labels = ["one run", "3 runs in turn", "3 runs vmapped", "3 runs shared out, each device one at a time"]
    rows = assert_table(list(benchmark.measure_ensembles(PLAN, 3)), labels)
    assert [row["of one run alone"] for row in rows] == [1, 2, 3, 4]
    assert [config.seeds for config, _ in asked] == [1, 3, 3, 3]
    assert [config.train.runs_at_once for config, _ in asked] == [1, 1, 3, 1]
    assert [config.train.placement for config, _ in asked] == ["single", "single", "single", "runs"]


def test_posteriors_are_measured(asked):
    rows = assert_table(list(benchmark.measure_posteriors(PLAN, (3, 4))), ["3", "4"])
    assert [row["combinations"] for row in rows] == [4, 8]
    assert [row["ratio"] for row in rows] == pytest.approx([1.0 / 0.5, 2.0 / 1.5])
    assert [config.train.posterior for config, _ in asked] == ["sampled", "exact"] * 2
    assert [materials.data.training.features.shape[2] for _, materials in asked] == [3, 3, 4, 4]


def test_rounding_is_that_of_a_models_products():
    assert benchmark.measure_rounding("float32") == 0.0
    # Two operands, each rounded to 8 bits.
    assert 1e-3 < benchmark.measure_rounding("bfloat16") < 4e-3


@pytest.mark.parametrize(
    ("value", "text"), [(3.0, "3"), (12345.6, "12,346"), (0.01234, "0.0123"), (float("nan"), "nan"), (128, "128")]
)
def test_numbers_have_three_digits(value, text):
    assert benchmark.format_number(value) == text
