"""Measures training on simulated worms: seconds per update and run, and arithmetic against the machine's own rate."""

import math
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from wormjax.features.dataset import build_dataset
from wormjax.features.neurons import choose_neurons
from wormjax.simulation.worms import simulate_worms
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.training.step import initialise_state, train_step


class Measured(NamedTuple):
    """Of one update of one run: seconds (median over chunks), floating-point operations of matrix products."""

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
    stacked = decoding.build_group_runs(config, dataset, groups)
    objective, recipe, engine = decoding.build_training(name, config, dataset, stacked)
    placed, data = engine.place_runs(stacked), engine.place_data(dataset.arrays)
    state = engine.place_state(jax.device_get(engine.initialise(stacked)))
    operations = _count_operations(objective, recipe, stacked, dataset.arrays)
    chunk = engine.chunk.lower(state, data, placed).compile()
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        state, metrics = chunk(state, data, placed)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - start)
    updates = config.train.steps_per_chunk * runs
    return Measured(float(np.median(seconds[1:])) / updates, operations)


def _count_operations(objective, recipe, runs, data) -> float:
    """Of the matrix products of one update of one run, those made again for the gradient included."""
    run = jax.tree.map(lambda x: x[0], runs)
    state = jax.eval_shape(lambda run: initialise_state(objective, recipe, run), run)
    step = jax.make_jaxpr(lambda state, data, run: train_step(objective, recipe, state, data, run))
    return float(count_products(step(state, data, run).jaxpr))


def count_products(jaxpr) -> int:
    """Floating-point operations of the matrix products of a jaxpr; XLA's own count takes a loop's body once."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)
        inner = sum(count_products(part) for part in jaxprs_in_params(equation.params))
        total += inner * (equation.params["length"] if equation.primitive.name == "scan" else 1)
    return total


def median_seconds(function, repeats: int) -> float:
    """The median time of a call that has been compiled, until its output is there."""
    jax.block_until_ready(function())
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
