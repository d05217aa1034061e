"""Regressions of each step by itself and extrapolations, on systems whose future is known."""

import numpy as np
import pytest

from wormjax.baselines.extrapolation import choose_extrapolation, extrapolate
from wormjax.baselines.horizon_regression import (
    Regressors,
    fit_horizons,
    number_kinds,
    predict_horizons,
    refit_horizons,
    split_folds,
)
from wormjax.errors import InputError

KINDS = number_kinds(("A1", "A2", "ball"), 3)


def make_windows(samples=300, seed=0):
    """Objects that swing about the mean of all, each kind at its own rate."""
    random = np.random.default_rng(seed)
    rates, phases = np.array([0.2, 0.2, 0.35]), random.uniform(0, 6, (samples, 1, 3))
    places = random.normal(size=(samples, 1, 3)) * 3
    waves = np.sin(rates * np.arange(16)[None, :, None] + phases)
    return (np.stack([waves, waves**2], axis=-1) + places[..., None]).astype(np.float32)


@pytest.mark.parametrize("kinds", [(), KINDS])
def test_a_linear_system_is_predicted_at_every_step(kinds):
    windows, others = make_windows(), make_windows(50, seed=1)
    regressors = Regressors((1, 2, 3, 4), kinds)
    past, future = windows[:, :8], windows[:, 8:]
    regression, penalties = fit_horizons(past, future, (others[:, :8], others[:, 8:]), regressors)
    assert penalties.shape == (len(set(kinds)) or 1, 8)
    predicted = predict_horizons(regression, others[:, :8], regressors)
    assert predicted.shape == (50, 8, 3, 2)
    errors = np.sqrt(((predicted - others[:, 8:]) ** 2).mean(axis=(0, 2)))
    assert errors[:, 0].max() < 2e-3
    again = refit_horizons(past, future, penalties, regressors)
    np.testing.assert_allclose(predict_horizons(again, others[:, :8], regressors), predicted, atol=1e-4)


def test_the_whole_system_may_stand_anywhere_where_places_are_centred():
    windows, moved = make_windows(), make_windows() + np.float32(7)
    regressors = Regressors((1, 2, 3, 4), (), centred=True)
    regression, _ = fit_horizons(windows[:, :8], windows[:, 8:], (windows[:, :8], windows[:, 8:]), regressors)
    there, here = (predict_horizons(regression, part[:, :8], regressors) for part in (moved, windows))
    np.testing.assert_allclose(there - 7, here, atol=1e-4)


def test_what_was_not_observed_teaches_nothing():
    windows = make_windows()
    spoilt, observed = windows.copy(), np.ones((300, 8, 3), bool)
    spoilt[::3, 8:, 1], observed[::3, :, 1] = 1e3, False
    valid = windows[:, :8], windows[:, 8:]
    regressors = Regressors((1, 2, 3, 4), KINDS)
    masked, _ = fit_horizons(spoilt[:, :8], spoilt[:, 8:], valid, regressors, observed)
    predicted = predict_horizons(masked, windows[:, :8], regressors)
    assert np.sqrt(((predicted - windows[:, 8:])[..., 0] ** 2).mean()) < 5e-3


def test_other_objects_and_short_histories_are_refused():
    windows, regressors = make_windows(), Regressors((1, 2))
    regression, _ = fit_horizons(windows[:, :8], windows[:, 8:], (windows[:, :8], windows[:, 8:]), regressors)
    with pytest.raises(InputError, match=r"found 12 columns, expected 18 as in training"):
        predict_horizons(regression, windows[:, :8, :2], regressors)
    with pytest.raises(InputError, match=r"found 2 frames, expected 3 or more \(linear.lags\)"):
        predict_horizons(regression, windows[:, :2], regressors)


def test_folds_are_runs_of_samples():
    np.testing.assert_array_equal(split_folds(10, 5), np.repeat(np.arange(5), 2))


def test_kinds_are_names_without_their_digits():
    assert number_kinds(("A1", "A2", "B1", "ball"), 4) == (0, 0, 1, 2)
    assert number_kinds((), 3) == (0, 0, 0)


def test_damping_is_found():
    random = np.random.default_rng(0)
    velocity = random.normal(size=(40, 1, 2, 2)) * 0.85 ** np.arange(12)[None, :, None, None]
    frames = np.cumsum(velocity, axis=1)
    count, damping = choose_extrapolation(frames[:, :5], frames[:, 5:], (0.6, 0.85, 1.0))
    assert (count, damping) == (1, 0.85)
    np.testing.assert_allclose(extrapolate(frames[:, :5], 7, count, damping), frames[:, 5:])
    still = extrapolate(frames[:, :5], 2, 1)
    np.testing.assert_allclose(np.diff(still, axis=1)[:, 0], frames[:, 4] - frames[:, 3])
