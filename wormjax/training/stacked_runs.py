"""A function of one run and one system, for every run (parameters stacked by run) and every system."""

from collections.abc import Callable, Sequence
from typing import Any

import jax


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
