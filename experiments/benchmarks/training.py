"""Measure how fast the paper's graph classifier trains: one run alone, an ensemble of 32, and the authors' code.

    python -m experiments.benchmarks.training

All figures come from one process, so that their ratios hold on a noisy machine. An epoch of one worm is 2,160
graphs of 15 neurons (270 windows of 8 frames), as in the authors' code, which takes 0.5 s for it on two such cores.
"""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from configs import generalize_wang2021
from wormjax.command_line import run
from wormjax.features.dataset import build_dataset
from wormjax.features.neurons import choose_neurons
from wormjax.simulation.worms import simulate_worms
from wormjax.tasks.decode.runs import build_group_runs, build_training
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.training.step import initialise_state, train_chunk

AUTHORS_SECONDS, EPOCH_GRAPHS, BATCH_GRAPHS = 0.5, 2160, 256


class Measured(NamedTuple):
    """Of one update of one run: seconds (median over chunks), floating-point operations by XLA's count."""

    seconds: float
    operations: float


def measure_matrix_products(size: int, repeats: int = 5) -> float:
    """Floating-point operations a second of a square matrix product: what the machine can do at best."""
    values = jax.random.normal(jax.random.key(0), (size, size))
    multiply = jax.jit(jnp.matmul)
    return 2 * size**3 / median_seconds(lambda: multiply(values, values), repeats)


def measure_training(name: str, config, runs: int, repeats: int) -> Measured:
    """Times compiled chunks of `runs` runs of one model on a simulated worm of 18 minutes and 15 neurons."""
    recordings = simulate_worms(seed=0, worms=1, minutes=18.0).recordings
    neurons = choose_neurons(recordings, "shared")
    dataset = build_dataset(recordings, neurons, config.data.inputs, config.data.scaling)
    groups = [Group(seed, Split((0,), ())) for seed in range(config.seed, config.seed + runs)]
    config = config.copy_and_resolve_references()
    config.seeds = runs
    stacked = build_group_runs(config, dataset, groups)
    engine, recipe, _, _, objective = build_training(name, config, dataset, stacked)
    placed, data = engine.place_runs(stacked), engine.place_data(dataset.arrays)
    state = engine.place_runs(jax.device_get(engine.initialise(stacked)))
    operations = count_operations(objective, recipe, stacked, dataset.arrays)
    chunk = engine.chunk.lower(state, data, placed).compile()
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        state, metrics = chunk(state, data, placed)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - start)
    updates = config.train.steps_per_chunk * runs
    return Measured(float(np.median(seconds[1:])) / updates, operations)


def count_operations(objective, recipe, runs, data) -> float:
    """Return the floating-point operations of an update of one run, by XLA's count: a loop's body counts once."""
    run = jax.tree.map(lambda x: x[0], runs)
    state = jax.eval_shape(lambda run: initialise_state(objective, recipe, run), run)
    single = recipe._replace(steps_per_chunk=1)
    step = jax.jit(lambda state, data, run: train_chunk(objective, single, state, data, run))
    return float((step.lower(state, data, run).compile().cost_analysis() or {}).get("flops", np.nan))


def median_seconds(function, repeats: int) -> float:
    """The median time of a call that has been compiled, until its output is there."""
    jax.block_until_ready(function())
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


FLAGS = [
    ("integer", "runs", 32, "Runs in the ensemble."),
    ("integer", "steps", 20, "Updates in one timed chunk."),
    ("integer", "repeats", 5, "Chunks timed; the median counts."),
]


def main(values):
    config = generalize_wang2021.get_config()
    config.train.steps, config.train.epochs = 10**6, 0
    config.train.steps_per_chunk = values.steps
    print(f"{jax.devices()[0].device_kind}, {len(jax.devices())} device(s), {time.strftime('%Y-%m-%d')}")
    print(f"matrix products of 2048 x 2048: {measure_matrix_products(2048) / 1e9:.0f} GFLOP/s")
    print(f"{'':34s}{'s/update/run':>14s}{'updates/s':>12s}{'GFLOP/s':>10s}{'s/epoch':>10s}{'x authors':>11s}")
    for name in ("wang_graph", "wang_mlp"):
        alone = measure_training(name, config, 1, values.repeats)
        print(format_row(f"{name}, alone", alone))
        for at_once in (values.runs, 4, 1):
            config.train.runs_at_once = at_once
            label = f"{name}, {values.runs} runs, {at_once} at a time"
            ensemble = measure_training(name, config, values.runs, values.repeats)
            print(format_row(label, ensemble))
            print(f"{'':34s}{ensemble.seconds / alone.seconds:14.2f} of the time alone")
        config.train.runs_at_once = 0  # The default, for the next model alone.


def format_row(label: str, measured: Measured) -> str:
    """Return a line of the table."""
    epoch = measured.seconds * EPOCH_GRAPHS / BATCH_GRAPHS
    rate = measured.operations / measured.seconds / 1e9
    row = f"{label:34s}{measured.seconds:14.5f}{1 / measured.seconds:12.1f}{rate:10.1f}{epoch:10.3f}"
    return row + f"{AUTHORS_SECONDS / epoch:11.1f}"


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
