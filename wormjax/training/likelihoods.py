"""Likelihoods of a decoder's errors, whose scale is estimated from the errors themselves as they fall."""

from typing import NamedTuple

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


def take_out_units(
    errors: Float[Array, "*batch frame object feature"],
    predicted: Float[Array, "*batch frame object feature"],
    scale: Float[Array, " feature"],
    freedom: float,
) -> tuple[Float[Array, "*batch frame object feature"], Float[Array, "*batch object"]]:
    """Return errors less what an offset and a gain of each object's own explain, and what these cost each object, nats.

    Where objects are measured in units of their own (a trace scaled by its own range, an indicator that binds more or
    less), what is predicted of them is right up to an offset and a gain. Let an error be

        σ (√freedom (a + g (predicted − its mean over frames) / scale) + noise)

    with a, g and the noise (one per frame) standard normal. The log likelihood of an object's errors, marginal over a
    and g, is that of the errors returned as if they were independent with a variance of σ², less the nats returned:
    those errors are the given ones, made white.

    Args:
      errors: predicted less true values.
      predicted: what was predicted.
      scale: each feature's unit, in which a gain is measured.
      freedom: variance of an offset and of a gain, in units of the errors' own; above 0.
    """
    frames = errors.shape[-3]
    errors -= (1.0 - (1.0 + freedom * frames) ** -0.5) * errors.mean(axis=-3, keepdims=True)
    basis = (predicted - predicted.mean(axis=-3, keepdims=True)) / scale
    power = (basis**2).sum(axis=-3, keepdims=True)
    # (1 - (1 + f p) ** -0.5) / p, which has no pole at p = 0.
    root = jnp.sqrt(1.0 + freedom * power)
    along = (basis * errors).sum(axis=-3, keepdims=True)
    errors -= freedom / (root * (1.0 + root)) * along * basis
    nats = 0.5 * (jnp.log1p(freedom * frames) + jnp.log1p(freedom * power))
    return errors, nats.sum(axis=(-3, -1))


class Units(NamedTuple):
    """What an object's own offset and gain add to what is predicted of it: offset + gain · (predicted − centre)."""

    offset: Float[Array, "*batch object feature"]
    gain: Float[Array, "*batch object feature"]
    centre: Float[Array, "*batch object feature"]

    def remove(self, predicted: Float[Array, "*batch object feature"]) -> Float[Array, "*batch object feature"]:
        """Return predictions in the object's own units."""
        return predicted - self.offset - self.gain * (predicted - self.centre)


def estimate_units(
    errors: Float[Array, "*batch frame object feature"],
    predicted: Float[Array, "*batch frame object feature"],
    scale: Float[Array, " feature"],
    freedom: float,
) -> Units:
    """Return the posterior mean of the offset and the gain of `take_out_units`, which has the same arguments."""
    frames, centre = errors.shape[-3], predicted.mean(axis=-3)
    basis = (predicted - centre[..., None, :, :]) / scale
    along, power = (basis * errors).sum(axis=-3), (basis**2).sum(axis=-3)
    offset = freedom * errors.sum(axis=-3) / (1.0 + freedom * frames)
    return Units(offset, freedom * along / (1.0 + freedom * power) / scale, centre)


def student_t_weights(squares, variance, degrees: float):
    """Return what each squared error counts for in the scale: 1 for a Gaussian, less for outliers of a t.

    As expectation maximisation weighs it (Lange, Little & Taylor 1989).
    """
    return (degrees + 1.0) / (degrees + squares / variance) if degrees else 1.0


def find_variance(
    squared_error: Float[Array, "step feature"], fixed: float, floor: float, scale: Float[Array, " feature"]
) -> Float[Array, "step feature"]:
    """Return the variance of the likelihood: `fixed`, or (0) the mean squared error, at least `floor` * `scale`."""
    return jnp.full_like(squared_error, fixed) if fixed else jnp.maximum(squared_error, floor * scale)
