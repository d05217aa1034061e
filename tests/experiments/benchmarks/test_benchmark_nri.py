"""The measurements of neural relational inference: what is counted is what is computed, and every row has numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.nri_springs import get_config
from experiments.benchmarks import nri as benchmark
from wormjax.tasks.infer.networks import build_runs, build_training

pytestmark = pytest.mark.usefixtures("quick_compilation")

PLAN = benchmark.Plan(get_config, steps=1, repeats=1, placements=("single",), hidden=8, batch=4)
MLP, RECURRENT = benchmark.REFERENCE_SECONDS


def count_updates(config) -> float:
    runs, materials = build_runs(config), benchmark.prepare_springs(config)
    objective, recipe, _ = build_training(config, materials, runs)
    return benchmark.count_products(objective, recipe, runs, materials.data)


def count_mlp_encoder(hidden, types, inputs, nodes, edges):
    """By hand, forward: node → edge → node → edge → types; a pair layer is two products over nodes."""
    square = 2 * hidden * hidden
    per_node = 2 * inputs * hidden + square + 2 * square + 2 * square + 2 * square
    per_edge = square + 2 * square + 2 * hidden * types
    return nodes * per_node + edges * per_edge


def count_mlp_decoder(hidden, types, features, nodes, edges):
    """By hand, forward, of one frame."""
    joined = features + hidden
    read_out = joined * hidden + hidden * hidden + (joined + hidden) * features
    return nodes * 2 * (2 * features * types * hidden + read_out) + edges * 2 * types * hidden * hidden


def test_products_of_an_update_are_those_of_the_formula():
    hidden, types, features, batch, objects, frames = 8, 2, 4, 4, 5, 49
    segments, steps = 5, 10
    nodes, edges = batch * objects, batch * objects * (objects - 1)
    forward = count_mlp_encoder(hidden, types, frames * features, nodes, edges)
    forward += steps * count_mlp_decoder(hidden, types, features, segments * nodes, segments * edges)
    observed = 2 * nodes * frames * features * hidden  # What is observed needs no gradient.
    assert count_updates(benchmark.choose_configs(PLAN)[MLP]) == 3 * forward - observed


def test_products_of_the_recurrent_model_are_those_of_the_formula():
    hidden, types, features, batch, objects = 8, 2, 4, 4, 5
    kernel, first_windows, second_windows, steps = 5, 45, 18, 48  # 49 frames, pooled by 2 between the kernels.
    nodes, edges, square = batch * objects, batch * objects * (objects - 1), 2 * hidden * hidden
    observed = nodes * first_windows * 2 * 2 * kernel * features * hidden
    encoder = observed + edges * second_windows * (kernel * square + 2 * hidden) + nodes * 4 * square
    encoder += edges * (2 * square + 2 * hidden * types)
    joined = features + hidden
    gates = joined * 3 * hidden
    read_out = (joined + hidden) * hidden + hidden * hidden + (joined + 2 * hidden) * features
    decoder = nodes * 2 * (2 * joined * types * hidden + gates + read_out) + edges * types * square
    expected = 3 * (encoder + steps * decoder) - observed
    assert count_updates(benchmark.choose_configs(PLAN)[RECURRENT]) == expected


def test_a_loop_counts_as_often_as_it_runs():
    config = benchmark.choose_configs(PLAN)[RECURRENT]
    counts = [count_updates(benchmark.change_config(config, train__roll_out=steps)) for steps in (8, 16, 24)]
    assert counts[2] - counts[1] == counts[1] - counts[0] > 0


@pytest.mark.parametrize("label", [MLP, RECURRENT])
def test_rounded_products_are_counted_as_others(label):
    configs = [benchmark.choose_configs(PLAN._replace(precision=name))[label] for name in ("", "bfloat16")]
    assert count_updates(configs[0]) == count_updates(configs[1])


def test_products_are_those_that_xla_counts():
    def loss(weights, values):
        return jnp.sum((jax.nn.relu(values @ weights[0]) @ weights[1]) ** 2)

    weights, values = (jnp.ones((64, 64)), jnp.ones((64, 48))), jnp.ones((128, 64))
    counted = benchmark.count_traced(jax.make_jaxpr(jax.grad(loss))(weights, values))
    assert counted == 2 * 128 * 64 * (64 + 48 + 64 + 2 * 48)
    compiled = jax.jit(jax.grad(loss)).lower(weights, values).compile()
    assert counted <= compiled.cost_analysis()["flops"] < 1.05 * counted


def test_operations_that_cannot_be_counted_are_refused():
    def power(values):
        return jax.lax.while_loop(lambda x: x.sum() < 1e3, lambda x: x @ x, values)

    with pytest.raises(NotImplementedError, match="while"):
        benchmark.count_traced(jax.make_jaxpr(power)(jnp.ones((4, 4))))


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
    assert looped["times faster"] == pytest.approx(13.8 / looped["s an update"])
    assert plain["reference, s"] == ""
    # XLA goes over the 48 frames' loop once; where there is none, it counts all products and more.
    assert looped["XLA's count"] < looped["GFLOP of products"]
    assert plain["XLA's count"] > plain["GFLOP of products"]


@pytest.fixture
def asked(monkeypatch):
    """What would be measured, (config, materials) each; the measurement itself is that of the test above."""
    calls = []

    def remember(config, materials, plan):
        calls.append((config, materials))
        return benchmark.Measured(0.5 * len(calls), 1.0, 1e9, 1e9, 1e10, 1e6)

    monkeypatch.setattr(benchmark, "measure_updates", remember)
    return calls


def test_more_objects_are_measured(asked):
    rows = assert_table(list(benchmark.measure_objects(PLAN, (3, 4))), ["3", "4"])
    assert [row["edges"] for row in rows] == [6, 12]
    assert [materials.data.training.features.shape[2] for _, materials in asked] == [3, 4]
    assert rows[1]["µs an update and edge"] == pytest.approx(1e6 * 1.0 / (4 * 12))
    assert rows[0]["share, %"] == pytest.approx(20.0)
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
