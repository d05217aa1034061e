"""simulate_springs: systems with a known graph, to try RelationalInference on."""

import jax

from wormjax.instrument.settings import take_whole
from wormjax.simulation import springs
from wormjax.simulation.trajectories import Trajectories


def simulate_springs(
    simulations: int = 1000, objects: int = 5, frames: int = 49, seed: int = 0, directed: bool = False
) -> Trajectories:
    """Return particles in a box, half of whose pairs are joined by springs (Kipf, Fetaya et al. 2018).

    Args:
      simulations: how many systems, each with a graph of its own.
      objects: particles per system.
      frames: of each.
      seed: the same seed gives the same systems.
      directed: whether a spring pulls its receiver only; each direction of a pair is then drawn by itself.

    Examples:
      >>> wormjax.simulate_springs(200).features.shape
      (200, 49, 5, 4)
    """
    key = jax.random.key(take_whole("seed", seed))
    return springs.simulate_springs(key, simulations, objects, frames, directed=directed)
