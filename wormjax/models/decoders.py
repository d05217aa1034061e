"""The decoders of neural relational inference (Kipf, Fetaya et al. 2018): a graph and a frame in, the next frame out.

All predict the change of every node's features. `MlpDecoder` sees one frame (a Markov process), `RecurrentDecoder`
carries a hidden state per node; both receive messages, one function per edge type. `EquivariantDecoder` is a Markov
process of points in space, whose messages turn as the system turns; `ContextDecoder` knows each node by a code of
its history, and is not shown all features. `JointLstm` is what they must beat: it sees all nodes at once and no graph.
`roll_out` runs any of them over frames; which frames are shown to it, and where it goes on from its own, is one mask.

Instead of edges [*batch, edge, type], the decoders in MARKOV take [combination, sender, type] as well: edges that
arrive at any node, of all of which they predict the change, [combination, *batch, node, feature].
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from wormjax import graphs
from wormjax.errors import ConfigError
from wormjax.models.aggregation import OF_NODES, OF_PAIRS, NodeAggregation, PairAggregation
from wormjax.models.encoders import Mlp
from wormjax.models.layers import PairDense, RelativeDense, elu

RANK = 8  # Products of sender and receiver that an additive message is made of.
STILL = 0.1  # Changes, in units of the typical one, whose direction is hardly seen.
UNROLLED = 10  # The longest roll-out that is compiled without a loop.

Nodes = Float[Array, "*batch node feature"]
Edges = Float[Array, "*batch edge type"]


class TypedMessages(nn.Module):
    """What each node receives: Σ over its edges and their types of weight[edge, type] · f_type(sender, receiver).

    With `skip_first` the first type has no message: it stands for "no edge". Without, its messages begin at zero: from
    two types that are alike at first, training goes to edge types that have nothing to do with the graph. With
    `relative`, a scale of each feature, a message depends on the difference sender − receiver alone, as the forces
    between particles do (`layers.RelativeDense`). `aggregation` takes the place of the sum (models.aggregation).
    """

    hidden: int
    skip_first: bool = True
    relative: tuple[float, ...] | None = None
    aggregation: str = "sum"

    @nn.compact
    def __call__(self, nodes: Nodes, edges: Edges) -> Float[Array, "*batch node hidden"]:
        weights = edges[..., 1:] if self.skip_first else edges
        types, count = weights.shape[-1], nodes.shape[-2]
        if self.aggregation in OF_NODES:
            return NodeAggregation(self.hidden, self.aggregation, name="aggregation")(nodes, weights)
        size = types * self.hidden
        pairs = RelativeDense(size, self.relative)(nodes) if self.relative else PairDense(size)(nodes)
        pairs, messages = elu(pairs), []
        for kind in range(types):
            own = pairs[..., kind * self.hidden : (kind + 1) * self.hidden]
            name = f"type_{kind + self.skip_first}"
            initial = nn.initializers.zeros if name == "type_0" else nn.initializers.lecun_normal()
            messages.append(elu(nn.Dense(self.hidden, kernel_init=initial, name=name)(own)))
        if self.aggregation in OF_PAIRS:
            return PairAggregation(self.aggregation, name="aggregation")(messages, weights, count)
        return _weigh_messages(messages, weights, count)


def _weigh_messages(messages, weights, nodes):
    """Return what each node receives of the messages of each type [*batch, edge, feature]: [*batch, node, feature].

    Weights are [*batch, edge, type], or else [combination, sender, type] of the edges that arrive at any node; then
    what is received has an axis of combinations before all others.
    """
    if weights.shape[-2] == messages[0].shape[-2]:
        return graphs.sum_messages(sum(own * weights[..., k : k + 1] for k, own in enumerate(messages)), nodes)
    slots = [own.reshape(*own.shape[:-2], nodes, nodes - 1, own.shape[-1]) for own in messages]
    return sum(jnp.einsum("cs,...nsf->c...nf", weights[..., k], own) for k, own in enumerate(slots))


class MlpDecoder(nn.Module):
    """A node's change from its features and what it receives, in this frame alone; with `differences` a node is seen
    also by its change from the frame before, in units of `scale` and logarithmic where it is large.

    The read-out also has a linear way past its hidden layers: much of what moves keeps moving.
    """

    hidden: int
    skip_first: bool = True
    relative: tuple[float, ...] | None = None
    differences: bool = False
    scale: tuple[float, ...] = ()
    aggregation: str = "sum"

    @nn.compact
    def __call__(self, carry: Any, nodes: Nodes, edges: Edges) -> tuple[Any, Nodes]:
        seen, relative = nodes, self.relative
        if self.differences:
            change = jnp.arcsinh((nodes - carry) / jnp.asarray(self.scale))
            seen, carry = jnp.concatenate([nodes, change], axis=-1), nodes
            relative = relative and (*relative, *(1.0,) * nodes.shape[-1])
        received = TypedMessages(self.hidden, self.skip_first, relative, self.aggregation)(seen, edges)
        seen = jnp.broadcast_to(seen, (*received.shape[:-1], seen.shape[-1]))  # There may be more graphs than nodes.
        values = jnp.concatenate([seen, received], axis=-1)
        hidden = elu(nn.Dense(self.hidden)(elu(nn.Dense(self.hidden)(values))))
        return carry, _read_out(nodes.shape[-1], values, hidden)

    @property
    def memory(self) -> int:
        """Return how many true frames a prediction depends on."""
        return 2 if self.differences else 1

    def start(self, nodes: Nodes) -> Any:
        """Return what is carried into the first frame."""
        return nodes if self.differences else ()


def check_vectors(features: int) -> None:
    """Raise InputError for a number of features that is not that of a location and a velocity."""
    if features % 2:
        found = f"found 'equivariant' with {features} features"
        expected = "expected an even number: locations, then velocities"
        raise ConfigError("model.decoder.name", f"{found}, {expected}")


class EquivariantDecoder(nn.Module):
    """A node's change is its own, from its features, plus the sum of what acts on it, in which no direction is special.

    Features are locations and then velocities, as many of each as space has dimensions. What a sender of one edge type
    does to a receiver's location and velocity is a sum of two vectors, along the line between the two and along the
    difference of their velocities, of lengths that depend on how far apart, how differently fast and at what angle they
    are: it turns, and is mirrored, with the system (after Satorras et al. 2021, arXiv 2102.09844). One edge type cannot
    stand for attraction from the left and repulsion from the right, a solution that graphs inferred with `MlpDecoder`
    get caught in. Forces that grow with the distance, as those of springs, need no hidden layer. What a node does by
    itself may depend on where it is: there may be walls.
    """

    hidden: int  # Size of the hidden layers.
    scale: tuple[float, ...]  # Of each feature's typical change, in which changes are predicted.
    skip_first: bool = True  # Whether the first type has no message.
    memory = 1  # The true frames that a prediction depends on.

    @nn.compact
    def __call__(self, carry: Any, nodes: Nodes, edges: Edges) -> tuple[Any, Nodes]:
        weights = edges[..., 1:] if self.skip_first else edges
        count, size = nodes.shape[-2:]
        # One unit for all directions of a location, and one for those of a velocity.
        units = np.asarray(self.scale).reshape(2, -1).mean(axis=1)
        apart = graphs.send(nodes) - graphs.receive(nodes)
        vectors = apart.reshape(*apart.shape[:-1], 2, -1)  # [..., edge, location or velocity, dimension].
        lengths = jnp.sqrt((vectors**2).sum(axis=-1) + 1e-12)
        directions = vectors / lengths[..., None]
        cosine = directions.prod(axis=-2).sum(axis=-1, keepdims=True)
        seen = jnp.concatenate([jnp.log(lengths / units + 0.01), lengths, cosine], axis=-1)
        hidden = elu(nn.Dense(self.hidden)(elu(nn.Dense(self.hidden)(seen))))
        small = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
        types = weights.shape[-1]
        amounts = nn.Dense(4 * types, kernel_init=small, name="amounts")(jnp.concatenate([seen, hidden], axis=-1))
        amounts = amounts.reshape(*hidden.shape[:-1], types, 2, 2)
        acting = jnp.einsum("...kuv,...vd->...kud", amounts, directions)
        acting *= jnp.asarray(units[:, None] / np.asarray(self.scale).reshape(2, -1))
        acting = acting.reshape(*acting.shape[:-2], size)
        received = _weigh_messages([acting[..., k, :] for k in range(types)], weights, count)
        own = elu(nn.Dense(self.hidden)(elu(nn.Dense(self.hidden)(nodes))))
        return carry, _read_out(size, nodes, own) + received

    def start(self, nodes: Nodes) -> Any:
        """Return what is carried into the first frame."""
        return ()


class RecurrentDecoder(nn.Module):
    """A node's change from a hidden state that is updated, as in a GRU, by its features and what it receives."""

    hidden: int
    skip_first: bool = True
    relative: tuple[float, ...] | None = None
    aggregation: str = "sum"

    @nn.compact
    def __call__(self, carry: Any, nodes: Nodes, edges: Edges):
        values = jnp.concatenate([nodes, carry], axis=-1)
        scale = self.relative and (*self.relative, *(1.0,) * self.hidden)
        received = TypedMessages(self.hidden, self.skip_first, scale, self.aggregation)(values, edges)
        from_nodes = nn.Dense(3 * self.hidden, name="from_nodes")(nodes)
        from_received = nn.Dense(3 * self.hidden, use_bias=False, name="from_heard")(received)
        reset, keep, new = jnp.split(from_nodes, 3, axis=-1)
        reset_received, keep_received, new_received = jnp.split(from_received, 3, axis=-1)
        keep = jax.nn.sigmoid(keep + keep_received)
        new = jnp.tanh(new + jax.nn.sigmoid(reset + reset_received) * new_received)
        carry = (1.0 - keep) * new + keep * carry
        values = jnp.concatenate([nodes, received, carry], axis=-1)
        hidden = elu(nn.Dense(self.hidden)(elu(nn.Dense(self.hidden)(values))))
        return carry, _read_out(nodes.shape[-1], values, hidden)

    def start(self, nodes: Nodes) -> Any:
        """Return what is carried into the first frame."""
        return jnp.zeros((*nodes.shape[:-1], self.hidden), nodes.dtype)


