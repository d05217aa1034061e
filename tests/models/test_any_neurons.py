"""A decoder of any neurons: the order of neurons, padding, absent neurons, identities that are replaced, gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax.errors import ConfigError
from wormjax.models.any_neurons import AnyNeuronDecoder, build_vocabulary, index_identities

NAMES = ("AVAL", "AVAR", "RID", "VB01", "VB02", "")
VALID = np.ones((3, 12), bool)
GRAPHS = ("none", "complete", "inferred", "given")
SMALL = {"embedding": 4, "node_hidden": 5, "edge_hidden": 4, "channels": 8, "kernel": 3, "dilations": (1, 2)}


@pytest.fixture(scope="module", name="decoder")
def decoder_builder(draw_variables, compile_quickly):
    """A function: fields → (module, random variables, compiled evaluation)."""

    @functools.cache
    def make(**fields):
        module = AnyNeuronDecoder(3, NAMES, 2, **SMALL | fields)
        window = np.zeros((1, 12, len(NAMES), 2), np.float32), VALID[:1]
        params = draw_variables(module, *window)["params"]
        # What is no parameter keeps the values that it is made with.
        variables = jax.jit(lambda: module.init(jax.random.key(0), *window) | {"params": None})() | {"params": params}
        if "given" in variables:
            edges = np.random.default_rng(2).uniform(size=(len(NAMES),) * 2).astype(np.float32)
            variables |= {"given": {"edges": edges}}
        return module, variables, compile_quickly(module.apply)

    return make


def reorder(variables, order):
    """Variables for the neurons in another order."""
    changed = variables | {"identity": {"ids": variables["identity"]["ids"][order]}}
    if "given" in variables:
        changed |= {"given": {"edges": variables["given"]["edges"][np.ix_(order, order)]}}
    return changed


def assert_same(first, second):
    np.testing.assert_allclose(first.logits, second.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.behavior, second.behavior, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("identity", "graph"),
    [
        *(("class", graph) for graph in GRAPHS),
        ("neuron", "inferred"),
        ("none", "none"),
        *(
            pytest.param(identity, graph, marks=pytest.mark.slow)
            for identity in ("neuron", "none")
            for graph in GRAPHS
            if (identity, graph) not in (("neuron", "inferred"), ("none", "none"))
        ),
    ],
)
def test_the_order_of_neurons_does_not_matter(decoder, windows, graph, identity):
    _, variables, evaluate = decoder(graph=graph, identity=identity)
    features, order = windows(neurons=6), np.array([3, 1, 5, 0, 2, 4])
    whole = evaluate(variables, features, VALID)
    assert_same(evaluate(reorder(variables, order), features[:, :, order], VALID), whole)
    assert whole.logits.shape == (3, 12, 3)
    assert whole.behavior.shape == (3, 12, 2)
    if identity != "none":  # Another neuron's name does matter.
        other = evaluate(variables, features[:, :, order], VALID)
        assert abs(other.logits - whole.logits).max() > 1e-3


@pytest.mark.parametrize("graph", GRAPHS)
def test_padding_with_absent_neurons_is_silent(decoder, windows, graph):
    _, variables, evaluate = decoder(graph=graph)
    features = windows(neurons=6)
    whole = evaluate(variables, features, VALID)
    padded = np.pad(features, ((0, 0), (0, 0), (0, 3), (0, 0)))
    longer = variables | {"identity": {"ids": np.pad(variables["identity"]["ids"], ((0, 3), (0, 0)))}}
    if graph == "given":
        longer |= {"given": {"edges": np.pad(variables["given"]["edges"], (0, 3), constant_values=1.0)}}
    within = evaluate(longer, padded, VALID)
    assert_same(within, whole)
    assert (within.edge_logits is None) == (graph != "inferred")


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_neuron_of_zeros_is_a_neuron_that_is_not_there(decoder, windows, graph):
    _, variables, evaluate = decoder(graph=graph)
    features, kept = windows(neurons=6), np.array([0, 2, 3, 5])
    silent = features.copy()
    silent[:, :, [1, 4]] = 0.0
    assert_same(evaluate(variables, silent, VALID), evaluate(reorder(variables, kept), features[:, :, kept], VALID))


@pytest.mark.parametrize("graph", GRAPHS)
def test_frames_without_a_recording_are_silent(decoder, windows, graph):
    _, variables, evaluate = decoder(graph=graph)
    features = windows(neurons=6)
    padded, valid = np.pad(features, ((0, 0), (3, 2), (0, 0), (0, 0))), np.pad(VALID, ((0, 0), (3, 2)))
    padded[:, :3] = 7.0
    whole, within = evaluate(variables, features, VALID), evaluate(variables, padded, valid)
    np.testing.assert_allclose(within.logits[:, 3:15], whole.logits, rtol=1e-4, atol=1e-5)


def test_identities_are_numbers_that_can_be_replaced(decoder, windows):
    _, variables, evaluate = decoder()
    features = windows(neurons=6)
    vocabulary = build_vocabulary(NAMES)
    np.testing.assert_array_equal(variables["identity"]["ids"], index_identities(NAMES, vocabulary))
    # VB05 was never seen: it is a VB without a side, and so is VB06.
    first, second, third = (
        evaluate(
            variables | {"identity": {"ids": index_identities((*NAMES[:4], name, ""), vocabulary)}}, features, VALID
        )
        for name in ("VB05", "VB06", "cell 7")
    )
    assert_same(first, second)
    assert abs(first.logits - third.logits).max() > 1e-3
    assert abs(first.logits - evaluate(variables, features, VALID).logits).max() > 1e-3


def test_numbers_of_identities():
    vocabulary = build_vocabulary(["AVAL", "", "RID", "VB02"])
    assert vocabulary == (("AVAL", "RID", "VB02"), ("AVA", "RID", "VB"), ("L", "02"))
    ids = index_identities(["VB02", "AVAR", "RIML", "", "AVAL"], vocabulary)
    assert ids.tolist() == [[3, 3, 2], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]]
    assert index_identities([], vocabulary).shape == (0, 3)


@pytest.mark.parametrize("graph", GRAPHS)
def test_gradients_are_finite_and_reach_every_parameter(decoder, windows, noise, compile_quickly, graph):
    module, variables, _ = decoder(graph=graph)
    features = windows(neurons=6)
    features[:, :, 2] = 0.0
    features[1] = 0.0  # A window without a neuron.
    drawn = noise()

    def score(params):
        decoding = module.apply(variables | {"params": params}, features, VALID, drawn)
        return (decoding.logits * windows(seed=3, neurons=3)[..., 0]).sum() + (decoding.behavior**2).sum()

    gradient = compile_quickly(jax.grad(score))(variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        assert abs(leaf).max() > 1e-7, path


@pytest.mark.parametrize("graph", ["inferred", pytest.param("none", marks=pytest.mark.slow)])
def test_randomness_is_that_of_each_windows_own_key(decoder, windows, noise, compile_quickly, graph):
    module, variables, _ = decoder(graph=graph)
    features, drawn = np.repeat(windows(1, neurons=6), 3, axis=0), noise()
    run = compile_quickly(lambda drawn: module.apply(variables, features, VALID, drawn).logits)
    first = run(drawn)
    np.testing.assert_array_equal(run(drawn), first)
    assert abs(first[0] - first[1]).max() > 0.01
    turned = run(drawn._replace(keys=drawn.keys[::-1]))
    np.testing.assert_allclose(turned[::-1], first, rtol=1e-5, atol=1e-6)


def test_behavior_is_in_its_own_units(decoder, windows):
    _, variables, evaluate = decoder()
    features = windows(neurons=6)
    scaled = variables | {"targets": {"mean": jnp.array([1.0, -2.0]), "sd": jnp.array([0.1, 3.0])}}
    expected = evaluate(variables, features, VALID).behavior * jnp.array([0.1, 3.0]) + jnp.array([1.0, -2.0])
    np.testing.assert_allclose(evaluate(scaled, features, VALID).behavior, expected, rtol=1e-5, atol=1e-6)


def test_without_states_or_targets(draw_variables, windows):
    for states, targets in ((0, 1), (2, 0)):
        module = AnyNeuronDecoder(states, NAMES, targets, **SMALL)
        features = windows(neurons=6)
        decoding = module.apply(module.init(jax.random.key(0), features, VALID), features, VALID)
        assert decoding.logits.shape == (3, 12, states)
        assert (decoding.behavior is None) == (targets == 0)


def test_a_choice_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="graph': found 'full', expected one of none"):
        AnyNeuronDecoder(2, NAMES, graph="full")
    with pytest.raises(ConfigError, match=r"refitted': found 8\.0 with identity='none', expected 0\.0"):
        AnyNeuronDecoder(2, NAMES, identity="none", refitted=8.0)
