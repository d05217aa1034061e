"""The programs from the command line: what they write, print and refuse. Each start costs seconds, so they are few."""

import csv
import os
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
from recording_files import write_kato
from small_experiments import make_worms

from wormjax.recordings import container

ROOT = pathlib.Path(__file__).parents[2]
HEADER = "model,study,train_worms,test_study,test_worm,seed,metric,value"
SMALL = [
    "--config.seeds=1",
    "--config.data.simulation.worms=2",
    "--config.data.simulation.minutes=3",
    "--config.baselines=('lda',)",
    "--config.models=('nri_graph',)",
    "--config.model.nri_graph.channels=4",
    "--config.model.nri_graph.dilations=(1,)",
    "--config.split.block=48",
    "--config.split.gap=4",
    "--config.train.steps=4",
    "--config.train.epochs=0",
    "--config.train.steps_per_chunk=2",
    "--config.train.members=1",
    "--config.train.window_frames=16",
    "--config.train.batch_windows=4",
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


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workdir of experiments.generalize on simulated worms, and what the program printed."""
    workdir = tmp_path_factory.mktemp("programs") / "run"
    return workdir, succeed("generalize", "--config=configs/generalize.py", f"--workdir={workdir}", *SMALL)


def test_generalize_writes_rows_summary_and_figures(trained):
    workdir, done = trained
    lines = (workdir / "results.csv").read_text().splitlines()
    assert lines[0] == HEADER
    rows = list(csv.DictReader(lines))
    assert {row["model"] for row in rows} == {"nri_graph", "lda"}
    assert {(row["train_worms"], row["test_worm"]) for row in rows} == {
        ("simulated-0-01", "simulated-0-02"),
        ("simulated-0-02", "simulated-0-01"),
    }
    metrics = {row["metric"] for row in rows}
    assert metrics >= {"accuracy", "balanced_accuracy", "auroc", "nll", "calibration_error"}
    assert np.isfinite([float(row["value"]) for row in rows]).all()
    summary = (workdir / "summary.md").read_text()
    assert r"nri\_graph" in summary
    assert "lda" in summary
    assert "data:image/png" in (workdir / "report.html").read_text()
    assert done.stdout.splitlines()[-1] == f"Report: {workdir / 'report.html'}"
    figures = {path.name: path.stat().st_size for path in (workdir / "figures").iterdir()}
    expected = "accuracy_by_training_worms confusions ethogram_nri_graph".split()
    assert figures.keys() >= {f"{name}.png" for name in expected}
    chance = any(r"nri\_graph" in line and "no better than chance" in line for line in summary.splitlines())
    assert ("graph_nri_graph.png" in figures) == (not chance)
    assert min(figures.values()) > 5000
    assert (workdir / "models" / "nri_graph" / "curves.csv").stat().st_size
    assert "nri_graph" in done.stdout
    assert not [path for path in workdir.rglob("*") if "partial" in path.name]


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_writes_the_same_rows(trained):
    workdir, _ = trained
    before = contents(workdir)
    (workdir / "results.csv").unlink()
    done = succeed("generalize", f"--workdir={workdir}", *SMALL)
    assert "chunk" not in done.stderr  # No progress bar.
    after = contents(workdir)
    assert after[workdir / "results.csv"] == before[workdir / "results.csv"]
    checkpoints = {path for path in before if "checkpoints" in path.parts}
    assert {path: after.get(path) for path in checkpoints} == {path: before[path] for path in checkpoints}


def test_evaluate_prints_the_rows_of_training(trained):
    workdir, _ = trained
    assert succeed("evaluate", f"--workdir={workdir}").stdout == (workdir / "results.csv").read_text()


@pytest.mark.slow
def test_evaluate_writes_the_rows_of_training(trained, tmp_path):
    workdir, _ = trained
    expected = (workdir / "results.csv").read_text()
    done = succeed("evaluate", f"--workdir={workdir}", f"--output={tmp_path / 'rows.csv'}")
    assert (tmp_path / "rows.csv").read_text() == expected
    assert "accuracy" in done.stdout
    assert f"Rows: {tmp_path / 'rows.csv'}" in done.stdout


@pytest.mark.slow
def test_another_config_in_the_same_workdir_is_refused(trained):
    workdir, _ = trained
    before = contents(workdir)
    done = run("generalize", f"--workdir={workdir}", *SMALL, "--config.train.dropout=0.77")
    assert_refused(done, "config.json", "'train.dropout'", "expected 0.77", "--workdir")
    assert contents(workdir) == before


@pytest.mark.slow
def test_ablate_writes_a_row_for_every_combination(tmp_path):
    small = [field for field in SMALL if "nri_graph" not in field] + ["--config.models=('mlp',)"]
    sweep = ["--sweep=train.dropout=0,0.3", "--sweep=model.mlp.hidden=3,4"]
    succeed("ablate", f"--workdir={tmp_path / 'run'}", *small, *sweep)
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").read_text().splitlines()))
    names = {f"mlp [hidden={hidden}, dropout={rate}]" for hidden in (3, 4) for rate in (0.0, 0.3)}
    assert {row["model"] for row in rows} == names
    refused = run("ablate", f"--workdir={tmp_path / 'other'}", *small, "--sweep=train.droput=1,2")
    assert_refused(refused, "--sweep", "'train.droput'")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_truncated_recording_is_refused_and_no_workdir_made(tmp_path):
    write_kato(tmp_path / "WT_NoStim.mat")
    whole = (tmp_path / "WT_NoStim.mat").read_bytes()
    (tmp_path / "WT_NoStim.mat").write_bytes(whole[: len(whole) // 2])
    data = ["--config.data.study=kato2015", f"--config.data.path={tmp_path / 'WT_NoStim.mat'}"]
    done = run("generalize", f"--workdir={tmp_path / 'run'}", *SMALL, *data)
    assert_refused(done, "WT_NoStim.mat")
    assert not (tmp_path / "run").exists()


def break_nothing(path):
    container.write(path, make_worms(2))


def break_names(path):
    container.write(path, [*make_worms(1), *make_worms(1, first=1, neurons=("RID", "RIS"))])


def break_traces(path):
    break_nothing(path)
    with h5py.File(path, "r+") as file:
        file["worm_1/traces"][5, 2] = 1e300


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "fields", "words"),
    [
        (break_nothing, ["--config.train.dropuot=0.1"], ["--config.train.dropuot", "'train.dropout'"]),
        (break_nothing, ["--config.models=('mlpp',)"], ["'models'", "'mlpp'"]),
        (break_nothing, ["--config.train.window_frames=2000"], ["train.window_frames", "2000", "worm 0"]),
        (break_names, [], ["worm 0", "worm 1", "AVAL"]),
        (break_traces, [], ["worms.h5", "'worm 0'", "'traces'", "found 1e+300"]),
    ],
)
def test_a_mistake_is_one_line_and_no_workdir(damage, fields, words, tmp_path):
    damage(tmp_path / "worms.h5")
    data = ["--config.data.study=container", f"--config.data.path={tmp_path / 'worms.h5'}"]
    assert_refused(run("generalize", f"--workdir={tmp_path / 'run'}", *SMALL, *data, *fields), *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_evaluate_without_a_workdir_is_refused(tmp_path):
    assert_refused(run("evaluate", f"--workdir={tmp_path / 'none'}"), "--workdir: found no folder", "work directory")
    assert not (tmp_path / "none").exists()
