"""Ridge regression of many objects' next frames on their last ones: one per step ahead, so that nothing is rolled out.

What is regressed is the change from the last frame, on the changes to it from some frames before (`lags`) and on where
the objects are in it. One regression of all objects together, or one per kind of object, from its own past alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wormjax.errors import InputError

RIDGES = tuple(10.0**power for power in np.arange(-8.0, 0.0, 0.5))  # In units of the columns' mean square.

Past = Float[np.ndarray, "sample frame object feature"]
Future = Float[np.ndarray, "sample step object feature"]


class Regressors(NamedTuple):
    """What a regression is shown."""

    lags: tuple[int, ...]  # Frames before the last one, whose changes to it are shown.
    kinds: tuple[int, ...] = ()  # Number of each object's kind; () regresses all objects on all.
    centred: bool = False  # Whether objects are placed by their distance from the mean of all.


class HorizonRegression(NamedTuple):
    """Coefficients of the changes on the columns less their means, and the changes' means; one set per kind."""

    coefficients: Float[np.ndarray, "kind column output"]
    columns: Float[np.ndarray, "kind column"]
    changes: Float[np.ndarray, "kind output"]


def fit_horizons(
    past: Past, future: Future, valid: tuple[Past, Future], regressors: Regressors, observed=None
) -> tuple[HorizonRegression, Float[np.ndarray, "kind step"]]:
    """Return one regression per step, and the penalties [kind, step] by which it predicts the samples `valid` best.

    `observed`: which samples of the future were observed [sample, step, object]; None for all. An object is fitted
    where it was at all steps, all objects together where all were.
    """
    fits, penalties = [], []
    for columns, changes, chosen in _list_kinds(past, future, regressors, observed):
        solutions = _solve(columns, changes, RIDGES)
        shown = _show(valid[0], regressors)[chosen] - columns.mean(axis=0)
        wanted = _find_changes(*valid, regressors)[chosen] - changes.mean(axis=0)
        steps = future.shape[1]
        errors = []
        for solution in solutions:
            squares = (shown @ solution - wanted) ** 2
            errors.append(np.nanmean(squares.reshape(-1, steps, squares.shape[-1] // steps), axis=(0, 2)))
        best = np.argmin(errors, axis=0)
        fits.append((_choose(solutions, best), columns.mean(axis=0), changes.mean(axis=0)))
        penalties.append(np.take(RIDGES, best))
    return _stack(fits), np.stack(penalties)


def refit_horizons(
    past: Past, future: Future, penalties: Float[np.ndarray, "kind step"], regressors: Regressors, observed=None
) -> HorizonRegression:
    """Fit on other samples with penalties that are known (`fit_horizons`)."""
    fits = []
    for (columns, changes, _), own in zip(_list_kinds(past, future, regressors, observed), penalties, strict=True):
        ridges, chosen = np.unique(own, return_inverse=True)
        solution = _choose(_solve(columns, changes, ridges), chosen)
        fits.append((solution, columns.mean(axis=0), changes.mean(axis=0)))
    return _stack(fits)


def predict_horizons(regression: HorizonRegression, past: Past, regressors: Regressors) -> Future:
    """Return the frames after each past, at float32.

    InputError for too few frames for the lags, or other objects or features than the regression was fitted on.
    """
    samples, _, objects, features = past.shape
    shown = _show(past, regressors)
    width = regression.coefficients.shape[1]
    if shown.shape[-1] != width:
        raise InputError(f"history: found {shown.shape[-1]} columns, expected {width} as in training")
    outputs = objects if not regressors.kinds else 1
    steps = regression.changes.shape[1] // (outputs * features)
    changes = np.empty((samples, steps, objects, features), np.float32)
    for number, of in enumerate(_list_places(regressors)):
        own = (shown[of] - regression.columns[number]) @ regression.coefficients[number] + regression.changes[number]
        if regressors.kinds:
            changes[:, :, of[1]] = own.reshape(samples, -1, steps, features).swapaxes(1, 2)
        else:
            changes[:] = own.reshape(samples, steps, objects, features)
    return past[:, -1:] + changes


def split_folds(samples: int, folds: int) -> Int[np.ndarray, " sample"]:
    """Return the number of the fold of each sample; samples that follow each other are in one."""
    return np.arange(samples) * folds // samples


def _show(past: Past, regressors: Regressors) -> Float[np.ndarray, "sample *object column"]:
    """Return the columns of all objects together [sample, column], or of each [sample, object, column]."""
    if max(regressors.lags) >= past.shape[1]:
        found = f"found {past.shape[1]} frames, expected {max(regressors.lags) + 1} or more (linear.lags)"
        raise InputError(f"history: {found}")
    last = np.asarray(past[:, -1], np.float64)
    places = last - last.mean(axis=1, keepdims=True) if regressors.centred else last
    moves = [last - past[:, -1 - lag] for lag in regressors.lags]
    columns = np.concatenate([*moves, places], axis=-1)
    return columns if regressors.kinds else columns.reshape(len(columns), -1)


def _find_changes(past: Past, future: Future, regressors: Regressors) -> np.ndarray:
    """Return the changes of all objects [sample, step * object * feature], or of each of them [sample, object, ...]."""
    changes = np.asarray(future - past[:, -1:], np.float64)
    if regressors.kinds:
        changes = changes.swapaxes(1, 2)
        return changes.reshape(*changes.shape[:2], -1)
    return changes.reshape(len(changes), -1)


def _list_places(regressors: Regressors) -> list[tuple]:
    """Return an index of the samples (and objects) of each kind."""
    if not regressors.kinds:
        return [(slice(None),)]
    kinds = np.asarray(regressors.kinds)
    return [(slice(None), np.flatnonzero(kinds == kind)) for kind in range(kinds.max() + 1)]


def _list_kinds(past, future, regressors, observed):
    """Return the columns, the changes and the place of each kind of object, of the samples that are observed."""
    shown, changes, kinds = _show(past, regressors), _find_changes(past, future, regressors), []
    there = np.ones((len(past), past.shape[2]), bool) if observed is None else observed.all(axis=1)
    for of in _list_places(regressors):
        known = there[of] if regressors.kinds else there.all(axis=1)
        if not known.any():
            raise InputError("ridge: found no sample that is observed at all steps, expected some to fit")
        kinds.append((shown[of][known], changes[of][known], of))
    return kinds


def _solve(columns, changes, ridges: Sequence[float]) -> list[np.ndarray]:
    """Return the coefficients [column, output] with each penalty."""
    columns, changes = columns - columns.mean(axis=0), changes - changes.mean(axis=0)
    gram = columns.T @ columns
    values, vectors = np.linalg.eigh(gram)
    rotated, unit = vectors.T @ (columns.T @ changes), max(np.trace(gram) / len(gram), 1e-30)
    # An eigenvalue below rounding is none: without a penalty it would make anything of the noise.
    values = np.maximum(values, 0.0)
    return [vectors @ (rotated / (values + ridge * unit)[:, None]) for ridge in ridges]


def _choose(solutions, choices) -> np.ndarray:
    """Return the coefficients [column, output] that have a solution of their own in each step."""
    by_step = [solution.reshape(len(solution), len(choices), -1) for solution in solutions]
    chosen = np.stack([by_step[choice][:, step] for step, choice in enumerate(choices)], axis=1)
    return chosen.reshape(len(chosen), -1)


def _stack(fits) -> HorizonRegression:
    return HorizonRegression(*(np.stack(part).astype(np.float32) for part in zip(*fits, strict=True)))


def number_kinds(names: Sequence[str], objects: int) -> tuple[int, ...]:
    """Return the number of each object's kind: its name without the digits that end it; one kind without names."""
    kinds = [name.rstrip("0123456789") for name in names] or [""] * objects
    known = list(dict.fromkeys(kinds))
    return tuple(known.index(kind) for kind in kinds)
