"""Operations between nodes and edges by jraph's indices: the references for wormjax.graphs."""

import jraph
from jaxtyping import Array, Float, Shaped
from jraph import GraphsTuple


def send(graph: GraphsTuple) -> Shaped[Array, "edge feature"]:
    """Return each edge's sender's features."""
    return graph.nodes[graph.senders]


def receive(graph: GraphsTuple) -> Shaped[Array, "edge feature"]:
    """Return each edge's receiver's features."""
    return graph.nodes[graph.receivers]


def sum_messages(graph: GraphsTuple) -> Float[Array, "node feature"]:
    """Return the sum of the edges that arrive at each node."""
    return jraph.segment_sum(graph.edges, graph.receivers, graph.nodes.shape[0])
