"""Relational graphs: planted edges near 1 and others near 0, honest nulls for slow neurons that move together."""

import numpy as np
import pytest

from wormjax.baselines.relational_graphs import (
    RELATIONS,
    Relation,
    find_posterior,
    measure_relation,
    shift_senders_granger,
    shift_senders_partially,
)
from wormjax.baselines.relations import correlate_partially, measure_granger, null_by_shifts
from wormjax.graphs import complete_edges, edges_to_matrix, matrix_to_edges

each_method = pytest.mark.parametrize("method", RELATIONS)


def measure_worms(method, worms, **options):
    """Relations of several worms [worm, edge, ...], with one source of randomness."""
    rng = np.random.default_rng(0)
    return Relation(
        *map(np.stack, zip(*(measure_relation(method, worm, rng, **options) for worm in worms), strict=True))
    )


def draw_slow(worms, frames, neurons, decay, seed=0):
    """Independent AR(1) signals of variance 1, [worm, frame, neuron]."""
    rng = np.random.default_rng(seed)
    state, states = rng.normal(size=(worms, neurons)), []
    for _ in range(frames):
        state = decay * state + np.sqrt(1 - decay**2) * rng.normal(size=state.shape)
        states.append(state)
    return np.stack(states, axis=1)


def draw_planted(neurons=12, frames=1500, seed=1):
    """A worm [frame, neuron, 1] where x(t + 1) = 0.7 x(t) + 0.2 senders + noise, and its edges (no two both ways)."""
    rng = np.random.default_rng(seed)
    graph = np.triu(rng.random((neurons, neurons)) < 0.3, 1)
    order = rng.permutation(neurons)
    graph = graph[np.ix_(order, order)]
    state, states = rng.normal(size=neurons), []
    for _ in range(frames + 50):
        state = 0.7 * state + 0.2 * state @ graph + rng.normal(size=neurons)
        states.append(state)
    return np.array(states[50:])[..., None], matrix_to_edges(graph.astype(int))


@each_method
def test_edges_are_probabilities_of_two_types(method):
    found = measure_relation(method, draw_slow(1, 200, 4, 0.5)[0, ..., None], np.random.default_rng(0), shifts=19)
    assert [values.shape for values in found] == [(12, 2), (12,), (12,)]
    np.testing.assert_allclose(found.edges.sum(axis=-1), 1.0)
    assert found.edges.min() >= 0


