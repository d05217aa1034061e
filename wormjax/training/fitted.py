"""What linear and other fitted baselines learn: nested dictionaries of arrays in one .npz file, never pickled."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from wormjax.atomic_write import open_place
from wormjax.errors import InputError

FITTED_FILE = "fitted.npz"


def save_fitted(folder: str | os.PathLike, tree: dict[str, Any], name: str = FITTED_FILE) -> None:
    """Save nested dictionaries of arrays in a model's folder, whole or not at all."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with open_place(Path(folder) / name) as beside, open(beside, "wb") as file:
        np.savez(file, **flatten_dict(tree, sep="/"))


def fit_once(folder: str | os.PathLike, fit: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a model's folder holds; where it holds nothing, fit and save it there."""
    fitted = restore_fitted(folder)
    if fitted is None:
        fitted = fit()
        save_fitted(folder, fitted)
    return fitted


def restore_fitted(folder: str | os.PathLike, name: str = FITTED_FILE) -> dict[str, Any] | None:
    """Return what `save_fitted` saved; None where there is no such file.

    InputError for a file that is damaged; the checksums of the zip archive tell.
    """
    path = Path(folder) / name
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return unflatten_dict(dict(arrays), sep="/")
    except Exception as error:  # Of NumPy, zipfile and zlib, whatever damaged bytes make of them.
        problem = f"found a file that is damaged ({type(error).__name__}), expected what training wrote"
        raise InputError(f"{path}: {problem}: remove it and train again") from None
