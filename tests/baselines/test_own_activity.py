"""What was decoded from a worm, refined by its own activity."""

import numpy as np
import pytest

from wormjax.baselines.own_activity import factor_activity, refine_by_own_activity


def refine(decoded, activity, **options):
    return refine_by_own_activity(decoded, factor_activity(activity), **options)


@pytest.fixture(name="worm")
def noisy_worm():
    """A behaviour, a noisy decoding of it, and neurons of which half say it."""
    rng = np.random.default_rng(0)
    behaviour = np.sin(np.arange(600) / 9.0)
    neurons = rng.normal(size=(600, 30))
    neurons[:, :15] += behaviour[:, None]
    return behaviour, (behaviour + rng.normal(size=600))[:, None], neurons


def test_noise_that_no_neuron_has_is_left_out(worm):
    behaviour, decoded, neurons = worm
    refined = refine(decoded, neurons)
    before, after = (np.corrcoef(values[:, 0], behaviour)[0, 1] for values in (decoded, refined))
    assert before < 0.6
    assert after > 0.9


def test_outputs_keep_their_mean_and_spread_and_are_refined_by_themselves(worm):
    _, decoded, neurons = worm
    two = np.concatenate([3 * decoded + 5, neurons[:, :1]], axis=1)
    refined = refine(two, neurons)
    np.testing.assert_allclose(refined.mean(axis=0), two.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(refined.std(axis=0), two.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(refined[:, :1], 3 * refine(decoded, neurons) + 5, rtol=1e-9)


def test_units_of_activity_and_channels_that_say_nothing_do_not_matter(worm):
    _, decoded, neurons = worm
    expected = refine(decoded, neurons)
    useless = np.stack([np.full(600, 3.0), np.full(600, np.nan)], axis=1)
    changed = np.concatenate([100 * neurons - 7, useless], axis=1)
    np.testing.assert_allclose(refine(decoded, changed), expected, rtol=1e-6, atol=1e-9)


def test_missing_samples_are_the_mean(worm):
    _, decoded, neurons = worm
    neurons[5:9, 3] = np.nan
    filled = np.where(np.isnan(neurons), np.nanmean(neurons, axis=0), neurons)
    first, second = (refine(decoded, values) for values in (neurons, filled))
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first, second, atol=1e-2)


def test_without_activity_nothing_changes(worm):
    _, decoded, neurons = worm
    for activity in (neurons[:, :0], np.zeros_like(neurons)):
        np.testing.assert_array_equal(refine(decoded, activity), decoded)
    np.testing.assert_array_equal(refine(decoded, neurons, weight=0.0), decoded)
    constant = np.full_like(decoded, 2.0)
    np.testing.assert_array_equal(refine(constant, neurons), constant)
