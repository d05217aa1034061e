"""Nothing is ever unpickled: a file that is opened must not be able to run anything. Orbax, HDF5, JSON and CSV only."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = sorted(path for folder in ("wormjax", "experiments", "configs") for path in (ROOT / folder).rglob("*.py"))
RUN_CONTENT = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
CALLS = {"eval", "exec", "__import__", "read_pickle"}


def find_dangers(source: str) -> list[str]:
    """What in a program's text could run the content of a file, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or "", *(alias.name for alias in node.names)]
        found += [(node.lineno, name) for name in modules if name.partition(".")[0] in RUN_CONTENT]
        if isinstance(node, ast.Attribute) and node.attr in RUN_CONTENT:
            found.append((node.lineno, node.attr))
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
            found += [(node.lineno, name)] * (name in CALLS)
            if name == "load" and len(node.args) > 2:  # numpy.load's third argument is allow_pickle.
                found.append((node.lineno, "a third argument of load"))
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle" and not is_false(keyword.value):
                    found.append((node.lineno, "allow_pickle"))
    return [f"line {line}: {name}" for line, name in found]


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_no_program_runs_the_content_of_a_file():
    assert len(PROGRAM) > 50
    found = {str(path.relative_to(ROOT)): find_dangers(path.read_text(encoding="utf-8")) for path in PROGRAM}
    assert {path: dangers for path, dangers in found.items() if dangers} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, marshal as m",
        "from joblib import load",
        "from numpy.compat import pickle\npickle.loads(b'')",
        "import numpy as np\nnp.load('a', allow_pickle=True)",
        "np.load('a', None, allow_pickle=flag)",
        "np.load('a', None, True)",
        "def f():\n    from dill import loads",
        "eval(text)",
        "__import__('pickle')",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert find_dangers(source)


def test_the_search_passes_what_is_safe():
    assert not find_dangers("import json\nimport numpy as np\nnp.load('a', allow_pickle=False)\nmodel.load('a')")
