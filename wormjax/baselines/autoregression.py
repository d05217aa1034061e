"""Ridge vector autoregression of worms' activity: pooled over the training worms, or adapted to the worm at hand.

Pooled, one set of coefficients predicts the change of every channel (neuron, feature) from the last `order` frames of
all of them. Adapted, the coefficients are estimated again as a recording goes on, by the same penalised least squares
over the training worms' frames and, counted `weight` times, the worm's own frames so far: recursive least squares with
the training worms as its prior. Nothing at or after the frame that a forecast starts from enters it.

Worms are sequences of stretches, each [frame, channel], in order of time; no product reaches across a break.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Stretches = Sequence[Float[np.ndarray, "frame channel"]]


class Products(NamedTuple):
    """Sums over frames: of the past's products with itself and with the change, a 1 being the past's last column."""

    gram: Float[np.ndarray, "past past"]
    cross: Float[np.ndarray, "past channel"]

    def __add__(self, other: "Products") -> "Products":
        return Products(self.gram + other.gram, self.cross + other.cross)

    def times(self, weight: float) -> "Products":
        """The sums as if every frame had been seen `weight` times."""
        return Products(weight * self.gram, weight * self.cross)


def stack_past(
    values: Float[np.ndarray, "frame channel"], frames: np.ndarray, order: int
) -> Float[np.ndarray, "frame past"]:
    """The `order` frames before each of `frames`, oldest first, beside each other, and a 1."""
    columns = [values[frames - order + lag] for lag in range(order)]
    return np.concatenate([*columns, np.ones((len(frames), 1))], axis=1)


def sum_products(stretches: Stretches, order: int) -> Products:
    """Products over all frames that have `order` frames of their stretch before them."""
    channels = stretches[0].shape[1]
    total = empty_products(channels, order)
    for values in stretches:
        total += sum_frames(values, np.arange(order, len(values)), order)
    return total


def sum_frames(values: Float[np.ndarray, "frame channel"], frames: np.ndarray, order: int) -> Products:
    """Products over some frames of one stretch, each with `order` frames before it."""
    past = stack_past(values, frames, order)
    return Products(past.T @ past, past.T @ (values[frames] - values[frames - 1]))


def empty_products(channels: int, order: int) -> Products:
    """The products of no frame."""
    size = order * channels + 1
    return Products(np.zeros((size, size)), np.zeros((size, channels)))


def solve_products(products: Products, ridge: float) -> Float[np.ndarray, "past channel"]:
    """Coefficients of the change on the past and a 1, which is not penalised.

    `ridge` is the penalty of a coefficient in units of the mean square of what it multiplies, summed over frames.
    """
    square = np.diagonal(products.gram)
    penalty = np.maximum(ridge * square, 1e-9 * max(square.max(), 1.0))
    penalty[-1] = 1e-9 * max(square[-1], 1.0)
    return np.linalg.solve(products.gram + np.diag(penalty), products.cross)


def adapt_operators(
    stretches: Stretches, prior: Products, order: int, weight: float, ridge: float, block: int
) -> list[Float[np.ndarray, "block past channel"]]:
    """The coefficients that a worm's own past and the prior give, anew every `block` frames.

    Args:
      stretches: of the worm.
      prior: products of the training worms (not this one).
      order: of the prior.
      weight: how often each of the worm's own frames counts.
      ridge: see `solve_products`.
      block: frames between two estimates.

    Returns:
      For each stretch the coefficients by block: those of block b know the frames before b * block of this stretch,
      and all earlier stretches; they are for forecasts that start at b * block or within `block` frames of it.
    """
    own = empty_products(stretches[0].shape[1], order)
    by_stretch = []
    for values in stretches:
        operators, done = [], order
        for start in range(0, len(values), block):
            own += sum_frames(values, np.arange(done, start), order)
            done = max(done, start)
            operators.append(solve_products(prior + own.times(weight), ridge))
        own += sum_frames(values, np.arange(done, len(values)), order)
        by_stretch.append(np.array(operators).reshape(-1, *prior.cross.shape))  # A worm's half may lack a stretch.
    return by_stretch


def roll_out(
    operators: Float[np.ndarray, "#start past channel"], past: Float[np.ndarray, "start order channel"], steps: int
) -> Float[np.ndarray, "start step channel"]:
    """Predicts `steps` frames after each past, each from those predicted before it."""
    starts, order, channels = past.shape
    frames = np.concatenate([past, np.zeros((starts, steps, channels))], axis=1)
    for step in range(order, order + steps):
        flat = frames[:, step - order : step].reshape(starts, -1)
        if len(operators) == 1:
            change = flat @ operators[0, :-1] + operators[0, -1]
        else:
            change = (flat[:, None] @ operators[:, :-1])[:, 0] + operators[:, -1]
        # A forecast that runs away is as wrong as it can be at the edge of what a float32 squares.
        frames[:, step] = np.clip(frames[:, step - 1] + change, -1e6, 1e6)
    return frames[:, order:]


def halve_worm(stretches: Stretches, multiple: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The first and the second half of a worm's frames, cut at a multiple of `multiple` frames of a stretch."""
    lengths = [len(values) for values in stretches]
    middle, first, second = sum(lengths) // 2, [], []
    for values, before in zip(stretches, np.cumsum([0, *lengths[:-1]]), strict=True):
        cut = int(np.clip((middle - before) // multiple * multiple, 0, len(values)))
        first.append(values[:cut])
        second.append(values[cut:])
    return first, second
