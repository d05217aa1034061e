"""Forecasts within a recording, by the protocol of Duan et al. (2025, POCO): every recorded neuron, named or not.

Each worm has models of its own. A stretch of its recording is cut into segments, and each segment in time into frames
to train, to validate and to test. A window lies wholly within one part; one begins at every frame, and its first
frames predict its last. The score of a worm is 1 - MSE / MSE of persistence over all windows, steps and neurons.

Two properties of the protocol make it easier than forecasts of a worm that was left out: the scale of each trace is
that of the whole recording, test frames included; and the frames tested lie between frames trained on.

Penalties and weights are chosen on the validation frames of the worm: those of each segment, forecast from its training
frames and from the training and validation frames of the other segments. Then everything is fitted again on the
training and the validation frames of all. No test frame is read but to be forecast.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wormjax.baselines import vector_autoregression as var
from wormjax.baselines.window_regression import (
    Change,
    Past,
    Prior,
    Sizes,
    Windows,
    cut_windows,
    fit_direct,
    predict_direct,
    regress_on_kernels,
)
from wormjax.errors import ConfigError, InputError, note
from wormjax.features.dataset import Dataset
from wormjax.figures.style import save_figures
from wormjax.scoring.forecasts import Spread, measure_score, score_forecast
from wormjax.scoring.rows import Row, write_rows
from wormjax.tasks.forecast import linear
from wormjax.tasks.forecast.report import plot_errors
from wormjax.tasks.forecast.tables import format_forecast_summary, write_forecast_summary
from wormjax.tasks.groups import list_seeds
from wormjax.tasks.worms import build, choose_config_neurons, choose_worms, open_config_recordings
from wormjax.training import multihost
from wormjax.training.progress import track
from wormjax.training.workdir import claim_workdir, describe_dataset
from wormjax.value_checks import check_names

DIRECT, SHARED = "direct", "direct_shared"  # Regressions of all steps on the window: per neuron, or one for all.
KERNEL, ENSEMBLE = "kernel", "ensemble"
KERNEL_STARTS = ("persistence", "ar")  # What the two kernel regressions, whose mean is taken, start from.
KERNEL_FIELDS = ("noise_variances", "priors", *Sizes._fields)


class Parts(NamedTuple):
    """Frames [frame, neuron] of each segment to train, to validate, to test; `known` joins the first two."""

    train: list[np.ndarray]
    validation: list[np.ndarray]
    test: list[np.ndarray]
    known: list[np.ndarray]


def forecast_within(config, workdir) -> list[Row]:
    """Fit every model and baseline of a config to each worm by itself, forecast its test frames, and report."""
    worms = open_worms(config)
    description = {"study": worms[0].study, "worms": [describe_dataset(worm) for worm in worms]}
    with claim_workdir(workdir, config, description):
        rows = []
        if multihost.is_first():
            for worm in track(worms, "worms", "worm"):
                rows += score_worm(config, worm)
            lines = []
            for worm in worms:
                segments = f"{len(list_segments(config, worm))} segments of {config.segment.frames} frames"
                lines.append(f"{worm.worms[0]}: {len(worm.neuron_names)} neurons, {segments}")
            write_rows(Path(workdir, "results.csv"), rows)
            write_forecast_summary(Path(workdir, "summary.md"), rows, config.baselines, "\n".join(lines))
            save_figures(Path(workdir), plot_errors(config, worms[0], rows, ()))
            print("\n".join(format_forecast_summary(rows, config.baselines)))
        return rows


def check_models(config):
    """Raise ConfigError for models, baselines or lengths that the protocol cannot have."""
    known = [linear.PERSISTENCE, *linear.list_members(config), DIRECT, SHARED, linear.MIXTURE]
    check_names("baselines", config.baselines, known)
    check_names("models", config.models, [KERNEL, ENSEMBLE])
    first, steps, segment = config.forecast.first, config.forecast.steps, config.segment
    if max(config.linear.orders) > first:
        raise ConfigError("forecast.first", f"found {first}, expected {max(config.linear.orders)} or more")
    for field in ("validation_fraction", "test_fraction"):
        frames = int(segment.frames * segment[field])
        if frames < first + steps:
            found = f"found {segment[field]:g} of {segment.frames} frames, {frames}"
            expected = f"expected {first + steps}, a window (forecast.first + steps)"
            raise ConfigError(f"segment.{field}", f"{found}, {expected}")
    trained = segment.frames * (1 - segment.validation_fraction - segment.test_fraction)
    if trained < first + steps:
        found = f"found {segment.test_fraction:g}, which leaves {max(trained, 0):.0f} frames to train"
        raise ConfigError("segment.test_fraction", f"{found}, expected {first + steps} or more, a window")
    if KERNEL in config.models:
        _check_kernel(config.model.get(KERNEL, {}))


def _check_kernel(section):
    """Raise ConfigError for a section `model.kernel` with other fields, or with a number that is not above 0."""
    if set(section) != set(KERNEL_FIELDS):
        found = f"found the fields {', '.join(section) or 'none'}"
        raise ConfigError(f"model.{KERNEL}", f"{found}, expected {', '.join(KERNEL_FIELDS)}")
    shapes = {"priors": (len(KERNEL_STARTS), len(Prior._fields)), "noise_variances": (len(section.noise_variances),)}
    for field, value in section.items():
        array = np.asarray(value, np.float64)
        if array.shape != shapes.get(field, ()) or not array.size or not (array > 0).all():
            expected = f"numbers above 0, of shape {shapes[field]}" if field in shapes else "a number above 0"
            raise ConfigError(f"model.{KERNEL}.{field}", f"found {value}, expected {expected}")


def open_worms(config) -> list[Dataset]:
    """Return each worm of a config as a dataset of its own neurons, without those that have no sample."""
    worms, short = [], {}
    for recording in choose_worms(config, open_config_recordings(config)):
        dataset = build(config, [recording], choose_config_neurons(config, [recording]))
        there = dataset.find_present()[0]
        names = tuple(name for name, has in zip(dataset.neuron_names, there, strict=True) if has)
        arrays = dataset.arrays._replace(features=dataset.arrays.features[:, :, there])
        worm = dataclasses.replace(dataset, arrays=arrays, neuron_names=names)
        if list_segments(config, worm):
            worms.append(worm)
            continue
        longest = int(worm.arrays.valid.sum(axis=1).max())
        reason = f"it has {longest} frames without a break, a segment {config.segment.frames} (segment.frames)"
        short[f"{recording.source}: worm {recording.worm!r}"] = reason
    if not worms:
        place, reason = next(iter(short.items()))
        raise InputError(f"{place}: found no worm that can be used: {reason}")
    for place, reason in short.items():
        note(f"{place} is left out: {reason}")
    return worms


def list_segments(config, worm: Dataset) -> list[tuple[int, int]]:
    """Return the stretch and the first frame of each whole segment; the frames after a stretch's last are left out."""
    size, stops = config.segment.frames, [int(valid.sum()) for valid in worm.arrays.valid]
    return [(stretch, first) for stretch, stop in enumerate(stops) for first in range(0, stop - size + 1, size)]


