"""Trains an ensemble chunk by chunk: progress, TensorBoard curves, checkpoints, and going on where it stopped."""

import os
import time
from typing import Any

import jax
import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

from wormjax.errors import TrainingError
from wormjax.training.checkpoints import open_checkpoints, restore_state, save_state
from wormjax.training.parallel import Engine
from wormjax.training.step import Recipe, TrainState


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
    """Trains all runs to their last step and returns their states, stacked by run, on the host.

    A directory that holds a checkpoint is gone on with, and ends bit for bit where it would have ended: every step's
    randomness comes from the run and the step alone.

    Args:
      engine: from `build_engine`.
      recipe: the recipe that the engine was built with.
      data: what the objective reads; stays on the device.
      runs: the runs, stacked.
      directory: of this model; receives `checkpoints/` and `tensorboard/`.
      name: for the progress bar.
      checkpoint_seconds: the least time between two checkpoints; the end is always saved.
      stop_after_chunks: stop early after so many chunks, saved, as if interrupted there.

    Raises:
      TrainingError: the loss of a run is not finite; names the run and the step.
    """
    chunks = int(np.ceil(runs.steps.max() / recipe.steps_per_chunk))
    placed_runs = engine.place_runs(runs)
    with open_checkpoints(os.path.join(directory, "checkpoints")) as manager:
        shapes = jax.eval_shape(engine.initialise, runs)
        state = restore_state(manager, jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes))
        first = 0 if state is None else _chunks_done(state, recipe)
        if first >= chunks:
            return state
        placed_data = engine.place_data(data)
        placed = engine.place_state(jax.device_get(engine.initialise(runs)) if state is None else state)
        jax.block_until_ready((placed, placed_data))
        last = chunks if stop_after_chunks is None else min(chunks, first + stop_after_chunks)
        saved = time.monotonic()
        bar = tqdm(
            range(first, last), initial=first, total=chunks, desc=f"{name} ({len(runs.steps)} runs)", unit="chunk"
        )
        with (
            bar,
            SummaryWriter(os.path.join(directory, "tensorboard"), purge_step=first * recipe.steps_per_chunk) as writer,
        ):
            for chunk in bar:
                placed, metrics = engine.chunk(placed, placed_data, placed_runs)
                metrics = engine.collect(metrics)
                if not np.any(runs.validation_count):  # The whole of each worm trains: there is nothing to report.
                    metrics = {name: values for name, values in metrics.items() if "validation" not in name}
                _report(metrics, (chunk + 1) * recipe.steps_per_chunk, writer, bar)
                _check_finite(metrics, runs, (chunk + 1) * recipe.steps_per_chunk, name)
                if chunk + 1 == last or time.monotonic() - saved > checkpoint_seconds:
                    save_state(manager, (chunk + 1) * recipe.steps_per_chunk, engine.collect(placed))
                    saved = time.monotonic()
        return engine.collect(placed)


def _chunks_done(state: TrainState, recipe: Recipe) -> int:
    """Chunks behind the run that has come furthest; runs of fewer steps stand still by then."""
    return int(np.ceil(np.max(state.step) / recipe.steps_per_chunk))


def _report(metrics, step, writer, bar):
    """Median and extremes over runs to TensorBoard, the median validation to the progress bar."""
    for name, values in metrics.items():
        writer.add_scalar(name, np.median(values), step)
        writer.add_scalar(f"lowest of runs/{name}", np.min(values), step)
        writer.add_scalar(f"highest of runs/{name}", np.max(values), step)
    shown = [name for name in metrics if "validation" in name] or list(metrics)
    bar.set_postfix({name: f"{np.median(metrics[name]):.3g}" for name in shown})


def _check_finite(metrics, runs, step, name):
    bad = ~np.isfinite(metrics["train/loss"])
    if bad.any():
        run = int(np.argmax(bad))
        seed = np.asarray(runs.seed)[run, 0]
        raise TrainingError(f"{name}: loss not finite by step {step} in run {run} of {len(bad)} (seed {seed})")
