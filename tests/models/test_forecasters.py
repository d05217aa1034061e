"""The forecasters begin as their linear drift, see a graph and not the order of neurons, and roll out step by step."""

import functools

import jax
import jax.numpy as jnp
import jraph
import jraph_graphs
import numpy as np
import pytest

from wormjax import graphs
from wormjax.baselines import vector_autoregression
from wormjax.models import forecast_roll_outs
from wormjax.models.forecast_roll_outs import (
    Clamp,
    InputNoise,
    TeacherForcing,
    clamp_lacking,
    initialise,
    predict,
)
from wormjax.models.forecasters import (
    Forecast,
    GraphForecaster,
    MlpForecaster,
    RecurrentForecaster,
    StepInput,
    SummedMessages,
)
from wormjax.models.layers import TrainingRngs, elu

pytestmark = pytest.mark.usefixtures("quick_compilation")

WINDOWS, NEURONS, FEATURES, ORDER, BURN_IN, STEPS = 3, 4, 2, 2, 3, 4
CHANNELS, PAST = NEURONS * FEATURES, ORDER + BURN_IN
EDGES = NEURONS * (NEURONS - 1)
NETWORK = functools.partial(GraphForecaster, NEURONS, features=FEATURES, hidden=5, message_hidden=3, encoder_hidden=4)
FORECASTERS = {
    "static": NETWORK(embedding=3, edge_types=3),
    "dynamic": NETWORK(embedding=3, graph="dynamic", modes=3),
    "none": NETWORK(embedding=3, graph="none"),
    "full": NETWORK(embedding=3, graph="full"),
    "random": NETWORK(embedding=3, graph="random"),
    "recurrent": RecurrentForecaster(NEURONS, FEATURES, modes=3, hidden=5),
    "mlp": MlpForecaster(NEURONS, FEATURES, hidden=5),
}
ORDERS = ([1, 0, 2, 3], [3, 2, 0, 1])
NOBODY = Clamp(np.zeros((WINDOWS, NEURONS), bool), np.zeros((WINDOWS, NEURONS, FEATURES), np.float32))


