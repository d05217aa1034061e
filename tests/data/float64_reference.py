"""A function at float32 against the same at float64, and against plain numpy: errors of values and of gradients.

An error is relative to the largest entry of its array, or to a hundredth of the largest entry of all arrays where that
is more: a bias whose gradient is zero but for rounding has no relative error.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from numerical_kernels import KERNELS

from wormjax.simulation.ensembles import enable_float64

SMALLEST_SHARE = 1e-2
PLAIN = 1e-9  # What float64 in JAX may differ from float64 in numpy: another order of sums.
STEP = 1e-6  # Of finite differences.


def widen(tree: Any) -> Any:
    """All floating-point numbers as float64 and whole numbers as int64, in numpy."""

    def convert(leaf):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        leaf = np.asarray(leaf)
        wide = {np.dtype(np.float32): np.float64, np.dtype(np.int32): np.int64}
        return leaf.astype(wide.get(leaf.dtype, leaf.dtype))

    return jax.tree.map(convert, tree)


@contextlib.contextmanager
def same_draws() -> Iterator[None]:
    """Within `enable_float64`: random numbers are those that are drawn at float32, and so are whole numbers."""
    original = {name: getattr(jax.random, name) for name in ("normal", "uniform", "bernoulli", "randint")}

    def normal(key, shape=(), dtype=None):
        return original["normal"](key, shape, jnp.float32).astype(jnp.float64)

    def uniform(key, shape=(), dtype=None):
        return original["uniform"](key, shape, jnp.float32).astype(jnp.float64)

    def gumbel(key, shape=(), dtype=None):
        drawn = original["uniform"](key, shape, jnp.float32, jnp.finfo(jnp.float32).tiny, 1.0)
        return -jnp.log(-jnp.log(drawn.astype(jnp.float64)))

    def bernoulli(key, p=0.5, shape=None):
        return original["bernoulli"](key, jnp.asarray(p, jnp.float32), shape)

    def randint(key, shape, low, high, dtype=None):
        return original["randint"](key, shape, low, high, jnp.int32).astype(jnp.int64)

    with mock.patch.multiple(
        jax.random, normal=normal, uniform=uniform, gumbel=gumbel, bernoulli=bernoulli, randint=randint
    ):
        yield


def run_with_gradient(function: Callable, trained: Any, *others: Any, gradient: bool = True) -> tuple[Any, Any]:
    """Outputs, and the gradient in `trained` of their sum with random weights; {} where no gradient is asked for."""

    def weigh(trained, *others):
        outputs = function(trained, *others)
        total = 0.0
        for number, leaf in enumerate(jax.tree.leaves(outputs)):
            if jnp.issubdtype(leaf.dtype, jnp.floating):
                weights = np.random.default_rng(number).normal(size=leaf.shape).astype(np.float32)
                total += (leaf * weights).sum()
        return total, outputs

    if not gradient:
        return jax.device_get(jax.jit(function)(trained, *others)), {}
    (_, outputs), gradients = jax.jit(jax.value_and_grad(weigh, has_aux=True))(trained, *others)
    return jax.device_get(outputs), jax.device_get(gradients)


def run_at_float64(function: Callable, trained: Any, *others: Any, gradient: bool = True) -> tuple[Any, Any]:
    """`run_with_gradient` at float64, on the random numbers of float32."""
    with enable_float64(), same_draws():
        result = run_with_gradient(function, *jax.tree.map(jnp.asarray, widen((trained, *others))), gradient=gradient)
    assert {np.asarray(leaf).dtype for leaf in jax.tree.leaves(result)} <= {
        np.dtype(kind) for kind in ("float64", "int64", "int32", "bool")
    }
    return result


def measure_error(found: Any, exact: Any) -> float:
    """The largest error of any entry of any array, relative as this module says."""
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True))
    if not pairs:
        return 0.0
    assert all(np.shape(a) == np.shape(b) for a, b in pairs)
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in pairs if np.size(a)]
    assert all(np.isfinite(a).all() and np.isfinite(b).all() for a, b in pairs)
    largest = max(abs(b).max() for _, b in pairs)
    if largest == 0.0:
        return max(abs(a).max() for a, _ in pairs)
    return max(abs(a - b).max() / max(abs(b).max(), SMALLEST_SHARE * largest) for a, b in pairs)


def check_kernel(
    name: str,
    function: Callable,
    trained: Any,
    *others: Any,
    reference: Callable | None = None,
    gradient: bool = True,
    plain: float = PLAIN,
):
    """Asserts that a kernel of the table is as exact at float32 as the table says, with its gradient in `trained`.

    Args:
      name: of the kernel.
      function: (trained, others) → arrays.
      trained, others: float32 and whole numbers.
      reference: the same in plain numpy, of float64.
      gradient: False for what is not differentiated.
      plain: what float64 in JAX may differ by from numpy; more where a part is float32 at all times.
    """
    tolerance = KERNELS[name]
    found = run_with_gradient(function, trained, *others, gradient=gradient)
    exact = run_at_float64(function, trained, *others, gradient=gradient)
    errors = [measure_error(*pair) for pair in zip(found, exact, strict=True)]
    print(f"error {name} {errors[0]:.1e} of {tolerance.value:.0e}", end="")
    print(f", gradient {errors[1]:.1e} of {tolerance.gradient:.0e}" if gradient else "")
    if reference is not None:
        _check_plainly(reference, exact, *widen((trained, *others)), gradient=gradient, plain=plain)
    assert errors[0] <= tolerance.value
    if gradient:
        assert errors[1] <= tolerance.gradient


def _check_plainly(reference, exact, trained, *others, gradient, plain):
    """The float64 run against numpy, its gradient against numpy's differences in a random direction."""
    outputs, gradients = exact
    assert measure_error(outputs, reference(trained, *others)) < plain
    if not gradient:
        return
    random = np.random.default_rng(99)
    direction = jax.tree.map(lambda leaf: random.normal(size=np.shape(leaf)), trained)
    moved = []
    for sign in (1.0, -1.0):
        there = jax.tree.map(lambda leaf, way, sign=sign: leaf + sign * STEP * way, trained, direction)
        values = jax.tree.leaves(reference(there, *others))
        weights = [np.random.default_rng(k).normal(size=np.shape(v)).astype(np.float32) for k, v in enumerate(values)]
        moved.append(sum((np.asarray(v) * w).sum() for v, w in zip(values, weights, strict=True)))
    slope = sum(jax.tree.leaves(jax.tree.map(lambda leaf, way: (leaf * way).sum(), gradients, direction)))
    size = sum(abs(leaf * way).sum() for leaf, way in zip(*map(jax.tree.leaves, (gradients, direction)), strict=True))
    assert abs((moved[0] - moved[1]) / (2.0 * STEP) - slope) < 1e-5 * size
