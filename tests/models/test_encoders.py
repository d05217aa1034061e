"""The encoder sees a graph and not the order of its nodes, and each window by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax import graphs
from wormjax.models.encoders import MlpEncoder

NODES, TYPES = 5, 3


@pytest.fixture(scope="module")
def encoder(draw_variables, compile_quickly):
    """The compiled encoder with its variables: nodes [node, feature] → logits [edge, type]."""
    module = MlpEncoder(hidden=8, edge_types=TYPES)
    variables = draw_variables(module, graphs.complete_graph(jnp.zeros((NODES, 4))))
    return compile_quickly(lambda nodes: module.apply(variables, graphs.complete_graph(nodes)))


@pytest.fixture(scope="module")
def nodes():
    return np.random.default_rng(0).normal(size=(NODES, 4)).astype(np.float32)


def as_matrix(logits):
    """[edge, type] → [sender, receiver, type]."""
    return np.moveaxis(graphs.edges_to_matrix(np.asarray(logits).T, NODES), 0, -1)


def test_one_row_of_logits_an_edge_each_its_own(encoder, nodes):
    logits = encoder(nodes)
    assert logits.shape == (NODES * (NODES - 1), TYPES)
    assert len(np.unique(np.asarray(logits).round(5), axis=0)) == NODES * (NODES - 1)


@pytest.mark.parametrize("seed", range(3))
def test_relabelling_the_nodes_relabels_the_logits_and_nothing_else(encoder, nodes, seed):
    order = np.random.default_rng(seed).permutation(NODES)
    original, relabelled = as_matrix(encoder(nodes)), as_matrix(encoder(nodes[order]))
    np.testing.assert_allclose(relabelled, original[order][:, order], rtol=1e-4, atol=1e-5)
    assert abs(relabelled - original).max() > 1e-3


def test_an_edge_and_its_reverse_are_told_apart(encoder, nodes):
    matrix = as_matrix(encoder(nodes))
    assert abs(matrix - matrix.swapaxes(0, 1)).max() > 1e-3


def test_the_second_round_of_messages_lets_an_edge_hear_of_other_nodes(encoder, nodes):
    changed = nodes.copy()
    changed[4] += 1.0
    difference = abs(as_matrix(encoder(changed)) - as_matrix(encoder(nodes)))
    assert difference[0, 1].max() > 1e-4


def test_vmap_over_windows_is_one_graph_at_a_time(encoder, nodes):
    windows = np.stack([nodes, 2 * nodes, -nodes])
    together = jax.vmap(encoder)(windows)
    for window, logits in zip(windows, together, strict=True):
        np.testing.assert_allclose(logits, encoder(window), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_the_smallest_graphs_have_finite_logits_and_gradients(draw_variables, compile_quickly, count):
    module, graph = MlpEncoder(4, 2), graphs.complete_graph(jnp.ones((count, 3)))
    variables = draw_variables(module, graph)

    @compile_quickly
    def score(variables):
        logits, back = jax.vjp(lambda values: module.apply(values, graph), variables)
        return logits, back(jnp.ones_like(logits))

    logits, gradient = score(variables)
    assert logits.shape == (count * (count - 1), 2)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((logits, gradient)))
