"""The published graph network: one static graph, the mean over valid frames; batch norm over valid frames alone."""

import jax
import jax.numpy as jnp
import jraph_graphs
import numpy as np
import pytest

from wormjax import graphs
from wormjax.models.wang2021 import BatchNormMlp, FrameNorm, WangGraph

VALID = np.ones((3, 12), bool)


def apply_plainly(variables, features, valid):
    """The graph network in evaluation, edge by edge with jraph's indices: (logits, edge logits [edge, type])."""
    params, statistics = variables["params"], variables["batch_stats"]
    hidden = params["edge_type"]["kernel"].shape[0]

    def node_network(name, values):
        part = {"params": params[name], "batch_stats": statistics[name]}
        return BatchNormMlp(hidden, hidden).apply(part, values, valid, False)

    def edge_network(pair, second, nodes):
        graph = graphs.complete_graph(nodes)
        sent = jraph_graphs.send(graph) @ params[pair]["sender"]["kernel"] + params[pair]["sender"]["bias"]
        received = jraph_graphs.receive(graph) @ params[pair]["receiver"]["kernel"]
        return jax.nn.elu(jax.nn.elu(sent + received) @ params[second]["kernel"] + params[second]["bias"])

    def of_frames(function, *arrays):
        return jax.vmap(jax.vmap(function))(*arrays)

    nodes = node_network("BatchNormMlp_0", features)
    edges = of_frames(lambda n: edge_network("edge_pair", "Dense_0", n), nodes)
    mean = jnp.where(valid[..., None, None], edges, 0.0).sum((0, 1)) / valid.sum()
    edge_logits = mean @ params["edge_type"]["kernel"] + params["edge_type"]["bias"]
    messages = of_frames(lambda n: edge_network("message_pair", "Dense_1", n), nodes)
    messages = messages * jax.nn.softmax(edge_logits)[:, 1:2]
    arrived = of_frames(lambda n, m: jraph_graphs.sum_messages(graphs.complete_graph(n, m)), nodes, messages)
    values = jnp.concatenate([nodes, arrived], axis=-1).reshape(*nodes.shape[:2], -1)
    values = node_network("BatchNormMlp_1", values)
    return values @ params["Dense_2"]["kernel"] + params["Dense_2"]["bias"], edge_logits


@pytest.mark.parametrize("missing", [False, True])
def test_decodings_and_gradients_are_those_of_the_network_edge_by_edge(small, windows, compile_quickly, missing):
    model, features = small("wang_graph"), windows()
    valid = VALID.copy()
    if missing:
        valid[0, 5:] = valid[2, :3] = False
        features[~valid] = 50.0
    rng = np.random.default_rng(3)
    shares = rng.normal(size=(3, 12, 3)) * valid[..., None], rng.normal(size=(12, 2))

    def score(apply):
        def of(params, features):
            outputs = apply(model.variables | {"params": params}, features)
            return sum((output * share).sum() for output, share in zip(outputs, shares, strict=True)), outputs

        return compile_quickly(jax.value_and_grad(of, argnums=(0, 1), has_aux=True))

    def apply_fast(variables, features):
        decoding = model.module.apply(variables, features, valid)
        return decoding.logits, decoding.edge_logits[0]

    plain = score(lambda variables, features: apply_plainly(variables, features, valid))
    (_, expected), slopes = plain(model.variables["params"], features)
    (_, outputs), gradients = score(apply_fast)(model.variables["params"], features)
    for one, other in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert min(abs(slope).max() for slope in jax.tree.leaves(slopes)) > 1e-2
    for one, other in zip(jax.tree.leaves(gradients), jax.tree.leaves(slopes), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * abs(other).max())


def test_one_graph_for_the_whole_batch(small, windows):
    model = small("wang_graph")
    edges = np.asarray(model.evaluate(model.variables, windows(), VALID).edge_logits)
    np.testing.assert_array_equal(edges, np.broadcast_to(edges[:1], edges.shape))


def test_the_graph_is_the_mean_over_the_valid_frames_alone(small, windows, compile_quickly):
    model, features = small("wang_graph"), windows()
    valid = VALID.copy()
    valid[0, 4:] = valid[2] = False
    features[~valid] = 1e3  # Whatever stands where there is no frame.
    together = model.evaluate(model.variables, features, valid).edge_logits[0]

    def graph_of(frame):  # The read-out of the mean is linear, so that graphs of single frames average to it.
        return model.module.apply(model.variables, frame[None, None], jnp.ones((1, 1), bool)).edge_logits[0]

    alone = compile_quickly(jax.vmap(graph_of))(features[valid])
    assert np.ptp(alone, axis=0).max() > 0.01
    np.testing.assert_allclose(together, alone.mean(axis=0), rtol=1e-4, atol=1e-4)


