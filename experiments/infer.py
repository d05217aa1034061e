"""Recovers the graphs of systems from their trajectories: neural relational inference, its bounds and its baselines.

python -m experiments.infer --config=configs/nri_springs.py:small --workdir=runs/springs
"""

from absl import flags

from wormjax.command_line import define_config, run
from wormjax.tasks.dispatch import run_experiment

CONFIG = define_config("configs/nri_springs.py:small")
WORKDIR = flags.DEFINE_string("workdir", "runs/infer", "Folder that receives checkpoints, table and figures.")


def main(_):
    run_experiment(CONFIG.value, WORKDIR.value)


if __name__ == "__main__":
    run(main)
