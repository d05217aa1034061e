"""Trains forecasters of neural activity and forecasts worms they have not seen: table, figures, checkpoints.

python -m experiments.forecast --config=configs/forecast.py --workdir=runs/forecast
"""

from absl import flags

from wormjax.command_line import define_config, run
from wormjax.tasks.dispatch import run_experiment

CONFIG = define_config("configs/forecast.py")
WORKDIR = flags.DEFINE_string("workdir", "runs/forecast", "Folder that receives checkpoints, table and figures.")


def main(_):
    run_experiment(CONFIG.value, WORKDIR.value)


if __name__ == "__main__":
    run(main)
