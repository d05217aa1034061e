"""Every numerical kernel has a float64 reference: the list of kernels is complete, and so is each entry.

A kernel is a public function, or a class with methods, that computes with jax (jnp, lax, jax.nn, jax.random, flax), or
that takes or returns arrays of the device: found in the source, so that a new one without a reference fails here.
"""

import ast
import pathlib

import pytest
from numerical_kernels import EXCEPTIONS, KERNELS

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = ("graphs.py", "models", "training", "simulation", "features", "baselines", "scoring", "figures", "tasks")
MODULES = ("jnp", "nn", "lax", "jraph", "optax")
PARTS = ("nn", "random", "lax", "scipy", "numpy", "grad", "value_and_grad", "custom_vjp", "vmap", "pmap")
WHOLE = ("numpy", "float64", "exact")


def list_files():
    for source in SOURCES:
        path = ROOT / "wormjax" / source
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def computes(node):
    """Whether a piece of source names anything of JAX that computes, or an array of the device."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            if part.value.id == "jax" and part.attr in PARTS:
                return True
        elif isinstance(part, ast.Name) and part.id in (*MODULES, "Array"):
            return True
    return False


def find_kernels(path):
    """The public functions and classes of a file that compute, themselves or by the file's private functions."""
    defined = {
        node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    found = {name for name, node in defined.items() if computes(node)}
    while True:
        private = {name for name in found if name.startswith("_")}
        callers = {
            name
            for name, node in defined.items()
            if any(isinstance(part, ast.Name) and part.id in private for part in ast.walk(node))
        }
        if callers <= found:
            break
        found |= callers
    methods = [name for name in found if not _holds_arrays_only(defined[name])]
    module = path.relative_to(ROOT / "wormjax").with_suffix("").as_posix().replace("/", ".")
    return {f"{module}.{name}" for name in methods if not name.startswith("_")}


def _holds_arrays_only(node):
    return isinstance(node, ast.ClassDef) and not any(isinstance(part, ast.FunctionDef) for part in node.body)


@pytest.fixture(scope="module", name="found")
def all_kernels():
    return set().union(*(find_kernels(path) for path in list_files()))


def test_every_kernel_has_a_reference_or_a_reason(found):
    assert len(found) > 80
    missing = sorted(found - KERNELS.keys() - EXCEPTIONS.keys())
    assert not missing, f"no float64 reference (tests/data/numerical_kernels.py): {', '.join(missing)}"


def test_no_entry_is_of_what_is_not_there(found):
    assert not sorted((KERNELS.keys() | EXCEPTIONS.keys()) - found)
    assert not KERNELS.keys() & EXCEPTIONS.keys()


def test_a_new_kernel_would_be_found(tmp_path, monkeypatch):
    monkeypatch.setattr("test_float64_references.ROOT", tmp_path)
    path = tmp_path / "wormjax" / "models" / "new.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "def by_name(x):\n    return jnp.exp(x)\n\n\ndef _part(x):\n    return jax.nn.softmax(x)\n\n\n"
        "def by_part(x):\n    return _part(x)\n\n\ndef by_type(x: Float[Array, 'a']):\n    return x * x\n\n\n"
        "def neither(x):\n    return jax.device_get(x)\n\n\nclass Held(NamedTuple):\n    x: Float[Array, 'a']\n"
    )
    assert find_kernels(path) == {"models.new.by_name", "models.new.by_part", "models.new.by_type"}


@pytest.mark.parametrize("name", KERNELS)
def test_the_test_that_an_entry_names_is_there(name):
    kernel = KERNELS[name]
    file, _, function = kernel.test.partition("::")
    source = (ROOT / file).read_text()
    assert kernel.reference in WHOLE
    if function:
        tests = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        assert function in tests
    else:  # Its cases are named as the kernels, wholly or by the parts of an f-string.
        assert f'"{name}"' in source or f'f"{name.rpartition(".")[0]}.' in source


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_a_kernel_without_a_reference_has_a_reason(name):
    assert len(EXCEPTIONS[name].split()) >= 3