@each_method
@pytest.mark.parametrize(("decay", "frames"), [(0.5, 300), (0.98, 2000)])
def test_slow_independent_neurons_have_few_edges(method, decay, frames):
    features = draw_slow(8, frames, 10, decay)[..., None]  # 720 edges.
    found = measure_worms(method, features, shifts=79, lag=3, order=2)
    assert np.mean(found.p_value <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(found.p_value <= 0.5) == pytest.approx(0.5, abs=0.08)
    assert np.mean(found.edges[..., 1] > 0.8) < 0.02
    assert np.median(found.edges[..., 1]) < 0.15


def test_a_planted_graph_comes_out_with_its_direction():
    features, edges = draw_planted()
    found = measure_relation("granger", features, np.random.default_rng(0)).edges[:, 1]
    turned = matrix_to_edges(edges_to_matrix(edges, 12).T)
    assert np.median(found[edges == 1]) > 0.95
    assert np.mean(found[edges == 1] > 0.85) > 0.9
    assert np.mean(found[edges == 0] < 0.5) > 0.9
    assert np.median(found[edges == 0]) < 0.1
    assert np.mean(found[turned == 1]) < 0.25


def test_only_conditional_methods_see_through_a_common_driver():
    slow = draw_slow(1, 2000, 14, 0.9)[0]
    slow[:, 1:6] = slow[:, :1] + 0.5 * slow[:, 1:6]  # Neuron 0 drives five.
    driven, driver = np.zeros((2, 14, 14), bool)
    driven[1:6, 1:6] = driver[0, 1:6] = True
    driven, driver = matrix_to_edges(driven), matrix_to_edges(driver)
    correlation, partial = (
        measure_relation(method, slow[..., None], np.random.default_rng(0)).edges[:, 1]
        for method in ("correlation", "partial_correlation")
    )
    assert min(np.median(correlation[driven]), np.median(correlation[driver]), np.median(partial[driver])) > 0.9
    assert np.median(partial[driven]) < 0.3


@pytest.mark.parametrize("size", [1, 2])
def test_a_shifted_sender_is_measured_as_if_it_had_been_recorded_so(size):
    features = draw_slow(2, 120, 5, 0.9, seed=4)
    features = np.stack([features, features**2 + draw_slow(2, 120, 5, 0.5)], axis=-1)[0, :, :, :size]
    offsets = np.random.default_rng(0).integers(0, 120, (5, 4))
    offsets[:, 0] = 0
    granger, partial = shift_senders_granger(features, offsets, 3), shift_senders_partially(features, offsets)
    for sender, shift in [(0, 0), (0, 2), (3, 1), (4, 3)]:
        moved = features.copy()
        moved[:, sender] = np.roll(features[:, sender], -offsets[sender, shift], axis=0)
        receivers = np.arange(5) != sender
        expected = edges_to_matrix(measure_granger(moved[None], 3), 5)[0, sender, receivers]
        np.testing.assert_allclose(granger[shift, sender, receivers], expected, rtol=1e-6)
        expected = edges_to_matrix(correlate_partially(moved[None]), 5)[0, sender, receivers]
        np.testing.assert_allclose(partial[shift, sender, receivers], expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["partial_correlation", "granger"])
def test_the_null_finds_no_edge_too_many_where_neurons_move_together(method):
    # Two groups, each with a slow mode of its own that explains most of its neurons; nothing goes between them.
    modes, own = draw_slow(6, 1500, 2, 0.98), draw_slow(6, 1500, 12, 0.8, seed=1)
    features = (np.repeat(modes, 6, axis=-1) + 0.4 * own)[..., None]
    senders, receivers = complete_edges(12)
    between = (senders < 6) != (receivers < 6)
    found = measure_worms(method, features, shifts=59).p_value[:, between]
    assert np.mean(found <= 0.05) < 0.075
    if method == "granger":
        assert np.mean(found <= 0.05) > 0.025
        assert np.mean(found <= 0.5) == pytest.approx(0.5, abs=0.1)
    else:  # Too careful, but far less so than with all neurons shifted.
        everyone = null_by_shifts(correlate_partially, features, np.random.default_rng(0), 59)[:, between]
        assert np.mean(everyone <= 0.5) < 0.1 < 0.25 < np.mean(found <= 0.5)


def test_the_posterior_is_right_as_often_as_it_says():
    rng = np.random.default_rng(0)
    related = rng.random(20_000) < 0.3
    p_values = np.ceil(np.where(related, rng.beta(0.2, 6.0, related.shape), rng.random(related.shape)) * 201) / 201
    posterior = find_posterior(p_values)
    for low, high in [(0.0, 0.3), (0.3, 0.7), (0.7, 0.9), (0.9, 1.0)]:
        chosen = (posterior >= low) & (posterior < high)
        assert chosen.sum() > 50
        assert related[chosen].mean() == pytest.approx(posterior[chosen].mean(), abs=0.08)
    assert (np.diff(posterior[np.argsort(p_values)]) <= 1e-12).all()


def test_the_posterior_finds_nothing_where_there_is_nothing():
    assert (find_posterior(np.ones(30)) == 0).all()
    draws = np.random.default_rng(0).random((500, 100))
    highest = np.array([find_posterior(p_values).max() for p_values in draws])
    assert np.mean(highest > 0.8) < 0.26  # 0.2 by Daniels's theorem, and a little for the share that is estimated.
    assert np.mean(highest > 0.95) < 0.08


@each_method
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_neuron_has_no_edge(method, dtype):
    features = draw_slow(1, 300, 6, 0.8)[0, :, :, None].astype(dtype)
    features[:, 2] = 0.3
    found = measure_relation(method, features, np.random.default_rng(0), shifts=19)
    touched = np.any(np.array(complete_edges(6)) == 2, axis=0)
    assert (found.p_value[touched] == 1).all()
    assert (found.edges[touched, 1] == 0).all()
    assert all(np.isfinite(values).all() for values in found)


def test_lag_and_order_reach_their_methods():
    rng = np.random.default_rng(0)
    sender = rng.normal(size=400)
    features = np.stack([sender, np.roll(sender, 3) + 0.3 * rng.normal(size=400), rng.normal(size=400)], axis=-1)
    for method, setting in [("lagged_correlation", "lag"), ("granger", "order")]:
        near, far = (
            measure_relation(method, features[..., None], np.random.default_rng(0), **{setting: frames})
            for frames in (1, 3)
        )
        near, far = (edges_to_matrix(relation.p_value, 3) for relation in (near, far))
        assert far[0, 1] < 0.01 < 0.05 < near[0, 1]
        assert far[1, 0] > 0.05
