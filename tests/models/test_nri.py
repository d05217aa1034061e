"""The whole model: relabelling its objects relabels its graph and its predictions; every sample is by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_systems import small_config

from wormjax import graphs
from wormjax.models import nri as model
from wormjax.models.decoders import JointLstm, MlpDecoder, RecurrentDecoder
from wormjax.models.encoders import CnnEncoder, MlpEncoder

pytestmark = pytest.mark.usefixtures("quick_compilation")

SAMPLES, FRAMES, NODES, FEATURES, TYPES = 3, 10, 4, 4, 3
SCALE = (0.1, 0.2, 0.4, 0.8)
ORDER = np.array([2, 0, 3, 1])
MODELS = {
    "mlp": {"model__encoder__name": "mlp"},
    "cnn": {},
    "cnn, no differences, recurrent": {"model__encoder__differences": False, "model__decoder__name": "recurrent"},
    "mlp, pairs as they are": {
        "model__encoder__name": "mlp",
        "model__encoder__differences": False,
        "model__decoder__relative": False,
        "model__skip_first": False,
    },
}


def build(scale=SCALE, **fields):
    return model.build_nri(small_config(model__encoder__kernels=(3, 2), **fields).model, TYPES, np.array(scale))


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def draw_params(nri, frames=FRAMES):
    shapes = jax.eval_shape(lambda key: model.initialise(nri, key, frames, NODES), jax.random.key(0))
    leaves, form = jax.tree.flatten(shapes)
    drawn = [draw(*leaf.shape, seed=k) / np.sqrt(max(1, leaf.shape[0])) for k, leaf in enumerate(leaves)]
    return jax.tree.unflatten(form, drawn)


encode, decode = (jax.jit(function, static_argnums=0) for function in (model.encode, model.decode))


def relabel_edges(edges):
    """[sample, edge, type] of the objects in their new order."""
    matrix = graphs.edges_to_matrix(np.moveaxis(edges, -1, 0), NODES)
    return np.moveaxis(graphs.matrix_to_edges(matrix[..., ORDER, :][..., ORDER]), 0, -1)


@pytest.mark.parametrize("name", MODELS)
def test_relabelling_the_objects_relabels_the_graph_and_the_predictions(name):
    nri = build(**MODELS[name])
    params, frames = draw_params(nri), draw(SAMPLES, FRAMES, NODES, FEATURES)
    logits, relabelled = encode(nri, params, frames), encode(nri, params, frames[:, :, ORDER])
    assert logits.shape == (SAMPLES, NODES * (NODES - 1), TYPES)
    np.testing.assert_allclose(relabelled, relabel_edges(logits), rtol=1e-3, atol=1e-5)
    assert abs(relabelled - logits).max() > 1e-3
    edges = np.asarray(jax.nn.softmax(logits))
    given = jnp.arange(FRAMES) % 4 == 0
    given = jnp.broadcast_to(given, (SAMPLES, FRAMES))
    predicted = decode(nri, params, frames, edges, given)
    again = decode(nri, params, frames[:, :, ORDER], relabel_edges(edges), given)
    np.testing.assert_allclose(again, predicted[:, :, ORDER], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_a_graph_depends_on_its_own_sample_alone(name):
    nri = build(**MODELS[name])
    params, frames = draw_params(nri), draw(SAMPLES, FRAMES, NODES, FEATURES)
    others = frames.copy()
    others[[0, 2]] = 100.0
    np.testing.assert_array_equal(encode(nri, params, others)[1], encode(nri, params, frames)[1])
    np.testing.assert_allclose(
        encode(nri, params, frames[[1]])[0], encode(nri, params, frames)[1], rtol=1e-4, atol=1e-5
    )


def test_differences_are_seen_in_units_of_the_typical_change():
    """What moves twice as far in units that are twice as large looks the same, but for the frames themselves."""
    nri = build(model__encoder__relative=False)
    params, frames = draw_params(nri), draw(1, FRAMES, NODES, FEATURES)
    (observed,) = (model._observe(nri, frame) for frame in jnp.asarray(frames))
    assert observed.nodes.shape == (NODES, FRAMES - 1, 2 * FEATURES)
    np.testing.assert_array_equal(observed.nodes[..., :FEATURES], frames[0, :-1].swapaxes(0, 1))
    change = np.diff(frames[0], axis=0).swapaxes(0, 1) / np.array(SCALE)
    np.testing.assert_allclose(observed.nodes[..., FEATURES:], np.arcsinh(change), rtol=1e-4)
    assert np.isfinite(encode(nri, params, 1e4 * frames)).all()


def test_a_decoder_predicts_changes_in_units_of_the_typical_change():
    frames, given = draw(1, FRAMES, NODES, FEATURES), jnp.ones((1, FRAMES), bool)
    edges = np.full((1, NODES * (NODES - 1), TYPES), 1 / TYPES, np.float32)
    fields = {"model__decoder__relative": False}
    params = draw_params(build(**fields))
    small, large = (
        np.asarray(decode(build(scale, **fields), params, frames, edges, given)) - frames
        for scale in (SCALE, 3 * np.array(SCALE))
    )
    np.testing.assert_allclose(large, 3 * small, rtol=1e-3, atol=1e-5)
    assert abs(small).max() > 1e-2


@pytest.mark.parametrize("differences", [False, True])
def test_an_mlp_decoder_depends_on_as_many_frames_as_it_says(differences):
    nri = build(model__decoder__differences=differences)
    params, frames = draw_params(nri), draw(1, FRAMES, NODES, FEATURES)
    edges, given = np.full((1, NODES * (NODES - 1), TYPES), 0.3, np.float32), jnp.ones((1, FRAMES), bool)
    changed = frames.copy()
    changed[:, 3] += 1.0
    before, after = (np.asarray(decode(nri, params, values, edges, given)) for values in (frames, changed))
    moved = np.flatnonzero(abs(after - before).max(axis=(0, 2, 3)))
    assert moved.tolist() == list(range(3, 3 + nri.decoder.memory))


def test_a_config_names_the_modules_and_their_sizes():
    nri = build(model__encoder__hidden=7, model__decoder__hidden=9, model__skip_first=False)
    assert isinstance(nri.encoder, CnnEncoder)
    assert isinstance(nri.decoder, MlpDecoder)
    assert (nri.encoder.hidden, nri.encoder.kernels, nri.encoder.edge_types) == (7, (3, 2), TYPES)
    assert (nri.decoder.hidden, nri.decoder.skip_first) == (9, False)
    assert nri.decoder.relative == pytest.approx(SCALE)
    assert isinstance(build(model__encoder__name="mlp").encoder, MlpEncoder)
    assert isinstance(build(model__decoder__name="recurrent").decoder, RecurrentDecoder)
    assert isinstance(build(model__decoder__name="lstm").decoder, JointLstm)
    alone = build(model__encoder__name="none")
    assert alone.encoder is None
    assert list(draw_params(alone)) == ["decoder"]
    assert list(draw_params(build(model__decoder__name="none"))) == ["encoder"]


def test_a_feature_that_never_changes_divides_by_no_zero():
    nri = build((0.0, 0.1, 0.1, 0.1))
    params, frames = draw_params(nri), draw(1, FRAMES, NODES, FEATURES)
    frames[..., 0] = 0.5
    assert np.isfinite(encode(nri, params, frames)).all()
