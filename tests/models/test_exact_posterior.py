"""The exact posterior of a graph, against the sum over whole graphs, node by node and edge by edge."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp, rel_entr, softmax

from wormjax import graphs
from wormjax.errors import InputError
from wormjax.models import exact_posterior, nri
from wormjax.models.decoders import ContextDecoder, EquivariantDecoder, HistoryCode, MlpDecoder
from wormjax.models.nri import Nri, decode_combinations

pytestmark = pytest.mark.usefixtures("quick_compilation")

SCALE = (0.1, 0.2, 0.4, 0.8)
DECODERS = {
    "mlp": MlpDecoder(5),
    "mlp, relative": MlpDecoder(5, skip_first=False, relative=SCALE),
    "mlp, differences": MlpDecoder(5, differences=True, scale=SCALE),
    "mlp, relative differences": MlpDecoder(5, relative=SCALE, differences=True, scale=SCALE),
    "equivariant": EquivariantDecoder(5, scale=SCALE),
    "equivariant, first type speaks": EquivariantDecoder(5, scale=SCALE, skip_first=False),
    "context": ContextDecoder(5, scale=SCALE, unseen=(2,)),
    "context, additive": ContextDecoder(5, scale=SCALE, additive=True),
}
QUICK = ("mlp, relative differences", "equivariant")
PRIOR = np.array([0.7, 0.3])
PRICES = (1.0, 3.0, 0.5)
weigh = jax.jit(exact_posterior.weigh_combinations)
marginalise = jax.jit(exact_posterior.marginalise_edges)


def draw(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


@pytest.fixture(scope="module", name="decoding")
def decoders_of(draw_variables, compile_quickly):
    """A function: name of a decoder, nodes, types → model, parameters, compiled (frames, edges, history) →
    last prediction."""

    @functools.cache
    def make(name, nodes, types):
        module, frame = DECODERS[name], jnp.zeros((nodes, len(SCALE)))
        edges, params = jnp.zeros((nodes * (nodes - 1), types)), {}
        summary = HistoryCode(5, 2, SCALE) if isinstance(module, ContextDecoder) else None
        if summary is not None:
            params["summary"] = draw_variables(summary, jnp.zeros((3, *frame.shape)))["params"]
        model = Nri(None, module, types, False, SCALE, summary=summary)
        start = jax.eval_shape(lambda: nri.start_decoder(model, params, frame, jnp.zeros((3, *frame.shape))))
        params["decoder"] = draw_variables(module, start, frame, edges)["params"]

        @compile_quickly
        def predict(frames, edges, history):
            given = jnp.ones(frames.shape[:-2], bool)
            return nri.decode(model, params, frames, edges, given, history)[..., -1, :, :]

        return model, params, predict

    return make


@pytest.mark.parametrize(("senders", "types"), [(1, 2), (4, 2), (3, 3), (2, 4), (10, 2)])
def test_combinations_are_all_there_are_each_once(senders, types):
    combinations = exact_posterior.list_combinations(senders, types)
    assert combinations.shape == (types**senders, senders, types)
    assert set(np.unique(combinations)) == {0.0, 1.0}
    assert (combinations.sum(axis=-1) == 1.0).all()
    assert len(np.unique(combinations.reshape(len(combinations), -1), axis=0)) == types**senders


@pytest.mark.parametrize(("senders", "types"), [(11, 2), (7, 3), (2, 33)])
def test_more_than_can_be_tried_are_refused(senders, types):
    found = rf"'exact' with {senders + 1} objects and {types} edge types, {types**senders:,} combinations"
    with pytest.raises(InputError, match=rf"^config field 'train\.posterior': found {found}.*1,024.*'sampled'$"):
        exact_posterior.list_combinations(senders, types)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in DECODERS]
)
def test_a_node_is_predicted_as_on_any_graph_with_its_combination(decoding, compile_quickly, name):
    """The edges that arrive at other nodes are drawn at random: they have no effect."""
    nodes, types = 4, 3
    model, params, predict = decoding(name, nodes, types)
    combinations = exact_posterior.list_combinations(nodes - 1, types)
    frames = draw(2, 3, nodes, len(SCALE), scale=0.5)  # Simulations of three frames.
    decode = compile_quickly(
        lambda params, frames, history: decode_combinations(model, params, frames, combinations, history)
    )
    history = draw(2, 5, nodes, len(SCALE), seed=2)
    found = np.asarray(decode(params, frames, history))
    assert found.shape == (len(combinations), 2, nodes, len(SCALE))
    receivers = graphs.complete_edges(nodes)[1]
    random = np.random.default_rng(3)
    drawn = np.eye(types, dtype=np.float32)[random.integers(0, types, (len(combinations), nodes, len(receivers)))]
    for node in range(nodes):  # Senders are in ascending order within a receiver.
        drawn[:, node, receivers == node] = combinations
    shape = (len(combinations), nodes, 2)
    every = np.broadcast_to(frames, (*shape, *frames.shape[1:]))
    predicted = predict(
        every,
        np.broadcast_to(drawn[:, :, None], (*shape, *drawn.shape[2:])),
        np.broadcast_to(history, (*shape, *history.shape[1:])),
    )
    expected = np.stack([predicted[:, node, :, node] for node in range(nodes)], axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert (np.ptp(found, axis=0).max(axis=-1) > 1e-3).all()  # The graph matters to every node.


def list_graphs(nodes, types):
    """Every graph, as a number a type [graph, edge]."""
    return np.array([*itertools.product(range(types), repeat=nodes * (nodes - 1))])


def weigh_graphs(log_likelihood, combinations, prior, price):
    """The evidence and the probability of each edge's types from all graphs of all edges."""
    nodes, types = log_likelihood.shape[-1], len(prior)
    every = np.eye(types)[list_graphs(nodes, types)]
    arriving = every.reshape(len(every), nodes, nodes - 1, types)
    matching = (arriving[:, :, None] == combinations).all(axis=(-2, -1))  # [graph, node, combination].
    assert (matching.sum(axis=-1) == 1).all()
    likelihood = np.einsum("gnc,cbn->gb", matching, log_likelihood)
    joint = np.log(prior[list_graphs(nodes, types)]).sum(axis=1)[:, None] + likelihood / price
    return price * logsumexp(joint, axis=0), np.einsum("gb,gek->bek", softmax(joint, axis=0), every)


