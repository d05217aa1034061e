"""How long asymmetric diffusion maps and their loops take and how much memory, on simulated worms of 15 neurons.

python -m experiments.benchmark_manifold

Asked of them: 15,000 frames within 5 minutes and 4 GB on 2 cores. Sizes are measured in one process, the smallest
first, so that the peak of memory, which never falls, is that of the size beside it.
"""

import os
import time

from absl import flags

from experiments.benchmarks.manifold import FRAMES_OF_WORM, measure_map, measure_peak, simulate_stretches
from wormjax.command_line import run
from wormjax.errors import InputError

FRAMES = flags.DEFINE_list("frames", ["3000", "7500", "15000"], "Numbers of training frames.")


def main(_):
    sizes = sorted(_read_sizes(FRAMES.value))
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
    run(main)
