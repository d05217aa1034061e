"""Many simulations of one kind: their random keys and graphs, run in chunks at float64 by one compiled program.

Inside a chunk the simulations stand on the last axis: neighbours in memory, so that a CPU's vector units work on
several at once.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from wormjax.errors import InputError


def simulate_chunks(
    simulate: Callable[[Array], tuple[Array, Array]],
    key: Array,
    simulations: int,
    objects: int,
    chunk_size: int | None = None,
) -> tuple[Float[Array, "simulation frame object feature"], Int[Array, "simulation sender receiver"]]:
    """Runs `simulate` on some simulations at a time, at float64; simulation k depends on `key` and k alone.

    Args:
      simulate: takes three keys a simulation [3, simulation]: of its graph, its start and its noise; returns features
        and edge types, the simulations first.
      key: a JAX random key.
      simulations, objects: how many.
      chunk_size: simulations at a time; None for what suits the device.

    Returns:
      Features at float32 and edge types at int32, on the device.
    """
    chunk = min(simulations, chunk_size or _suit_device(objects))
    features, edges = [], []
    for start in range(0, simulations, chunk):
        with enable_float64():
            numbers = jnp.arange(start, start + chunk, dtype=jnp.uint32)
            chunk_features, chunk_edges = simulate(_split_key(key, numbers))
            features.append(chunk_features.astype(jnp.float32))
            edges.append(chunk_edges.astype(jnp.int32))
    return jnp.concatenate(features)[:simulations], jnp.concatenate(edges)[:simulations]


def _suit_device(objects):
    """Simulations at a time: on a CPU what its cache takes, on an accelerator what keeps it busy."""
    least, most, pairs = (32, 256, 25_600) if jax.default_backend() == "cpu" else (256, 16_384, 2**23)
    return max(least, min(most, pairs // objects**2))


@jax.jit
def _split_key(key, numbers):
    """Three keys for each of the simulations of these numbers [3, simulation]."""
    return jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number), 3), out_axes=1)(numbers)


def enable_float64():
    """A context in which JAX computes at float64, for this thread alone."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64()  # Before JAX 0.8.


def draw_edge_types(
    key: Array, objects: int, probabilities: Sequence[float], directed: bool
) -> Int[Array, "sender receiver"]:
    """Draws each pair's edge type; one draw serves both ways unless `directed`. The diagonal is of type 0.

    Args:
      key: a JAX random key.
      objects: how many.
      probabilities: of each type.
      directed: whether the two ways of a pair are drawn apart.
    """
    ends = jnp.cumsum(jnp.asarray(probabilities))[:-1]
    types = jnp.searchsorted(ends, jax.random.uniform(key, (objects, objects)), side="right")
    if not directed:
        types = jnp.triu(types, 1) + jnp.triu(types, 1).T
    return jnp.where(jnp.eye(objects, dtype=bool), 0, types)


def check_counts(system: str, **counts: int):
    """Raises InputError for a count that is no whole number from 1 (objects: from 2)."""
    for field, value in counts.items():
        least = 2 if field == "objects" else 1
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise InputError(f"{system}, field {field!r}: found {value!r}, expected a whole number from {least}")


def check_probabilities(system: str, values: Sequence[float], probabilities: Sequence[float] | None) -> tuple:
    """The probability of each of the values: all alike where none are given.

    Raises:
      InputError: fewer than two values, one twice, or probabilities that do not fit them.
    """
    if len(values) < 2 or len(set(values)) != len(values) or not np.isfinite(values).all():
        raise InputError(f"{system}: found the strengths {tuple(values)}, expected two or more different numbers")
    if probabilities is None:
        return (1.0 / len(values),) * len(values)
    given = np.asarray(probabilities, float)
    if given.shape != (len(values),) or not (given >= 0).all() or abs(given.sum() - 1.0) > 1e-6:
        expected = f"{len(values)} numbers from 0 that sum to 1"
        raise InputError(f"{system}, field 'probabilities': found {tuple(probabilities)}, expected {expected}")
    return tuple(float(p) for p in given)


def check_numbers(system: str, **numbers: float):
    """Raises InputError for a number that is negative or not finite."""
    for field, value in numbers.items():
        if not np.isfinite(value) or value < 0:
            raise InputError(f"{system}, field {field!r}: found {value!r}, expected a number from 0")


def check_box(system: str, box: float | None):
    """Raises InputError for a box whose half side is not above 0."""
    if box is not None and not 0 < box < float("inf"):
        raise InputError(f"{system}, field 'box': found {box!r}, expected a number above 0, or None for no box")
