"""The posterior of each pair: what its statistics are, what it does not depend on, what it learns without labels."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.covariance import OAS
from sklearn.metrics import roc_auc_score

from wormjax import graphs
from wormjax.baselines.relations import compare_skewness
from wormjax.models.pairwise_posterior import infer_pairs, initialise_pairs, measure_pairs

infer = jax.jit(jax.vmap(infer_pairs, in_axes=(None, 0)))


def simulate_effects(rng, systems=12, frames=300, nodes=6):
    """Systems with graphs of their own: x = Bx + e, e skewed to the right; features and graphs [sender, receiver]."""
    features, edges = [], []
    for _ in range(systems):
        order = rng.permutation(nodes)
        graph = np.zeros((nodes, nodes), int)
        graph[np.triu_indices(nodes, 1)] = rng.random(nodes * (nodes - 1) // 2) < 0.3
        noise = rng.gamma(1.5, 1.0, (frames, nodes))
        signal = noise @ np.linalg.inv(np.eye(nodes) - 0.5 * graph)  # Row vectors: sender times graph.
        place = np.argsort(order)
        features.append(signal[:, place]), edges.append(graph[np.ix_(place, place)])
    return jnp.asarray(np.stack(features)[..., None], jnp.float32), np.stack(edges)


def test_statistics_are_what_they_are_called():
    features, _ = simulate_effects(np.random.default_rng(0), systems=1)
    link, direction = jax.jit(measure_pairs)(features[0])
    values = np.asarray(features[0, ..., 0], float)
    values = (values - values.mean(0)) / values.std(0)
    precision = np.linalg.inv(OAS(assume_centered=True).fit(values).covariance_)
    scale = np.sqrt(np.diag(precision))
    partial = -precision / np.outer(scale, scale)
    off = ~np.eye(6, dtype=bool)
    expected = np.sqrt(300) * np.arctanh(np.where(off, partial, 0))
    np.testing.assert_allclose(np.asarray(link)[off], expected[off], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(direction, -direction.T, atol=2e-3)
    ratio = compare_skewness(np.asarray(features))[0]
    assert (np.sign(graphs.matrix_to_edges(np.asarray(direction))) == np.sign(ratio)).all()
    bent = np.log(np.cosh(np.maximum(values, 0)))
    bent -= bent.mean(0)
    difference = bent[:, 0] * values[:, 1] - values[:, 0] * bent[:, 1]
    expected = np.sqrt(300) * difference.mean() / difference.std() * np.sign((values[:, 0] * values[:, 1]).mean())
    assert direction[0, 1] == pytest.approx(expected, rel=1e-3)


def test_the_posterior_does_not_depend_on_units_or_on_the_numbers_of_nodes():
    features, _ = simulate_effects(np.random.default_rng(1), systems=1)
    params, order = initialise_pairs(), np.array([3, 0, 5, 1, 4, 2])
    both = jnp.stack([features[0], 7.0 * features[0][:, order] + 3.0])
    (evidence, other), (edges, moved) = infer(params, both)
    matrix = graphs.edges_to_matrix(np.asarray(edges[:, 1]), 6)
    moved = graphs.edges_to_matrix(np.asarray(moved[:, 1]), 6)
    np.testing.assert_allclose(moved, matrix[np.ix_(order, order)], atol=2e-3)
    assert other == pytest.approx(float(evidence), rel=1e-3)
    np.testing.assert_allclose(edges.sum(axis=-1), 1.0, atol=1e-6)
    assert (matrix + matrix.T <= 1 + 1e-5).all()


def test_a_node_that_does_not_vary_has_finite_edges():
    features, _ = simulate_effects(np.random.default_rng(2), systems=1)
    evidence, edges = infer(initialise_pairs(), features.at[:, :, 2].set(1.0))
    assert np.isfinite(evidence).all()
    assert np.isfinite(edges).all()


def test_a_planted_directed_graph_is_found_without_labels():
    """Every system has its own graph; parameters are learnt on some systems and used on others."""
    features, edges = simulate_effects(np.random.default_rng(3), systems=12)
    train, test = features[:7], features[7:]
    optimiser = optax.adam(0.05)

    def loss(params):
        return -infer(params, train)[0].mean() / 15

    @jax.jit
    def update(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        steps, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, steps), state, value

    params, values = initialise_pairs(), []
    state = optimiser.init(params)
    for _ in range(40):
        params, state, value = update(params, state)
        values.append(value)
    assert values[-1] < values[0]
    found = np.asarray(infer(params, test)[1])[..., 1]
    true = graphs.matrix_to_edges(edges[7:])
    assert roc_auc_score(true.ravel(), found.ravel()) > 0.95
    back = graphs.matrix_to_edges(graphs.edges_to_matrix(found, 6).swapaxes(1, 2))
    assert (found > back)[true == 1].mean() > 0.9