class HistoryCode(nn.Module):
    """A few numbers that distinguish each node from others: a mean over its own frames of what a network sees in each.

    So a decoder may know in which units an object was scaled. It is made from one node alone, whatever the graph is.
    """

    hidden: int  # Size of the hidden layers.
    size: int  # Of the code.
    scale: tuple[float, ...]  # Of each feature's typical change.

    @nn.compact
    def __call__(self, frames: Float[Array, "*batch frame node feature"]) -> Float[Array, "*batch node code"]:
        change = jnp.arcsinh((frames[..., 1:, :, :] - frames[..., :-1, :, :]) / jnp.asarray(self.scale))
        seen = jnp.concatenate([frames[..., :-1, :, :], change], axis=-1)
        return nn.Dense(self.size)(Mlp(self.hidden)(seen).mean(axis=-3))


class ContextDecoder(nn.Module):
    """A node's change from its features, their last change, a code of its history (`HistoryCode`) and what it receives.

    Some features may be `unseen`: predicted, but not shown, of no frame. Where a feature is what the graph does rather
    than what the system's state is (the velocity of a Kuramoto oscillator, given the phases), it can be predicted well
    from its own past and from nothing else only with the graph.
    """

    hidden: int  # Size of the hidden layers.
    scale: tuple[float, ...]  # Of each feature's typical change, in which changes are predicted.
    skip_first: bool = True  # Whether the first type has no message; else its messages begin at zero.
    unseen: tuple[int, ...] = ()  # Numbers of the features that are not shown; they are predicted as they are.
    # Whether messages add up: bilinear functions of what networks make of the sender and of the receiver, as sin(a - b)
    # is of sines and cosines. Unseen features are then predicted of the frame that is shown, not the next.
    additive: bool = False
    memory = 2  # The true frames that a prediction depends on.

    @nn.compact
    def __call__(self, carry: Any, nodes: Nodes, edges: Edges) -> tuple[Any, Nodes]:
        previous, code = carry
        scale, (count, size) = jnp.asarray(self.scale), nodes.shape[-2:]
        hidden_features = np.isin(np.arange(size), self.unseen)
        change = jnp.arcsinh((nodes - previous) / scale)
        if self.additive and self.unseen:  # How fast a node goes says what is unseen without a graph.
            change = change / jnp.sqrt(change**2 + STILL**2)
        shown = [jnp.where(hidden_features, 0.0, values) for values in (nodes, change)]
        seen = jnp.concatenate([*shown, code], axis=-1)
        seen = jnp.concatenate([seen, Mlp(self.hidden)(seen)], axis=-1)
        weights = edges[..., 1:] if self.skip_first else edges
        types = weights.shape[-1]
        small = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
        kernels = [nn.initializers.zeros if kind == 0 and not self.skip_first else small for kind in range(types)]
        if self.additive:
            output = self._add_messages(seen, weights, size, kernels)
            return (nodes, code), jnp.where(hidden_features, (output - nodes) / scale, output)
        pairs = elu(PairDense(types * self.hidden)(seen)).reshape(*seen.shape[:-2], -1, types, self.hidden)
        messages = []
        for kind, initial in enumerate(kernels):
            own = elu(nn.Dense(self.hidden)(pairs[..., kind, :]))
            messages.append(nn.Dense(self.hidden, kernel_init=initial)(own))
        hidden = elu(nn.Dense(self.hidden)(seen) + _weigh_messages(messages, weights, count))
        hidden = jnp.concatenate([hidden, elu(nn.Dense(self.hidden)(hidden))], axis=-1)
        own = nn.Dense(size, kernel_init=nn.initializers.zeros)(seen)
        output = own + nn.Dense(size, use_bias=False, kernel_init=nn.initializers.zeros)(hidden)
        return (nodes, code), jnp.where(hidden_features, (output - nodes) / scale, output)

    def _add_messages(self, seen, weights, size, kernels):
        seen = jnp.concatenate([seen, Mlp(self.hidden)(seen)], axis=-1)
        sent, messages = graphs.send(jnp.tanh(nn.Dense(RANK)(seen)))[..., None], []
        for initial in kernels:
            received = graphs.receive(nn.Dense(RANK * size, kernel_init=initial)(seen))
            messages.append((sent * received.reshape(*sent.shape[:-1], size)).sum(axis=-2))
        own = nn.Dense(size, kernel_init=nn.initializers.zeros)(seen)
        return own + _weigh_messages(messages, weights, seen.shape[-2])

    @property
    def of_shown(self) -> tuple[int, ...]:
        """Return the numbers of the features that are predicted of the frame that is shown."""
        return self.unseen if self.additive else ()

    def start(self, nodes: Nodes, code: Float[Array, "*batch node code"]) -> Any:
        """Return what is carried into the first frame."""
        return nodes, code


