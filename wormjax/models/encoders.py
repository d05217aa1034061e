"""The encoders of neural relational inference (Kipf, Fetaya et al. 2018): a graph of nodes in, edge types out.

`MlpEncoder` and `CnnEncoder` take one complete graph in the edge order of wormjax.graphs, `EvidenceEncoder` what the
decoder makes of it; vmap them over windows or samples. `RecurrentEncoder` has edges of their own for each frame (Graber
& Schwing 2020). Relabelling the nodes relabels the logits and changes nothing else.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from jraph import GraphsTuple

from wormjax import graphs
from wormjax.models.edge_evidence import SHOWN
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
    """

    hidden: int
    edge_types: int
    kernels: tuple[int, int] = (5, 5)  # Frames that the first and the second convolution see.
    stride: int = 1  # Of the first convolution.
    pooling: int = 2  # Frames over which the maximum is taken between the two; 1 for none.
    scale: tuple[float, ...] | None = None  # Of each feature's typical change; then pairs are seen by differences, too.
    rounds: int = 1  # How often the pairs are looked at; the reference's encoder has one.

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
            received = graphs.sum_messages(gate * pairs, count) / max(count - 1, 1)
            informed = elu(nn.Dense(self.hidden)(jnp.concatenate([nodes, received], axis=-1)))
            looked = elu(PairDense(self.hidden)(informed) + nn.Dense(self.hidden, use_bias=False)(pairs))
            edges = self._relate(jnp.concatenate([self._pool(looked), edges], axis=-1), count)
        return _read_types(self.edge_types)(edges)

    def _pool(self, pairs: Float[Array, "frame edge hidden"]) -> Float[Array, "edge hidden"]:
        """Return the second convolution, and the mean over frames that attention weighs."""
        if self.pooling > 1:
            frames = len(pairs) // self.pooling * self.pooling
            pairs = pairs[:frames].reshape(-1, self.pooling, *pairs.shape[1:]).max(axis=1)
        pairs = _stack_frames(pairs, self.kernels[1], 1)
        pairs = elu(nn.Dense(self.hidden)(pairs))
        attention = jax.nn.softmax(nn.Dense(1)(pairs), axis=0)
        return (attention * pairs).sum(axis=0)

    def _relate(self, edges: Float[Array, "edge feature"], count: int) -> Float[Array, "edge hidden"]:
        """Edge → node → edge."""
        nodes = Mlp(self.hidden)(graphs.sum_messages(edges, count) / max(count - 1, 1))
        edges = PairDense(self.hidden)(nodes) + nn.Dense(self.hidden, use_bias=False)(edges)
        return elu(nn.Dense(self.hidden)(elu(edges)))


class EvidenceEncoder(nn.Module):
    """What the decoder's messages explain of both edges of each pair, then edge → node → edge.

    Not frames but sufficient statistics: the beliefs of `edge_evidence`, given what the decoder makes of the frames.
    (After the encoders of Marino, Yue & Mandt 2018, ICML, which read gradients of the decoder's likelihood.) Whether
    the two edges of a pair go together, and where the approximation errs, is learnt from the posterior; with `mutual`
    it is known that they have one type.

    `triangles` times each edge also sees the products of the edges that lead from its sender to its receiver by way of
    a third node (as in Jumper et al. 2021, Nature 596:583). So it can be learnt that edges depend on each other, as
    those between charges do: two that repel a third repel each other.

    `beliefs` of the last steps are read. Earlier ones say how uncertain an edge is; of more objects than there were in
    training they may be wrong where the last is right.
    """

    hidden: int
    edge_types: int
    mutual: bool = False
    triangles: int = 0
    beliefs: int = len(SHOWN)

    @nn.compact
    def __call__(self, evidence: Float[Array, "edge column"]) -> Float[Array, "edge type"]:
        count = round((len(evidence) + 0.25) ** 0.5 + 0.5)
        edges = Mlp(self.hidden)(jnp.concatenate([evidence, evidence[graphs.reverse_edges(count)]], axis=-1))
        nodes = Mlp(self.hidden)(graphs.sum_messages(edges, count) / max(count - 1, 1))
        informed = elu(PairDense(self.hidden)(nodes) + nn.Dense(self.hidden, use_bias=False)(edges))
        for _ in range(self.triangles):
            first, second = (jnp.tanh(nn.Dense(self.hidden)(informed)) for _ in range(2))
            paths = graphs.join_edges(first, second, count) / max(count - 2, 1)
            informed = elu(nn.Dense(self.hidden)(jnp.concatenate([informed, paths], axis=-1)))
        return _read_types(self.edge_types)(jnp.concatenate([informed, edges, evidence], axis=-1))


