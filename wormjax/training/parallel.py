"""Where an ensemble runs: one device, or several by pmap over the runs or over each batch; one process, or several.

All that the project knows of pmap is in this file. Whatever the placement, states go in and come out as one stack with
a leading run axis on the host, so that a checkpoint does not know how many devices wrote it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wormjax.errors import InputError
from wormjax.training import multihost
from wormjax.training.objectives.classification import Objective, Shard
from wormjax.training.step import Recipe, initialise_state, train_chunk

PLACEMENTS = ("single", "runs", "batch")
DEVICE_AXIS = "device"


class Engine(NamedTuple):
    """The compiled program of an ensemble, and what moves its arrays on and off the devices.

    place_data, place_runs, place_state: host arrays (state and runs stacked by run) → devices.
    initialise: host runs → state stacked by run, still to be placed. chunk: placed (state, data, runs) → placed (state,
    metrics); the old state's buffers are donated. collect: placed state or metrics → host arrays stacked by run.
    """

    place_data: Callable[[Any], Any]
    place_runs: Callable[[Any], Any]
    place_state: Callable[[Any], Any]
    initialise: Callable[[Any], Any]
    chunk: Callable[[Any, Any, Any], tuple[Any, Any]]
    collect: Callable[[Any], Any]


def build_engine(
    objective: Objective,
    recipe: Recipe,
    runs: int,
    placement: str = "single",
    devices: int = 0,
    batch: int = 0,
    runs_at_once: int = 0,
) -> Engine:
    """The engine for `runs` runs.

    Args:
      objective, recipe: what is trained, and how.
      runs: the number of runs.
      placement: "single", "runs" (each device trains its share of the runs) or "batch" (each device computes its share
        of every batch; the model must have been built with `axis_name="device"` if it normalises over the batch).
      devices: how many of this host's devices; 0 takes all, or for "batch" as many as divide the batch.
      batch: windows a batch, for the check that "batch" divides it.
      runs_at_once: runs that are vmapped at a time, the others in turn within the same program; 0 vmaps all. One or
        a few at a time keep a CPU's caches warm; a GPU wants all.

    Of several processes each has the engine of its share of the runs, whatever devices it has itself.

    Raises:
      InputError: an unknown placement, more devices than there are, or a batch that does not divide.
    """
    count = check_placement(placement, devices, batch)
    if placement == "batch":
        return _batch_engine(objective, recipe, count, runs_at_once)
    share = multihost.share_of_runs(runs)
    engine = _own_engine(objective, recipe, len(share), placement, count, runs_at_once)
    return engine if jax.process_count() == 1 else _share_engine(engine, share, runs)


def _own_engine(objective, recipe, runs, placement, count, runs_at_once) -> Engine:
    """The engine of the runs that this process trains."""
    count = min(count, runs)  # A device without a run of its own would only train a copy, and slow the others.
    if placement == "runs" and count > 1:
        return _runs_engine(objective, recipe, runs, count, runs_at_once)
    return _single_engine(objective, recipe, runs_at_once)


def check_placement(placement: str, devices: int = 0, batch: int = 0, batch_field: str = "batch_windows") -> int:
    """The number of devices that a placement takes; arguments and errors as of `build_engine`."""
    if placement not in PLACEMENTS:
        expected = f"expected one of {', '.join(PLACEMENTS)}"
        raise InputError(f"config field 'train.placement': found {placement!r}, {expected}")
    there = jax.local_device_count()
    if devices > there:
        raise InputError(
            f"config field 'train.devices': found {devices}, expected at most {there}, which this host has"
        )
    if placement == "batch" and jax.process_count() > 1:
        expected = "expected 'runs' or 'single' where several processes train (distributed.num_processes)"
        raise InputError(f"config field 'train.placement': found 'batch', {expected}")
    count = devices or there
    if placement == "batch" and not devices:  # As many as share the batch evenly.
        count = max(number for number in range(1, there + 1) if batch % number == 0)
    if placement == "batch" and batch % count:
        raise InputError(f"config field 'train.{batch_field}': found {batch}, expected a multiple of {count} devices")
    return count


def _over_runs(chunk, runs_at_once):
    """A chunk of one run → a chunk of a stack of runs that share the data."""
    if not runs_at_once:
        return jax.vmap(chunk, in_axes=(0, None, 0))

    def mapped(states, data, runs):
        size = min(runs_at_once, len(runs.seed))
        size = None if size == 1 else size
        return jax.lax.map(lambda pair: chunk(pair[0], data, pair[1]), (states, runs), batch_size=size)

    return mapped


def _share_engine(engine: Engine, share: np.ndarray, runs: int) -> Engine:
    """An engine of this process's share of the runs → one of all runs; every process must call it alike."""

    def take(tree):
        return jax.tree.map(lambda x: np.asarray(x)[share], tree)

    def collect(tree):
        return jax.tree.map(lambda x: x[:runs], multihost.gather(engine.collect(tree)))

    return engine._replace(
        place_runs=lambda tree: engine.place_runs(take(tree)),
        place_state=lambda tree: engine.place_state(take(tree)),
        collect=collect,
    )