def draw(*shape, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def draw_past(seed=0):
    return draw(WINDOWS, PAST, NEURONS, FEATURES, seed=seed)


def draw_operators(seed=1):
    return draw(WINDOWS, ORDER * CHANNELS + 1, CHANNELS, seed=seed, scale=0.1)


NO_DRIFT = np.zeros_like(draw_operators())


def show_once(module):
    """What a module of this file is initialised with: a burn-in and one step input."""
    recent, drift = np.zeros((1, ORDER, NEURONS, FEATURES)), np.zeros((1, NEURONS, FEATURES))
    mode = np.zeros((1, module.modes if module.modes > 1 else 0))
    return np.zeros((1, BURN_IN, NEURONS, FEATURES)), StepInput(recent, drift, mode)


@pytest.fixture(scope="module", name="forecaster")
def forecaster_of(draw_variables, compile_quickly):
    """A function: name → random variables, and the forecast (variables, past, operators, held), compiled once."""

    @functools.cache
    def make(name):
        module = FORECASTERS[name]

        @compile_quickly
        def forecast(variables, past, operators, held):
            return predict(module, variables, past, operators, STEPS, clamp=held)

        def on_host(variables, past, operators, held=NOBODY) -> Forecast:
            return jax.device_get(forecast(variables, past, operators, held))

        return draw_variables(module, *show_once(module)), on_host

    return make


def roll_out_drift(past, operators):
    """The linear roll-out of the baselines, which the networks correct."""
    flat = past[:, -ORDER:].reshape(WINDOWS, ORDER, CHANNELS).astype(np.float64)
    return vector_autoregression.roll_out(operators, flat, STEPS).reshape(WINDOWS, STEPS, NEURONS, FEATURES)


def relabel_edges(edges, order):
    """Values [window, edge, type] of the graph whose neuron k is neuron order[k] of the graph before."""
    matrix = graphs.edges_to_matrix(np.moveaxis(np.asarray(edges), -1, 1), NEURONS)
    return np.moveaxis(graphs.matrix_to_edges(matrix[..., order, :][..., order]), 1, -1)


def relabel_operators(operators, order):
    """Coefficients for neurons in another order, both of what they multiply and of what they predict."""
    by_neuron = operators[:, :-1].reshape(WINDOWS, ORDER, NEURONS, FEATURES, NEURONS, FEATURES)
    by_neuron = by_neuron[:, :, order][:, :, :, :, order].reshape(WINDOWS, -1, CHANNELS)
    constant = operators[:, -1:].reshape(WINDOWS, 1, NEURONS, FEATURES)[:, :, order].reshape(WINDOWS, 1, CHANNELS)
    return np.concatenate([by_neuron, constant], axis=1)


def assert_close(value, expected):
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["static", "dynamic", "none"])
def test_relabelling_the_neurons_relabels_forecast_and_graph_and_nothing_else(forecaster, name):
    variables, forecast = forecaster(name)
    past, operators = draw_past(), draw_operators()
    expected = forecast(variables, past, operators)
    for order in map(np.array, ORDERS):
        params = variables["params"] | {"neuron_embedding": variables["params"]["neuron_embedding"][order]}
        found = forecast({"params": params}, past[:, :, order], relabel_operators(operators, order))
        assert_close(found.mean, expected.mean[..., order, :])
        assert_close(found.log_scale, expected.log_scale[..., order, :])
        assert_close(found.mode_logits, expected.mode_logits)
        assert abs(found.mean - expected.mean).max() > 0.1
        if name != "none":
            assert_close(found.edge_logits, relabel_edges(expected.edge_logits, order))
            assert abs(found.edge_logits - expected.edge_logits).max() > 1e-2
        # Neurons are told apart by their embeddings: without these in the new order another forecast comes out.
        other = forecast(variables, past[:, :, order], relabel_operators(operators, order))
        assert abs(other.mean - expected.mean[..., order, :]).max() > 1e-2


@pytest.mark.parametrize("name", ["dynamic", "recurrent", pytest.param("mlp", marks=pytest.mark.slow)])
def test_an_untrained_forecaster_is_the_linear_roll_out(forecaster, name):
    module = FORECASTERS[name]
    variables = jax.jit(lambda key: initialise(module, key, BURN_IN, ORDER, NEURONS, FEATURES))(jax.random.key(0))
    past, operators = draw_past(), draw_operators()
    found = forecaster(name)[1](variables, past, operators)
    drift = roll_out_drift(past, operators)
    assert abs(drift - past[:, -1:]).max() > 0.1
    for mode in range(module.modes):
        assert_close(found.mean[:, mode], drift)
    assert not np.asarray(found.log_scale).any()
    correction = forecaster(name)[1](forecaster(name)[0], past, operators).mean[:, 0] - drift
    assert abs(correction).max() > 0.05  # With other read-outs it is not.


def test_what_a_network_is_shown_may_be_disturbed_what_it_is_rolled_out_from_is_not(
    forecaster, noise, compile_quickly, draw_variables
):
    past, operators = draw_past(), draw_operators()
    module = FORECASTERS["none"]

    @compile_quickly
    def disturb(variables, offset, spread, dropped):
        shown = InputNoise(offset, spread, dropped)
        return predict(module, variables, past, operators, STEPS, noise(dropout=0.0), shown).mean

    variables = draw_variables(module, *show_once(module))
    silent = jax.tree.map(jnp.copy, variables)
    silent["params"]["read_out"] = jax.tree.map(jnp.zeros_like, variables["params"]["read_out"])
    assert_close(disturb(silent, 1.0, 1.0, 0.5)[:, 0], roll_out_drift(past, operators))
    undisturbed = forecaster("none")[0], past, operators
    expected = forecaster("none")[1](*undisturbed).mean
    assert_close(disturb(variables, 0.0, 0.0, 0.0), expected)
    for amounts in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.9)):
        assert abs(disturb(variables, *amounts) - expected).max() > 1e-2


