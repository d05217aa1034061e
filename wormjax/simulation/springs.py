"""Particles joined by springs: the first system with a known graph of Kipf, Fetaya et al. (2018, arXiv 1802.04687).

The force on a receiver is -stiffness * strength[edge type] * (its location - the sender's location), summed over
senders. See `particles` for how they start and move.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wormjax.errors import InputError
from wormjax.simulation import particles
from wormjax.simulation.ensembles import check_box, check_numbers, check_probabilities, draw_edge_types, simulate_chunks
from wormjax.simulation.trajectories import Trajectories


class Springs(NamedTuple):
    """What particles joined by springs differ in; the defaults are the reference's."""

    strengths: Sequence[float] = (0.0, 1.0)  # Of each edge type, a multiple of the stiffness.
    probabilities: Sequence[float] | None = None  # Of each edge type; None for equal ones.
    directed: bool = False  # Whether a spring pulls its receiver only.
    noise: float = 0.0  # Standard deviation of the observation noise, in the units of location and velocity.
    stiffness: float = 0.1  # Hooke's constant.
    box: float | None = particles.BOX_SIZE  # Half the side of the box; None for no box.
    location_scale: float = 0.5  # Standard deviation of the first locations.
    speed: float = 0.5  # At the start, of every particle.

    def list_settings(self, system: str) -> dict[str, Any]:
        """Return the settings of graph and motion, checked; `system` is what messages call it."""
        check_box(system, self.box)
        check_numbers(system, stiffness=self.stiffness)
        motion = {name: getattr(self, name) for name in ("noise", "location_scale", "speed")}
        return check_numbers(system, **motion) | {
            "box": self.box,
            "probabilities": check_probabilities(system, self.strengths, self.probabilities),
            "directed": bool(self.directed),
            "couplings": tuple(self.stiffness * float(strength) for strength in self.strengths),
        }

    def name_types(self) -> tuple[str, ...]:
        """Return the names of the edge types."""
        return tuple("no spring" if strength == 0 else f"spring {strength:g}" for strength in self.strengths)


def simulate_springs(
    key: Array,
    simulations: int,
    objects: int = 5,
    frames: int = 49,
    *,
    temperatures: tuple[float, float] = (1.0, 1.0),
    chunk_size: int | None = None,
    **springs: Any,
) -> Trajectories:
    """Simulate particles joined by springs at random: features x, y, velocity x, velocity y, and the type of each edge.

    Args:
      key: a JAX random key; simulation k depends on it and k alone.
      simulations, objects, frames: how many; frames are 0.1 seconds apart, the first 0.1 s after the start.
      temperatures: the range from which each system draws a factor of all its springs' stiffness, uniform in its
        logarithm. (After Löwe et al. 2022, whose temperatures are three.)
      chunk_size: simulations to compute at a time; None for a number that suits the device.
      springs: see `Springs`.

    Raises:
      InputError: an argument out of its range.
    """
    settings, (low, high) = Springs(**springs), map(float, temperatures)
    options = settings.list_settings("springs") | {"temperatures": (low, high)}
    if not 0 < low <= high < math.inf:
        expected = "expected two numbers above 0, the lower one first"
        raise InputError(f"springs, field 'temperatures': found {tuple(temperatures)}, {expected}")
    counts = simulations, objects, frames, chunk_size
    features, edges, drawn = simulate_chunks("springs", _simulate_chunk, key, *counts, **options)
    named = particles.FEATURE_NAMES, settings.name_types(), particles.FRAME_INTERVAL
    systems = Trajectories("springs", features, edges, *named)
    return dataclasses.replace(systems, temperatures=drawn) if low < high else systems


def pull_springs(
    location: Float[Array, "dimension object simulation"], coupling: Float[Array, "sender receiver simulation"]
) -> Float[Array, "dimension object simulation"]:
    """Return Hooke's force on each particle; `coupling` is stiffness times strength."""
    apart = location[:, :, None] - location[:, None, :]  # From receiver to sender: [dimension, sender, receiver, ...].
    return (coupling * apart).sum(axis=1)


@functools.partial(jax.jit, static_argnames=("objects", "frames", "directed", "box"))
def _simulate_chunk(keys, *, objects, frames, couplings, probabilities, directed, temperatures, **motion):
    """Return features, edge types and temperatures of the simulations with these keys [3, simulation]."""
    edge_keys, start_keys, noise_keys = keys
    edges = jax.vmap(lambda key: draw_edge_types(key, objects, probabilities, directed))(edge_keys)
    coupling = jnp.moveaxis(jnp.array(couplings)[edges] * (1 - jnp.eye(objects)), 0, -1)
    low, high = temperatures
    shares = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 1)))(start_keys)
    drawn = low * (high / low) ** shares
    coupling = coupling * drawn
    features = particles.simulate_particles(
        lambda where: pull_springs(where, coupling), start_keys, noise_keys, objects, frames, **motion
    )
    return features, edges, drawn
