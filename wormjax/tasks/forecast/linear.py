"""The baselines of forecasts: persistence, mean, ridge vector autoregressions, and one that adapts to the worm at hand.

What they need to know (order apart: penalty, how much a worm's own frames count, how far forecasts go astray) is found
on the training worms alone, each forecast from the others; a lone training worm stands in as its two halves.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wormjax.baselines import vector_autoregression as var
from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import Starts, cut_past
from wormjax.tasks.protocols import Split

PERSISTENCE, MEAN, ADAPTED = "persistence", "mean", "var_adapted"
KNOWN_WORM = "var_known_worm"  # A bound: adapted to all of the worm, but for the frames around each forecast.
CHOSEN_ON = 16  # Steps whose errors, each in units of persistence's, choose a penalty.
SMALLEST_SCALE = 1e-3  # Of a spread: nothing is ever certain.

Worms = list[list[np.ndarray]]  # Per worm its stretches [frame, channel], float64.


class LinearForecast(NamedTuple):
    """Frames that a baseline predicts, and the spread (s.d.) that it has on worms it was not fitted to."""

    mean: Float[np.ndarray, "start step neuron feature"]
    scale: Float[np.ndarray, "step neuron feature"]


def list_baselines(config) -> list[str]:
    """The baselines that a config names: persistence and mean as they are, autoregressions by order."""
    known = [PERSISTENCE, MEAN, *(f"var_{order}" for order in config.linear.orders), ADAPTED, KNOWN_WORM]
    unknown = [name for name in config.baselines if name not in known]
    if unknown:
        raise ConfigError("baselines", f"found {unknown[0]!r}, expected some of {', '.join(known)}")
    return list(config.baselines)


def gather_worms(dataset: Dataset) -> Worms:
    """Every worm's stretches without padding, channels (neuron, feature) beside each other."""
    worms = []
    for worm in range(len(dataset.worms)):
        stretches = dataset.stretches_of(worm)
        cut = [dataset.arrays.features[k][dataset.arrays.valid[k]].astype(np.float64) for k in stretches]
        worms.append([values.reshape(len(values), -1) for values in cut])
    return worms


def fit_linear(config, worms: Worms, splits: Sequence[Split]) -> dict[str, dict[str, np.ndarray]]:
    """All that the baselines learn of each split's training worms, stacked by split: a tree to be kept whole.

    "persistence", "mean", "var_ORDER": the coefficients ("operators", or the "mean") and the spread ("scale").
    "var_adapted": the training worms' products ("gram", "cross"), "weight" and "ridge", and the spread.
    """
    fits = [_fit_split(config, [worms[worm] for worm in split.train]) for split in splits]
    return {name: {field: np.stack([fit[name][field] for fit in fits]) for field in fits[0][name]} for name in fits[0]}


def check_starts(config, worms: Worms, splits: Sequence[Split]):
    """Raises InputError where a split's training worm, or a half of a lone one, is too short for a start."""
    for split in splits:
        for part in _list_parts(config, [worms[worm] for worm in split.train]):
            _list_part_starts(config, part, config.forecast.steps)


def forecast_linear(
    name: str, config, fit: dict, split: int, dataset: Dataset, starts: Starts, steps: int
) -> LinearForecast:
    """A baseline's forecasts of `starts`, after training on the worms of one split (`fit` of `fit_linear`)."""
    own = {field: values[split] for field, values in fit[ADAPTED if name == KNOWN_WORM else name].items()}
    shape = dataset.arrays.features.shape[2:]
    if name == PERSISTENCE:
        mean = np.repeat(cut_past(dataset, starts, 1), steps, axis=1)
    elif name == MEAN:
        mean = np.broadcast_to(own["mean"].reshape(shape), (len(starts.frame), steps, *shape))
    else:
        if name in (ADAPTED, KNOWN_WORM):
            order, adapt = config.linear.adaptation.order, adapt_to_starts if name == ADAPTED else adapt_around_starts
            operators = adapt(config, own, dataset, starts)
        else:
            order, operators = int(name.removeprefix("var_")), own["operators"][None]
        past = cut_past(dataset, starts, order).reshape(len(starts.frame), order, -1)
        mean = var.roll_out(operators, past.astype(np.float64), steps)
    return LinearForecast(
        np.asarray(mean, np.float32).reshape(-1, steps, *shape), own["scale"][:steps].reshape(steps, *shape)
    )


