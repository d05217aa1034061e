"""The classifiers of Wang, Sapra, George & Silva (2021, Frontiers in AI 4:618372), per frame, to the letter.

Both embed each neuron's features of one frame (features → hidden → hidden, ELU, batch norm). The MLP concatenates the
embeddings and reads out by two more layers; the graph network also passes one round of messages, weighed by the
probability of the second of two edge types, in one static graph: the mean over all frames of the batch.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wormjax import graphs
from wormjax.models.classifiers import Decoding
from wormjax.models.layers import Noise, PairDense, elu


class BatchNormMlp(nn.Module):
    """Dense, ELU, dense, ELU, batch norm over the valid frames of the batch: the block of both networks.

    `axis_name` joins the statistics of devices that share a batch.
    """

    hidden: int
    out: int
    axis_name: str | None = None

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
        norm = nn.BatchNorm(use_running_average=not training, momentum=0.9, axis_name=self.axis_name)
        return norm(values, mask=mask)


class WangMlp(nn.Module):
    """The structure-agnostic network: node embeddings, concatenated, read out."""

    states: int
    hidden: int = 16
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "window frame neuron feature"],
        valid: Bool[Array, "window frame"],
        noise: Noise | None = None,
    ) -> Decoding:
        training = noise is not None
        nodes = BatchNormMlp(self.hidden, self.hidden, self.axis_name)(features, valid, training)
        values = nodes.reshape(*nodes.shape[:2], -1)
        values = BatchNormMlp(self.hidden, self.hidden, self.axis_name)(values, valid, training)
        return Decoding(nn.Dense(self.states)(values))


class WangGraph(nn.Module):
    """The graph network: node embeddings, one static graph, one round of messages, read-out of nodes and messages."""

    states: int
    hidden: int = 16
    edge_types: int = 2
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "window frame neuron feature"],
        valid: Bool[Array, "window frame"],
        noise: Noise | None = None,
    ) -> Decoding:
        training = noise is not None
        nodes = BatchNormMlp(self.hidden, self.hidden, self.axis_name)(features, valid, training)
        edges = elu(nn.Dense(self.hidden)(elu(PairDense(self.hidden, name="edge_pair")(nodes))))
        logits = nn.Dense(self.edge_types, name="edge_type")(self._average(edges, valid))
        weights = jax.nn.softmax(logits)[:, 1:2]
        messages = elu(nn.Dense(self.hidden)(elu(PairDense(self.hidden, name="message_pair")(nodes))))
        messages = graphs.sum_messages(messages * weights, nodes.shape[2])
        values = jnp.concatenate([nodes, messages], axis=-1).reshape(*nodes.shape[:2], -1)
        values = BatchNormMlp(self.hidden, self.hidden, self.axis_name)(values, valid, training)
        edge_logits = jnp.broadcast_to(logits, (features.shape[0], *logits.shape))
        return Decoding(nn.Dense(self.states)(values), edge_logits)

    def _average(self, edges, valid):
        """Mean over the valid frames of the whole batch [edge, feature]."""
        total = jnp.einsum("wfeh,wf->eh", edges, valid.astype(edges.dtype))
        count = valid.sum().astype(edges.dtype)
        if self.axis_name is not None:
            total, count = jax.lax.psum((total, count), self.axis_name)
        return total / jnp.maximum(count, 1.0)
