"""Each kind of scaling does what its name says, per channel, and no division by zero ever."""

import numpy as np
import pytest

from wormjax.features.scaling import SCALINGS, scale_features

FEATURES = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 10.0, 0.01] + [0.0, 5.0, -3.0]


def test_zscore_has_mean_zero_and_standard_deviation_one():
    scaled = scale_features(FEATURES, "zscore")
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0)


def test_minmax_reaches_from_minus_one_to_one():
    scaled = scale_features(FEATURES, "minmax")
    np.testing.assert_allclose(scaled.min(axis=0), -1.0)
    np.testing.assert_allclose(scaled.max(axis=0), 1.0)


def test_none_changes_nothing():
    np.testing.assert_array_equal(scale_features(FEATURES, "none"), FEATURES)


def test_calibration_takes_its_statistics_from_the_first_frames_alone():
    scaled = scale_features(FEATURES, "calibration", 50)
    np.testing.assert_allclose(scaled[:50].mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(scaled[:50].std(axis=0), 1.0)
    later = FEATURES.copy()
    later[50:] *= 100.0
    np.testing.assert_array_equal(scale_features(later, "calibration", 50)[:50], scaled[:50])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_scaling_keeps_the_course_of_each_channel(scaling):
    scaled = scale_features(FEATURES, scaling, 50)
    for before, after in zip(FEATURES.T, scaled.T, strict=True):
        slope, intercept = np.polyfit(before, after, 1)
        assert slope > 0
        np.testing.assert_allclose(after, slope * before + intercept, atol=1e-8)


@pytest.mark.parametrize("scaling", sorted(set(SCALINGS) - {"none"}))
def test_the_units_of_traces_do_not_matter(scaling):
    small = scale_features(FEATURES * 1e-12, scaling, 50)
    np.testing.assert_allclose(small, scale_features(FEATURES, scaling, 50), atol=1e-9)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1234.5678])
@pytest.mark.parametrize("scaling", ["zscore", "minmax", "calibration"])
def test_a_channel_that_does_not_vary_in_its_reference_frames_keeps_its_units(scaling, value, kind):
    features = np.full((3000, 2), value, kind)
    features[:, 1] = FEATURES[:1].sum() + np.arange(3000)
    if scaling == "calibration":
        features[2000:, 0] += 2.0
    scaled = scale_features(features, scaling, 2000)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(np.diff(scaled[:2000, 0]), 0.0)
    assert abs(scaled[:, 0]).max() < 2.01


@pytest.mark.parametrize("scaling", SCALINGS)
def test_what_is_scaled_stays_as_it_was(scaling):
    given = FEATURES.copy()
    scaled = scale_features(given, scaling, 50)
    scaled += 1.0
    np.testing.assert_array_equal(given, FEATURES)
