"""Trains models of the motor state to come and asks them of worms they have not seen: table, figures, checkpoints.

python -m experiments.ahead --config=configs/ahead.py --workdir=runs/ahead
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("ahead")
