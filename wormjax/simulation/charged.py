"""Charged particles: the second system with a known graph of Kipf, Fetaya et al. (2018, arXiv 1802.04687).

The force on a receiver is strength * (product of the two charges) / distance² away from the sender, by Coulomb's law,
summed over senders. The graph is complete; the task is to find which pairs attract and which repel. See `particles`
for how they start and move. Close encounters make the motion chaotic: no float32 integration would agree with another.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wormjax.simulation import particles
from wormjax.simulation.ensembles import check_box, check_numbers, check_probabilities, simulate_chunks
from wormjax.simulation.trajectories import Trajectories

CHARGES = (-1.0, 1.0)


def simulate_charged(
    key: Array,
    simulations: int,
    objects: int = 5,
    frames: int = 49,
    *,
    charges: Sequence[float] = CHARGES,
    probabilities: Sequence[float] | None = None,
    noise: float = 0.0,
    strength: float = 1.0,
    box: float | None = particles.BOX_SIZE,
    location_scale: float = 1.0,
    speed: float = 0.5,
    chunk_size: int | None = None,
) -> Trajectories:
    """Simulate particles of random charge; the defaults are the reference's (locations start twice as wide).

    Features are x, y, velocity x, velocity y. Edge types number the products of two charges from the smallest: by
    default 0 attracts and 1 repels. The diagonal is of type 0 and means nothing.

    Args:
      charges: the charges that a particle can have.
      probabilities: of each charge; None for equal ones.
      strength: of the force between two charges of one at distance one.
      noise, box, location_scale, speed: see `springs.Springs`; all others, and errors: see `springs.simulate_springs`.
    """
    check_box("charged", box)
    forces = check_numbers("charged", strength=strength) | {"charges": tuple(map(float, charges))}
    forces["probabilities"] = check_probabilities("charged", charges, probabilities)
    motion = check_numbers("charged", noise=noise, location_scale=location_scale, speed=speed) | {"box": box}
    counts = simulations, objects, frames, chunk_size
    features, edges = simulate_chunks("charged", _simulate_chunk, key, *counts, **forces, **motion)
    kinds = {-1.0: "attract {:g}", 0.0: "none", 1.0: "repel {:g}"}
    names = tuple(kinds[np.sign(product)].format(abs(product)) for product in find_products(charges))
    return Trajectories("charged", features, edges, particles.FEATURE_NAMES, names, particles.FRAME_INTERVAL)


def find_products(charges: Sequence[float]) -> tuple[float, ...]:
    """Return the products that two charges can have, the smallest first: the edge types."""
    return tuple(float(product) for product in np.unique(np.outer(charges, charges)))


def push_charges(
    location: Float[Array, "dimension object simulation"], coupling: Float[Array, "sender receiver simulation"]
) -> Float[Array, "dimension object simulation"]:
    """Return Coulomb's force on each particle; `coupling` is strength times product of charges, diagonal zero."""
    apart = location[:, None, :] - location[:, :, None]  # From sender to receiver: [dimension, sender, receiver, ...].
    square = (apart**2).sum(axis=0)
    square = jnp.where(square > 0, square, 1.0)  # A particle and itself: the coupling is zero.
    return (coupling / (square * jnp.sqrt(square)) * apart).sum(axis=1)


@functools.partial(jax.jit, static_argnames=("objects", "frames", "charges", "box"))
def _simulate_chunk(keys, *, objects, frames, charges, probabilities, strength, **motion):
    """Return features and edge types of the simulations with these keys [3, simulation]."""
    charge_keys, start_keys, noise_keys = keys
    ends = jnp.cumsum(jnp.array(probabilities))[:-1]
    shares = jax.vmap(lambda key: jax.random.uniform(key, (objects,)))(charge_keys)
    charge = jnp.array(charges)[jnp.searchsorted(ends, shares, side="right")]
    product = charge[:, :, None] * charge[:, None, :]
    others = 1 - jnp.eye(objects, dtype=int)
    edges = jnp.searchsorted(jnp.array(find_products(charges)), product) * others
    coupling = jnp.moveaxis(strength * product * others, 0, -1)
    features = particles.simulate_particles(
        lambda where: push_charges(where, coupling), start_keys, noise_keys, objects, frames, **motion
    )
    return features, edges
