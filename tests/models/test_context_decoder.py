"""The decoder that knows each node by its history and is not shown all features."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import plain_networks
import pytest
from small_systems import small_config

from wormjax import graphs
from wormjax.models import nri as model
from wormjax.models.decoders import ContextDecoder
from wormjax.models.exact_posterior import list_combinations
from wormjax.models.listed_posterior import list_switches
from wormjax.models.nri import decode_combinations, find_target
from wormjax.models.units import take_out_units, whiten_units

pytestmark = pytest.mark.usefixtures("quick_compilation")

SAMPLES, PIECES, FRAMES, NODES, FEATURES, TYPES = 2, 3, 9, 4, 4, 2
SCALE = (0.1, 0.2, 0.4, 0.8)
UNSEEN = (0, 2)
ORDER = np.array([2, 0, 3, 1])


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def build(unseen=UNSEEN, **fields):
    section = small_config(model__decoder__name="context", model__decoder__unseen=unseen, **fields).model
    return model.build_nri(section, TYPES, np.array(SCALE))


@functools.cache
def draw_params(nri):
    shapes = jax.eval_shape(lambda key: model.initialise(nri, key, FRAMES, NODES), jax.random.key(0))
    leaves, form = jax.tree.flatten(shapes)
    drawn = [draw(*leaf.shape, seed=k) / np.sqrt(max(1, leaf.shape[0])) for k, leaf in enumerate(leaves)]
    return jax.tree.unflatten(form, drawn)


decode = jax.jit(model.decode, static_argnums=0)
summarise = jax.jit(
    lambda nri, params, history: nri.summary.apply({"params": params["summary"]}, history), static_argnums=0
)


def draw_inputs():
    """Two frames of each piece, edges, all given, and the history of each sample."""
    frames = draw(SAMPLES, PIECES, 2, NODES, FEATURES)
    edges = np.random.default_rng(1).dirichlet(np.ones(TYPES), (SAMPLES, PIECES, NODES * (NODES - 1)))
    given = np.ones((SAMPLES, PIECES, 2), bool)
    return frames, edges.astype(np.float32), given, draw(SAMPLES, FRAMES, NODES, FEATURES, seed=2)


def test_what_it_is_not_shown_has_no_effect_but_is_predicted():
    nri = build()
    params, (frames, edges, given, history) = draw_params(nri), draw_inputs()
    expected = np.asarray(decode(nri, params, frames, edges, given, history))[..., -1, :, :]
    for feature in range(FEATURES):
        other = frames.copy()
        other[..., feature] += draw(*other.shape[:-1], seed=3)
        found = np.asarray(decode(nri, params, other, edges, given, history))[..., -1, :, :]
        assert np.allclose(found, expected, atol=1e-4) == (feature in UNSEEN)
    assert np.ptp(expected[..., list(UNSEEN)], axis=(0, 1, 2)).min() > 0.1


def test_relabelling_the_nodes_relabels_the_prediction():
    nri = build()
    params, (frames, edges, given, history) = draw_params(nri), draw_inputs()
    expected = np.asarray(decode(nri, params, frames, edges, given, history))
    matrix = graphs.edges_to_matrix(np.moveaxis(edges, -1, 0), NODES)
    moved = np.moveaxis(graphs.matrix_to_edges(matrix[..., ORDER, :][..., ORDER]), 0, -1)
    found = decode(nri, params, frames[..., ORDER, :], moved, given, history[..., ORDER, :])
    np.testing.assert_allclose(found, expected[..., ORDER, :], rtol=1e-4, atol=1e-5)
    assert abs(expected[..., ORDER, :] - expected).max() > 0.1


def test_the_code_of_a_node_is_made_of_its_own_history_and_given_to_all_pieces():
    nri = build()
    params, (frames, edges, given, history) = draw_params(nri), draw_inputs()
    code = np.asarray(summarise(nri, params, history))
    assert code.shape == (SAMPLES, NODES, small_config().model.decoder.code)
    other = history.copy()
    other[1, :, 3] = draw(FRAMES, FEATURES, seed=4)
    changed = abs(np.asarray(summarise(nri, params, other)) - code).max(axis=-1) > 1e-3
    assert np.argwhere(changed).tolist() == [[1, 3]]
    before, after = (np.asarray(decode(nri, params, frames, edges, given, h)) for h in (history, other))
    moved = abs(before - after).max(axis=(-3, -2, -1)) > 1e-3
    np.testing.assert_array_equal(moved, [[False] * PIECES, [True] * PIECES])
    alone = [decode(nri, params, frames[:, k], edges[:, k], given[:, k], history) for k in range(PIECES)]
    np.testing.assert_allclose(before, np.stack(alone, axis=1), rtol=1e-4, atol=1e-5)


def test_the_frames_of_a_history_may_come_in_any_order_of_their_changes():
    """A mean over frames: the code cannot tell when something happened."""
    nri = build()
    params, step = draw_params(nri), draw(2, NODES, FEATURES)
    there_and_back = np.stack([step[0], step[1]] * 4 + [step[0]])  # Four changes there, four back.
    back_and_there = np.stack([step[1], step[0]] * 4 + [step[1]])
    first, second = (np.asarray(summarise(nri, params, h[None])) for h in (there_and_back, back_and_there))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("skip_first", [True, False])
def test_every_combination_is_predicted_as_on_its_graph(skip_first):
    nri = build(model__skip_first=skip_first)
    params, (frames, _, given, history) = draw_params(nri), draw_inputs()
    combinations = list_combinations(NODES - 1, TYPES)
    found = jax.jit(decode_combinations, static_argnums=0)(nri, params, frames, combinations, history)
    for number in (0, 3, len(combinations) - 1):
        edges = np.broadcast_to(
            np.tile(combinations[number], (NODES, 1)), (SAMPLES, PIECES, NODES * (NODES - 1), TYPES)
        )
        plain = decode(nri, params, frames, edges, given, history)[:, :, -1]
        np.testing.assert_allclose(found[number], plain, rtol=1e-4, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.1


def test_additive_messages_add_up_and_what_is_not_shown_is_predicted_of_the_frame_that_is_shown():
    """In a roll-out, of the frame that has just been predicted."""
    nri = build(model__decoder__additive=True)
    params, (frames, edges, given, history) = draw_params(nri), draw_inputs()
    target, shown = np.asarray(find_target(nri, frames)), [1, 3]
    np.testing.assert_array_equal(target[..., UNSEEN], frames[..., 0, :, UNSEEN].transpose(1, 2, 3, 0))
    np.testing.assert_array_equal(target[..., shown], frames[..., 1, :, :][..., shown])
    run, combinations = jax.jit(decode_combinations, static_argnums=0), list_combinations(NODES - 1, TYPES)
    every = run(nri, params, frames, combinations, history)
    alone = run(nri, params, frames, list_switches(NODES - 1, TYPES), history)
    added = alone[0] + np.einsum("cs,s...->c...", combinations[..., 1], alone[1:] - alone[:1])
    np.testing.assert_allclose(every, added, rtol=1e-4, atol=1e-4)
    assert np.ptp(every, axis=0).max() > 0.1
    arriving = np.broadcast_to(np.tile(combinations[5], (NODES, 1)), edges.shape)
    plain = np.asarray(decode(nri, params, frames, arriving, given, history))[:, :, -1]
    np.testing.assert_allclose(plain[..., shown], every[5][..., shown], rtol=1e-4, atol=1e-4)
    following = np.stack([frames[:, :, -1], plain], axis=2)
    later = run(nri, params, following, combinations[5:6], history)[0]
    np.testing.assert_allclose(plain[..., UNSEEN], later[..., UNSEEN], rtol=1e-4, atol=1e-4)


def test_an_additive_decoder_is_that_of_numpy():
    nri = build(model__decoder__additive=True)
    params, (_, edges, _, history) = draw_params(nri)["decoder"], draw_inputs()
    code = draw(NODES, 8, seed=6)
    inputs = (history[0, 0], code), history[0, 1], edges[0, 0]
    _, found = jax.jit(nri.decoder.apply)({"params": params}, *inputs)
    _, expected = plain_networks.additive_decoder(jax.tree.map(np.asarray, params), *inputs, SCALE, UNSEEN)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_units_are_taken_out_of_the_parts_of_a_sum_and_the_true_ones_leave_little():
    random = np.random.default_rng(0)
    observed, parts = (jnp.asarray(random.normal(size=shape)) for shape in ((30, 2, 3), (2, 30, 2, 3)))
    whole, *separate = (np.asarray(whiten_units(part, observed, 4.0)) for part in (parts.sum(axis=0), *parts))
    np.testing.assert_allclose(whole, sum(separate), atol=1e-5)
    own = 0.3 + 0.2 * (observed - observed.mean(axis=0))
    assert abs(np.asarray(whiten_units(own, observed, 1e6))).max() < 1e-3
    still = jnp.broadcast_to(observed[:1], observed.shape)  # What does not change has no gain.
    np.testing.assert_allclose(
        whiten_units(parts[0], still, 4.0), take_out_units(parts[0], still, 1.0, 4.0)[0], atol=1e-4
    )


def test_at_first_it_predicts_that_nothing_changes_and_zero_of_what_it_is_not_shown():
    nri = build()
    params = jax.jit(lambda key: model.initialise(nri, key, FRAMES, NODES))(jax.random.key(0))
    frames, edges, given, history = draw_inputs()
    expected = frames[..., -1, :, :].copy()
    expected[..., list(UNSEEN)] = 0.0
    found = decode(nri, params, frames, edges, given, history)[..., -1, :, :]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_config_says_what_is_shown():
    decoder = build(model__decoder__hidden=7).decoder
    assert isinstance(decoder, ContextDecoder)
    assert (decoder.hidden, decoder.unseen, decoder.scale) == (7, UNSEEN, pytest.approx(SCALE))
    assert build(model__decoder__code=3).summary.size == 3
    assert model.build_nri(small_config().model, TYPES, np.array(SCALE)).summary is None
    assert jnp.shape(draw_params(build())["summary"]["Dense_0"]["kernel"])[1] == 8
