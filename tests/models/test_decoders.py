"""The decoders see a graph and not the order of its nodes; a roll-out goes on from its own frames where asked."""

import functools

import jax
import jax.numpy as jnp
import jraph
import jraph_graphs
import numpy as np
import pytest

from wormjax import graphs
from wormjax.errors import InputError
from wormjax.models.decoders import (
    EquivariantDecoder,
    JointLstm,
    MlpDecoder,
    RecurrentDecoder,
    TypedMessages,
    check_vectors,
    roll_out,
)
from wormjax.models.layers import elu
from wormjax.simulation.ensembles import enable_float64

pytestmark = pytest.mark.usefixtures("quick_compilation")

NODES, FEATURES, TYPES, HIDDEN = 4, 4, 3, 6
EDGES = NODES * (NODES - 1)
SCALE = (0.1, 0.5, 2.0, 1.0)
DECODERS = {
    "mlp": MlpDecoder(HIDDEN),
    "mlp, first type sends": MlpDecoder(HIDDEN, skip_first=False),
    "mlp, relative": MlpDecoder(HIDDEN, relative=SCALE),
    "equivariant": EquivariantDecoder(HIDDEN, scale=SCALE),
    "equivariant, first type sends": EquivariantDecoder(HIDDEN, scale=SCALE, skip_first=False),
    "recurrent": RecurrentDecoder(HIDDEN),
    "recurrent, relative": RecurrentDecoder(HIDDEN, skip_first=False, relative=SCALE),
    "lstm": JointLstm(HIDDEN),
}
RELABELLED = [name for name in DECODERS if name != "lstm"]
ROLLED = ("mlp", "recurrent, relative", "lstm")
SENDS = "first type sends"
ORDERS = ([1, 0, 2, 3], [3, 2, 0, 1])


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def draw_edges(*batch, seed=0):
    """Random probabilities of the types [*batch, edge, type]."""
    return np.random.default_rng(seed).dirichlet(np.ones(TYPES), (*batch, EDGES)).astype(np.float32)


def as_matrix(edges):
    """[edge, type] → [sender, receiver, type]."""
    return np.moveaxis(graphs.edges_to_matrix(np.asarray(edges).T, NODES), 0, -1)


def relabel_edges(edges, order):
    """The edges of the graph whose node k is node order[k] of the graph before."""
    return graphs.matrix_to_edges(np.moveaxis(as_matrix(edges)[order][:, order], -1, 0)).T


def of_type(kind, *batch):
    return np.broadcast_to(np.eye(TYPES, dtype=np.float32)[kind], (*batch, EDGES, TYPES)).copy()


@pytest.fixture(scope="module", name="step")
def step_of(draw_variables, compile_quickly):
    """A function: name of a decoder → its module and its compiled step (carry, nodes, edges) → (carry, change)."""

    @functools.cache
    def make(name):
        module = DECODERS[name]
        nodes = jnp.zeros((NODES, FEATURES))
        variables = draw_variables(module, module.start(nodes), nodes, jnp.zeros((EDGES, TYPES)))
        return module, compile_quickly(functools.partial(module.apply, variables))

    return make


@pytest.fixture(scope="module", name="rolled")
def roll_out_of(draw_variables, compile_quickly):
    """A function: name of a decoder → its compiled roll-out (frames, edges, given) → predictions."""

    @functools.cache
    def make(name):
        module = DECODERS[name]
        nodes = jnp.zeros((NODES, FEATURES))
        variables = draw_variables(module, module.start(nodes), nodes, jnp.zeros((EDGES, TYPES)))

        @compile_quickly
        def run(frames, edges, given):
            start = module.start(frames[..., 0, :, :])
            return roll_out(lambda carry, x: module.apply(variables, carry, x, edges), start, frames, given)

        return run

    return make


@pytest.fixture(scope="module", name="messages")
def messages_of(draw_variables, compile_quickly):
    """A function: skip_first, relative → the variables and the compiled call (nodes, edges) → what nodes receive."""

    @functools.cache
    def make(skip_first=True, relative=None):
        module = TypedMessages(HIDDEN, skip_first, relative)
        variables = draw_variables(module, jnp.zeros((NODES, FEATURES)), jnp.zeros((EDGES, TYPES)))
        return variables["params"], compile_quickly(functools.partial(module.apply, variables))

    return make


