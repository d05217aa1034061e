"""How fast the paper's graph classifier trains: one run alone, an ensemble of 32, against the authors' code.

python -m experiments.benchmark_training

All figures come from one process, so that their ratios hold on a noisy machine. An epoch of one worm is 2,160
graphs of 15 neurons (270 windows of 8 frames), as in the authors' code, which takes 0.5 s for it on two such cores.
"""

import time

import jax
import numpy as np
from absl import flags

from configs import generalize_wang2021
from experiments.benchmarks.training import measure_matrix_products, measure_training
from wormjax.command_line import run

RUNS = flags.DEFINE_integer("runs", 32, "Runs in the ensemble.")
STEPS = flags.DEFINE_integer("steps", 20, "Updates in one timed chunk.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Chunks timed; the median counts.")

AUTHORS_SECONDS, EPOCH_GRAPHS, BATCH_GRAPHS = 0.5, 2160, 256


def main(_):
    config = generalize_wang2021.get_config()
    config.train.steps, config.train.epochs = 10**6, 0
    config.train.steps_per_chunk = STEPS.value
    print(f"{jax.devices()[0].device_kind}, {len(jax.devices())} device(s), {time.strftime('%Y-%m-%d')}")
    print(f"matrix products of 2048 x 2048: {measure_matrix_products(2048) / 1e9:.0f} GFLOP/s")
    print(f"{'':34s}{'s/update/run':>14s}{'updates/s':>12s}{'GFLOP/s':>10s}{'s/epoch':>10s}{'x authors':>11s}")
    for name in ("wang_graph", "wang_mlp"):
        alone = measure_training(name, config, 1, REPEATS.value)
        report(f"{name}, alone", alone)
        for at_once in (0, 4, 1):
            config.train.runs_at_once = at_once
            label = f"{name}, {RUNS.value} runs, {at_once or 'all'} at a time"
            ensemble = measure_training(name, config, RUNS.value, REPEATS.value)
            report(label, ensemble)
            print(f"{'':34s}{ensemble.seconds / alone.seconds:14.2f} of the time alone")
        config.train.runs_at_once = 0


def report(label, measured):
    epoch = measured.seconds * EPOCH_GRAPHS / BATCH_GRAPHS
    rate = measured.operations / measured.seconds / 1e9 if np.isfinite(measured.operations) else float("nan")
    print(
        f"{label:34s}{measured.seconds:14.5f}{1 / measured.seconds:12.1f}{rate:10.1f}{epoch:10.3f}"
        f"{AUTHORS_SECONDS / epoch:11.1f}"
    )


if __name__ == "__main__":
    run(main)