@pytest.mark.parametrize("price", PRICES)
def test_the_sum_over_combinations_is_that_over_all_graphs(price):
    combinations = exact_posterior.list_combinations(2, 2)
    log_likelihood = draw(4, 5, 3, scale=2.0)
    evidence, posterior = weigh(log_likelihood, combinations, PRIOR, price)
    expected, edges = weigh_graphs(log_likelihood, combinations, PRIOR, price)
    np.testing.assert_allclose(evidence.sum(axis=-1), expected, rtol=1e-5)
    found = marginalise(posterior, combinations)
    np.testing.assert_allclose(found, edges, rtol=1e-4, atol=1e-6)
    assert np.ptp(edges[..., 0]) > 0.5


def test_without_evidence_the_posterior_is_the_prior():
    combinations = exact_posterior.list_combinations(3, 2)
    evidence, posterior = weigh(np.full((8, 4), -2.5), combinations, PRIOR)
    edges = marginalise(posterior, combinations)
    np.testing.assert_allclose(edges, np.broadcast_to(PRIOR, (12, 2)), rtol=1e-5)
    np.testing.assert_allclose(evidence, -2.5, rtol=1e-5)


def test_evidence_of_any_size_gives_finite_numbers():
    combinations = exact_posterior.list_combinations(2, 2)
    log_likelihood = 1e5 * draw(4, 3)
    evidence, posterior = weigh(log_likelihood, combinations, PRIOR)
    np.testing.assert_allclose(evidence, log_likelihood.max(axis=0), rtol=1e-3)
    np.testing.assert_array_equal(np.argmax(posterior, axis=0), log_likelihood.argmax(axis=0))
    np.testing.assert_allclose(np.sum(posterior, axis=0), 1.0, rtol=1e-6)


