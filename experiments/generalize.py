"""Decodes the motor state of worms never seen: trains every model of a config, writes table and figures.

python -m experiments.generalize --config=configs/generalize.py --workdir=runs/generalize
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("generalize")
