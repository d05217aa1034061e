"""What neurons are: class, side, neurotransmitters, and whether they are sensory, inter- or motor neurons.

Neurotransmitters are those of Wang et al. (2024, eLife 13:RP95402), shipped as a table.
Types follow White et al. (1986, Phil. Trans. R. Soc. B 314:1) and WormAtlas. Classes that these, or later work, count
as more than one type (such as RIM, inter- and motor neuron, or URA, sensory and motor neuron) have no type here.
"""

from collections.abc import Sequence

import pandas as pd

from wormjax.recordings.names import NEURONS, normalise_neuron_name, split_neuron_name
from wormjax.shipped import find_shipped

_CLASSES = {
    "sensory": """ADE ADF ADL AFD ALM ALN AQR ASE ASG ASH ASI ASJ ASK AVM AWA AWB AWC BAG CEP FLP IL1 IL2 OLL OLQ PDE
        PHA PHB PHC PLM PLN PQR PVD PVM URB URX URY""",
    "inter": """ADA AIA AIB AIM AIN AIY AIZ ALA AVA AVB AVD AVE AVF AVH AVJ AVK BDU DVA DVC I1 I2 I3 I4 I5 I6 LUA PVC
        PVN PVP PVQ PVT PVW RIA RIB RIC RIF RIG RIH RIP RIR RIS SAA""",
    "motor": """AS DA DB DD VA VB VC VD DVB HSN M1 M2 M3 M4 M5 MC PDA PDB RID RMD RME RMF RMH SAB SMB SMD""",
}
TYPES = {name: kind for kind, names in _CLASSES.items() for name in names.split()}


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
