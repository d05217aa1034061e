"""The forecasters of Wang, Sapra, George & Silva (2021): x(t+1) = x(t) + f(x(t)), the output of f through a tanh.

`WangGraphForecaster` infers a graph in every frame: an edge network on pairs of node embeddings, softmax over two edge
types, the probability of the second weighs the messages; node and message features of all neurons are concatenated
into the read-out. `WangMlpForecaster` leaves the messages out. Neither remembers anything. What the paper leaves open
and we chose: no batch norm, which roll-outs of one's own frames would shift; messages averaged over senders.

They answer the call of wormjax.models.forecasters; their drift is to be none, and the spread is not theirs.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wormjax import graphs
from wormjax.models.encoders import Mlp
from wormjax.models.forecasters import Context, StepInput, run_once
from wormjax.models.layers import PairDense, elu


def _start_empty(module, past):
    """Return an empty state: the paper's networks have no memory."""
    return jnp.zeros((len(past), 0))


def _begin_empty(module, past, training_rngs):
    """Return an empty context, in the form of `forecasters.GraphForecaster.begin`."""
    return Context(None, None), None


def _weigh_one_mode(module, carry):
    """Return the logits of one mode."""
    return jnp.zeros((len(carry), 1))


class WangGraphForecaster(nn.Module):
    """The paper's graph network, with a graph a frame."""

    neurons: int
    features: int = 1
    modes: int = 1
    hidden: int = 256

    def setup(self):
        """Make the layers of nodes, pairs and messages."""
        self.embed = Mlp(self.hidden)
        self.pair, self.message = PairDense(self.hidden), PairDense(self.hidden)
        self.after_pair, self.after_message = nn.Dense(self.hidden), nn.Dense(self.hidden)
        self.edge_read_out = nn.Dense(2)
        self.before_read_out = nn.Dense(self.hidden)
        self.read_out = nn.Dense(self.neurons * self.features)

    __call__, start, begin, weigh_modes = run_once, _start_empty, _begin_empty, _weigh_one_mode

    def advance(self, carry, context, step_input: StepInput):
        """See `forecasters.GraphForecaster.advance`; in training, too, edges weigh by their probability."""
        nodes = self.embed(step_input.recent[:, -1])
        logits = self.edge_read_out(elu(self.after_pair(elu(self.pair(nodes)))))
        messages = elu(self.after_message(elu(self.message(nodes)))) * jax.nn.softmax(logits)[..., 1:]
        received = graphs.sum_messages(messages, self.neurons) / max(self.neurons - 1, 1)
        joined = jnp.concatenate([nodes, received], axis=-1).reshape(len(nodes), -1)
        change = jnp.tanh(self.read_out(elu(self.before_read_out(joined)))).reshape(step_input.drift.shape)
        return carry, change, jnp.zeros_like(change), logits


class WangMlpForecaster(nn.Module):
    """The paper's structure-agnostic twin: node embeddings, concatenated, and two layers."""

    neurons: int
    features: int = 1
    modes: int = 1
    hidden: int = 256

    def setup(self):
        """Make the layers of nodes."""
        self.embed = Mlp(self.hidden)
        self.before_read_out = nn.Dense(self.hidden)
        self.read_out = nn.Dense(self.neurons * self.features)

    __call__, start, begin, weigh_modes = run_once, _start_empty, _begin_empty, _weigh_one_mode

    def advance(self, carry, context, step_input: StepInput):
        """See `forecasters.GraphForecaster.advance`."""
        joined = self.embed(step_input.recent[:, -1]).reshape(len(step_input.drift), -1)
        change = jnp.tanh(self.read_out(elu(self.before_read_out(joined)))).reshape(step_input.drift.shape)
        return carry, change, jnp.zeros_like(change), None
