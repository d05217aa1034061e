"""A user's mistake on the command line is one line on stderr, and exit code 2."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from wormjax import command_line

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = """
from wormjax.command_line import run
from wormjax.errors import InputError

def main(values, config):
    if values.fail:
        raise InputError("a.mat: field 'traces': found\\nnothing")
    if values.compute:
        import jax.numpy as jnp
        print(jnp.ones(3).sum())
    print(config.seed, config.data.path, config.train.learning_rate, config.models, values.workdir)

if __name__ == "__main__":
    flags = [("bool", "fail", False, "Fail."), ("bool", "compute", False, "Use JAX.")]
    run(main, [*flags, ("string", "workdir", "runs", "Folder.")], "A program.", "config.py")
"""
CONFIG = """
import ml_collections

print("executed")

def get_config():
    config = ml_collections.ConfigDict()
    config.seed = 0  # Of all.
    config.data = ml_collections.ConfigDict({"path": "here"})
    # Every model
    # of this list.
    config.models = ("lda",)
    config.train = ml_collections.ConfigDict({"learning_rate": 0.1, "keep": False})
    config.train.steps = ml_collections.config_dict.placeholder(int)
    return config
"""


@pytest.fixture
def run_program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "other.py").write_text(CONFIG.replace("seed = 0", "seed = 7"))
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")

    def run(*arguments, **variables):
        command = [sys.executable, "program.py", *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
        environment |= {"PYTHONPATH": str(ROOT), "HOME": "/home/me"} | variables
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return run


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "0 here 0.1 ('lda',) runs"),
        (["--config.seed=3", "--config.data.path=there"], "3 there 0.1 ('lda',) runs"),
        (["--config=other.py", "--config.train.learning_rate=0.5"], "7 here 0.5 ('lda',) runs"),
        (["--config", "other.py", "--config.seed", "4", "--config.train.keep"], "4 here 0.1 ('lda',) runs"),
        (["--workdir=~/x", "--config.data.path=~/y", "--noconfig.train.keep"], "0 /home/me/y 0.1 ('lda',) /home/me/x"),
        (["--config.models=mlp,recurrent", "--config.seed=1e3"], "1000 here 0.1 ('mlp', 'recurrent') runs"),
        (["--config.models=('mlp',)", "--config.train.steps=7"], "0 here 0.1 ('mlp',) runs"),
        (["--config.models=mlp", "--config.train.learning_rate=1"], "0 here 1.0 ('mlp',) runs"),
    ],
)
def test_the_config_and_its_overrides(run_program, arguments, printed):
    done = run_program(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["executed", printed, ""]  # The config file is executed once.


def test_help_lists_flags_and_fields_with_their_comments(run_program):
    done = run_program("--help", "--config=other.py")
    assert done.returncode == 0
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "--workdir=runs  Folder." in lines
    assert "seed=7  # Of all." in lines
    assert "models=('lda',)  # Every model of this list." in lines
    assert "train.keep=False" in lines


def test_a_platform_without_a_device_is_one_line(run_program):
    failed = run_program("--compute", JAX_PLATFORMS="cuda")
    if failed.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-1].startswith("error: JAX_PLATFORMS: found 'cuda'")
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(("variables", "folder"), [({}, "wormjax"), ({"JAX_COMPILATION_CACHE_DIR": "mine"}, "mine")])
def test_compiled_programs_are_kept_in_the_users_cache_folder(run_program, tmp_path, variables, folder):
    always = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "XDG_CACHE_HOME": str(tmp_path)}
    assert run_program("--compute", **always, **variables).returncode == 0
    assert any(path.is_file() for path in (tmp_path / folder).rglob("*-cache"))


WITHOUT_POSIX = """
import signal, sys
import orbax.checkpoint
sys.modules["resource"] = sys.modules["fcntl"] = None
for name in ("SIGKILL", "SIGALRM", "SIGXCPU", "SIGXFSZ", "SIGUSR1", "SIGHUP", "set_wakeup_fd"):
    delattr(signal, name)
from wormjax.command_line import run
import experiments.benchmarks.nri, experiments.benchmarks.scale, experiments.benchmarks.manifold
sys.platform = "win32"
flags = [("string", "workdir", "runs", "Folder.")]
run(lambda values, _: print(values.workdir), flags, "", "nri_springs:small", ["program", "--workdir=here"])
"""


def test_a_system_without_posix_signals_and_limits():
    done = subprocess.run([sys.executable, "-c", WITHOUT_POSIX], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "here" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail"], "a.mat: field 'traces': found nothing"),
        (["--config.sed=1"], "--config.sed: found no such config field, did you mean 'seed'?"),
        (["--config.train.lerning_rate=1"], "did you mean 'train.learning_rate'?"),
        (["--config.learning_rate=1"], "did you mean 'train.learning_rate'?"),
        (["--config.workdir=x"], "did you mean --workdir=x?"),
        (["--config.zzz=1"], "found no such config field, expected one of: data, models, seed"),
        (["--config.data.zzz=1"], "--config.data.zzz: found no such config field, expected one of: data.path"),
        (["--config.seed=one"], "--config.seed=one: expected a whole number"),
        (["--config.seed=1.5"], "--config.seed=1.5: expected a whole number"),
        (["--config.models=('mlp'"], "expected values"),
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
    assert failed.stdout in ("", "executed\n")
    lines = failed.stderr.strip().splitlines()
    assert len(lines) == 1, failed.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_x64_is_switched_off_and_it_is_said(capsys):
    jax.config.update("jax_enable_x64", True)
    try:
        command_line.use_float32()
        assert not jax.config.read("jax_enable_x64")
        assert capsys.readouterr().err.startswith("note: JAX_ENABLE_X64 is switched off")
        command_line.use_float32()
        assert capsys.readouterr().err == ""
    finally:
        jax.config.update("jax_enable_x64", False)
