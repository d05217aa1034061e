"""What the models share: randomness per window, dropout, temporal convolution, pair layers."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from wormjax import graphs


class Noise(NamedTuple):
    """What makes a training pass random; None stands for evaluation.

    Each window has a key of its own, so that a batch split over devices draws what the whole batch would draw. The
    rates are arrays, not Python numbers: runs of one compiled program may differ in them.
    """

    keys: PRNGKeyArray  # [window]
    dropout: Float[Array, ""]
    temperature: Float[Array, ""]


@jax.custom_vjp
def elu(values: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """The exponential linear unit as exp(x) - 1, with a gradient that is made from its output and made once.

    jax.nn.elu takes twice as long on a CPU: its expm1 is exact to the last place close to zero, where this one is off
    by up to 1e-7, the last place of the 1. The gradient is not left to JAX, since XLA on a CPU otherwise fuses it into
    each sum that reads it, and computes the exponential again and again.
    """
    return jnp.where(values > 0, values, jnp.exp(jnp.minimum(values, 0)) - 1.0)


def _elu_forward(values):
    output = elu(values)
    return output, output


def _elu_backward(output, gradient):
    return (jax.lax.optimization_barrier(gradient * jnp.where(output > 0, 1.0, output + 1.0)),)


elu.defvjp(_elu_forward, _elu_backward)


def draw_keys(noise: Noise, salt: int) -> PRNGKeyArray:
    """Fresh keys [window] for one use; every use in a model has its own `salt`."""
    return jax.vmap(lambda key: jax.random.fold_in(key, salt))(noise.keys)


def drop_channels(values: Float[Array, "window frame *channel"], noise: Noise | None, salt: int):
    """Dropout of whole channels for all of a window's frames (Tompson et al. 2015): neighbours cannot fill them in."""
    if noise is None:
        return values
    kept = 1.0 - noise.dropout
    shape = (1, *values.shape[2:])
    mask = jax.vmap(lambda key: jax.random.bernoulli(key, kept, shape))(draw_keys(noise, salt))
    return values * mask / kept


def mask_frames(values: Float[Array, "window frame *channel"], valid: Bool[Array, "window frame"]):
    """Zero where there is no frame, so that padding cannot speak."""
    return values * valid.reshape(*valid.shape, *(1,) * (values.ndim - 2))


def stack_frames(values: Float[Array, "window frame channel"], offsets: tuple[int, ...]):
    """The frames at t + offset beside each other: [window, frame, offset * channel]; zeros beyond the ends."""
    reach = max(abs(offset) for offset in offsets)
    frames = values.shape[1]
    padded = jnp.pad(values, ((0, 0), (reach, reach), (0, 0)))
    return jnp.concatenate([padded[:, reach + offset : reach + offset + frames] for offset in offsets], axis=-1)


class TemporalConvolution(nn.Module):
    """Centred dilated convolution over frames, as one matrix product over stacked frames.

    A vmapped convolution becomes a grouped one, for which XLA has no fast path on a CPU; a product has.
    """

    channels: int
    kernel: int = 5
    dilation: int = 1

    @nn.compact
    def __call__(self, values: Float[Array, "window frame channel"]) -> Float[Array, "window frame out"]:
        half = self.kernel // 2
        offsets = tuple(self.dilation * k for k in range(-half, self.kernel - half))
        return nn.Dense(self.channels)(stack_frames(values, offsets))


class PairDense(nn.Module):
    """Dense layer on [sender, receiver] of every edge, as two node products and a broadcast sum."""

    size: int

    @nn.compact
    def __call__(self, nodes: Float[Array, "*batch node feature"]) -> Float[Array, "*batch edge size"]:
        sent = nn.Dense(self.size, name="sender")(nodes)
        received = nn.Dense(self.size, use_bias=False, name="receiver")(nodes)
        return graphs.send(sent) + graphs.receive(received)


class RelativeDense(nn.Module):
    """Dense layer on the difference sender − receiver of every edge, as it is and on a logarithmic scale.

    Forces reach over orders of magnitude: arcsinh(difference / scale) is linear where objects are about as near as they
    move in a frame, and a logarithm far away, so that both are of the size that a network likes.
    """

    size: int
    scale: tuple[float, ...]

    @nn.compact
    def __call__(self, nodes: Float[Array, "*batch node feature"]) -> Float[Array, "*batch edge size"]:
        difference = graphs.send(nodes) - graphs.receive(nodes)
        logarithmic = jnp.arcsinh(difference / jnp.asarray(self.scale))
        return nn.Dense(self.size)(jnp.concatenate([difference, logarithmic], axis=-1))
