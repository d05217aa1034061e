"""A work directory belongs to one config and one set of worms: what is in it is never written over by another."""

import contextlib
import glob
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from wormjax.atomic_write import open_place
from wormjax.baselines.hidden_markov import count_transitions
from wormjax.errors import InputError
from wormjax.features.dataset import Dataset
from wormjax.json_files import read_json
from wormjax.training import multihost
from wormjax.value_checks import check_fields, check_value, number, several, show_value, text, whole

try:
    import fcntl
except ImportError:  # Not on this system; two processes on one workdir are then the user's to avoid.
    fcntl = None

CONFIG_FILE, DATA_FILE, LOCK_FILE = "config.json", "data.json", ".lock"
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

WORKDIR = "a work directory of a training run"
NAMES = several(text(), most=100_000)
DATASET_FIELDS = {
    "study": text(),
    "worms": several(text(), 1, 100_000),
    "neurons": several(text(), 1, 100_000),
    "features": several(text(), 1),
    "states": several(text(), 2, 100),
    "frame_rate": number(above=0),
    "fingerprint": text(),
    "transition_counts": several(several(several(whole(0))), 1, 100_000),
}
SYSTEM_FIELDS = {
    "system": text(),
    "objects": whole(2),
    "features": several(text(), 1),
    "edge_types": NAMES,
    "edge_type_count": whole(1, 100),
    "low": several(number(high=1e30), 1),
    "high": several(number(high=1e30), 1),
    "change_scale": several(number(above=0, high=1e30), 1),
    "fingerprint": text(),
}


@contextlib.contextmanager
def claim_workdir(
    workdir: str | os.PathLike, config: ml_collections.ConfigDict, description: Mapping[str, Any]
) -> Iterator[None]:
    """Makes `workdir` this experiment's, or finds that it already is; for as long as the block runs, no other's.

    Of several processes that train together the first claims it for all.

    Raises:
      InputError: it is of another config or other worms (names the first field that differs), another process is at
        work in it, or it cannot be written.
    """
    path = Path(workdir)
    if not multihost.is_first():
        multihost.wait_for_all(f"claimed {path}")
        yield
        multihost.wait_for_all(f"released {path}")
        return
    new_config = json.loads(config.to_json_best_effort())
    _check_claim(path, new_config, description)
    with contextlib.ExitStack() as held:
        try:
            path.mkdir(parents=True, exist_ok=True)
            held.enter_context(_lock(path))
            _check_claim(path, new_config, description)  # Another may have claimed it in between.
            _write_json(path / DATA_FILE, description)
            _write_json(path / CONFIG_FILE, new_config)
        except OSError as error:
            reason = f"{path}: {error.strerror}"
            raise InputError(f"{reason}, expected a folder to write results into (--workdir)") from error
        multihost.wait_for_all(f"claimed {path}")
        yield
        multihost.wait_for_all(f"released {path}")


