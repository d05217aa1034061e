"""The graphs that inferred ones are scored against: the wiring and the atlas of real worms, that of simulated ones."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wormjax import connectome
from wormjax.features.studies import SIMULATED
from wormjax.simulation.worms import choose_names, find_wiring

WIRING, ATLAS, CHEMICAL = "wiring", "atlas", "chemical"
ANATOMICAL = (CHEMICAL, "electrical")
KINDS = (*ANATOMICAL, ATLAS)


def load_references(
    data, names: Sequence[str], kinds: Sequence[str] = ANATOMICAL, atlas: str = ""
) -> dict[str, Float[np.ndarray, "sender receiver"]]:
    """Return name → 1 for an edge, 0 for none, NaN where it is not known, of the neurons in play.

    Simulated worms have "wiring" alone.

    Args:
      data: a config's section `data`.
      kinds: of real worms, some of `KINDS`. "atlas": a response with q < 0.05, of the pairs that were observed.
      atlas: the atlas's file; "" leaves it out.
    """
    if data.study == SIMULATED and not data.get("studies", ()):
        weights = align_wiring(data.simulation, names)
        return {WIRING: np.where(np.isnan(weights), np.nan, weights != 0)}
    wiring, found = connectome.load("cook2019"), {}
    for kind in kinds:
        if kind != ATLAS:
            weights = wiring.matrix(kind, names)
            found[kind] = np.where(np.isnan(weights), np.nan, weights > 0)
        elif atlas:
            found[ATLAS] = connectome.load("randi2023", atlas).matrix("significant", names)
    return found


def align_wiring(simulation, names: Sequence[str]) -> Float[np.ndarray, "sender receiver"]:
    """Return the weights of the simulated wiring between neurons; NaN for a neuron without a name."""
    known = list(choose_names(simulation.get("neurons", 15)))
    own = np.array([known.index(name) if name in known else -1 for name in names], int)
    weights = find_wiring(simulation.seed, len(known))[np.ix_(own, own)]
    weights[own < 0], weights[:, own < 0] = np.nan, np.nan
    return weights
