"""The reference graphs that there are, and how each is read.

cook2019: Cook et al. (2019, Nature 571:63), shipped as a table. randi2023: Randi et al. (2023, Nature 623:406), from
the public file (`wormjax download --study=randi2023`).
"""

import json
import os
import zipfile

import numpy as np
import pandas as pd

from wormjax.connectome.connectome import Connectome
from wormjax.errors import InputError
from wormjax.recordings import hdf5
from wormjax.recordings.names import NEURONS, normalise_neuron_name
from wormjax.shipped import find_shipped

SOURCES = ("cook2019", "randi2023")
COOK_CITATION = (
    "Cook SJ et al. (2019). Whole-animal connectomes of both Caenorhabditis elegans sexes. Nature 571:63-71. "
    "doi:10.1038/s41586-019-1352-7"
)
STRAINS = ("wt", "unc31")
ATLAS = {"dFF": "response", "q": "q", "q_eq": "q_absent", "occ1": "observations"}  # The file's names → ours.
SIGNIFICANT = 0.05  # False discovery rate below which a response counts.
CUT_SHORT = {"AWCOF": "AWCOFF"}  # The file keeps five letters.


def load(source: str, path: str | os.PathLike | None = None, strain: str = "wt") -> Connectome:
    """Return a reference graph.

    Args:
      source: "cook2019", with the kinds chemical, electrical and both (their sum), in sections; or "randi2023", with
        response (mean dF/F), q, q_absent, observations, and significant (1 where q < 0.05, 0 where a pair was observed
        without, NaN where it was not).
      path: of the atlas: `funatlas.h5` or an `.npz` of its arrays, or the folder that holds either.
      strain: of the atlas: "wt" or "unc31".

    Raises:
      InputError: an unknown source or strain, or a file that cannot be read.

    Examples:
      >>> load("cook2019").dataframe("chemical").nlargest(3, "weight")
    """
    if source not in SOURCES:
        raise InputError(f"connectome: found {source!r}, expected one of: {', '.join(SOURCES)}")
    if source == "cook2019":
        return _load_cook()
    if strain not in STRAINS:
        raise InputError(f"connectome {source}: found strain {strain!r}, expected one of: {', '.join(STRAINS)}")
    if path is None:
        raise InputError("connectome randi2023: found no path, expected funatlas.h5 (wormjax download)")
    return _load_randi(os.fspath(path), strain)


def _load_cook() -> Connectome:
    table = pd.read_csv(find_shipped("third_party/cook2019/synapses.csv"))
    names = tuple(sorted(NEURONS))
    places = pd.Series(range(len(names)), index=list(names))
    weights: dict[str, np.ndarray] = {}
    for kind in ("chemical", "electrical"):
        matrix = np.zeros((len(names), len(names)))
        matrix[places[table["sender"]], places[table["receiver"]]] = table[kind]
        weights[kind] = matrix
    return Connectome(
        "cook2019", COOK_CITATION, names, {**weights, "both": weights["chemical"] + weights["electrical"]}
    )


def _load_randi(path: str, strain: str) -> Connectome:
    path = _find_atlas(path)
    arrays = _read_npz(path, strain) if path.endswith(".npz") else _read_hdf5(path, strain)
    ids = [CUT_SHORT.get(name, name) for name in arrays.pop("neuron_ids")]
    for name, values in arrays.items():
        if values.shape != (len(ids), len(ids)):
            raise InputError(f"{path}: field {name!r}: found shape {values.shape}, expected {(len(ids),) * 2}")
    # The file has [responding, driven].
    weights = {ATLAS[name]: values.T.astype(float) for name, values in arrays.items()}
    observed = weights["observations"] > 0
    weights["significant"] = np.where(observed, weights["q"] < SIGNIFICANT, np.nan)
    citation = json.loads(find_shipped("third_party/randi2023/manifest.json").read_text(encoding="utf-8"))["citation"]
    return Connectome("randi2023", citation, tuple(map(normalise_neuron_name, ids)), weights)


def _find_atlas(path: str) -> str:
    """Return the path of the atlas's file; of a folder, that of the one in it."""
    if not os.path.isdir(path):
        return path
    for name in ("funatlas.h5", "randi2023_funatlas.npz"):
        if os.path.isfile(os.path.join(path, name)):
            return os.path.join(path, name)
    raise InputError(f"{path}: found no funatlas.h5, expected the atlas (wormjax download --study=randi2023)")


def _read_hdf5(path: str, strain: str) -> dict:
    with hdf5.open_hdf5(path) as file:
        arrays = {"neuron_ids": hdf5.read_texts(hdf5.get_member(file, "neuron_ids"), "neuron_ids")}
        group = hdf5.get_member(file, strain)
        return arrays | {name: hdf5.read_numbers(hdf5.get_member(group, name, strain), name) for name in ATLAS}


def _read_npz(path: str, strain: str) -> dict:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[f"{strain}_{name}"] for name in ATLAS}
            return {"neuron_ids": file["neuron_ids"].astype(str).tolist(), **arrays}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: found no whole atlas ({error}), expected its arrays as .npz") from None
