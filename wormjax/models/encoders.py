"""The encoder of neural relational inference (Kipf, Fetaya et al. 2018): a graph of nodes in, edge types out."""

import flax.linen as nn
from jaxtyping import Array, Float
from jraph import GraphsTuple

from wormjax import graphs
from wormjax.models.layers import PairDense, elu


class Mlp(nn.Module):
    """Two dense layers, each followed by an ELU."""

    hidden: int

    @nn.compact
    def __call__(self, values: Float[Array, "*batch feature"]) -> Float[Array, "*batch hidden"]:
        values = elu(nn.Dense(self.hidden)(values))
        return elu(nn.Dense(self.hidden)(values))


class MlpEncoder(nn.Module):
    """Node → edge → node → edge message passing, then the logits of the edge types.

    Takes one graph (complete, in the edge order of wormjax.graphs); vmap it over windows or samples. Relabelling the
    nodes relabels the logits and changes nothing else.
    """

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
        return nn.Dense(self.edge_types)(edges)
