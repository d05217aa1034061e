"""Orbax checkpoints of an ensemble's state, as host arrays: whatever devices wrote one, any device restores it."""

import os
from typing import Any

import flax.serialization
import jax
import numpy as np
import orbax.checkpoint as ocp

from wormjax.errors import InputError


def open_checkpoints(directory: str | os.PathLike, keep: int = 2) -> ocp.CheckpointManager:
    """The manager of one model's checkpoints; `keep` of the latest stay. Orbax renames whole ones into place."""
    options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True, enable_async_checkpointing=False)
    return ocp.CheckpointManager(
        os.path.abspath(directory), options=options, item_handlers=ocp.PyTreeCheckpointHandler()
    )


def save_state(manager: ocp.CheckpointManager, step: int, state: Any):
    """Saves a pytree of host arrays as nested dictionaries under its step."""
    tree = jax.tree.map(np.asarray, flax.serialization.to_state_dict(state))
    manager.save(step, args=ocp.args.PyTreeSave(_drop_empty(tree)), force=True)
    manager.wait_until_finished()


def restore_latest(manager: ocp.CheckpointManager) -> dict[str, Any] | None:
    """The latest checkpoint as nested dictionaries of numpy arrays; None where there is none."""
    step = manager.latest_step()
    if step is None:
        return None
    try:
        return _restore_numpy(manager, step)
    except (ValueError, OSError, KeyError) as error:
        path = os.path.join(manager.directory, str(step))
        raise InputError(
            f"{path}: found a checkpoint that Orbax cannot read ({error}), expected a whole one"
        ) from error


def restore_state(manager: ocp.CheckpointManager, template: Any) -> Any | None:
    """The latest checkpoint in the form of `template`; None where there is none.

    Raises:
      InputError: the checkpoint is damaged, or holds another model.
    """
    tree = restore_latest(manager)
    if tree is None:
        return None
    wanted = flax.serialization.to_state_dict(template)
    try:
        restored = flax.serialization.from_state_dict(template, _put_back_empty(wanted, tree))
        mismatch = jax.tree.map(lambda a, b: np.shape(a) != np.shape(b), template, restored)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{manager.directory}: found a checkpoint of another model ({error})") from error
    if any(jax.tree.leaves(mismatch)):
        raise InputError(f"{manager.directory}: found a checkpoint of other shapes, expected those of the config")
    return jax.tree.map(lambda a, b: np.asarray(b, dtype=np.asarray(a).dtype), template, restored)


def _restore_numpy(manager, step):
    """Asks Orbax for numpy arrays, so that nothing depends on the devices that wrote them."""
    metadata = manager.item_metadata(step)
    tree = getattr(metadata, "tree", metadata)
    arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    return manager.restore(step, args=ocp.args.PyTreeRestore(restore_args=arguments))


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