def test_the_first_edge_type_carries_no_messages(small, windows, compile_quickly):
    model = small("wang_graph")

    @compile_quickly
    def message_gradient(params, bias):
        params = params | {"edge_type": params["edge_type"] | {"bias": bias}}

        def score(kernel):
            changed = params | {"message_pair": params["message_pair"] | {"sender": {"kernel": kernel, "bias": zero}}}
            return (model.module.apply(model.variables | {"params": changed}, windows(), VALID).logits ** 2).sum()

        zero = jnp.zeros_like(params["message_pair"]["sender"]["bias"])
        return abs(jax.grad(score)(params["message_pair"]["sender"]["kernel"])).max()

    params = model.variables["params"]
    assert message_gradient(params, jnp.array([200.0, -200.0])) == 0
    assert message_gradient(params, jnp.array([-200.0, 200.0])) > 1e-4


def test_a_single_neuron_is_a_graph_without_edges(draw_variables, windows, compile_quickly):
    module, features = WangGraph(3, hidden=4), windows(2, 5, neurons=1)
    valid = np.ones((2, 5), bool)
    variables = draw_variables(module, features, valid)
    decoding = compile_quickly(module.apply)(variables, features, valid)
    assert decoding.edge_logits.shape == (2, 0, 2)
    assert np.isfinite(decoding.logits).all()


def test_batch_norm_in_training_has_the_moments_of_the_valid_frames(draw_variables):
    values = np.random.default_rng(0).normal(2.0, 3.0, size=(3, 6, 4, 5)).astype(np.float32)
    valid = np.random.default_rng(1).random((3, 6)) < 0.6
    values[~valid] = 1e4
    module = FrameNorm()
    start = {
        "params": {"BatchNorm_0": {"scale": jnp.ones(5), "bias": jnp.zeros(5)}},
        "batch_stats": {"BatchNorm_0": {"mean": jnp.zeros(5), "var": jnp.ones(5)}},
    }
    result, updates = module.apply(start, values, valid, True, mutable=["batch_stats"])
    scored = np.asarray(result)[valid]
    np.testing.assert_allclose(scored.mean(axis=(0, 1)), 0.0, atol=1e-3)
    np.testing.assert_allclose(scored.std(axis=(0, 1)), 1.0, rtol=1e-3)
    moved = updates["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(moved["mean"], 0.1 * values[valid].mean(axis=(0, 1)), rtol=1e-3)
    np.testing.assert_allclose(moved["var"], 0.9 + 0.1 * values[valid].var(axis=(0, 1)), rtol=1e-3)


@pytest.mark.parametrize("name", ["wang_mlp", "wang_graph"])
def test_training_takes_the_moments_of_its_batch_and_evaluation_the_kept_ones(small, windows, noise, name):
    model, features = small(name), windows()
    kept = model.variables | {"batch_stats": jax.tree.map(lambda leaf: 2.0 * leaf, model.variables["batch_stats"])}
    trained = [model.train(v, features, VALID, noise())[0].logits for v in (model.variables, kept)]
    evaluated = [model.evaluate(v, features, VALID).logits for v in (model.variables, kept)]
    np.testing.assert_array_equal(*trained)
    assert abs(evaluated[0] - evaluated[1]).max() > 0.01


@pytest.mark.parametrize("name", ["wang_mlp", "wang_graph"])
def test_devices_that_share_a_batch_train_as_one(small, windows, noise, name):
    whole, shared = small(name), small(name, axis_name="device")
    features, drawn = windows(4), noise(windows=4)
    valid = np.ones((4, 12), bool)
    halves = jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), (features, valid))
    keys = drawn._replace(keys=drawn.keys.reshape(2, 2))
    axes = (None, 0, 0, type(drawn)(0, None, None))
    parts, stats = jax.vmap(shared.train, in_axes=axes, axis_name="device")(whole.variables, *halves, keys)
    together, expected = whole.train(whole.variables, features, valid, drawn)
    np.testing.assert_allclose(parts.logits.reshape(together.logits.shape), together.logits, rtol=1e-3, atol=1e-4)
    for part, one in zip(jax.tree.leaves(stats), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(part, np.stack([one, one]), rtol=1e-4, atol=1e-5)
