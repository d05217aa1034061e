"""How time and memory grow with the length and the number of recordings, as tables for the README.

python -m experiments.benchmark_scale --cache=runs/scale

The worms are simulated once, into the cache (4.5 GB for the sizes below); each size is measured in its own process.
"""

import time

import jax
from absl import flags

from configs import generalize
from experiments.benchmarks import scale as benchmark
from wormjax.command_line import run
from wormjax.errors import InputError

CACHE = flags.DEFINE_string("cache", "runs/scale", "Folder of the simulated worms.")
NEURONS = flags.DEFINE_integer("neurons", 300, "Neurons identified in every worm.")
FRAMES = flags.DEFINE_list("frames", "2500,5000,10000,20000", "Frames of the first table, at the most worms.")
WORMS = flags.DEFINE_list("worms", "12,25,50,100", "Worms of the second table, at the most frames.")
MODEL = flags.DEFINE_enum("model", "temporal_convolution", generalize.get_config().model.keys(), "What is trained.")


def main(_):
    frames, worms = read_sizes("frames", FRAMES.value), read_sizes("worms", WORMS.value)
    config = generalize.get_config()
    print(f"{jax.local_devices()[0].device_kind}, JAX {jax.__version__}, {time.strftime('%Y-%m-%d')}\n", flush=True)
    measured = {}
    for series in ([(worms[-1], count) for count in frames], [(count, frames[-1]) for count in worms]):
        for size in series:
            if size not in measured:
                study = benchmark.make_study(CACHE.value, *size, NEURONS.value)
                measured[size] = benchmark.measure_size(config, study, *size, MODEL.value)
        print("\n".join(benchmark.format_table([measured[size] for size in series])), "\n", flush=True)
    accuracy = measured[worms[-1], frames[-1]].accuracy
    print(f"Accuracy on the worms held out, the largest size: {accuracy:.3f}")


def read_sizes(flag, values) -> list[int]:
    """Numbers in increasing order."""
    try:
        sizes = [int(value) for value in values]
    except ValueError:
        sizes = []
    if not sizes or sizes != sorted(set(sizes)) or sizes[0] < 1:
        raise InputError(f"--{flag}: found {','.join(values)!r}, expected numbers that increase, such as 1000,2000")
    return sizes


if __name__ == "__main__":
    run(main)