@pytest.mark.parametrize("price", PRICES)
def test_the_posterior_is_the_best_that_its_price_allows(price):
    """Expected log likelihood less the price of the divergence from the prior; the evidence is its value."""
    combinations, log_likelihood = exact_posterior.list_combinations(3, 2), draw(8, 4, scale=2.0)
    evidence, posterior = weigh(log_likelihood, combinations, PRIOR, price)
    prior = np.exp(np.einsum("csk,k->c", combinations, np.log(PRIOR)))[:, None]
    assert prior.sum() == pytest.approx(1.0)

    def value(beliefs):
        return (beliefs * log_likelihood).sum(axis=0) - price * rel_entr(beliefs, prior).sum(axis=0)

    best = value(np.asarray(posterior, float))
    np.testing.assert_allclose(best, evidence, rtol=1e-5, atol=1e-5)
    random = np.random.default_rng(1)
    for size in (0.05, 0.5, 5.0):
        moved = softmax(np.log(posterior) + size * random.normal(size=(20, *posterior.shape)), axis=1)
        for beliefs in moved:
            assert (value(beliefs) < best).all()


@pytest.mark.parametrize("name", ["mlp, relative", "equivariant"])
def test_relabelling_the_nodes_relabels_the_posterior(decoding, name):
    nodes, order = 4, np.array([2, 0, 3, 1])
    model, params, _ = decoding(name, nodes, 3)
    combinations = exact_posterior.list_combinations(nodes - 1, 3)
    frames, target = draw(1, nodes, len(SCALE), scale=0.5), draw(nodes, len(SCALE), seed=1, scale=0.5)

    @jax.jit
    def infer(frames, target):
        predicted = decode_combinations(model, params, frames, combinations)
        log_likelihood = -((predicted - target) ** 2).sum(axis=-1)
        evidence, posterior = exact_posterior.weigh_combinations(
            log_likelihood, combinations, np.array([0.5, 0.3, 0.2])
        )
        return evidence, exact_posterior.marginalise_edges(posterior, combinations)

    (evidence, edges), (moved_evidence, moved) = infer(frames, target), infer(frames[:, order], target[order])
    np.testing.assert_allclose(moved_evidence, np.asarray(evidence)[order], rtol=1e-4)
    as_matrix = lambda edges: graphs.edges_to_matrix(np.asarray(edges).T, nodes)  # noqa: E731
    np.testing.assert_allclose(as_matrix(moved), as_matrix(edges)[:, order][:, :, order], rtol=1e-3, atol=1e-5)
    assert abs(as_matrix(moved) - as_matrix(edges)).max() > 1e-2


@pytest.mark.parametrize("price", [1.0, 3.0])
def test_a_strength_that_all_nodes_share_is_summed_over(price):
    combinations, strengths = exact_posterior.list_combinations(2, 2), (0.5, 1.0, 2.0)
    tried = exact_posterior.try_strengths(combinations, strengths)
    assert tried.shape == (12, 2, 2)
    np.testing.assert_array_equal(tried[4:8], combinations)
    np.testing.assert_array_equal(tried[8:], 2.0 * combinations)
    log_likelihood = draw(12, 5, 3, scale=2.0)  # [strength and combination, system, node].
    evidence, posterior = exact_posterior.weigh_strengths(log_likelihood, combinations, PRIOR, 3, price)
    log_prior = (combinations * np.log(PRIOR)).sum(axis=(1, 2))[:, None, None]
    joint = log_prior + log_likelihood.reshape(3, 4, 5, 3).astype(float) / price
    nodes = logsumexp(joint, axis=1)  # [strength, system, node].
    systems = nodes.sum(axis=-1) - np.log(3)
    np.testing.assert_allclose(evidence[:, 0], price * logsumexp(systems, axis=0), rtol=1e-5)
    expected = softmax(joint, axis=1) * softmax(systems, axis=0)[:, None, :, None]
    np.testing.assert_allclose(posterior, expected.reshape(12, 5, 3), rtol=1e-4, atol=1e-6)
    alone = exact_posterior.weigh_strengths(log_likelihood[:4], combinations, PRIOR, 0, price)
    for ours, others in zip(alone, weigh(log_likelihood[:4], combinations, PRIOR, price), strict=True):
        np.testing.assert_allclose(ours, others, rtol=1e-6)
