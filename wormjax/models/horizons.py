"""Many steps at once on an inferred graph: what a regression predicts of every object, corrected by messages.

The decoders of `models.decoders` go from frame to frame, and their errors add up. Here a linear regression on the last
frames predicts each step by itself (`baselines.horizon_regression`), and a graph network that sees the same frames
corrects all steps together. The encoder is that of neural relational inference: it infers the edges that messages take.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from wormjax import graphs
from wormjax.models.decoders import TypedMessages
from wormjax.models.encoders import Mlp
from wormjax.models.layers import dense_precision, elu

SHOWN_STEPS = 6  # Of the regression's, which the decoder is shown.
PLACE_GAIN = 3.0  # Places are of the order of 1/3 after scaling to [-1, 1].


class Plan(NamedTuple):
    """What a model sees and predicts of a window; the numbers are of its frames, features and objects."""

    history: int  # Frames that are seen.
    outputs: tuple[int, ...]  # Features that are predicted.
    kinds: tuple[int, ...]  # Of each object, from 0; objects of a kind are treated alike.
    given: tuple[int, ...]  # Objects whose future is given.
    lags: tuple[int, ...]  # Frames before the last one, whose changes to it the decoder is shown.
    centred: bool  # Whether places are distances from the mean of all objects in the last frame.
    stride: int  # From one frame that the encoder is shown to the next.


class HorizonDecoder(nn.Module):
    """Corrections of all steps at once, in units of the regression's errors; they are 0 before training."""

    hidden: int  # Size of the hidden layers.
    skip_first: bool = True  # Whether the first edge type has no message.
    rounds: int = 2  # Of message passing.
    aggregation: str = "sum"  # Of messages; their sum is divided by the number of senders.

    @nn.compact
    def __call__(
        self, nodes: Float[Array, "*batch node column"], edges: Float[Array, "*batch edge type"], size: int
    ) -> Float[Array, "*batch node size"]:
        count = nodes.shape[-2]
        hidden = Mlp(self.hidden)(nodes)
        for _ in range(self.rounds):
            received = TypedMessages(self.hidden, self.skip_first, None, self.aggregation)(hidden, edges)
            received = received / max(count - 1, 1) if self.aggregation == "sum" else received
            hidden += elu(nn.Dense(self.hidden)(jnp.concatenate([nodes, hidden, received], axis=-1)))
        hidden = elu(nn.Dense(self.hidden)(hidden))
        return nn.Dense(size, kernel_init=nn.initializers.zeros, name="read_out")(hidden)


def initialise(nri, plan: Plan, key: PRNGKeyArray, objects: int, features: int, steps: int) -> dict[str, Any]:
    """Return parameters of the encoder and the decoder for windows of these numbers of objects, features and steps."""
    encoder_key, decoder_key = jax.random.split(key)
    past, params = jnp.zeros((plan.history, objects, features)), {}
    if nri.encoder is not None:
        params["encoder"] = nri.encoder.init(encoder_key, _observe(nri, plan, past))["params"]
    future = jnp.zeros((steps, objects, len(plan.outputs)))
    edges = jnp.zeros((objects * (objects - 1), nri.edge_types))
    nodes = _show(nri, plan, past, future, future)
    params["decoder"] = nri.decoder.init(decoder_key, nodes, edges, steps * len(plan.outputs))["params"]
    return params


def encode(
    nri, params: Mapping[str, Any], plan: Plan, past: Float[Array, "window frame node feature"]
) -> Float[Array, "window edge type"]:
    """Return the logits of every edge's type from the frames that are seen."""

    def encode_window(window):
        return nri.encoder.apply({"params": params["encoder"]}, _observe(nri, plan, window))

    with dense_precision(nri.precision, vmapped=True):
        return jax.vmap(encode_window)(past)


def predict(
    nri,
    params: Mapping[str, Any],
    plan: Plan,
    units: Float[Array, "step output"],
    past: Float[Array, "*window frame node feature"],
    base: Float[Array, "*window step node output"],
    edges: Float[Array, "*window edge type"],
    future: Float[Array, "*window step node output"],
) -> Float[Array, "*window step node output"]:
    """Return the frames after those that are seen (`past`).

    `units` are the size of the regression's errors, `base` what it predicts; edges are sampled or the likeliest types;
    of the true `future`, the frames of the objects that are given are read.
    """
    steps, _, outputs = base.shape[-3:]
    with dense_precision(nri.precision):
        shown = _show(nri, plan, past, base, future)
        corrections = nri.decoder.apply({"params": params["decoder"]}, shown, edges, steps * outputs)
    corrections = corrections.reshape(*corrections.shape[:-1], steps, outputs).swapaxes(-3, -2)
    return base + corrections * units[:, None]


def _show(nri, plan: Plan, past, base, future) -> Float[Array, "*window node column"]:
    """Return what the decoder is shown of each node."""
    outputs = np.array(plan.outputs)
    seen, scale = past[..., outputs], jnp.asarray(nri.change_scale)[outputs]
    last = seen[..., -1, :, :]
    place = last - last.mean(axis=-2, keepdims=True) if plan.centred else last
    moves = [jnp.arcsinh((last - seen[..., -1 - lag, :, :]) / (lag * scale)) for lag in plan.lags]
    steps = np.unique(np.linspace(0, base.shape[-3] - 1, SHOWN_STEPS).astype(int))
    expected = [PLACE_GAIN * (base[..., step, :, :] - last) for step in steps]
    columns = [PLACE_GAIN * place, *moves, *expected]
    if plan.given:
        known = np.isin(np.arange(last.shape[-2]), plan.given)[:, None]
        path = PLACE_GAIN * (future - last[..., None, :, :]).swapaxes(-3, -2)
        columns.append(jnp.where(known, path.reshape(*last.shape[:-1], -1), 0.0))
    return _append_kinds(plan, jnp.concatenate(columns, axis=-1))


def _observe(nri, plan: Plan, past: Float[Array, "frame node feature"]):
    """Return what the encoder is shown of one window: a complete graph whose nodes have some frames and changes."""
    outputs = np.array(plan.outputs)
    if plan.centred:
        past = past.at[..., outputs].add(-past[-1, :, outputs].mean(axis=-1))
    frames = np.arange(plan.history - 1, 0, -plan.stride)[::-1]
    changes = jnp.arcsinh((past[frames] - past[frames - 1]) / jnp.asarray(nri.change_scale))
    shown = past[frames] if not nri.differences else jnp.concatenate([past[frames], changes], axis=-1)
    nodes = shown.swapaxes(0, 1)
    return graphs.complete_graph(_append_kinds(plan, nodes.reshape(len(nodes), -1)))


def _append_kinds(plan: Plan, nodes: Float[Array, "*window node column"]) -> Float[Array, "*window node column"]:
    kinds = jax.nn.one_hot(np.array(plan.kinds), max(plan.kinds) + 1, dtype=nodes.dtype)
    return jnp.concatenate([nodes, jnp.broadcast_to(kinds, (*nodes.shape[:-1], kinds.shape[-1]))], axis=-1)
