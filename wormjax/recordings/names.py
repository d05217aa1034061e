"""Names of neurons: one spelling per neuron, whatever the source.

Connectome packages write the motor neurons of the ventral cord DB1, VB1, VA1; recordings write DB01, VB01, VA01. The
form of the recordings is used here. `NEURONS` are the 302 of the hermaphrodite (White et al. 1986).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from wormjax.recordings.faults import RecordingError

_SINGLE = "ALA AQR AVG AVL AVM DVA DVB DVC I3 I4 I5 I6 M1 M4 M5 MI PDA PDB PQR PVM PVR PVT RID RIH RIR RIS"
_PAIRS = """ADA ADE ADF ADL AFD AIA AIB AIM AIN AIY AIZ ALM ALN ASE ASG ASH ASI ASJ ASK AUA AVA AVB AVD AVE AVF AVH AVJ
    AVK AWA AWB AWC BAG BDU CAN FLP HSN I1 I2 IL1 IL2 LUA M2 M3 MC NSM OLL PDE PHA PHB PHC PLM PLN PVC PVD PVN PVP PVQ
    PVW RIA RIB RIC RIF RIG RIM RIP RIV RMD RME RMF RMG RMH SABV SDQ URB URX"""  # L and R.
_FOURS = "CEP IL1 IL2 OLQ RMD SAA SIA SIB SMB SMD URA URY"  # DL, DR, VL and VR.
_CORD = {"AS": 11, "DA": 9, "DB": 7, "DD": 6, "VA": 12, "VB": 11, "VC": 6, "VD": 13}  # Numbered from 1.
_SIDES = (  # Neuron → its class and its side.
    {name + side: (name, side) for name in _PAIRS.split() for side in "LR"}
    | {name + side: (name, side) for name in _FOURS.split() for side in ("DL", "DR", "VL", "VR")}
    | {f"{name}{k:02d}": (name, f"{k:02d}") for name, count in _CORD.items() for k in range(1, count + 1)}
    | {"RMED": ("RME", "D"), "RMEV": ("RME", "V"), "SABD": ("SAB", "D"), "SABVL": ("SAB", "VL"), "SABVR": ("SAB", "VR")}
)
NEURONS = frozenset(_SINGLE.split()) | frozenset(_SIDES)
_CLASSES = _SIDES | {"AWCON": ("AWC", ""), "AWCOFF": ("AWC", "")}
_NUMBERED = re.compile(r"(AS|D[ABD]|V[ABCD])0*(\d{1,2})")
_OTHER_NAMES = frozenset({"AWCON", "AWCOFF"})  # AWCL and AWCR by what they express.
# A number, a dash, `unknown_3`, `neuron_12` or `nan` names no neuron.
_NOTHING = re.compile(
    r"(un(known|named|identified|label+ed|defined)(cell)?|missing|none|null|n/?a|nan|neuron|cell|roi)?[\W_]*\d*",
    re.IGNORECASE,
)


def normalise_neuron_name(name: str) -> str:
    """Return a neuron's name as recordings write it; a word that names no neuron only loses spaces at its ends.

    >>> [normalise_neuron_name(name) for name in ("VB1", "vb02", "avaL", "IL1L", " my cell's name ")]
    ['VB01', 'VB02', 'AVAL', 'IL1L', "my cell's name"]
    """
    name = name.strip()
    match = _NUMBERED.fullmatch(name.upper())
    spelt = f"{match[1]}{match[2]:0>2}" if match else name.upper()
    return spelt if spelt in NEURONS | _OTHER_NAMES else name


def is_neuron_name(name: str) -> bool:
    """Return whether the text may name a neuron: `---`, `?`, a number, `unknown_3` or `Unknown Cell` do not."""
    name = name.strip()
    has_letter = any(character.isalpha() for character in name)
    return has_letter and not re.search(r"\s", name) and not _NOTHING.fullmatch(name)


def find_other_columns(names: Sequence[str]) -> list[int]:
    """Return the places of names that are words, such as `label` or `x_um`, among those of neurons.

    Where no name is that of a neuron and most are words, they are the user's own names, and none is returned.

    >>> find_other_columns(["AVAL", "speed_2", "VB2", "unknown_3", "12", "AVA", "RIM?", "n/a"])
    [1]
    >>> find_other_columns(["cell A", "left", "right"])
    []
    """
    found = [place for place, name in enumerate(names) if not _may_be_neuron(name)]
    known = any(normalise_neuron_name(name) in NEURONS for name in names)
    return found if known or 2 * len(found) < len(names) else []


def _may_be_neuron(name: str) -> bool:
    words = re.findall(r"[^\W\d_][^\W_]*", name)  # A number beside a word names nothing: `speed_2`.
    nameless = not words or any(map(_NOTHING.fullmatch, (name, *words)))
    starts = [normalise_neuron_name(word).upper() for word in words if len(word) > 1]
    return nameless or any(known.startswith(start) for known in NEURONS | _OTHER_NAMES for start in starts)


def sort_candidates(names: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the name that identifies a neuron (or None), and the candidates where it is doubtful.

    Exactly one name without a question mark identifies a neuron; several names, or a doubtful one, are candidates.
    """
    entries = [name.strip() for name in names if name.strip()]
    named = [normalise_neuron_name(name.replace("?", "")) for name in entries if is_neuron_name(name.replace("?", ""))]
    if len(entries) == 1 and named and "?" not in entries[0]:
        return named[0], ()
    return None, tuple(dict.fromkeys(named))


