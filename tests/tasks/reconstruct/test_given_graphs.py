"""Graphs that a reconstruction network is given: what each is, and that no other edge is read."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_reconstructions import small_config

from wormjax import connectome
from wormjax.errors import InputError
from wormjax.models.reconstruction import ReconstructionNetwork
from wormjax.tasks.given_graphs import find_given, list_edges, load_edges, load_given, move_given
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.tasks.reconstruct.experiment import check_config, reconstruct
from wormjax.tasks.reconstruct.networks import build_group_runs
from wormjax.tasks.worms import prepare_materials

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
    with pytest.raises(InputError, match=r"'data\.atlas': found none"):
        load_edges("atlas", NAMES)
    misspelt = small_config(model__network={**NETWORK, "edges": "chemcial:rewired:1"})
    message = r"'model\.network\.edges': found 'chemcial' \(.*\), expected none, .*, learnt or a CSV table"
    with pytest.raises(InputError, match=message):
        load_given("network", misspelt, NAMES)


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


def learn(dataset, graph="learnt", **own):
    config = small_config(model__network={**NETWORK, "edges": graph})
    groups = [Group(0, Split((0, 1), (2,))), Group(0, Split((1, 2), (0,)))]
    runs = build_group_runs(config, dataset, groups)
    return find_given("network", config, dataset, runs._replace(own={**runs.own, **own}), 16)[::2]  # Two members.


def test_a_learnt_graph_is_that_of_the_training_worms_alone():
    dataset = prepare_materials(small_config()).dataset
    edges, there = learn(dataset), dataset.find_present()
    wired = load_edges("electrical", dataset.neuron_names)
    for own, worms in zip(edges, [(0, 1), (1, 2)], strict=True):
        together = (there[list(worms), :, None] & there[list(worms), None]).any(axis=0)
        assert own.sum() == wired[together].sum() > 0
        assert not own[~together].any()
        assert not np.diagonal(own).any()
    noise = np.random.default_rng(0).normal(size=dataset.arrays.features.shape).astype(np.float32)
    for worm, same, other in ((2, 0, 1), (0, 1, 0)):  # The second is trained on by one group.
        held_out = (dataset.stretch_worm == worm)[:, None, None, None] & (dataset.arrays.features != 0)
        features = np.where(held_out, noise, dataset.arrays.features)
        changed = learn(dataclasses.replace(dataset, arrays=dataset.arrays._replace(features=features)))
        np.testing.assert_array_equal(changed[same], edges[same])
        assert (changed[other] != edges[other]).any()
    np.testing.assert_array_equal(learn(dataset, given={"edges": 1 - edges}), 1 - edges[::2])  # That of its training.
    rewired = learn(dataset, "learnt:rewired:1")
    np.testing.assert_array_equal(rewired.sum(axis=1), edges.sum(axis=1))
    np.testing.assert_array_equal(rewired.sum(axis=2), edges.sum(axis=2))
    assert (rewired != edges).any(axis=(1, 2)).all()


def test_among_the_neurons_of_other_worms_a_learnt_graph_is_moved_by_their_names():
    config = small_config(model__network={**NETWORK, "edges": "learnt"})
    edges = np.array([[[0, 1, 0], [0, 0, 1], [0, 0, 0]]], np.float32)
    moved = move_given("network", config, edges, ("AVAL", "AVBL", "RIML"), ("RIML", "AVAR", "AVBL"))
    np.testing.assert_array_equal(moved, [[[0, 0, 0], [0, 0, 0], [1, 0, 0]]])


def test_lists_of_edges_are_filled_up_with_edges_that_lead_nowhere():
    edges = np.zeros((2, 3, 3))
    edges[1, 0, 2] = edges[1, 1, 0] = 1
    ends = list_edges(edges)
    np.testing.assert_array_equal(ends["receivers"], [[3, 3, 3], [2, 0, 3]])
    np.testing.assert_array_equal(ends["senders"][1, :2], [0, 1])


@pytest.mark.slow
def test_it_trains_on_each_graph_and_the_rows_name_it(tmp_path, quick_compilation):
    config = small_config(baselines=(), mixture=())
    with config.unlocked():
        for name in ("none", "chemical", "learnt"):
            config.model[name] = {**NETWORK, "edges": name}
        config.models = ("none", "chemical", "learnt")
        config.train.members = 1
    rows = reconstruct(config, tmp_path / "run")
    assert {row.model for row in rows} == {"none", "chemical", "learnt"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edges": ""}, r"'model.network.edges': found '' with graph='given', expected a graph"),
        (
            {"graph": "complete", "edges": "both"},
            r"'model.network.edges': found 'both', which has no effect",
        ),
        ({"graph": "inferred", "edges": ""}, r"'model.network.graph': found 'inferred', expected one of complete"),
    ],
)
def test_a_graph_without_effect_is_an_error(fields, message):
    with pytest.raises(InputError, match=message):
        check_config(small_config(model__network={**NETWORK, **fields}))
