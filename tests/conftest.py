"""What all tests share: the builders of tests/data are importable, and compilation may be quick instead of good."""

import pathlib
import sys

import jax
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "data"))


@pytest.fixture(scope="module")
def quick_compilation():
    """XLA compiles three times faster to slower code, which is still the same arithmetic."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
