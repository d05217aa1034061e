"""The commands of wormjax are one table, read by the console script and by the programs of experiments/."""

import importlib
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from wormjax import command_line, commands
from wormjax.tasks.config_checks import check_fields

ROOT = pathlib.Path(__file__).parents[1]


def run_wormjax(*arguments, cwd):
    command = [sys.executable, "-c", "from wormjax.commands import main; main()", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def test_help_lists_the_commands_and_imports_no_task(tmp_path):
    done = run_wormjax("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in commands.COMMANDS)
    check = (
        "import sys, wormjax.commands; print([name for name in sys.modules if name.startswith(('jax', 'wormjax.t'))])"
    )
    assert subprocess.check_output([sys.executable, "-c", check], cwd=ROOT, text=True).strip() == "[]"


def test_help_of_a_command_lists_fields_anywhere(tmp_path):
    done = run_wormjax("generalize", "--help", cwd=tmp_path)
    assert "--workdir=runs/generalize" in done.stdout
    assert "  train.steps=400" in done.stdout
    assert "data.path=''  # The file or folder." in done.stdout


def test_short_runs_that_help_names_set_fields_that_there_are(capsys):
    short = {name: command for name, command in commands.COMMANDS.items() if command.short}
    assert short.keys() == commands.COMMANDS.keys() - {"evaluate", "predict", "inspect", "ablate", "download"}
    for name, command in short.items():
        commands.run_command(name, [name, "--help"])
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("A short run: "))
        words = shlex.split(line.removeprefix("A short run: wormjax "))
        values, config = command_line.parse(words, command.flags, command.config)
        check_fields(config)
        assert (words[0], values.workdir) == (name, "runs/short")


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise on Windows")
@pytest.mark.parametrize("arguments", [["--help"], ["generalize", "--help"]])
def test_a_reader_that_has_enough_is_no_error(arguments, tmp_path):
    reader, output = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", "from wormjax.commands import main; main()", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.PIPE, text=True)
    os.close(output)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("arguments", [[], ["generalise"]])
def test_a_command_that_is_none_is_one_line(arguments, tmp_path):
    failed = run_wormjax(*arguments, cwd=tmp_path)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: found ")
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "config"), [("ahead", "forecast"), ("generalize", "nri_springs"), ("ablate", "ahead")]
)
def test_a_config_of_another_command_is_one_line(command, config, capsys):
    with pytest.raises(SystemExit):
        commands.run_command(command, [command, f"--config={config}", "--workdir=never"])
    assert "error: --config: found a config of" in capsys.readouterr().err


def test_evaluate_without_a_workdir_is_one_line(tmp_path):
    failed = run_wormjax("evaluate", f"--workdir={tmp_path / 'none'}", cwd=tmp_path)
    assert failed.returncode == 2
    assert failed.stderr.startswith(f"error: --workdir: found no folder '{tmp_path / 'none'}'")


def test_every_program_of_experiments_is_a_command_and_all_can_be_imported_together():
    programs = {path.stem for path in (ROOT / "experiments").glob("*.py")} - {"__init__"}
    assert programs == commands.COMMANDS.keys()
    for name in programs:
        importlib.import_module(f"experiments.{name}")
