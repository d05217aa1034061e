"""What the models share: randomness per window, dropout, temporal convolution, pair layers, precision of products."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from wormjax import graphs

# Of matrix products: the device's own; float32 throughout; operands rounded to bfloat16, their sums float32.
PRECISIONS = ("", "float32", "bfloat16")
VECTOR = 16  # Numbers that a CPU handles at a time.


class TrainingRngs(NamedTuple):
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


def draw_keys(training_rngs: TrainingRngs, salt: int) -> PRNGKeyArray:
    """Fresh keys [window] for one use; every use in a model has its own `salt`."""
    return jax.vmap(lambda key: jax.random.fold_in(key, salt))(training_rngs.keys)


def draw_masks(
    training_rngs: TrainingRngs | None, salts: Sequence[int], shape: tuple[int, ...]
) -> Sequence[Bool[Array, "window one *channel"] | None]:
    """Return which channels stay, for each use with a `salt` of its own: one drawing for all of them."""
    if training_rngs is None:
        return [None] * len(salts)
    kept, shape = 1.0 - training_rngs.dropout, (1, *shape)
    keys = jax.vmap(lambda salt: draw_keys(training_rngs, salt))(jnp.asarray(salts))
    return jax.vmap(jax.vmap(lambda key: jax.random.bernoulli(key, kept, shape)))(keys)


def keep_channels(values: Float[Array, "window frame *channel"], mask: Any, training_rngs: TrainingRngs | None):
    """Return the values of what `draw_masks` has kept, scaled up for what it has not."""
    return values if mask is None else values * mask / (1.0 - training_rngs.dropout)


def drop_channels(values: Float[Array, "window frame *channel"], training_rngs: TrainingRngs | None, salt: int):
    """Dropout of whole channels for all of a window's frames (Tompson et al. 2015): neighbours cannot fill them in."""
    return keep_channels(values, draw_masks(training_rngs, (salt,), values.shape[2:])[0], training_rngs)


def mask_frames(values: Float[Array, "window frame *channel"], valid: Bool[Array, "window frame"]):
    """Zero where there is no frame, so that padding has no influence."""
    return values * valid.reshape(*valid.shape, *(1,) * (values.ndim - 2))


def stack_frames(values: Float[Array, "window frame channel"], offsets: tuple[int, ...]):
    """The frames at t + offset beside each other: [window, frame, offset * channel]; zeros beyond the ends."""
    frames, channels = values.shape[1:]
    reach = max(abs(offset) for offset in offsets)
    # XLA on a CPU copies short rows of an odd length number by number: those become one long row.
    unit = channels if channels % VECTOR else 1
    rows = values.reshape(len(values), frames * unit, -1)
    padded = jnp.pad(rows, ((0, 0), (reach * unit, reach * unit), (0, 0)))
    starts = [(reach + offset) * unit for offset in offsets]
    return jnp.concatenate([padded[:, k : k + frames * unit].reshape(values.shape) for k in starts], axis=-1)


@jax.custom_vjp
def multiply_rows(
    values: Float[Array, "window frame feature"], kernel: Float[Array, "feature out"]
) -> Float[Array, "window frame out"]:
    """Return the product; its gradient by the kernel is one product of matrices, of all rows.

    JAX's own transposes what comes back, and takes more than twice the time on a CPU where the kernel is wide.
    """
    return values @ kernel


def _multiply_rows_forward(values, kernel):
    return values @ kernel, (values, kernel)


def _multiply_rows_backward(saved, gradient):
    values, kernel = saved
    rows = values.reshape(-1, values.shape[-1])
    return gradient @ kernel.T, rows.T @ gradient.reshape(-1, gradient.shape[-1])


multiply_rows.defvjp(_multiply_rows_forward, _multiply_rows_backward)


def dense(size: int) -> nn.Dense:
    """Return a dense layer of `multiply_rows`."""
    return nn.Dense(size, dot_general=lambda values, kernel, *_, **__: multiply_rows(values, kernel))


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
        return dense(self.channels)(stack_frames(values, offsets))


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


@contextlib.contextmanager
def dense_precision(precision: str, vmapped: bool = False) -> Iterator[None]:
    """Dense layers that are applied (not initialised) in this context multiply at one of PRECISIONS.

    For bfloat16 the operands are rounded here and not by jax.default_matmul_precision, which a CPU ignores. All else
    stays float32: parameters, biases, what goes from layer to layer, gradients. With `vmapped`, every layer is applied
    under a jax.vmap over samples that share the parameters; the products of all samples are then one. Only under such a
    vmap can this be differentiated.
    """
    if precision != "bfloat16":
        with jax.default_matmul_precision(precision or None):
            yield
        return
    multiply = _multiply_sample if vmapped else multiply_rounded

    def call_dense(call, inputs, fields, context):
        layer = context.module
        if not isinstance(layer, nn.Dense) or context.method_name != "__call__" or layer.is_initializing():
            return call(*inputs, **fields)
        params = layer.variables["params"]
        output = multiply(*inputs, params["kernel"])
        return output + params["bias"] if layer.use_bias else output

    with nn.intercept_methods(call_dense):
        yield


@jax.custom_vjp
def multiply_rounded(
    values: Float[Array, "*batch feature"], kernel: Float[Array, "feature out"]
) -> Float[Array, "*batch out"]:
    """The product of float32 arrays rounded to bfloat16, summed in float32; so are the two products of its gradient.

    The gradient is not left to JAX, which would multiply a float32 cotangent by a bfloat16 operand and round the
    result.
    """
    return _multiply_forward(values, kernel)[0]


def _multiply_forward(values, kernel):
    values, kernel = values.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    return _contract(values, kernel, (values.ndim - 1,), (0,)), (values, kernel)


def _multiply_backward(saved, gradient):
    (values, kernel), gradient = saved, gradient.astype(jnp.bfloat16)
    rows = tuple(range(values.ndim - 1))
    return _contract(gradient, kernel, (values.ndim - 1,), (1,)), _contract(values, gradient, rows, rows)


def _contract(left, right, left_axes, right_axes):
    numbers = ((left_axes, right_axes), ((), ()))
    return jax.lax.dot_general(left, right, numbers, preferred_element_type=jnp.float32)


multiply_rounded.defvjp(_multiply_forward, _multiply_backward)


@jax.custom_batching.custom_vmap
def _multiply_sample(values, kernel):
    """`multiply_rounded` for use under a vmap, of which a custom gradient is otherwise one product a sample."""
    return multiply_rounded(values, kernel)


@_multiply_sample.def_vmap
def _multiply_samples(_, mapped, values, kernel):
    if mapped[1]:  # Parameters of their own.
        return jax.vmap(multiply_rounded, [0 if axis else None for axis in mapped])(values, kernel), True
    return multiply_rounded(values, kernel), True