@pytest.mark.parametrize("name", ["dynamic", "recurrent"])
def test_a_shorter_roll_out_is_the_beginning_of_a_longer_one(forecaster, compile_quickly, name):
    variables, forecast = forecaster(name)
    past, operators = draw_past(), draw_operators()
    long, short = (
        forecast(variables, past, operators),
        compile_quickly(lambda: predict(FORECASTERS[name], variables, past, operators, 2))(),
    )
    assert short.mean.shape == (WINDOWS, 3, 2, NEURONS, FEATURES)
    assert_close(short.mean, long.mean[:, :, :2])
    assert_close(short.log_scale, long.log_scale[:, :, :2])
    assert_close(short.mode_logits, long.mode_logits)


def test_a_roll_out_that_is_given_the_true_frames_goes_on_from_them(forecaster, compile_quickly):
    module, past, operators = FORECASTERS["none"], draw_past(), draw_operators()
    variables, forecast = forecaster("none")
    future = draw(WINDOWS, STEPS, NEURONS, FEATURES, seed=4)
    shown = np.zeros((WINDOWS, STEPS), bool)
    shown[1, 1] = True  # In the second window the third step follows the true second frame.

    @compile_quickly
    def follow(future):
        forcing = TeacherForcing(future, shown)
        return predict(module, variables, past, operators, STEPS, teacher_forcing=forcing).mean[:, 0]

    free, found = forecast(variables, past, operators).mean[:, 0], np.asarray(follow(future))
    assert_close(found[[0, 2]], free[[0, 2]])
    assert_close(found[1, :2], free[1, :2])
    assert abs(found[1, 2:] - free[1, 2:]).max() > 0.1
    hidden = np.where(shown[..., None, None], future, np.float32(np.nan))
    np.testing.assert_array_equal(follow(hidden), found)  # What is not shown has no effect, not even as no number.


def test_without_a_correction_a_given_frame_is_followed_by_the_drift_from_it(compile_quickly, draw_variables):
    module, past, operators = FORECASTERS["mlp"], draw_past(), draw_operators()
    future, shown = draw(WINDOWS, STEPS, NEURONS, FEATURES, seed=4), np.ones((WINDOWS, STEPS), bool)
    silent = jax.tree.map(jnp.zeros_like, draw_variables(module, *show_once(module)))
    forcing = TeacherForcing(future, shown)
    found = compile_quickly(lambda: predict(module, silent, past, operators, STEPS, teacher_forcing=forcing).mean)()
    frames = np.concatenate([past, future], axis=1)
    for step in range(STEPS):
        assert_close(found[:, 0, step], roll_out_drift(frames[:, : PAST + step], operators)[:, 0])


@pytest.mark.parametrize("name", FORECASTERS)
def test_windows_of_a_batch_are_apart_and_all_but_the_mlp_remember(forecaster, name):
    variables, forecast = forecaster(name)
    past, operators = draw_past(), draw_operators()
    before = forecast(variables, past, operators)
    changed = past.copy()
    changed[0, :-ORDER] += 1.0  # All but the frames that the roll-out goes on from.
    after = forecast(variables, changed, operators)
    np.testing.assert_array_equal(after.mean[1:], before.mean[1:])
    assert (abs(after.mean[0] - before.mean[0]).max() > 1e-3) == (name != "mlp")


def test_a_static_graph_is_of_the_past_alone(forecaster):
    variables, forecast = forecaster("static")
    past = draw_past()
    graph = forecast(variables, past, draw_operators()).edge_logits
    assert graph.shape == (WINDOWS, EDGES, FORECASTERS["static"].edge_types)
    assert abs(graph[0] - graph[1]).max() > 1e-2
    np.testing.assert_array_equal(forecast(variables, past, NO_DRIFT).edge_logits, graph)


