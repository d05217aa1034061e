"""How often the reported 95 % intervals hold the truth, on simulated worms and systems, as a table for the README.

python -m experiments.benchmark_intervals

The truth is the score expected over worms and over training sets of that size.
"""

import time

from absl import flags

from experiments.benchmarks.interval_coverage import format_table, list_designs, measure_design, measure_systems
from wormjax.command_line import run
from wormjax.errors import InputError

WORMS = flags.DEFINE_list("worms", ["4", "5", "10", "20"], "Worms of a study, from 3.")
SYSTEMS = flags.DEFINE_list("systems", ["50", "500"], "Test systems of a study, from 20.")
STUDIES = flags.DEFINE_integer("studies", 1000, "Studies of each kind, and as many for the truth.", lower_bound=20)
SEED = flags.DEFINE_integer("seed", 0, "Of the simulation.", lower_bound=0)


def main(_):
    worms, systems = _read("worms", WORMS.value, 3), _read("systems", SYSTEMS.value, 20)
    start, rows = time.monotonic(), []
    for design in list_designs(worms):
        rows += measure_design(design, STUDIES.value, SEED.value)
    rows += measure_systems(systems, STUDIES.value, SEED.value)
    print("\n".join(format_table(rows)))
    print("\nBold: surely below 95 %. Of leave_one_worm_out the jackknife reads the subsets of one worm fewer, too.")
    print(f"{STUDIES.value} studies of each kind in {time.monotonic() - start:.0f} s.")


def _read(name, values, least):
    if any(not value.isdigit() or int(value) < least for value in values):
        raise InputError(f"--{name}: found {','.join(values)!r}, expected whole numbers from {least}")
    return [int(value) for value in values]


if __name__ == "__main__":
    run(main)
