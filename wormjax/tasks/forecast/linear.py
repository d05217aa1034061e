"""The baselines of forecasts: persistence, mean, ridge autoregressions, their mixture, and one that adapts to the worm.

Autoregressions are of each channel from its own past (`ar_16`) or from that of all channels (`var_16`). Both predict
the change from the last frame, so that their penalty shrinks them towards persistence and not towards 0.

What they need to know (order apart: penalty, weights, how much a worm's own frames count, how far forecasts go astray)
is found on the training worms alone, each forecast from the others; a lone training worm stands in as its two halves.

A neuron that a worm lacks is 0 as an input, is not predicted, and teaches nothing of itself: it enters no error, and
the coefficients of its change are those of the worms that have it. One that no training worm has takes the spread that
all others have together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits

from wormjax.baselines import vector_autoregression as var
from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import Starts, cut_past
from wormjax.tasks.protocols import Split

PERSISTENCE, MEAN, ADAPTED, MIXTURE = "persistence", "mean", "var_adapted", "mixture"
OWN, ALL = "ar", "var"  # Autoregressions on a channel's own past, or on that of all: "ar_16", "var_8".
SUM_PRODUCTS = {OWN: var.sum_own_products, ALL: var.sum_products}
SOLVE_PRODUCTS = {OWN: var.solve_own_products, ALL: var.solve_products}  # Both as vector autoregressions.
KNOWN_WORM = "var_known_worm"  # A bound: adapted to all of the worm, but for the frames around each forecast.
CHOSEN_ON = 16  # Steps whose errors, each in units of persistence's, choose a penalty.
SMALLEST_SCALE = 1e-3  # Of a spread: nothing is ever certain.

Worms = list[list[np.ndarray]]  # Per worm its stretches [frame, channel], float64.


class LinearForecast(NamedTuple):
    """Frames that a baseline predicts, and the spread (s.d.) that it has on worms it was not fitted to."""

    mean: Float[np.ndarray, "start step neuron feature"]
    scale: Float[np.ndarray, "step neuron feature"]


def list_known(config) -> list[str]:
    """Return the baselines that there are with a config's orders."""
    return [PERSISTENCE, *list_members(config), MIXTURE, ADAPTED, KNOWN_WORM]


def list_members(config) -> list[str]:
    """Return what the mixture mixes, beside persistence, which has the weight that they leave."""
    return [MEAN, *(f"{kind}_{order}" for kind in (OWN, ALL) for order in config.linear.orders)]


def gather_worms(dataset: Dataset) -> Worms:
    """Return every worm's stretches without padding, channels (neuron, feature) beside each other."""
    worms = []
    for worm in range(len(dataset.worms)):
        stretches = dataset.stretches_of(worm)
        cut = [dataset.arrays.features[k][dataset.arrays.valid[k]].astype(np.float64) for k in stretches]
        worms.append([values.reshape(len(values), -1) for values in cut])
    return worms


@threadpool_limits.wrap(limits=1)  # Small systems of equations: more threads wait for each other.
def fit_linear(config, worms: Worms, splits: Sequence[Split]) -> dict[str, dict[str, np.ndarray]]:
    """Fit all baselines to each split's training worms; return a tree, stacked by split, to be kept whole.

    "persistence", "mean", "ar_ORDER", "var_ORDER": the coefficients ("operators", or the "mean") and the spread
    ("scale"). "mixture": "weights" [step, member] and the spread.
    "var_adapted": the training worms' products ("gram", "cross"), "weight" and "ridge", and the spread.
    """
    fits = [_fit_split(config, [worms[worm] for worm in split.train]) for split in splits]
    return {name: {field: np.stack([fit[name][field] for fit in fits]) for field in fits[0][name]} for name in fits[0]}