MARKOV = (MlpDecoder, EquivariantDecoder, ContextDecoder)  # They predict from the last `memory` frames alone.


class JointLstm(nn.Module):
    """An LSTM over all nodes' features beside each other, without a graph: the reference's "LSTM (joint)"."""

    hidden: int
    # Whether its cell is of Dense layers, whose precision can be chosen; its parameters are the same.
    dense_cell: bool = False

    @nn.compact
    def __call__(self, carry: Any, nodes: Nodes, edges: Any = None):
        joined = nodes.reshape(*nodes.shape[:-2], -1)
        kind = nn.LSTMCell if self.dense_cell else nn.OptimizedLSTMCell
        cell = kind(self.hidden, recurrent_kernel_init=nn.initializers.glorot_uniform(), name="OptimizedLSTMCell_0")
        carry, hidden = cell(carry, elu(nn.Dense(self.hidden)(joined)))
        change = _read_out(joined.shape[-1], joined, elu(nn.Dense(self.hidden)(hidden)))
        return carry, change.reshape(nodes.shape)

    def start(self, nodes: Nodes) -> Any:
        """Return what is carried into the first frame."""
        zeros = jnp.zeros((*nodes.shape[:-2], self.hidden), nodes.dtype)
        return zeros, zeros


def _read_out(size, values, hidden):
    """Return a linear read-out of both that starts at "nothing changes"."""
    joined = jnp.concatenate([values, hidden], axis=-1)
    return nn.Dense(size, kernel_init=nn.initializers.zeros, name="read_out")(joined)