@pytest.mark.parametrize("name", ["dynamic", "recurrent"])
def test_every_mode_has_a_forecast_and_the_worm_weighs_them(forecaster, name):
    variables, forecast = forecaster(name)
    found = forecast(variables, draw_past(), draw_operators())
    assert found.mean.shape == found.log_scale.shape == (WINDOWS, 3, STEPS, NEURONS, FEATURES)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(found.mean[:, one] - found.mean[:, other]).max() > 1e-2
    probabilities = jax.nn.softmax(found.mode_logits)
    assert_close(probabilities.sum(axis=1), np.ones(WINDOWS))
    assert probabilities.std(axis=0).max() > 1e-3
    assert abs(probabilities - 1 / 3).max() > 1e-2


def test_with_one_mode_there_is_nothing_to_weigh(forecaster):
    variables, forecast = forecaster("static")
    found = forecast(variables, draw_past(), draw_operators())
    assert found.mean.shape == (WINDOWS, 1, STEPS, NEURONS, FEATURES)
    np.testing.assert_array_equal(jax.nn.softmax(found.mode_logits), np.ones((WINDOWS, 1)))
    assert abs(found.log_scale).max() <= 2.0


def hold(neuron, value):
    """One neuron held at one value in all windows."""
    neurons = np.broadcast_to(np.arange(NEURONS) == neuron, (WINDOWS, NEURONS))
    return Clamp(neurons, np.full((WINDOWS, NEURONS, FEATURES), value, np.float32))


@pytest.mark.parametrize("name", ["static", "dynamic", "full", "random", "recurrent", "none"])
def test_a_held_neuron_keeps_its_values_and_its_receivers_respond(forecaster, name):
    variables, forecast = forecaster(name)
    past, neuron = draw_past(), 2
    free, *held = (
        forecast(variables, past, NO_DRIFT, held).mean for held in (NOBODY, hold(neuron, 1), hold(neuron, 4))
    )
    for value, values in zip((1, 4), held, strict=True):
        assert (values[..., neuron, :] == value).all()
    moved = abs(held[1] - held[0]).max(axis=(0, 1, 4))  # [step, neuron]
    assert (free[:, :, 0, [0, 1, 3]] == held[0][:, :, 0, [0, 1, 3]]).all()  # The first step knows nothing of it.
    assert not moved[0, [0, 1, 3]].any()
    # Without a drift, nothing depends on it but along the edges of the graph.
    senders, receivers = graphs.complete_edges(NEURONS)
    there = np.full(EDGES, name != "none")
    if name == "random":
        there = read_edges(name, variables["params"])[0, :, 1] > 0
    hears = np.isin(np.arange(NEURONS), receivers[there & (senders == neuron)])
    np.testing.assert_array_equal(moved[1, [0, 1, 3]] > 1e-4, hears[[0, 1, 3]])


def test_nobody_held_is_nothing_held(forecaster, compile_quickly):
    variables, forecast = forecaster("none")
    past, operators = draw_past(), draw_operators()
    plain = compile_quickly(lambda: predict(FORECASTERS["none"], variables, past, operators, STEPS))()
    np.testing.assert_array_equal(plain.mean, forecast(variables, past, operators).mean)
    drifting = forecast(variables, past, operators, hold(2, 1)).mean
    lifted = forecast(variables, past, operators, hold(2, 4)).mean
    assert (abs(lifted - drifting).max(axis=(0, 1, 4))[1, [0, 1, 3]] > 1e-2).all()  # Along the drift.


