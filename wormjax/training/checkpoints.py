"""Orbax checkpoints of an ensemble's state, as host arrays: whatever devices wrote one, any device restores it.

Orbax writes a checkpoint beside its place and renames it, so that one is whole or absent; a checksum that is kept in
it tells later damage. Where the latest is damaged, training says so, sets it aside and goes on from the one before.
"""

import contextlib
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

from wormjax.errors import InputError

CHECKSUM = "sha256"  # The name of the checksum, among the arrays that it is of.
UNFINISHED = ".orbax-checkpoint-tmp"  # In the name of what Orbax has not yet renamed.
DISK_ERRORS = ("No space left on device", "File too large", "Read-only file system", "Disk quota exceeded")


def open_checkpoints(directory: str | os.PathLike, keep: int = 2, read_only: bool = False) -> ocp.CheckpointManager:
    """The manager of one model's checkpoints; `keep` of the latest stay.

    Only one manager at a time may write: what an earlier one has left unfinished is removed. Those that are
    `read_only` change nothing, and may read what another process is writing.

    Raises:
      InputError: the folder cannot be made or written to.
    """
    directory = pathlib.Path(os.path.abspath(directory))
    try:
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
            _clear_unfinished(directory)
        own = jax.process_index() if jax.process_count() > 1 else None
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


def save_state(manager: ocp.CheckpointManager, step: int, state: Any):
    """Saves a pytree of host arrays as nested dictionaries under its step, whole or not at all.

    Raises:
      InputError: it could not be written; earlier checkpoints are as they were.
    """
    tree = _drop_empty(jax.tree.map(np.asarray, flax.serialization.to_state_dict(state)))
    try:
        with _quiet():
            manager.save(step, args=ocp.args.PyTreeSave({**tree, CHECKSUM: _digest(tree)}), force=True)
            manager.wait_until_finished()
    except Exception as error:  # TensorStore and Orbax have many names for a disk that is full.
        _clear_unfinished(pathlib.Path(manager.directory))
        raise InputError(
            f"{manager.directory}: the checkpoint of step {step} could not be written ({_tell(error)}); what was there "
            "is kept: free some space, or make it writable, and run the same command again"
        ) from error


def restore_latest(manager: ocp.CheckpointManager, fall_back: bool = True) -> tuple[int, dict[str, Any]] | None:
    """The latest whole checkpoint: its step, and nested dictionaries of numpy arrays. None where there is none.

    Args:
      manager: of the checkpoints.
      fall_back: where the latest is damaged, say so on stderr, set it aside and restore the one before; otherwise
        that is an error, since what is read would not be what training ended with.

    Raises:
      InputError: the latest is damaged and `fall_back` is False.
    """
    steps = sorted(manager.all_steps(), reverse=True)
    for position, step in enumerate(steps):
        try:
            tree = _restore_numpy(manager, step)
            expected = tree.pop(CHECKSUM, None)
            if expected is None or not np.array_equal(expected, _digest(tree)):
                raise ValueError("its checksum is not that of its arrays")
            return step, tree
        except (MemoryError, PermissionError):  # Of this machine, not of the checkpoint.
            raise
        except Exception as error:  # Whatever Orbax and TensorStore make of bytes that are not what was written.
            path = pathlib.Path(manager.directory) / str(step)
            found = f"{path}: found a checkpoint that is damaged or not of wormjax ({_tell(error)})"
        with _quiet():
            gc.collect()  # What the error held of Orbax, which would complain later.
        before = f"the one before, of step {steps[position + 1]}" if position + 1 < len(steps) else "the beginning"
        if not fall_back:
            raise InputError(f"{found}, expected a whole one: train again, which goes on from {before}")
        print(f"warning: {found}; it is set aside, and training goes on from {before}", file=sys.stderr)
        _set_aside(path)
        manager.reload()
    return None


def restore_state(manager: ocp.CheckpointManager, template: Any) -> tuple[int, Any] | None:
    """The latest whole checkpoint: its step, and its state in the form of `template`. None where there is none.

    Raises:
      InputError: the checkpoint holds another model.
    """
    restored = restore_latest(manager)
    if restored is None:
        return None
    step, tree = restored
    wanted = flax.serialization.to_state_dict(template)
    try:
        state = flax.serialization.from_state_dict(template, _put_back_empty(wanted, tree))
        mismatch = jax.tree.map(lambda a, b: np.shape(a) != np.shape(b), template, state)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{manager.directory}: found a checkpoint of another model ({error})") from error
    if any(jax.tree.leaves(mismatch)):
        raise InputError(f"{manager.directory}: found a checkpoint of other shapes, expected those of the config")
    return step, jax.tree.map(lambda a, b: np.asarray(b, dtype=np.asarray(a).dtype), template, state)


def _restore_numpy(manager, step):
    """Asks Orbax for numpy arrays, so that nothing depends on the devices that wrote them."""
    with _quiet():
        metadata = manager.item_metadata(step)
        tree = getattr(metadata, "tree", metadata)
        arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        return manager.restore(step, args=ocp.args.PyTreeRestore(restore_args=arguments))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax and its threads log pages about what they also raise; what they have left complains. Not here."""
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
            # A thread of the failed save may end later still, and log that nobody waits for it.
            logging.getLogger("concurrent.futures").setLevel(logging.CRITICAL + 1)
            raise
        finally:
            logger.setLevel(level)
            sys.unraisablehook = hook


def _digest(tree) -> np.ndarray:
    """SHA-256 of all arrays with their names, types and shapes, as 32 bytes."""
    digest = hashlib.sha256()
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    for path, values in sorted(leaves, key=lambda leaf: jax.tree_util.keystr(leaf[0])):
        values = np.ascontiguousarray(values)
        digest.update(f"{jax.tree_util.keystr(path)} {values.dtype.str} {np.shape(values)}\n".encode())
        digest.update(values.reshape(-1).view(np.uint8))
    return np.frombuffer(digest.digest(), np.uint8)


def _clear_unfinished(directory: pathlib.Path):
    """Removes what a process that was killed, or met a full disk, has left of a checkpoint beside its place."""
    with contextlib.suppress(OSError):
        for unfinished in directory.glob(f"*{UNFINISHED}*"):
            shutil.rmtree(unfinished, ignore_errors=True)


def _set_aside(path: pathlib.Path):
    """Renames a damaged checkpoint, which Orbax then no longer takes for one."""
    aside = path.with_name(f"damaged-{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def _tell(error: BaseException) -> str:
    """An error in a few words: TensorStore's run over pages."""
    text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
    known = [reason for reason in DISK_ERRORS if reason in text]
    return known[0] if known else text if len(text) <= 160 else text[:157] + "..."


def _drop_empty(tree):
    """Without empty dictionaries, which Orbax does not keep."""
    if not isinstance(tree, dict):
        return tree
    kept = {name: _drop_empty(value) for name, value in tree.items()}
    return {name: value for name, value in kept.items() if not (isinstance(value, dict) and not value)}


def _put_back_empty(wanted, tree):
    """With the empty dictionaries of `wanted`; KeyError where an array is missing."""
    if not isinstance(wanted, dict):
        return tree
    return {
        name: _put_back_empty(value, tree.get(name, {})) if isinstance(value, dict) else tree[name]
        for name, value in wanted.items()
    }