def roll_out(
    step: Callable[..., tuple[Any, Array]],
    carry: Any,
    frames: Float[Array, "*batch frame node feature"],
    given: Bool[Array, "*batch frame"],
    beside: Shaped[Array, "..."] | None = None,
) -> Float[Array, "*batch frame node feature"]:
    """Predict each next frame, from the true frame where it is given and else from the frame predicted before.

    Teacher forcing gives all frames; an M-step roll-out every M-th; burn-in the first ones; scheduled sampling a random
    choice. The first is always given. What stands in a frame that is not given has no effect. There are as many
    predictions as `frames`: of the frames 1, 2, ..., the last one of a frame that is not among them.

    Args:
      step: (carry, nodes) → (carry, change of the nodes), of one decoder and one graph a sample; with `beside`, what
        that has of the frame is its last argument.
      beside: [*batch, frame, ...], what else a step is given of each frame, such as its edges.
    """

    def advance(state, inputs):
        carry, predicted = state
        true, shown, *others = inputs
        nodes = jnp.where(shown[..., None, None], true, predicted)
        carry, change = step(carry, nodes, *others)
        return (carry, nodes + change), nodes + change

    shown = given.at[..., 0].set(True)
    inputs = jnp.moveaxis(frames, -3, 0), jnp.moveaxis(shown, -1, 0)
    if beside is not None:
        inputs = *inputs, jnp.moveaxis(beside, given.ndim - 1, 0)
    unroll = len(inputs[0]) <= UNROLLED  # A loop keeps what the gradient needs in copies.
    _, predicted = jax.lax.scan(advance, (carry, jnp.zeros_like(inputs[0][0])), inputs, unroll=unroll or 1)
    return jnp.moveaxis(predicted, 0, -3)
