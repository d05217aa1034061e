"""Decode whole recordings with the trained runs of an ensemble."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from wormjax.features.dataset import WormArrays
from wormjax.models.layers import TrainingRngs

WINDOWS = 32


class Decoded(NamedTuple):
    """What is decoded, by run or group; `edges` is None where no graph is inferred, `behavior` where none is decoded.

    Of a group, the stretches of worms that it is not tested on say nothing.
    """

    probabilities: Float[np.ndarray, "run stretch frame state"]
    edges: Float[np.ndarray, "run stretch edge type"] | None = None
    behavior: Float[np.ndarray, "run stretch frame target"] | None = None


def predict_stretches(
    module: nn.Module,
    variables: Any,
    data: WormArrays,
    window_frames: int,
    own_statistics: bool = False,
    stretches: Int[np.ndarray, "run chosen"] | None = None,
) -> Decoded:
    """Return the states' probabilities and the behaviours per frame, for every run (stacked variables) and stretch.

    A stretch is decoded in windows of the length that the model was trained on, half a window apart, and the windows'
    probabilities are averaged with weights that fall towards a window's ends, where it lacks context on one side.
    `window_frames` 0 decodes each stretch at once. The graph is the mean of the windows' edge probabilities. With
    `own_statistics` batch normalisation is by the mean and variance of what is decoded, not of the training worms.
    `stretches` are the indices of those that each run decodes, and then of the second axis of what is returned.
    """
    frames = data.valid.shape[1]
    length = min(window_frames or frames, frames)
    starts, used = place_windows(np.asarray(data.valid), length)
    if stretches is None:
        stretches = np.tile(np.arange(len(starts)), (len(jax.tree.leaves(variables)[0]), 1))
    runs = (variables, np.asarray(stretches, np.int32))
    data = data._replace(behavior=None)  # What is to be decoded is not an input.
    return jax.tree.map(np.asarray, decode_runs(module, length, own_statistics, runs, (data, starts, used)))


# The worms are an argument: what a program closes over is compiled into it, a copy in memory and on disk. The module is
# static, so that all calls with one module and one shape share one compiled program.
@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def decode_runs(module: nn.Module, length: int, own_statistics: bool, runs: tuple, inputs: tuple) -> Decoded:
    """Decode each run's chosen stretches, one after the other, as one compiled program.

    Args:
      module: the classifier.
      length: frames of a window.
      own_statistics: whether batch normalisation uses the statistics of what is decoded.
      runs: (variables, indices of stretches [run, chosen]), stacked by run.
      inputs: (worms, first frames of windows, windows in use), stacked by stretch.

    Returns:
      `Decoded` of the chosen stretches.
    """

    def decode_run(run):
        variables, chosen = run

        def decode(stretch):
            own = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, stretch, keepdims=False), inputs)
            return _decode(module, variables, *own, length, own_statistics)

        return jax.lax.map(decode, chosen)

    return jax.lax.map(decode_run, runs)


def place_windows(
    valid: Bool[np.ndarray, "stretch frame"], length: int
) -> tuple[Int[np.ndarray, "stretch window"], Bool[np.ndarray, "stretch window"]]:
    """Return first frames of each stretch's windows, and which of them are in use.

    The last window ends with its stretch and not with the padding, so that what is decoded does not depend on the
    length of the other stretches.
    """
    frames = valid.shape[1]
    starts = np.arange(0, frames, max(1, length // 2))
    ends = np.where(valid.any(axis=1), frames - valid[:, ::-1].argmax(axis=1), 0)
    starts = np.minimum(starts, np.maximum(ends - length, 0)[:, None])
    used = np.diff(starts, axis=1, prepend=-1) > 0
    return starts, used


def _map_parts(function, windows: tuple[Array, ...], at_once: int) -> tuple[Any, Any]:
    """Return what a function makes of windows, `at_once` at a time: per window, and summed over all of them.

    A graph between all pairs of neurons fills the memory, also as the output of every window.
    """
    count = len(windows[0])
    if count <= at_once:
        return function(*windows)
    parts = -(-count // at_once)

    def divide(values):
        padded = jnp.pad(values, [(0, parts * at_once - count)] + [(0, 0)] * (values.ndim - 1))
        return padded.reshape(parts, at_once, *values.shape[1:])

    each, sums = jax.lax.map(lambda part: function(*part), tuple(map(divide, windows)))
    each = jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[:count], each)
    return each, jax.tree.map(lambda values: values.sum(axis=0), sums)


def _decode(module, variables, stretch: WormArrays, starts: Array, used: Array, length: int, own_statistics: bool):
    cut = jax.vmap(lambda values, start: jax.lax.dynamic_slice_in_dim(values, start, length), in_axes=(None, 0))
    features, valid = cut(stretch.features, starts), cut(stretch.valid, starts) & used[:, None]

    def decode(features, valid, share):
        if own_statistics:  # A training pass in which nothing is random takes the batch's own.
            keys = jax.random.split(jax.random.key(0), len(features))
            rngs = TrainingRngs(keys, jnp.float32(0.0), jnp.float32(1.0))
            decoding = module.apply(variables, features, valid, rngs, mutable=["batch_stats"])[0]
        else:
            decoding = module.apply(variables, features, valid)
        edges = decoding.edge_logits
        if edges is not None:
            edges = (jax.nn.softmax(edges) * share[:, None, None]).sum(axis=0)
        return (jax.nn.softmax(decoding.logits), decoding.behavior), edges

    windows = features, valid, valid.sum(axis=1) / jnp.maximum(valid.sum(), 1)
    (probabilities, behavior), edges = _map_parts(decode, windows, len(starts) if own_statistics else WINDOWS)
    position = jnp.arange(length)
    weights = jnp.minimum(position + 1, length - position) * used[:, None].astype(jnp.float32)
    where = starts[:, None] + position
    covered = jnp.zeros(len(stretch.valid)).at[where].add(weights)

    def average(values):  # Zero in padding that no window reaches.
        total = jnp.zeros((len(stretch.valid), values.shape[-1])).at[where].add(values * weights[..., None])
        return total / jnp.maximum(covered, 1.0)[:, None]

    return Decoded(average(probabilities), edges, None if behavior is None else average(behavior))