@pytest.mark.parametrize("name", RELABELLED)
def test_relabelling_the_nodes_relabels_the_prediction_and_nothing_else(step, name):
    module, advance = step(name)
    nodes, edges = draw(NODES, FEATURES), draw_edges()
    carry = jax.tree.map(lambda x: draw(*x.shape, seed=1), module.start(nodes))
    expected_carry, expected = advance(carry, nodes, edges)
    for order in map(np.array, ORDERS):
        own_carry = jax.tree.map(lambda x, order=order: x[order], carry)
        new_carry, change = advance(own_carry, nodes[order], relabel_edges(edges, order))
        np.testing.assert_allclose(change, expected[order], rtol=1e-4, atol=1e-5)
        jax.tree.map(
            lambda new, old, order=order: np.testing.assert_allclose(new, old[order], rtol=1e-4, atol=1e-5),
            new_carry,
            expected_carry,
        )
        assert abs(change - expected).max() > 1e-3


@pytest.mark.parametrize("name", RELABELLED)
def test_the_graph_matters_edge_by_edge(step, name):
    module, advance = step(name)
    nodes, edges = draw(NODES, FEATURES), of_type(1)
    carry = module.start(nodes)
    changed = edges.copy()
    edge = 5
    changed[edge] = np.eye(TYPES)[2]
    difference = abs(np.asarray(advance(carry, nodes, changed)[1] - advance(carry, nodes, edges)[1])).max(axis=-1)
    receiver = graphs.complete_edges(NODES)[1][edge]
    assert difference[receiver] > 1e-3
    assert not np.delete(difference, receiver).any()


def test_the_lstm_sees_all_nodes_and_no_graph(step):
    module, advance = step("lstm")
    nodes = draw(NODES, FEATURES)
    carry = jax.tree.map(lambda x: draw(*x.shape, seed=1), module.start(nodes))
    expected = np.asarray(advance(carry, nodes, draw_edges())[1])
    np.testing.assert_array_equal(advance(carry, nodes, draw_edges(seed=1))[1], expected)
    moved = nodes.copy()
    moved[2] += 1.0
    assert (abs(advance(carry, moved, draw_edges())[1] - expected).max(axis=-1) > 1e-4).all()


@pytest.mark.parametrize("name", ["mlp", "mlp, relative", "equivariant", "recurrent"])
def test_an_edge_of_the_first_type_carries_nothing_where_it_is_skipped(step, name):
    module, advance = step(name)
    nodes, sender, receiver = draw(NODES, FEATURES), 1, 3
    cut = np.flatnonzero(np.all(np.transpose(graphs.complete_edges(NODES)) == (sender, receiver), axis=1))
    edges = draw_edges()
    edges[cut] = np.eye(TYPES)[0]
    carry = jax.tree.map(lambda x: draw(*x.shape, seed=1), module.start(nodes))
    moved, moved_carry = nodes.copy(), jax.tree.map(np.copy, carry)
    moved[sender] += 10.0
    for leaf in jax.tree.leaves(moved_carry):
        leaf[sender] -= 3.0
    before, after = (np.asarray(advance(*inputs, edges)[1]) for inputs in ((carry, nodes), (moved_carry, moved)))
    np.testing.assert_array_equal(after[receiver], before[receiver])
    assert (abs(after - before).max(axis=-1)[[0, 1, 2]] > 1e-3).all()


@pytest.mark.parametrize("name", [f"mlp, {SENDS}", f"equivariant, {SENDS}"])
def test_an_edge_of_the_first_type_carries_messages_where_it_is_not_skipped(step, name):
    module, advance = step(name)
    nodes = draw(NODES, FEATURES)
    moved = nodes.copy()
    moved[1] += 10.0
    before, after = (np.asarray(advance(module.start(x), x, of_type(0))[1]) for x in (nodes, moved))
    assert (abs(after - before).max(axis=-1) > 1e-3).all()


@pytest.mark.parametrize("relative", [None, SCALE])
def test_messages_of_the_first_type_start_at_zero_and_learn(compile_quickly, relative):
    module = TypedMessages(HIDDEN, skip_first=False, relative=relative)
    nodes = draw(NODES, FEATURES)
    variables = compile_quickly(module.init)(jax.random.key(0), nodes, of_type(0))

    @compile_quickly
    def hear(variables, edges):
        heard = module.apply(variables, nodes, edges)
        return heard, jax.grad(lambda v: module.apply(v, nodes, edges).sum())(variables)

    heard, gradient = hear(variables, of_type(0))
    assert not np.asarray(heard).any()
    assert np.asarray(gradient["params"]["type_0"]["kernel"]).any()
    assert (abs(hear(variables, of_type(1))[0]).max(axis=-1) > 1e-3).all()


