"""A function of one run and one system for every run (stacked parameters) and system; one of examples in chunks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np


def map_systems(
    infer: Callable[..., Any], runs: Any, systems: Sequence[Any], own: Sequence[Any] = (), at_once: int = 128
) -> Any:
    """Return what `infer` makes of each run and system, as arrays [run, system, ...].

    `infer` takes a run's variables (`runs`, stacked), and then what it has of one system: of each of `systems` [system,
    ...], and of each of `own` [run, system, ...], or None. `at_once`: systems that are run at a time.
    """

    def infer_runs(runs, systems, own):  # Arrays as arguments: XLA takes its time over constants.
        def infer_run(run):
            variables, own = run
            inputs = (*systems, *own)
            return jax.lax.map(lambda system: infer(variables, *system), inputs, batch_size=at_once)

        return jax.lax.map(infer_run, (runs, own))

    return jax.jit(infer_runs)(runs, tuple(systems), tuple(own))


def map_chunks(function: Callable[[Any], Any], arrays: Any, size: int) -> Any:
    """Return what a compiled function returns for all examples, called on `size` of them at a time: compiled once.

    The last chunk is filled up with copies of the last example, whose results are dropped.

    Args:
      function: arrays [size, ...] → arrays [size, ...]; each example's result depends on that example alone.
      arrays: a tree of host arrays [example, ...], at least one example; so is what is returned.
    """
    count, parts = len(jax.tree.leaves(arrays)[0]), []
    for start in range(0, count, size):
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        parts.append(jax.device_get(function(jax.tree.map(lambda x, chosen=chosen: np.asarray(x)[chosen], arrays))))
    return jax.tree.map(lambda *own: np.concatenate(own)[:count], *parts)
