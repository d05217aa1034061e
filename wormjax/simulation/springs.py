"""Particles joined by springs: the first system with a known graph of Kipf, Fetaya et al. (2018, arXiv 1802.04687).

The force on a receiver is -stiffness * strength[edge type] * (its location - the sender's location), summed over
senders. See `particles` for how they start and move. Springs that attach and detach make a graph that changes from
frame to frame, the task of dynamic neural relational inference (Graber & Schwing 2020, CVPR): a spring is there, or
not, for a whole frame interval.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wormjax.errors import InputError
from wormjax.simulation import particles
from wormjax.simulation.ensembles import check_box, check_numbers, check_probabilities, draw_edge_types, simulate_chunks
from wormjax.simulation.trajectories import Trajectories

CHANGE = 0.04  # In 49 frames a pair's spring is drawn anew twice, and changes once.


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


def simulate_changing_springs(
    key: Array,
    simulations: int,
    objects: int = 5,
    frames: int = 49,
    *,
    change: float = CHANGE,
    reach: float = 0.0,
    chunk_size: int | None = None,
    **springs: Any,
) -> Trajectories:
    """Simulate particles joined by springs that attach and detach at random times, by distance, or both.

    Features are x, y, velocity x, velocity y; edges are [simulation, frame, sender, receiver]. Those of frame t act
    from it to frame t + 1; those of the last frame act on nothing that is observed.

    Args:
      change: probability per frame that the type of a pair is drawn anew.
      reach: distance from which a pair has the first type, whatever was drawn; 0 for any distance.
      springs: see `springs.Springs`; all others, and errors, are as of `springs.simulate_springs`.

    Examples:
      >>> springs = simulate_changing_springs(jax.random.key(0), simulations=10, change=0.1)
      >>> springs.edges.shape
      (10, 49, 5, 5)
    """
    settings = Springs(**springs)
    options = settings.list_settings("changing_springs")
    check_probabilities("changing_springs", (0.0, 1.0), (1.0 - change, change))
    options |= check_numbers("changing_springs", change=change, reach=reach)
    counts = simulations, objects, frames, chunk_size
    features, edges = simulate_chunks("changing_springs", _simulate_changing_chunk, key, *counts, **options)
    named = particles.FEATURE_NAMES, settings.name_types(), particles.FRAME_INTERVAL
    return Trajectories("changing_springs", features, edges, *named)


def draw_changes(
    key: Array, frames: int, objects: int, probabilities: Sequence[float], directed: bool, change: float
) -> Int[Array, "frame sender receiver"]:
    """Draw the edge types of each frame: those of the frame before, but for pairs that are drawn anew."""

    def advance(types, frame_key):
        type_key, change_key = jax.random.split(frame_key)
        drawn = draw_edge_types(type_key, objects, probabilities, directed)
        changed = draw_edge_types(change_key, objects, (1.0 - change, change), directed)
        types = jnp.where(changed == 1, drawn, types)
        return types, types

    first_key, later_key = jax.random.split(key)
    first = draw_edge_types(first_key, objects, probabilities, directed)
    later = jax.lax.scan(advance, first, jax.random.split(later_key, frames - 1))[1]
    return jnp.concatenate([first[None], later])


def integrate_changes(
    types: Int[Array, "frame sender receiver simulation"],
    couplings: Float[Array, " type"],
    reach: float,
    location: Float[Array, "dimension object simulation"],
    velocity: Float[Array, "dimension object simulation"],
    box: float | None,
) -> tuple[Float[Array, "frame feature object simulation"], Int[Array, "frame sender receiver simulation"]]:
    """Move particles from frame to frame by leapfrog steps, with the springs of one frame until the next.

    Returns the state of each frame, and the edge types that act from it on.
    """
    between = ~jnp.eye(types.shape[1], dtype=bool)[..., None]
    length, share = particles.TIME_STEP, particles.LARGEST_FORCE

    def advance(state, drawn):
        location, velocity = state
        apart = jnp.linalg.norm(location[:, :, None] - location[:, None], axis=0)
        acting = jnp.where((reach > 0) & (apart >= reach), 0, drawn) * between
        coupling = couplings[acting] * between

        def kick(where):
            return length * jnp.clip(pull_springs(where, coupling), -share, share)

        def step(_, moving):
            where, speed = particles.reflect(moving[0] + length * moving[1], moving[1], box)
            return where, speed + kick(where)

        moving = location, velocity + 0.5 * kick(location)
        where, speed = jax.lax.fori_loop(0, particles.STEPS_PER_FRAME, step, moving)
        return (where, speed - 0.5 * kick(where)), (jnp.concatenate([location, velocity]), acting)

    start = particles.reflect(location, velocity, box)
    return jax.lax.scan(advance, start, types)[1]


@functools.partial(jax.jit, static_argnames=("objects", "frames", "directed", "box"))
def _simulate_changing_chunk(
    keys, *, objects, frames, couplings, probabilities, directed, change, reach, box, location_scale, speed, noise
):
    """Return features and edge types of the simulations with these keys [3, simulation]."""
    edge_keys, start_keys, noise_keys = keys
    types = jax.vmap(lambda key: draw_changes(key, frames, objects, probabilities, directed, change))(edge_keys)
    start = particles.draw_particles(start_keys, objects, location_scale, speed)
    states, edges = integrate_changes(jnp.moveaxis(types, 0, -1), jnp.array(couplings), reach, *start, box)
    return particles.observe_particles(noise_keys, states, noise), jnp.moveaxis(edges, -1, 0)