def forecast_linear(
    name: str, config, fit: dict, split: int, dataset: Dataset, starts: Starts, steps: int
) -> LinearForecast:
    """Return a baseline's forecasts of `starts`, after training on the worms of one split (`fit` of `fit_linear`)."""
    own = {field: values[split] for field, values in fit[ADAPTED if name == KNOWN_WORM else name].items()}
    shape = dataset.arrays.features.shape[2:]
    last = cut_past(dataset, starts, 1)
    if name == PERSISTENCE:
        mean = np.repeat(last, steps, axis=1)
    elif name == MEAN:
        mean = np.broadcast_to(own["mean"].reshape(shape), (len(starts.frame), steps, *shape))
    elif name == MIXTURE:
        mean = last
        for member, weights in zip(list_members(config), own["weights"].T[:, :steps, None, None], strict=True):
            mean = mean + weights * (forecast_linear(member, config, fit, split, dataset, starts, steps).mean - last)
    elif name in (ADAPTED, KNOWN_WORM):
        adapt = adapt_to_starts if name == ADAPTED else adapt_around_starts
        past = _cut_channels(dataset, starts, config.linear.adaptation.order)
        mean = var.roll_out(adapt(config, own, dataset, starts), past, steps)
    else:
        past, there = _cut_channels(dataset, starts, int(name.partition("_")[2])), find_channels(dataset)
        mean = np.zeros((len(past), steps, past.shape[2]))
        for worm in np.unique(starts.worm):
            here = starts.worm == worm
            mean[here] = var.roll_out((own["operators"] * there[worm])[None], past[here], steps)
    mean = np.asarray(mean, np.float32).reshape(-1, steps, *shape)
    return LinearForecast(mean, pool_unseen(own["scale"].reshape(-1, *shape))[:steps])


def pool_unseen(scale: Float[np.ndarray, "step neuron feature"]) -> Float[np.ndarray, "step neuron feature"]:
    """Return spreads in which neurons that no training worm has take the root mean square of all others'."""
    seen = (scale > SMALLEST_SCALE).any(axis=0)
    pooled = np.sqrt((seen * scale**2).sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=0), 1))
    return np.where(seen | ~seen.any(axis=0), scale, pooled)


def _cut_channels(dataset: Dataset, starts: Starts, order: int) -> Float[np.ndarray, "start order channel"]:
    return cut_past(dataset, starts, order).reshape(len(starts.frame), order, -1).astype(np.float64)


def find_channels(dataset: Dataset) -> Bool[np.ndarray, "worm channel"]:
    """Return which channels each worm has."""
    return np.repeat(dataset.find_present(), dataset.arrays.features.shape[3], axis=1)


def pool_products(
    products: Sequence[var.Products], there: Bool[np.ndarray, "worm channel"], ridge: float
) -> var.Products:
    """Return the sum of some worms' products, completed where worms lack channels.

    The change of a channel that a worm lacks is taken to be what the coefficients of the worms that have it predict
    from that worm's frames, so that it leaves these coefficients as they are.
    """
    total = sum(products[1:], products[0])
    for pattern in np.unique(there, axis=1).T:
        if pattern.any() and not pattern.all():
            chosen = (there == pattern[:, None]).all(axis=0)
            having = [own for own, has in zip(products, pattern, strict=True) if has]
            seen = sum(having[1:], having[0])
            operators = var.solve_products(var.Products(seen.gram, seen.cross[:, chosen]), ridge)
            total.cross[:, chosen] += (total.gram - seen.gram) @ operators
    return total


