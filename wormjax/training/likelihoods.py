"""Likelihoods of a decoder's errors, whose scale is estimated from the errors themselves as they fall."""

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

MEMORY = 0.98  # Of the running mean of squared errors.


def surprise(
    squares: Float[Array, "*batch feature"], variance: Float[Array, "*batch feature"], degrees: float
) -> Float[Array, "*batch feature"]:
    """Nats a value: minus the log density of a Gaussian or (degrees above 0) a Student's t distribution."""
    if degrees:
        gammas = gammaln((degrees + 1.0) / 2.0) - gammaln(degrees / 2.0)
        nats = 0.5 * (degrees + 1.0) * jnp.log1p(squares / (degrees * variance)) - gammas
        return nats + 0.5 * jnp.log(jnp.pi * degrees * variance)
    return 0.5 * squares / variance + 0.5 * jnp.log(2.0 * jnp.pi * variance)


def weigh_squares(squares, variance, degrees: float):
    """What each squared error counts for in the estimate of the scale: 1 for a Gaussian, less for outliers of a t.

    As expectation maximisation weighs it (Lange, Little & Taylor 1989).
    """
    return (degrees + 1.0) / (degrees + squares / variance) if degrees else 1.0


def find_variance(
    squared_error: Float[Array, "step feature"], fixed: float, floor: float, scale: Float[Array, " feature"]
) -> Float[Array, "step feature"]:
    """The variance of the likelihood: the `fixed` one, or (0) the mean squared error, at least `floor` * `scale`."""
    return jnp.full_like(squared_error, fixed) if fixed else jnp.maximum(squared_error, floor * scale)
