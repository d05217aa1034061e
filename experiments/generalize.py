"""Decodes the motor state of worms never seen: trains every model of a config, writes table and figures.

python -m experiments.generalize --config=configs/generalize.py --workdir=runs/generalize
"""

from absl import flags

from wormjax.command_line import define_config, run
from wormjax.tasks.dispatch import run_experiment

CONFIG = define_config("configs/generalize.py")
WORKDIR = flags.DEFINE_string("workdir", "runs/generalize", "Folder that receives checkpoints, table and figures.")


def main(_):
    run_experiment(CONFIG.value, WORKDIR.value)


if __name__ == "__main__":
    run(main)
