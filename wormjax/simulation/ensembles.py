"""Many simulations of one system: their random keys and graphs, run in chunks at float64 by one compiled program.

Within a chunk the simulations are the last axis, adjacent in memory, so that a CPU's vector units process several at
once.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from wormjax.errors import InputError

SIMULATOR_VERSION = 1  # Raise it when springs, charges or oscillators of the same seed become others: caches carry it.


def simulate_chunks(
    system: str,
    simulate_chunk: Callable[..., tuple[Array, ...]],
    key: Array,
    simulations: int,
    objects: int,
    frames: int,
    chunk_size: int | None = None,
    **settings,
) -> tuple[Array, ...]:
    """Simulate a system in chunks at float64; simulation k depends on `key` and k alone.

    Features are returned at float32, edge types at int32 and the rest at float32, on the device.

    Args:
      system: its name, for messages.
      simulate_chunk: takes three keys per simulation [3, simulation], for its graph, its start and its noise, and as
        keywords `objects`, `frames` and `settings`; returns features, edge types and whatever else differs from system
        to system, simulations as the first axis.
      chunk_size: simulations at a time; None for a number that suits the device.
    """
    check_counts(system, simulations=simulations, objects=objects, frames=frames)
    simulate = functools.partial(simulate_chunk, objects=objects, frames=frames, **settings)
    chunk = min(simulations, chunk_size or _suit_device(objects))
    chunks = []
    for start in range(0, simulations, chunk):
        with enable_float64():
            numbers = jnp.arange(start, start + chunk, dtype=jnp.uint32)
            features, edges, *others = simulate(_split_key(key, numbers))
            others = [values.astype(jnp.float32) for values in others]
            chunks.append((features.astype(jnp.float32), edges.astype(jnp.int32), *others))
    return tuple(jnp.concatenate(parts)[:simulations] for parts in zip(*chunks, strict=True))


def _suit_device(objects):
    """Return how many simulations to run at a time: those that fit a CPU's cache, or that keep an accelerator busy."""
    least, most, pairs = (32, 256, 25_600) if jax.default_backend() == "cpu" else (256, 16_384, 2**23)
    return max(least, min(most, pairs // objects**2))


@jax.jit
def _split_key(key, numbers):
    """Return three keys for each of the numbered simulations [3, simulation]."""
    return jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number), 3), out_axes=1)(numbers)


def enable_float64():
    """Return a context in which JAX computes at float64, in this thread alone."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64()  # Before JAX 0.8.


def draw_edge_types(
    key: Array, objects: int, probabilities: Sequence[float], directed: bool
) -> Int[Array, "sender receiver"]:
    """Draw the type of each edge; both directions of a pair share one unless `directed`. The diagonal is 0."""
    ends = jnp.cumsum(jnp.asarray(probabilities))[:-1]
    types = jnp.searchsorted(ends, jax.random.uniform(key, (objects, objects)), side="right")
    if not directed:
        types = jnp.triu(types, 1) + jnp.triu(types, 1).T
    return jnp.where(jnp.eye(objects, dtype=bool), 0, types)


def check_counts(system: str, **counts: int):
    """Raise InputError for a count that is no whole number from 1 (objects: from 2)."""
    for field, value in counts.items():
        least = 2 if field == "objects" else 1
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise InputError(f"{system}, field {field!r}: found {value!r}, expected a whole number from {least}")


def check_probabilities(system: str, values: Sequence[float], probabilities: Sequence[float] | None) -> tuple:
    """Return the probability of each of the values: equal where none are given.

    InputError for fewer than two values, one twice, or probabilities that do not fit them.
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


def check_numbers(system: str, **numbers: float) -> dict[str, float]:
    """Return the numbers as floats; raise InputError for one that is negative or not finite."""
    for field, value in numbers.items():
        if not np.isfinite(value) or value < 0:
            raise InputError(f"{system}, field {field!r}: found {value!r}, expected a number from 0")
    return {field: float(value) for field, value in numbers.items()}


def check_box(system: str, box: float | None):
    """Raise InputError for a box whose half side is not above 0."""
    if box is not None and not 0 < box < float("inf"):
        raise InputError(f"{system}, field 'box': found {box!r}, expected a number above 0, or None for no box")
