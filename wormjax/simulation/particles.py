"""Particles in a plane, in a box or free: how they start, move and are observed; each system has its own force.

After the simulators of Kipf, Fetaya et al. (2018, arXiv 1802.04687): leapfrog steps of 0.001, every 100th kept, walls
that reflect, forces clipped. One difference: the reference's first kick is a whole step, which leaves its velocities
half a step ahead and makes its error of first order; here it is half a step, so velocities are those of the frame.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

TIME_STEP = 0.001  # Seconds.
STEPS_PER_FRAME = 100
FRAME_INTERVAL = TIME_STEP * STEPS_PER_FRAME
BOX_SIZE = 5.0  # Half the side of the box: coordinates stay within [-5, 5].
LARGEST_FORCE = 100.0  # Of each component: 0.1 a step.
FEATURE_NAMES = ("x", "y", "velocity x", "velocity y")


def simulate_particles(
    force: Callable[[Array], Array],
    start_keys: Array,
    noise_keys: Array,
    objects: int,
    frames: int,
    box: float | None,
    location_scale: float,
    speed: float,
    noise: float,
) -> Float[Array, "simulation frame object feature"]:
    """Draw particles, move them and return what is observed; see the functions below for the arguments."""
    location, velocity = draw_particles(start_keys, objects, location_scale, speed)
    return observe_particles(noise_keys, integrate_particles(force, location, velocity, frames, box=box), noise)


def draw_particles(
    keys: Array, objects: int, location_scale: float, speed: float
) -> tuple[Float[Array, "dimension object simulation"], Float[Array, "dimension object simulation"]]:
    """Draw locations (normal, with s.d. `location_scale`) and velocities of one `speed` in any direction."""

    def draw(key):
        place, direction = jax.random.normal(key, (2, 2, objects))
        return location_scale * place, speed * direction / jnp.linalg.norm(direction, axis=0)

    return jax.vmap(draw, out_axes=-1)(keys)


def integrate_particles(
    force: Callable[[Array], Array],
    location: Float[Array, "dimension object simulation"],
    velocity: Float[Array, "dimension object simulation"],
    frames: int,
    box: float | None = BOX_SIZE,
    steps_per_frame: int = STEPS_PER_FRAME,
    time_step: float = TIME_STEP,
) -> Float[Array, "frame feature object simulation"]:
    """Move particles of mass one by leapfrog steps: x, y, velocity x, velocity y at each frame.

    The first frame is `steps_per_frame` steps of `time_step` seconds after the start. `force` takes locations and
    returns forces, both [dimension, object, simulation]; `box` is half the side of the box whose walls reflect; None
    for no box.
    """

    def kick(where, share):
        return share * time_step * jnp.clip(force(where), -LARGEST_FORCE, LARGEST_FORCE)

    def step(_, state):
        where, speed = state
        where, speed = reflect(where + time_step * speed, speed, box)
        return where, speed + kick(where, 1.0)

    def advance(state, _):
        where, speed = jax.lax.fori_loop(0, steps_per_frame, step, state)
        return (where, speed), jnp.concatenate([where, speed - kick(where, 0.5)])

    location, velocity = reflect(location, velocity, box)
    return jax.lax.scan(advance, (location, velocity + kick(location, 0.5)), length=frames)[1]


def reflect(location: Array, velocity: Array, box: float | None) -> tuple[Array, Array]:
    """Mirror particles that left the box at the wall that they crossed, and turn their velocity inwards."""
    if box is None:
        return location, velocity
    over, under = location > box, location < -box
    location = jnp.where(over, 2 * box - location, jnp.where(under, -2 * box - location, location))
    speed = jnp.abs(velocity)
    return location, jnp.where(over, -speed, jnp.where(under, speed, velocity))


def observe_particles(
    keys: Array, states: Float[Array, "frame feature object simulation"], noise: float
) -> Float[Array, "simulation frame object feature"]:
    """Return the states with independent normal noise of standard deviation `noise`."""
    features = jnp.transpose(states, (3, 0, 2, 1))
    draw = jax.vmap(lambda key: jax.random.normal(key, features.shape[1:]))
    return features + noise * draw(keys)
