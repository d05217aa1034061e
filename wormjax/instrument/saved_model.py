"""Saved models: a folder with `model.json` (what it is, its config and training data) and `parameters.npz`.

Neither file holds code: the parameters are plain arrays, which are read without pickle.
"""

import json
import os
from pathlib import Path
from typing import Any

import ml_collections

from wormjax.atomic_write import open_place
from wormjax.errors import InputError
from wormjax.instrument.settings import take_path
from wormjax.tasks.groups import Group
from wormjax.tasks.protocols import Split
from wormjax.tasks.training import Trained
from wormjax.training.fitted import restore_fitted, save_fitted
from wormjax.training.workdir import read_json

MODEL_FILE, PARAMETERS_FILE = "model.json", "parameters.npz"
FORMAT, VERSION, SAVED = "wormjax model", 1, "a saved model"
TREES = ("variables", "fit")  # Of arrays, in parameters.npz under these names.


def save_model(path: str | os.PathLike, kind: str, trained: Trained) -> None:
    """Write a trained model to a folder, new or of a saved model; `kind` is the name of its estimator's class.

    The description is written last, when the parameters are complete.

    Raises:
      InputError: the folder holds something else, or cannot be written.
    """
    path = Path(take_path(path))
    content = {"format": FORMAT, "version": VERSION, "kind": kind, "name": trained.name}
    content |= {"config": json.loads(trained.config.to_json_best_effort()), "description": trained.description}
    content["groups"] = [{"seed": group.seed, "train": list(group.split.train)} for group in trained.groups]
    trees = {name: tree for name in TREES if (tree := getattr(trained, name)) is not None}
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()) and not (path / MODEL_FILE).is_file():
            raise InputError(f"{path}: found a folder with other files, expected a new folder or a saved model")
        save_fitted(path, trees, PARAMETERS_FILE)
        with open_place(path / MODEL_FILE) as beside:
            beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected a folder to write a model to") from None


def read_model(path: str | os.PathLike) -> tuple[str, Trained]:
    """Return the kind of a saved model, and the model.

    Raises:
      InputError: no saved model, one of a later version, or a damaged one.
    """
    path = Path(path)
    content = read_json(path / MODEL_FILE, of=SAVED)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        found = f"found format {content.get('format')!r}, version {content.get('version')!r}"
        raise InputError(f"{path / MODEL_FILE}: {found}, expected {FORMAT!r}, version {VERSION}")
    trees = restore_fitted(path, PARAMETERS_FILE)
    if trees is None:
        raise InputError(f"{path / PARAMETERS_FILE}: found no such file, expected {SAVED}")
    try:
        # Earlier versions wrote "group" where there is one.
        listed = content.get("groups", [content["group"]] if "group" in content else [])
        groups = tuple(Group(group["seed"], Split(tuple(group["train"]), ())) for group in listed)
        config = ml_collections.ConfigDict(_restore(content["config"])).lock()
        learnt = (trees.get(name) for name in TREES)
        return content["kind"], Trained(content["name"], config, content["description"], groups, *learnt)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path / MODEL_FILE}: found no whole description ({error!r}); save the model again") from None


def _restore(value: Any) -> Any:
    """Return what JSON holds with lists as the tuples that they were."""
    if isinstance(value, dict):
        return {name: _restore(inner) for name, inner in value.items()}
    return tuple(map(_restore, value)) if isinstance(value, list) else value
