"""Pieces of simulations that a decoder goes over, and how well it predicts them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from wormjax.models import nri as model
from wormjax.models.nri import Nri
from wormjax.training import masks
from wormjax.training.objectives.system_batches import Bound, SystemArrays, fold_keys


class Rolled(NamedTuple):
    """Pieces of simulations to roll out: frames that are given, predictions that count (None: all), edges."""

    pieces: Float[Array, "simulation segment frame object feature"]
    given: Bool[Array, "simulation segment step"]
    weights: Float[Array, "simulation segment step object"] | None
    edges: Float[Array, "simulation *piece edge type"]


class RollOuts:
    """Cuts simulations into pieces whose last `roll_out` frames are predicted, and measures how well."""

    def __init__(self, bound: Bound):
        self.steps, self.burn_in = bound.roll_out, bound.burn_in
        self.length = bound.burn_in + bound.roll_out - 1  # Frames of a piece that another is predicted from.
        self.decoded = bound.decoded_frames or None

    def draw(self, batch: SystemArrays, edges, keys: PRNGKeyArray, chance, count: int) -> Rolled:
        """Return `count` pieces of each simulation, beginning anywhere, each frame given with a `chance`."""
        cut_keys, given_keys = fold_keys(keys, 1), fold_keys(keys, 2)

        def cut(values, length=self.length + 1):
            return jax.vmap(lambda x, k: cut_segments(x, k, count, length))(values, cut_keys)

        given = jax.vmap(lambda k: jax.random.bernoulli(k, chance, (count, self.length)))(given_keys)
        given |= jnp.arange(self.length) < self.burn_in
        changing = edges.ndim == 4
        return self._roll(batch, cut, given, cut(self._decode(edges, batch), self.length) if changing else edges)

    def tile(self, batch: SystemArrays, edges) -> Rolled:
        """Return pieces that follow each other, of which only the burn-in is given."""
        edges = tile_edges(self._decode(edges, batch), self.length) if edges.ndim == 4 else edges
        given = jnp.arange(self.length) < self.burn_in
        return self._roll(batch, lambda values: tile_segments(values, self.length + 1), given, edges)

    def measure(
        self, nri: Nri, params: Any, rolled: Rolled, history
    ) -> Float[Array, "simulation segment step object k"]:
        """Return squared errors of the frames that are predicted, by `model.decode`."""
        pieces, edges = rolled.pieces, rolled.edges
        given = jnp.broadcast_to(rolled.given, (*pieces.shape[:2], self.length))
        if edges.ndim == 3:  # Of a whole simulation; edges that change are those of each step.
            edges = jnp.broadcast_to(edges[:, None], (*pieces.shape[:2], *edges.shape[1:]))
        predicted = model.decode(nri, params, pieces[:, :, :-1], edges, given, history)
        return ((predicted - pieces[:, :, 1:]) ** 2)[:, :, -self.steps :]

    def _roll(self, batch, cut, given, edges):
        pieces, weights = cut(batch.features[:, : self.decoded]), None
        if batch.observed is not None:
            shown = cut(masks.as_feature(batch.observed[:, : self.decoded]))
            weights = masks.weigh_following(shown)[:, :, -self.steps :]
        return Rolled(pieces, given, weights, edges)

    def _decode(self, edges, batch):
        return edges[:, : (self.decoded or batch.features.shape[1]) - 1]


def cut_segments(
    features: Float[Array, "frame object feature"], key: PRNGKeyArray, count: int, length: int
) -> Float[Array, "segment frame object feature"]:
    """Cut `count` pieces of a simulation, each of `length` frames, beginning anywhere."""
    starts = jax.random.randint(key, (count,), 0, features.shape[0] - length + 1)
    return jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(features, start, length))(starts)


def tile_segments(
    features: Float[Array, "simulation frame object feature"], length: int
) -> Float[Array, "simulation segment frame object feature"]:
    """Cut pieces of `length` frames that follow each other, the last frame of one being the first of the next."""
    count = (features.shape[1] - 1) // (length - 1)
    return jnp.stack([features[:, k * (length - 1) : k * (length - 1) + length] for k in range(count)], axis=1)


def tile_edges(
    edges: Float[Array, "simulation interval edge type"], length: int
) -> Float[Array, "simulation segment interval edge type"]:
    """Cut the edges that go with the pieces of `tile_segments`: those of all frames of a piece but the last."""
    count = edges.shape[1] // length
    return edges[:, : count * length].reshape(len(edges), count, length, *edges.shape[2:])