def _single_engine(objective, recipe, runs_at_once) -> Engine:
    device = jax.local_devices()[0]

    def chunk(state, data, run):
        return train_chunk(objective, recipe, state, data, run)

    return Engine(
        place_data=lambda tree: jax.device_put(tree, device),
        place_runs=lambda tree: jax.device_put(tree, device),
        place_state=lambda tree: jax.device_put(tree, device),
        initialise=_initialiser(objective, recipe),
        chunk=jax.jit(_over_runs(chunk, runs_at_once), donate_argnums=0),
        collect=jax.device_get,
    )


def _runs_engine(objective, recipe, runs, count, runs_at_once) -> Engine:
    """Each device trains runs // count of the runs, rounded up; the last run fills the places left over."""
    share = -(-runs // count)
    chosen = np.minimum(np.arange(share * count), runs - 1).reshape(count, share)

    def place(tree):
        return _spread(jax.tree.map(lambda x: np.asarray(x)[chosen], tree), count)

    def collect(tree):
        joined = jax.tree.map(lambda x: x.reshape(share * count, *x.shape[2:]), jax.device_get(tree))
        return jax.tree.map(lambda x: x[:runs], joined)

    def chunk(state, data, run):
        return train_chunk(objective, recipe, state, data, run)

    return Engine(
        place_data=lambda tree: _replicate(tree, count),
        place_runs=place,
        place_state=place,
        initialise=_initialiser(objective, recipe),
        # Without the name of the axis the program is compiled anew in the second chunk.
        chunk=jax.pmap(
            _over_runs(chunk, runs_at_once), axis_name=DEVICE_AXIS, devices=_devices(count), donate_argnums=0
        ),
        collect=collect,
    )


def _batch_engine(objective, recipe, count, runs_at_once) -> Engine:
    """Every device holds every run and computes its part of each batch; sums of gradients keep the states equal."""

    def chunk(state, data, run):
        shard = Shard(jax.lax.axis_index(DEVICE_AXIS), count, DEVICE_AXIS)
        return train_chunk(objective, recipe, state, data, run, shard)

    def collect(tree):
        return jax.tree.map(lambda x: np.asarray(x[0]), tree)

    return Engine(
        place_data=lambda tree: _replicate(tree, count),
        place_runs=lambda tree: _replicate(tree, count),
        place_state=lambda tree: _replicate(tree, count),
        initialise=_initialiser(objective, recipe, DEVICE_AXIS),
        chunk=jax.pmap(
            _over_runs(chunk, runs_at_once), axis_name=DEVICE_AXIS, devices=_devices(count), donate_argnums=0
        ),
        collect=collect,
    )


def _initialiser(objective, recipe, axis_name=None):
    """Runs → their states before the first step, made on one device wherever they will live."""
    initialise = jax.vmap(lambda run: initialise_state(objective, recipe, run))
    if axis_name is None:
        return jax.jit(initialise)
    on_axis = jax.pmap(initialise, axis_name=axis_name, devices=_devices(1))  # For a model that normalises over it.

    def initialise_on_axis(runs):
        states = on_axis(jax.tree.map(lambda x: jnp.asarray(x)[None], runs))
        return jax.tree.map(lambda x: x[0], states)

    return initialise_on_axis


def _devices(count):
    return jax.local_devices()[:count]


def _replicate(tree, count):
    return _spread(jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (count, *np.shape(x))), tree), count)


def _spread(tree, count):
    """Host arrays [device, ...] → each part on its device, there before this returns."""
    sharding = NamedSharding(Mesh(np.array(_devices(count)), (DEVICE_AXIS,)), PartitionSpec(DEVICE_AXIS))
    return jax.block_until_ready(jax.tree.map(lambda x: jax.device_put(x, sharding), tree))
