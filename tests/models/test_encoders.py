"""The encoder sees a graph and not the order of its nodes, and each window by itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax import graphs
from wormjax.models.encoders import CnnEncoder, MlpEncoder

NODES, TYPES = 5, 3
FRAMES, FEATURES = 12, 2
CNN = {
    "one frame": CnnEncoder(8, TYPES, kernels=(1, 1), pooling=1),
    "pooled": CnnEncoder(8, TYPES, kernels=(3, 2), pooling=2),
    "five frames, relative": CnnEncoder(8, TYPES, kernels=(5, 3), pooling=2, scale=(0.1, 1.0)),
    "strided": CnnEncoder(8, TYPES, kernels=(2, 2), stride=3, pooling=1, scale=(0.1, 1.0)),
}


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


def test_after_the_second_round_of_messages_an_edge_depends_on_other_nodes(encoder, nodes):
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


@pytest.fixture(scope="module", name="cnn")
def cnn_of(draw_variables, compile_quickly):
    """A function: name of a convolutional encoder → its compiled call: nodes [node, frame, feature] → logits."""

    @functools.cache
    def make(name):
        module = CNN[name]
        variables = draw_variables(module, graphs.complete_graph(jnp.zeros((NODES, FRAMES, FEATURES))))
        return compile_quickly(lambda nodes: module.apply(variables, graphs.complete_graph(nodes)))

    return make


@pytest.fixture(scope="module")
def movement():
    """Nodes [node, frame, feature]."""
    return np.random.default_rng(1).normal(size=(NODES, FRAMES, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("name", CNN)
def test_relabelling_the_nodes_relabels_the_logits_of_convolutions(cnn, movement, name):
    encode = cnn(name)
    original = as_matrix(encode(movement))
    for order in ([1, 0, 2, 3, 4], [4, 2, 3, 0, 1]):
        relabelled = as_matrix(encode(movement[order]))
        np.testing.assert_allclose(relabelled, original[order][:, order], rtol=1e-3, atol=1e-5)
        assert abs(relabelled - original).max() > 1e-3


@pytest.mark.parametrize("name", CNN)
def test_convolutions_tell_an_edge_from_its_reverse_and_depend_on_other_nodes(cnn, movement, name):
    matrix = as_matrix(cnn(name)(movement))
    assert abs(matrix - matrix.swapaxes(0, 1)).max() > 1e-3
    changed = movement.copy()
    changed[4] += 1.0
    assert abs(as_matrix(cnn(name)(changed)) - matrix)[0, 1].max() > 1e-5


def test_single_frames_are_a_set_and_longer_kernels_see_their_order(cnn, movement):
    shuffled = movement[:, np.random.default_rng(2).permutation(FRAMES)]
    np.testing.assert_allclose(cnn("one frame")(shuffled), cnn("one frame")(movement), rtol=1e-3, atol=1e-5)
    assert abs(cnn("pooled")(shuffled) - cnn("pooled")(movement)).max() > 1e-3


def test_a_stride_leaves_out_frames(cnn, movement):
    """Kernel 2 and stride 3: frames 2, 5, 8, 11 are never looked at."""
    changed = movement.copy()
    changed[:, 2::3] += 5.0
    np.testing.assert_array_equal(cnn("strided")(changed), cnn("strided")(movement))
    changed[:, 4] += 5.0
    assert abs(cnn("strided")(changed) - cnn("strided")(movement)).max() > 1e-3


def test_frames_are_weighed_and_a_film_twice_as_long_is_seen_alike(cnn, movement):
    """Attention is over frames, whatever their number: each frame twice is what it was once."""
    twice = np.repeat(movement, 2, axis=1)
    np.testing.assert_allclose(cnn("one frame")(twice), cnn("one frame")(movement), rtol=1e-3, atol=1e-5)


def test_a_gradient_reaches_every_parameter_of_a_convolutional_encoder(draw_variables, compile_quickly, movement):
    module, graph = CNN["five frames, relative"], graphs.complete_graph(jnp.asarray(movement))
    variables = draw_variables(module, graph)
    gradient = compile_quickly(jax.grad(lambda values: (module.apply(values, graph) ** 2).sum()))(variables)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        # The same number more for every frame changes no attention.
        constant = leaf.shape == (1,)
        assert np.isfinite(leaf).all()
        assert constant or np.asarray(leaf).any(), path
