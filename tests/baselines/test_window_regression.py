"""Direct regressions on windows are plain least squares; kernels are plain ridge on their features."""

import numpy as np
import pytest

from wormjax.baselines import window_regression as regression
from wormjax.baselines.window_regression import (
    Prior,
    Sizes,
    cut_windows,
    fit_direct,
    predict_direct,
    regress_on_kernels,
)

PAST, STEPS, NEURONS = 6, 3, 4
SIZES = Sizes(components=2, random_features=8, own_width=4.0, population_width=2.0)


def make_stretches(lengths=(60, 80), seed=0):
    random = np.random.default_rng(seed)
    return [np.cumsum(random.normal(size=(frames, NEURONS)), axis=0) * 0.3 for frames in lengths]


def test_windows_lie_within_a_stretch():
    stretches = [np.arange(20.0)[:, None], 100.0 + np.arange(12.0)[:, None], np.zeros((8, 1))]
    windows = cut_windows(stretches, PAST, STEPS)
    assert len(windows.past) == (20 - 9 + 1) + (12 - 9 + 1)  # None in eight frames.
    assert (np.diff(windows.past[:, :, 0], axis=1) == 1.0).all()
    np.testing.assert_array_equal(windows.change, np.broadcast_to([[[1.0], [2.0], [3.0]]], windows.change.shape))


@pytest.mark.parametrize("shared", [False, True])
def test_direct_regression_is_least_squares(shared):
    windows = cut_windows(make_stretches(), PAST, STEPS)
    predicted = predict_direct(fit_direct(windows, 1e-9, shared), windows.past)
    rows = np.concatenate([windows.past, np.ones_like(windows.past[:, :1])], axis=1)
    for neuron in range(NEURONS):
        of = slice(None) if shared else slice(neuron, neuron + 1)
        past, true = (
            np.moveaxis(values[:, :, of], 2, 0).reshape(-1, size) for values, size in ((rows, 7), (windows.change, 3))
        )
        expected = rows[:, :, neuron] @ np.linalg.lstsq(past, true, rcond=None)[0]
        np.testing.assert_allclose(predicted[:, :, neuron], expected, atol=1e-5)


def test_a_large_penalty_leaves_persistence_and_the_mean_change():
    windows = cut_windows(make_stretches(), PAST, STEPS)
    predicted = predict_direct(fit_direct(windows, 1e9), windows.past)
    np.testing.assert_allclose(predicted, np.broadcast_to(windows.change.mean(axis=0), predicted.shape), atol=1e-5)


def test_kernels_are_ridge_regressions_of_what_another_forecast_leaves():
    windows, other = cut_windows(make_stretches(), PAST, STEPS), cut_windows(make_stretches((50,), 1), PAST, STEPS)
    starts = [0.0 * windows.change, 0.3 * windows.change]
    shown = [(other.past, [0.0 * other.change, 0.3 * other.change])]
    priors = [Prior(1.0, 2.0, 0.5), Prior(0.1, 1.0, 1.0)]
    found = regress_on_kernels(windows, starts, priors, [0.5, 20.0], shown, SIZES)
    assert found.keys() == {(model, penalty) for model in (0, 1) for penalty in (0.5, 20.0)}
    fitted, wanted = (list(features) for features in regression._build_features(windows.past, [other.past], SIZES, 0))
    for (model, penalty), (changes,) in found.items():
        prior = priors[model]
        variances = np.repeat([*prior, 10.0], [PAST, 8, 16, 1])
        for neuron in range(NEURONS):
            left = (windows.change - starts[model])[:, :, neuron]
            kernel, across = (
                values.astype(float) * variances @ fitted[neuron].T for values in (fitted[neuron], wanted[neuron])
            )
            expected = across @ np.linalg.solve(kernel + penalty * np.eye(len(kernel)), left)
            expected += shown[0][1][model][:, :, neuron]
            np.testing.assert_allclose(changes[:, :, neuron], expected, atol=2e-3)


def test_features_are_those_of_the_kernels():
    """Their products are the sum of the kernels: that is what random Fourier features are for."""
    windows = cut_windows(make_stretches(), PAST, STEPS)
    sizes = SIZES._replace(components=NEURONS, random_features=20_000)
    (fitted,) = regression._build_features(windows.past[:20], [], sizes, 3)
    features = next(fitted).astype(float)
    own, population, spans = np.split(features[:, PAST:-1], 3, axis=1)
    columns = features[:, :PAST] * np.sqrt(PAST)
    last = windows.past[:20, -1]
    spread = np.square(last - last.mean(axis=0)).sum(axis=1).mean()
    past = windows.past[:20]
    means = np.concatenate([past[:, :3].mean(axis=1), past[:, 3:5].mean(axis=1), past[:, 5]], axis=1)
    smooth = 2.0 * means.var(axis=0).sum()
    for waves, values, width in ((own, columns, 4.0 * PAST), (population, last, 2.0 * spread), (spans, means, smooth)):
        distance = np.square(values[:, None] - values[None]).sum(axis=2)
        np.testing.assert_allclose(waves @ waves.T, np.exp(-distance / width), atol=0.04)


def test_a_large_penalty_leaves_the_forecast_that_it_starts_from():
    windows = cut_windows(make_stretches(), PAST, STEPS)
    start = 0.5 * windows.change
    found = regress_on_kernels(windows, [start], [Prior(1.0, 1.0, 1.0)], [1e9], [(windows.past, [start])], SIZES)
    np.testing.assert_allclose(found[0, 1e9][0], start, atol=1e-4)
