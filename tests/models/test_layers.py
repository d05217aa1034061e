"""The shared layers equal their textbook forms: a convolution, a dense layer on pairs, dropout of whole channels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax import graphs
from wormjax.models.layers import (
    PairDense,
    TemporalConvolution,
    draw_keys,
    drop_channels,
    elu,
    mask_frames,
    stack_frames,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_elu_and_its_gradient_are_the_textbook_ones_and_finite(compile_quickly):
    values = np.concatenate([np.linspace(-30, 30, 2001), [0.0, 1e-8, -1e-8, 1e-3, -1e-3, 1e4, -1e4]]).astype(np.float32)
    weights = normal(len(values), seed=1)
    result, gradient = compile_quickly(lambda v, w: (elu(v), jax.vjp(elu, v)[1](w)[0]))(values, weights)
    np.testing.assert_allclose(result, np.where(values > 0, values, np.expm1(np.minimum(values, 0))), atol=2e-7)
    expected = weights * np.where(values > 0, 1.0, np.exp(np.minimum(values, 0)))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (5, 2), (4, 1), (3, 8)])
def test_temporal_convolution_equals_the_plain_one(compile_quickly, kernel, dilation):
    values = normal(2, 10, 3)
    weights, bias = normal(kernel * 3, 4, seed=1), normal(4, seed=2)
    params = {"params": {"Dense_0": {"kernel": weights, "bias": bias}}}
    result = compile_quickly(TemporalConvolution(4, kernel, dilation).apply)(params, values)
    half = kernel // 2
    expected = jax.lax.conv_general_dilated(
        values,
        weights.reshape(kernel, 3, 4),
        window_strides=(1,),
        padding=[(half * dilation, (kernel - half - 1) * dilation)],
        rhs_dilation=(dilation,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    assert result.shape == (2, 10, 4)
    np.testing.assert_allclose(result, expected + bias, rtol=1e-4, atol=1e-5)


def test_stacked_frames_are_those_at_the_offsets_with_zeros_beyond_the_ends():
    values = normal(2, 6, 3)
    stacked = np.asarray(stack_frames(values, (-2, 0, 5)))
    assert stacked.shape == (2, 6, 9)
    for frame in range(6):
        for k, offset in enumerate((-2, 0, 5)):
            there = values[:, frame + offset] if 0 <= frame + offset < 6 else np.zeros((2, 3))
            np.testing.assert_array_equal(stacked[:, frame, 3 * k : 3 * k + 3], there)


def test_pair_dense_equals_a_dense_layer_on_sender_and_receiver(compile_quickly):
    nodes, module = normal(2, 5, 3), PairDense(4)
    params = {
        "sender": {"kernel": normal(3, 4, seed=1), "bias": normal(4, seed=2)},
        "receiver": {"kernel": normal(3, 4, seed=3)},
    }
    shapes = jax.tree.map(jnp.shape, jax.eval_shape(module.init, jax.random.key(0), nodes)["params"])
    assert shapes == jax.tree.map(jnp.shape, params)
    pairs = np.concatenate([graphs.send(nodes), graphs.receive(nodes)], axis=-1)
    kernel = np.concatenate([params["sender"]["kernel"], params["receiver"]["kernel"]])
    expected = pairs @ kernel + params["sender"]["bias"]
    result = compile_quickly(module.apply)({"params": params}, nodes)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [(500,), (40, 12)])
def test_dropout_takes_whole_channels_and_keeps_the_mean(noise, compile_quickly, channels):
    values = 1.0 + abs(normal(4, 6, *channels))
    ratio = np.asarray(compile_quickly(drop_channels)(values, noise(windows=4, dropout=0.4), 0)) / values
    # A channel is gone, or scaled by 1 / 0.6, in all frames of its window.
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-6)
    kept = ratio[:, 0] > 0
    np.testing.assert_allclose(ratio[:, 0][kept], 1 / 0.6, rtol=1e-5)
    assert kept.mean() == pytest.approx(0.6, abs=0.06)  # About five standard errors.
    assert ratio.mean() == pytest.approx(1.0, abs=0.1)
    assert (kept[0] != kept[1]).any()


def test_dropout_is_nothing_without_noise_and_at_rate_zero(noise, compile_quickly):
    values = normal(3, 6, 5)
    np.testing.assert_array_equal(drop_channels(values, None, 0), values)
    np.testing.assert_array_equal(compile_quickly(drop_channels)(values, noise(dropout=0.0), 0), values)


def test_two_uses_of_one_noise_draw_apart_but_each_again_the_same(noise, compile_quickly):
    values, drawn, drop = np.ones((3, 2, 64), np.float32), noise(), compile_quickly(drop_channels)
    first, again, other = (np.asarray(drop(values, drawn, salt)) for salt in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2)).all()


def test_every_window_and_salt_has_a_key_of_its_own(noise):
    keys = [jax.random.key_data(draw_keys(noise(windows=5), salt)) for salt in range(4)]
    assert len(np.unique(np.concatenate(keys), axis=0)) == 20


@pytest.mark.parametrize("channels", [(), (3,), (3, 2)])
def test_masked_frames_are_zero_and_others_untouched(channels):
    values, valid = normal(2, 4, *channels), np.array([[1, 1, 0, 1], [0, 1, 1, 0]], bool)
    masked = np.asarray(mask_frames(values, valid))
    np.testing.assert_array_equal(masked[valid], values[valid])
    assert not masked[~valid].any()
