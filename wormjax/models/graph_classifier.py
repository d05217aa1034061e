"""The NRI-style graph classifier: infer a graph between neurons, pass messages on it, decode the motor state.

After Kipf, Fetaya et al. (2018): an encoder gives the type of every edge, sampled by the Gumbel-softmax; messages flow
by type, the first type being "no edge". What differs: nodes are named neurons, so each has an embedding of its own;
the graph is one a window, and what the messages feed is a temporal read-out and not a decoder of trajectories. Without
messages (`messages=False`) the same network is its own structure-agnostic twin.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wormjax import graphs
from wormjax.models.classifiers import Decoding, TemporalReadOut, flatten_neurons
from wormjax.models.encoders import MlpEncoder
from wormjax.models.layers import Noise, TemporalConvolution, draw_keys, mask_frames
from wormjax.models.sampling import sample_edges


class NeuronEmbedding(nn.Module):
    """Each neuron's own course in time → hidden features; one network for all, and an identity vector a neuron."""

    hidden: int
    kernel: int

    @nn.compact
    def __call__(self, features: Float[Array, "window frame neuron feature"]):
        windows, frames, neurons, size = features.shape
        rows = features.transpose(0, 2, 1, 3).reshape(windows * neurons, frames, size)
        course = TemporalConvolution(self.hidden, self.kernel)(rows)
        course = course.reshape(windows, neurons, frames, self.hidden).transpose(0, 2, 1, 3)
        identity = self.param("identity", nn.initializers.normal(0.5), (neurons, self.hidden))
        gain = self.param("gain", nn.initializers.normal(0.5), (neurons, self.hidden))
        return nn.Dense(self.hidden)(nn.elu(course * (1.0 + gain) + identity))


class GraphClassifier(nn.Module):
    """Neural relational inference in front of a temporal read-out; the graph comes out with the decoding."""

    states: int
    node_hidden: int = 8
    edge_hidden: int = 16
    edge_types: int = 2
    skip_first: bool = True
    hard: bool = False
    messages: bool = True
    embedding_kernel: int = 5
    channels: int = 32
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4)

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "window frame neuron feature"],
        valid: Bool[Array, "window frame"],
        noise: Noise | None = None,
    ) -> Decoding:
        nodes = nn.elu(mask_frames(NeuronEmbedding(self.node_hidden, self.embedding_kernel)(features), valid))
        read_out = TemporalReadOut(self.states, self.channels, self.kernel, self.dilations)
        if not self.messages:
            values = jnp.concatenate([features, nodes], axis=-1)
            return Decoding(read_out(flatten_neurons(values), valid, noise))
        edge_logits = self._infer_edges(nodes, valid)
        edges = self._sample(edge_logits, noise)
        messages = self._pass_messages(nodes, edges)
        values = jnp.concatenate([features, nodes, messages], axis=-1)
        return Decoding(read_out(flatten_neurons(values), valid, noise), edge_logits)

    def _infer_edges(self, nodes, valid) -> Float[Array, "window edge type"]:
        """One graph a window from the moments of each node's course: mean and mean square over the valid frames."""
        weights = valid[..., None, None] / jnp.maximum(valid.sum(axis=1), 1)[:, None, None, None]
        mean = (nodes * weights).sum(axis=1)
        spread = jnp.sqrt(((nodes - mean[:, None]) ** 2 * weights).sum(axis=1) + 1e-6)
        encoder = nn.vmap(MlpEncoder, variable_axes={"params": None}, split_rngs={"params": False})
        summary = jnp.concatenate([mean, spread], axis=-1)
        return encoder(self.edge_hidden, self.edge_types, name="encoder")(jax.vmap(graphs.complete_graph)(summary))

    def _sample(self, logits, noise):
        if noise is None:
            return jax.nn.softmax(logits)
        sample = jax.vmap(sample_edges, in_axes=(0, 0, None, None))
        return sample(logits, draw_keys(noise, 100), noise.temperature, self.hard)

    def _pass_messages(self, nodes, edges):
        """What each neuron hears [window, frame, neuron, feature]: a message function a type, weighed by the types."""
        neurons = nodes.shape[2]
        heard = 0.0
        for edge_type in range(int(self.skip_first), self.edge_types):
            sent = nn.elu(nn.Dense(self.node_hidden, name=f"message_{edge_type}")(nodes))
            weights = graphs.edges_to_square(edges[..., edge_type], neurons) / (neurons - 1)
            heard += jnp.einsum("wrs,wfsh->wfrh", weights, sent)
        return nn.elu(nn.Dense(self.node_hidden, name="update")(heard))
