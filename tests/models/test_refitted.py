"""A linear decoder refitted from moments is the one that scikit-learn fits to the channels that are read."""

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge

from wormjax.models.refitted import PENALTY, find_moments, refit, sum_frames


class Penalised:
    """The covariance of each class, with the penalty on its diagonal."""

    def fit(self, channels):
        self.covariance_ = np.cov(channels.T, bias=True) + PENALTY * np.eye(channels.shape[1])
        return self


def measure_moments(*frames):
    return find_moments(sum_frames(*frames))


def draw_frames(seed: int = 0, frames: int = 300):
    random = np.random.default_rng(seed)
    channels, states = random.normal(size=(frames, 6)), random.integers(0, 3, frames)
    channels += random.normal(size=(3, 6))[states]
    return channels, states, channels[:, :2] + random.normal(size=(frames, 2))


def test_states_are_those_of_linear_discriminant_analysis_of_the_channels_alone():
    channels, states, behavior = draw_frames()
    read = np.array([4, 0, 3])
    linear, _ = refit(measure_moments(channels, states, behavior, 3), read)
    model = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Penalised()).fit(channels[:, read], states)
    np.testing.assert_allclose(linear.weights.T, model.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(linear.bias, model.intercept_, rtol=1e-4, atol=1e-5)


def test_behaviours_are_those_of_ridge_regression_on_the_channels_alone():
    channels, states, behavior = draw_frames(1)
    read = np.array([1, 5, 0])
    _, linear = refit(measure_moments(channels, states, behavior, 3), read)
    model = Ridge(PENALTY * len(channels)).fit(channels[:, read], behavior)
    np.testing.assert_allclose(linear.weights.T, model.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(linear.bias + behavior.mean(axis=0), model.intercept_, rtol=1e-4, atol=1e-6)


def test_unscored_frames_and_unknown_behaviours_are_left_out():
    channels, states, behavior = draw_frames(2)
    kept = np.arange(300) < 200
    behavior[~kept] = np.nan
    found = measure_moments(channels, np.where(kept, states, -1), behavior, 3)
    expected = measure_moments(channels[kept], states[kept], behavior[kept], 3)
    for name, values in expected._asdict().items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-6, atol=1e-7, err_msg=name)


def test_a_state_that_never_occurs_and_a_channel_that_is_always_0_are_harmless():
    channels, states, behavior = draw_frames(3)
    channels[:, 2] = 0.0
    logits, linear = refit(measure_moments(channels, states, behavior[:, :0], 4), np.arange(6))
    assert linear is None or linear.weights.shape == (6, 0)
    assert (logits.weights[2] == 0).all()
    predicted = channels @ logits.weights + logits.bias
    assert np.isfinite(predicted).all()
    assert not (predicted.argmax(axis=1) == 3).any()


def test_sums_of_recordings_add_up():
    channels, states, behavior = draw_frames(4)
    parts = [sum_frames(channels[part], states[part], behavior[part], 3) for part in (slice(0, 120), slice(120, 300))]
    added = find_moments({name: sum(part[name] for part in parts) for name in parts[0]})
    for name, values in measure_moments(channels, states, behavior, 3)._asdict().items():
        np.testing.assert_allclose(getattr(added, name), values, rtol=1e-5, atol=1e-6, err_msg=name)
