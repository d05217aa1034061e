"""Which samples of a system count: those that were observed. None stands for all of them."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from wormjax import graphs


def average(
    values: Float[Array, "*batch feature"], weights: Float[Array, "*batch"] | None, axis: int | tuple[int, ...]
) -> Float[Array, "..."]:
    """Return the mean over some axes of the values that count; 0 where none does."""
    if weights is None:
        return values.mean(axis=axis)
    weights = jnp.broadcast_to(weights[..., None], values.shape)
    return (values * weights).sum(axis=axis) / jnp.maximum(weights.sum(axis=axis), 1.0)


def weigh_following(
    observed: Float[Array, "*batch frame object one"] | None,
) -> Float[Array, "*batch following object"] | None:
    """Return 1 for each frame after the first where an object has been observed from the first frame to it, else 0."""
    return None if observed is None else jnp.cumprod(observed[..., 0], axis=-2)[..., 1:, :]


def as_feature(observed: Bool[Array, "*batch object"] | None) -> Float[Array, "*batch object one"] | None:
    """Return what was observed as numbers with an axis of features, to be cut as features are."""
    return None if observed is None else observed.astype(jnp.float32)[..., None]


def find_pairs(observed: Bool[Array, "*batch frame object"] | None) -> Float[Array, "*batch edge"] | None:
    """Return 1 for each edge between two objects that are there, else 0, in the order of `wormjax.graphs`."""
    if observed is None:
        return None
    there = observed.any(axis=-2)[..., None].astype(jnp.float32)
    return (graphs.send(there) * graphs.receive(there))[..., 0]


def find_pairs_by_frame(
    observed: Bool[Array, "*batch frame object"] | None,
) -> Float[Array, "*batch frame edge"] | None:
    """Return 1 for each edge between two objects that are there in a frame, else 0."""
    return None if observed is None else find_pairs(observed[..., None, :])
