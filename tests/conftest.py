"""What all tests share: the builders of tests/data are importable, and compilation may be quick instead of good."""

import importlib.metadata
import os
import pathlib
import sys

# Compiling takes most of the tests' time: XLA compiles three times faster to slower code of the same arithmetic. Set
# before JAX is imported; programs that tests start inherit it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import jax
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "data"))

# XLA's older code generator for CPUs compiles small programs a third faster. A flag that XLA does not know ends the
# process, so it is set for versions that have been tried; it counts from the first use of a device on.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()


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


@pytest.fixture(scope="module")
def quick_compilation():
    """XLA compiles three times faster to slower code, which is still the same arithmetic."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
