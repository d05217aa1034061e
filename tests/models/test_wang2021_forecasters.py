"""The paper's forecasters, and the scheduled sampling that they are trained with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax.models.forecast_roll_outs import TeacherForcing, initialise, predict
from wormjax.models.wang2021_forecasters import WangGraphForecaster, WangMlpForecaster

pytestmark = pytest.mark.usefixtures("quick_compilation")

NEURONS, FEATURES, STEPS = 4, 2, 3
NO_DRIFT = jnp.zeros((2, NEURONS * FEATURES + 1, NEURONS * FEATURES))  # Order 1.


def build(kind):
    module = kind(neurons=NEURONS, features=FEATURES, hidden=8)
    return module, jax.jit(lambda: initialise(module, jax.random.key(0), 1, 1, NEURONS, FEATURES))()


def draw(seed, frames):
    return jax.random.normal(jax.random.key(seed), (2, frames, NEURONS, FEATURES))


@pytest.mark.parametrize("kind", [WangGraphForecaster, WangMlpForecaster])
def test_the_change_depends_on_the_last_frame_alone_and_is_within_one(kind):
    module, variables = build(kind)
    past = draw(1, 2)
    forecast = predict(module, variables, past, NO_DRIFT, STEPS)
    other = predict(module, variables, past.at[:, 0].set(9.0), NO_DRIFT, STEPS)
    np.testing.assert_array_equal(forecast.mean, other.mean)
    frames = jnp.concatenate([past[:, -1:], forecast.mean[:, 0]], axis=1)
    change = np.abs(np.diff(frames, axis=1))
    assert change.max() <= 1.0
    assert change.min() > 0.0


def test_the_graph_network_infers_a_graph_from_each_frame_and_its_messages_count():
    module, variables = build(WangGraphForecaster)
    past = draw(1, 2)
    one, other = (predict(module, variables, frames, NO_DRIFT, 1) for frames in (past, past + 1.0))
    assert one.edge_logits.shape == (2, NEURONS * (NEURONS - 1), 2)
    assert np.abs(one.edge_logits - other.edge_logits).max() > 1e-3
    silent = jax.tree.map(lambda x: x, variables)
    silent["params"]["after_message"] = jax.tree.map(jnp.zeros_like, variables["params"]["after_message"])
    assert np.abs(predict(module, silent, past, NO_DRIFT, 1).mean - one.mean).max() > 1e-4


@pytest.mark.parametrize("kind", [WangGraphForecaster, WangMlpForecaster])
def test_a_step_goes_on_from_the_true_frame_where_it_is_shown_and_else_from_its_own(kind):
    module, variables = build(kind)
    past, future = draw(1, 2), draw(2, STEPS)
    shown = jnp.array([[True, False, True], [False, False, False]])
    forcing = TeacherForcing(future, shown)
    forecast = predict(module, variables, past, NO_DRIFT, STEPS, teacher_forcing=forcing).mean[:, 0]
    free = predict(module, variables, past, NO_DRIFT, STEPS).mean[:, 0]
    np.testing.assert_allclose(forecast[1], free[1], rtol=1e-6)
    np.testing.assert_allclose(forecast[0, 0], free[0, 0], rtol=1e-6)
    given_past = jnp.concatenate([past[:, -1:], future[:, :1]], axis=1)
    after_true = predict(module, variables, given_past, NO_DRIFT, 2).mean[:, 0]
    np.testing.assert_allclose(forecast[0, 1:], after_true[0], rtol=1e-5, atol=1e-6)
