"""The decoders of neural relational inference (Kipf, Fetaya et al. 2018): a graph and a frame in, the next frame out.

All predict the change of every node's features. `MlpDecoder` sees one frame (a Markov process), `RecurrentDecoder`
carries a hidden state a node; both hear messages, one function an edge type. `JointLstm` is what they must beat: it
sees all nodes at once and no graph. `roll_out` runs any of them over frames; which frames are shown to it, and where it
goes on from its own, is one mask.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wormjax import graphs
from wormjax.models.layers import PairDense, RelativeDense, elu

UNROLLED = 4  # The longest roll-out that is compiled without a loop.


class TypedMessages(nn.Module):
    """What each node hears: Σ over its edges and their types of weight[edge, type] · f_type(sender, receiver).

    With `skip_first` the first type has no message: it stands for "no edge". Without, its messages begin at zero: from
    two types that are alike at first, training goes to edge types that have nothing to do with the graph. With
    `relative`, a scale of each feature, a message depends on the difference sender − receiver alone, as the forces
    between particles do (`layers.RelativeDense`).
    """

    hidden: int
    skip_first: bool = True
    relative: tuple[float, ...] | None = None

    @nn.compact
    def __call__(
        self, nodes: Float[Array, "*batch node feature"], edges: Float[Array, "*batch edge type"]
    ) -> Float[Array, "*batch node hidden"]:
        weights = edges[..., 1:] if self.skip_first else edges
        types, count = weights.shape[-1], nodes.shape[-2]
        size = types * self.hidden
        pairs = RelativeDense(size, self.relative)(nodes) if self.relative else PairDense(size)(nodes)
        pairs = elu(pairs)
        total = 0.0
        for kind in range(types):
            own = pairs[..., kind * self.hidden : (kind + 1) * self.hidden]
            name = f"type_{kind + self.skip_first}"
            initial = nn.initializers.zeros if name == "type_0" else nn.initializers.lecun_normal()
            messages = elu(nn.Dense(self.hidden, kernel_init=initial, name=name)(own))
            total += messages * weights[..., kind : kind + 1]
        return graphs.sum_messages(total, count)


class MlpDecoder(nn.Module):
    """A node's change from its features and what it hears, in this frame alone; with `differences` a node is also seen
    by its change from the frame before, in units of `scale` and logarithmic where it is large.

    The read-out also has a linear way past its hidden layers: much of what moves keeps moving.
    """

    hidden: int
    skip_first: bool = True
    relative: tuple[float, ...] | None = None
    differences: bool = False
    scale: tuple[float, ...] = ()

    @nn.compact
    def __call__(
        self, carry: Any, nodes: Float[Array, "*batch node feature"], edges: Float[Array, "*batch edge type"]
    ) -> tuple[Any, Float[Array, "*batch node feature"]]:
        seen, relative = nodes, self.relative
        if self.differences:
            change = jnp.arcsinh((nodes - carry) / jnp.asarray(self.scale))
            seen, carry = jnp.concatenate([nodes, change], axis=-1), nodes
            relative = relative and (*relative, *(1.0,) * nodes.shape[-1])
        heard = TypedMessages(self.hidden, self.skip_first, relative)(seen, edges)
        values = jnp.concatenate([seen, heard], axis=-1)
        hidden = elu(nn.Dense(self.hidden)(elu(nn.Dense(self.hidden)(values))))
        return carry, _read_out(nodes.shape[-1], values, hidden)

    @property
    def memory(self) -> int:
        """The true frames that a prediction hangs on."""
        return 2 if self.differences else 1

    def start(self, nodes: Float[Array, "*batch node feature"]) -> Any:
        """What is carried into the first frame."""
        return nodes if self.differences else ()


class RecurrentDecoder(nn.Module):
    """A node's change from a hidden state that is updated, as in a GRU, by its features and what it hears."""

    hidden: int
    skip_first: bool = True
    relative: tuple[float, ...] | None = None

    @nn.compact
    def __call__(self, carry: Any, nodes: Float[Array, "*batch node feature"], edges: Float[Array, "*batch edge type"]):
        values = jnp.concatenate([nodes, carry], axis=-1)
        scale = self.relative and (*self.relative, *(1.0,) * self.hidden)
        heard = TypedMessages(self.hidden, self.skip_first, scale)(values, edges)
        from_nodes = nn.Dense(3 * self.hidden, name="from_nodes")(nodes)
        from_heard = nn.Dense(3 * self.hidden, use_bias=False, name="from_heard")(heard)
        reset, keep, new = jnp.split(from_nodes, 3, axis=-1)
        reset_heard, keep_heard, new_heard = jnp.split(from_heard, 3, axis=-1)
        keep = jax.nn.sigmoid(keep + keep_heard)
        new = jnp.tanh(new + jax.nn.sigmoid(reset + reset_heard) * new_heard)
        carry = (1.0 - keep) * new + keep * carry
        values = jnp.concatenate([nodes, heard, carry], axis=-1)
        hidden = elu(nn.Dense(self.hidden)(elu(nn.Dense(self.hidden)(values))))
        return carry, _read_out(nodes.shape[-1], values, hidden)

    def start(self, nodes: Float[Array, "*batch node feature"]) -> Any:
        """What is carried into the first frame."""
        return jnp.zeros((*nodes.shape[:-1], self.hidden), nodes.dtype)


