"""PCA, asymmetric diffusion maps and relational graphs of worms, scored beside the deep models: tables and figures.

python -m experiments.manifold --config=configs/manifold.py --workdir=runs/manifold
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("manifold")
