"""Restores a workdir's models and scores them, on its own recordings or on others.

python -m experiments.evaluate --workdir=runs/generalize [--config.data.path=FILE_OR_FOLDER] [--output=FILE.csv]
"""

import sys

from absl import flags

from wormjax.command_line import define_config, find_flag, run
from wormjax.scoring.rows import check_output, print_rows, write_rows
from wormjax.tasks.evaluate import evaluate

CONFIG = define_config(f"configs/of_workdir.py:{find_flag(sys.argv, 'workdir') or 'runs/generalize'}")
WORKDIR = flags.DEFINE_string("workdir", "runs/generalize", "Folder of a trained experiment.")
OUTPUT = flags.DEFINE_string("output", None, "CSV file to write the rows to, instead of printing them.")


def main(_):
    check_output(OUTPUT.value)
    rows = evaluate(CONFIG.value, WORKDIR.value)
    if OUTPUT.value:
        write_rows(OUTPUT.value, rows)
    else:
        print_rows(rows)


if __name__ == "__main__":
    run(main)
