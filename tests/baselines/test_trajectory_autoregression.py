"""Predictors of trajectories: a linear system is predicted to its noise, and nothing after the history is seen."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from wormjax.baselines.vector_autoregression import choose_var, predict_static, roll_out_var
from wormjax.errors import InputError

NOISE = 0.05


def fit_var(features, order, ridge):
    """One order and one penalty."""
    return choose_var(features, features, 1, (order,), (ridge,))[0]


def draw_linear(simulations=200, frames=40, seed=0, noise=NOISE, objects=3, size=2):
    """Channels turn and decay together, one coupled system for all simulations, around an offset of 3."""
    channels = objects * size
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(channels, channels)))[0]
    rng = np.random.default_rng(seed)
    state, states = rng.normal(size=(simulations, channels)), []
    for _ in range(frames):
        states.append(3.0 + state)
        state = 0.97 * state @ turn + noise * rng.normal(size=state.shape)
    return np.stack(states, axis=1).reshape(simulations, frames, objects, size)


def test_static_repeats_the_last_frame():
    history = draw_linear(4, 5)
    predicted = predict_static(history, 3)
    assert predicted.shape == (4, 3, 3, 2)
    assert (predicted == history[:, -1:]).all()


def test_a_linear_system_is_predicted_to_its_noise():
    test = draw_linear(seed=2)
    model, *_ = choose_var(draw_linear(seed=0), draw_linear(seed=1), steps=10)
    predicted = roll_out_var(model, test[:, :20], 10)
    errors = ((predicted - test[:, 20:30]) ** 2).mean(axis=(0, 2, 3))
    # The noise of t steps adds up: sum of 0.97^2k.
    expected = NOISE**2 * np.cumsum(0.97 ** (2 * np.arange(10)))
    np.testing.assert_allclose(errors, expected, rtol=0.15)
    static = ((predict_static(test[:, :20], 10) - test[:, 20:30]) ** 2).mean(axis=(0, 2, 3))
    assert errors.mean() < 0.05 * static.mean()


def test_the_second_order_is_chosen_where_velocity_is_hidden():
    whole = draw_linear(400, noise=0.0, objects=1, size=2)[..., :1]  # One coordinate of a turning pair.
    model, order, _ = choose_var(whole[:200], whole[200:300], steps=10, orders=(1, 2))
    assert order == 2
    error = np.mean((roll_out_var(model, whole[300:, :5], 10) - whole[300:, 5:15]) ** 2)
    assert error < 1e-6 < np.mean((predict_static(whole[300:, :5], 10) - whole[300:, 5:15]) ** 2)


@pytest.mark.parametrize("order", [1, 3])
def test_a_tiny_penalty_is_least_squares(order, monkeypatch):
    monkeypatch.setattr("wormjax.baselines.vector_autoregression.SIMULATIONS_AT_ONCE", 4)  # Sums over many chunks.
    features = draw_linear(30, 12)
    model = fit_var(features, order, 1e-12)
    flat = features.reshape(30, 12, 6)
    past = np.concatenate([flat[:, lag : 12 - order + lag] for lag in range(order)], axis=-1).reshape(-1, 6 * order)
    plain = LinearRegression().fit(past, np.diff(flat[:, order - 1 :], axis=1).reshape(-1, 6))
    np.testing.assert_allclose(model[:-1], plain.coef_.T, atol=1e-6)
    np.testing.assert_allclose(model[-1], plain.intercept_, atol=1e-5)


def test_a_large_penalty_leaves_a_static_predictor_with_drift():
    features = draw_linear(50, 20)
    features = features + 0.1 * np.arange(20)[:, None, None]
    predicted = roll_out_var(fit_var(features, 1, 1e9), features[:, :10], 2)
    drift = np.diff(features, axis=1).mean(axis=(0, 1))
    np.testing.assert_allclose(predicted[:, 1], features[:, 9] + 2 * drift, atol=1e-5)


def test_units_of_a_feature_do_not_matter():
    features = draw_linear(50, 20)
    units = np.array([1e-3, 50.0])
    predicted = roll_out_var(fit_var(features, 2, 0.01), features[:, :10], 5)
    scaled = roll_out_var(fit_var(features * units, 2, 0.01), features[:, :10] * units, 5)
    np.testing.assert_allclose(scaled, predicted * units, rtol=1e-6)


def test_frames_after_the_history_change_nothing():
    train, validation, test = draw_linear(60, 30, 0), draw_linear(60, 30, 1), draw_linear(20, 30, 2)
    model, *_ = choose_var(train, validation, steps=5)
    spoilt = test.copy()
    spoilt[:, 20:] = 1e6
    for predict in (predict_static, lambda history, steps: roll_out_var(model, history, steps)):
        np.testing.assert_array_equal(predict(spoilt[:, :20], 5), predict(test[:, :20], 5))
    longer = roll_out_var(model, test[:, :20], 10)
    np.testing.assert_array_equal(longer[:, :5], roll_out_var(model, test[:, :20], 5))
    # Of the history, the last frames alone count.
    np.testing.assert_array_equal(longer, roll_out_var(model, test[:, 15:20], 10))


def test_steps_of_one_are_the_roll_out_fed_with_itself():
    features = draw_linear(30, 15)
    model = fit_var(features, 2, 1e-4)
    history = features[:, :6]
    for _ in range(3):
        history = np.concatenate([history, roll_out_var(model, history, 1)], axis=1)
    np.testing.assert_allclose(roll_out_var(model, features[:, :6], 3), history[:, 6:], rtol=1e-12)


def test_a_constant_feature_and_float32_do_no_harm():
    features = draw_linear(60, 20).astype(np.float32)
    features = np.concatenate([features, np.full_like(features[..., :1], 0.5)], axis=-1)
    predicted = roll_out_var(fit_var(features, 2, 1e-6), features[:, :10], 5)
    np.testing.assert_allclose(predicted[..., 2], 0.5, atol=1e-6)
    expected = roll_out_var(fit_var(features[..., :2], 2, 1e-6), features[:, :10, :, :2], 5)
    np.testing.assert_allclose(predicted[..., :2], expected, atol=1e-4)


def test_an_unstable_autoregression_is_not_chosen():
    """Growth beyond all numbers in the roll-out is no reason to stop while another penalty stays finite."""
    frames = np.arange(400.0)
    train = np.repeat(np.exp(3.0 * frames[:10])[None, :, None, None], 3, axis=0)
    validation = np.ones((3, 400, 1, 1))
    _, _, ridge = choose_var(train, validation, steps=390, orders=(1,), ridges=(1e-8, 1e12))
    assert ridge == 1e12


def test_wrong_input_is_named():
    features = draw_linear(10, 8)
    model = fit_var(features, 3, 0.1)
    with pytest.raises(InputError, match=r"history: found 2 frames .* expected 3 frames or more"):
        roll_out_var(model, features[:, :2], 1)
    with pytest.raises(InputError, match="2 objects of 2 features, expected 3 frames or more of 6 numbers"):
        roll_out_var(model, features[:, :, :2], 1)
    with pytest.raises(InputError, match="'orders'"):
        choose_var(features, features, steps=5, orders=(4, 5))
