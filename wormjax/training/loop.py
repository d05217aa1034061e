"""Train an ensemble chunk by chunk: progress, curves, checkpoints, stopping, and going on where it stopped."""

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from tqdm import tqdm

from wormjax.errors import TrainingError
from wormjax.training import multihost
from wormjax.training.checkpoints import open_checkpoints, restore_state, save_state
from wormjax.training.curves import append_curves, cut_curves
from wormjax.training.parallel import Engine
from wormjax.training.preemption import Stopped, keep_last_chunk, saving, stop_requested, stopping_at_chunks
from wormjax.training.progress import describe_left, describe_place, estimate_left, track
from wormjax.training.step import FAILED_STEP, Recipe, TrainState, is_sound

CURVES_FILE = "curves.csv"
LONG_CHUNK = 1.0  # Seconds; a chunk that takes longer may not end in time when the process must.


def train_ensemble(
    engine: Engine,
    recipe: Recipe,
    data: Any,
    runs: Any,
    directory: str | os.PathLike,
    name: str = "model",
    checkpoint_seconds: float = 60.0,
    stop_after_chunks: int | None = None,
) -> TrainState:
    """Train all runs to their last step and return their states, stacked by run, on the host.

    Training continues from a checkpoint in the directory and ends bit for bit where it would have ended: every step's
    randomness comes from the run and the step alone. Of several processes each trains its share of the runs, and the
    first writes.

    Args:
      engine, recipe: from `build_engine`, and what it was built with.
      data: what the objective reads; stays on the device.
      directory: of this model; receives `checkpoints/` and `curves.csv`.
      name: for the progress bar.
      checkpoint_seconds: the least time between two checkpoints; the end is always saved.
      stop_after_chunks: stop after this number of chunks, saved, as if interrupted there.

    Raises:
      TrainingError: the loss or the parameters of a run are not finite. Such a run stands still where it was sound last
        while the others go on; at the end the error names run, step and checkpoint.
      Stopped: the process was asked to end, and the last whole chunk is saved.
      InputError: a checkpoint could not be read or written.
    """
    chunks = int(np.ceil(runs.steps.max() / recipe.steps_per_chunk))
    folder = os.path.join(directory, "checkpoints")
    os.makedirs(folder, exist_ok=True)
    with open_checkpoints(folder, read_only=not multihost.is_first()) as manager:
        shapes = jax.eval_shape(engine.initialise, runs)
        restored = restore_state(manager, jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes))
        step, state = (0, None) if restored is None else restored
        first = step // recipe.steps_per_chunk
        last = chunks if stop_after_chunks is None else min(chunks, first + stop_after_chunks)
        if state is None or (first < chunks and np.any(is_sound(state.failed_step))):
            state = jax.device_get(engine.initialise(runs)) if state is None else state
            keep = _make_keeper(engine, manager, checkpoint_seconds)
            about = f"{describe_place(name)} ({len(runs.steps)} run{'s' * (len(runs.steps) > 1)})"
            bar = track(range(first, last), about, "chunk", initial=first, total=chunks)
            curves = os.path.join(directory, CURVES_FILE)
            if multihost.is_first():
                cut_curves(curves, step)
            with stopping_at_chunks(), bar:
                state = _train_chunks(engine, recipe, data, runs, state, bar, curves, keep, name)
        if last == chunks or not np.any(is_sound(state.failed_step)):
            _refuse_failed(state, runs, manager, name)
        return state


def train_in_memory(
    engine: Engine,
    recipe: Recipe,
    data: Any,
    runs: Any,
    name: str = "model",
    progress: bool = True,
    initial: Any = None,
) -> TrainState:
    """Train all runs to their last step and return their states, stacked by run, on the host; write nothing.

    The states are those of `train_ensemble`, whose arguments these are. `initial` variables, stacked by run, take the
    place of random ones. TrainingError where the loss or the parameters of a run are not finite.
    """
    chunks = int(np.ceil(runs.steps.max() / recipe.steps_per_chunk))
    state = jax.device_get(engine.initialise(runs))
    if initial is not None:
        state = state._replace(variables=initial, average=initial["params"], best=initial)
    with track(range(chunks), describe_place(name), "chunk", progress) as bar:
        state = _train_chunks(engine, recipe, data, runs, state, bar, None, lambda placed, step, done: done, name)
    failed = np.flatnonzero(~is_sound(state.failed_step))
    if len(failed):
        described = _describe_failed(failed[0], state.failed_step, runs)
        raise TrainingError(f"{name}: {described}; a lower train.learning_rate helps")
    return state


