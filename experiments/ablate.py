"""Trains and scores every combination of config values; chooses among them without the worm that is scored.

python -m experiments.ablate --config=configs/generalize.py --sweep=train.dropout=0,0.3 --sweep=train.noise=0,0.2
"""

from absl import flags

from wormjax.command_line import define_config, run
from wormjax.tasks.decode.nested_selection import CRITERION
from wormjax.tasks.decode.sweep import ablate, parse_sweep

CONFIG = define_config("configs/generalize.py")
WORKDIR = flags.DEFINE_string("workdir", "runs/ablate", "Folder that receives checkpoints and table.")
SWEEP = flags.DEFINE_multi_string("sweep", [], "FIELD=VALUE,VALUE,...; several make a grid.")
CHOOSE_BY = flags.DEFINE_list("choose_by", list(CRITERION), "Metrics whose mean on the other worms chooses.")


def main(_):
    ablate(CONFIG.value, parse_sweep(SWEEP.value, CONFIG.value), WORKDIR.value, tuple(CHOOSE_BY.value))


if __name__ == "__main__":
    run(main)
