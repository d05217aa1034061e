"""The fast paths between nodes and edges equal jraph's indices; every edge lands where its sender and receiver say."""

import jax
import jax.numpy as jnp
import jraph_graphs
import numpy as np
import pytest

from wormjax import graphs

NODES = 5
EDGES = NODES * (NODES - 1)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def with_gradient(function, weights):
    """The compiled function: values → (its result, the gradient of the weighed sum of its squares)."""

    def score(values):
        result = function(values)
        return (result**2 * weights).sum(), result

    def run(values):
        (_, result), gradient = jax.value_and_grad(score, has_aux=True)(values)
        return result, gradient

    return jax.jit(run)


@pytest.mark.parametrize("nodes", [2, 3, 7])
def test_edges_are_all_pairs_sorted_by_receiver_then_sender(nodes):
    senders, receivers = graphs.complete_edges(nodes)
    pairs = list(zip(receivers.tolist(), senders.tolist(), strict=True))
    assert pairs == sorted((r, s) for r in range(nodes) for s in range(nodes) if r != s)


def test_the_order_is_the_one_that_the_module_states():
    senders, receivers = graphs.complete_edges(4)
    for receiver in range(4):
        others = [node for node in range(4) if node != receiver]
        for k, sender in enumerate(others):
            edge = receiver * 3 + k
            assert (senders[edge], receivers[edge]) == (sender, receiver)


def test_a_graph_counts_its_nodes_and_edges():
    graph = graphs.complete_graph(draw(NODES, 2), draw(EDGES, 3))
    assert graph.n_node.tolist() == [NODES]
    assert graph.n_edge.tolist() == [EDGES]
    assert graph.edges.shape == (len(graph.senders), 3)


@pytest.mark.parametrize(("fast", "plain"), [(graphs.send, jraph_graphs.send), (graphs.receive, jraph_graphs.receive)])
@pytest.mark.parametrize("nodes", [2, NODES])
def test_from_nodes_to_edges_equals_jraph_with_its_gradient(fast, plain, nodes):
    values, weights = draw(nodes, 3), draw(nodes * (nodes - 1), 3, seed=1)

    result, gradient = with_gradient(fast, weights)(values)
    expected = with_gradient(lambda x: plain(graphs.complete_graph(x)), weights)(values)
    np.testing.assert_array_equal(result, expected[0])
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nodes", [2, NODES])
def test_from_edges_to_nodes_equals_jraph_with_its_gradient(nodes):
    edges, weights = draw(nodes * (nodes - 1), 3), draw(nodes, 3, seed=1)

    def plain(x):
        return jraph_graphs.sum_messages(graphs.complete_graph(jnp.zeros((nodes, 1)), x))

    result, gradient = with_gradient(lambda x: graphs.sum_messages(x, nodes), weights)(edges)
    expected = with_gradient(plain, weights)(edges)
    np.testing.assert_allclose(result, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("operation", "first_axis"),
    [(graphs.send, NODES), (graphs.receive, NODES), (lambda edges: graphs.sum_messages(edges, NODES), EDGES)],
)
def test_leading_axes_and_vmap_treat_each_graph_by_itself(operation, first_axis):
    values = draw(2, 3, first_axis, 4)
    alone = jax.jit(operation)
    one_by_one = np.stack([np.stack([alone(graph) for graph in row]) for row in values])
    np.testing.assert_allclose(alone(values), one_by_one, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.vmap(alone))(values), one_by_one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nodes", [2, 4])
def test_a_single_edge_lands_at_its_sender_and_receiver(nodes):
    to_square = jax.jit(lambda edges: graphs.edges_to_square(edges, nodes))
    for edge, (sender, receiver) in enumerate(zip(*graphs.complete_edges(nodes), strict=True)):
        alone = np.zeros(nodes * (nodes - 1), np.float32)
        alone[edge] = 1.0
        square = np.asarray(to_square(alone))
        matrix = graphs.edges_to_matrix(alone, nodes)
        assert np.argwhere(square).tolist() == [[receiver, sender]]
        assert np.argwhere(matrix).tolist() == [[sender, receiver]]


def test_the_square_mixes_senders_into_receivers_as_the_messages_do():
    nodes, weights = draw(2, NODES, 3), draw(2, EDGES, seed=1)
    mixed = jnp.einsum("brs,bsf->brf", graphs.edges_to_square(weights, NODES), nodes)
    heard = graphs.sum_messages(weights[..., None] * graphs.send(nodes), NODES)
    np.testing.assert_allclose(mixed, heard, rtol=1e-5, atol=1e-6)


def test_paths_of_two_edges_are_products_of_matrices():
    first, second = (np.random.default_rng(seed).normal(size=(EDGES, 2)).astype(np.float32) for seed in range(2))
    to, on = (graphs.edges_to_matrix(part.T, NODES) for part in (first, second))
    found = jax.jit(graphs.join_edges, static_argnums=2)(first, second, NODES)
    np.testing.assert_allclose(found.T, graphs.matrix_to_edges(to @ on), rtol=1e-4, atol=1e-5)


def test_edges_survive_the_way_to_a_matrix_and_back():
    edges = np.random.default_rng(0).normal(size=(2, 3, EDGES))
    matrix = graphs.edges_to_matrix(edges, NODES)
    np.testing.assert_array_equal(graphs.matrix_to_edges(matrix), edges)
    assert not np.diagonal(matrix, axis1=-2, axis2=-1).any()
    square = jax.vmap(lambda row: graphs.edges_to_square(row, NODES))(jnp.asarray(edges, jnp.float32))
    np.testing.assert_allclose(np.swapaxes(square, -1, -2), matrix, rtol=1e-6)


def test_a_matrix_keeps_its_type_and_loses_only_its_diagonal():
    matrix = np.arange(NODES**2).reshape(NODES, NODES)
    back = graphs.edges_to_matrix(graphs.matrix_to_edges(matrix), NODES)
    assert back.dtype == matrix.dtype
    np.testing.assert_array_equal(back, matrix * (1 - np.eye(NODES, dtype=int)))


def test_relabelling_the_nodes_relabels_the_edges():
    order = np.array([3, 0, 4, 1, 2])
    nodes = draw(NODES, 2)
    pairs = jnp.concatenate([graphs.send(nodes), graphs.receive(nodes)], axis=-1)
    matrix = np.stack([graphs.edges_to_matrix(np.asarray(pairs[:, k]), NODES) for k in range(4)], axis=-1)
    relabelled = jnp.concatenate([graphs.send(nodes[order]), graphs.receive(nodes[order])], axis=-1)
    expected = np.stack([graphs.matrix_to_edges(matrix[order][:, order][..., k]) for k in range(4)], axis=-1)
    np.testing.assert_array_equal(relabelled, expected)
