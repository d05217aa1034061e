"""What a decoder's messages explain of one sample, edge by edge: what an `encoders.EvidenceEncoder` reads.

Where messages add up, what an object does is a linear regression on the edges that arrive at it, whose coefficients are
0 or 1. Expectation propagation (Minka 2001, UAI; for such regressions Céspedes et al. 2014, IEEE Trans. Commun.
62:2840) approximates their marginal probabilities: to each edge, every other one is a Gaussian with the mean and the
variance that it is believed to have. The variance of the noise falls step by step to that of the residuals: objects
pull in much the same direction, and beliefs that form too early do not recover.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wormjax import graphs

HEATS = np.float32([*np.geomspace(1e3, 1.0, 24), *[1.0] * 8])  # Of the noise's variance, step by step.
SHOWN = np.arange(10, len(HEATS), 3)  # Steps whose beliefs are read; those before are of too much noise.
DAMPING = 0.4
DEGREES = 4.0  # Of freedom of a Student's t, by which frames that fit badly count less.
REFITS = 6  # Of a regression without bounds, which the variance of the residuals comes from.
PRECISION = 4.0  # Of an edge before anything is seen: a variance of 1/4 around 1/2.
# Of a matrix's largest diagonal entry, added to its diagonal. For edges z of 0 and 1, λ |z - ½|² is the same for all:
# it changes no comparison, and float32 can invert the matrix.
RIDGE = 1e-4
LEAST_VARIANCE = 3e-4  # Of a belief; where it is smaller, float32 cannot take it out of the others again.


def read_evidence(
    base: Float[Array, "frame object feature"],
    effects: Float[Array, "switch frame object feature"],
    mutual: bool = False,
    beliefs: int = len(SHOWN),
) -> Float[Array, "edge column"]:
    """Return the log odds of every edge's types after the last of `SHOWN`'s steps, on a logarithmic scale.

    `base` is what is predicted of each object without any edge of another type than the first, less what it did;
    `effects` what each other edge type of each sender adds (`listed_posterior.list_switches`).
    """
    switches, frames = effects.shape[0], base.shape[0]
    counts, variance = jnp.ones_like(base), _average(base**2)
    for _ in range(REFITS):
        gram, linear = _project(base, effects, counts / variance)
        fitted = _solve(gram, jnp.full(linear.shape, PRECISION), linear + PRECISION / 2)[1]
        squares = (base + jnp.einsum("na,afnk->fnk", fitted, effects)) ** 2
        free = max(frames * base.shape[2] - switches, frames) / (frames * base.shape[2])
        variance = _average(counts * squares) / free
        counts = (DEGREES + 1.0) / (DEGREES + squares / variance)
    odds = propagate_beliefs(*_project(base, effects, counts / variance), mutual)  # [step, object, switch].
    shown = jnp.arcsinh(jnp.moveaxis(odds[SHOWN[-beliefs:]], 0, -1))
    return shown.reshape(base.shape[1] * (base.shape[1] - 1), -1)


def propagate_beliefs(
    gram: Float[Array, "object switch switch"], linear: Float[Array, "object switch"], mutual: bool = False
) -> Float[Array, "step object switch"]:
    """Return the log odds of each coefficient for being 1 and not 0, after each step of expectation propagation.

    `gram` has the sums of products of what two switches do, over the variance of the noise; `linear` those of one
    switch and of what is to be explained. Where both edges of a pair are known to have one type (`mutual`), what both
    objects do is evidence of it.
    """
    reverse = graphs.reverse_edges(len(linear))

    def step(state, heat):
        precision, shift = state
        spread, mean = _solve(gram / heat, precision, linear / heat + shift)
        free = jnp.maximum(1.0 - spread * precision, 1e-6)
        cavity = spread / free  # Variance of a coefficient given all but its own belief.
        own_odds = ((mean - spread * shift) / free - 0.5) / cavity
        odds = own_odds + own_odds.reshape(len(reverse), -1)[reverse].reshape(linear.shape) if mutual else own_odds
        chance = jax.nn.sigmoid(odds)
        own = jnp.maximum(chance * (1.0 - chance), LEAST_VARIANCE)
        wanted = 1.0 / own - 1.0 / cavity, chance / own - own_odds - 0.5 / cavity
        moved = [DAMPING * new + (1.0 - DAMPING) * old for new, old in zip(wanted, state, strict=True)]
        state = tuple(jnp.where(wanted[0] > 0, new, old) for new, old in zip(moved, state, strict=True))
        return state, odds

    first = jnp.full(linear.shape, PRECISION)
    return jax.lax.scan(step, (first, first / 2), HEATS)[1]


def _average(squares):
    """Return the mean of each feature's squares over frames and objects."""
    return jnp.maximum(squares.mean(axis=(0, 1)), 1e-20)


def _project(base, effects, weights):
    """Return the quadratic and the linear part of half the weighed squares, less a constant."""
    weighed = effects * weights
    return jnp.einsum("afnk,bfnk->nab", weighed, effects), -jnp.einsum("afnk,fnk->na", weighed, base)


def _solve(gram, precision, linear):
    """Return variances and means of a Gaussian with a precision matrix of `gram`, a diagonal and the RIDGE."""
    ridge = RIDGE * jnp.diagonal(gram, axis1=-2, axis2=-1).max(axis=-1, keepdims=True)
    spread = jnp.linalg.inv(gram + (precision + ridge)[..., None] * jnp.eye(linear.shape[-1]))
    return jnp.diagonal(spread, axis1=-2, axis2=-1), jnp.einsum("nab,nb->na", spread, linear + ridge / 2.0)
