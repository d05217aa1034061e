"""Reconstructs hidden neurons of worms never seen from their other named neurons: table, figure, checkpoints.

python -m experiments.reconstruct --config=configs/reconstruct.py --workdir=runs/reconstruct
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("reconstruct")
