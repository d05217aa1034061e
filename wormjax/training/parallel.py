"""Devices that an ensemble trains on: one, or several that share the runs or each batch (`shard_map` or `pmap`).

Whatever the placement, states go in and come out as host arrays with a leading run axis, so a checkpoint does not
depend on the devices that wrote it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wormjax.errors import ConfigError
from wormjax.training import multihost
from wormjax.training.objectives.classification import Objective, Shard
from wormjax.training.step import Recipe, initialise_state, train_chunk

PLACEMENTS = ("single", "runs", "batch")
DEVICE_AXIS = "device"
# On a CPU updates are no faster for more of LLVM's effort than its first level, which compiles them in up to 30 % less
# time. What runs once is compiled quickly instead of well: in a fifth to a third of the time.
UPDATES = {"xla_backend_optimization_level": 1}
RUN_ONCE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class Engine(NamedTuple):
    """The compiled program of an ensemble, and the functions that move its arrays."""

    initialise: Callable[[Any], Any]  # Runs → states before the first step, both stacked by run.
    place_runs: Callable[[Any], Any]  # Host arrays stacked by run (runs or states) → devices.
    place_data: Callable[[Any], Any]  # Host arrays that all runs share → devices.
    # Placed (states, data, runs) → placed (states, metrics). The buffers of the old states are donated.
    chunk: Callable[[Any, Any, Any], tuple[Any, Any]]
    collect: Callable[[Any], Any]  # Placed states or metrics → host arrays stacked by run.


def build_engine(
    objective: Objective,
    recipe: Recipe,
    runs: int,
    placement: str = "single",
    devices: int = 0,
    batch: int = 0,
    runs_at_once: int = 0,
    pmap: bool = False,
) -> Engine:
    """Return the engine of an ensemble. Where several processes train, each trains its share of the runs.

    Args:
      placement: "single" (one device), "runs" (each device trains its share of the runs) or "batch" (each device
        computes its share of every batch; a model that normalises over the batch needs `axis_name="device"`).
      devices: number of this host's devices; 0 takes all, or for "batch" as many as divide the batch.
      batch: windows per batch, to check that the devices divide it.
      runs_at_once: runs that a device trains at a time, vmapped; the others follow in the same program. 0 chooses by
        backend: 1 on a CPU, whose caches stay warm; all on a GPU or TPU.
      pmap: compile with `jax.pmap` in place of `jax.shard_map`. The states are the same.

    InputError for more devices than there are, or devices that do not divide the batch.
    """
    count = check_placement(placement, devices, batch)
    by_batch = placement == "batch"
    own = np.arange(runs) if by_batch else multihost.share_of_runs(runs)
    if not by_batch:
        # A device without a run of its own would train a copy and slow the others.
        count = min(count, len(own)) if placement == "runs" else 1
    mesh = Mesh(np.array(jax.local_devices()[:count]), (DEVICE_AXIS,))
    shared = PartitionSpec()
    by_run = shared if by_batch else PartitionSpec(DEVICE_AXIS)

    on_cpu = jax.default_backend() == "cpu"
    over_runs = functools.partial(_over_runs, runs_at_once=runs_at_once or (1 if on_cpu else runs))

    def program(states, data, stacked):
        shard = Shard(jax.lax.axis_index(DEVICE_AXIS), count, DEVICE_AXIS) if by_batch else Shard()
        return train_chunk(objective, recipe, states, data, stacked, shard, over_runs)

    def initialise(stacked):
        return jax.vmap(lambda run: initialise_state(objective, recipe, run))(stacked)

    if pmap:
        compiled = _compile_pmap(program, mesh, by_run)
    else:
        if by_batch or count > 1:
            program = _shard(program, mesh, (by_run, shared, by_run), (by_run, by_run))
        good = on_cpu and not jax.config.read("jax_disable_most_optimizations")
        compiled = jax.jit(program, donate_argnums=0, compiler_options=UPDATES if good else None)
    if by_batch:  # A model that normalises over the axis needs one to be initialised.
        initialise = _shard(initialise, Mesh(mesh.devices[:1], (DEVICE_AXIS,)), (shared,), shared)
    # Every device gets as many runs; the last run fills the places left over.
    padded = own if by_batch else own[np.minimum(np.arange(-(-len(own) // count) * count), len(own) - 1)]

    def place(tree, spec):
        return jax.block_until_ready(jax.device_put(tree, NamedSharding(mesh, spec)))

    def collect(tree):
        host = jax.tree.map(lambda x: x[: len(own)], jax.device_get(tree))
        return host if jax.process_count() == 1 else jax.tree.map(lambda x: x[:runs], multihost.gather(host))

    return Engine(
        initialise=jax.jit(initialise, compiler_options=RUN_ONCE if on_cpu else None),
        place_runs=lambda tree: place(jax.tree.map(lambda x: np.asarray(x)[padded], tree), by_run),
        place_data=lambda tree: place(tree, shared),
        chunk=compiled,
        collect=collect,
    )


def check_placement(placement: str, devices: int = 0, batch: int = 0, batch_field: str = "batch_windows") -> int:
    """Return the number of devices that a placement takes; arguments and errors as of `build_engine`."""
    there = jax.local_device_count()
    if devices > there:
        raise ConfigError("train.devices", f"found {devices}, expected at most {there}, which this host has")
    if placement == "batch" and jax.process_count() > 1:
        expected = "expected 'runs' or 'single' where several processes train (distributed.num_processes)"
        raise ConfigError("train.placement", f"found 'batch', {expected}")
    count = devices or there
    if placement == "batch" and not devices:  # As many as share the batch evenly.
        count = max(number for number in range(1, there + 1) if batch % number == 0)
    if placement == "batch" and batch % count:
        raise ConfigError(f"train.{batch_field}", f"found {batch}, expected a multiple of {count} devices")
    return count


def _over_runs(chunk, runs_at_once):
    """Turn a chunk of one run into a chunk of a stack of runs that share the data."""

    def mapped(states, data, runs):
        count = len(runs.seed)
        if 1 < count <= runs_at_once:
            return jax.vmap(chunk, in_axes=(0, None, 0))(states, data, runs)
        size = min(runs_at_once, count)
        size = None if size == 1 else size
        return jax.lax.map(lambda pair: chunk(pair[0], data, pair[1]), (states, runs), batch_size=size)

    return mapped


def _shard(function, mesh, in_specs, out_specs):
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def _compile_pmap(program, mesh, by_run):
    """Compile a program of runs with `jax.pmap`, which takes and returns arrays [device, run, ...]."""
    count, axis = mesh.size, 0 if len(by_run) else None
    mapped = jax.pmap(
        lambda states, data, runs, _: program(states, data, runs),
        axis_name=DEVICE_AXIS,
        in_axes=(axis, None, axis, 0),  # At least one argument must be mapped.
        out_axes=axis,
        devices=list(mesh.devices),
        donate_argnums=0,
    )

    def fold(tree):
        return jax.tree.map(lambda x: x.reshape(count, len(x) // count, *x.shape[1:]), tree) if len(by_run) else tree

    def unfold(tree):
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree) if len(by_run) else tree

    return lambda states, data, runs: unfold(mapped(fold(states), data, fold(runs), np.arange(count)))
