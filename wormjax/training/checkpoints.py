"""Orbax checkpoints of an ensemble's state, as host arrays: whatever devices wrote one, any device restores it.

Orbax writes a checkpoint beside its place and renames it, so that one is whole or absent; a checksum that is kept in
it reveals later damage. Where the latest is damaged, training says so, sets it aside and goes on from the one before.
"""

import contextlib
import functools
import gc
import hashlib
import logging
import os
import pathlib
import shutil
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import flax.serialization
import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import empty_node, flatten_dict, unflatten_dict

from wormjax.errors import InputError

CHECKSUM = "sha256"  # The name of the checksum, among the arrays that it is of.
UNFINISHED = ".orbax-checkpoint-tmp"  # In the name of what Orbax has not yet renamed.
DISK_ERRORS = ("No space left on device", "File too large", "Read-only file system", "Disk quota exceeded")


def open_checkpoints(directory: str | os.PathLike, keep: int = 2, read_only: bool = False) -> ocp.CheckpointManager:
    """Return the manager of one model's checkpoints; `keep` of the latest stay.

    Only one manager at a time may write: what an earlier one has left unfinished is removed. Those that are `read_only`
    change nothing, and may read what another process is writing. InputError for a folder that cannot be made or written
    to.
    """
    directory = pathlib.Path(os.path.abspath(directory))
    own = jax.process_index() if jax.process_count() > 1 else None
    try:
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
            _clear_unfinished(directory)
        with _quiet():
            options = ocp.CheckpointManagerOptions(
                max_to_keep=None if read_only else keep,
                create=False,
                read_only=read_only,
                enable_async_checkpointing=False,
                # Of several processes one writes, which waits for no other.
                multiprocessing_options=ocp.options.MultiprocessingOptions(own or 0, own if own is None else {own}),
            )
            return ocp.CheckpointManager(directory, options=options, item_handlers=ocp.PyTreeCheckpointHandler())
    except OSError as error:
        raise InputError(f"{directory}: {error.strerror}, expected a folder to keep checkpoints in") from error


def save_state(manager: ocp.CheckpointManager, step: int, state: Any) -> None:
    """Save a pytree of host arrays as nested dictionaries under its step, whole or not at all.

    InputError where it could not be written; earlier checkpoints are as they were.
    """
    flat = flatten_dict(flax.serialization.to_state_dict(state))  # Without empty dictionaries, which Orbax drops.
    arrays = {path: np.asarray(values) for path, values in flat.items()}
    tree = unflatten_dict(arrays | {(CHECKSUM,): _digest(arrays)})
    try:
        with _quiet():
            manager.save(step, args=ocp.args.PyTreeSave(tree), force=True)
            manager.wait_until_finished()
    except Exception as error:  # TensorStore and Orbax have many names for a disk that is full.
        _clear_unfinished(pathlib.Path(manager.directory))
        raise InputError(
            f"{manager.directory}: the checkpoint of step {step} could not be written ({_shorten(error)}); what was "
            "there is kept: free some space, or make it writable, and run the same command again"
        ) from error


def restore_latest(manager: ocp.CheckpointManager, fall_back: bool = True) -> tuple[int, dict[str, Any]] | None:
    """Return the latest whole checkpoint: its step, and nested dictionaries of numpy arrays; None where there is none.

    Where the latest is damaged and training may `fall_back`, say so on stderr, set it aside and restore the one before;
    otherwise raise InputError, since what is read would not be what training ended with.
    """
    steps = sorted(manager.all_steps(), reverse=True)
    for step, earlier in zip(steps, [*steps[1:], None], strict=False):
        try:
            return step, _restore_whole(manager, step)
        except (MemoryError, PermissionError):  # Of this machine, not of the checkpoint.
            raise
        except Exception as error:  # Whatever Orbax and TensorStore make of bytes that are not what was written.
            path = pathlib.Path(manager.directory) / str(step)
            found = f"{path}: found a checkpoint that is damaged or not of wormjax ({_shorten(error)})"
        with _quiet():
            gc.collect()  # What the error held of Orbax, which would complain later.
        before = "the beginning" if earlier is None else f"the one before, of step {earlier}"
        if not fall_back:
            raise InputError(f"{found}, expected a whole one: train again, which goes on from {before}")
        print(f"warning: {found}; it is set aside, and training goes on from {before}", file=sys.stderr)
        aside = path.with_name(f"damaged-{step}")  # Which Orbax does not take for a checkpoint.
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        manager.reload()
    return None


