"""Planted leaks in forecasts: what the future or the held-out worm alone tells of a random walk must not foretell it.

Nothing beats persistence on a random walk: a gain over it must lie within four standard errors of none. Every case has
its control, in which the leak is opened on purpose and the gain is there.
"""

import math
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest
import small_forecasts
from planted_leaks import FRAMES, WORMS, Arranged, build, cases, hold_out, make_recording, stand_beside

from wormjax.features.forecast_origins import cut_future
from wormjax.tasks.forecast import experiment as forecast
from wormjax.tasks.forecast import networks as forecasting
from wormjax.tasks.groups import list_groups
from wormjax.tasks.protocols import Split, list_splits

pytestmark = pytest.mark.usefixtures("quick_compilation")

AHEAD = 8  # Frames of a forecast.


def plant_walks(lead, own=False, frames=FRAMES, name="worm", worms=WORMS):
    """Worms with a random walk, and a neuron that tells its step of `lead` frames later: 0 when it is made.

    With `own` it is another neuron in each worm, and noise in all other worms.
    """
    recordings, carriers = [], worms if own else 1
    for worm in range(worms):
        random = np.random.default_rng([6, worm])
        steps = random.normal(size=frames)
        traces = 0.3 * random.normal(size=(frames, 1 + carriers))
        traces[:, 0] = np.cumsum(steps) / 4
        carrier = 1 + worm * own
        traces[:, carrier] = np.roll(steps, -lead) + 0.3 * traces[:, carrier]
        names = ("walk", *(f"N{k}" for k in range(carriers)))
        recordings.append(make_recording(f"{name} {worm}", traces, random.integers(0, 4, frames), names))
    return recordings


class Gain(NamedTuple):
    """What a model gains over persistence in telling the walk 1 and 8 frames ahead.

    `skill` is the share of persistence's squared error that it saves, `sure` the gain's mean over its standard error;
    starts are `AHEAD` frames apart, so that no two of them ask of the same steps.
    """

    skill: np.ndarray
    sure: np.ndarray


def forecast_walks(config, arranged, workdir):
    """Model → gain of the protocol, and with the leak open."""
    dataset, tested, splits = arranged
    groups = list_groups(config, splits)
    fit = forecasting.fit_baselines(config, dataset, splits, workdir)
    for name in config.models:
        forecasting.train_model(name, config, dataset, splits, groups, fit, workdir)
    errors = defaultdict(lambda: defaultdict(list))
    for output in forecast.run_models(config, tested, splits, groups, fit, forecast.restore_from(workdir)):
        future, there = cut_future(tested, output.starts, AHEAD)
        squares = (output.spread.center[:, :AHEAD] - future)[..., 0, 0] ** 2
        trained = [dataset.worms[worm] for worm in groups[output.group].split.train]
        for row in np.flatnonzero(there.all(axis=1)):
            worm, frame = tested.worms[output.starts.worm[row]], output.starts.frame[row]
            errors[output.model, arranged.is_open(trained, worm)][worm, frame].append(squares[row, [0, AHEAD - 1]])
    gains = defaultdict(lambda: [None, None])
    for (model, opened), by_start in errors.items():
        known = errors["persistence", opened]
        static, own = (np.array([np.mean(part[start], axis=0) for start in known]) for part in (known, by_start))
        saved = static - own
        sure = saved.mean(axis=0) / np.maximum(saved.std(axis=0, ddof=1) / math.sqrt(len(saved)), 1e-12)
        gains[model][opened] = Gain(saved.mean(axis=0) / static.mean(axis=0), sure)
    return {model: gain for model, gain in gains.items() if model != "persistence"}


def forecast_config(protocol, models=(), baselines=("persistence", "var_1", "var_2"), **fields):
    network = {"kind": "mlp", "drift": "pooled", "hidden": 4, "modes": 1}
    changes = {"protocol__name": protocol, "baselines": baselines, "models": models, "forecast__every": AHEAD}
    changes |= {"train__steps": 20, "train__steps_per_chunk": 10, "model__pooled_mlp": network}
    return small_forecasts.small_config(**changes | fields)


@pytest.mark.parametrize(("protocol", "models", "frames"), cases("pooled_mlp", False))
def test_steps_that_show_when_they_are_made_are_not_forecast(protocol, models, frames, tmp_path):
    config = forecast_config(protocol, models, ("persistence", "var_1", "var_2", "var_adapted"))
    walks, opened = plant_walks(0, frames=2 * frames), plant_walks(1, frames=2 * frames, name="open")
    inputs = {"inputs": ("trace", "causal_derivative"), "derivative_seconds": (1.0,), "scaling": "none"}
    gains = forecast_walks(config, stand_beside(protocol, walks, opened, **inputs), tmp_path)
    assert gains.keys() == {"var_1", "var_2", "var_adapted", *models}
    for model, (closed, opened) in gains.items():
        assert max(closed.sure) < 4, (model, closed)
        assert min(opened.skill[0], opened.sure[0] / 10) > 0.3, (model, opened)


def test_a_derivative_that_sees_the_future_would_foretell_steps(tmp_path):
    config, gains = forecast_config("leave_one_worm_out"), {}
    for name in ("causal_derivative", "smoothed_derivative"):
        dataset = build(plant_walks(0)[:3], ("trace", name), "none", derivative_seconds=(1.0,))
        splits = list_splits("leave_one_worm_out", 3)
        gains[name] = forecast_walks(config, Arranged(dataset, dataset, splits), tmp_path / name)["var_2"][0]
    assert max(gains["causal_derivative"].sure) < 4
    assert gains["smoothed_derivative"].skill[0] > 0.3


@pytest.mark.parametrize(("protocol", "models", "frames"), cases("pooled_mlp", False))
def test_what_held_out_worms_alone_tell_does_not_help_to_foretell_them(protocol, models, frames, tmp_path):
    # Not of var_adapted, which may learn from the worm's own past, and does.
    config, walks = forecast_config(protocol, models), plant_walks(1, own=True, frames=2 * frames)
    gains = forecast_walks(config, hold_out(protocol, walks, scaling="none"), tmp_path)
    for model, (closed, opened) in gains.items():
        assert max(closed.sure) < 4, (model, closed)
        assert opened.sure[0] > 5, (model, opened)


def test_scaling_by_the_whole_recording_foretells_a_walk_and_by_its_first_minutes_does_not(tmp_path):
    # A walk comes back to the mean of its whole recording, which nobody knows before the end.
    config, gains = forecast_config("leave_one_worm_out"), {}
    for scaling in ("zscore", "calibration"):
        dataset = build(plant_walks(0, frames=120, worms=120), scaling=scaling, calibration_seconds=10.0)
        splits = [Split(tuple(range(20)), tuple(range(20, 120)))]
        arranged = Arranged(dataset, dataset, splits)
        gains[scaling] = forecast_walks(config, arranged, tmp_path / scaling)["var_1"][0]
    assert gains["zscore"].sure[1] > 4
    assert max(gains["calibration"].sure) < 4
