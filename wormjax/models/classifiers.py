"""Classifiers of the motor state per frame that model no relations between neurons.

All classifiers share one signature: they take features [window, frame, neuron, feature], valid frames [window, frame]
and `training_rngs` (None for evaluation), and return a `Decoding`. They see frames on both sides of the one they
classify: decoding the present from a recording is not forecasting. `Correction` asks one of the time after its window.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wormjax.models.layers import (
    TemporalConvolution,
    TrainingRngs,
    dense,
    draw_masks,
    drop_channels,
    elu,
    keep_channels,
    mask_frames,
    stack_frames,
)
from wormjax.value_checks import check_value, text

CELLS = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}

Features = Float[Array, "window frame neuron feature"]
Valid = Bool[Array, "window frame"]


class Decoding(NamedTuple):
    """What a classifier says of its windows."""

    logits: Float[Array, "window frame state"]
    edge_logits: Float[Array, "window edge type"] | None = None  # None where no graph is inferred.
    behavior: Float[Array, "window frame target"] | None = None  # None where none is read out.


def flatten_neurons(features: Float[Array, "window frame neuron feature"]) -> Float[Array, "window frame channel"]:
    """All neurons' features beside each other."""
    return features.reshape(*features.shape[:2], -1)


class TemporalReadOut(nn.Module):
    """Channels → motor state: dilated convolutions with residual connections, dropout of channels in front of each."""

    states: int
    channels: int
    kernel: int
    dilations: tuple[int, ...]

    @nn.compact
    def __call__(self, values: Float[Array, "window frame channel"], valid: Bool[Array, "window frame"], training_rngs):
        values = elu(dense(self.channels)(drop_channels(values, training_rngs, 0)))
        *masks, last = draw_masks(training_rngs, range(1, len(self.dilations) + 2), (self.channels,))
        for dilation, mask in zip(self.dilations, masks, strict=True):
            values = mask_frames(values, valid)
            dropped = keep_channels(values, mask, training_rngs)
            values = values + elu(TemporalConvolution(self.channels, self.kernel, dilation)(dropped))
        return dense(self.states)(keep_channels(values, last, training_rngs))


class TemporalConvolutionClassifier(nn.Module):
    """A temporal convolution over all neurons at once."""

    states: int
    channels: int = 32
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4)

    @nn.compact
    def __call__(self, features: Features, valid: Valid, training_rngs: TrainingRngs | None = None) -> Decoding:
        read_out = TemporalReadOut(self.states, self.channels, self.kernel, self.dilations)
        return Decoding(read_out(flatten_neurons(features), valid, training_rngs))


class MlpClassifier(nn.Module):
    """Two hidden layers on a frame and its neighbours at `offsets` frames."""

    states: int
    hidden: int = 64
    offsets: tuple[int, ...] = (-8, -4, 0, 4, 8)

    @nn.compact
    def __call__(self, features: Features, valid: Valid, training_rngs: TrainingRngs | None = None) -> Decoding:
        values = stack_frames(mask_frames(flatten_neurons(features), valid), self.offsets)
        for layer in range(2):
            values = elu(nn.Dense(self.hidden)(drop_channels(values, training_rngs, layer)))
        return Decoding(nn.Dense(self.states)(drop_channels(values, training_rngs, 2)))


class RecurrentClassifier(nn.Module):
    """A GRU or LSTM over the frames in both directions."""

    states: int
    hidden: int = 32
    cell: str = "gru"  # or "lstm"

    def __post_init__(self):
        super().__post_init__()
        check_value("model.recurrent.cell", self.cell, text(CELLS))

    @nn.compact
    def __call__(self, features: Features, valid: Valid, training_rngs: TrainingRngs | None = None) -> Decoding:
        values = elu(nn.Dense(self.hidden)(drop_channels(flatten_neurons(features), training_rngs, 0)))
        forward = self._run("forward", values, valid)
        backward = self._run("backward", values[:, ::-1], valid[:, ::-1])[:, ::-1]
        values = drop_channels(jnp.concatenate([forward, backward], axis=-1), training_rngs, 1)
        return Decoding(nn.Dense(self.states)(values))

    def _run(self, name, values, valid):
        # Not flax's orthogonal default: its QR, batched over dozens of runs, hangs in XLA's CPU client (jaxlib 0.10.2).
        initial = nn.initializers.glorot_normal()
        cell = CELLS[self.cell](self.hidden, recurrent_kernel_init=initial, name=name)
        start = jnp.zeros((len(values), self.hidden))
        carry = (start, start) if self.cell == "lstm" else start
        scan = nn.scan(_masked_step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)
        return scan(cell, carry, (values, valid))[1]


def _masked_step(cell, carry, inputs):
    """One frame; where there is none, the state returns to zero, as before the first frame."""
    values, valid = inputs
    carry, output = cell(carry, values)
    return jax.tree.map(lambda state: state * valid[:, None], carry), output * valid[:, None]


class Correction(nn.Module):
    """A classifier with `horizons * states + horizons + 1` outputs, at the last frame of a window, joined with a chain.

    The chain's log-probabilities, weighed question by question, are added to the classifier's own outputs: what the
    network learns is what the chain does not know. How much the chain counts at each horizon is learnt along with it.
    """

    classifier: nn.Module
    states: int
    horizons: int

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "window frame neuron feature"],
        valid: Bool[Array, "window frame"],
        base: Float[Array, "window answer"],
        training_rngs: TrainingRngs | None = None,
    ) -> Decoding:
        """Logits [window, answer] of all answers beside each other; the graph of each window where one is inferred."""
        decoding = self.classifier(features, valid, training_rngs)
        weights = self.param("base_weight", nn.initializers.ones, (self.horizons + 1,))
        sizes = jnp.array([self.states] * self.horizons + [self.horizons + 1])
        spread = jnp.repeat(weights, sizes, total_repeat_length=base.shape[-1])
        return Decoding(decoding.logits[:, -1] + spread * base, decoding.edge_logits)
