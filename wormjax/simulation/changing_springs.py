"""Particles joined by springs that attach and detach: a system whose graph is known and changes from frame to frame.

The task is that of dynamic neural relational inference (Graber & Schwing 2020, CVPR): the relations of each frame. The
physics is that of `springs`; a spring is there, or not, for a whole frame interval.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wormjax.simulation import particles
from wormjax.simulation.ensembles import check_numbers, check_probabilities, draw_edge_types, simulate_chunks
from wormjax.simulation.springs import Springs, pull_springs
from wormjax.simulation.trajectories import Trajectories

CHANGE = 0.04  # In 49 frames a pair's spring is drawn anew twice, and changes once.


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
    features, edges = simulate_chunks("changing_springs", _simulate_chunk, key, *counts, **options)
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
def _simulate_chunk(
    keys, *, objects, frames, couplings, probabilities, directed, change, reach, box, location_scale, speed, noise
):
    """Return features and edge types of the simulations with these keys [3, simulation]."""
    edge_keys, start_keys, noise_keys = keys
    types = jax.vmap(lambda key: draw_changes(key, frames, objects, probabilities, directed, change))(edge_keys)
    start = particles.draw_particles(start_keys, objects, location_scale, speed)
    states, edges = integrate_changes(jnp.moveaxis(types, 0, -1), jnp.array(couplings), reach, *start, box)
    return particles.observe_particles(noise_keys, states, noise), jnp.moveaxis(edges, -1, 0)
