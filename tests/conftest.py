"""What all tests share: the builders of tests/data are importable, and compilation may be quick instead of good."""

import atexit
import gc
import importlib.metadata
import os
import pathlib
import shutil
import sys
import tempfile

# Compiling takes most of the tests' time: XLA compiles three times faster to slower code of the same arithmetic. Set
# before JAX is imported; programs that tests start inherit it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# A program that is compiled once is there for all processes of a session.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="wormjax-compiled-")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import jax
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "data"))

# XLA's older code generator for CPUs compiles small programs a third faster, and a third faster again where no program
# is split to be compiled by several threads. A flag that XLA does not know ends the process, so these are set for
# versions that have been tried; they count from the first use of a device on.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick}".strip()


# Files that take longest: begun first, so that no core waits for one of them at the end.
LONGEST = (
    "test_parallel",
    "test_preemption",
    "test_estimators",
    "test_infer_networks",
    "test_user_systems",
    "test_programs",
    "test_reconstruct_program",
    "test_forecasting_objective",
    "test_forecast_program",
    "test_ahead_program",
    "test_manifold_program",
    "test_nri_sampled",
    "test_loop",
    "test_mutations",
    "test_any_neurons_decoder",
    "test_imperfect_forecasts",
)


def pytest_collection_modifyitems(items):
    """Puts the tests of `LONGEST` files first; all others stay in their order."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_sessionstart():
    """Collect no garbage while tests are imported: what is imported stays."""
    gc.disable()


def pytest_collection_finish():
    """Leave what has been imported out of garbage collection, which would otherwise walk through it again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="module")
def quick_compilation():
    """XLA compiles three times faster to slower code, which is still the same arithmetic."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
