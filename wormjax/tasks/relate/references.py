"""The graphs that inferred ones are scored against: the wiring and the atlas of real worms, that of simulated ones."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wormjax import connectome
from wormjax.features.studies import SIMULATED
from wormjax.recordings.names import normalise_neuron_name
from wormjax.simulation.worms import choose_names, find_wiring

WIRING, ATLAS, CHEMICAL = "wiring", "atlas", "chemical"
KINDS = (CHEMICAL, "electrical", ATLAS)


def load_references(config, names: Sequence[str]) -> dict[str, Float[np.ndarray, "sender receiver"]]:
    """Return name → 1 for an edge, 0 for none, NaN where it is not known, of the neurons in play.

    Simulated worms have "wiring" alone. "atlas": a response with q < 0.05, of the pairs that were observed; only where
    `references.atlas` names the file.
    """
    if config.data.study == SIMULATED and not config.data.studies:
        return {WIRING: (align_wiring(config, names) != 0).astype(float)}
    wiring, found = connectome.load("cook2019"), {}
    for kind in config.references.kinds:
        if kind != ATLAS:
            weights = wiring.matrix(kind, names)
            found[kind] = np.where(np.isnan(weights), np.nan, weights > 0)
        elif config.references.atlas:
            found[ATLAS] = load_atlas(config).matrix("significant", names)
    return found


def load_atlas(config) -> connectome.Connectome:
    """Return the atlas of `references.atlas`."""
    return connectome.load("randi2023", config.references.atlas)


def align_wiring(config, names: Sequence[str]) -> Float[np.ndarray, "sender receiver"]:
    """Return the weights of the simulated wiring between named neurons."""
    simulation = config.data.simulation
    known = list(map(normalise_neuron_name, choose_names(simulation.neurons)))
    own = [known.index(name) for name in names]
    return find_wiring(simulation.seed, len(known))[np.ix_(own, own)]
