"""How fast neural relational inference trains, at the reference's full size and beyond, as tables for the README.

python -m experiments.benchmark_nri

All figures come from one process, so that their ratios hold on a noisy machine. `--quick` goes through all of it with
models so small that the figures mean nothing.
"""

import time

import jax
from absl import flags

from configs import nri_springs
from experiments.benchmarks import nri as benchmark
from wormjax.command_line import run
from wormjax.errors import InputError
from wormjax.models.layers import PRECISIONS

TABLES = ("sizes", "objects", "ensembles", "posteriors")

STEPS = flags.DEFINE_integer("steps", 3, "Updates in one timed chunk.", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 3, "Chunks timed; the fastest counts.", lower_bound=1)
CHOSEN = flags.DEFINE_multi_enum("table", TABLES, TABLES, "What is measured.")
OBJECTS = flags.DEFINE_list("objects", "5,10,20,50,100", "Objects of the second table.")
SEEDS = flags.DEFINE_integer("seeds", 8, "Runs of the ensemble.", lower_bound=2)
PRECISION = flags.DEFINE_enum("precision", "", PRECISIONS, "Of the models' products; empty: the device's own.")
QUICK = flags.DEFINE_bool("quick", False, "Models of 8 channels, batches of 4, one update, up to 10 objects, 2 seeds.")


def main(_):
    plan, objects, seeds = read_flags()
    devices = jax.local_devices()
    print(f"{devices[0].device_kind}, {len(devices)} device(s), JAX {jax.__version__}, {time.strftime('%Y-%m-%d')}\n")
    if plan.precision:
        rounding = benchmark.measure_rounding(plan.precision)
        print(f"Products at {plan.precision}: relative error {rounding:.1e} against float32\n")
    tables = {
        "sizes": benchmark.measure_sizes(plan),
        "objects": benchmark.measure_objects(plan, objects),
        "ensembles": benchmark.measure_ensembles(plan, seeds),
        "posteriors": benchmark.measure_posteriors(plan),
    }
    for name in dict.fromkeys(CHOSEN.value):
        for row in tables[name]:
            print(benchmark.format_row(row), flush=True)
        print()
    print(f"The whole process held at most {benchmark.measure_process() / 1e6:,.0f} MB.")


def read_flags():
    """The plan, the numbers of objects and the number of seeds."""
    try:
        objects = [int(value) for value in OBJECTS.value]
    except ValueError:
        objects = []
    if not objects or min(objects) < 2:
        raise InputError(f"--objects: found {','.join(OBJECTS.value)!r}, expected numbers from 2, such as 5,10,20")
    placements = ("single", "batch") if jax.local_device_count() > 1 else ("single",)
    plan = benchmark.Plan(nri_springs.get_config, STEPS.value, REPEATS.value, placements, PRECISION.value)
    if not QUICK.value:
        return plan, objects, SEEDS.value
    return plan._replace(steps=1, repeats=1, hidden=8, batch=4), [count for count in objects if count <= 10], 2


if __name__ == "__main__":
    run(main)