def divide_worm(config, worm: Dataset) -> Parts:
    """Divide each segment in time: frames to train, then to validate, then to test."""
    size, *fractions = config.segment.frames, config.segment.validation_fraction, config.segment.test_fraction
    validation, test = (int(size * fraction) for fraction in fractions)
    cuts = [0, size - validation - test, size - test, size]
    parts = Parts([], [], [], [])
    for stretch, first in list_segments(config, worm):
        values = worm.arrays.features[stretch, first : first + size].astype(np.float64)
        values = values.reshape(len(values), -1)
        for part, start, stop in zip(parts, (*cuts[:3], 0), (*cuts[1:], cuts[2]), strict=True):
            part.append(values[start:stop])
    return parts


def score_worm(config, worm: Dataset) -> list[Row]:
    """Return the rows of all models and baselines on the test frames of one worm."""
    size = config.forecast.first, config.forecast.steps
    parts = divide_worm(config, worm)
    validation, test = cut_windows(parts.validation, *size), cut_windows(parts.test, *size)
    every = slice(None, None, config.forecast.every)
    test = Windows(test.past[every], test.change[every])
    rows = []
    for seed in list_seeds(config):
        forecasts, scales = forecast_worm(config, parts, validation, test.past, seed)
        for name in (*config.models, *(config.baselines if seed == config.seed else ())):
            place = (name, worm.study, worm.worms, worm.study, worm.worms[0], seed)
            scores = _score_windows(config, forecasts[name], scales[name], test)
            rows += [Row(*place, metric, value) for metric, value in scores.items()]
    return rows


def forecast_worm(config, parts: Parts, validation: Windows, test: Past, seed: int):
    """Return, by model and baseline, the changes forecast of test windows and their spread [step, neuron].

    Whatever is chosen is chosen by the validation windows, none of which taught its own forecast.
    """
    settings, folds = _list_settings(config), []
    for k, frames in enumerate(parts.validation):
        learnt = [*parts.known[:k], parts.train[k], *parts.known[k + 1 :]]
        past = cut_windows([frames], config.forecast.first, config.forecast.steps).past
        folds.append(_forecast_members(config, learnt, past, settings, seed))
    tried = {key: np.concatenate([fold[key] for fold in folds]) for key in folds[0]}
    errors = {key: np.square(changes - validation.change).mean() for key, changes in tried.items()}
    chosen = {
        name: min(of, key=lambda setting, name=name: errors[name, setting]) for name, of in settings.items() if of
    }
    validated = {name: tried[name, setting] for name, setting in chosen.items()}
    again = _forecast_members(config, parts.known, test, {name: (setting,) for name, setting in chosen.items()}, seed)
    found = {name: again[name, setting] for name, setting in chosen.items()}
    for of in (validated, found):
        if KERNEL in config.models:
            of[KERNEL] = np.mean([of.pop(f"{KERNEL}_{start}") for start in KERNEL_STARTS], axis=0)
    members = {
        linear.MIXTURE: [name for name in validated if name in config.baselines],
        ENSEMBLE: [name for name in validated if name in (*config.baselines, *config.models)],
    }
    for name, of in members.items():
        if name in (*config.baselines, *config.models):
            weights = weigh_members([validated[member] for member in of], validation.change)
            for forecasts in (validated, found):
                stacked = [weights[:, k, None] * forecasts[member] for k, member in enumerate(of)]
                forecasts[name] = np.sum(stacked, axis=0)
    squares = {name: np.square(changes - validation.change).mean(axis=0) for name, changes in validated.items()}
    return found, {name: np.maximum(np.sqrt(own), linear.SMALLEST_SCALE) for name, own in squares.items()}


