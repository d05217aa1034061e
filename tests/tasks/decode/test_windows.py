"""Whole recordings decoded in windows: what a model says does not depend on how its frames are cut and padded."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import small_dataset

from wormjax.models.catalog import build_classifier
from wormjax.models.classifiers import Decoding
from wormjax.tasks.decode.windows import decode_runs, place_windows, predict_stretches

pytestmark = pytest.mark.usefixtures("quick_compilation")

FRAMES = ((150,), (61,), (90, 20))
SIZES = {
    "mlp": {"hidden": 4},
    "recurrent": {"hidden": 3},
    "temporal_convolution": {"channels": 4, "dilations": (1, 4)},
    "nri_graph": {"channels": 4, "dilations": (1,)},
    "wang_mlp": {"hidden": 4},
    "wang_graph": {"hidden": 4},
}


class PerFrame(nn.Module):
    """A model without context."""

    @nn.compact
    def __call__(self, features, valid, training_rngs=None):
        return Decoding(nn.Dense(4)(features.reshape(*features.shape[:2], -1)))


class Graph(nn.Module):
    """A model that infers a graph of two edges from the first frame of a window."""

    @nn.compact
    def __call__(self, features, valid, training_rngs=None):
        values = features.reshape(*features.shape[:2], -1)
        return Decoding(nn.Dense(4)(values), nn.Dense(4)(values[:, 0]).reshape(-1, 2, 2))


class Position(nn.Module):
    """A model that is sure of state 1 on the frame that begins a window, and of state 0 elsewhere."""

    @nn.compact
    def __call__(self, features, valid, training_rngs=None):
        self.param("unused", nn.initializers.zeros, (1,))
        first = (jnp.arange(features.shape[1]) == 0)[None, :, None]
        logits = jnp.where(first, jnp.array([-50.0, 50.0]), jnp.array([50.0, -50.0]))
        return Decoding(jnp.broadcast_to(logits, (*features.shape[:2], 2)))


def initialise(module, arrays, runs=2):
    def one(seed):
        return module.init(jax.random.key(seed), arrays.features[:1, :16], arrays.valid[:1, :16])

    return jax.jit(jax.vmap(one))(jnp.arange(runs))


@pytest.mark.parametrize("window", [16, 61, 1000])
def test_a_model_without_context_says_the_same_in_windows_and_at_once(window):
    arrays, module = small_dataset(FRAMES).arrays, PerFrame()
    variables = initialise(module, arrays)
    whole, cut = (predict_stretches(module, variables, arrays, length).probabilities for length in (0, window))
    assert whole.shape == (2, 4, 150, 4)
    np.testing.assert_allclose(cut[:, arrays.valid], whole[:, arrays.valid], atol=1e-6)
    assert np.abs(whole[0] - whole[1]).max() > 0.1  # Each run has its own parameters.


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("mlp", 16),
        pytest.param("recurrent", 64, marks=pytest.mark.slow),
        ("temporal_convolution", 64),
        ("nri_graph", 16),
        pytest.param("wang_graph", 64, marks=pytest.mark.slow),
        pytest.param("temporal_convolution", 0, marks=pytest.mark.slow),
        pytest.param("wang_mlp", 64, marks=pytest.mark.slow),
        pytest.param("wang_graph", 0, marks=pytest.mark.slow),
    ],
)
def test_padding_after_a_stretch_changes_nothing(name, window):
    module = build_classifier(name, 4, SIZES[name])
    short, long = small_dataset(FRAMES).arrays, small_dataset(FRAMES, padding=37).arrays
    variables = initialise(module, short)
    one, other = (predict_stretches(module, variables, arrays, window) for arrays in (short, long))
    np.testing.assert_allclose(one.probabilities[:, short.valid], other.probabilities[:, long.valid], atol=1e-5)
    assert (one.edges is not None) == ("graph" in name)
    if one.edges is not None:
        np.testing.assert_allclose(one.edges, other.edges, atol=1e-5)
        np.testing.assert_allclose(one.edges.sum(axis=-1), 1.0, atol=1e-5)


def test_windows_are_half_a_window_apart_and_weigh_less_at_their_ends():
    arrays = small_dataset(((40,),)).arrays
    probabilities = predict_stretches(Position(), initialise(Position(), arrays), arrays, 16).probabilities
    sure = probabilities[0, 0, :, 1]
    expected = np.zeros(40)
    for start in (8, 16, 24):  # The first frame of a window weighs 1, the same frame in the middle of another 8.
        expected[start] = 1 / (1 + 8)
    expected[0] = 1.0
    np.testing.assert_allclose(sure, expected, atol=1e-6)


def test_a_last_window_ends_with_the_stretch():
    arrays = small_dataset(((41,), (30,))).arrays
    probabilities = predict_stretches(Position(), initialise(Position(), arrays), arrays, 16).probabilities[0, ..., 1]
    for stretch, (frames, starts) in enumerate([(41, [0, 8, 16, 24, 25]), (30, [0, 8, 14])]):
        assert list(np.flatnonzero(probabilities[stretch, :frames] > 0.01)) == starts


def test_probabilities_sum_to_one_wherever_there_is_a_frame():
    arrays = small_dataset(FRAMES).arrays
    module = build_classifier("mlp", 4, SIZES["mlp"])
    probabilities = predict_stretches(module, initialise(module, arrays), arrays, 17).probabilities
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities[:, arrays.valid].sum(axis=-1), 1.0, atol=1e-5)


class Normalised(nn.Module):
    """A model whose features are batch normalised first, by the statistics of valid frames."""

    @nn.compact
    def __call__(self, features, valid, training_rngs=None):
        values = features.reshape(*features.shape[:2], -1)
        mask = jnp.broadcast_to(valid[..., None], values.shape)
        return Decoding(nn.Dense(4)(nn.BatchNorm(use_running_average=training_rngs is None)(values, mask=mask)))


def test_by_its_own_statistics_a_worm_of_other_gains_and_offsets_is_decoded_alike():
    arrays = small_dataset(((150,), (61,))).arrays
    module = Normalised()
    variables = initialise(module, arrays)
    scaled = arrays._replace(features=3.0 * arrays.features + 2.0)
    own, other = (predict_stretches(module, variables, worms, 0, True).probabilities for worms in (arrays, scaled))
    np.testing.assert_allclose(own[:, arrays.valid], other[:, arrays.valid], atol=1e-3)
    stored = predict_stretches(module, variables, scaled, 0).probabilities
    assert np.abs(stored - own)[:, arrays.valid].max() > 0.1
    # Each worm has its own: without the other worm it is decoded the same.
    alone = predict_stretches(module, variables, jax.tree.map(lambda values: values[:1], arrays), 0, True)
    np.testing.assert_allclose(alone.probabilities[:, 0], own[:, 0], atol=1e-6)


def test_chosen_stretches_are_decoded_as_they_are_among_all():
    arrays = small_dataset(FRAMES).arrays
    module = Graph()
    variables = initialise(module, arrays)
    every = predict_stretches(module, variables, arrays, 16)
    stretches = np.array([[3, 1], [0, 0]])
    chosen = predict_stretches(module, variables, arrays, 16, stretches=stretches)
    for run, own in enumerate(stretches):
        np.testing.assert_array_equal(chosen.probabilities[run], every.probabilities[run, own])
        np.testing.assert_array_equal(chosen.edges[run], every.edges[run, own])


def test_worms_are_arguments_of_the_program_and_not_compiled_into_it():
    arrays, module = small_dataset(FRAMES).arrays, PerFrame()
    runs = (initialise(module, arrays), np.zeros((2, 1), np.int32))
    inputs = (arrays, *place_windows(np.asarray(arrays.valid), 16))
    jaxpr = jax.make_jaxpr(functools.partial(decode_runs, module, 16, False))(runs, inputs)
    assert sum(np.size(constant) for constant in jaxpr.consts) < 100 < arrays.features.size


def test_one_program_serves_other_parameters_and_other_chosen_stretches():
    arrays, traced = small_dataset(FRAMES).arrays, []

    class Traced(PerFrame):
        def __call__(self, features, valid, training_rngs=None):
            traced.append(features.shape)
            return Decoding(features.reshape(*features.shape[:2], -1)[..., :4])

    for scale, stretches in ((1.0, [[0, 1], [2, 3]]), (2.0, [[3, 2], [1, 0]])):
        predict_stretches(Traced(), {"params": {"scale": np.full(2, scale)}}, arrays, 16, stretches=np.array(stretches))
    assert len(traced) == 1
