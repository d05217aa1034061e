"""A program that starts once more with large pages is the same program: process, arguments, environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wormjax import startup

ROOT = Path(__file__).parents[1]
MADVISE = "always [madvise] never\n"
PROGRAM = """
import os, sys
print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), sys.argv[1:], sys.flags.dev_mode)
"""


@pytest.mark.parametrize("choices", ["", "[always] madvise never\n", "always madvise [never]\n"])
def test_nothing_is_set_where_linux_leaves_no_choice(choices):
    assert startup.add_setting({}, choices) is None


@pytest.mark.parametrize("value", ["0", "1", "2"])
def test_a_choice_that_was_made_stays(value):
    assert startup.add_setting({"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={value}"}, MADVISE) is None


def test_other_tunables_stay():
    before = {"HOME": "/home", "GLIBC_TUNABLES": "glibc.malloc.check=3"}
    after = startup.add_setting(before, MADVISE)
    assert after == {"HOME": "/home", "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.hugetlb=1"}
    assert startup.add_setting(after, MADVISE) is None  # Or it would start for ever.


@pytest.fixture
def program(tmp_path):
    """A package that begins as experiments/ does, on a machine that leaves the choice."""
    package = tmp_path / "programs"
    package.mkdir()
    (tmp_path / "enabled").write_text(MADVISE)
    begin = (ROOT / "experiments/__init__.py").read_text()
    path = str(tmp_path / "enabled")
    choose = f"import pathlib, wormjax.startup\nwormjax.startup._CHOICES = pathlib.Path({path!r})\n"
    (package / "__init__.py").write_text(choose + begin)
    (package / "show.py").write_text(PROGRAM)

    def start(*arguments, **environment):
        kept = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
        kept["PYTHONPATH"] = os.pathsep.join((str(tmp_path), str(ROOT)))
        process = subprocess.Popen([sys.executable, *arguments], env=kept | environment, stdout=subprocess.PIPE)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return process.pid, output.decode().strip()

    return start


def test_a_program_starts_once_more_as_itself(program):
    pid, output = program("-X", "dev", "-m", "programs.show", "--workdir=with blank", "*")
    assert output == f"{pid} glibc.malloc.hugetlb=1 ['--workdir=with blank', '*'] True"


def test_a_program_that_was_told_starts_once(program):
    pid, output = program("-m", "programs.show", GLIBC_TUNABLES="glibc.malloc.hugetlb=0")
    assert output == f"{pid} glibc.malloc.hugetlb=0 [] False"


def test_an_import_starts_nothing(program):
    pid, output = program("-c", "import programs.show")
    assert output == f"{pid} None [] False"
