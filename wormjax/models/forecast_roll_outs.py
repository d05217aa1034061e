"""Roll-outs of forecasters: x(t+1) = x(t) + drift + correction, frame by frame under one scan.

The drift is linear and handed in, the correction is that of any module of wormjax.models.forecasters. A roll-out may be
disturbed in what its network is shown (for training), held at values (an intervention), or given true frames (scheduled
sampling).
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wormjax.models.forecasters import Forecast, StepInput
from wormjax.models.layers import TrainingRngs, draw_keys


class InputNoise(NamedTuple):
    """What makes the frames that a network is shown (not those that it is rolled out from) those of another worm.

    Standard deviations of an offset a window and of noise a frame, and the probability that a neuron is silent.
    """

    offset: Float[Array, ""]
    noise: Float[Array, ""]
    neuron_dropout: Float[Array, ""]


class Clamp(NamedTuple):
    """Neurons that are held at values all through a roll-out, whatever the forecast says: moved, or lacking."""

    neurons: Bool[Array, "window neuron"]
    values: Float[Array, "window neuron feature"]


def clamp_lacking(past: Float[Array, "window frame neuron feature"]) -> Clamp:
    """Return the clamp that holds at 0 what is 0 all through the past: neurons that a worm lacks."""
    return Clamp((past == 0).all(axis=(1, 3)), jnp.zeros_like(past[:, 0]))


class TeacherForcing(NamedTuple):
    """True frames that a roll-out goes on from in place of its own, where they are shown."""

    frames: Float[Array, "window step neuron feature"]
    shown: Bool[Array, "window step"]


def predict(
    module: nn.Module,
    variables: Any,
    past: Float[Array, "window frame neuron feature"],
    operators: Float[Array, "window past channel"],
    steps: int,
    training_rngs: TrainingRngs | None = None,
    input_noise: InputNoise | None = None,
    clamp: Clamp | None = None,
    teacher_forcing: TeacherForcing | None = None,
    edges: Float[Array, "window frame edge type"] | None = None,
) -> Forecast:
    """Roll a forecaster out from the end of `past`.

    Args:
      past: true frames; the first `order` (that of the operators) fill the linear drift's memory, the others burn the
        network in. The encoder sees the latter.
      operators: coefficients of the drift, a row a lag, neuron and feature (oldest frame first), and one for a 1.
      training_rngs, input_noise: for training.
      clamp: neurons that are held at values; in training they are shown without noise.
      teacher_forcing: true frames to go on from (scheduled sampling).
      edges: of each frame of the burn-in and then of the roll-out, in place of those inferred in each.
    """
    windows, frames, neurons, features = past.shape
    order = (operators.shape[1] - 1) // (neurons * features)
    modes = getattr(module, "modes", 1)
    context, edge_logits = module.apply(variables, past[:, order:], training_rngs, method="begin")
    disturb = _draw_disturbance(past, training_rngs, input_noise, clamp)
    edges = None if edges is None else edges.swapaxes(0, 1)
    before, after = (None, None) if edges is None else (edges[: frames - order], edges[frames - order :])

    def look(recent, step, mode, edges):
        drift = (jnp.einsum("wp,wpc->wc", recent.reshape(windows, -1), operators[:, :-1]) + operators[:, -1]).reshape(
            windows, neurons, features
        )
        return drift, disturb(StepInput(recent, drift, mode, edges), step)

    def burn_in(state, inputs):
        carry, recent = state
        frame, step, edges = inputs
        _, step_input = look(recent, step, jnp.zeros((windows, modes if modes > 1 else 0)), edges)
        carry, *_ = module.apply(variables, carry, context, step_input, method="advance")
        return (carry, jnp.concatenate([recent[:, 1:], frame[:, None]], axis=1)), None

    start = module.apply(variables, past, method="start"), past[:, :order]
    inputs = past[:, order:].swapaxes(0, 1), jnp.arange(frames - order), before
    (carry, recent), _ = jax.lax.scan(burn_in, start, inputs)
    mode_logits = module.apply(variables, carry, method="weigh_modes")

    def roll(mode):
        def step(state, inputs):
            (carry, recent), (number, true, edges) = state, inputs
            drift, step_input = look(recent, number, mode, edges)
            inputs = carry, context, step_input
            carry, correction, log_scale, logits = module.apply(variables, *inputs, method="advance")
            nodes = recent[:, -1] + drift + correction
            if clamp is not None:
                nodes = jnp.where(clamp.neurons[..., None], clamp.values, nodes)
            following = nodes if true is None else jnp.where(true.shown[:, None, None], true.frames, nodes)
            return (carry, jnp.concatenate([recent[:, 1:], following[:, None]], axis=1)), (nodes, log_scale, logits)

        true = jax.tree.map(lambda x: x.swapaxes(0, 1), teacher_forcing)
        _, outputs = jax.lax.scan(step, (carry, recent), (frames - order + jnp.arange(steps), true, after))
        return outputs

    choices = jnp.eye(modes) if modes > 1 else jnp.zeros((1, 0))
    choices = jnp.broadcast_to(choices[:, None], (modes, windows, choices.shape[-1]))
    mean, log_scale, logits = jax.vmap(roll)(choices)  # [mode, step, window, neuron, feature]
    edge_logits = edge_logits if logits is None else logits[0, 0]
    mean, log_scale = (jnp.moveaxis(values, (0, 1), (1, 2)) for values in (mean, log_scale))
    return Forecast(mean, log_scale, mode_logits, edge_logits)


def initialise(module: nn.Module, key, burn_in: int, order: int, neurons: int, features: int) -> Any:
    """Parameters of a forecaster: {"params": ...}."""
    frames = jnp.zeros((1, burn_in, neurons, features))
    mode = jnp.zeros((1, module.modes if module.modes > 1 else 0))
    step_input = StepInput(jnp.zeros((1, order, neurons, features)), frames[:, 0], mode)
    return module.init(key, frames, step_input)


def _draw_disturbance(past, training_rngs, input_noise, clamp=None):
    """A function of what is shown, and of the step: as it is, or as `InputNoise` changes it."""
    if training_rngs is None or input_noise is None:
        return lambda step_input, step: step_input
    shape = past.shape[2:]
    keys = draw_keys(training_rngs, 200)
    offset = input_noise.offset * jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), shape))(keys)
    kept = jax.vmap(
        lambda key: jax.random.bernoulli(jax.random.fold_in(key, 1), 1.0 - input_noise.neuron_dropout, shape[:1])
    )(keys)
    if clamp is not None:
        kept &= ~clamp.neurons

    def disturb(step_input, step):
        added = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 2 + step), shape))(keys)
        recent = step_input.recent + (offset + input_noise.noise * added)[:, None]
        shown = {"recent": recent * kept[:, None, :, None], "drift": step_input.drift * kept[..., None]}
        return step_input._replace(**shown)

    return disturb
