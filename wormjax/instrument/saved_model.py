"""Saved models: a folder with `model.json` (what it is, its config and training data) and `parameters.npz`.

Neither file holds code: the parameters are plain arrays, which are read without pickle.
"""

import json
import os
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from wormjax.atomic_write import open_place
from wormjax.errors import InputError
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.training.workdir import read_json

MODEL_FILE, PARAMETERS_FILE = "model.json", "parameters.npz"
FORMAT, VERSION = "wormjax model", 1
SEPARATOR = "/"  # Between the names of nested parameters.


def save_model(path: str | os.PathLike, kind: str, trained: Any) -> None:
    """Write a trained model to a folder: first the parameters, then the description.

    Args:
      path: the folder, which may exist if it holds a saved model or nothing.
      kind: the name of the estimator's class.
      trained: a NamedTuple of a name, a config, a description, groups, and trees of arrays.

    Raises:
      InputError: the folder holds something else, or cannot be written.
    """
    path = Path(os.path.expanduser(path))
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()) and not (path / MODEL_FILE).is_file():
            raise InputError(f"{path}: found a folder with other files, expected a new folder or a saved model")
        content: dict[str, Any] = {"format": FORMAT, "version": VERSION, "kind": kind}
        arrays: dict[str, Any] = {}
        for field, value in trained._asdict().items():
            content[field] = _describe(field, value, arrays)
        with open_place(path / PARAMETERS_FILE) as beside, open(beside, "wb") as stream:
            np.savez(stream, **arrays)
        with open_place(path / MODEL_FILE) as beside:
            beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected a folder to write a model to") from None


def read_model(path: str | os.PathLike) -> dict[str, Any]:
    """Return the fields of a saved model: its kind, and those of the NamedTuple that was saved.

    Raises:
      InputError: no saved model, one of a later version, or a damaged one.
    """
    path = Path(path)
    content = read_json(path / MODEL_FILE, of="a saved model")
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        found = f"found format {content.get('format')!r}, version {content.get('version')!r}"
        raise InputError(f"{path / MODEL_FILE}: {found}, expected {FORMAT!r}, version {VERSION}")
    parameters = path / PARAMETERS_FILE
    try:
        with np.load(parameters, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # zipfile and NumPy raise more than ten types for a damaged file.
        found = f"found no parameters that can be read ({type(error).__name__})"
        raise InputError(f"{parameters}: {found}, expected the file of a saved model; save it again") from None
    try:
        return {field: _restore(field, value, arrays) for field, value in content.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path / MODEL_FILE}: found no whole description ({error!r}); save the model again") from None


def _describe(field: str, value, arrays: dict[str, np.ndarray]):
    """Return a field as JSON; a tree of arrays goes into `arrays` under the field's name."""
    if isinstance(value, ml_collections.ConfigDict):
        return json.loads(value.to_json_best_effort())
    if field == "group":
        return _describe_group(value)
    if field == "groups":
        return [_describe_group(group) for group in value]
    if field in ("variables", "fit") and value is not None:
        flat = flatten_dict({field: value}, sep=SEPARATOR)
        arrays |= {name: np.asarray(array) for name, array in flat.items()}
        return "in parameters.npz"
    return value


def _describe_group(group: Group) -> dict[str, Any]:
    return {"seed": group.seed, "train": list(group.split.train)}


def _restore(field: str, value, arrays: dict[str, np.ndarray]):
    if field == "config":
        return to_config(value)
    if field == "group":
        return Group(value["seed"], Split(tuple(value["train"]), ()))
    if field == "groups":
        return tuple(_restore("group", one, arrays) for one in value)
    if field in ("variables", "fit") and value is not None:
        own = {name: array for name, array in arrays.items() if name.split(SEPARATOR)[0] == field}
        return unflatten_dict(own, sep=SEPARATOR)[field]
    return value


def to_config(content: dict[str, Any]) -> ml_collections.ConfigDict:
    """Return a locked config of what JSON holds, with lists as the tuples that they were."""

    def restore(value):
        if isinstance(value, dict):
            return {name: restore(inner) for name, inner in value.items()}
        return tuple(map(restore, value)) if isinstance(value, list) else value

    return ml_collections.ConfigDict(restore(content)).lock()