@pytest.mark.parametrize("skip_first", [True, False])
def test_relative_messages_do_not_know_where_all_nodes_are(messages, skip_first):
    nodes, edges = draw(NODES, FEATURES), draw_edges()
    shift = draw(FEATURES, seed=1)
    for relative, same in ((SCALE, True), (None, False)):
        hear = messages(skip_first, relative)[1]
        assert np.allclose(hear(nodes + shift, edges), hear(nodes, edges), rtol=1e-4, atol=1e-5) == same


@pytest.mark.parametrize("relative", [None, SCALE])
@pytest.mark.parametrize("skip_first", [True, False])
def test_messages_equal_those_along_jraphs_indices(messages, skip_first, relative):
    params, hear = messages(skip_first, relative)
    nodes, edges = draw(NODES, FEATURES), draw_edges()
    graph = graphs.complete_graph(jnp.asarray(nodes))
    sent, received = jraph_graphs.send(graph), jraph_graphs.receive(graph)
    if relative:
        layer, seen = params["RelativeDense_0"]["Dense_0"], sent - received
        pairs = jnp.concatenate([seen, jnp.arcsinh(seen / jnp.array(SCALE))], axis=-1) @ layer["kernel"] + layer["bias"]
    else:
        layer = params["PairDense_0"]
        pairs = sent @ layer["sender"]["kernel"] + layer["sender"]["bias"] + received @ layer["receiver"]["kernel"]
    pairs, total = elu(pairs), 0.0
    for place, kind in enumerate(range(1 if skip_first else 0, TYPES)):
        own = params[f"type_{kind}"]
        message = elu(pairs[:, place * HIDDEN : (place + 1) * HIDDEN] @ own["kernel"] + own["bias"])
        total += message * edges[:, kind, None]
    expected = jraph.segment_sum(total, graph.receivers, NODES)
    np.testing.assert_allclose(hear(nodes, edges), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "recurrent, relative", "lstm"])
def test_at_first_a_decoder_predicts_that_nothing_changes(compile_quickly, name):
    module, nodes = DECODERS[name], draw(NODES, FEATURES)

    @compile_quickly
    def predict(key):
        carry = module.start(nodes)
        return module.apply(module.init(key, carry, nodes, draw_edges()), carry, nodes, draw_edges())[1]

    assert not np.asarray(predict(jax.random.key(0))).any()


