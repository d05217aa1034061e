"""What a forecaster minimises: squared errors over the roll-out, each step in units of persistence's, and a likelihood.

The roll-out's error counts every step alike, the first, where all is easy, and the last. The spread is learnt by the
Gaussian negative log-likelihood, which with one mode has no say in the mean: a network that cannot predict would else
learn not to try. With several modes it is the likelihood of whole trajectories under a mixture, in which modes part.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wormjax.features.dataset import WormArrays
from wormjax.models.forecast_roll_outs import Clamp, InputNoise, TeacherForcing, clamp_lacking, initialise, predict
from wormjax.models.forecasters import Forecast
from wormjax.models.layers import TrainingRngs, draw_keys
from wormjax.models.sampling import kl_divergence, sample_edges
from wormjax.training.objectives.classification import cut_windows, draw_share, initial_key


class ForecastData(NamedTuple):
    """What the objective reads; it stays on the device.

    Of a run, `runs.own` holds "operators" [run, stretch], the entry of each stretch's operators for its training worms;
    "base_scale" [run, step, neuron, feature], the spread (s.d.) that the drift alone has on worms it was not learnt
    from; and "step_scale" [run, step], the mean squared error of persistence.
    """

    worms: WormArrays
    operators: Float[Array, "entry block past channel"]  # Of the drift, by stretch and training worms, and block.


class Shape(NamedTuple):
    """What shapes the program: frames of the drift's memory, of the burn-in and of the roll-out, and the batch."""

    order: int
    burn_in: int
    roll_out: int
    block: int
    batch: int

    @property
    def past(self) -> int:
        """Return the frames before a start that a forecast needs."""
        return self.order + self.burn_in

    @property
    def frames(self) -> int:
        """Return the frames of a training window."""
        return self.past + self.roll_out


class ForecastObjective(NamedTuple):
    """The objective of a forecaster of wormjax.models on windows of `shape.frames` frames.

    What `runs.own` holds takes the place of the module's collections of the same names ("given").
    """

    module: nn.Module
    shape: Shape
    sizes: tuple[int, int]  # Numbers of neurons and features.
    # Probability of each edge type; with it, the graph costs `kl_weight` times its divergence, nats per edge. With a
    # graph in each frame, its prior is that of the frames so far, and the cost the mean over frames.
    edge_prior: Sequence[float] | None = None
    # Whether each step goes on from the true frame with a probability that goes from `given` to `given_end` over the
    # first `given_until` of training.
    scheduled: bool = False
    masked: bool = False  # Whether worms lack neurons, which are then held at 0 and enter no error.

    def initialise(self, run):
        """Return the variables of a run."""
        variables = initialise(self.module, initial_key(run), self.shape.burn_in, self.shape.order, *self.sizes)
        return variables | {name: own for name, own in run.own.items() if name in variables}

    def loss(self, variables, data, run, progress, key, shard):
        """Return the loss of a shard's part of a batch of windows, and its metrics."""
        windows, keys = draw_share(run, key, self.shape.batch, shard)
        training_rngs = TrainingRngs(keys, run.hyper["dropout"], run.hyper["temperature"])
        shown = InputNoise(run.hyper["offset"], run.hyper["noise"], run.hyper["neuron_dropout"])
        chance = None
        if self.scheduled:
            share = jnp.minimum(progress / run.hyper["given_until"], 1.0)
            chance = run.hyper["given"] + (run.hyper["given_end"] - run.hyper["given"]) * share
        forecast, divergence, *true = self._forecast(variables, data, run, windows, training_rngs, shown, chance)
        relative, nll, error = self._measure(forecast, *true, run)
        value = relative.sum() + run.hyper["spread_weight"] * nll.sum()
        if divergence is not None:
            value += run.hyper["kl_weight"] * divergence.sum()
        metrics = {"loss": value, "mse": error.mean(axis=1).sum(), "nll": nll.sum()}
        return value / self.shape.batch, ({}, {name: metric / self.shape.batch for name, metric in metrics.items()})

    def validate(self, variables, data, run):
        """Return the mean loss over a run's validation windows, and its metrics."""
        used = jnp.arange(len(run.validation_windows)) < run.validation_count
        forecast, _, *true = self._forecast(variables, data, run, run.validation_windows, None, None)
        relative, nll, error = self._measure(forecast, *true, run)
        count = jnp.maximum(used.sum(), 1)
        relative, nll, mse = ((used * values).sum() / count for values in (relative, nll, error.mean(axis=1)))
        return relative + run.hyper["spread_weight"] * nll, {"relative_error": relative, "mse": mse, "nll": nll}

    def _forecast(self, variables, data, run, windows, training_rngs, shown, chance=None):
        """Return the forecast, the divergence of each window's graph from its prior, the future, and weights."""
        module, shape, dynamic = self.module, self.shape, getattr(self.module, "graph", "none") == "dynamic"
        frames = cut_windows(data.worms, windows, shape.frames).features
        blocks = (windows[:, 1] + shape.past) // shape.block
        operators = data.operators[run.own["operators"][windows[:, 0]], blocks]
        past, future = frames[:, : shape.past], frames[:, shape.past :]
        teacher_forcing = None
        if chance is not None:
            draw = jax.vmap(lambda key: jax.random.bernoulli(key, chance, (shape.roll_out,)))
            teacher_forcing = TeacherForcing(future, draw(draw_keys(training_rngs, 400)))
        inputs = module, variables, past, operators, shape.roll_out, training_rngs, shown
        clamp = clamp_lacking(past) if self.masked else None
        edges = divergence = None
        if dynamic and training_rngs is not None:
            edges, divergence = _draw_graphs(module, variables, frames[:, shape.order - 1 :], training_rngs)
        forecast = predict(*inputs, clamp=clamp, teacher_forcing=teacher_forcing, edges=edges)
        if self.edge_prior is not None and not dynamic:
            logits = forecast.edge_logits
            divergence = kl_divergence(logits, jnp.asarray(self.edge_prior)) / logits.shape[-2]
        return forecast, divergence, future, weigh_neurons(clamp)

    def _measure(self, forecast, future, weights, run):
        """Per window: squared error in units of persistence's, and negative log-likelihood, nats per value."""
        steps, squares = self.shape.roll_out, (average_modes(forecast) - future) ** 2
        error = (squares if weights is None else weights * squares).mean(axis=(2, 3))
        relative = (error / run.own["step_scale"][:steps]).mean(axis=1)
        return relative, trajectory_nll(forecast, future, run.own["base_scale"][:steps], weights), error


