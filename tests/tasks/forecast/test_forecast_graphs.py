"""What inferred graphs have in common: all where they are identical, nothing by chance or where they are constant."""

from types import SimpleNamespace

import numpy as np

from wormjax import graphs
from wormjax.features.forecast_origins import Starts
from wormjax.tasks.forecast.graphs import SHUFFLES, average_by_state, correlate_pairs, present_edges
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split

NEURONS, EDGES = 9, 72
STATES = ("reverse", "forward", "dorsal turn", "ventral turn")
# Two seeds of the split that trains on worm 0, and one of another split.
GROUPS = [Group(0, Split((0,), (1, 2))), Group(1, Split((0,), (1, 2))), Group(0, Split((1,), (0, 2)))]


def draw_edges(seed):
    """Probability of an edge, for each; any value a thing of its own."""
    return np.random.default_rng([9, seed]).uniform(0.05, 0.95, EDGES)


def make_output(group, graph_of, worms=(1, 2), starts=6, noise=0.0):
    """One group's output: `graph_of(worm, start)` → probability of each edge."""
    worm = np.repeat(worms, starts)
    random = np.random.default_rng(group)
    present = np.stack([graph_of(one, number % starts) for number, one in enumerate(worm)])
    present = np.clip(present + noise * random.normal(size=present.shape), 0.0, 1.0)
    places = Starts(worm, np.tile(32 + 16 * np.arange(starts), len(worms)), worm, np.zeros_like(worm))
    edges = np.stack([1.0 - present, 0.25 * present, 0.75 * present], axis=-1).astype(np.float32)
    return SimpleNamespace(model="graph", group=group, starts=places, edges=edges)


def test_graphs_are_averaged_by_the_state_before_the_start():
    matrices = np.random.default_rng(0).random((6, 3, 3))
    means = average_by_state(matrices, np.array([0, 0, 3, -1, 0, 3]), STATES)
    assert list(means) == ["reverse", "ventral turn"]
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(means["reverse"][off], matrices[[0, 1, 4]].mean(axis=0)[off])
    np.testing.assert_allclose(means["ventral turn"][off], matrices[[2, 5]].mean(axis=0)[off])
    assert all(np.isnan(np.diagonal(mean)).all() for mean in means.values())


def test_any_type_but_the_first_is_an_edge():
    edges = np.random.default_rng(0).dirichlet(np.ones(3), (4, 6))
    matrices = present_edges(edges, 3)
    senders, receivers = graphs.complete_edges(3)
    for edge, (sender, receiver) in enumerate(zip(senders, receivers, strict=True)):
        np.testing.assert_allclose(matrices[:, sender, receiver], edges[:, edge, 1] + edges[:, edge, 2])


def test_one_graph_for_all_correlates_by_1_against_shuffled_nulls_near_0():
    outputs = [make_output(group, lambda worm, start: draw_edges(0)) for group in (0, 1)]
    found, nulls = correlate_pairs(outputs, GROUPS, NEURONS)
    assert {name: len(values) for name, values in found.items()} == {"windows": 4, "seeds": 2, "worms": 2}
    for name, values in found.items():
        np.testing.assert_allclose(values, 1.0, rtol=1e-5)
        assert len(nulls[name]) == SHUFFLES * len(values)
        assert abs(nulls[name].mean()) < 0.1
        assert np.quantile(nulls[name], 0.9) < 0.4
        assert 0.05 < nulls[name].std() < 0.25


def test_graphs_that_are_noise_correlate_with_none():
    outputs = [make_output(g, lambda worm, start, g=g: draw_edges(1000 * g + 100 * worm + start)) for g in (0, 1)]
    found, _ = correlate_pairs(outputs, GROUPS, NEURONS)
    for values in found.values():
        assert np.abs(values).max() < 0.4


def test_each_kind_of_pair_sees_what_its_graphs_share():
    # A worm's graph is its own, and the same for both seeds.
    by_worm = [make_output(group, lambda worm, start: draw_edges(worm), noise=0.02) for group in (0, 1)]
    found, _ = correlate_pairs(by_worm, GROUPS, NEURONS)
    assert found["windows"].min() > 0.95
    assert found["seeds"].min() > 0.95
    expected = np.corrcoef(draw_edges(1), draw_edges(2))[0, 1]
    np.testing.assert_allclose(found["worms"], expected, atol=0.05)
    # A seed's graph is its own, and the same for both worms.
    by_seed = [make_output(group, lambda worm, start, group=group: draw_edges(group), noise=0.02) for group in (0, 1)]
    found, _ = correlate_pairs(by_seed, GROUPS, NEURONS)
    assert found["worms"].min() > 0.95
    assert np.abs(found["seeds"]).max() < 0.4


def test_halves_of_a_worms_windows_are_its_early_and_its_late_ones():
    changing = [make_output(0, lambda worm, start: draw_edges(start // 3))]
    found, _ = correlate_pairs(changing, GROUPS, NEURONS)
    np.testing.assert_allclose(found["windows"], np.corrcoef(draw_edges(0), draw_edges(1))[0, 1], atol=1e-4)
    few, _ = correlate_pairs([make_output(0, lambda worm, start: draw_edges(0), starts=3)], GROUPS, NEURONS)
    assert set(few) == {"worms"}


def test_runs_of_other_training_worms_are_no_pair():
    outputs = [
        make_output(0, lambda worm, start: draw_edges(0), worms=(2,)),
        make_output(2, lambda worm, start: draw_edges(0), worms=(2,)),
    ]
    found, _ = correlate_pairs(outputs, GROUPS, NEURONS)
    assert set(found) == {"windows"}


def test_constant_graphs_are_left_out():
    outputs = [make_output(group, lambda worm, start: np.full(EDGES, 0.2)) for group in (0, 1)]
    assert correlate_pairs(outputs, GROUPS, NEURONS) == ({}, {})
    mixed = [make_output(0, lambda worm, start: draw_edges(0) if worm == 1 else np.full(EDGES, 0.2))]
    found, nulls = correlate_pairs(mixed, GROUPS, NEURONS)
    assert set(found) == set(nulls) == {"windows"}
    np.testing.assert_allclose(found["windows"], [1.0, np.nan], rtol=1e-5)
