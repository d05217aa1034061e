"""Relational baselines: planted graphs come out, labels of objects do not matter, constants do no harm."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from wormjax.baselines.relations import (
    compare_skewness,
    correlate,
    correlate_lagged,
    correlate_partially,
    correlate_sparsely,
    measure_granger,
    null_by_shifts,
    regress_lagged,
)
from wormjax.errors import InputError
from wormjax.graphs import complete_edges, edges_to_matrix, matrix_to_edges

RELATIONS = {
    "correlation": correlate,
    "lagged": correlate_lagged,
    "partial": correlate_partially,
    "granger": measure_granger,
    "granger, two frames": lambda features: measure_granger(features, order=2),
    "lagged regression": regress_lagged,
    "skewness": compare_skewness,
}
each_relation = pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS.keys())


def draw_system(simulations=20, frames=200, objects=5, chance=0.3, seed=0, coupling=0.3):
    """x(t + 1) = 0.5 x(t) + coupling * sum of senders + noise; [sender, receiver] graphs, one way."""
    rng = np.random.default_rng(seed)
    graph = np.triu(rng.random((simulations, objects, objects)) < chance, 1)
    order = np.array([rng.permutation(objects) for _ in range(simulations)])
    graph = np.take_along_axis(np.take_along_axis(graph, order[:, :, None], 1), order[:, None, :], 2)
    weights = coupling * graph + 0.5 * np.eye(objects)
    state, states = rng.normal(size=(simulations, objects, 1)), []
    for _ in range(frames + 20):
        state = weights.swapaxes(1, 2) @ state + rng.normal(size=state.shape)
        states.append(state)
    return np.stack(states[20:], axis=1), matrix_to_edges(graph.astype(int))


def test_granger_finds_a_planted_graph_and_its_direction():
    features, edges = draw_system()
    scores = measure_granger(features)
    area = roc_auc_score(edges.ravel(), scores.ravel())
    turned = matrix_to_edges(edges_to_matrix(scores, 5).swapaxes(1, 2))
    assert area > 0.95
    assert roc_auc_score(edges.ravel(), turned.ravel()) < 0.6
    # Correlation cannot tell the direction, nor a chain from its shortcut.
    assert roc_auc_score(edges.ravel(), correlate(features).ravel()) < area - 0.1


def test_lagged_correlation_points_from_sender_to_receiver():
    rng = np.random.default_rng(0)
    sender = rng.normal(size=(5, 300))
    receiver = np.roll(sender, 1, axis=1) + 0.5 * rng.normal(size=(5, 300))
    scores = correlate_lagged(np.stack([sender, receiver], axis=-1)[..., None])
    senders, _ = complete_edges(2)
    assert scores[:, senders == 0].min() > 0.8
    assert scores[:, senders == 1].max() < 0.2


def test_partial_correlation_leaves_out_what_goes_through_another():
    rng = np.random.default_rng(1)
    first = rng.normal(size=(1, 2000))
    middle = first + rng.normal(size=first.shape)
    last = middle + rng.normal(size=first.shape)
    features = np.stack([first, middle, last], axis=-1)[..., None]
    plain, partial = (edges_to_matrix(relation(features), 3)[0] for relation in (correlate, correlate_partially))
    assert plain[0, 2] > 0.5
    assert partial[0, 2] < 0.08
    assert min(partial[0, 1], partial[1, 2]) > 0.4


def test_correlation_is_pearsons_mean_over_features():
    features = np.random.default_rng(2).normal(size=(3, 30, 4, 2)).cumsum(axis=1)
    senders, receivers = complete_edges(4)
    expected = [
        np.mean([abs(pearsonr(features[1, :, s, k], features[1, :, r, k])[0]) for k in range(2)])
        for s, r in zip(senders, receivers, strict=True)
    ]
    np.testing.assert_allclose(correlate(features)[1], expected, rtol=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_granger_equals_two_regressions(order):
    """The block formula against fitting with and without a sender, penalty and all."""
    ridge, frames, objects, size = 0.01, 40, 3, 2
    features = np.random.default_rng(3).normal(size=(2, frames, objects, size)).cumsum(axis=1)

    def scale(values):
        return (values - values.mean(axis=0)) / values.std(axis=0)

    def fit(past, change):
        rows = len(past)
        stacked = np.concatenate([past, np.sqrt(rows * ridge) * np.eye(past.shape[1])])
        target = np.concatenate([change, np.zeros(past.shape[1])])
        solution = np.linalg.lstsq(stacked, target, rcond=None)[0]
        return ((target - stacked @ solution) ** 2).sum()

    scores = edges_to_matrix(measure_granger(features, order, ridge), objects)
    for simulation, sender, receiver in [(0, 0, 1), (0, 2, 0), (1, 1, 2)]:
        values = features[simulation]
        past = {
            thing: scale(np.hstack([values[order - 1 - lag : frames - 1 - lag, thing] for lag in range(order)]))
            for thing in range(objects)
        }
        change = scale(np.diff(values[order - 1 :, receiver], axis=0))
        everyone = np.hstack(list(past.values()))
        others = np.hstack([past[thing] for thing in range(objects) if thing != sender])
        ratios = [fit(others, change[:, k]) / fit(everyone, change[:, k]) for k in range(size)]
        assert scores[simulation, sender, receiver] == pytest.approx(np.log(ratios).mean(), rel=1e-6)


@each_relation
def test_relabelling_objects_permutes_scores(relation):
    features, _ = draw_system(simulations=4, frames=40)
    features = np.concatenate([features, features**2], axis=-1)
    order = np.array([3, 0, 4, 1, 2])
    matrix = edges_to_matrix(relation(features), 5)
    permuted = edges_to_matrix(relation(features[:, :, order]), 5)
    np.testing.assert_allclose(permuted, matrix[:, order][:, :, order], rtol=1e-6, atol=1e-9)
    assert np.ptp(matrix_to_edges(matrix)) > 0.01


@each_relation
def test_units_and_offsets_do_not_matter(relation):
    features, _ = draw_system(simulations=3, frames=40)
    np.testing.assert_allclose(relation(features * 1e-3 + 7.0), relation(features), rtol=1e-5, atol=1e-8)


@each_relation
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_constant_feature_is_related_to_nothing(relation, dtype):
    features, _ = draw_system(simulations=3, frames=40)
    constant = np.full_like(features, 0.7)
    scores = relation(np.concatenate([features, constant], axis=-1).astype(dtype))
    np.testing.assert_allclose(scores, relation(features.astype(dtype)) / 2, rtol=1e-4, atol=1e-5)
    still = np.concatenate([features, features], axis=-1).astype(dtype)
    still[:, :, 2] = 0.3
    touched = np.any(np.array(complete_edges(5)) == 2, axis=0)
    assert np.abs(relation(still)[:, touched]).max() == 0.0
    assert np.isfinite(relation(still)).all()


@each_relation
def test_fewer_frames_than_objects_give_finite_scores(relation):
    features = np.random.default_rng(4).normal(size=(2, 12, 30, 2))
    assert np.isfinite(relation(features)).all()


@each_relation
def test_simulations_do_not_touch_each_other(relation, monkeypatch):
    features, _ = draw_system(simulations=5, frames=40)
    whole = relation(features)
    monkeypatch.setattr("wormjax.baselines.relations.CHUNK_NUMBERS", 500)  # Two simulations or fewer at a time.
    np.testing.assert_allclose(relation(features), whole, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(relation(features[3:4])[0], whole[3], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["correlation", "granger"])
def test_the_null_rejects_as_often_as_it_says(name):
    features, _ = draw_system(simulations=60, frames=80, chance=0.0, seed=5)
    null = null_by_shifts(RELATIONS[name], features, np.random.default_rng(0), shifts=39)
    assert np.mean(null <= 0.05) == pytest.approx(0.05, abs=0.025)  # 1,200 edges.
    assert np.mean(null <= 0.5) == pytest.approx(0.5, abs=0.06)


def test_the_null_lets_true_edges_stand_out():
    features, edges = draw_system(simulations=10, frames=200, seed=6)
    null = null_by_shifts(measure_granger, features, np.random.default_rng(0), shifts=39)
    assert np.mean(null[edges == 1] <= 0.05) > 0.8
    assert np.mean(null[edges == 0] <= 0.05) < 0.12


def test_the_null_of_what_cannot_vary_is_not_significant():
    null = null_by_shifts(correlate, np.ones((2, 20, 3, 1)), np.random.default_rng(0), shifts=9)
    assert (null == 1).all()


def test_wrong_input_is_named():
    features, _ = draw_system(simulations=2, frames=10)
    with pytest.raises(InputError, match=r"found shape \(10, 5, 1\)"):
        correlate(features[0])
    with pytest.raises(InputError, match="with 12 frames"):
        measure_granger(features, order=10)


def test_the_graphical_lasso_leaves_out_what_goes_through_another():
    rng = np.random.default_rng(1)
    first = rng.normal(size=(1, 500))
    middle = first + rng.normal(size=first.shape)
    last = middle + rng.normal(size=first.shape)
    scores = edges_to_matrix(correlate_sparsely(np.stack([first, middle, last], axis=-1)[..., None]), 3)[0]
    assert scores[0, 2] < 0.1 < 0.3 < min(scores[0, 1], scores[1, 2])
    np.testing.assert_allclose(scores, scores.T)


def test_lagged_regression_finds_a_planted_graph_and_its_direction():
    features, edges = draw_system()
    scores = regress_lagged(features)
    turned = matrix_to_edges(edges_to_matrix(scores, 5).swapaxes(1, 2))
    assert roc_auc_score(edges.ravel(), scores.ravel()) > 0.95
    assert roc_auc_score(edges.ravel(), turned.ravel()) < 0.6


def test_skewness_points_from_sender_to_receiver_without_a_lag():
    rng = np.random.default_rng(2)
    sender = rng.gamma(1.0, 1.0, (8, 500))
    receiver = 0.7 * sender + rng.gamma(1.0, 1.0, sender.shape)
    scores = compare_skewness(np.stack([sender, receiver], axis=-1)[..., None])
    senders, _ = complete_edges(2)
    assert scores[:, senders == 0].min() > 0
    np.testing.assert_allclose(scores[:, senders == 1], -scores[:, senders == 0])
    x, y = ((values[0] - values[0].mean()) / values[0].std() for values in (sender, receiver))
    bent = [np.log(np.cosh(np.maximum(values, 0))) for values in (x, y)]
    expected = (x * y).mean() * ((bent[0] * y).mean() - (x * bent[1]).mean())
    assert scores[0, senders == 0][0] == pytest.approx(expected, rel=1e-6)
