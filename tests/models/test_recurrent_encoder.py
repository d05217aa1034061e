"""The encoder with a graph in each frame: a prior of the past, a posterior of all frames, objects that are absent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax import graphs
from wormjax.models import nri as model
from wormjax.models.decoders import EquivariantDecoder, RecurrentDecoder
from wormjax.models.encoders import RecurrentEncoder
from wormjax.models.nri import Nri

pytestmark = pytest.mark.usefixtures("quick_compilation")

SCALE, NODES, FRAMES, TYPES = (0.1, 0.2, 0.4, 0.8), 4, 6, 3
RELATIVE = (*SCALE, 1.0, 1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).normal(size=(2, FRAMES, NODES, 4)).astype(np.float32)


def make(decoder):
    nri = Nri(RecurrentEncoder(8, TYPES, RELATIVE), decoder, TYPES, False, SCALE)
    params = jax.jit(lambda: model.initialise(nri, jax.random.key(0), FRAMES, NODES))()
    random = np.random.default_rng(1)
    return nri, jax.tree.map(lambda x: x + 0.3 * random.normal(size=x.shape).astype(np.float32), params)


@pytest.fixture(scope="module")
def dynamic():
    return make(EquivariantDecoder(8, scale=SCALE))


@pytest.fixture(scope="module")
def encode(dynamic):
    return jax.jit(lambda features, there=None: model.encode_frames(*dynamic, features, there))


def test_the_prior_has_seen_the_frames_so_far_and_the_posterior_all(encode, features):
    changed = features.copy()
    changed[:, 3:] += 1.0
    (posterior, prior), (moved_posterior, moved_prior) = encode(features), encode(changed)
    assert posterior.shape == prior.shape == (2, FRAMES - 1, NODES * (NODES - 1), TYPES)
    np.testing.assert_array_equal(prior[:, :3], moved_prior[:, :3])
    assert abs(prior[:, 3] - moved_prior[:, 3]).max() > 1e-3
    assert abs(posterior[:, 0] - moved_posterior[:, 0]).max() > 1e-3


def test_relabelling_the_nodes_relabels_the_logits(encode, features):
    order = np.array([2, 0, 3, 1])
    for original, relabelled in zip(encode(features), encode(features[:, :, order]), strict=True):
        matrix, moved = (
            graphs.edges_to_matrix(np.moveaxis(np.asarray(x), -1, 0), NODES) for x in (original, relabelled)
        )
        np.testing.assert_allclose(moved, matrix[..., order, :][..., order], rtol=1e-3, atol=1e-4)


def test_an_absent_object_has_no_effect_on_the_edges_of_others(encode, features):
    there = np.ones((2, FRAMES, NODES), np.float32)
    there[:, 2:4, 1] = 0.0
    changed = features.copy()
    changed[:, 2:4, 1] += 5.0
    kept = graphs.edges_to_matrix(np.arange(NODES * (NODES - 1)), NODES)
    kept = np.delete(np.delete(kept, 1, axis=0), 1, axis=1)[~np.eye(NODES - 1, dtype=bool)]
    for original, moved in zip(encode(features, there), encode(changed, there), strict=True):
        np.testing.assert_allclose(moved[:, 2:4, kept], original[:, 2:4, kept], rtol=1e-4, atol=1e-5)
    for original, moved in zip(encode(features), encode(changed), strict=True):
        assert abs(moved[:, 3][:, kept] - original[:, 3][:, kept]).max() > 1e-2


@pytest.mark.parametrize(
    "decoder", [RecurrentDecoder(8), pytest.param(EquivariantDecoder(8, scale=SCALE), marks=pytest.mark.slow)]
)
def test_predictions_on_the_prior_are_those_of_the_decoder_on_its_edges(features, decoder):
    """All frames given, those on the edges of the prior of all frames; not given, nothing of them is used."""
    nri, params = make(decoder)
    predict = jax.jit(lambda frames, given: model.decode_on_prior(nri, params, frames, given, frames[:, :3]))
    given = np.ones((2, FRAMES), bool)
    _, prior = jax.jit(lambda: model.encode_frames(nri, params, features))()
    edges = jax.nn.one_hot(prior.argmax(axis=-1), TYPES)
    expected = jax.jit(lambda: model.decode(nri, params, features[:, :-1], edges, jnp.asarray(given)[:, :-1]))()
    np.testing.assert_allclose(predict(features, given)[:, :-1], expected, rtol=1e-3, atol=1e-4)
    given[:, 3:] = False
    hidden = features.copy()
    hidden[:, 3:] = 1e3
    np.testing.assert_array_equal(predict(features, given), predict(hidden, given))
    assert abs(predict(features, given)[:, 3:] - expected[:, 3:].mean()).max() > 1e-3


def test_edges_of_each_frame_are_those_that_the_decoder_goes_on_with(dynamic, features):
    nri, params = dynamic
    random = np.random.default_rng(2)
    edges = np.eye(TYPES, dtype=np.float32)[random.integers(0, TYPES, (2, FRAMES, NODES * (NODES - 1)))]
    given = jnp.ones((2, FRAMES), bool)
    decode = jax.jit(lambda frames, edges, given: model.decode(nri, params, frames, edges, given))
    found = decode(features, edges, given)
    for frame in range(FRAMES):
        one = decode(features[:, frame : frame + 1], edges[:, frame], given[:, :1])
        np.testing.assert_allclose(found[:, frame], one[:, 0], rtol=1e-4, atol=1e-5)