def _check_claim(path: Path, new_config: dict[str, Any], description: Mapping[str, Any]):
    """Raises InputError where a folder is not this experiment's, and not a new one either."""
    whole = os.path.abspath(path)
    if glob.escape(whole) != whole:  # Orbax reads it as a pattern, finds nothing, and leaves half a checkpoint.
        raise InputError(f"--workdir: found {whole!r}, expected a path without any of * ? [")
    if (path / CONFIG_FILE).exists():
        _refuse_difference(path / CONFIG_FILE, _flatten(read_json(path / CONFIG_FILE)), _flatten(new_config))
        if (path / DATA_FILE).exists():
            _refuse_difference(path / DATA_FILE, read_json(path / DATA_FILE), json.loads(json.dumps(description)))
    else:
        there = [name for name in ("results.csv", "summary.md", "models", "figures") if (path / name).exists()]
        if there:
            found = f"found {there[0]} but no {CONFIG_FILE}"
            raise InputError(f"{path}: {found}, expected an empty or a new folder (--workdir)")


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds a folder against other processes. The system lets go of it when a process ends, however that is."""
    if fcntl is None:
        yield
        return
    lock = path / LOCK_FILE
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace") or "another process"
            os.close(handle)
            raise InputError(
                f"{path}: found {holder} at work in it, expected a folder of our own: wait for it, or choose "
                "another --workdir"
            ) from None
        try:
            if os.fstat(handle).st_ino == os.stat(lock).st_ino:
                break
        except FileNotFoundError:  # Its holder has just let go of it.
            pass
        os.close(handle)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def find_differences(one: ml_collections.ConfigDict, other: ml_collections.ConfigDict) -> list[str]:
    """The fields, by their full names, in which two configs differ."""
    first, second = (_flatten(json.loads(config.to_json_best_effort())) for config in (one, other))
    return sorted(field for field in set(first) | set(second) if first.get(field) != second.get(field))


def read_config(workdir: str | os.PathLike) -> ml_collections.ConfigDict:
    """The config that a work directory was made by.

    Raises:
      InputError: there is no such file, or it holds no config; whether its fields can be used is for an experiment's
        checks to say.
    """
    path = Path(workdir) / CONFIG_FILE
    content = read_json(path, of=WORKDIR)
    for field in _flatten(content):
        if not all(name and name.isprintable() for name in field.split(".")):
            raise InputError(f"{path}: field {show_value(field)}: found no name that a field can have")
    try:
        return ml_collections.ConfigDict(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: found no config ({error}), expected what training wrote") from None


def read_description(workdir: str | os.PathLike) -> dict[str, Any]:
    """What was said of the data that a work directory was made from (`describe_dataset`, or of systems).

    Raises:
      InputError: there is no such file, or a field is missing or of another form.
    """
    path = Path(workdir) / DATA_FILE
    content = read_json(path, of=WORKDIR)
    if "system" in content:
        _check_systems(str(path), content)
    else:
        _check_dataset(str(path), content)
        if "test" in content:
            if not isinstance(content["test"], dict):
                raise InputError(f"{path}: field 'test': found {show_value(content['test'])}, expected a section")
            _check_dataset(f"{path}, section 'test'", content["test"])
    return content


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """The names on a dataset's axes, how often its states followed each other, and a fingerprint of it all."""
    digest = hashlib.sha256()
    for array in dataset.arrays:
        digest.update(np.ascontiguousarray(array).data)  # As it lies in memory, without a copy.
    return {
        "study": dataset.study,
        "worms": list(dataset.worms),
        "neurons": list(dataset.neuron_names),
        "features": list(dataset.feature_names),
        "states": list(dataset.state_names),
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
            found = f"found {_shorten(old.get(field))}, expected {_shorten(new.get(field))}"
            raise InputError(f"{path}: field {field!r}: {found}; choose another --workdir for another experiment")


def _shorten(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _check_dataset(place: str, content: Mapping[str, Any]):
    """Raises InputError for the first field of a described dataset that has not the form of `describe_dataset`."""
    check_fields(place, content, DATASET_FIELDS)
    states, worms = len(content["states"]), len(content["worms"])
    counts, row = content["transition_counts"], several(whole(0), states, states)
    check_value(f"{place}: field 'transition_counts'", counts, several(several(row, states, states), worms, worms))


def _check_systems(place: str, content: Mapping[str, Any]):
    """As `_check_dataset`, of what is said of systems."""
    check_fields(place, content, SYSTEM_FIELDS)
    for field in ("low", "high", "change_scale"):
        features = len(content["features"])
        if len(content[field]) != features:
            found = f"found {len(content[field])} numbers"
            raise InputError(f"{place}: field {field!r}: {found}, expected {features}, one a feature")
    if any(high <= low for low, high in zip(content["low"], content["high"], strict=True)):
        raise InputError(f"{place}: field 'high': found {show_value(content['high'])}, expected each above 'low'")


def _flatten(tree, prefix="") -> dict[str, Any]:
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _write_json(path: Path, content):
    with open_place(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
