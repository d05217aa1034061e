"""Several processes, on one machine or on many, that train one ensemble: each its share of the runs.

`jax.distributed` starts from the config's section `distributed`. Every process runs the same program on the same
recordings and the same workdir (a folder that all of them see); the first alone writes, fits baselines and reports.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from wormjax.errors import ConfigError

AUTOMATIC = "auto"  # The address, number and place of the processes as Slurm, Open MPI or a TPU pod gives them.


def start_processes(config) -> None:
    """Join the processes that a config's section `distributed` describes; do nothing without one.

    The section has `coordinator_address` ("" for a single process, "auto", or HOST:PORT of the first process),
    `num_processes` and `process_id` (0 is the first), as of `jax.distributed.initialize`. InputError for numbers that
    cannot be, and for processes that could not be joined.
    """
    section = config.get("distributed", None)
    address = section.coordinator_address if section else ""
    if not address or jax.distributed.is_initialized():
        return
    where = {}
    if address != AUTOMATIC:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            expected = f"expected HOST:PORT, {AUTOMATIC!r}, or '' for one process"
            raise ConfigError("distributed.coordinator_address", f"found {address!r}, {expected}")
        count, number = section.num_processes, section.process_id
        if not 0 <= number < count:
            raise ConfigError(
                "distributed.process_id", f"found {number}, expected 0 to {count - 1} (below distributed.num_processes)"
            )
        where = {"coordinator_address": address, "num_processes": count, "process_id": number}
    # Its own handler of SIGTERM would take the place of ours.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(**where)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            "distributed.coordinator_address",
            f"the processes at {address!r} could not be joined "
            f"({reason[-1]}), expected {section.num_processes} of them, all begun within five minutes",
        ) from None


def is_first() -> bool:
    """Return whether this process is the one that writes: the first, or the only one."""
    return jax.process_index() == 0


def wait_for_all(name: str) -> None:
    """Return when every process has come to the same place."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


@contextmanager
def first_goes_ahead(name: str) -> Iterator[None]:
    """Run the block in the first process, and only then in the others, which then find what it has written."""
    if not is_first():
        wait_for_all(name)
    yield
    if is_first():
        wait_for_all(name)


def agree(stop: bool, *others: bool) -> tuple[bool, ...]:
    """Return what all processes do: stop as soon as one has to stop; for all else the values of the first."""
    if jax.process_count() == 1:
        return stop, *others
    flags = gather(np.array([stop, *others], np.int32)[None])
    return bool(flags[:, 0].any()), *(bool(flag) for flag in flags[0, 1:])


def gather(tree: Any) -> Any:
    """Join host arrays with a leading axis, of one shape in every process, in the order of the processes."""
    from jax.experimental import multihost_utils

    return jax.tree.map(np.asarray, multihost_utils.process_allgather(tree, tiled=True))


def share_of_runs(runs: int) -> np.ndarray:
    """Return the runs of this process; every process has as many, so the last run fills the places left over."""
    share = -(-runs // jax.process_count())
    return np.minimum(np.arange(share) + jax.process_index() * share, runs - 1)