def adapt_to_starts(config, fit: dict, dataset: Dataset, starts: Starts) -> Float[np.ndarray, "start past channel"]:
    """Each start's coefficients, from the training worms and the worm's own frames before it (one split's `fit`)."""
    adaptation, worms = config.linear.adaptation, gather_worms(dataset)
    prior = var.Products(fit["gram"], fit["cross"])
    operators: list[np.ndarray | None] = [None] * len(starts.frame)
    for worm in np.unique(starts.worm):
        stretches = dataset.stretches_of(int(worm))
        by_stretch = var.adapt_operators(
            worms[worm], prior, adaptation.order, float(fit["weight"]), float(fit["ridge"]), adaptation.block
        )
        for start in np.flatnonzero(starts.worm == worm):
            blocks = by_stretch[stretches.index(starts.stretch[start])]
            operators[start] = blocks[starts.frame[start] // adaptation.block]
    return np.stack(operators).astype(np.float32)


def adapt_around_starts(config, fit: dict, dataset: Dataset, starts: Starts) -> Float[np.ndarray, "start past channel"]:
    """As `adapt_to_starts`, from the worm's frames before and after each forecast: what knowing the worm is worth.

    No frame that is forecast, none whose past holds one, and none within `order` frames before the start enters.
    """
    worms, order, steps = gather_worms(dataset), config.linear.adaptation.order, config.forecast.steps
    prior = var.Products(fit["gram"], fit["cross"])
    weight, ridge = float(fit["weight"]), float(fit["ridge"])
    totals = {worm: var.sum_products(worms[worm], order) for worm in np.unique(starts.worm)}
    operators = []
    for worm, stretch, frame in zip(starts.worm, starts.stretch, starts.frame, strict=True):
        values = worms[worm][dataset.stretches_of(int(worm)).index(stretch)]
        # A product's past begins `order` frames before it: those of frame - order to frame + steps + order.
        near = var.sum_products([values[max(frame - 2 * order, 0) : frame + steps + order]], order)
        rest = totals[worm] + near.times(-1.0)
        operators.append(var.solve_products(prior + rest.times(weight), ridge))
    return np.stack(operators).astype(np.float32)


def tabulate_operators(
    config, worms: Worms, dataset: Dataset, splits: Sequence[Split], fit: dict, drift: str
) -> tuple[Float[np.ndarray, "entry block past channel"], Int[np.ndarray, "split stretch"]]:
    """The coefficients that training windows are seen with, as a held-out worm's would be: learnt without the worm.

    Each training worm's are those of the split's other training worms, with its own past where `drift` is "adapted"; of
    a lone worm's, each half is seen with the other's. "none" has no drift.

    Returns:
      The coefficients by entry and block of frames, and each split's entry of each stretch (0 where it is not used).
    """
    adaptation, entries, numbers = config.linear.adaptation, [], {}
    index = np.zeros((len(splits), len(dataset.stretch_worm)), np.int32)
    blocks = -(-dataset.arrays.valid.shape[1] // adaptation.block) + 1
    products = [var.sum_products(stretches, adaptation.order) for stretches in worms]
    for number, split in enumerate(splits):
        weight, ridge = (float(fit[ADAPTED][field][number]) for field in ("weight", "ridge"))
        weight = weight if drift == "adapted" else 0.0
        for worm in split.train:
            prior = tuple(other for other in split.train if other != worm)
            key = (worm, prior, weight, ridge)
            if key not in numbers:
                summed = [products[other] for other in prior]
                numbers[key] = len(entries)
                entries += _adapt_training_worm(config, worms[worm], summed, weight, ridge)
            stretches = dataset.stretches_of(worm)
            index[number, stretches] = numbers[key] + np.arange(len(stretches))
    padded = np.zeros((len(entries), blocks, *entries[0].shape[1:]), np.float32)
    if drift != "none":
        for number, operators in enumerate(entries):
            padded[number, : len(operators)] = operators
            padded[number, len(operators) :] = operators[-1]
    return padded, index


def _adapt_training_worm(config, stretches, summed, weight, ridge) -> list[np.ndarray]:
    """Coefficients by stretch and block, of a worm that trains, from the products of the others."""
    order, block = config.linear.adaptation.order, config.linear.adaptation.block
    if summed:
        prior = sum(summed[1:], summed[0])
        return var.adapt_operators(stretches, prior, order, weight, ridge, block)
    halves = var.halve_worm(stretches, block)
    products = [var.sum_products(half, order) for half in halves]
    first, second = (
        var.adapt_operators(half, products[1 - k], order, weight, ridge, block) for k, half in enumerate(halves)
    )
    return [np.concatenate([a, b]) if len(b) else a for a, b in zip(first, second, strict=True)]


def _fit_split(config, train: Worms) -> dict[str, dict[str, np.ndarray]]:
    """What one split's training worms teach."""
    linear, steps = config.linear, config.forecast.steps
    chosen_on = min(CHOSEN_ON, steps)
    parts = _list_parts(config, train)
    everything = np.concatenate([values for stretches in train for values in stretches])
    starts = [_list_part_starts(config, stretches, steps) for stretches in parts]
    unit = _measure(starts, lambda part, past: np.repeat(past[:, -1:], steps, axis=1))
    means = [_mean_of_others(parts, part) for part in range(len(parts))]
    fit = {
        PERSISTENCE: {"scale": _scale(unit)},
        MEAN: {
            "mean": everything.mean(axis=0),
            "scale": _scale(_measure(starts, lambda part, past: np.repeat(means[part][None, None], steps, axis=1))),
        },
    }
    for order in linear.orders:
        products = [var.sum_products(stretches, order) for stretches in parts]
        errors = {ridge: _cross_validate(starts, products, order, ridge, chosen_on) for ridge in linear.ridges}
        ridge = _choose(errors, unit)
        operators = var.solve_products(sum(products[1:], products[0]), ridge)
        scale = _scale(_cross_validate(starts, products, order, ridge, steps))
        fit[f"var_{order}"] = {"operators": operators, "scale": scale, "ridge": np.float64(ridge)}
    return fit | {ADAPTED: _fit_adapted(config, parts, starts, unit, train)}


def _fit_adapted(config, parts, starts, unit, train):
    adaptation, steps = config.linear.adaptation, config.forecast.steps
    order, block = adaptation.order, adaptation.block
    products = [var.sum_products(stretches, order) for stretches in parts]

    def measure(weight, ridge, every, steps):
        def forecast(part, past):
            prior = _sum_others(products, part)
            by_stretch = var.adapt_operators(parts[part], prior, order, weight, ridge, every)
            operators = np.stack([by_stretch[k][frame // every] for k, frame in zip(*starts[part][:2], strict=True)])
            return var.roll_out(operators, past[:, -order:], steps)

        return _measure(starts, forecast)

    candidates = [(weight, ridge) for weight in adaptation.weights for ridge in adaptation.ridges]
    chosen, chosen_on = candidates[0], min(CHOSEN_ON, steps)
    if len(candidates) > 1:  # Coarser blocks choose as well, and cost less.
        chosen = _choose({candidate: measure(*candidate, 4 * block, chosen_on) for candidate in candidates}, unit)
    total = [var.sum_products(stretches, order) for stretches in train]
    gram, cross = sum(total[1:], total[0])
    scale = _scale(measure(*chosen, block, steps))
    return {
        "gram": gram,
        "cross": cross,
        "weight": np.float64(chosen[0]),
        "ridge": np.float64(chosen[1]),
        "scale": scale,
    }


def _list_parts(config, train: Worms) -> Worms:
    """What forecasts each other: the training worms, or the halves of a lone one."""
    return train if len(train) > 1 else list(var.halve_worm(train[0], config.linear.adaptation.block))


def _list_part_starts(config, stretches, steps):
    """(stretch, frame, past, future) of the starts of one (part of a) worm; no number after a stretch's end."""
    past_frames = max(*config.linear.orders, config.linear.adaptation.order)
    first, every = max(config.forecast.first, past_frames), config.forecast.every
    rows = [(k, frame) for k, values in enumerate(stretches) for frame in range(first, len(values), every)]
    if not rows:
        longest = max(map(len, stretches))
        found = f"found {first}, with training stretches (or halves of one) of {longest} frames"
        raise ConfigError("forecast.first", f"{found}, expected less")
    padded = [np.concatenate([values, np.full((steps, values.shape[1]), np.nan)]) for values in stretches]
    past = np.stack([stretches[k][frame - past_frames : frame] for k, frame in rows])
    future = np.stack([padded[k][frame : frame + steps] for k, frame in rows])
    return [k for k, _ in rows], [frame for _, frame in rows], past, future


def _measure(starts, forecast) -> Float[np.ndarray, "step channel"]:
    """Mean squared error over all parts' starts of forecast(part, past)."""
    squares, counts = 0.0, 0.0
    for part, (_, _, past, future) in enumerate(starts):
        predicted = forecast(part, past)
        error = (predicted - future[:, : predicted.shape[1]]) ** 2
        squares = squares + np.nansum(error, axis=0)
        counts = counts + np.isfinite(error).sum(axis=0)
    return squares / np.maximum(counts, 1)


def _cross_validate(starts, products, order, ridge, steps):
    def forecast(part, past):
        operators = var.solve_products(_sum_others(products, part), ridge)
        return var.roll_out(operators[None], past[:, -order:], steps)

    return _measure(starts, forecast)


def _sum_others(products, part):
    others = [values for k, values in enumerate(products) if k != part]
    return sum(others[1:], others[0])


def _mean_of_others(parts, part):
    return np.concatenate([values for k, stretches in enumerate(parts) if k != part for values in stretches]).mean(
        axis=0
    )


def _choose(errors: dict, unit):
    """The candidate of the lowest error over the first `CHOSEN_ON` steps there are, each in units of persistence's."""
    unit = unit[:CHOSEN_ON].mean(axis=1)
    known = np.flatnonzero(unit)  # No training stretch may reach the last steps.
    return min(errors, key=lambda candidate: (errors[candidate][known].mean(axis=1) / unit[known]).sum())


def _scale(squares):
    """The spread; steps after the end of every stretch take the last known one's."""
    known = np.flatnonzero((squares > 0).any(axis=1))
    last = known[-1] if len(known) else 0
    squares = np.concatenate(
        [squares[: last + 1], np.repeat(squares[last : last + 1], len(squares) - last - 1, axis=0)]
    )
    return np.maximum(np.sqrt(squares), SMALLEST_SCALE)
