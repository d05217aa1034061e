"""How a node takes together what arrives over its edges: options for ablation beside the sum.

- "mean": of the messages, by the weights of their edges.
- "max": the largest, feature by feature; the message of an edge that is not there counts as zero.
- "attention": a mean by weights that a layer reads off the messages (Veličković et al. 2018, arXiv 1710.10903).
- "gin": a network of (1 + ε) times the node itself plus the sum of its senders, ε learnt, as graph isomorphism networks
  have it (Xu et al. 2019, arXiv 1810.00826).
- "gcn": a linear layer of the senders and the node itself over the root of both degrees, the graph convolution of
  Kipf & Welling (2017, arXiv 1609.02907), the simplest.

The first three take messages of pairs, the last two are made of nodes. A mean over edges that are hardly there would be
as large as over edges that are: means are multiplied by the sum of the weights where this is below 1.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from wormjax import graphs
from wormjax.models.encoders import Mlp
from wormjax.models.layers import elu

OF_PAIRS = ("mean", "max", "attention")
OF_NODES = ("gin", "gcn")
AGGREGATIONS = ("sum", *OF_PAIRS, *OF_NODES)
TINY = 1e-9


class PairAggregation(nn.Module):
    """Messages of every edge, one array for each edge type, taken together by one of OF_PAIRS."""

    kind: str

    @nn.compact
    def __call__(
        self,
        messages: Sequence[Float[Array, "*batch edge feature"]],
        weights: Float[Array, "*batch edge type"],
        nodes: int,
    ) -> Float[Array, "*batch node feature"]:
        slots = jnp.stack(messages, axis=-2)
        slots = slots.reshape(*slots.shape[:-3], nodes, -1, slots.shape[-1])
        weights = weights.reshape(*weights.shape[:-2], nodes, -1)[..., None]
        if self.kind == "max":
            return (weights * slots).max(axis=-2)
        total = jnp.minimum(weights.sum(axis=-2), 1.0)
        if self.kind == "attention":
            logits = nn.Dense(1, use_bias=False, name="attention")(slots)
            weights = weights * jnp.exp(logits - logits.max(axis=-2, keepdims=True))
        return total * (weights * slots).sum(axis=-2) / jnp.maximum(weights.sum(axis=-2), TINY)


class NodeAggregation(nn.Module):
    """Nodes and their senders, each edge type by a linear layer of its own, taken together by one of OF_NODES."""

    hidden: int
    kind: str

    @nn.compact
    def __call__(
        self, nodes: Float[Array, "*batch node feature"], weights: Float[Array, "*batch edge type"]
    ) -> Float[Array, "*batch node hidden"]:
        received = 0.0
        for kind in range(weights.shape[-1]):
            square = graphs.edges_to_square(weights[..., kind], nodes.shape[-2])
            own = nn.Dense(self.hidden, name=f"type_{kind}")(nodes)
            if self.kind == "gcn":
                received += normalise_degrees(square) @ own
            else:
                self_weight = self.param(f"epsilon_{kind}", nn.initializers.zeros, ())
                received += square @ own + (1.0 + self_weight) * own
        return elu(received) if self.kind == "gcn" else Mlp(self.hidden)(elu(received))


def normalise_degrees(weights: Float[Array, "*batch receiver sender"]) -> Float[Array, "*batch receiver sender"]:
    """Return weights with self loops, over the root of the receiver's and the sender's sums of weights."""
    weights = weights + jnp.eye(weights.shape[-1])
    degrees = jnp.sqrt(weights.sum(axis=-1))
    return weights / (degrees[..., :, None] * degrees[..., None, :])
