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

    __call__ = run_once

    def start(self, past):
        """Return an empty state: the paper's networks have no memory."""
        return jnp.zeros((len(past), 0))

    def begin(self, past, training_rngs):
        """Return an empty context, in the form of `forecasters.GraphForecaster.begin`."""
        return Context(None, None), None

    def weigh_modes(self, carry):
        """Return the logits of one mode."""
        return jnp.zeros((len(carry), 1))

    def advance(self, carry, context, step_input: StepInput):
        """See `forecasters.GraphForecaster.advance`."""
        return self._change(carry, self.embed(step_input.recent[:, -1]), step_input, None)

    def _change(self, carry, values, step_input: StepInput, logits):
        joined = values.reshape(len(values), -1)
        change = jnp.tanh(self.read_out(elu(self.before_read_out(joined)))).reshape(step_input.drift.shape)
        return carry, change, jnp.zeros_like(change), logits


class WangGraphForecaster(WangMlpForecaster):
    """The paper's graph network, with a graph per frame."""

    def setup(self):
        """Make the layers of nodes, pairs and messages."""
        super().setup()
        self.pair, self.message = PairDense(self.hidden), PairDense(self.hidden)
        self.after_pair, self.after_message = nn.Dense(self.hidden), nn.Dense(self.hidden)
        self.edge_read_out = nn.Dense(2)

    def advance(self, carry, context, step_input: StepInput):
        """See `forecasters.GraphForecaster.advance`; in training, too, edges weigh by their probability."""
        nodes = self.embed(step_input.recent[:, -1])
        logits = self.edge_read_out(elu(self.after_pair(elu(self.pair(nodes)))))
        messages = elu(self.after_message(elu(self.message(nodes)))) * jax.nn.softmax(logits)[..., 1:]
        received = graphs.sum_messages(messages, self.neurons) / max(self.neurons - 1, 1)
        return self._change(carry, jnp.concatenate([nodes, received], axis=-1), step_input, logits)