def test_messages_pass_along_the_edges_of_a_given_graph_alone(forecaster, compile_quickly):
    (variables, full), past = forecaster("full"), draw_past()
    module = NETWORK(embedding=3, graph="given")

    def forecast(edges, held=NOBODY):
        given = {"senders": edges[:, 0], "receivers": edges[:, 1]}
        return predict(module, {**variables, "given": given}, past, NO_DRIFT, STEPS, clamp=held).mean

    everyone = np.stack(graphs.complete_edges(NEURONS), axis=1)
    run = compile_quickly(forecast)
    np.testing.assert_allclose(run(everyone), full(variables, past, NO_DRIFT).mean, atol=1e-5)
    one, other = (run(np.array([[2, 0], [0, 1]]), hold(2, value)) for value in (1, 4))
    moved = np.abs(other - one).max(axis=(0, 1, 4))  # [step, neuron]
    np.testing.assert_array_equal(moved[1, [0, 1, 3]] > 1e-4, [True, False, False])
    np.testing.assert_array_equal(moved[2, [0, 1, 3]] > 1e-4, [True, True, False])
    nowhere = run(np.array([[2, NEURONS], [0, NEURONS]]), hold(2, 1)) - run(np.array([[0, NEURONS]]), hold(2, 4))
    assert not nowhere[..., [0, 1, 3], :].any()


@functools.cache
def fixed_edges(name, seed=0):
    """The edges [window, edge, type] of a graph that is not inferred, read from its module."""
    return read_edges(name, {"neuron_embedding": draw(4, 3), "edge_order": draw(EDGES, seed=seed)})


def read_edges(name, params):
    context, logits = FORECASTERS[name].apply({"params": params}, draw_past(), None, method="begin")
    assert logits is None
    return np.asarray(context.edges)


