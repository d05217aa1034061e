"""Sampled futures: as spread as the errors that they are drawn from, and the best of many is nearer than one."""

import numpy as np
import pytest

from wormjax.scoring.frame_errors import find_best_distance, measure_errors, measure_spread, sample_futures

UNITS = np.array([50.0, 25.0])


def test_sampled_errors_have_the_spread_of_the_errors():
    random = np.random.default_rng(0)
    future = random.normal(size=(500, 4, 3, 2))
    walk = np.cumsum(random.normal(size=future.shape) * [1.0, 2.0], axis=1)
    future[:, :, 2] = np.nan  # An object that is not scored.
    spread = measure_spread(future + walk, future)
    assert np.diagonal(spread)[::2] == pytest.approx(np.arange(1, 5), rel=0.2)
    sampled = sample_futures(np.zeros((300, 4, 3, 2)), spread, 5, random)
    drawn = sampled.swapaxes(2, 3).reshape(-1, 8)
    np.testing.assert_allclose(drawn.T @ drawn / len(drawn), spread, atol=1.2)


def test_the_best_of_many_is_nearer_and_of_one_it_is_the_distance():
    random = np.random.default_rng(0)
    future, predicted = random.normal(size=(2, 60, 4, 3, 2))
    future[:30, :, 2] = np.nan
    alone = find_best_distance(predicted[None], future, UNITS)
    window = np.concatenate([np.zeros((60, 1, 3, 2)), future], axis=1)
    assert alone == pytest.approx(measure_errors(predicted, window, 1, (4,), UNITS)["distance"])
    spread = measure_spread(predicted, future)
    bests = [find_best_distance(sample_futures(predicted, spread, n, random), future, UNITS) for n in (1, 20)]
    assert bests[1] < bests[0]


def test_distances_are_in_the_units_of_the_file():
    future = np.zeros((1, 3, 1, 2))
    predicted = np.array([[[[0.1, 0.0]], [[0.0, 0.2]]]])
    errors = measure_errors(predicted, future, 1, (1, 2, 5), UNITS)
    assert errors == pytest.approx({"distance": 5.0, "distance@1": 5.0, "distance@2": 5.0})
