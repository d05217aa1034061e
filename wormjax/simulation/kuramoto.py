"""Kuramoto phase oscillators: the third system with a known graph of Kipf, Fetaya et al. (2018, arXiv 1802.04687).

dφ_r/dt = ω_r + Σ_s strength[edge type of s → r] sin(φ_s − φ_r), integrated by Runge-Kutta of fourth order.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wormjax.errors import InputError
from wormjax.simulation.ensembles import check_numbers, check_probabilities, draw_edge_types, simulate_chunks
from wormjax.simulation.trajectories import Trajectories

TIME_STEP = 0.01  # Seconds.
STEPS_PER_FRAME = 10
FREQUENCIES = (1.0, 10.0)  # Radians per second; intrinsic frequencies are drawn between them.
SCALED_FRAMES = 99  # The reference scales over runs of this length and cuts what it trains on from them.
FEATURES = {
    "scaled": ("scaled dφ/dt", "sin φ", "scaled φ", "scaled intrinsic frequency"),
    "raw": ("dφ/dt", "sin φ", "cos φ", "intrinsic frequency"),
}


def simulate_kuramoto(
    key: Array,
    simulations: int,
    objects: int = 5,
    frames: int = 49,
    *,
    strengths: Sequence[float] = (0.0, 1.0),
    probabilities: Sequence[float] | None = None,
    directed: bool = False,
    noise: float = 0.0,
    features: str = "scaled",
    frequencies: tuple[float, float] = FREQUENCIES,
    chunk_size: int | None = None,
) -> Trajectories:
    """Simulate phase oscillators coupled at random; the first frame is the start.

    Args:
      strengths: of the coupling of each edge type, radians per second.
      probabilities: of each edge type; None for equal ones.
      directed: whether the two directions of a pair are drawn independently.
      noise: standard deviation of the observation noise, in the units of the features.
      features: "scaled", the reference's four: dφ/dt and φ scaled to [-1, 1] by each oscillator's own range over a
        run of 99 frames or more (so a frame depends on later ones; dφ/dt of an oscillator without input is 0), sin φ,
        and the intrinsic frequency scaled to [-1, 1]. "raw": dφ/dt, sin φ, cos φ, intrinsic frequency, in radians and
        seconds, which do not depend on later frames.
      frequencies: the range of the intrinsic ones, radians per second. All others are as of `springs.simulate_springs`.
    """
    chances = check_probabilities("kuramoto", strengths, probabilities)
    if features not in FEATURES:
        raise InputError(f"kuramoto, field 'features': found {features!r}, expected one of {', '.join(FEATURES)}")
    low, high = frequencies
    if not low < high < math.inf:
        raise InputError(f"kuramoto, field 'frequencies': found {frequencies}, expected a lower and a higher number")
    settings = check_numbers("kuramoto", noise=noise) | {"features": features, "frequencies": (low, high)}
    graph = {"strengths": tuple(map(float, strengths)), "probabilities": chances, "directed": bool(directed)}
    counts = simulations, objects, frames, chunk_size
    values, edges = simulate_chunks("kuramoto", _simulate_chunk, key, *counts, **graph, **settings)
    names = tuple("no coupling" if strength == 0 else f"coupling {strength:g}" for strength in strengths)
    return Trajectories("kuramoto", values, edges, FEATURES[features], names, TIME_STEP * STEPS_PER_FRAME)


def turn_phases(
    phase: Float[Array, "object simulation"],
    frequency: Float[Array, "object simulation"],
    coupling: Float[Array, "sender receiver simulation"],
) -> Float[Array, "object simulation"]:
    """Return the velocity of each phase, radians per second."""
    sine, cosine = jnp.sin(phase), jnp.cos(phase)  # sin(s - r) = sin s cos r - cos s sin r saves N² - 2N sines.
    pulls = sine[:, None] * cosine[None, :] - cosine[:, None] * sine[None, :]
    return frequency + (coupling * pulls).sum(axis=0)


def integrate_phases(
    phase: Float[Array, "object simulation"],
    frequency: Float[Array, "object simulation"],
    coupling: Float[Array, "sender receiver simulation"],
    frames: int,
    steps_per_frame: int = STEPS_PER_FRAME,
    time_step: float = TIME_STEP,
) -> Float[Array, "frame object simulation"]:
    """Return the phases (radians, not wrapped) of each frame; the first is the start."""

    def slope(where):
        return turn_phases(where, frequency, coupling)

    def step(_, where):
        first = slope(where)
        second = slope(where + 0.5 * time_step * first)
        third = slope(where + 0.5 * time_step * second)
        fourth = slope(where + time_step * third)
        return where + time_step / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)

    def advance(where, _):
        return jax.lax.fori_loop(0, steps_per_frame, step, where), where

    return jax.lax.scan(advance, phase, length=frames)[1]


@functools.partial(jax.jit, static_argnames=("objects", "frames", "directed", "features"))
def _simulate_chunk(keys, *, objects, frames, strengths, probabilities, directed, noise, features, frequencies):
    """Return features and edge types of the simulations with these keys [3, simulation]."""
    edge_keys, start_keys, noise_keys = keys
    edges = jax.vmap(lambda key: draw_edge_types(key, objects, probabilities, directed))(edge_keys)
    coupling = jnp.moveaxis(jnp.array(strengths)[edges] * (1 - jnp.eye(objects)), 0, -1)
    low, high = frequencies
    shares = jax.vmap(lambda key: jax.random.uniform(key, (2, objects)), out_axes=-1)(start_keys)
    start, frequency = 2.0 * jnp.pi * shares[0], low + (high - low) * shares[1]
    longest = max(frames, SCALED_FRAMES) if features == "scaled" else frames
    phase = integrate_phases(start, frequency, coupling, longest)
    velocity = jax.vmap(turn_phases, in_axes=(0, None, None))(phase, frequency, coupling)
    if features == "scaled":
        driven = (coupling != 0).any(axis=0)
        columns = [jnp.where(driven, _scale(velocity), 0.0), jnp.sin(phase), _scale(phase)]
        columns.append(jnp.broadcast_to(2.0 * (frequency - low) / (high - low) - 1.0, phase.shape))
    else:
        columns = [velocity, jnp.sin(phase), jnp.cos(phase), jnp.broadcast_to(frequency, phase.shape)]
    values = jnp.transpose(jnp.stack(columns, axis=-1)[:frames], (2, 0, 1, 3))
    draw = jax.vmap(lambda key: jax.random.normal(key, values.shape[1:]))
    return values + noise * draw(noise_keys), edges


def _scale(values):
    """Scale [frame, object, simulation] to [-1, 1] over frames; a constant becomes -1."""
    low, high = values.min(axis=0), values.max(axis=0)
    return 2.0 * (values - low) / jnp.where(high > low, high - low, 1.0) - 1.0
