"""The commands of wormjax: `wormjax COMMAND` from anywhere, `python -m experiments.COMMAND` in a checkout.

Tasks are imported when their command runs, so that --help is quick.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from wormjax import command_line
from wormjax.command_line import Flag
from wormjax.errors import InputError


class Command(NamedTuple):
    """A command: its function of the flags (and of the config, where it has one), default config, and flags.

    `bare` is the flag that an argument without a flag sets; `short` are flags of a short run.
    """

    function: Callable[..., Any]
    about: str
    config: str | None
    flags: list[Flag]
    bare: str | None = None
    short: str = ""


def run_experiment(name, values, config):
    """Train, score and report what the config names, which is an experiment of the command's name."""
    from wormjax.tasks.dispatch import run_experiment

    _expect_experiment(config, name)
    run_experiment(config, values.workdir)


def _expect_experiment(config, name):
    from wormjax.tasks.dispatch import find_experiment

    if (found := find_experiment(config)) != name:
        raise InputError(f"--config: found a config of {found!r}, expected one of {name!r} (wormjax {found} takes it)")


def evaluate(values, config):
    """Print or write the rows of a work directory's models."""
    from wormjax.scoring.rows import check_output, print_rows, write_rows
    from wormjax.scoring.tables import print_means
    from wormjax.tasks.dispatch import evaluate

    check_output(values.output)
    rows = evaluate(config, values.workdir)
    if not rows:
        raise InputError(f"{values.workdir}: found nothing to score in the data, expected scored states (data.path)")
    if values.output:
        write_rows(values.output, rows)
        print_means(rows)
        print(f"\nRows: {values.output} ({len(rows)})")
    else:
        print_rows(rows)


def ablate(values, config):
    """Train and score every combination of the swept values."""
    from wormjax.tasks.decode.nested_selection import CRITERION
    from wormjax.tasks.decode.sweep import ablate, parse_sweep
    from wormjax.tasks.report_page import collect_notes, write_page

    _expect_experiment(config, "generalize")
    with collect_notes() as notes:
        ablate(config, parse_sweep(values.sweep, config), values.workdir, tuple(values.choose_by) or CRITERION)
    print(f"\nReport: {write_page(Path(values.workdir), notes)}")


def download(values):
    """Fetch a study's files; print their paths, the licence and the citation."""
    from wormjax.recordings import download

    if values.study is None:
        raise InputError(f"--study: found none, expected one of: {', '.join(download.STUDIES)}")
    manifest = download.load_manifest(values.study)
    folder = values.folder or os.path.join("recordings", values.study)
    for path in download.download_study(values.study, folder, values.base_url):
        print(path)
    atlas = f"--config.references.atlas={folder}"
    recordings = f"--config.data.study={values.study} --config.data.path={folder}"
    print(f"use them with: {atlas if values.study == 'randi2023' else recordings}")
    print(f"source:  {manifest['home']}")
    print(f"licence: {manifest['licence']}")
    print(f"cite:    {manifest['citation']}")


def predict(values):
    """Write what trained models say of recordings that nobody needs to have annotated."""
    if missing := [name for name in ("model", "data") if not values[name].value]:
        raise InputError(f"--{', --'.join(missing)}: found none, expected --model=FOLDER --data=FILE_OR_FOLDER")
    from wormjax import Reconstructor, RelationalInference, load, load_model
    from wormjax.instrument.predicting import predict
    from wormjax.tasks.report_page import collect_notes, write_page

    output = Path(values.output or Path("predictions", Path(values.data).stem))
    models = [load_model(path, values.name) for path in values.model]
    strange = [model for model in models if isinstance(model, Reconstructor | RelationalInference)]
    if strange:
        raise InputError(f"--model: found {strange[0]!r}, expected models of worms (Decoder, Forecaster)")
    with collect_notes() as notes:
        worms = load(values.reader, values.data, frame_rate=values.frame_rate)
        print("\n".join([*map(repr, models), *map(repr, worms)]))
        scores = predict(models, worms, output, values.steps, values.nwb)
    if len(scores):
        print(scores[scores.metric == "accuracy"][["model", "test_worm", "metric", "value"]].to_string(index=False))
    print(f"\nReport: {write_page(output, notes)}")


def inspect(values):
    """Print what a file of recordings holds, and which trained models it fits."""
    if not values.data:
        raise InputError("inspect: found no file, expected one: wormjax inspect FILE")
    from wormjax import load
    from wormjax.instrument.inspecting import describe_recordings, fit_models

    worms = load(values.reader, values.data, frame_rate=values.frame_rate)
    models = fit_models(worms, Path(values.models))
    print("\n".join(describe_recordings(worms)))
    print(f"\ntrained models in {values.models}:", *models, sep="\n")


def _workdir(folder: str, holds: str = "Folder that receives checkpoints, tables and figures.") -> Flag:
    return ("string", "workdir", f"runs/{folder}", holds)


READER: Flag = ("string", "reader", "auto", "Format of the recordings; auto finds it by the file.")
RATE: Flag = ("float", "frame_rate", 0.0, "Hertz, of recordings without times (csv, npz).")

