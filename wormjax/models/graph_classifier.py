"""The NRI-style graph classifier: infer a graph between neurons, pass messages on it, decode the motor state.

After Kipf, Fetaya et al. (2018): an encoder gives the type of every edge, sampled by the Gumbel-softmax; messages flow
by type, the first type being "no edge". What differs: nodes are named neurons, so each has an embedding of its own;
the graph is one a window, and what the messages feed is a temporal read-out and not a decoder of trajectories. Without
messages (`messages=False`) the same network is its own structure-agnostic twin.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wormjax import graphs
from wormjax.models.classifiers import Decoding, Features, TemporalReadOut, Valid, flatten_neurons
from wormjax.models.encoders import MlpEncoder
from wormjax.models.layers import TrainingRngs, elu, mask_frames, multiply_rows, stack_frames
from wormjax.models.sampling import sample_graphs


class NeuronEmbedding(nn.Module):
    """Each neuron's own course in time → hidden features, by a temporal convolution of its own.

    The neurons' small convolutions are the blocks of one block-diagonal matrix: on a CPU one large product is faster
    than many small ones, and the zeros cost less than they save.
    """

    hidden: int
    kernel: int

    @nn.compact
    def __call__(self, features: Float[Array, "window frame neuron feature"]):
        _, _, neurons, size = features.shape
        half = self.kernel // 2
        stacked = stack_frames(flatten_neurons(features), tuple(range(-half, self.kernel - half)))
        initial = nn.initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=(1, 2), out_axis=3, batch_axis=0)
        weights = self.param("weights", initial, (neurons, self.kernel, size, self.hidden))
        bias = self.param("bias", nn.initializers.zeros, (neurons * self.hidden,))
        blocks = jnp.einsum("nkfh,nm->knfmh", weights, jnp.eye(neurons))
        return elu(multiply_rows(stacked, blocks.reshape(stacked.shape[-1], neurons * self.hidden)) + bias)


class GraphClassifier(nn.Module):
    """Neural relational inference in front of a temporal read-out; the graph comes out with the decoding."""

    states: int
    node_hidden: int = 8
    edge_hidden: int = 8
    edge_types: int = 2
    skip_first: bool = True
    hard: bool = False
    messages: bool = True
    embedding_kernel: int = 5
    channels: int = 32
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4)
    branch_scale: float = 0.3

    @nn.compact
    def __call__(self, features: Features, valid: Valid, training_rngs: TrainingRngs | None = None) -> Decoding:
        neurons = features.shape[2]
        features = mask_frames(features, valid)
        nodes = mask_frames(NeuronEmbedding(self.node_hidden, self.embedding_kernel)(features), valid)
        read_out = TemporalReadOut(self.states, self.channels, self.kernel, self.dilations)
        # Scaled down, so that the read-out starts from the neurons themselves and takes of these what they add.
        values = [flatten_neurons(features), self.branch_scale * nodes]
        edge_logits = None
        if self.messages:
            edge_logits = self._infer_edges(nodes, valid, neurons)
            edges = sample_graphs(edge_logits, training_rngs, self.hard)
            values.append(self.branch_scale * self._pass_messages(nodes, edges, neurons))
        return Decoding(read_out(jnp.concatenate(values, axis=-1), valid, training_rngs), edge_logits)

    def _infer_edges(self, nodes, valid, neurons) -> Float[Array, "window edge type"]:
        """One graph per window, from the mean and spread of each node's course over the valid frames."""
        weights = valid[..., None] / jnp.maximum(valid.sum(axis=1), 1)[:, None, None]
        mean = (nodes * weights).sum(axis=1)
        spread = jnp.sqrt(((nodes - mean[:, None]) ** 2 * weights).sum(axis=1) + 1e-6)
        summary = [values.reshape(len(nodes), neurons, self.node_hidden) for values in (mean, spread)]
        encoder = nn.vmap(MlpEncoder, variable_axes={"params": None}, split_rngs={"params": False})
        graph = jax.vmap(graphs.complete_graph)(jnp.concatenate(summary, axis=-1))
        return encoder(self.edge_hidden, self.edge_types, name="encoder")(graph)

    def _pass_messages(self, nodes, edges, neurons):
        """What each neuron receives [window, frame, neuron * feature]: a linear message per type, weighed by the types.

        Neurons come before frames for it, so that a window's weights mix all its frames in one product.
        """
        size, first = self.node_hidden, int(self.skip_first)
        initial = nn.initializers.lecun_normal(batch_axis=(0,))
        messages = self.param("messages", initial, (self.edge_types - first, size, size))
        bias = self.param("message_bias", nn.initializers.zeros, (neurons * size,))
        weights = graphs.edges_to_square(jnp.moveaxis(edges[..., first:], -1, 0), neurons) / max(neurons - 1, 1) ** 0.5
        windows, frames, _ = nodes.shape
        courses = nodes.reshape(windows, frames, neurons, size).swapaxes(1, 2).reshape(windows, neurons, -1)
        mixed = (weights @ courses).reshape(self.edge_types - first, -1, size)
        received = sum(own @ message for own, message in zip(mixed, messages, strict=True))
        received = received.reshape(windows, neurons, frames, size).swapaxes(1, 2)
        return elu(received.reshape(nodes.shape) + bias)
