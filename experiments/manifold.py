"""PCA, asymmetric diffusion maps and relational graphs of worms, scored beside the deep models: tables and figures.

python -m experiments.manifold --config=configs/manifold.py --workdir=runs/manifold
"""

from absl import flags

from wormjax.command_line import define_config, run
from wormjax.tasks.dispatch import run_experiment

CONFIG = define_config("configs/manifold.py")
WORKDIR = flags.DEFINE_string("workdir", "runs/manifold", "Folder that receives checkpoints, tables and figures.")


def main(_):
    run_experiment(CONFIG.value, WORKDIR.value)


if __name__ == "__main__":
    run(main)
