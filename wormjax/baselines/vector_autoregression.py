"""Ridge vector autoregression: the change of every channel (neuron or object, feature) from the last frames of all.

Pooled, one set of coefficients serves all recordings or simulations, so that of a graph it can know the mean only.
Adapted, the coefficients are estimated again as a recording goes on, by the same penalised least squares over the
training worms' frames and, counted `weight` times, the worm's own frames so far: recursive least squares with the
training worms as its prior. A forecast depends on no frame at or after the one that it starts from.

Coefficients ("operators") are [past, channel]: `order` frames, oldest first, then a constant. A large penalty leaves
the static predictor of Kipf, Fetaya et al. (2018, arXiv 1802.04687), which repeats the last frame, with a mean drift.
Those of each channel's own past alone (`sum_own_products`) are the same with zeros between channels.

Worms are sequences of stretches, each [frame, channel], in order of time; no product reaches across a break.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wormjax.errors import InputError

ORDERS = (1, 2, 5, 12)  # Many lags can stand in for a graph: the past of an object shows what the others do to it.
RIDGES = (1e-12, 1e-8, 1e-4, 1e-2, 1.0)  # Smooth systems without noise, such as springs, need next to none.
SIMULATIONS_AT_ONCE = 256
LARGEST = 1e6  # A forecast that diverges ends here: a float32 holds its square.

Stretches = Sequence[Float[np.ndarray, "frame channel"]]
Features = Float[np.ndarray, "simulation frame object feature"]


class Products(NamedTuple):
    """Sums over frames: of the past's products with itself and with the change, a 1 being the past's last column."""

    gram: Float[np.ndarray, "past past"]
    cross: Float[np.ndarray, "past channel"]

    def __add__(self, other: "Products") -> "Products":
        return Products(self.gram + other.gram, self.cross + other.cross)

    def times(self, weight: float) -> "Products":
        """Return the sums as if every frame had been seen `weight` times."""
        return Products(weight * self.gram, weight * self.cross)


def stack_past(
    values: Float[np.ndarray, "*batch frame channel"], frames: np.ndarray, order: int
) -> Float[np.ndarray, "row past"]:
    """Return the `order` frames before each of `frames`, oldest first, beside each other, and a 1."""
    columns = [values[..., frames - order + lag, :] for lag in range(order)]
    past = np.concatenate([*columns, np.ones((*columns[0].shape[:-1], 1))], axis=-1)
    return past.reshape(-1, past.shape[-1])


def sum_products(stretches: Sequence[Float[np.ndarray, "*batch frame channel"]], order: int) -> Products:
    """Return the products over all frames that have `order` frames of their stretch before them."""
    total = empty_products(stretches[0].shape[-1], order)
    for values in stretches:
        total += sum_frames(values, np.arange(order, values.shape[-2]), order)
    return total


def sum_frames(values: Float[np.ndarray, "*batch frame channel"], frames: np.ndarray, order: int) -> Products:
    """Return the products over some frames of a stretch, each with `order` frames before it."""
    past = stack_past(values, frames, order)
    change = values[..., frames, :] - values[..., frames - 1, :]
    return Products(past.T @ past, past.T @ change.reshape(-1, values.shape[-1]))


def empty_products(channels: int, order: int) -> Products:
    """Return the products of no frame."""
    size = order * channels + 1
    return Products(np.zeros((size, size)), np.zeros((size, channels)))


def solve_products(products: Products, ridge: float) -> Float[np.ndarray, "past channel"]:
    """Return the coefficients of the change on the past and a 1, which is not penalised.

    `ridge` is the penalty of a coefficient in units of the mean square of what it multiplies, summed over frames.
    """
    square = np.diagonal(products.gram)
    penalty = np.maximum(ridge * square, 1e-9 * max(square.max(), 1.0))
    penalty[-1] = 1e-9 * max(square[-1], 1.0)
    return solve_penalised(products, penalty)


def solve_penalised(products: Products, penalty: Float[np.ndarray, " past"]) -> Float[np.ndarray, "past channel"]:
    """Solve penalised least squares, with every column of the past scaled to a mean square of one."""
    square = np.diagonal(products.gram)
    scale = np.sqrt(np.where(square > 0, square, 1.0))  # A column that is always zero predicts nothing.
    scaled = products.gram / (scale[:, None] * scale) + np.diag(penalty / scale**2)
    return np.linalg.solve(scaled, products.cross / scale[:, None]) / scale[:, None]


def sum_own_products(stretches: Stretches, order: int) -> Products:
    """Return the products of every channel's own past, [channel, past, past] and [channel, past, 1].

    A channel that is zero throughout a stretch is one that the worm lacks, and adds nothing.
    """
    channels = stretches[0].shape[1]
    gram, cross = np.zeros((channels, order + 1, order + 1)), np.zeros((channels, order + 1, 1))
    for values in stretches:
        frames, there = len(values) - order, values.any(axis=0)
        if frames > 0:
            columns = [values[lag : lag + frames] for lag in range(order)]
            past = np.stack([*columns, np.broadcast_to(there, (frames, channels))], axis=-1).transpose(1, 0, 2)
            change = np.diff(values[order - 1 :], axis=0).T[..., None]
            gram += past.transpose(0, 2, 1) @ past
            cross += past.transpose(0, 2, 1) @ change
    return Products(gram, cross)


def solve_own_products(products: Products, ridge: float) -> Float[np.ndarray, "past channel"]:
    """Return the coefficients as those of a vector autoregression: `order` frames of all channels, then a constant."""
    channels, size = products.cross.shape[:2]
    operators = np.zeros((size - 1, channels, channels))
    constants = np.zeros(channels)
    for channel in range(channels):
        own = solve_products(Products(products.gram[channel], products.cross[channel]), ridge)[:, 0]
        operators[:, channel, channel], constants[channel] = own[:-1], own[-1]
    return np.concatenate([operators.reshape(-1, channels), constants[None]])


def adapt_operators(
    stretches: Stretches, prior: Products, order: int, weight: float, ridge: float, block: int
) -> list[Float[np.ndarray, "block past channel"]]:
    """Return for each stretch the coefficients, from the worm's own past and the prior, anew every `block` frames.

    Those of block b know the frames before b * block of this stretch, and all earlier stretches; they are for forecasts
    that start at b * block or within `block` frames of it.

    `prior` are products of the training worms (not this one), of that `order`; `weight` is how often each of the worm's
    own frames counts; for `ridge` see `solve_products`.
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
    operators: Float[np.ndarray, "#start past channel"],
    past: Float[np.ndarray, "start order channel"],
    steps: int,
    largest: float = LARGEST,
) -> Float[np.ndarray, "start step channel"]:
    """Predict `steps` frames after each past, each from those predicted before it; none exceeds `largest`."""
    starts, order, channels = past.shape
    frames = np.concatenate([past, np.zeros((starts, steps, channels))], axis=1)
    for step in range(order, order + steps):
        flat = frames[:, step - order : step].reshape(starts, -1)
        if len(operators) == 1:
            change = flat @ operators[0, :-1] + operators[0, -1]
        else:
            change = (flat[:, None] @ operators[:, :-1])[:, 0] + operators[:, -1]
        frames[:, step] = np.clip(frames[:, step - 1] + change, -largest, largest)
    return frames[:, order:]