def identify_neurons(
    entries: Sequence[Any], candidates: Sequence[Sequence[str]] = ()
) -> tuple[tuple[str | None, ...], tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Return each neuron's name (or None), its candidates where it is doubtful, and the names that were found twice.

    A name that several neurons carry identifies none of them: it is a candidate for each. Of the file's `entries`, what
    is no text, such as None, NaN or a number, identifies none; `candidates` are those that the file lists, () for none
    at all.
    """
    names: list[str | None] = []
    doubtful: list[tuple[str, ...]] = []
    for entry, listed in zip(entries, candidates or [()] * len(entries), strict=True):
        name, own = sort_candidates([entry] if isinstance(entry, str) else [])
        names.append(name)
        doubtful.append(tuple(map(normalise_neuron_name, listed)) or own)
    counts = Counter(name for name in names if name is not None)
    twice = {name for name, count in counts.items() if count > 1}
    doubtful = [(name,) if name in twice else own for name, own in zip(names, doubtful, strict=True)]
    return tuple(None if name in twice else name for name in names), tuple(doubtful), tuple(sorted(twice))


def parse_candidates(texts: Iterable[str], path: str, field: str) -> tuple[tuple[str, ...], ...]:
    """Return the candidates of each neuron, each text of a file's field being a JSON list of names."""
    try:
        candidates = [json.loads(text or "[]") for text in texts]
    except (ValueError, RecursionError):
        candidates = [None]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in candidates):
        expected = 'expected a JSON list of names per neuron: ["AVAL", "AVAR"]'
        raise RecordingError(f"{path}: field {field!r}: found other text, {expected}")
    return tuple(map(tuple, candidates))


def split_neuron_name(name: str) -> tuple[str, str]:
    """Return the class and the side of a neuron, by which left and right, or the neurons of the cord, are alike.

    A neuron of the ventral cord has its number for a side. A name that is not of `NEURONS` is a class of its own.

    >>> [split_neuron_name(name) for name in ("AVAL", "IL1DL", "RMED", "VB02", "RID", "cell 7")]
    [('AVA', 'L'), ('IL1', 'DL'), ('RME', 'D'), ('VB', '02'), ('RID', ''), ('cell 7', '')]
    """
    return _CLASSES.get(name, (name, ""))


def find_mirrors(names: Sequence[str]) -> list[int]:
    """Return the place of each neuron's left-right partner among the names; its own on the midline; -1 for no partner.

    >>> find_mirrors(["AVAL", "SMDDR", "RID", "AVAR", "SMDDL", "SMDVL"])
    [3, 4, 2, 0, 1, -1]
    """
    other = {"L": "R", "R": "L"}
    places = {split_neuron_name(name): place for place, name in enumerate(names)}
    return [
        places.get((own, side[:-1] + other[side[-1]]), -1) if side[-1:] in other else place
        for place, (own, side) in enumerate(map(split_neuron_name, names))
    ]
