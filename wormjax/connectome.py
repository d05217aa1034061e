"""Reference graphs between named neurons: the anatomical wiring, and the measured propagation of signals.

wiring = wormjax.connectome.load("cook2019")
wiring.matrix("chemical")                               # [sender, receiver], 302 neurons.
atlas = wormjax.connectome.load("randi2023", "funatlas.h5")
atlas.matrix("significant", names=("AVAL", "AVAR"))     # NaN where the pair was not observed.

cook2019 is Cook et al. (2019, Nature 571:63), shipped as a table; randi2023 is Randi et al. (2023, Nature 623:406),
from the public file (`wormjax download --study=randi2023`). Neurotransmitters are those of Wang et al. (2024, eLife
13:RP95402), shipped as a table. Types follow White et al. (1986, Phil. Trans. R. Soc. B 314:1) and WormAtlas. Classes
that these, or later work, count as more than one type (such as RIM, inter- and motor neuron, or URA, sensory and motor
neuron) have no type here.
"""

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Float
from jraph import GraphsTuple

from wormjax.errors import InputError
from wormjax.recordings import hdf5
from wormjax.recordings.names import NEURONS, normalise_neuron_name, split_neuron_name
from wormjax.shipped import find_shipped

__all__ = ["SOURCES", "TYPES", "Connectome", "describe_neurons", "load"]

SOURCES = ("cook2019", "randi2023")
COOK_CITATION = (
    "Cook SJ et al. (2019). Whole-animal connectomes of both Caenorhabditis elegans sexes. Nature 571:63-71. "
    "doi:10.1038/s41586-019-1352-7"
)
STRAINS = ("wt", "unc31")
ATLAS = {"dFF": "response", "q": "q", "q_eq": "q_absent", "occ1": "observations"}  # The file's names → ours.
SIGNIFICANT = 0.05  # False discovery rate below which a response counts.
CUT_SHORT = {"AWCOF": "AWCOFF"}  # The file keeps five letters.
_CLASSES = {
    "sensory": """ADE ADF ADL AFD ALM ALN AQR ASE ASG ASH ASI ASJ ASK AVM AWA AWB AWC BAG CEP FLP IL1 IL2 OLL OLQ PDE
        PHA PHB PHC PLM PLN PQR PVD PVM URB URX URY""",
    "inter": """ADA AIA AIB AIM AIN AIY AIZ ALA AVA AVB AVD AVE AVF AVH AVJ AVK BDU DVA DVC I1 I2 I3 I4 I5 I6 LUA PVC
        PVN PVP PVQ PVT PVW RIA RIB RIC RIF RIG RIH RIP RIR RIS SAA""",
    "motor": """AS DA DB DD VA VB VC VD DVB HSN M1 M2 M3 M4 M5 MC PDA PDB RID RMD RME RMF RMH SAB SMB SMD""",
}
TYPES = {name: kind for kind, names in _CLASSES.items() for name in names.split()}


def __dir__() -> list[str]:
    return __all__  # What the tab key offers.


def find_type(name: str) -> str:
    """Return "sensory", "inter" or "motor"; "" for a neuron of several types, and for a name that is no neuron's.

    >>> [find_type(name) for name in ("ASEL", "AVAL", "VB02", "RIML")]
    ['sensory', 'inter', 'motor', '']
    """
    return TYPES.get(split_neuron_name(name)[0], "")


def describe_neurons(names: Sequence[str] = tuple(sorted(NEURONS))) -> pd.DataFrame:
    """Return a table of neurons: neuron, class, side (L, R, D, V or two of them; or ""), type, transmitters.

    Transmitters are separated by "; ", with "(uptake)" or "(dim)" after those that are not made, or are in doubt; "" is
    none that is known.
    """
    table = pd.read_csv(find_shipped("third_party/wang2024/neurotransmitters.csv"), keep_default_na=False)
    transmitters, rows = dict(zip(table["neuron"], table["transmitters"], strict=True)), []
    for name in names:
        own, side = split_neuron_name(name)
        known = transmitters.get(normalise_neuron_name(name), "")
        rows.append((name, own, "" if side.isdigit() else side, find_type(name), known))
    return pd.DataFrame(rows, columns=["neuron", "class", "side", "type", "transmitters"])


@dataclasses.dataclass(frozen=True, eq=False)
class Connectome:
    """Weights between named neurons.

    Attributes:
      source: "cook2019" or "randi2023".
      citation: of the source.
      neuron_names: of both axes, as recordings write them.
      weights: kind → matrix [sender, receiver]; NaN where a pair was not observed.
    """

    source: str
    citation: str
    neuron_names: tuple[str, ...] = dataclasses.field(repr=False)
    weights: Mapping[str, Float[np.ndarray, "sender receiver"]] = dataclasses.field(repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the matrices."""
        return tuple(self.weights)

    def matrix(self, kind: str, names: Sequence[str] | None = None) -> Float[np.ndarray, "sender receiver"]:
        """Return the weights of one kind.

        Args:
          kind: one of `kinds`.
          names: neurons of both axes in any spelling, in this order; None takes all. A neuron that the source lacks
            has NaN.

        Raises:
          InputError: there is no such kind.

        Examples:
          >>> load("cook2019").matrix("chemical", ["AVAL", "DA1"])
        """
        if kind not in self.weights:
            raise InputError(f"connectome {self.source}: found kind {kind!r}, expected one of: {', '.join(self.kinds)}")
        if names is None:
            return self.weights[kind].copy()
        names = names.split(",") if isinstance(names, str) else names
        places = {name: place for place, name in enumerate(self.neuron_names)}
        own = np.array([places.get(normalise_neuron_name(name), -1) for name in names], int)
        chosen = self.weights[kind][np.ix_(own, own)].astype(float)
        chosen[own < 0], chosen[:, own < 0] = np.nan, np.nan
        return chosen

    def dataframe(self, kind: str) -> pd.DataFrame:
        """Return the edges of one kind as a table of sender, receiver and weight: those that are neither 0 nor NaN."""
        matrix = np.nan_to_num(self.matrix(kind))
        senders, receivers = np.nonzero(matrix)
        names = np.array(self.neuron_names)
        return pd.DataFrame(
            {"sender": names[senders], "receiver": names[receivers], "weight": matrix[senders, receivers]}
        )

    def graph(self, kind: str) -> GraphsTuple:
        """Return the edges of one kind as a jraph.GraphsTuple.

        Nodes are one-hot [neuron, 3] for sensory, inter- and motor neurons (0 for those of no one type), in the order
        of `neuron_names`; edges are the weights [edge, 1].
        """
        matrix = np.nan_to_num(self.matrix(kind))
        senders, receivers = np.nonzero(matrix)
        types = self.neurons()["type"].to_numpy()
        return GraphsTuple(
            nodes=jnp.asarray(np.stack([types == one for one in ("sensory", "inter", "motor")], axis=1), jnp.float32),
            edges=jnp.asarray(matrix[senders, receivers, None], jnp.float32),
            senders=jnp.asarray(senders, jnp.int32),
            receivers=jnp.asarray(receivers, jnp.int32),
            globals=None,
            n_node=jnp.array([len(types)]),
            n_edge=jnp.array([len(senders)]),
        )

    def neurons(self) -> pd.DataFrame:
        """Return neuron, class, side, type and transmitters of each neuron (`describe_neurons`)."""
        return describe_neurons(self.neuron_names)


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
