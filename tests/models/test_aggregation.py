"""Options of aggregation: known sums, and the numbers of nodes do not matter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from wormjax.configs import nri_springs, nri_springs_sampled

from wormjax import graphs
from wormjax.errors import ConfigError
from wormjax.models.aggregation import AGGREGATIONS, OF_NODES, PairAggregation, normalise_degrees
from wormjax.models.any_neurons import AnyNeuronDecoder
from wormjax.models.decoders import MlpDecoder, RecurrentDecoder
from wormjax.tasks.config_checks import check_settings

pytestmark = pytest.mark.usefixtures("quick_compilation")

NODES, HIDDEN = 4, 5
others = pytest.mark.parametrize("kind", [kind for kind in AGGREGATIONS if kind != "sum"])


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def aggregate(kind, messages, weights, params=None):
    module = PairAggregation(kind)
    return np.asarray(module.apply({"params": params or {}}, messages, weights, NODES))


def test_a_mean_is_of_the_edges_that_are_there():
    messages, weights = draw(12, 2), np.zeros((12, 1), np.float32)
    weights[[3, 5]] = 1.0  # Two edges arrive at node 1, one at node 2, none elsewhere.
    weights[7] = 1.0
    found = aggregate("mean", [messages], weights)
    np.testing.assert_allclose(found[1], (messages[3] + messages[5]) / 2, rtol=1e-5)
    np.testing.assert_allclose(found[2], messages[7], rtol=1e-5)
    assert not found[[0, 3]].any()
    np.testing.assert_allclose(aggregate("mean", [messages], 0.1 * weights)[2], 0.1 * messages[7], rtol=1e-5)


def test_a_maximum_is_of_each_feature_over_all_types_and_edges():
    messages, weights = [draw(12, 2), draw(12, 2, seed=1)], np.ones((12, 2), np.float32)
    found = aggregate("max", messages, weights)
    both = np.stack(messages)[:, 6:9].reshape(6, 2)
    np.testing.assert_allclose(found[2], both.max(axis=0))
    weights[6:9] = 0.0
    assert not aggregate("max", messages, weights)[2].any()


def test_attention_is_a_softmax_over_the_edges_that_are_there():
    messages, weights = draw(12, 2), np.ones((12, 1), np.float32)
    weights[4] = 0.0
    kernel = np.array([[1.0], [-2.0]], np.float32)
    found = aggregate("attention", [messages], weights, {"attention": {"kernel": kernel}})
    share = np.exp(messages[jnp.array([3, 5])] @ kernel)
    expected = (share * messages[jnp.array([3, 5])]).sum(0) / share.sum()
    np.testing.assert_allclose(found[1], expected, rtol=1e-4)


def test_graph_convolution_is_over_the_roots_of_degrees():
    weights = np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], np.float32)  # [receiver, sender]
    found = normalise_degrees(jnp.asarray(weights))
    np.testing.assert_allclose(found[0], [1 / 3, 1 / np.sqrt(6), 1 / np.sqrt(3)], rtol=1e-6)
    np.testing.assert_allclose(found[2], [0, 0, 1], rtol=1e-6)


@others
@pytest.mark.parametrize("make", [MlpDecoder, pytest.param(RecurrentDecoder, marks=pytest.mark.slow)])
def test_the_numbers_of_nodes_do_not_matter_to_a_decoder(kind, make, draw_variables):
    """And edges from a node that has none to send do not change with what it does."""
    decoder = make(HIDDEN, aggregation=kind)
    nodes, order = draw(NODES, 3), np.array([2, 0, 3, 1])
    edges = np.array(jax.nn.softmax(draw(12, 2, seed=1)))
    senders, receivers = graphs.complete_edges(NODES)
    edges[senders == 3] = (1.0, 0.0)
    params = draw_variables(decoder, decoder.start(nodes), nodes, edges)

    @jax.jit
    def change(nodes, edges):
        return decoder.apply(params, decoder.start(nodes), nodes, edges)[1]

    matrix = np.moveaxis(graphs.edges_to_matrix(edges.T, NODES), 0, -1)
    moved = matrix[np.ix_(order, order)][senders, receivers]
    found = change(nodes, edges)
    np.testing.assert_allclose(change(nodes[order], moved), found[order], rtol=1e-3, atol=1e-4)
    other = change(nodes.at[3].add(1.0), edges)
    np.testing.assert_allclose(other[:3], found[:3], rtol=1e-4, atol=1e-5)
    assert np.abs(change(nodes.at[0].add(1.0), edges) - found)[1:].max() > 1e-4


@others
def test_the_order_of_neurons_does_not_matter_to_a_decoder_of_any(kind, draw_variables):
    names = ("AVAL", "AVAR", "RID", "VB01")
    module = AnyNeuronDecoder(
        3, names, graph="complete", aggregation=kind, embedding=4, node_hidden=5, channels=8, kernel=3, dilations=(1,)
    )
    features, valid, order = draw(2, 9, 4, 2), np.ones((2, 9), bool), np.array([3, 1, 0, 2])
    features = features.at[1, :, 2].set(0.0)  # Absent from the second window.
    variables = draw_variables(module, features, valid)
    moved = variables | {"identity": {"ids": variables["identity"]["ids"][order]}}
    decode = jax.jit(module.apply)
    whole = decode(variables, features, valid).logits
    np.testing.assert_allclose(decode(moved, features[:, :, order], valid).logits, whole, rtol=1e-3, atol=1e-4)


def test_an_aggregation_without_effect_is_refused():
    with pytest.raises(ConfigError, match=r"model\.any_neurons\.aggregation.*'mean'.*graph='none'"):
        AnyNeuronDecoder(3, ("AVAL",), graph="none", aggregation="mean")
    exact = nri_springs.get_config("small")
    exact.model.decoder.aggregation = "mean"
    with pytest.raises(ConfigError, match=r"model\.decoder\.aggregation.*'mean' with train\.posterior='exact'"):
        check_settings(exact)
    sampled = nri_springs_sampled.get_config("small")
    sampled.model.decoder.aggregation = OF_NODES[0]
    with pytest.raises(ConfigError, match=r"model\.decoder\.relative.*found True.*no effect.*aggregation='gin'"):
        check_settings(sampled)
    sampled.model.decoder.relative = False
    check_settings(sampled)
    sampled.model.decoder.aggregation = "median"
    with pytest.raises(ConfigError, match=r"model\.decoder\.aggregation.*found 'median'"):
        check_settings(sampled)