def adapt_to_starts(config, fit: dict, dataset: Dataset, starts: Starts) -> Float[np.ndarray, "start past channel"]:
    """Return each start's coefficients, from the training worms and the worm's own frames before it."""
    adaptation, worms, there = config.linear.adaptation, gather_worms(dataset), find_channels(dataset)
    prior = var.Products(fit["gram"], fit["cross"])
    operators: list[np.ndarray | None] = [None] * len(starts.frame)
    for worm in np.unique(starts.worm):
        stretches = dataset.stretches_of(int(worm))
        by_stretch = var.adapt_operators(
            worms[worm], prior, adaptation.order, float(fit["weight"]), float(fit["ridge"]), adaptation.block
        )
        for start in np.flatnonzero(starts.worm == worm):
            blocks = by_stretch[stretches.index(starts.stretch[start])]
            operators[start] = blocks[starts.frame[start] // adaptation.block] * there[worm]
    return np.stack(operators).astype(np.float32)


def adapt_around_starts(config, fit: dict, dataset: Dataset, starts: Starts) -> Float[np.ndarray, "start past channel"]:
    """Return the same from the worm's frames before and after each forecast: what knowing the worm is worth.

    No frame that is forecast, none whose past holds one, and none within `order` frames before the start enters.
    """
    worms, order, steps = gather_worms(dataset), config.linear.adaptation.order, config.forecast.steps
    prior = var.Products(fit["gram"], fit["cross"])
    weight, ridge = float(fit["weight"]), float(fit["ridge"])
    totals = {worm: var.sum_products(worms[worm], order) for worm in np.unique(starts.worm)}
    operators, there = [], find_channels(dataset)
    for worm, stretch, frame in zip(starts.worm, starts.stretch, starts.frame, strict=True):
        values = worms[worm][dataset.stretches_of(int(worm)).index(stretch)]
        # A product's past begins `order` frames before it: those of frame - order to frame + steps + order.
        near = var.sum_products([values[max(frame - 2 * order, 0) : frame + steps + order]], order)
        rest = totals[worm] + near.times(-1.0)
        operators.append(var.solve_products(prior + rest.times(weight), ridge) * there[worm])
    return np.stack(operators).astype(np.float32)


def tabulate_operators(
    config, worms: Worms, dataset: Dataset, splits: Sequence[Split], fit: dict, drift: str
) -> tuple[Float[np.ndarray, "entry block past channel"], Int[np.ndarray, "split stretch"]]:
    """Return the coefficients that training windows are seen with, learnt without the worm, as a held-out worm's are.

    Each training worm's are those of the split's other training worms, with its own past where `drift` is "adapted"; of
    a lone worm's, each half is seen with the other's. "none" has no drift.

    Returns:
      The coefficients by entry and block of frames, and each split's entry of each stretch (0 where it is not used).
    """
    adaptation, entries, numbers = config.linear.adaptation, [], {}
    index = np.zeros((len(splits), len(dataset.stretch_worm)), np.int32)
    blocks = -(-dataset.arrays.valid.shape[1] // adaptation.block) + 1
    products = [var.sum_products(stretches, adaptation.order) for stretches in worms]
    there = find_channels(dataset)
    for number, split in enumerate(splits):
        weight, ridge = (float(fit[ADAPTED][field][number]) for field in ("weight", "ridge"))
        weight = weight if drift == "adapted" else 0.0
        for worm in split.train:
            prior = tuple(other for other in split.train if other != worm)
            key = (worm, prior, weight, ridge)
            if key not in numbers:
                pooled = pool_products([products[k] for k in prior], there[[*prior]], ridge) if prior else None
                numbers[key] = len(entries)
                adapted = _adapt_training_worm(config, worms[worm], pooled, weight, ridge)
                entries += [operators * there[worm] for operators in adapted]
            stretches = dataset.stretches_of(worm)
            index[number, stretches] = numbers[key] + np.arange(len(stretches))
    padded = np.zeros((len(entries), blocks, *entries[0].shape[1:]), np.float32)
    if drift != "none":
        for number, operators in enumerate(entries):
            padded[number, : len(operators)] = operators
            padded[number, len(operators) :] = operators[-1]
    return padded, index


def _adapt_training_worm(config, stretches, prior, weight, ridge) -> list[np.ndarray]:
    """Return coefficients by stretch and block of a training worm, from the others' products (None: a lone worm)."""
    order, block = config.linear.adaptation.order, config.linear.adaptation.block
    if prior is not None:
        return var.adapt_operators(stretches, prior, order, weight, ridge, block)
    halves = var.halve_worm(stretches, block)
    pairs = zip(halves, (var.sum_products(half, order) for half in reversed(halves)), strict=True)
    first, second = (var.adapt_operators(half, other, order, weight, ridge, block) for half, other in pairs)
    return [np.concatenate([a, b]) if len(b) else a for a, b in zip(first, second, strict=True)]


def _fit_split(config, train: Worms) -> dict[str, dict[str, np.ndarray]]:
    """Return what one split's training worms teach."""
    linear, steps = config.linear, config.forecast.steps
    chosen_on = min(CHOSEN_ON, steps)
    parts = list_parts(config, train)
    there = _find_present(parts)
    starts = [list_part_starts(config, stretches, steps) for stretches in parts]
    unit = _measure(starts, lambda part, past: np.repeat(past[:, -1:], steps, axis=1))
    means = [_average([stretches for k, stretches in enumerate(parts) if k != part]) for part in range(len(parts))]
    members = {MEAN: lambda part, past: np.broadcast_to(means[part], (len(past), steps, len(means[part])))}
    fit = {PERSISTENCE: {"scale": _scale(unit)}, MEAN: {"mean": _average(train)}}
    for kind in (OWN, ALL):
        for order in linear.orders:
            products = [SUM_PRODUCTS[kind](stretches, order) for stretches in parts]

            def teach(ridge, steps, kind=kind, order=order, products=products):
                """Return a forecast of each part from the others' coefficients."""
                solved = (_solve(kind, *_list_others(products, there, k), ridge) for k in range(len(parts)))
                operators = [own * has for own, has in zip(solved, there, strict=True)]
                return lambda part, past: var.roll_out(operators[part][None], past[:, -order:], steps)

            name = f"{kind}_{order}"
            ridge = _choose({ridge: _measure(starts, teach(ridge, chosen_on)) for ridge in linear.ridges}, unit)
            fit[name] = {"operators": _solve(kind, products, there, ridge), "ridge": np.float64(ridge)}
            members[name] = teach(ridge, steps)
    for name, forecast in members.items():
        fit[name]["scale"] = _scale(_measure(starts, forecast))
    fit[MIXTURE] = _fit_mixture(starts, list(members.values()))
    return fit | {ADAPTED: _fit_adapted(config, parts, there, starts, unit, train)}


def _fit_mixture(starts, members) -> dict[str, np.ndarray]:
    """Fit weights of the members' forecasts by step, none negative, to worms that taught none of them.

    Forecasts count as changes from the last frame, so that weights of 0 are persistence.
    """
    gram = cross = square = counts = 0.0
    for part, (_, _, past, future) in enumerate(starts):
        change = future - past[:, -1:]
        known = np.isfinite(change)
        forecasts = np.stack([np.where(known, forecast(part, past) - past[:, -1:], 0.0) for forecast in members])
        change = np.where(known, change, 0.0)
        gram = gram + np.einsum("mstc,nstc->tcmn", forecasts, forecasts, optimize=True)
        cross = cross + np.einsum("mstc,stc->tcm", forecasts, change)
        square, counts = square + (change**2).sum(axis=0), counts + known.sum(axis=0)
    weights = np.zeros((len(gram), len(members)))
    for step in range(len(gram)):
        products = gram[step].sum(axis=0), cross[step].sum(axis=0)
        weights[step] = weigh_members(*products) if counts[step].any() else weights[step - 1]
    fitted = np.einsum("tcmn,tm,tn->tc", gram, weights, weights) - 2.0 * np.einsum("tcm,tm->tc", cross, weights)
    return {"weights": weights, "scale": _scale(np.maximum(square + fitted, 0.0) / np.maximum(counts, 1))}


def weigh_members(gram: Float[np.ndarray, "member member"], cross: Float[np.ndarray, " member"]) -> np.ndarray:
    """Return non-negative least squares from products; every member is scaled to a mean square of one."""
    unit = np.sqrt(np.maximum(np.diagonal(gram), 1e-12))
    root = np.linalg.cholesky(gram / (unit[:, None] * unit) + 1e-6 * np.eye(len(gram)))
    return nnls(root.T, np.linalg.solve(root, cross / unit))[0] / unit


def _fit_adapted(config, parts, there, starts, unit, train):
    adaptation, steps = config.linear.adaptation, config.forecast.steps
    order, block = adaptation.order, adaptation.block
    products = [var.sum_products(stretches, order) for stretches in parts]

    def measure(weight, ridge, every, steps):
        def forecast(part, past):
            prior = pool_products(*_list_others(products, there, part), ridge)
            by_stretch = var.adapt_operators(parts[part], prior, order, weight, ridge, every)
            operators = np.stack([by_stretch[k][frame // every] for k, frame in zip(*starts[part][:2], strict=True)])
            return var.roll_out(operators * there[part], past[:, -order:], steps)

        return _measure(starts, forecast)

    candidates = [(weight, ridge) for weight in adaptation.weights for ridge in adaptation.ridges]
    chosen, chosen_on = candidates[0], min(CHOSEN_ON, steps)
    if len(candidates) > 1:  # Coarser blocks choose as well, and cost less.
        chosen = _choose({candidate: measure(*candidate, 4 * block, chosen_on) for candidate in candidates}, unit)
    total = [var.sum_products(stretches, order) for stretches in train]
    gram, cross = pool_products(total, _find_present(train), chosen[1])
    weight, ridge = map(np.float64, chosen)
    scale = _scale(measure(*chosen, block, steps))
    return {"gram": gram, "cross": cross, "weight": weight, "ridge": ridge, "scale": scale}


def list_parts(config, train: Worms) -> Worms:
    """Return what forecasts each other: the training worms, or the halves of a lone one."""
    return train if len(train) > 1 else list(var.halve_worm(train[0], config.linear.adaptation.block))


def list_part_starts(config, stretches, steps):
    """Return (stretch, frame, past, future) of the starts of a part; no number after a stretch's end."""
    past_frames = max(*config.linear.orders, config.linear.adaptation.order)
    first, every = max(config.forecast.first, past_frames), config.forecast.every
    rows = [(k, frame) for k, values in enumerate(stretches) for frame in range(first, len(values), every)]
    if not rows:
        longest = max(map(len, stretches))
        found = f"found {first}, with training stretches (or halves of one) of {longest} frames"
        raise ConfigError("forecast.first", f"{found}, expected less")
    lacking = np.where(_find_present([stretches])[0], 0.0, np.nan)  # What the worm lacks is never right or wrong.
    padded = [np.concatenate([values + lacking, np.full((steps, values.shape[1]), np.nan)]) for values in stretches]
    past = np.stack([stretches[k][frame - past_frames : frame] for k, frame in rows])
    future = np.stack([padded[k][frame : frame + steps] for k, frame in rows])
    return [k for k, _ in rows], [frame for _, frame in rows], past, future


def _measure(starts, forecast) -> Float[np.ndarray, "step channel"]:
    """Return mean squared error over all parts' starts of forecast(part, past)."""
    squares, counts = 0.0, 0.0
    for part, (_, _, past, future) in enumerate(starts):
        predicted = forecast(part, past)
        error = (predicted - future[:, : predicted.shape[1]]) ** 2
        squares = squares + np.nansum(error, axis=0)
        counts = counts + np.isfinite(error).sum(axis=0)
    return squares / np.maximum(counts, 1)


def _solve(kind: str, products, there, ridge: float) -> Float[np.ndarray, "past channel"]:
    """Return the coefficients that some parts, which have some channels each, teach."""
    pooled = sum(products[1:], products[0]) if kind == OWN else pool_products(products, there, ridge)
    return SOLVE_PRODUCTS[kind](pooled, ridge)


def _list_others(products, there, part):
    """Return the products of all parts but one, and the channels that those have."""
    return [own for k, own in enumerate(products) if k != part], np.delete(there, part, axis=0)


def _find_present(worms: Worms) -> Bool[np.ndarray, "worm channel"]:
    """Return which channels are not 0 throughout each worm: those that it has."""
    return np.stack([np.any([values.any(axis=0) for values in stretches], axis=0) for stretches in worms])


def _average(worms: Worms) -> Float[np.ndarray, " channel"]:
    """Return the mean over all frames of the worms that have a channel; 0 where none has."""
    total, frames = 0.0, 0
    for stretches, there in zip(worms, _find_present(worms), strict=True):
        total = total + sum(values.sum(axis=0) for values in stretches)
        frames = frames + there * sum(map(len, stretches))
    return total / np.maximum(frames, 1)


def _choose(errors: dict, unit):
    """Return the candidate of the lowest error over the first `CHOSEN_ON` steps, each in units of persistence's."""
    unit = unit[:CHOSEN_ON].mean(axis=1)
    known = np.flatnonzero(unit)  # No training stretch may reach the last steps.
    return min(errors, key=lambda candidate: (errors[candidate][known].mean(axis=1) / unit[known]).sum())


def _scale(squares):
    """Return the spread; a channel's steps after the end of every stretch take its last known one's."""
    last = np.maximum.accumulate(np.where(squares > 0, np.arange(len(squares))[:, None], 0), axis=0)
    return np.maximum(np.sqrt(np.take_along_axis(squares, last, axis=0)), SMALLEST_SCALE)
