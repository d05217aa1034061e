"""Trains and scores every combination of config values; chooses among them without the worm that is scored.

python -m experiments.ablate --config=configs/generalize.py --sweep=train.dropout=0,0.3 --sweep=train.noise=0,0.2
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("ablate")
