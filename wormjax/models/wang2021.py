"""The classifiers of Wang, Sapra, George & Silva (2021, Frontiers in AI 4:618372), per frame, to the letter.

Both embed each neuron's features of one frame (features → hidden → hidden, ELU, batch norm). The MLP concatenates the
embeddings and reads out by two more layers; the graph network also passes one round of messages, weighed by the
probability of the second of two edge types, in one static graph: the mean over all frames of the batch.

The networks on edges are nearly all of the graph network's time. On a CPU they are bound by exponentials and by memory,
so that they run over one receiver after another with graphs along the last axis (`PairNetwork`): the same numbers as a
dense layer on each edge, in half the time or less.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wormjax import graphs
from wormjax.models.classifiers import Decoding, Features, Valid
from wormjax.models.layers import TrainingRngs, elu


class BatchNormMlp(nn.Module):
    """Dense, ELU, dense, ELU, batch norm over the valid frames of the batch: the block of both networks."""

    hidden: int
    out: int
    axis_name: str | None = None  # Joins the statistics of devices that share a batch.

    @nn.compact
    def __call__(self, values: Float[Array, "window frame *item feature"], valid, training: bool):
        values = elu(nn.Dense(self.hidden, kernel_init=nn.initializers.glorot_normal())(values))
        values = elu(nn.Dense(self.out, kernel_init=nn.initializers.glorot_normal())(values))
        return FrameNorm(self.axis_name, name="norm")(values, valid, training)


class FrameNorm(nn.Module):
    """Batch normalisation whose statistics skip frames that are padding."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, values, valid, training: bool):
        mask = jnp.broadcast_to(valid.reshape(*valid.shape, *(1,) * (values.ndim - 2)), values.shape)
        # Not E[x²] − E[x]²: where a feature hardly varies about its mean, float32 has no digits left for that.
        norm = nn.BatchNorm(
            use_running_average=not training, momentum=0.9, axis_name=self.axis_name, use_fast_variance=False
        )
        return norm(values, mask=mask)


class WangMlp(nn.Module):
    """The structure-agnostic network: node embeddings, concatenated, read out."""

    states: int
    hidden: int = 16
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features: Features, valid: Valid, training_rngs: TrainingRngs | None = None) -> Decoding:
        training = training_rngs is not None
        nodes = BatchNormMlp(self.hidden, self.hidden, self.axis_name)(features, valid, training)
        values = nodes.reshape(*nodes.shape[:2], -1)
        values = BatchNormMlp(self.hidden, self.hidden, self.axis_name)(values, valid, training)
        return Decoding(nn.Dense(self.states)(values))


class NodeProducts(nn.Module):
    """The two products of `PairDense` before their sum: what each neuron adds to an edge as sender, as receiver.

    Features first, graphs (all frames of the batch) last: along that axis the sums and exponentials of a CPU are long.
    """

    size: int

    @nn.compact
    def __call__(self, nodes: Float[Array, "window frame neuron feature"]) -> tuple[Array, Array]:
        products = nn.Dense(self.size, name="sender"), nn.Dense(self.size, use_bias=False, name="receiver")
        return tuple(jnp.moveaxis(p(nodes).reshape(-1, nodes.shape[2], self.size), 0, -1) for p in products)


class DenseParameters(nn.Module):
    """Kernel and bias of an nn.Dense, by its names, for use within a loop."""

    inputs: int
    size: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, "inputs size"], Float[Array, " size"]]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (self.inputs, self.size))
        return kernel, self.param("bias", nn.initializers.zeros, (self.size,))


class PairNetwork(NamedTuple):
    """A network on [sender, receiver] of two layers, its first as node products; each layer ends in an ELU."""

    sent: Float[Array, "neuron feature graph"]
    received: Float[Array, "neuron feature graph"]
    kernel: Float[Array, "feature feature"]
    bias: Float[Array, " feature"]

    def embed(self, received: Float[Array, "feature graph"]) -> Float[Array, "sender feature graph"]:
        """The embeddings of all edges to one receiver, the edge from itself too."""
        return elu(mix_features(self.kernel, elu(self.sent + received)) + self.bias[:, None])


