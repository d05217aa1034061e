"""Two neurons with two cycles: a toy that shows whether a method finds both loops from one neuron alone.

After the appendix of Brennan & Proekt (2019, eLife 8:e46814) and the authors' script: a neuron x that excites itself
and y, and a slower y that inhibits both,

    x' = -x + s(8 x - 6 y - 0.34),    y' = (-y + s(16 x - 2 y - 2.5)) / 6,    s(u) = 1 / (1 + exp(-u)).

Without noise it has a small and a large limit cycle around one focus, and an unstable one between the two; with noise
it switches between them every few turns. Steps of 0.01 by Euler's rule are the authors' and part of the system: they
widen the cycles a little (x from 0.08 to 0.41 and from 0.03 to 0.84; exactly 0.10 to 0.33 and 0.04 to 0.81).
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from wormjax.errors import InputError
from wormjax.recordings.recording import UNSCORED
from wormjax.simulation.ensembles import check_counts, check_numbers, enable_float64

TIME_STEP = 0.01  # In units of x's time constant, as all times here.
STEPS_PER_FRAME = 10
FOCUS = (0.1962, 0.4400)  # Where both derivatives are 0; it repels, and every cycle surrounds it.
BETWEEN = 0.6  # The highest x on the equations' unstable cycle; with noise, few turns end near it.
SMALL, LARGE = 0, 1


def simulate_two_cycles(
    key: Array,
    frames: int = 3000,
    *,
    noise: float = 0.1,
    start: tuple[float, float] = (0.5, 0.1),
    settling_frames: int = 1000,
) -> Float[Array, "frame neuron"]:
    """Simulate the two neurons: x and y in each frame, both between about 0 and 1.

    Args:
      frames: how many, 0.1 apart.
      noise: standard deviation of what each step adds to the two derivatives, as in the authors' script. It is added
        at steps of 0.01, so it would be another process at other steps.
      start: the first x and y; the default leads to the large cycle, (0.1, 0.5) to the small one.
      settling_frames: frames to simulate first and discard.

    InputError for an argument out of its range.
    """
    check_counts("two cycles", frames=frames)
    check_numbers("two cycles", noise=noise)
    if not isinstance(settling_frames, int | np.integer) or settling_frames < 0:
        raise InputError(f"two cycles, field 'settling_frames': found {settling_frames!r}, expected a number from 0")
    if len(start) != 2 or not all(math.isfinite(value) for value in start):
        raise InputError(f"two cycles, field 'start': found {start!r}, expected two finite numbers, x and y")
    with enable_float64():
        activity = _integrate(key, jnp.asarray(start, float), float(noise), frames=int(frames + settling_frames))
        return activity[settling_frames:].astype(jnp.float32)


def find_drift(activity: Float[Array, "*frame neuron"]) -> Float[Array, "*frame neuron"]:
    """Return the derivatives of x and y without noise."""
    x, y = activity[..., 0], activity[..., 1]
    slow = (-y + jax.nn.sigmoid(16.0 * x - 2.0 * y - 2.5)) / 6.0
    return jnp.stack([-x + jax.nn.sigmoid(8.0 * x - 6.0 * y - 0.34), slow], axis=-1)


@functools.partial(jax.jit, static_argnames="frames")
def _integrate(key, start, noise, *, frames):
    shocks = noise * jax.random.normal(key, (frames, STEPS_PER_FRAME, 2), start.dtype)

    def step(activity, shock):
        return activity + TIME_STEP * (find_drift(activity) + shock), None

    def advance(activity, frame_shocks):
        return jax.lax.scan(step, activity, frame_shocks)[0], activity

    return jax.lax.scan(advance, start, shocks)[1]


def label_cycles(activity: Float[Array, "frame neuron"]) -> Int[np.ndarray, " frame"]:
    """Return each frame's cycle: SMALL or LARGE, or UNSCORED in the first and last turn, which are incomplete.

    A turn around the focus begins below it, where x rises; it belongs to the large cycle if x passes the unstable cycle
    between the two. Steps back across the beginning, which noise causes, begin no turn.
    """
    x, y = np.asarray(activity, np.float64).T
    angle = np.unwrap(np.arctan2(y - FOCUS[1], x - FOCUS[0]))
    turn = np.maximum.accumulate(np.floor((angle + np.pi / 2) / (2 * np.pi)).astype(int))
    turn -= turn[0]
    furthest = np.full(turn[-1] + 1, -np.inf)
    np.maximum.at(furthest, turn, x)
    cycle = np.where(furthest > BETWEEN, LARGE, SMALL)[turn]
    return np.where((turn == 0) | (turn == turn[-1]), UNSCORED, cycle)
