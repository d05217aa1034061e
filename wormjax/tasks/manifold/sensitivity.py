"""How much the results of an asymmetric diffusion map depend on its parameters, one at a time, the others at default.

Parameters must be tuned for each recording (Brennan & Proekt 2019). What comes of it is scored on
worms left out: the present motor state, the state some seconds ahead, and how many loops are found.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wormjax.baselines import loops
from wormjax.errors import ConfigError, InputError
from wormjax.features.dataset import Dataset
from wormjax.scoring.classification import score_states
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead.experiment import read_setting
from wormjax.tasks.ahead.questions import ask
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.protocols import Split
from wormjax.training.progress import track


class Tried(NamedTuple):
    """What one value of one parameter leads to, by test worm; NaN where no model came of it."""

    value: float
    decoding: Float[np.ndarray, " worm"]  # Balanced accuracy of the present motor state.
    nll: Float[np.ndarray, " worm"]  # Negative log-likelihood of the motor state some seconds ahead, nats.
    loops: Float[np.ndarray, " worm"]  # Found in the worms that the model was made from.


def check_sensitivity(config, task) -> None:
    """Raise InputError for a parameter that does not exist, or a horizon that is not asked about."""
    for name in config.sensitivity.parameters:
        if name not in task.diffusion_map:
            expected = f"expected some of {', '.join(task.diffusion_map)}"
            raise ConfigError("sensitivity.parameters", f"found {name!r}, {expected}")
        kind, field = type(task.diffusion_map[name]), f"sensitivity.parameters.{name}"
        for value in config.sensitivity.parameters[name]:
            if not isinstance(value, int | float) or not np.isfinite(value) or kind(value) != value:
                expected = "whole numbers" if kind is int else "numbers"
                raise ConfigError(field, f"found {value!r}, expected {expected}")
            try:
                check_settings(_change(task, name, value))
            except ConfigError as error:
                own = field if error.field == f"diffusion_map.{name}" else error.field
                raise ConfigError(own, error.problem) from None
    if config.sensitivity.seconds not in tuple(task.ahead.seconds):
        expected = f"expected one of tasks.ahead.ahead.seconds, {tuple(task.ahead.seconds)}"
        raise ConfigError("sensitivity.seconds", f"found {config.sensitivity.seconds:g}, {expected}")


def measure_sensitivity(config, task, dataset: Dataset, splits: Sequence[Split]) -> dict[str, list[Tried]]:
    """Return parameter → what each of its values leads to. Splits of the most training worms alone."""
    most = max(len(split.train) for split in splits)
    splits = [split for split in splits if len(split.train) == most]
    jobs = [(name, value) for name, values in config.sensitivity.parameters.items() for value in values]
    known: dict[tuple, Tried] = {}
    results: dict[str, list[Tried]] = {}
    for name, value in track(jobs, "sensitivity", "value"):
        changed = _change(task, name, value)
        key = tuple(changed.diffusion_map.items())
        if key not in known:  # The default is among the values of every parameter.
            known[key] = try_value(config, changed, dataset, splits)
        results.setdefault(name, []).append(known[key]._replace(value=value))
    return results


def try_value(config, task, dataset: Dataset, splits: Sequence[Split]) -> Tried:
    """Fit and score the diffusion map of a task's config on every split; a split's test worms are averaged."""
    setting, worms = read_setting(task, dataset), simple.gather_worms(dataset)
    starts, truth = ask(task, dataset)
    horizon = tuple(task.ahead.seconds).index(config.sensitivity.seconds)
    later = truth.states[:, horizon]
    now = dataset.scored_states[starts.stretch, starts.frame - 1]
    scores = []
    for split in splits:
        try:
            fit = simple.fit_diffusion_map(setting, [worms[worm] for worm in split.train])
        except InputError:  # No cycle was found: that is a result.
            scores.append((np.nan, np.nan, 0.0))
            continue
        tested = np.isin(starts.worm, split.test)
        own, model = starts.of(tested), simple.unpack_diffusion_map(setting, fit)
        given = _answer(model, fit["shares"], dataset, own, setting.steps[horizon])
        answers = (given[0], now[tested], "balanced_accuracy"), (given[1], later[tested], "nll")
        parts = [
            [score_states(said[here], true[here]).get(metric, np.nan) for said, true, metric in answers]
            for here in (own.worm == worm for worm in np.unique(own.worm))
        ]
        scores.append((*np.nanmean(parts, axis=0), float(model.loop.max() + 1)))
    return Tried(0.0, *np.array(scores).T)


def _answer(model, shares, dataset, starts, steps) -> tuple[np.ndarray, np.ndarray]:
    """Return the motor state's probabilities in the last frame known and `steps` frames later [start, motor_state]."""
    placed = np.zeros((len(starts.frame), len(model.loop_of_state)))
    for number in np.unique(starts.stretch):
        own, valid = starts.stretch == number, dataset.arrays.valid[number]
        traces = dataset.arrays.features[number][valid][..., 0]
        placed[own] = loops.place_worm(model, traces, starts.frame[own] - 1)
    return placed @ shares, loops.carry_states(model, placed, (steps,))[:, 0] @ shares


def _change(task, name, value):
    """Return a task's config with one parameter of the diffusion map changed."""
    changed = task.copy_and_resolve_references().unlock()
    changed.diffusion_map[name] = type(changed.diffusion_map[name])(value)
    return changed