def halve_worm(stretches: Stretches, multiple: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the first and the second half of a worm's frames, cut at a multiple of `multiple` frames of a stretch."""
    lengths = [len(values) for values in stretches]
    middle, first, second = sum(lengths) // 2, [], []
    for values, before in zip(stretches, np.cumsum([0, *lengths[:-1]]), strict=True):
        cut = int(np.clip((middle - before) // multiple * multiple, 0, len(values)))
        first.append(values[:cut])
        second.append(values[cut:])
    return first, second


def predict_static(history: Features, steps: int) -> Float[np.ndarray, "simulation step object feature"]:
    """Return the last frame of the history, `steps` times."""
    return np.repeat(np.asarray(history)[:, -1:], steps, axis=1)


def choose_var(
    train: Features, validation: Features, steps: int, orders: Sequence[int] = ORDERS, ridges: Sequence[float] = RIDGES
) -> tuple[Float[np.ndarray, "past channel"], int, float]:
    """Return the coefficients, order and penalty, fitted on `train`, that best predict `validation`.

    The best have the lowest mean squared error over the last `steps` frames, each simulation's earlier frames being the
    history. The penalty of a coefficient is relative to the variance of what it multiplies. Orders that need more
    frames than there are are left out. InputError where none is left, or no autoregression stays finite.
    """
    train, validation = np.asarray(train), np.asarray(validation)
    history, future = validation[:, :-steps], validation[:, -steps:].astype(np.float64)
    longest = min(train.shape[1] - 1, history.shape[1])
    if not (fitting := [order for order in orders if order <= longest]):
        raise InputError(f"autoregression, field 'orders': found {tuple(orders)}, expected one of at most {longest}")
    flat = train.reshape(*train.shape[:2], -1)
    centre = flat.mean(axis=(0, 1), dtype=np.float64)
    parts = [flat[k : k + SIMULATIONS_AT_ONCE] - centre for k in range(0, len(flat), SIMULATIONS_AT_ONCE)]
    products = {order: sum_products(parts, order) for order in fitting}
    lowest, best = np.inf, None
    for order, ridge in itertools.product(fitting, ridges):
        operators = _solve_centred(products[order], centre, ridge)
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.mean((roll_out_var(operators, history, steps) - future) ** 2)
        if error < lowest:
            lowest, best = error, (operators, order, ridge)
    if best is None:
        raise InputError("autoregression: found no finite prediction of the validation simulations, expected one")
    return best


def _solve_centred(products, centre, ridge):
    """Solve for coefficients of the past as it is, from products of the past less `centre`."""
    square = np.diagonal(products.gram)
    penalty = ridge * np.where(square > 0, square, 1.0)
    penalty[-1] = 0.0
    operators = solve_penalised(products, penalty)
    operators[-1] -= centre @ operators[:-1].reshape(-1, len(centre), len(centre)).sum(axis=0)
    return operators


def roll_out_var(
    operators: Float[np.ndarray, "past channel"], history: Features, steps: int
) -> Float[np.ndarray, "simulation step object feature"]:
    """Predict `steps` frames after the history, each from the ones predicted before it; float64.

    InputError for a history of fewer frames than the order of `operators`, or of other objects or features.
    """
    simulations, frames, objects, size = history.shape
    channels = operators.shape[1]
    order = (len(operators) - 1) // channels
    if frames < order or objects * size != channels:
        found = f"found {frames} frames of {objects} objects of {size} features"
        raise InputError(f"history: {found}, expected {order} frames or more of {channels} numbers, as in training")
    past = np.asarray(history)[:, -order:].astype(np.float64).reshape(simulations, order, channels)
    return roll_out(operators[None], past, steps, np.inf).reshape(simulations, steps, objects, size)