def weigh_members(members: Sequence[Change], true: Change) -> Float[np.ndarray, "step member"]:
    """Return the weights of forecasts by step, none negative, that least squares fit to the true changes."""
    stacked = np.stack(members).astype(np.float64)
    gram = np.einsum("mwsc,nwsc->smn", stacked, stacked, optimize=True)
    cross = np.einsum("mwsc,wsc->sm", stacked, true)
    return np.stack([linear.weigh_members(*products) for products in zip(gram, cross, strict=True)])


def _list_settings(config) -> dict[str, tuple]:
    """Return the penalties to choose from, by what is fitted."""
    settings = {name: config.linear.ridges for name in config.baselines if name != linear.MIXTURE}
    settings |= {name: (0.0,) for name in (linear.PERSISTENCE, linear.MEAN) if name in settings}
    if KERNEL in config.models:
        settings |= {f"{KERNEL}_{start}": config.model[KERNEL].noise_variances for start in KERNEL_STARTS}
        settings[f"ar_{max(config.linear.orders)}"] = config.linear.ridges
    return settings


def _forecast_members(config, stretches, past: Past, settings: dict, seed: int) -> dict[tuple[str, float], Change]:
    """Return the changes of windows by (name, setting), from what some stretches teach."""
    steps, last = config.forecast.steps, past[:, -1:]
    windows, found = cut_windows(stretches, config.forecast.first, steps), {}
    for name, penalties in settings.items():
        kind, _, order = name.partition("_")
        if name == linear.PERSISTENCE:
            found[name, 0.0] = np.zeros((len(past), steps, past.shape[2]))
        elif name == linear.MEAN:
            found[name, 0.0] = np.repeat(np.concatenate(stretches).mean(axis=0) - last, steps, axis=1)
        elif name in (DIRECT, SHARED):
            for ridge in penalties:
                found[name, ridge] = predict_direct(fit_direct(windows, ridge, name == SHARED), past)
        elif kind != KERNEL:
            products = linear.SUM_PRODUCTS[kind](stretches, int(order))
            for ridge in penalties:
                operators = linear.SOLVE_PRODUCTS[kind](products, ridge)
                found[name, ridge] = var.roll_out(operators[None], past[:, -int(order) :], steps) - last
    if KERNEL in config.models:
        found |= _forecast_kernels(config, stretches, windows, past, settings, seed)
    return found


def _forecast_kernels(config, stretches, windows: Windows, past: Past, settings: dict, seed: int):
    """Return the changes of kernel regressions that start from persistence and from the longest autoregression."""
    order, sizes = max(config.linear.orders), config.model[KERNEL]
    # The smallest penalty: one model has 17 coefficients per neuron, and thousands of frames.
    operators = var.solve_own_products(var.sum_own_products(stretches, order), min(config.linear.ridges))
    starts = []
    for frames in (windows.past, past):
        rolled = var.roll_out(operators[None], frames[:, -order:], config.forecast.steps) - frames[:, -1:]
        starts.append([np.zeros_like(rolled), rolled])
    fields = {field: sizes[field] for field in Sizes._fields}
    priors = [Prior(*prior) for prior in sizes.priors]
    wanted = sorted({penalty for start in KERNEL_STARTS for penalty in settings[f"{KERNEL}_{start}"]})
    tried = regress_on_kernels(windows, starts[0], priors, wanted, [(past, starts[1])], Sizes(**fields), seed)
    return {(f"{KERNEL}_{KERNEL_STARTS[model]}", penalty): changes[0] for (model, penalty), changes in tried.items()}


def _score_windows(config, change: Change, scale, test: Windows) -> dict[str, float]:
    last = test.past[:, -1]
    mean, true = (last[:, None] + values for values in (change, test.change))
    scale = np.broadcast_to(scale, mean.shape)
    spread = Spread(mean[:, None, ..., None], scale[:, None, ..., None], np.ones((len(mean), 1)))
    known = last[..., None], true[..., None], np.ones(true.shape[:2], bool)
    return score_forecast(spread, *known, config.forecast.scored) | measure_score(spread.center, *known)
