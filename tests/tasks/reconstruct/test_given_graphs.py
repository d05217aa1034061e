"""Graphs that a reconstruction network is given: what each is, and that no other edge is read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_reconstructions import small_config

from wormjax import connectome
from wormjax.errors import InputError
from wormjax.models.reconstruction import ReconstructionNetwork
from wormjax.tasks.given_graphs import load_edges
from wormjax.tasks.reconstruct.experiment import check_config, reconstruct

NAMES = ("AVAL", "AVAR", "AVBL", "DA02", "RIML", "cell 7")
NETWORK = {"identity": "class", "embedding": 4, "node_hidden": 4, "channels": 6, "graph": "given"}


def test_graphs_are_zeros_and_ones_of_the_wiring():
    np.testing.assert_array_equal(load_edges("complete", NAMES), 1 - np.eye(6))
    assert not load_edges("none", NAMES).any()
    chemical = load_edges("chemical", NAMES)
    known = np.nan_to_num(connectome.load("cook2019").matrix("chemical", NAMES)) > 0
    np.fill_diagonal(known, False)
    np.testing.assert_array_equal(chemical, known)
    assert chemical[0, 3] == 1
    many = connectome.load("cook2019").neuron_names[:60]
    electrical, rewired = load_edges("electrical", many), load_edges("electrical:rewired:3", many)
    np.testing.assert_array_equal(rewired.sum(axis=0), electrical.sum(axis=0))
    np.testing.assert_array_equal(rewired, rewired.T)
    assert (rewired != electrical).any()
    assert (rewired != load_edges("electrical:rewired:4", many)).any()
    for graph, message in (("atlas", "'data.atlas': found none"), ("none.csv", "'data.edges': found 'none.csv'")):
        with pytest.raises(InputError, match=message):
            load_edges(graph, NAMES)


def test_a_trace_without_an_edge_is_read_in_the_sum_alone(quick_compilation):
    module = ReconstructionNetwork(NAMES, embedding=4, node_hidden=3, channels=5, identity="neuron", graph="given")
    features = np.random.default_rng(0).normal(size=(1, 9, 6, 1)).astype(np.float32)
    valid, hidden = np.ones((1, 9), bool), np.arange(6)[None] == 0
    variables = jax.jit(module.init)(jax.random.key(0), features, valid, hidden)
    params = jax.tree.map(lambda x: 0.3 * np.random.default_rng(1).normal(size=x.shape), variables["params"])
    params["read_out"] = jax.tree.map(np.zeros_like, params["read_out"])  # Nothing comes from the sum.

    def derive(edges):
        own = variables | {"params": params, "given": {"edges": jnp.asarray(edges, jnp.float32)}}
        run = lambda x: module.apply(own, x, valid, hidden)[..., 0].sum()  # noqa: E731
        return np.abs(jax.grad(run)(jnp.asarray(features))).sum(axis=(0, 1, 3))

    edges = np.zeros((6, 6))
    edges[3, 0] = edges[0, 2] = 1.0
    moved = derive(edges)
    assert moved[3] > 0
    assert not moved[[0, 2, 4, 5]].any()
    assert derive(np.ones((6, 6)))[4] > 0


@pytest.mark.slow
def test_it_trains_on_each_graph_and_the_rows_name_it(tmp_path, quick_compilation):
    config = small_config(baselines=(), mixture=())
    with config.unlocked():
        for name in ("none", "chemical"):
            config.model[name] = {**NETWORK, "edges": name}
        config.models = ("none", "chemical")
        config.train.members = 1
    rows = reconstruct(config, tmp_path / "run")
    assert {row.model for row in rows} == {"none", "chemical"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edges": ""}, r"'model.network.edges': found '' with graph='given', expected a graph"),
        (
            {"graph": "complete", "edges": "both"},
            r"'model.network.edges': found 'both', which has no effect",
        ),
        ({"graph": "inferred", "edges": ""}, r"'model.network.graph': found 'inferred', expected complete or given"),
    ],
)
def test_a_graph_without_effect_is_an_error(fields, message):
    with pytest.raises(InputError, match=message):
        check_config(small_config(model__network={**NETWORK, **fields}))
