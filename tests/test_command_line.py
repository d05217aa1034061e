"""A user's mistake on the command line is one line on stderr, and exit code 2."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = """
from absl import flags
from wormjax.command_line import define_config, run
from wormjax.errors import InputError

CONFIG = define_config("config.py")
FAIL = flags.DEFINE_bool("fail", False, "fail")

def main(_):
    if FAIL.value:
        raise InputError("a.mat: field 'traces': found\\nnothing")
    print(CONFIG.value.seed, CONFIG.value.data.path, CONFIG.value.train.learning_rate)

if __name__ == "__main__":
    run(main)
"""
CONFIG = """
import ml_collections

def get_config():
    config = ml_collections.ConfigDict({"seed": 0, "data": {"path": "here"}, "train": {"learning_rate": 0.1}})
    config.train.steps = ml_collections.config_dict.placeholder(int)
    return config
"""


@pytest.fixture
def run_program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "other.py").write_text(CONFIG.replace('"seed": 0', '"seed": 7'))
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")

    def run(*arguments):
        command, environment = [sys.executable, "program.py", *arguments], os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return run


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "0 here 0.1"),
        (["--config.seed=3", "--config.data.path=there"], "3 there 0.1"),
        (["--config=other.py", "--config.train.learning_rate=0.5"], "7 here 0.5"),
        (["--config", "other.py", "--config.seed", "4"], "4 here 0.1"),
    ],
)
def test_the_config_and_its_overrides(run_program, arguments, printed):
    done = run_program(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail"], "a.mat: field 'traces': found nothing"),
        (["--config.sed=1"], "--config.sed: found no such config field, did you mean 'seed'?"),
        (["--config.train.lerning_rate=1"], "did you mean 'train.learning_rate'?"),
        (["--config.learning_rate=1"], "did you mean 'train.learning_rate'?"),
        (["--config.zzz=1"], "expected one of: data, data.path, seed, train"),
        (["--config.seed=one"], "--config.seed=one"),
        (["--config.train=1"], "--config.train=1"),
        (["--fial"], "Unknown command line flag 'fial'"),
        (["--config=absent.py"], "found no config that loads at 'absent.py'"),
        (["--config=broken.py"], "broken.py does not load: ModuleNotFoundError"),
        (["word"], "found the argument 'word'"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(run_program, arguments, message):
    failed = run_program(*arguments)
    assert failed.returncode == 2
    assert failed.stdout == ""
    lines = failed.stderr.strip().splitlines()
    assert len(lines) == 1, failed.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
