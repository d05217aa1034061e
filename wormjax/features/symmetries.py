"""The symmetries of a box: particles in it that are turned or mirrored obey the same laws, on the same graph.

A training set of simulations shown each time in another orientation is worth a larger one: a square has eight
symmetries, a cube 48.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from wormjax.errors import ConfigError

AXES = "xyz"


class Symmetries(NamedTuple):
    """Each symmetry: a feature is another one, times 1 or -1, plus an offset (where zero is not scaled to zero)."""

    order: Int[np.ndarray, "symmetry feature"]
    sign: Float[np.ndarray, "symmetry feature"]
    offset: Float[np.ndarray, "symmetry feature"]


def list_box_symmetries(
    names: Sequence[str], low: Float[np.ndarray, " feature"], high: Float[np.ndarray, " feature"]
) -> Symmetries:
    """Return all ways to swap the axes of a box around the origin, and to reverse any; the first changes nothing.

    Features are locations ("x"), and velocities ("velocity x") where there are some, along the same axes; `low` and
    `high` were scaled to -1 and 1, the same along all axes. InputError for other features, or axes that are scaled
    apart.
    """
    field = "train.turn_and_mirror"
    kinds = [name.rpartition(" ") for name in names]
    axes = sorted({axis for _, _, axis in kinds})
    places = {(kind, axis): place for place, (kind, _, axis) in enumerate(kinds)}
    whole = set(itertools.product({"", *(kind for kind, _, _ in kinds)}, axes))
    if len(places) != len(names) or set(places) != whole or not set(axes) <= set(AXES):
        found = f"found True with the features {', '.join(names)}"
        raise ConfigError(field, f"{found}, expected locations and velocities, or False")
    middle, half = (np.asarray(high) + low) / 2, (np.asarray(high) - low) / 2
    order, sign = [], []
    for swapped in itertools.permutations(range(len(axes))):
        for signs in itertools.product((1.0, -1.0), repeat=len(axes)):
            number = [axes.index(axis) for _, _, axis in kinds]
            order.append([places[kind, axes[swapped[k]]] for (kind, _, _), k in zip(kinds, number, strict=True)])
            sign.append([signs[k] for k in number])
    order, sign = np.array(order), np.array(sign)
    if not (np.allclose(middle[order], middle) and np.allclose(half[order], half)):
        found = f"found True with features scaled from {np.round(low, 3).tolist()} to {np.round(high, 3).tolist()}"
        raise ConfigError(field, f"{found}, expected axes that are scaled alike, or False")
    offset = (sign * middle[order] - middle) / half
    return Symmetries(order, sign.astype(np.float32), offset.astype(np.float32))


def list_mirrors(
    names: Sequence[str], low: Float[np.ndarray, " feature"], high: Float[np.ndarray, " feature"]
) -> Symmetries:
    """Return all ways to reverse the axes of a court, each about the middle of its range; the first changes nothing.

    As `list_box_symmetries`, but axes may be scaled apart. Velocities are reversed about 0.
    """
    kinds = [name.rpartition(" ") for name in names]
    axes = sorted({axis for _, _, axis in kinds})
    if not set(axes) <= set(AXES):
        found = f"found True with the features {', '.join(names)}"
        raise ConfigError("train.mirror", f"{found}, expected locations and velocities, or False")
    half, middle = (np.asarray(high) - low) / 2, (np.asarray(high) + low) / 2
    middle = np.where([bool(kind) for kind, _, _ in kinds], middle, 0.0)
    signs = [[sign[axes.index(axis)] for _, _, axis in kinds] for sign in itertools.product((1, -1), repeat=len(axes))]
    sign = np.array(signs, np.float32)
    order = np.broadcast_to(np.arange(len(names)), sign.shape)
    return Symmetries(order, sign, ((sign * middle - middle) / half).astype(np.float32))


def turn_and_mirror(
    features: Float[Array, "*batch feature"], symmetries: Symmetries, key: PRNGKeyArray
) -> Float[Array, "*batch feature"]:
    """Return features after one of the symmetries, drawn uniformly: the same for all of them."""
    number = jax.random.randint(key, (), 0, len(symmetries.order))
    order, sign, offset = (jnp.asarray(values)[number] for values in symmetries)
    return jnp.asarray(features)[..., order] * sign + offset
