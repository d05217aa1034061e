"""Calls of a compiled function on many examples, in chunks of one size, so that it is compiled once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def map_chunks(function: Callable[[Any], Any], arrays: Any, size: int) -> Any:
    """Return what a function returns for all examples, called on `size` of them at a time.

    Each number of examples would be a shape of its own, and a compilation of its own. The last chunk is filled up with
    copies of the last example, whose results are dropped.

    Args:
      function: arrays [size, ...] → arrays [size, ...]; each example's result depends on that example alone.
      arrays: a tree of host arrays [example, ...], at least one example.

    Returns:
      A tree of host arrays [example, ...].
    """
    count = len(jax.tree.leaves(arrays)[0])
    parts = []
    for start in range(0, count, size):
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        parts.append(jax.device_get(function(jax.tree.map(lambda x, chosen=chosen: np.asarray(x)[chosen], arrays))))
    return jax.tree.map(lambda *own: np.concatenate(own)[:count], *parts)
