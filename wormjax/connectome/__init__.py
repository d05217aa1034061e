"""Reference graphs between named neurons: the anatomical wiring, and the measured propagation of signals.

wiring = wormjax.connectome.load("cook2019")
wiring.matrix("chemical")                               # [sender, receiver], 302 neurons.
atlas = wormjax.connectome.load("randi2023", "funatlas.h5")
atlas.matrix("significant", names=("AVAL", "AVAR"))     # NaN where the pair was not observed.
"""

from wormjax.connectome.catalog import SOURCES, load
from wormjax.connectome.connectome import Connectome
from wormjax.connectome.neuron_types import TYPES, describe_neurons

__all__ = ["SOURCES", "TYPES", "Connectome", "describe_neurons", "load"]


def __dir__() -> list[str]:
    return __all__  # What the tab key offers.