class JointLstm(nn.Module):
    """An LSTM over all nodes' features beside each other, without a graph: the reference's "LSTM (joint)".

    With `dense_cell` its cell is made of Dense layers, whose precision can be chosen (`layers.dense_precision`), with
    the same parameters; otherwise the cell joins its products into two.
    """

    hidden: int
    dense_cell: bool = False

    @nn.compact
    def __call__(self, carry: Any, nodes: Float[Array, "*batch node feature"], edges: Any = None):
        joined = nodes.reshape(*nodes.shape[:-2], -1)
        kind = nn.LSTMCell if self.dense_cell else nn.OptimizedLSTMCell
        cell = kind(self.hidden, recurrent_kernel_init=nn.initializers.glorot_uniform(), name="OptimizedLSTMCell_0")
        carry, hidden = cell(carry, elu(nn.Dense(self.hidden)(joined)))
        change = _read_out(joined.shape[-1], joined, elu(nn.Dense(self.hidden)(hidden)))
        return carry, change.reshape(nodes.shape)

    def start(self, nodes: Float[Array, "*batch node feature"]) -> Any:
        """What is carried into the first frame."""
        zeros = jnp.zeros((*nodes.shape[:-2], self.hidden), nodes.dtype)
        return zeros, zeros


def _read_out(size, values, hidden):
    """A linear read-out of both that starts at "nothing changes"."""
    joined = jnp.concatenate([values, hidden], axis=-1)
    return nn.Dense(size, kernel_init=nn.initializers.zeros, name="read_out")(joined)


def roll_out(
    step: Callable[[Any, Array], tuple[Any, Array]],
    carry: Any,
    frames: Float[Array, "*batch frame node feature"],
    given: Bool[Array, "*batch frame"],
) -> Float[Array, "*batch frame node feature"]:
    """Predicts each next frame, from the true frame where it is given and else from the frame predicted before.

    Teacher forcing gives all frames; an M-step roll-out every M-th; burn-in the first ones; scheduled sampling a random
    choice. The first is always given.

    Args:
      step: (carry, nodes) → (carry, change of the nodes), of one decoder and one graph a sample.
      carry: into the first frame.
      frames: true frames; what stands in a frame that is not given has no effect.
      given: which of them the decoder is shown.

    Returns:
      Predictions of the frames 1, 2, ..., as many as `frames`: the last one is of a frame that is not among them.
    """

    def advance(state, inputs):
        carry, predicted = state
        true, shown = inputs
        nodes = jnp.where(shown[..., None, None], true, predicted)
        carry, change = step(carry, nodes)
        return (carry, nodes + change), nodes + change

    shown = given.at[..., 0].set(True)
    inputs = jnp.moveaxis(frames, -3, 0), jnp.moveaxis(shown, -1, 0)
    unroll = len(inputs[0]) <= UNROLLED  # A loop keeps what the gradient needs in copies.
    _, predicted = jax.lax.scan(advance, (carry, jnp.zeros_like(inputs[0][0])), inputs, unroll=unroll or 1)
    return jnp.moveaxis(predicted, 0, -3)
