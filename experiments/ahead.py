"""Trains models of the motor state to come and asks them of worms they have not seen: table, figures, checkpoints.

python -m experiments.ahead --config=configs/ahead.py --workdir=runs/ahead
"""

from absl import flags

from wormjax.command_line import define_config, run
from wormjax.tasks.dispatch import run_experiment

CONFIG = define_config("configs/ahead.py")
WORKDIR = flags.DEFINE_string("workdir", "runs/ahead", "Folder that receives checkpoints, table and figures.")


def main(_):
    run_experiment(CONFIG.value, WORKDIR.value)


if __name__ == "__main__":
    run(main)
