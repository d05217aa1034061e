"""The encoders of neural relational inference (Kipf, Fetaya et al. 2018): a graph of nodes in, edge types out.

Both take one complete graph in the edge order of wormjax.graphs; vmap them over windows or samples. Relabelling the
nodes relabels the logits and changes nothing else.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from jraph import GraphsTuple

from wormjax import graphs
from wormjax.models.layers import PairDense, RelativeDense, elu


class Mlp(nn.Module):
    """Two dense layers, each followed by an ELU."""

    hidden: int

    @nn.compact
    def __call__(self, values: Float[Array, "*batch feature"]) -> Float[Array, "*batch hidden"]:
        values = elu(nn.Dense(self.hidden)(values))
        return elu(nn.Dense(self.hidden)(values))


class MlpEncoder(nn.Module):
    """Node → edge → node → edge message passing, then the logits of the edge types."""

    hidden: int
    edge_types: int

    @nn.compact
    def __call__(self, graph: GraphsTuple) -> Float[Array, "edge type"]:
        count = graph.nodes.shape[0]
        nodes = Mlp(self.hidden)(graph.nodes)
        edges = elu(nn.Dense(self.hidden)(elu(PairDense(self.hidden)(nodes))))
        first_edges = edges
        nodes = Mlp(self.hidden)(graphs.sum_messages(edges, count) / max(count - 1, 1))
        edges = PairDense(self.hidden)(nodes) + nn.Dense(self.hidden, use_bias=False)(first_edges)
        edges = elu(nn.Dense(self.hidden)(elu(edges)))
        return _read_types(self.edge_types)(edges)


class CnnEncoder(nn.Module):
    """Convolutions over the frames of every pair, pooled by attention, then edge → node → edge as in `MlpEncoder`.

    What happens between two nodes is looked for in the same way at all times, so that the network learns from few
    samples what an `MlpEncoder` must learn anew for each frame. Nodes are [node, frame, feature].

    A pair alone cannot tell whom a node follows when its neighbours move together. With more than one of `rounds`, what
    is known of the edges after one round gates, frame by frame, what each node receives from all its neighbours, and
    the next round looks at pairs in the light of what the others already explain.

    Attributes:
      hidden, edge_types: sizes.
      kernels: frames that the first and the second convolution see.
      stride: of the first convolution.
      pooling: frames over which the maximum is taken between the two; 1 for none.
      scale: of each feature's typical change; where given, pairs are seen by their differences too (`RelativeDense`).
      rounds: how often the pairs are looked at; the reference's encoder has one.
    """

    hidden: int
    edge_types: int
    kernels: tuple[int, int] = (5, 5)
    stride: int = 1
    pooling: int = 2
    scale: tuple[float, ...] | None = None
    rounds: int = 1

    @nn.compact
    def __call__(self, graph: GraphsTuple) -> Float[Array, "edge type"]:
        count = graph.nodes.shape[0]
        # A convolution over [sender, receiver] is two over nodes and a broadcast sum, as PairDense.
        nodes = _stack_frames(graph.nodes.swapaxes(0, 1), self.kernels[0], self.stride)
        pairs = PairDense(self.hidden)(nodes)
        if self.scale is not None:
            pairs += RelativeDense(self.hidden, self.scale * self.kernels[0])(nodes)
        pairs = elu(pairs)
        edges = self._relate(self._pool(pairs), count)
        for _ in range(self.rounds - 1):
            gate = jax.nn.sigmoid(nn.Dense(self.hidden)(edges))
            heard = graphs.sum_messages(gate * pairs, count) / max(count - 1, 1)
            informed = elu(nn.Dense(self.hidden)(jnp.concatenate([nodes, heard], axis=-1)))
            looked = elu(PairDense(self.hidden)(informed) + nn.Dense(self.hidden, use_bias=False)(pairs))
            edges = self._relate(jnp.concatenate([self._pool(looked), edges], axis=-1), count)
        return _read_types(self.edge_types)(edges)

    def _pool(self, pairs: Float[Array, "frame edge hidden"]) -> Float[Array, "edge hidden"]:
        """The second convolution, and the mean over frames that attention weighs."""
        pairs = _stack_frames(_pool_frames(pairs, self.pooling), self.kernels[1], 1)
        pairs = elu(nn.Dense(self.hidden)(pairs))
        attention = jax.nn.softmax(nn.Dense(1)(pairs), axis=0)
        return (attention * pairs).sum(axis=0)

    def _relate(self, edges: Float[Array, "edge feature"], count: int) -> Float[Array, "edge hidden"]:
        """Edge → node → edge."""
        nodes = Mlp(self.hidden)(graphs.sum_messages(edges, count) / max(count - 1, 1))
        edges = PairDense(self.hidden)(nodes) + nn.Dense(self.hidden, use_bias=False)(edges)
        return elu(nn.Dense(self.hidden)(elu(edges)))


def _read_types(edge_types: int) -> nn.Dense:
    """Logits that begin near zero: an encoder that is sure of itself before it has learnt anything learns slowly."""
    return nn.Dense(edge_types, kernel_init=nn.initializers.variance_scaling(0.01, "fan_in", "normal"))


def _stack_frames(values: Float[Array, "frame item feature"], kernel: int, stride: int):
    """`kernel` neighbouring frames beside each other, every `stride` frames: [window, item, kernel * feature]."""
    frames = values.shape[0] - kernel + 1
    if kernel == 1:
        return values[::stride]
    return jnp.concatenate([values[k : k + frames : stride] for k in range(kernel)], axis=-1)


def _pool_frames(values: Float[Array, "frame item feature"], size: int):
    frames = values.shape[0] // size * size
    return values if size == 1 else values[:frames].reshape(-1, size, *values.shape[1:]).max(axis=1)