class RecurrentEncoder(nn.Module):
    """Edge types of each frame: a prior from the frames so far, and a posterior from all frames.

    After dynamic neural relational inference (Graber & Schwing 2020, CVPR): node → edge → node → edge message passing
    in each frame by itself, then a recurrent cell per edge that goes forward over the frames and one that goes
    backward. The prior of a frame reads the forward state alone, the posterior both. Edges of frame t act from it to
    frame t + 1. Objects that are not there in a frame send nothing in it.
    """

    hidden: int
    edge_types: int
    scale: tuple[float, ...] | None = None  # Of each feature's typical change; then pairs are seen by differences, too.

    def setup(self):
        """Make the layers of one frame, the two cells and the two read-outs."""
        self.node_layers, self.informed_layers = Mlp(self.hidden), Mlp(self.hidden)
        self.pairs, self.informed_pairs = PairDense(self.hidden), PairDense(self.hidden)
        self.differences = RelativeDense(self.hidden, self.scale) if self.scale is not None else None
        self.edge_layers = [nn.Dense(self.hidden) for _ in range(3)]
        # Not orthogonal: LAPACK in a vmapped program can stall on a CPU.
        initial = nn.initializers.glorot_uniform()
        self.forward_cell = nn.GRUCell(self.hidden, recurrent_kernel_init=initial)
        self.run_forward = nn.RNN(self.forward_cell)
        self.run_backward = nn.RNN(
            nn.GRUCell(self.hidden, recurrent_kernel_init=initial), reverse=True, keep_order=True
        )
        self.prior_layer, self.posterior_layer = nn.Dense(self.hidden), Mlp(self.hidden)
        self.prior_types, self.posterior_types = _read_types(self.edge_types), _read_types(self.edge_types)

    def __call__(
        self, nodes: Float[Array, "*batch frame node feature"], there: Float[Array, "*batch frame node"] | None = None
    ) -> tuple[Float[Array, "*batch frame edge type"], Float[Array, "*batch frame edge type"]]:
        """Return the logits of posterior and prior. `there` is 1 where an object is in a frame; None: all are."""
        seen = jnp.moveaxis(self.look(nodes, there), -3, -2)  # Edges before frames, as nn.RNN has them.
        start = jnp.zeros((*seen.shape[:-2], self.hidden), seen.dtype)
        forward, backward = (run(seen, initial_carry=start) for run in (self.run_forward, self.run_backward))
        posterior = self.posterior_types(self.posterior_layer(jnp.concatenate([forward, backward], axis=-1)))
        return jnp.moveaxis(posterior, -2, -3), jnp.moveaxis(self._read_prior(forward), -2, -3)

    def advance(
        self, state: Float[Array, "*batch edge hidden"], nodes: Float[Array, "*batch node feature"], there: Any = None
    ) -> tuple[Float[Array, "*batch edge hidden"], Float[Array, "*batch edge type"]]:
        """Return the forward state after one more frame, and the logits of that frame's prior."""
        state, _ = self.forward_cell(state, self.look(nodes, there))
        return state, self._read_prior(state)

    def look(self, nodes: Float[Array, "*batch node feature"], there: Float[Array, "*batch node"] | None):
        """Return what each frame by itself says of each edge: [*batch, edge, hidden]."""
        count = nodes.shape[-2]
        pairs = self.pairs(self.node_layers(nodes))
        if self.differences is not None:
            pairs += self.differences(nodes)
        edges = elu(self.edge_layers[0](elu(pairs)))
        sent, others = edges, max(count - 1, 1)
        if there is not None:
            sent = edges * graphs.send(there[..., None])
            others = jnp.maximum(there.sum(axis=-1) - 1.0, 1.0)[..., None, None]
        informed = self.informed_layers(graphs.sum_messages(sent, count) / others)
        return elu(self.edge_layers[2](elu(self.informed_pairs(informed) + self.edge_layers[1](edges))))

    def _read_prior(self, state):
        return self.prior_types(elu(self.prior_layer(state)))


def _read_types(edge_types: int) -> nn.Dense:
    """Return logits that begin near zero: an encoder that is certain before it has learnt learns slowly."""
    return nn.Dense(edge_types, kernel_init=nn.initializers.variance_scaling(0.01, "fan_in", "normal"))


def _stack_frames(values: Float[Array, "frame item feature"], kernel: int, stride: int):
    """`kernel` neighbouring frames beside each other, every `stride` frames: [window, item, kernel * feature]."""
    frames = values.shape[0] - kernel + 1
    if kernel == 1:
        return values[::stride]
    return jnp.concatenate([values[k : k + frames : stride] for k in range(kernel)], axis=-1)