def restore_state(manager: ocp.CheckpointManager, template: Any) -> tuple[int, Any] | None:
    """Return the latest whole checkpoint: its step, and its state in the form of `template`; None where there is none.

    InputError for a checkpoint of another model.
    """
    restored = restore_latest(manager)
    if restored is None:
        return None
    step, tree = restored
    wanted = flatten_dict(flax.serialization.to_state_dict(template), keep_empty_nodes=True)
    empty = {path: values for path, values in wanted.items() if values is empty_node}
    found = flatten_dict(tree) | empty
    if set(found) != set(wanted):
        path = "/".join(min(set(found) ^ set(wanted)))
        raise InputError(f"{manager.directory}: found a checkpoint of another model, which differs in {path!r}")
    for path, values in wanted.items():
        if path not in empty and np.shape(found[path]) != np.shape(values):
            raise InputError(f"{manager.directory}: found a checkpoint of other shapes, expected those of the config")
    return step, flax.serialization.from_state_dict(template, unflatten_dict(found))


def _restore_whole(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """Return the arrays of a checkpoint; ValueError where their checksum is another."""
    with _quiet():
        tree = manager.restore(step, args=ocp.args.PyTreeRestore())  # As NumPy arrays, which they were saved as.
    expected = tree.pop(CHECKSUM, None)
    if expected is None or not np.array_equal(expected, _digest(flatten_dict(tree))):
        raise ValueError("its checksum is not that of its arrays")
    return tree


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Orbax and its threads, which log pages about what they also raise."""
    _pass_over_closed_loops()
    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        sys.unraisablehook = lambda _: None
        try:
            yield
        except BaseException:
            gc.collect()
            for name in ("asyncio", "concurrent.futures"):  # A failed save may end later, and log that nobody waits.
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            raise
        finally:
            logger.setLevel(level)
            sys.unraisablehook = hook


@functools.cache
def _pass_over_closed_loops() -> None:
    """Print no more tracebacks of TensorStore's threads, which may outlive the event loop of their save."""
    print_other = sys.unraisablehook

    def print_unraisable(unraisable) -> None:
        if not (unraisable.exc_type is RuntimeError and str(unraisable.exc_value) == "Event loop is closed"):
            print_other(unraisable)

    sys.unraisablehook = print_unraisable


def _digest(arrays: dict[tuple[str, ...], np.ndarray]) -> np.ndarray:
    """Return the SHA-256 of all arrays with their names, types and shapes, as 32 bytes."""
    digest = hashlib.sha256()
    for path, values in sorted(arrays.items()):
        digest.update(f"{path} {values.dtype.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8))
    return np.frombuffer(digest.digest(), np.uint8)


def _clear_unfinished(directory: pathlib.Path) -> None:
    """Remove what a process that was killed, or met a full disk, has left of a checkpoint beside its place."""
    with contextlib.suppress(OSError):
        for unfinished in directory.glob(f"*{UNFINISHED}*"):
            shutil.rmtree(unfinished, ignore_errors=True)


def _shorten(error: BaseException) -> str:
    """Return an error in a few words: TensorStore's go on for pages."""
    text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
    known = [reason for reason in DISK_ERRORS if reason in text]
    return known[0] if known else text if len(text) <= 160 else text[:157] + "..."
