"""Forecasters of neural activity: the past of all neurons in, their next frames out, with a predictive spread.

Every forecast is a roll-out x(t+1) = x(t) + drift + correction. The drift is linear in the last frames. Its
coefficients are an argument (wormjax.baselines.vector_autoregression: those of the training worms, or adapted to the
worm's own past); a network gives the correction. `GraphForecaster` is neural relational inference (Kipf, Fetaya et al.
2018) with named nodes: an encoder infers a graph from the past, once per window or anew in every frame (as dNRI, Graber
& Schwing 2020), and one recurrent cell per neuron receives messages on it. `RecurrentForecaster` and `MlpForecaster`
see all neurons at once and use no graph. All share one signature; wormjax.models.forecast_roll_outs rolls them out.

With several modes a forecaster makes as many roll-outs, each with a probability: a mixture, for where the future forks.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wormjax import graphs
from wormjax.models.encoders import MlpEncoder, RecurrentEncoder
from wormjax.models.layers import TrainingRngs, draw_keys, elu
from wormjax.models.sampling import sample_graphs

GRAPHS = ("static", "dynamic", "full", "random", "given", "none")
CORRECTION = 0.3  # Scaled units by which a read-out of one corrects a frame: a fraction of a neuron's typical change.
RECURRENT_INITIAL = nn.initializers.glorot_uniform()  # Not orthogonal: LAPACK in a vmapped program can stall on a CPU.
LARGEST_LOG_SCALE = 2.0  # A network may narrow or widen the spread it is given by a factor of e^2.


class Context(NamedTuple):
    """What holds for a whole roll-out: the graph (None: made anew in each frame, or no graph) and what is dropped."""

    edges: Float[Array, "window edge type"] | None
    kept: Float[Array, "window ..."] | None


class StepInput(NamedTuple):
    """What a network is shown in one frame: the last frames, the drift, the mode (one-hot; no columns for one)."""

    recent: Float[Array, "window order neuron feature"]
    drift: Float[Array, "window neuron feature"]
    mode: Float[Array, "window mode"]
    edges: Float[Array, "window edge type"] | None = None  # In place of those inferred from the frames so far.


class Forecast(NamedTuple):
    """Roll-outs by mode, their probabilities, and the graph of their first step (None where there is none)."""

    mean: Float[Array, "window mode step neuron feature"]
    log_scale: Float[Array, "window mode step neuron feature"]  # Added to the logarithm of a spread estimated apart.
    mode_logits: Float[Array, "window mode"]
    edge_logits: Float[Array, "window edge type"] | None


class SummedMessages(nn.Module):
    """What each node receives: Σ over types of f_type(mean over senders of weight · relu(pair)); type 0 is "no edge".

    As `decoders.TypedMessages`, but with the second layer after the sum, where it runs once a node and not once an
    edge; and on the square of all pairs, whose weights are 0 on the diagonal: the sum fuses, no edge is ever stored.
    """

    hidden: int

    @nn.compact
    def __call__(self, nodes: Float[Array, "window node feature"], edges: Float[Array, "window edge type"]):
        count, types = nodes.shape[1], edges.shape[-1] - 1
        sent = nn.Dense(types * self.hidden, name="sender")(nodes)
        received = nn.Dense(types * self.hidden, use_bias=False, name="receiver")(nodes)
        total = 0.0
        for kind in range(types):
            own = slice(kind * self.hidden, (kind + 1) * self.hidden)
            weights = graphs.edges_to_square(edges[..., kind + 1], count) / max(count - 1, 1)
            pairs = jax.nn.relu(received[:, :, None, own] + sent[:, None, :, own])
            summed = (weights[..., None] * pairs).sum(axis=2)
            total += nn.Dense(self.hidden, name=f"type_{kind + 1}")(summed)
        return elu(total)


class GivenMessages(nn.Module):
    """As `SummedMessages`, along a list of edges alone: the mean over those that arrive at a node.

    An edge whose receiver is no node leads nowhere.
    """

    hidden: int

    @nn.compact
    def __call__(self, nodes: Float[Array, "window node feature"], senders, receivers):
        sent = nn.Dense(self.hidden, name="sender")(nodes)
        received = nn.Dense(self.hidden, use_bias=False, name="receiver")(nodes)
        pairs = jax.nn.relu(received[:, receivers] + sent[:, senders])
        total = jnp.zeros_like(sent).at[:, receivers].add(pairs, mode="drop")
        count = jnp.zeros(nodes.shape[1]).at[receivers].add(1.0, mode="drop")
        return elu(nn.Dense(self.hidden, name="type_1")(total / jnp.maximum(count, 1.0)[:, None]))


def run_once(module, past, step_input: StepInput, training_rngs: TrainingRngs | None = None):
    """Run every method of a forecaster once, to initialise its parameters."""
    context, _ = module.begin(past, training_rngs)
    carry, *_ = module.advance(module.start(past), context, step_input)
    return module.weigh_modes(carry)


class GraphForecaster(nn.Module):
    """A recurrent cell per neuron, all cells alike but for each neuron's embedding, with messages on a graph."""

    neurons: int  # Sizes of what it is shown, as the next two.
    features: int = 1
    modes: int = 1
    hidden: int = 16  # Of the cells.
    message_hidden: int = 8
    encoder_hidden: int = 16
    embedding: int = 6
    edge_types: int = 2
    # "static" infers one per window; "dynamic" one per frame, by a prior from the frames so far, which learns the
    # posterior of whole windows (`encode_frames`); "full" has all edges, "random" half of them, drawn with the initial
    # parameters and never trained; "given" has those of variables["given"], "senders" and "receivers" [edge]; "none" is
    # the node-wise twin.
    graph: str = "static"
    hard: bool = False  # Whether sampled edge types are one-hot (straight-through).

    def setup(self):
        """Make the embedding of the neurons, the encoder of edges and the layers of messages and nodes."""
        self.neuron_embedding = self.param(
            "neuron_embedding", nn.initializers.normal(0.5), (self.neurons, self.embedding)
        )
        if self.graph == "static":
            encoder = nn.vmap(MlpEncoder, variable_axes={"params": None}, split_rngs={"params": False})
            self.encoder = encoder(self.encoder_hidden, self.edge_types)
        if self.graph == "dynamic":
            self.encoder = RecurrentEncoder(self.encoder_hidden, self.edge_types)
        if self.graph == "given":
            self.given = [self.variable("given", end, lambda: jnp.zeros(0, int)) for end in ("senders", "receivers")]
        if self.graph != "none":
            self.messages = (GivenMessages if self.graph == "given" else SummedMessages)(self.message_hidden)
        if self.graph == "random":  # Of one axis: such parameters do not decay.
            self.edge_order = self.param(
                "edge_order", nn.initializers.normal(1.0), (self.neurons * (self.neurons - 1),)
            )
        self.cell = nn.GRUCell(self.hidden, recurrent_kernel_init=RECURRENT_INITIAL)
        self.before_read_out = nn.Dense(self.hidden)
        self.read_out = _read_out(2 * self.features)
        if self.modes > 1:
            self.mode_read_out = _read_out(self.modes)

    def __call__(self, past, step_input: StepInput, training_rngs: TrainingRngs | None = None):
        """Run every method once, to initialise the parameters."""
        if self.graph == "dynamic":
            self.encode_frames(past)
        return run_once(self, past, step_input, training_rngs)

    def start(self, past):
        """The cells' state before the burn-in; with a graph in each frame, that of its edges, too."""
        cells = jnp.zeros((len(past), self.neurons, self.hidden))
        edges = jnp.zeros((len(past), self.neurons * (self.neurons - 1), self.encoder_hidden))
        return (cells, edges) if self.graph == "dynamic" else cells

    def begin(self, past: Float[Array, "window frame neuron feature"], training_rngs: TrainingRngs | None):
        """The context of a roll-out after `past`, and the logits of its graph."""
        kept = _draw_kept(training_rngs, (self.neurons, self.hidden))
        if self.graph == "static":
            seen = self._name(past.swapaxes(1, 2).reshape(len(past), self.neurons, -1))
            logits = self.encoder(jax.vmap(graphs.complete_graph)(seen))
            return Context(sample_graphs(logits, training_rngs, self.hard), kept), logits
        edges = self._fixed_edges(len(past)) if self.graph in ("full", "random") else None
        return Context(edges, kept), None

    def advance(self, carry, context: Context, step_input: StepInput):
        """One frame: (state) → (state, correction, log_scale, logits of this frame's graph or None)."""
        mode = jnp.broadcast_to(step_input.mode[:, None], (*step_input.drift.shape[:2], step_input.mode.shape[-1]))
        nodes = self._name(jnp.concatenate([_show(step_input), mode], axis=-1))
        logits, edges = None, context.edges
        if self.graph == "dynamic":
            (carry, state), edges = carry, step_input.edges
            if edges is None:
                state, logits = self.encoder.advance(state, self._name(step_input.recent[:, -1]))
                edges = jax.nn.softmax(logits)
        received = [nodes]
        if self.graph != "none":
            given = [end.value for end in self.given] if self.graph == "given" else [edges]
            received.append(self.messages(jnp.concatenate([nodes, carry], axis=-1), *given))
        received = jnp.concatenate(received, axis=-1)
        carry, values = self.cell(carry, received)
        values = values if context.kept is None else values * context.kept
        values = elu(self.before_read_out(jnp.concatenate([values, received], axis=-1)))
        correction, log_scale = jnp.split(self.read_out(values), 2, axis=-1)
        carry = (carry, state) if self.graph == "dynamic" else carry
        return carry, CORRECTION * correction, _bound(log_scale), logits

    def encode_frames(
        self, frames: Float[Array, "window frame neuron feature"]
    ) -> tuple[Float[Array, "window frame edge type"], Float[Array, "window frame edge type"]]:
        """Return the logits of each frame's edges: the posterior, from all frames, and the prior, from those so far.

        See `encoders.RecurrentEncoder`, which infers edges that change (`nri.encode_frames`), too.
        """
        return self.encoder(self._name(frames))

    def weigh_modes(self, carry):
        """Logits of the modes, from the state after the burn-in."""
        carry = carry[0] if self.graph == "dynamic" else carry
        return self.mode_read_out(carry.mean(axis=1)) if self.modes > 1 else jnp.zeros((len(carry), 1))

    def _name(self, nodes):
        """Return what is shown of neurons with each neuron's embedding beside it."""
        embedding = jnp.broadcast_to(self.neuron_embedding, (*nodes.shape[:-1], self.embedding))
        return jnp.concatenate([nodes, embedding], axis=-1)

    def _fixed_edges(self, windows):
        count = self.neurons * (self.neurons - 1)
        there = jnp.ones(count)
        if self.graph == "random":
            ranks = jnp.argsort(jnp.argsort(jax.lax.stop_gradient(self.edge_order)))
            there = (ranks < count // 2).astype(jnp.float32)
        return jnp.broadcast_to(jnp.stack([1.0 - there, there], axis=-1), (windows, count, 2))


class WholeForecaster(nn.Module):
    """What forecasters share that have one hidden layer for all neurons, and no graph."""

    neurons: int
    features: int = 1
    modes: int = 1
    hidden: int = 32

    def setup(self):
        """Make the read-outs."""
        self.read_out = _read_out(2 * self.features * self.neurons)
        if self.modes > 1:
            self.mode_read_out = _read_out(self.modes)

    __call__ = run_once

    def start(self, past):
        """See `GraphForecaster.start`."""
        return jnp.zeros((len(past), self.hidden))

    def begin(self, past, training_rngs: TrainingRngs | None):
        """See `GraphForecaster.begin`."""
        return Context(None, _draw_kept(training_rngs, (self.hidden,))), None

    def weigh_modes(self, carry):
        """See `GraphForecaster.weigh_modes`."""
        return self.mode_read_out(carry) if self.modes > 1 else jnp.zeros((len(carry), 1))

    def _correct(self, carry, values, step_input: StepInput):
        """Return what `advance` returns, read out from hidden values."""
        outputs = self.read_out(values).reshape(*step_input.drift.shape[:2], -1)
        correction, log_scale = jnp.split(outputs, 2, axis=-1)
        return carry, CORRECTION * correction, _bound(log_scale), None


class RecurrentForecaster(WholeForecaster):
    """A GRU over all neurons at once, without a graph."""

    def setup(self):
        """Make the recurrent cell and the layers before and after it."""
        super().setup()
        self.embed = nn.Dense(self.hidden)
        self.cell = nn.GRUCell(self.hidden, recurrent_kernel_init=RECURRENT_INITIAL)
        self.before_read_out = nn.Dense(self.hidden)

    def advance(self, carry, context: Context, step_input: StepInput):
        """See `GraphForecaster.advance`."""
        shown = _show(step_input)
        shown = jnp.concatenate([shown.reshape(len(shown), -1), step_input.mode], axis=-1)
        carry, values = self.cell(carry, jnp.tanh(self.embed(shown)))
        values = values if context.kept is None else values * context.kept
        return self._correct(carry, elu(self.before_read_out(values)), step_input)


class MlpForecaster(WholeForecaster):
    """Two hidden layers on the last frames of all neurons, without memory and without a graph."""

    def setup(self):
        """Make the hidden layers and the read-outs."""
        super().setup()
        self.layers = [nn.Dense(self.hidden) for _ in range(2)]

    def advance(self, carry, context: Context, step_input: StepInput):
        """See `GraphForecaster.advance`."""
        shown = jnp.concatenate(
            [step_input.recent.reshape(len(step_input.drift), -1), _show(step_input).reshape(len(carry), -1)], -1
        )
        values = elu(self.layers[0](jnp.concatenate([shown, step_input.mode], axis=-1)))
        values = elu(self.layers[1](values if context.kept is None else values * context.kept))
        return self._correct(values, values, step_input)


def _show(step_input: StepInput):
    """What a neuron is seen by: its level, its last change, and where the drift would take it."""
    last = step_input.recent[:, -1]
    before = step_input.recent[:, -2] if step_input.recent.shape[1] > 1 else last
    return jnp.concatenate([last, 4.0 * (last - before), 4.0 * step_input.drift], axis=-1)


def _draw_kept(training_rngs: TrainingRngs | None, shape):
    """Dropout of hidden units for a whole roll-out; None where nothing is dropped."""
    if training_rngs is None:
        return None
    kept = 1.0 - training_rngs.dropout
    draw = jax.vmap(lambda key: jax.random.bernoulli(key, kept, shape))
    return draw(draw_keys(training_rngs, 300)) / kept


def _read_out(size: int) -> nn.Dense:
    """A linear read-out that begins at zero: the drift alone."""
    return nn.Dense(size, kernel_init=nn.initializers.zeros)


def _bound(log_scale):
    return LARGEST_LOG_SCALE * jnp.tanh(log_scale / LARGEST_LOG_SCALE)
