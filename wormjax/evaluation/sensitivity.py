"""How much the results of an asymmetric diffusion map hang on its parameters, one at a time, the others at default.

Brennan & Proekt (2019) say themselves that parameters must be tuned for each recording. What comes of it is scored on
worms left out: the present motor state, the state some seconds ahead, and how many loops are found.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from wormjax.errors import InputError
from wormjax.evaluation import ahead_baselines as simple
from wormjax.evaluation.ahead import read_setting
from wormjax.evaluation.answers import ask, score_answers
from wormjax.evaluation.metrics import score_states
from wormjax.evaluation.protocols import Split
from wormjax.features.dataset import Dataset


class Tried(NamedTuple):
    """What one value of one parameter leads to, by test worm.

    Attributes:
      value: of the parameter.
      decoding: balanced accuracy of the present motor state; NaN where no model came of it.
      nll: negative log-likelihood of the motor state some seconds ahead, nats.
      loops: found in the worms that the model was made from.
    """

    value: float
    decoding: Float[np.ndarray, " worm"]
    nll: Float[np.ndarray, " worm"]
    loops: Float[np.ndarray, " worm"]


def check_sensitivity(config, task) -> None:
    """Raises InputError for a parameter that does not exist, or a horizon that is not asked about."""
    for name in config.sensitivity.parameters:
        if name not in task.diffusion_map:
            expected = f"expected some of {', '.join(task.diffusion_map)}"
            raise InputError(f"config field 'sensitivity.parameters': found {name!r}, {expected}")
    if config.sensitivity.seconds not in tuple(task.ahead.seconds):
        expected = f"expected one of tasks.ahead.ahead.seconds, {tuple(task.ahead.seconds)}"
        raise InputError(f"config field 'sensitivity.seconds': found {config.sensitivity.seconds:g}, {expected}")


def measure_sensitivity(config, task, dataset: Dataset, splits: Sequence[Split]) -> dict[str, list[Tried]]:
    """Parameter → what each of its values leads to. Splits of the most training worms alone."""
    most = max(len(split.train) for split in splits)
    splits = [split for split in splits if len(split.train) == most]
    jobs = [(name, value) for name, values in config.sensitivity.parameters.items() for value in values]
    known: dict[tuple, Tried] = {}
    results: dict[str, list[Tried]] = {}
    for name, value in tqdm(jobs, desc="sensitivity", unit="value"):
        changed = task.copy_and_resolve_references().unlock()
        changed.diffusion_map[name] = type(changed.diffusion_map[name])(value)
        key = tuple(changed.diffusion_map.items())
        if key not in known:  # The default is among the values of every parameter.
            known[key] = try_value(config, changed, dataset, splits)
        results.setdefault(name, []).append(known[key]._replace(value=value))
    return results


def try_value(config, task, dataset: Dataset, splits: Sequence[Split]) -> Tried:
    """Fits and scores the diffusion map of a task's config on every split; a split's test worms are averaged."""
    setting, worms = read_setting(task, dataset), simple.gather_worms(dataset)
    starts, truth = ask(task, dataset)
    metric = f"nll@{config.sensitivity.seconds:g}s"
    scores = []
    for split in splits:
        try:
            fit = simple.fit_diffusion_map(setting, [worms[worm] for worm in split.train])
        except InputError:  # No cycle was found: that is a result.
            scores.append((np.nan, np.nan, 0.0))
            continue
        model = simple.unpack_diffusion_map(setting, fit)
        tested = np.isin(starts.worm, split.test)
        parts = []
        for stretch in np.unique(starts.stretch[tested]):
            own = tested & (starts.stretch == stretch)
            parts.append(_score(setting, task, dataset, fit, model, starts.of(own), truth.of(own), metric))
        scores.append((*np.mean(parts, axis=0), float(model.loop.max() + 1)))
    return Tried(0.0, *np.array(scores).T)


def _score(setting, task, dataset, fit, model, starts, truth, metric) -> tuple[float, float]:
    """Balanced accuracy now and negative log-likelihood ahead, of the starts of one stretch."""
    number = starts.stretch[0]
    valid = dataset.arrays.valid[number]
    stretch = simple.Stretch(dataset.arrays.features[number][valid], dataset.arrays.states[number][valid])
    answers = simple.answer_baseline(simple.DIFFUSION, setting, fit, stretch, starts.frame - 1, model)
    frequency = np.full(setting.states, 1.0 / setting.states)  # Of no account to this metric.
    ahead = score_answers(answers, truth, tuple(task.ahead.seconds), dataset.frame_rate, frequency)
    placed = simple.loops.place_worm(model, stretch.features[..., 0], starts.frame - 1)
    now = score_states(placed @ fit["shares"], dataset.scored_states[number, starts.frame - 1])
    return now.get("balanced_accuracy", np.nan), ahead.get(metric, np.nan)