@pytest.mark.parametrize("skip_first", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_at_first_edge_types_of_an_equivariant_decoder_are_not_alike(compile_quickly, skip_first):
    """What acts between nodes is not zero at first: from types that are alike no graph would be learnt."""
    module, nodes = EquivariantDecoder(HIDDEN, scale=SCALE, skip_first=skip_first), draw(NODES, FEATURES)

    @compile_quickly
    def predict(key):
        variables = module.init(key, (), nodes, of_type(0))
        return [module.apply(variables, (), nodes, of_type(kind))[1] for kind in range(TYPES)]

    changes = np.stack(predict(jax.random.key(0)))
    assert changes[0].any() != skip_first
    for kind in range(1, TYPES):
        assert (abs(changes[kind] - changes[kind - 1]).max(axis=-1) > 1e-4).all()


@pytest.mark.parametrize("name", ["mlp", pytest.param("equivariant", marks=pytest.mark.slow)])
def test_more_graphs_than_nodes_are_one_call_a_graph(step, name):
    module, advance = step(name)
    nodes, edges = draw(NODES, FEATURES), draw_edges(3)
    carry = jax.tree.map(lambda x: draw(*x.shape, seed=1), module.start(nodes))
    _, together = advance(carry, nodes, edges)
    assert together.shape == (3, NODES, FEATURES)
    for graph in range(3):
        np.testing.assert_allclose(together[graph], advance(carry, nodes, edges[graph])[1], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module", name="acting")
def actions_of(draw_variables, compile_quickly):
    """A function: scale, skip_first → the compiled (nodes, edges) → what acts on nodes, in the units of features.

    Against the graph whose edges are all of the first type; and the whole change.
    """

    @functools.cache
    def make(scale, skip_first=True):
        module = EquivariantDecoder(HIDDEN, scale=scale, skip_first=skip_first)
        variables = draw_variables(module, (), jnp.zeros((NODES, len(scale))), jnp.zeros((EDGES, TYPES)))

        @compile_quickly
        def act(nodes, edges):
            whole, none = (module.apply(variables, (), nodes, some)[1] for some in (edges, of_type(0)))
            return (whole - none) * jnp.array(scale), whole * jnp.array(scale)

        return act

    return make


SPACES = {
    "plane": (0.1, 0.1, 0.5, 0.5),
    "plane, axes unlike": (0.1, 0.12, 0.5, 0.45),
    "space": (0.2, 0.2, 0.2, 1.5, 1.5, 1.5),
    "space, axes unlike": (0.2, 0.25, 0.18, 1.5, 1.3, 1.6),
}
UNLIKE = [name if "unlike" in name else pytest.param(name, marks=pytest.mark.slow) for name in SPACES]


def turn(nodes, matrix):
    """Locations and velocities, each turned."""
    return np.concatenate([part @ matrix.T for part in np.split(np.asarray(nodes), 2, axis=-1)], axis=-1)


@pytest.mark.parametrize("skip_first", [True, False])
@pytest.mark.parametrize("space", UNLIKE)
def test_what_acts_on_nodes_turns_and_is_mirrored_with_the_system(acting, space, skip_first):
    scale = SPACES[space]
    act, nodes, edges = acting(scale, skip_first), draw(NODES, len(scale)), draw_edges()
    heard, whole = (np.asarray(part) for part in act(nodes, edges))
    assert (abs(heard).max(axis=-1) > 1e-2).all()
    for determinant in (1.0, -1.0):
        matrix = np.linalg.qr(np.random.default_rng(4).normal(size=(len(scale) // 2,) * 2))[0].astype(np.float32)
        matrix[0] *= determinant * np.sign(np.linalg.det(matrix))
        assert np.linalg.det(matrix) == pytest.approx(determinant, abs=1e-5)
        moved, moved_whole = act(turn(nodes, matrix), edges)
        np.testing.assert_allclose(moved, turn(heard, matrix), rtol=1e-3, atol=1e-5)
        assert abs(moved - heard).max() > 1e-2
        assert abs(moved_whole - turn(whole, matrix)).max() > 1e-3  # What nodes do by themselves knows of walls.


@pytest.mark.parametrize("space", UNLIKE)
def test_what_acts_on_nodes_does_not_know_where_all_are_nor_how_all_move(acting, space):
    scale = SPACES[space]
    act, nodes, edges = acting(scale), draw(NODES, len(scale)), draw_edges()
    shift = draw(len(scale), seed=1)
    heard, whole = act(nodes, edges)
    moved, moved_whole = act(nodes + shift, edges)
    np.testing.assert_allclose(moved, heard, rtol=1e-3, atol=1e-5)
    assert abs(moved_whole - whole).max() > 1e-3


def test_what_acts_on_a_node_is_the_sum_over_senders_and_types(acting):
    act, nodes = acting(SPACES["plane"]), draw(NODES, 4)
    edges, total = draw_edges(), 0.0
    for edge in range(EDGES):
        for kind in range(1, TYPES):
            alone = of_type(0)
            alone[edge] = np.eye(TYPES)[kind]
            total += edges[edge, kind] * np.asarray(act(nodes, alone)[0])
    np.testing.assert_allclose(act(nodes, edges)[0], total, rtol=1e-3, atol=1e-5)


def test_nodes_at_one_place_act_on_each_other_by_finite_numbers(draw_variables, compile_quickly):
    module, nodes = DECODERS["equivariant"], draw(NODES, FEATURES)
    nodes[1] = nodes[0]
    nodes[2, 2:] = nodes[3, 2:]
    variables = draw_variables(module, (), nodes, of_type(1))

    def act(variables, nodes):
        change = module.apply(variables, (), nodes, of_type(1))[1]
        return change.sum(), change

    (_, change), slopes = compile_quickly(jax.value_and_grad(act, argnums=(0, 1), has_aux=True))(variables, nodes)
    for values in (change, *jax.tree.leaves(slopes)):
        assert np.isfinite(values).all()
        assert np.any(values)


@pytest.mark.parametrize("features", [1, 3, 5])
def test_features_that_are_no_location_and_velocity_are_refused(features):
    found = f"found 'equivariant' with {features} features, expected an even number"
    with pytest.raises(InputError, match=rf"^config field 'model\.decoder\.name': {found}"):
        check_vectors(features)
    check_vectors(features + 1)


def test_samples_of_a_batch_are_apart(rolled):
    frames, edges, given = draw(2, 3, 5, NODES, FEATURES), draw_edges(2, 3), draw(2, 3, 5, seed=1) > 0
    for name in ROLLED[:2]:
        run = rolled(name)
        together, alone = run(frames, edges, given), run(frames[1, 2], edges[1, 2], given[1, 2])
        assert together.shape == frames.shape
        np.testing.assert_allclose(together[1, 2], alone, rtol=1e-4, atol=1e-5)


def test_teacher_forcing_without_a_memory_is_one_step_from_every_frame(rolled, step):
    frames, edges = draw(5, NODES, FEATURES), draw_edges()
    predicted = rolled("mlp")(frames, edges, np.ones(5, bool))
    every_frame_a_sample = step("mlp")[1]((), frames, np.broadcast_to(edges, (5, *edges.shape)))[1]
    np.testing.assert_allclose(predicted, frames + every_frame_a_sample, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ROLLED)
@pytest.mark.parametrize("given", ["1111111", "1000000", "1001001", "1110000", "1011001"])
def test_a_roll_out_is_a_loop_that_takes_the_true_frame_where_it_is_given(rolled, step, name, given):
    frames, edges = draw(7, NODES, FEATURES), draw_edges()
    module, advance = step(name)
    carry, nodes, expected = module.start(frames[0]), frames[0], []
    for true, shown in zip(frames, given, strict=True):
        nodes = true if shown == "1" else nodes
        carry, change = advance(carry, nodes, edges)
        nodes = nodes + change
        expected.append(nodes)
    predicted = rolled(name)(frames, edges, np.array([shown == "1" for shown in given]))
    np.testing.assert_allclose(predicted, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ROLLED)
def test_a_frame_that_is_not_given_has_no_effect_not_even_as_no_number(rolled, name):
    frames, edges, given = draw(7, NODES, FEATURES), draw_edges(), np.array([1, 1, 0, 0, 1, 0, 0], bool)
    expected = rolled(name)(frames, edges, given)
    for value in (1e6, np.nan):
        changed = np.where(given[:, None, None], frames, np.float32(value))
        np.testing.assert_array_equal(rolled(name)(changed, edges, given), expected)


def test_the_first_frame_is_given_whatever_the_mask_says(rolled):
    frames, edges = draw(4, NODES, FEATURES), draw_edges()
    first = np.array([1, 0, 0, 0], bool)
    for name in ROLLED:
        run = rolled(name)
        np.testing.assert_array_equal(run(frames, edges, np.zeros(4, bool)), run(frames, edges, first))


@pytest.mark.parametrize(("name", "remembers"), [("mlp", False), ("recurrent", True), ("lstm", True)])
def test_who_carries_a_state_goes_on_differently_after_another_burn_in(rolled, name, remembers):
    frames, edges, given = draw(6, NODES, FEATURES), draw_edges(), np.array([1, 1, 1, 0, 0, 0], bool)
    changed = frames.copy()
    changed[:2] += 1.0
    before, after = (np.asarray(rolled(name)(values, edges, given)) for values in (frames, changed))
    assert (abs(after[2:] - before[2:]).max() > 1e-3) == remembers
    assert abs(after[:2] - before[:2]).max() > 1e-3


@pytest.mark.parametrize("name", ["recurrent", pytest.param("mlp, relative", marks=pytest.mark.slow)])
def test_the_gradient_of_a_roll_out_agrees_with_finite_differences(name, draw_variables, compile_quickly):
    module, given = DECODERS[name], np.array([1, 0, 0, 1, 0], bool)
    nodes = jnp.zeros((NODES, FEATURES))
    variables = draw_variables(module, module.start(nodes), nodes, jnp.zeros((EDGES, TYPES)))
    random = np.random.default_rng(3)
    with enable_float64():
        variables, frames, edges = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float64), (variables, draw(5, NODES, FEATURES), draw_edges())
        )
        weights = jnp.asarray(random.normal(size=frames.shape))

        def score(inputs):
            variables, frames, edges = inputs
            start = module.start(frames[0])
            predicted = roll_out(lambda carry, x: module.apply(variables, carry, x, edges), start, frames, given_array)
            return (weights * jnp.tanh(predicted)).sum()

        given_array, inputs = jnp.asarray(given), (variables, frames, edges)
        evaluate, gradient = compile_quickly(score), compile_quickly(jax.grad(score))(inputs)
        assert not np.asarray(gradient[1])[~given].any()
        for part in range(3):  # Along a random direction of the parameters, the frames, the edges.
            direction = jax.tree.map(lambda x: jnp.zeros_like(x), inputs)
            drawn = jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape)), inputs[part])
            direction = (*direction[:part], drawn, *direction[part + 1 :])
            slope = sum(float((a * b).sum()) for a, b in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
            ahead, behind = (
                float(evaluate(jax.tree.map(lambda x, d, h=h: x + h * d, inputs, direction))) for h in (1e-5, -1e-5)
            )
            assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-6, abs=1e-7)
            assert abs(slope) > 1e-2