def _train_chunks(engine, recipe, data, runs, state: TrainState, bar, curves, keep, name) -> TrainState:
    """Train chunk by chunk of the bar, report and keep what comes of each; return the state at the end, on the host."""
    failed_step, placed_runs = state.failed_step, engine.place_runs(runs)
    placed, placed_data = engine.place_runs(state), engine.place_data(data)
    jax.block_until_ready((placed, placed_data))
    first, stop, begun = bar.iterable.start, bar.iterable.stop, time.monotonic()
    for chunk in bar:
        step = (chunk + 1) * recipe.steps_per_chunk
        placed, metrics = engine.chunk(placed, placed_data, placed_runs)
        metrics = engine.collect(metrics)
        before, failed_step = failed_step, metrics.pop(FAILED_STEP)
        for run in np.flatnonzero(is_sound(before) & ~is_sound(failed_step)) if multihost.is_first() else ():
            tqdm.write(f"warning: {name}: {_describe_failed(run, failed_step, runs)}; it stands still", file=sys.stderr)
        left = (time.monotonic() - begun) / (chunk + 1 - first) * (stop - chunk - 1)
        bar.set_postfix_str(f"{_report(metrics, failed_step, runs, step, curves)}{describe_left(estimate_left(left))}")
        done = keep(placed, step, chunk + 1 == stop or not np.any(is_sound(failed_step)))
        if done and chunk + 1 < stop:  # The last chunk ends the loop by itself, so that the bar is full.
            break
    return engine.collect(placed)


def _make_keeper(engine, manager: ocp.CheckpointManager, checkpoint_seconds: float) -> Callable[[Any, int, bool], bool]:
    """Return a function that runs after each chunk: (placed state, step, whether all is done) → whether training ends.

    It saves a chunk where it is time to, and keeps a long one for a sudden end; it raises Stopped where the process was
    asked to end.
    """
    saved = begun = time.monotonic()

    def keep(placed, step: int, done: bool) -> bool:
        nonlocal saved, begun
        now = time.monotonic()
        stop, due, long = multihost.agree(stop_requested(), now - saved > checkpoint_seconds, now - begun > LONG_CHUNK)
        begun = now
        if done or due or stop:
            _save(manager, step, engine.collect(placed))
            saved = now
        elif long:
            copies = jax.tree.map(np.array, engine.collect(placed))  # The devices go on in the same memory.
            keep_last_chunk(functools.partial(_save, manager, step, copies))
        if stop:
            raise Stopped
        return done

    return keep


def _save(manager: ocp.CheckpointManager, step: int, state: TrainState):
    """Save a state, in the first process only."""
    if multihost.is_first():
        with saving():
            save_state(manager, step, state)
            keep_last_chunk(None)


def _report(metrics, failed_step, runs, step, curves) -> str:
    """Write median and extremes over sound runs to the curves; return the median validation in words."""
    sound = is_sound(failed_step)
    if not sound.any():
        return ""
    points = {}
    for name, values in metrics.items():
        points[name] = np.median(values[sound])
        points[f"lowest of runs/{name}"] = np.min(values[sound])
        points[f"highest of runs/{name}"] = np.max(values[sound])
    if curves is not None and multihost.is_first():
        append_curves(curves, step, points)
    shown = [name for name in metrics if "validation" in name and np.isfinite(points[name])] or list(metrics)
    return ", ".join(f"{name} {points[name]:.3g}" for name in shown)


def _describe_failed(run, failed_step, runs) -> str:
    seed = np.asarray(runs.seed)[run, 0]
    return f"a number that is not finite at step {failed_step[run]} of run {run} of {len(failed_step)} (seed {seed})"


def _refuse_failed(state: TrainState, runs, manager, name):
    """Raise TrainingError where a run of a state that is saved has failed."""
    failed = np.flatnonzero(~is_sound(state.failed_step))
    if not len(failed):
        return
    run, path = failed[0], os.path.join(manager.directory, str(manager.latest_step()))
    others = len(state.failed_step) - len(failed)
    more = f", and in {len(failed) - 1} more runs" if len(failed) > 1 else ""
    raise TrainingError(
        f"{name}: {_describe_failed(run, state.failed_step, runs)}{more}; the last good checkpoint is {path}, which "
        f"has run {run} after {state.step[run]} steps" + (f" and {others} sound runs to their end" if others else "")
    )
