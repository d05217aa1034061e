"""A work directory belongs to one config and one set of worms: what is in it is never written over by another."""

import contextlib
import glob
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import jax
import ml_collections
import numpy as np
from flax.traverse_util import flatten_dict

from wormjax.atomic_write import open_place
from wormjax.baselines.hidden_markov import count_transitions
from wormjax.errors import ConfigError, InputError
from wormjax.features.dataset import Dataset
from wormjax.training import multihost
from wormjax.value_checks import shorten

CONFIG_FILE, DATA_FILE, LOCK_FILE, HOLDER_FILE = "config.json", "data.json", ".lock", ".holder"
CHECKSUM = "sha256"
# Ends of fields. Where the files lie may differ from machine to machine; that they are the same is known by their
# fingerprint.
MAY_DIFFER = (
    "distributed.coordinator_address",
    "distributed.num_processes",
    "distributed.process_id",
    "data.path",
    "data.test_path",
    "data.cache",
    "train.placement",
    "train.devices",
    "train.runs_at_once",
)


@contextlib.contextmanager
def claim_workdir(
    workdir: str | os.PathLike, config: ml_collections.ConfigDict, description: Mapping[str, Any]
) -> Iterator[None]:
    """Make `workdir` this experiment's, or find that it already is; for as long as the block runs, no other's.

    Of several processes that train together the first claims it for all. InputError where it is of another config or
    other worms (the first field that differs is named), another process is at work in it, or it cannot be written.
    """
    path = Path(workdir)
    with contextlib.ExitStack() as held:
        if multihost.is_first():
            _claim(path, json.loads(config.to_json_best_effort()), description, held)
        multihost.wait_for_all(f"claimed {path}")
        yield
        multihost.wait_for_all(f"released {path}")


def _claim(path: Path, config: dict[str, Any], description: Mapping[str, Any], held: contextlib.ExitStack):
    """Lock a folder for as long as `held` is open, and write what it is of."""
    _check_claim(path, config, description)
    try:
        path.mkdir(parents=True, exist_ok=True)
        held.enter_context(_lock(path))
        _check_claim(path, config, description)  # Another may have claimed it in between.
        write_description(path / DATA_FILE, description)
        _write_json(path / CONFIG_FILE, config)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected a folder to write results into (--workdir)") from error


def _check_claim(path: Path, new_config: dict[str, Any], description: Mapping[str, Any]):
    """Raise InputError where a folder is not this experiment's, and not a new one either."""
    whole = os.path.abspath(path)
    if glob.escape(whole) != whole:  # Orbax reads it as a pattern, finds nothing, and leaves half a checkpoint.
        raise InputError(f"--workdir: found {whole!r}, expected a path without any of * ? [")
    if (path / CONFIG_FILE).exists():
        _refuse_difference(path / CONFIG_FILE, _flatten(read_json(path / CONFIG_FILE)), _flatten(new_config))
        if (path / DATA_FILE).exists():
            _refuse_difference(path / DATA_FILE, read_description(path), json.loads(json.dumps(description)))
    else:
        there = [name for name in ("results.csv", "summary.md", "models", "figures") if (path / name).exists()]
        if there:
            found = f"found {there[0]} but no {CONFIG_FILE}"
            raise InputError(f"{path}: {found}, expected an empty or a new folder (--workdir)")


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a folder against other processes. The system lets go of it when a process ends, however that is."""
    lock, holder = filelock.FileLock(path / LOCK_FILE), path / HOLDER_FILE
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        name = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        expected = "expected a folder of our own: wait for it, or choose another --workdir"
        raise InputError(f"{path}: found {name} at work in it, {expected}") from None
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def find_differences(one: ml_collections.ConfigDict, other: ml_collections.ConfigDict) -> list[str]:
    """Return the fields, by their full names, in which two configs differ."""
    first, second = (_flatten(json.loads(config.to_json_best_effort())) for config in (one, other))
    return sorted(field for field in set(first) | set(second) if first.get(field) != second.get(field))


def refuse_changes(config: ml_collections.ConfigDict, workdir: str | os.PathLike, open_fields: Sequence[str]) -> None:
    """Raise ConfigError for a field that differs from training's and does not begin with one of `open_fields`."""
    for field in find_differences(read_config(workdir), config):
        if not field.startswith(tuple(open_fields)):
            raise ConfigError(field, f"found another value than in {workdir}, expected that of training")


def read_config(workdir: str | os.PathLike) -> ml_collections.ConfigDict:
    """Return the config that a work directory was made by; InputError for none.

    Whether its fields can be used is for an experiment's checks to say.
    """
    path = Path(workdir) / CONFIG_FILE
    content = read_json(path)
    try:
        return ml_collections.ConfigDict(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: found no config ({error}), expected what training wrote") from None


def read_description(workdir: str | os.PathLike) -> dict[str, Any]:
    """Return the description of the data that a work directory was made from (`describe_dataset`, or of systems).

    InputError for no such file, or one that is not as training wrote it.
    """
    path = Path(workdir) / DATA_FILE
    content = read_json(path)
    if content.pop(CHECKSUM, None) != _digest(content):
        raise InputError(f"{path}: found a file that was changed after training wrote it, expected it as it was")
    return content


def write_description(path: Path, description: Mapping[str, Any]) -> None:
    """Write a description of the data, with a checksum of it."""
    _write_json(path, {**description, CHECKSUM: _digest(description)})


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return the names on a dataset's axes, how often its states followed each other, and a fingerprint of it all."""
    digest = hashlib.sha256()
    for array in jax.tree.leaves(dataset.arrays):
        digest.update(np.ascontiguousarray(array).data)  # As it lies in memory, without a copy.
    return {
        "study": dataset.study,
        "worms": list(dataset.worms),
        "worm_studies": list(dataset.worm_studies),
        "fingerprints": list(dataset.fingerprints),  # By these a worm is known, whatever it is called.
        "neurons": list(dataset.neuron_names),
        "features": list(dataset.feature_names),
        "states": list(dataset.state_names),
        "targets": list(dataset.target_names),
        "frame_rate": dataset.frame_rate,
        "transition_counts": [
            count_transitions(dataset.arrays.states[dataset.stretches_of(worm)], len(dataset.state_names)).tolist()
            for worm in range(len(dataset.worms))
        ],
        "fingerprint": digest.hexdigest(),
    }


def _refuse_difference(path, old, new):
    for field in sorted(set(old) | set(new)):
        if not field.endswith(MAY_DIFFER) and old.get(field) != new.get(field):
            found, expected = (shorten(json.dumps(fields.get(field))) for fields in (old, new))
            found = f"found {found}, expected {expected}"
            raise InputError(f"{path}: field {field!r}: {found}; choose another --workdir for another experiment")


def read_json(path: Path, of: str = "a work directory of a training run") -> dict[str, Any]:
    """Return the object of a JSON file that may have been changed, and that is part `of` something."""
    expected = "expected what training wrote"
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: found no regular file, {expected}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise InputError(f"{path}: found no such file, expected {of}") from None
    except OSError as error:
        raise InputError(f"{path}: found a file that cannot be read ({error.strerror}), {expected}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: found a file that is not JSON ({error}), {expected}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}, expected a JSON object")
    return content


def _refuse_constant(name: str):
    raise ValueError(f"it has {name} for a number")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _flatten(tree) -> dict[str, Any]:
    return flatten_dict(tree, keep_empty_nodes=True, sep=".")


def _write_json(path: Path, content):
    with open_place(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
