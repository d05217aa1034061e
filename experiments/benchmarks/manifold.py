"""Measure time and memory of asymmetric diffusion maps and their loops, on simulated worms of 15 neurons.

    python -m experiments.benchmarks.manifold

Sizes are measured in one process, the smallest first, so that the peak of memory, which never falls, belongs to the
size beside it.

Goal (Brennan & Proekt 2019): 15,000 frames within 5 minutes and 4 GB.
"""

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.benchmarks.memory import measure_peak
from wormjax.baselines.diffusion_maps import Embedding, Neighbourhood, build_transitions, find_phase
from wormjax.baselines.loops import Partition, find_loops, fit_loops, place_worm
from wormjax.command_line import run
from wormjax.errors import InputError
from wormjax.simulation.worms import KATO_NEURONS, simulate_worms

FRAMES_OF_WORM = 3000
MINUTES = 19.5  # Long enough for as many frames at the lowest rate.
BYTES_OF_NUMBER = 8


class Measured(NamedTuple):
    """Of one number of training frames.

    Attributes:
      frames: trained on.
      whole: seconds of `fit_loops`, from traces to the (loop, phase) model.
      neighbours, eigenvectors, loops: seconds of the map's transitions, of its phase and of its loops.
      placing: seconds to place a new worm of `FRAMES_OF_WORM` frames.
      stored: transitions that are kept, a frame.
      dense_gigabytes: what the same transitions would take if none were left out.
      peak_gigabytes: most memory that the process has ever held, all that came before in it included.
    """

    frames: int
    whole: float
    neighbours: float
    eigenvectors: float
    loops: float
    placing: float
    stored: float
    dense_gigabytes: float
    peak_gigabytes: float


def simulate_stretches(worms: int, frames: int, seed: int = 0) -> list[Float[np.ndarray, "frame neuron"]]:
    """Traces of simulated worms, `frames` of each, of the same 15 neurons in the same order; mean 0, deviation 1."""
    recordings = simulate_worms(seed=seed, worms=2 * worms - 1, minutes=MINUTES * max(frames / FRAMES_OF_WORM, 0.02))
    stretches = []
    for recording in recordings.recordings[::2]:  # The others miss a neuron.
        columns = [recording.neuron_names.index(name) for name in KATO_NEURONS]
        traces = recording.traces[:frames, columns]
        stretches.append((traces - traces.mean(axis=0)) / traces.std(axis=0))
    return stretches


def measure_map(
    stretches: Sequence[Float[np.ndarray, "frame neuron"]],
    new_worm: Float[np.ndarray, "frame neuron"],
    embedding: Embedding = Embedding(),  # noqa: B008
    neighbourhood: Neighbourhood = Neighbourhood(),  # noqa: B008
    partition: Partition = Partition(),  # noqa: B008
) -> Measured:
    """Builds the model of these stretches, then its costly parts once more, each by itself, and places a new worm."""
    model, whole = _time(lambda: fit_loops(stretches, embedding, neighbourhood, partition))
    flow, neighbours = _time(lambda: build_transitions(model.places, neighbourhood))
    (_, period), eigenvectors = _time(lambda: find_phase(flow))
    _, loops = _time(lambda: find_loops(model.places, flow, period, partition, 0))
    _, placing = _time(lambda: place_worm(model, new_worm))
    frames = flow.shape[0]
    return Measured(
        frames,
        whole,
        neighbours,
        eigenvectors,
        loops,
        placing,
        flow.nnz / frames,
        frames**2 * BYTES_OF_NUMBER / 1e9,
        measure_peak() / 1e9,
    )


def _time(function):
    start = time.perf_counter()
    return function(), time.perf_counter() - start


FLAGS = [("list", "frames", ["3000", "7500", "15000"], "Numbers of training frames.")]


def main(values):
    sizes = sorted(_read_sizes(values.frames))
    worms = [max(1, round(size / FRAMES_OF_WORM)) for size in sizes]
    longest = max(size // number for size, number in zip(sizes, worms, strict=True))
    *known, new_worm = simulate_stretches(max(worms) + 1, max(longest, FRAMES_OF_WORM))
    new_worm = new_worm[:FRAMES_OF_WORM]
    print(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, {1e-9 * measure_peak():.2f} GB before the first")
    print(f"{'frames':>8s}{'neighbours':>12s}{'eigenvectors':>14s}{'loops':>8s}{'whole':>8s}{'placing':>9s}", end="")
    print(f"{'peak GB':>9s}{'stored/frame':>14s}{'of all':>9s}{'dense GB':>10s}   (seconds)")
    for size, number in zip(sizes, worms, strict=True):
        row = measure_map([traces[: size // number] for traces in known[:number]], new_worm)
        print(f"{row.frames:8d}{row.neighbours:12.1f}{row.eigenvectors:14.1f}{row.loops:8.1f}{row.whole:8.1f}", end="")
        print(f"{row.placing:9.1f}{row.peak_gigabytes:9.2f}{row.stored:14.1f}", end="")
        print(f"{100 * row.stored / row.frames:8.2f}%{row.dense_gigabytes:10.2f}", flush=True)


def _read_sizes(values):
    wrong = [value for value in values if not value.isdigit() or int(value) < 1]
    if wrong or not values:
        raise InputError(f"flag 'frames': found {', '.join(wrong) or 'none'}, expected whole numbers from 1")
    return [int(value) for value in values]


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