def sum_frames(network: PairNetwork, frames: Float[Array, " graph"]) -> Float[Array, "receiver sender feature"]:
    """The embeddings of each edge, summed over graphs with the weights `frames`."""
    return _for_receivers(lambda received: network.embed(received) @ frames, network.received)


def sum_senders(
    network: PairNetwork, weights: Float[Array, "receiver sender"]
) -> Float[Array, "receiver feature graph"]:
    """The messages that arrive at each neuron, each sender's with its weight."""

    def arrive(received, weights):
        messages = network.embed(received)
        return (weights @ messages.reshape(len(weights), -1)).reshape(received.shape)

    return _for_receivers(arrive, network.received, weights)


def _for_receivers(function, *arrays):
    """The function of one receiver at a time, stacked: a receiver's edges stay in a core's cache.

    The gradient computes them again, which takes no longer than to fetch them from memory.
    """
    return jax.lax.scan(lambda _, values: (None, jax.checkpoint(function)(*values)), None, arrays)[1]


@jax.custom_vjp
def mix_features(
    kernel: Float[Array, "feature size"], values: Float[Array, "sender feature graph"]
) -> Float[Array, "sender size graph"]:
    """A dense layer's product where features come before graphs.

    Both directions are one batched product of matrices by rows, for which XLA has a fast path on a CPU; the derivative
    that JAX makes of it is a product by columns, and takes twice as long.
    """
    return _multiply(kernel.T, values)


def _multiply(matrix, values):
    matrices = jnp.broadcast_to(matrix, (len(values), *matrix.shape))
    return jax.lax.dot_general(matrices, values, (((2,), (1,)), ((0,), (0,))))


def _mix_backward(saved, gradient):
    kernel, values = saved
    products = jax.lax.dot_general(values, gradient, (((2,), (2,)), ((0,), (0,))))
    return products.sum(axis=0), _multiply(kernel, gradient)


mix_features.defvjp(lambda kernel, values: (_multiply(kernel.T, values), (kernel, values)), _mix_backward)


def drop_diagonal(square: Float[Array, "receiver sender feature"]) -> Float[Array, "edge feature"]:
    """Values of all pairs → of the edges, in the order of wormjax.graphs."""
    count, _, size = square.shape
    flat = square.reshape(count * count, size)[1:]
    return flat.reshape(count - 1, count + 1, size)[:, :-1].reshape(count * (count - 1), size)


class WangGraph(nn.Module):
    """The graph network: node embeddings, one static graph, one round of messages, read-out of nodes and messages."""

    states: int
    hidden: int = 16
    edge_types: int = 2
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features: Features, valid: Valid, training_rngs: TrainingRngs | None = None) -> Decoding:
        training = training_rngs is not None
        nodes = BatchNormMlp(self.hidden, self.hidden, self.axis_name)(features, valid, training)
        frames, count = valid.reshape(-1).astype(nodes.dtype), nodes.shape[2]
        network = PairNetwork(*NodeProducts(self.hidden, name="edge_pair")(nodes), *self._second_layer("Dense_0"))
        embedded = drop_diagonal(self._average(sum_frames(network, frames), frames))
        logits = nn.Dense(self.edge_types, name="edge_type")(embedded)
        weights = graphs.edges_to_square(jax.nn.softmax(logits)[:, 1], count)
        network = PairNetwork(*NodeProducts(self.hidden, name="message_pair")(nodes), *self._second_layer("Dense_1"))
        messages = jnp.moveaxis(sum_senders(network, weights), -1, 0).reshape(nodes.shape)
        values = jnp.concatenate([nodes, messages], axis=-1).reshape(*nodes.shape[:2], -1)
        values = BatchNormMlp(self.hidden, self.hidden, self.axis_name)(values, valid, training)
        edge_logits = jnp.broadcast_to(logits, (features.shape[0], *logits.shape))
        return Decoding(nn.Dense(self.states, name="Dense_2")(values), edge_logits)

    def _second_layer(self, name):
        return DenseParameters(self.hidden, self.hidden, name=name)()

    def _average(self, total, frames):
        """Sums over frames → means over the valid frames of the whole batch."""
        count = frames.sum()
        if self.axis_name is not None:
            total, count = jax.lax.psum((total, count), self.axis_name)
        return total / jnp.maximum(count, 1.0)
