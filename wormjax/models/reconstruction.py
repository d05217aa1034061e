"""A network that reconstructs hidden neurons from the visible ones: any set of neurons, known by their identities.

Each frame is read by itself: frames around it made reconstructions of worms never seen no better. Each visible neuron
is a node with its activity and an embedding of its identity (neuron, class and side: AVAL and AVAR share AVA). Nodes
are summed, as by Deep Sets (Zaheer et al. 2017); a hidden neuron is read from the sum by weights made from its own
identity, and from each visible neuron's trace by a weight that both identities make. On a graph that is given, it is
read from the traces of those alone that have an edge to it. Training is that of a masked autoencoder (Vincent et al.
2008): random neurons are hidden, and predicted from the others.

A neuron is absent from a frame exactly where all its features are 0. Hidden and absent neurons are not read. Which
neuron has which place on the axis stands in the collection "identity", as in `any_neurons`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wormjax.models.any_neurons import UNKNOWN, IdentityEmbedding, build_vocabulary, index_identities
from wormjax.models.classifiers import Features, Valid
from wormjax.models.layers import TrainingRngs, drop_channels, elu, mask_frames


class ReconstructionNetwork(nn.Module):
    """The first feature, the trace, of all neurons from those that are visible; see the module."""

    neurons: tuple[str, ...]  # Names on the axis of neurons.
    identity: str = "class"  # "class" (embeddings of neuron, class and side) or "neuron" (of the neuron alone).
    embedding: int = 16  # Size of the identities' embedding.
    node_hidden: int = 16  # Features of a neuron.
    channels: int = 32  # Of the sum's read-out.
    # Of what is read from single traces: "complete", or "given" (variables["given"]["edges"] [sender, receiver], 1 for
    # an edge), on which a weight that all edges share is learnt, too.
    graph: str = "complete"

    @nn.compact
    def __call__(
        self,
        features: Features,
        valid: Valid,
        hidden: Bool[Array, "window neuron"],
        training_rngs: TrainingRngs | None = None,
    ) -> Float[Array, "window frame neuron"]:
        features = mask_frames(features, valid)
        vocabulary = build_vocabulary(self.neurons)
        ids = self.variable("identity", "ids", lambda: jnp.asarray(index_identities(self.neurons, vocabulary))).value
        visible = (features != 0).any(-1) & (ids != UNKNOWN).any(axis=-1) & ~hidden[:, None]
        sizes = tuple(map(len, vocabulary))
        identities = IdentityEmbedding(sizes, self.embedding, self.identity, name="embedding")(ids)
        scale = 1.0 / jnp.sqrt(jnp.maximum(visible.sum(axis=2, keepdims=True), 1))
        pooled = (self._read_nodes(features, identities) * visible[..., None]).sum(axis=2) * scale
        read = drop_channels(elu(nn.Dense(self.channels, name="pool")(pooled)), training_rngs, 100)
        made = nn.Dense(self.channels + 1, name="read_out", kernel_init=nn.initializers.normal(0.05))(identities)
        from_sum = jnp.einsum("wtc,nc->wtn", read, made[:, :-1]) + made[:, -1]
        traces = features[..., 0] * visible
        pairs = self._weigh_pairs(identities)
        from_traces = self._read_edges(traces, visible, pairs) if self.graph == "given" else traces @ pairs * scale
        return from_sum + from_traces + self._read_class(traces, visible, ids)

    def _read_edges(self, traces, visible, pairs) -> Float[Array, "window frame neuron"]:
        """What arrives on a given graph: each edge by its own weight and one that all share, over √ of how many."""
        edges = self.variable("given", "edges", jnp.zeros, pairs.shape).value
        arriving = jnp.sqrt(jnp.maximum(visible.astype(traces.dtype) @ edges, 1.0))
        return traces @ (edges * (pairs + self.param("edge_weight", nn.initializers.zeros, ()))) / arriving

    def _weigh_pairs(self, identities) -> Float[Array, "sender receiver"]:
        """The weight of each neuron's trace in each hidden neuron's."""
        sender = nn.Dense(self.embedding, name="sender", use_bias=False)(identities)
        receiver = nn.Dense(self.embedding, name="receiver", use_bias=False)(identities)
        return sender @ receiver.T / self.embedding

    def _read_class(self, traces, visible, ids) -> Float[Array, "window frame neuron"]:
        """The mean of the visible neurons of each one's class, by a weight that all classes share."""
        same = (ids[:, None, 1] == ids[None, :, 1]) & (ids[:, None, 1] != UNKNOWN) & ~jnp.eye(len(ids), dtype=bool)
        same = same.astype(traces.dtype)
        count = jnp.maximum(visible.astype(traces.dtype) @ same, 1.0)
        return self.param("class_weight", nn.initializers.zeros, ()) * (traces @ same) / count

    def _read_nodes(self, features, identities) -> Float[Array, "window frame neuron hidden"]:
        size = features.shape[-1]
        made = nn.Dense((size + 1) * self.node_hidden, name="weights")(identities)
        made = made.reshape(len(identities), size + 1, self.node_hidden)
        return elu(jnp.einsum("wtnf,nfh->wtnh", features, made[:, :-1] / jnp.sqrt(size)) + made[:, -1])
