"""Likelihoods of a decoder's errors, whose scale is estimated from the errors themselves as they fall."""

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

MEMORY = 0.98  # Of the running mean of squared errors.


def remember(mean: Float[Array, "*batch"], errors: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Return the running mean of squared errors after one more batch."""
    return MEMORY * mean + (1.0 - MEMORY) * errors


def negative_log_likelihood(
    squares: Float[Array, "*batch feature"], variance: Float[Array, "*batch feature"], degrees: float
) -> Float[Array, "*batch feature"]:
    """Return the negative log-likelihood per value, in nats: Gaussian, or Student's t with `degrees` above 0."""
    if degrees:
        gammas = gammaln((degrees + 1.0) / 2.0) - gammaln(degrees / 2.0)
        nats = 0.5 * (degrees + 1.0) * jnp.log1p(squares / (degrees * variance)) - gammas
        return nats + 0.5 * jnp.log(jnp.pi * degrees * variance)
    return 0.5 * squares / variance + 0.5 * jnp.log(2.0 * jnp.pi * variance)


def student_t_weights(squares, variance, degrees: float):
    """Return what each squared error counts for in the scale: 1 for a Gaussian, less for outliers of a t.

    As expectation maximisation weighs it (Lange, Little & Taylor 1989).
    """
    return (degrees + 1.0) / (degrees + squares / variance) if degrees else 1.0


def find_variance(
    squared_error: Float[Array, "step feature"], bound, scale: Float[Array, " feature"]
) -> Float[Array, "step feature"]:
    """Return the variance of a bound's likelihood: its own, or the mean squared error, at least its floor * `scale`."""
    if bound.variance:
        return jnp.full_like(squared_error, bound.variance)
    return jnp.maximum(squared_error, bound.variance_floor * scale)
