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
    """Return program → its arguments: decoding, forecasts and states ahead of the Kato worms, and springs.

    Defaults that have changed since the first version are set back to what they were, in either version.
    """
    worms = {"data.study": "kato2015", "data.path": kato, "train.runs_at_once": 1}
    autoregressions = ("var_1", "var_2", "var_4", "var_8", "var_16", "var_adapted")
    programs = {
        "generalize": {**worms, "models": ("mlp", "nri_graph"), "seeds": 1},
        "forecast": {**worms, "train.steps": 100, "baselines": ("persistence", "mean", *autoregressions)},
        # Resampled to 3 Hz, a frame depends on no later one now.
        "ahead": {**worms, "data.frame_rate": 0.0, "train.steps": 200, "train.members": 1},
        "infer": {
            "train.steps": 200,
            "train.baseline_steps": 200,
            "train.batch_simulations": 64,
            "train.runs_at_once": 1,
            "train.variance_floor": 1e-3,
            "model.encoder.name": "cnn",
            "model.encoder.hidden": 64,
            "data.simulations.train": 2000,
            "data.cache": os.path.join(folder, "cache"),
        },
    }
    return {
        name: [
            f"--config=configs/{'nri_springs.py:small' if name == 'infer' else name + '.py'}",
            *(f"--config.{field}={value}" for field, value in values.items()),
        ]
        for name, values in programs.items()
    }


def run_programs(folder: str, kato: str, chosen: list[str]) -> None:
    """Run the chosen programs of the checkout in the current folder; each writes into its own folder below `folder`."""
    folder = os.path.abspath(folder)
    for name, arguments in list_programs(folder, os.path.abspath(kato)).items():
        if name in chosen:
            workdir = f"--workdir={os.path.join(folder, name)}"
            subprocess.run([sys.executable, "-m", f"experiments.{name}", *arguments, workdir], check=True)


def compare_rows(old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the largest absolute difference of each metric, with its row, and the rows that stand in one table only.

    Metrics that differ in their horizon ("mse@1", "mse@2") count as one.
    """
    joined = old.merge(new, on=KEYS, how="outer", suffixes=("_old", "_new"), indicator="table", validate="one_to_one")
    both = joined[joined["table"] == "both"]
    before, after = both["value_old"], both["value_new"]
    difference = (before - after).abs().where(~((before.isna() & after.isna()) | (before == after)), 0.0)
    both = both.assign(
        difference=difference.fillna(math.inf),  # A value that is NaN in one table only.
        row=both[KEYS].astype(str).agg(" ".join, axis="columns"),
        metric=both["metric"].str.split("@").str[0],
    )
    largest = both.sort_values("difference").groupby("metric").last()[["difference", "row"]]
    return largest.sort_values("difference", ascending=False), joined[joined["table"] != "both"]


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
            largest, lone = compare_rows(old, new)
            print(f"{name}: {len(old):,d} and {len(new):,d} rows, {len(lone):,d} in one table only")
            print(largest.to_string(float_format="{:.2g}".format))
            if len(lone):
                print(lone.groupby(["table", "model"], observed=True).size().to_string())


if __name__ == "__main__":
    main()
