"""Measure the decoder of any neurons: time per update by graph of messages, and of decoding one long, wide recording.

    python -m experiments.benchmarks.any_neurons

All figures come from one process, so that their ratios hold on a noisy machine. Times are medians after compilation.
"""

import itertools
import time

import jax
import numpy as np

from configs import any_neurons
from experiments.benchmarks.memory import measure_peak
from wormjax.command_line import run
from wormjax.simulation.worms import choose_names, iterate_worms
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.tasks.worms import build_training_dataset
from wormjax.training.workdir import describe_dataset

FRAMES, RATE = 20_000, 3.0
FLAGS = [("integer", "neurons", 100, "Named neurons."), ("integer", "repeats", 5, "Timed repeats.")]
GRAPHS = ("none", "complete", "inferred")


def measure(graph: str, minutes: float, neurons: int, repeats: int) -> tuple[float, float, float]:
    """Return the seconds of an update of one run, and of decoding a recording with one network; and its CPU seconds."""
    config = any_neurons.get_config()
    config.models, config.train.members = ("any_neurons",), 1
    config.model.any_neurons.graph = graph
    config.train.steps = config.train.steps_per_chunk = 10
    names = choose_names(neurons)
    worms = list(iterate_worms(0, 1, minutes, names, (RATE, RATE), all_found=True))
    dataset = build_training_dataset(config, worms)
    groups = [Group(0, Split((0,), (0,)))]
    runs = decoding.build_group_runs(config, dataset, groups)
    engine = decoding.build_training("any_neurons", config, dataset, runs).engine
    placed, data = engine.place_runs(runs), engine.place_data(dataset.arrays)
    state, updates = engine.place_runs(jax.device_get(engine.initialise(runs))), []
    for _ in range(repeats):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(engine.chunk(state, data, placed))
        updates.append((time.perf_counter() - start) / 10)
    best, description, decodings = engine.collect(state).best, describe_dataset(dataset), []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        decoding.decode_model("any_neurons", config, description, dataset, groups, best)
        decodings.append((time.perf_counter() - start, time.process_time() - cpu_start))
    return float(np.median(updates[1:])), *np.median(decodings[1:], axis=0)


def main(values) -> None:
    """Print a line per graph of messages and length of recording."""
    print(f"{values.neurons} neurons; seconds of an update, of decoding, its CPU time; memory of the process so far")
    for minutes, graph in itertools.product((5.0, FRAMES / RATE / 60), GRAPHS):
        update, decode, cpu = measure(graph, minutes, values.neurons, values.repeats)
        frames = int(minutes * 60 * RATE)
        times = f"{update:.3f} s, {decode:.2f} s, {cpu:.2f} s"
        print(f"{graph:10s} {frames:6d} frames: {times}; {measure_peak() / 2**20:.0f} MiB")


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
