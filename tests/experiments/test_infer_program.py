"""experiments.infer from the command line: what it writes, prints and refuses; in process in test_infer_networks."""

import csv
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from small_systems import make_splits, write_reference

pytestmark = pytest.mark.slow  # Each start costs seconds.

ROOT = pathlib.Path(__file__).parents[2]
HEADER = "model,study,train_worms,test_study,test_worm,seed,metric,value"
SMALL = [
    "--config.data.frames=12",
    "--config.model.encoder.hidden=8",
    "--config.model.decoder.hidden=8",
    "--config.models=('nri',)",
    "--config.baselines=('static', 'correlation')",
    "--config.train.steps=4",
    "--config.train.steps_per_chunk=2",
    "--config.train.batch_simulations=8",
    "--config.train.segments=2",
    "--config.train.devices=1",
    "--config.evaluate.steps=(1, 4)",
]


def run(program, *arguments):
    environment = os.environ | {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "WORMJAX_DATA_DIR": "",
    }
    command = [sys.executable, "-m", f"experiments.{program}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def succeed(program, *arguments):
    done = run(program, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def assert_refused(done, *words):
    assert done.returncode == 2, done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of the reference's files."""
    folder = tmp_path_factory.mktemp("systems")
    write_reference(folder, make_splits())
    return folder


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A workdir of experiments.infer, and what the program printed."""
    workdir = tmp_path_factory.mktemp("programs") / "run"
    data = f"--config.data.path={folder}"
    return workdir, succeed("infer", "--config=configs/nri_springs.py:small", f"--workdir={workdir}", data, *SMALL)


def test_infer_writes_rows_summary_and_figures(trained):
    workdir, done = trained
    lines = (workdir / "results.csv").read_text().splitlines()
    assert lines[0] == HEADER
    rows = list(csv.DictReader(lines))
    metrics = {
        name: {row["metric"] for row in rows if row["model"] == name} for name in ("nri", "static", "correlation")
    }
    assert metrics["nri"] >= {"edge_accuracy", "auroc", "mse@1", "mse@4"}
    assert metrics["static"] == {"mse@1", "mse@4"}
    assert metrics["correlation"] >= {"edge_accuracy", "auroc"}
    assert np.isfinite([float(row["value"]) for row in rows]).all()
    assert "nri" in (workdir / "summary.md").read_text()
    assert "nri" in done.stdout
    figures = {path.name: path.stat().st_size for path in (workdir / "figures").iterdir()}
    assert figures.keys() >= {"confusions.png", "graphs.png", "roll_out_error.png", "trajectories.png"}
    assert min(figures.values()) > 5000
    assert (workdir / "models" / "nri" / "curves.csv").stat().st_size
    assert not [path for path in workdir.rglob("*") if "partial" in path.name]


def test_a_second_call_trains_nothing_and_writes_the_same_rows(trained, folder):
    workdir, _ = trained
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    (workdir / "results.csv").unlink()
    data = f"--config.data.path={folder}"
    done = succeed("infer", "--config=configs/nri_springs.py:small", f"--workdir={workdir}", data, *SMALL)
    assert "chunk" not in done.stderr  # No progress bar.
    assert (workdir / "results.csv").read_bytes() == before[workdir / "results.csv"]
    checkpoints = [path for path in before if "checkpoints" in path.parts]
    assert {path: path.read_bytes() for path in checkpoints} == {path: before[path] for path in checkpoints}


def test_evaluate_prints_the_rows_of_training(trained):
    workdir, _ = trained
    assert succeed("evaluate", f"--workdir={workdir}").stdout == (workdir / "results.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.train.rollout=3"], ["--config.train.rollout", "'train.roll_out'"]),
        (["--config.train.roll_out=12"], ["'train.roll_out'", "found 12", "'exact'", "expected 1"]),
        (["--config.data.suffix=charged5"], ["charged5"]),
    ],
)
def test_a_mistake_is_one_line_and_no_workdir(folder, tmp_path, arguments, words):
    data = f"--config.data.path={folder}"
    assert_refused(run("infer", f"--workdir={tmp_path / 'run'}", data, *SMALL, *arguments), *words)
    assert not (tmp_path / "run").exists()
