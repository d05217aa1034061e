"""Restores a workdir's models and scores them, on its own recordings or on others.

python -m experiments.evaluate --workdir=runs/generalize [--config.data.path=FILE_OR_FOLDER] [--output=FILE.csv]
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("evaluate")