def _draw_graphs(module, variables, frames, training_rngs):
    """Return edges of each frame, drawn from the posterior of the whole window, and their divergence, nats per edge."""
    logits, prior = module.apply(variables, frames, method="encode_frames")
    logits, prior = logits[:, :-1], jax.nn.softmax(prior[:, :-1])  # Edges act from each frame to the next.
    draw = jax.vmap(lambda x, key: sample_edges(x, key, training_rngs.temperature, module.hard))
    edges = draw(logits, draw_keys(training_rngs, 500))
    return edges, kl_divergence(logits, prior).mean(axis=1) / logits.shape[-2]


def weigh_neurons(clamp: Clamp | None) -> Float[Array, "window 1 neuron 1"] | None:
    """Return weights of mean 1 over each window's neurons, 0 for those that are held; None where none ever is."""
    if clamp is None:
        return None
    there = 1.0 - clamp.neurons
    return (there / jnp.maximum(there.mean(axis=1, keepdims=True), 1e-6))[:, None, :, None]


def average_modes(forecast: Forecast) -> Float[Array, "window step neuron feature"]:
    """Return the mean of the mixture."""
    weights = jax.nn.softmax(forecast.mode_logits)
    return (weights[:, :, None, None, None] * forecast.mean).sum(axis=1)


def trajectory_nll(
    forecast: Forecast,
    future: Float[Array, "window step neuron feature"],
    base_scale: Float[Array, "step neuron feature"],
    weights: Float[Array, "window 1 neuron 1"] | None = None,
) -> Float[Array, " window"]:
    """Return the negative log-likelihood of whole trajectories, nats per value; one mode's mean gets no gradient.

    `weights` are those of neurons (`weigh_neurons`).
    """
    modes = forecast.mean.shape[1]
    mean = jax.lax.stop_gradient(forecast.mean) if modes == 1 else forecast.mean
    log_scale = jnp.log(base_scale) + forecast.log_scale
    squares = ((future[:, None] - mean) * jnp.exp(-log_scale)) ** 2
    densities = -(0.5 * squares + log_scale + 0.5 * jnp.log(2.0 * jnp.pi))
    if weights is not None:
        densities = weights[:, None] * densities
    log_weights = jax.nn.log_softmax(forecast.mode_logits)
    total = jax.nn.logsumexp(densities.sum(axis=(2, 3, 4)) + log_weights, axis=1)
    return -total / densities[0, 0].size
