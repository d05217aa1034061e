"""A work directory belongs to one config and one set of worms: what is in it is never written over by another."""

import glob
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from wormjax.errors import InputError
from wormjax.features.dataset import Dataset
from wormjax.models.state_durations import count_transitions
from wormjax.whole_files import open_place

CONFIG_FILE, DATA_FILE = "config.json", "data.json"
# Ends of fields. Where the files lie may differ from machine to machine; that they are the same is known by their
# fingerprint.
MAY_DIFFER = ("data.path", "data.test_path", "data.cache", "train.placement", "train.devices", "train.runs_at_once")


def claim_workdir(workdir: str | os.PathLike, config: ml_collections.ConfigDict, description: Mapping[str, Any]):
    """Makes `workdir` this experiment's, or finds that it already is.

    Raises:
      InputError: it is of another config or other worms (names the first field that differs), or cannot be written.
    """
    path = Path(workdir)
    whole = os.path.abspath(workdir)
    if glob.escape(whole) != whole:  # Orbax reads it as a pattern, finds nothing, and leaves half a checkpoint.
        raise InputError(f"--workdir: found {whole!r}, expected a path without any of * ? [")
    new_config = json.loads(config.to_json_best_effort())
    if (path / CONFIG_FILE).exists():
        _refuse_difference(path / CONFIG_FILE, _flatten(_read_json(path / CONFIG_FILE)), _flatten(new_config))
        if (path / DATA_FILE).exists():
            _refuse_difference(path / DATA_FILE, _read_json(path / DATA_FILE), json.loads(json.dumps(description)))
    else:
        there = [name for name in ("results.csv", "summary.md", "models", "figures") if (path / name).exists()]
        if there:
            found = f"found {there[0]} but no {CONFIG_FILE}"
            raise InputError(f"{path}: {found}, expected an empty or a new folder (--workdir)")
    try:
        path.mkdir(parents=True, exist_ok=True)
        _write_json(path / DATA_FILE, description)
        _write_json(path / CONFIG_FILE, new_config)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected a folder to write results into (--workdir)") from error


def find_differences(one: ml_collections.ConfigDict, other: ml_collections.ConfigDict) -> list[str]:
    """The fields, by their full names, in which two configs differ."""
    first, second = (_flatten(json.loads(config.to_json_best_effort())) for config in (one, other))
    return sorted(field for field in set(first) | set(second) if first.get(field) != second.get(field))


def read_config(workdir: str | os.PathLike) -> ml_collections.ConfigDict:
    """The config that a work directory was made by."""
    return ml_collections.ConfigDict(_read_json(Path(workdir) / CONFIG_FILE))


def read_description(workdir: str | os.PathLike) -> dict[str, Any]:
    """What `describe_dataset` said of the data that a work directory was made from."""
    return _read_json(Path(workdir) / DATA_FILE)


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """The names on a dataset's axes, how often its states followed each other, and a fingerprint of it all."""
    digest = hashlib.sha256()
    for array in dataset.arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
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


def _flatten(tree, prefix="") -> dict[str, Any]:
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: found no such file, expected a work directory of a training run") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: found a file that is not JSON ({error}), expected what training wrote") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}, expected a JSON object")
    return content


def _write_json(path: Path, content):
    with open_place(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
