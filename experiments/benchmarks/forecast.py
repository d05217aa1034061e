"""Measure how fast forecasters train and forecast, on a simulated worm of 18 minutes and 15 neurons.

    python -m experiments.benchmarks.forecast

All figures come from one process, so that their ratios hold on a noisy machine.
"""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from configs import forecast
from experiments.benchmarks.training import median_seconds
from wormjax.command_line import run
from wormjax.features.dataset import build_dataset
from wormjax.features.forecast_origins import cut_past, list_starts
from wormjax.features.neurons import choose_neurons
from wormjax.models.forecast_roll_outs import initialise, predict
from wormjax.simulation.worms import simulate_worms
from wormjax.tasks.forecast import linear, networks
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split


class Subject(NamedTuple):
    """A simulated worm of 18 minutes, what the baselines learn of it, and the split that trains on it."""

    dataset: object
    fit: dict
    split: Split


class Rolled(NamedTuple):
    """Seconds to forecast all starts of a worm: in one compiled call, a start at a time, a start and step at a time.

    The last two are measured on some starts and scaled up.
    """

    starts: int
    together: float
    by_start: float
    by_step: float


def prepare_subject(config) -> Subject:
    """Simulates the worm and fits the baselines."""
    recordings = simulate_worms(seed=0, worms=1, minutes=18.0).recordings
    dataset = build_dataset(recordings, choose_neurons(recordings, "shared"), config.data.inputs, config.data.scaling)
    split = Split((0,), (0,))
    return Subject(dataset, linear.fit_linear(config, linear.gather_worms(dataset), [split]), split)


def measure_updates(name: str, config, subject: Subject, runs: int, repeats: int) -> float:
    """Return seconds per update and run, of `runs` runs in one program."""
    groups = [Group(seed, subject.split) for seed in range(runs)]
    config = config.copy_and_resolve_references()
    config.seeds = runs
    training = networks.build_training(name, config, subject.dataset, [subject.split], groups, subject.fit)
    engine = training.engine
    placed, data = engine.place_runs(training.runs), engine.place_data(training.data)
    state = [engine.place_runs(jax.device_get(engine.initialise(training.runs)))]

    def chunk():
        state[0], metrics = engine.chunk(state[0], data, placed)
        return state[0], metrics

    return median_seconds(chunk, repeats) / (config.train.steps_per_chunk * runs)


def measure_forecasts(name: str, config, subject: Subject, repeats: int, tried: int = 8) -> Rolled:
    """Times the forecasts of all of a worm's starts by an untrained network, which costs what a trained one does."""
    dataset, steps = subject.dataset, config.forecast.steps
    starts = list_starts(dataset, config.forecast.first, config.forecast.every)
    shape, module = networks.build_shape(config), networks.build_module(name, config, dataset)
    variables = initialise(module, jax.random.key(0), shape.burn_in, shape.order, *dataset.arrays.features.shape[2:])
    past = jnp.asarray(cut_past(dataset, starts, shape.past))
    operators = jnp.asarray(networks.find_operators(config, name, subject.fit, 0, dataset, starts))
    together = networks.build_forecaster(name, config, dataset)
    single = jax.jit(lambda past, operators: predict(module, variables, past, operators, steps).mean)
    step = jax.jit(lambda past, operators: predict(module, variables, past, operators, 1).mean[:, 0])

    def by_start():
        return [single(past[k : k + 1], operators[k : k + 1]) for k in range(tried)]

    def by_step():
        frames = [past[k : k + 1] for k in range(tried)]
        for k in range(tried):
            for _ in range(steps):  # As a step function without a scan would: the burn-in again each time.
                frames[k] = jnp.concatenate([frames[k][:, 1:], step(frames[k], operators[k : k + 1])], axis=1)
        return frames

    share = len(past) / tried
    seconds = [
        median_seconds(lambda: together(variables, past, operators), repeats),
        median_seconds(by_start, repeats) * share,
        median_seconds(by_step, repeats) * share,
    ]
    return Rolled(len(past), *(float(np.round(value, 6)) for value in seconds))


FLAGS = [
    ("list", "models", ["nri_graph", "node_wise", "recurrent"], "Sections of the config's `model`."),
    ("integer", "runs", 8, "Runs in the ensemble."),
    ("integer", "steps", 10, "Updates in one timed chunk."),
    ("integer", "repeats", 3, "Times that each is measured; the median counts."),
]


def main(values):
    config = forecast.get_config()
    config.train.steps = 10**6
    config.train.steps_per_chunk = values.steps
    subject = prepare_subject(config)
    print(f"{jax.devices()[0].device_kind}, {len(jax.devices())} device(s), {time.strftime('%Y-%m-%d')}")
    print(f"{'':12s}{'ms per update':>14s}{f'{values.runs} runs, each':>16s}{'all starts, s':>16s}", end="")
    print(f"{'one by one':>12s}{'and by step':>13s}")
    for name in values.models:
        alone = measure_updates(name, config, subject, 1, values.repeats)
        ensemble = measure_updates(name, config, subject, values.runs, values.repeats)
        rolled = measure_forecasts(name, config, subject, values.repeats)
        print(f"{name:12s}{1e3 * alone:14.1f}{1e3 * ensemble:16.1f}{rolled.together:16.3f}", end="")
        print(f"{rolled.by_start / rolled.together:10.1f} x{rolled.by_step / rolled.together:11.1f} x", flush=True)


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
