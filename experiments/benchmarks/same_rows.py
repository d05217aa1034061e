"""Compare the rows that two versions of wormjax write: the largest difference of each program.

A change that should move no number is checked in two steps. First run the programs in each version's checkout,

    python -m experiments.benchmarks.same_rows run FOLDER --kato=WT_NoStim.mat

then compare the two folders:

    python -m experiments.benchmarks.same_rows compare OLD_FOLDER NEW_FOLDER

The file imports nothing of wormjax, so that a copy of it also runs in an older checkout.
"""

import argparse
import math
import os
import subprocess
import sys

import pandas as pd

KEYS = ["model", "study", "train_worms", "test_study", "test_worm", "seed", "metric"]


def list_programs(folder: str, kato: str) -> dict[str, list[str]]:
    """Return program → its arguments: decoding, forecasts and states ahead of the Kato worms, and springs."""
    worms = ["--config.data.study=kato2015", f"--config.data.path={kato}"]
    springs = {
        "train.steps": 200,
        "train.baseline_steps": 200,
        "data.simulations.train": 2000,
        "data.cache": os.path.join(folder, "cache"),
    }
    return {
        "generalize": [
            "--config=configs/generalize.py",
            *worms,
            "--config.models=('mlp','nri_graph')",
            "--config.seeds=1",
        ],
        "forecast": ["--config=configs/forecast.py", *worms],
        "ahead": ["--config=configs/ahead.py", *worms],
        "infer": ["--config=configs/nri_springs.py:small", *(f"--config.{name}={v}" for name, v in springs.items())],
    }


def run_programs(folder: str, kato: str, chosen: list[str]) -> None:
    """Run the chosen programs of the checkout in the current folder; each writes into its own folder below `folder`."""
    folder = os.path.abspath(folder)
    for name, arguments in list_programs(folder, os.path.abspath(kato)).items():
        if name in chosen:
            workdir = f"--workdir={os.path.join(folder, name)}"
            subprocess.run([sys.executable, "-m", f"experiments.{name}", *arguments, workdir], check=True)


def compare_rows(old: pd.DataFrame, new: pd.DataFrame) -> tuple[float, str]:
    """Return the largest absolute difference of a value, and the row that has it.

    Raises:
      ValueError: a row stands in one table only.
    """
    keys = [key for key in KEYS if key in old.columns]
    joined = old.merge(new, on=keys, how="outer", suffixes=("_old", "_new"), indicator=True, validate="one_to_one")
    lone = joined[joined["_merge"] != "both"]
    if len(lone):
        raise ValueError(f"{len(lone)} rows stand in one table only, the first: {lone.iloc[0][keys].to_dict()}")
    before, after = joined["value_old"], joined["value_new"]
    difference = (before - after).abs().where(~((before.isna() & after.isna()) | (before == after)), 0.0)
    difference = difference.fillna(math.inf)  # A value that is NaN in one table only.
    worst = difference.idxmax()
    return float(difference[worst]), " ".join(str(joined.loc[worst, key]) for key in keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the programs of the checkout in the current folder")
    run.add_argument("folder")
    run.add_argument("--kato", required=True, help="WT_NoStim.mat of Kato et al. 2015")
    run.add_argument("--programs", nargs="+", default=["generalize", "forecast", "ahead", "infer"])
    compare = commands.add_parser("compare", help="compare two folders that `run` has written")
    compare.add_argument("old")
    compare.add_argument("new")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run_programs(arguments.folder, arguments.kato, arguments.programs)
        return
    for name in sorted(os.listdir(arguments.old)):
        paths = [os.path.join(folder, name, "results.csv") for folder in (arguments.old, arguments.new)]
        if all(map(os.path.isfile, paths)):
            old, new = map(pd.read_csv, paths)
            largest, row = compare_rows(old, new)
            print(f"{name:12s}{len(old):8,d} rows, largest difference {largest:.2g} ({row})")


if __name__ == "__main__":
    main()