# Command → what it does, and flags of a short run.
_EXPERIMENTS = {
    "generalize": (
        "Decode the motor state of held-out worms: train every model of a config, write a table and figures.",
        "--config.models=temporal_convolution --config.seeds=1 --config.train.steps=100",
    ),
    "forecast": (
        "Forecast the neural activity of held-out worms.",
        "--config.models=nri_graph --config.train.steps=50",
    ),
    "ahead": (
        "Predict the motor state of held-out worms seconds ahead.",
        "--config.models=temporal_convolution --config.train.members=1 --config.train.steps=100",
    ),
    "reconstruct": (
        "Reconstruct hidden neurons of held-out worms from their other named neurons.",
        "--config.train.members=1 --config.train.steps=100",
    ),
    "manifold": (
        "Compare PCA, asymmetric diffusion maps and relational graphs of worms with the deep models.",
        "--config.data.simulation.minutes=4 --config.relations.shifts=9 --config.tasks.ahead.train.steps=50"
        " --config.tasks.forecast.train.steps=50",
    ),
    "relate": (
        "Infer graphs between named neurons; score them against the wiring, other worms, other seeds and nulls.",
        "--config.models='()'",
    ),
    "infer": (
        "Recover the graphs of systems from their trajectories by neural relational inference.",
        "--config.models=nri --config.data.simulations.train=1000 --config.train.steps=250",
    ),
}
_CONFIGS = {"relate": "neuron_graphs", "infer": "nri_springs:small"}  # The default configs that have another name.
COMMANDS = {
    name: Command(partial(run_experiment, name), about, _CONFIGS.get(name, name), [_workdir(name)], short=short)
    for name, (about, short) in _EXPERIMENTS.items()
}
COMMANDS |= {
    "evaluate": Command(
        evaluate,
        "Restore the models of a work directory and score them, on its own recordings or on others.",
        "of_workdir:{workdir}",  # The config that the work directory was made by.
        [
            _workdir("generalize", "Folder of a trained experiment."),
            ("string", "output", None, "CSV file to write the rows to, instead of printing them."),
        ],
    ),
    "predict": Command(
        predict,
        "Decode, forecast and infer the graph of recordings with trained models; no annotation is needed.",
        None,
        [
            ("list", "model", [], "Folders of trained models: work directories, or saved from Python."),
            ("string", "data", None, "File or folder of recordings."),
            ("string", "output", None, "Folder for tables, arrays, figures (default: predictions/NAME_OF_DATA)."),
            READER,
            RATE,
            ("string", "name", None, "Which model of a work directory (default: its first)."),
            ("integer", "steps", 16, "Frames per forecast."),
            ("bool", "nwb", False, "Write decoded states as NWB files, too (pip install 'wormjax[nwb]')."),
        ],
    ),
    "inspect": Command(
        inspect,
        "Say what a file of recordings holds: worms, rate, neurons, states, what is odd, which models it fits.",
        None,
        [
            ("string", "data", None, "File or folder of recordings; wormjax inspect FILE says the same."),
            READER,
            RATE,
            ("string", "models", "runs", "Folder to look for trained models in."),
        ],
        bare="data",
    ),
    "ablate": Command(
        ablate,
        "Train and score every combination of config values; choose among them without the worm that is scored.",
        "generalize",
        [
            _workdir("ablate"),
            ("multi_string", "sweep", [], "FIELD=VALUE,VALUE,...; several make a grid."),
            ("list", "choose_by", [], "Metrics whose mean chooses (default: accuracy,balanced_accuracy)."),
        ],
    ),
    "download": Command(
        download,
        "Fetch a study's public recordings, or the signal-propagation atlas.",
        None,
        [
            ("string", "study", None, "The study: kato2015, nichols2017, dag2023 or randi2023."),
            ("string", "folder", None, "Where the files go (default: recordings/STUDY)."),
            ("string", "base_url", None, "A mirror that holds the files under their names."),
        ],
    ),
}


def run_command(name: str, argv: list[str] | None = None) -> None:
    """Run a command with the flags of the command line."""
    command, argv = COMMANDS[name], list(sys.argv if argv is None else argv)
    if command.bare and len(argv) > 1 and not argv[1].startswith("-"):
        argv[1] = f"--{command.bare}={argv[1]}"
    short = f"\n\nA short run: wormjax {name} {command.short} --workdir=runs/short" if command.short else ""
    command_line.run(command.function, command.flags, command.about + short, command.config, argv)


def main() -> None:
    """Run `wormjax COMMAND`, the console script."""
    names = [name for name in sys.argv[1:2] if not name.startswith("-")]
    if names and names[0] in COMMANDS:
        run_command(names[0], sys.argv[1:])
        return
    lines = ["wormjax COMMAND [--config=NAME_OR_FILE] [--config.FIELD=VALUE] [--FLAG=VALUE]", "", "Commands:"]
    lines += [f"  {name:<12}{command.about}" for name, command in COMMANDS.items()]
    lines += ["", "wormjax COMMAND --help lists its flags, and the fields of its config."]
    if names or not set(sys.argv[1:2]) & set(command_line.HELP):
        found = f"found the command {names[0]!r}" if names else "found no command"
        print(f"error: {found}, expected one of: {', '.join(COMMANDS)} (wormjax --help)", file=sys.stderr)
        sys.exit(command_line.EXIT_CODE)
    with command_line.one_line_errors():
        print("\n".join(lines), flush=True)