def test_the_full_graph_has_all_edges_and_the_random_one_half_of_them_by_seed(compile_quickly):
    full, random = fixed_edges("full"), fixed_edges("random")
    np.testing.assert_array_equal(full, np.broadcast_to([0.0, 1.0], (WINDOWS, EDGES, 2)))
    assert set(np.unique(random)) == {0.0, 1.0}
    np.testing.assert_array_equal(random.sum(axis=-1), np.ones((WINDOWS, EDGES)))
    assert random[0, :, 1].sum() == EDGES // 2
    np.testing.assert_array_equal(random, np.broadcast_to(random[0], random.shape))
    assert any((fixed_edges("random", seed) != random).any() for seed in (1, 2))
    start = compile_quickly(lambda key: initialise(FORECASTERS["random"], key, BURN_IN, ORDER, NEURONS, FEATURES))
    orders = [start(jax.random.key(seed))["params"]["edge_order"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


def test_no_gradient_reaches_a_random_graph(forecaster, compile_quickly):
    module, (variables, _) = FORECASTERS["random"], forecaster("random")
    score = lambda v: predict(module, v, draw_past(), draw_operators(), STEPS).mean.sum()  # noqa: E731
    gradients = compile_quickly(jax.grad(score))(variables)
    assert not np.asarray(gradients["params"]["edge_order"]).any()
    assert np.asarray(gradients["params"]["read_out"]["bias"]).any()


def test_a_graph_in_each_frame_is_the_prior_s_from_the_frames_so_far_or_a_given_one(forecaster, compile_quickly):
    """The prior of whole windows, which is trained, and that of a roll-out are one; so are the forecasts on it."""
    module, past, operators = FORECASTERS["dynamic"], draw_past(), draw_operators()
    variables, forecast = forecaster("dynamic")
    expected = forecast(variables, past, operators)
    run = compile_quickly(lambda frames: module.apply(variables, frames, method="encode_frames"))
    posterior, prior = run(past[:, ORDER - 1 :])
    assert_close(prior[:, -1], expected.edge_logits)
    later = past.copy()
    later[:, -1] += 1.0
    changed = [
        abs(other - own).max(axis=(0, 2, 3))
        for other, own in zip(run(later[:, ORDER - 1 :]), (posterior, prior), strict=True)
    ]
    assert (changed[0] > 1e-4).all()  # The posterior of each frame has seen the last one.
    assert not changed[1][:-1].any()

    @compile_quickly
    def follow(edges):
        return predict(module, variables, past, operators, 1, edges=edges).mean

    assert_close(follow(jax.nn.softmax(prior)), expected.mean[:, :, :1])
    silent = np.broadcast_to(np.eye(2, dtype=np.float32)[0], prior.shape)
    assert abs(follow(silent) - expected.mean[:, :, :1]).max() > 1e-3


@pytest.mark.parametrize("hard", [True, False])
def test_in_training_edges_are_drawn_a_window_and_one_hot_where_hard(draw_variables, noise, compile_quickly, hard):
    module = NETWORK(embedding=3, hard=hard)
    past = np.broadcast_to(draw(1, BURN_IN, NEURONS, FEATURES), (WINDOWS, BURN_IN, NEURONS, FEATURES))
    variables = draw_variables(module, *show_once(module))
    begin = compile_quickly(lambda noise: module.apply(variables, past, noise, method="begin"))
    edges, other = (np.asarray(begin(noise(seed=seed, dropout=0.0))[0].edges) for seed in (0, 1))
    assert_close(edges.sum(axis=-1), np.ones((WINDOWS, EDGES)))
    assert bool(np.isin(edges, (0.0, 1.0)).all()) == hard
    assert (edges != other).any()
    assert (edges[0] != edges[1]).any()
    context, logits = begin(None)
    assert_close(context.edges, jax.nn.softmax(logits))  # Not so in evaluation.


def test_summed_messages_equal_those_along_jraphs_indices(draw_variables, compile_quickly):
    hidden, types, size = 3, 3, 5
    module, nodes = SummedMessages(hidden), draw(NEURONS, size)
    edges = np.random.default_rng(0).dirichlet(np.ones(types), EDGES).astype(np.float32)
    variables = draw_variables(module, nodes[None], edges[None])
    params, graph = variables["params"], graphs.complete_graph(jnp.asarray(nodes))
    sent = jraph_graphs.send(graph) @ params["sender"]["kernel"] + params["sender"]["bias"]
    pairs, total = jax.nn.relu(sent + jraph_graphs.receive(graph) @ params["receiver"]["kernel"]), 0.0
    for kind in range(1, types):
        own = pairs[:, (kind - 1) * hidden : kind * hidden] * edges[:, kind, None]
        heard = jraph.segment_sum(own, graph.receivers, NEURONS) / (NEURONS - 1)
        layer = params[f"type_{kind}"]
        total += heard @ layer["kernel"] + layer["bias"]
    hear = compile_quickly(module.apply)
    assert_close(hear(variables, nodes[None], edges[None])[0], elu(total))
    silent = np.broadcast_to(np.eye(types, dtype=np.float32)[0], edges.shape)
    moved = nodes.copy()
    moved[1] += 1.0
    before, after = (hear(variables, values[None], silent[None]) for values in (nodes, moved))
    np.testing.assert_array_equal(before, after)  # The first type is "no edge".


@pytest.mark.parametrize("name", ["static", "recurrent"])
def test_a_neuron_that_a_worm_lacks_stays_at_zero(forecaster, name):
    variables, forecast = forecaster(name)
    past = draw_past()
    past[0, :, 2], past[1, -1, 2] = 0.0, 0.0  # Lacking in one window; in another it is 0 for once.
    held = clamp_lacking(past)
    np.testing.assert_array_equal(held.neurons, [[False, False, True, False], [False] * 4, [False] * 4])
    mean = forecast(variables, past, draw_operators(), held).mean
    assert not mean[0, :, :, 2].any()
    assert (mean[1:, :, :, 2] != 0).all()
    assert (mean[0, :, :, [0, 1, 3]] != 0).all()


def test_a_neuron_that_a_worm_lacks_is_shown_no_noise():
    past = draw_past()
    past[0, :, 2] = 0.0
    rngs = TrainingRngs(jax.random.split(jax.random.key(0), WINDOWS), 0.0, 1.0)
    disturb = forecast_roll_outs._draw_disturbance(past, rngs, InputNoise(3.0, 3.0, 0.0), clamp_lacking(past))
    shown = disturb(StepInput(past[:, -ORDER:], past[:, 0], np.zeros((WINDOWS, 0))), 0)
    assert not np.asarray(shown.recent)[0, :, 2].any()
    assert (np.asarray(shown.recent)[1:] != past[1:, -ORDER:]).all()
