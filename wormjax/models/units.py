"""Units of each object's own: an offset and a gain in which it is measured, taken out of errors or estimated."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

TINY = 1e-4  # Standard deviation of what does not change: it has no gain.

Frames = Float[Array, "*batch frame object feature"]


def take_out_units(
    errors: Frames, predicted: Frames, scale: Float[Array, " feature"], freedom: float
) -> tuple[Frames, Float[Array, "*batch object"]]:
    """Return errors less what an offset and a gain of each object's own explain, and what these cost each object, nats.

    Where objects are measured in units of their own (a trace scaled by its own range, an indicator that binds more or
    less), what is predicted of them is right up to an offset and a gain. Let an error, predicted less true, be

        σ (√freedom (a + g (predicted − its mean over frames) / scale) + noise)

    with a, g and the noise (one per frame) standard normal and `freedom` above 0. The log likelihood of an object's
    errors, marginal over a and g, is that of the errors returned as if they were independent with a variance of σ²,
    less the nats returned: those errors are the given ones, made white.
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


def whiten_units(values: Frames, observed: Frames, freedom: float) -> Frames:
    """Return errors, or parts that they are a sum of, less what an offset and a gain of each object's own explain.

    As `take_out_units`, but of the gain of what is observed, in units of its standard deviation: linear in `values`.
    """
    spread = jnp.maximum(observed.std(axis=-3, keepdims=True), TINY)
    return take_out_units(values, observed, spread, freedom)[0]


class Units(NamedTuple):
    """What an object's own offset and gain add to what is predicted of it: offset + gain · (predicted − centre)."""

    offset: Float[Array, "*batch object feature"]
    gain: Float[Array, "*batch object feature"]
    centre: Float[Array, "*batch object feature"]

    def remove(self, predicted: Float[Array, "*batch object feature"]) -> Float[Array, "*batch object feature"]:
        """Return predictions in the object's own units."""
        return predicted - self.offset - self.gain * (predicted - self.centre)


def estimate_units(errors: Frames, predicted: Frames, scale: Float[Array, " feature"], freedom: float) -> Units:
    """Return the posterior mean of the offset and the gain of `take_out_units`, which has the same arguments."""
    frames, centre = errors.shape[-3], predicted.mean(axis=-3)
    basis = (predicted - centre[..., None, :, :]) / scale
    along, power = (basis * errors).sum(axis=-3), (basis**2).sum(axis=-3)
    offset = freedom * errors.sum(axis=-3) / (1.0 + freedom * frames)
    return Units(offset, freedom * along / (1.0 + freedom * power) / scale, centre)
