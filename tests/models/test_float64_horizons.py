"""A decoder of all steps at once, and its encoder, at float32 against float64, with their gradients."""

import jax
import numpy as np
import pytest
from float64_reference import check_kernel
from small_systems import small_config

from wormjax.models import horizons
from wormjax.models.horizons import Plan
from wormjax.models.nri import build_nri

WINDOWS, HISTORY, STEPS, OBJECTS, FEATURES = 3, 8, 5, 4, 4
PLAN = Plan(HISTORY, outputs=(0, 1), kinds=(0, 0, 1, 1), given=(3,), lags=(1, 2), centred=True, stride=2)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("part", ["encode", "predict"])
def test_a_horizon_model_and_its_gradient_are_those_at_float64(part):
    config = small_config(model__decoder__name="horizon", model__encoder__name="mlp")
    nri = build_nri(config.model, 2, np.full(FEATURES, 0.5))
    made = jax.eval_shape(lambda: horizons.initialise(nri, PLAN, jax.random.key(0), OBJECTS, FEATURES, STEPS))
    params = jax.tree.map(lambda leaf: draw(*leaf.shape) / np.float32(np.sqrt(leaf.shape[0])), made)
    past = draw(WINDOWS, HISTORY, OBJECTS, FEATURES, seed=1)
    if part == "encode":
        trained, function = (params, past), lambda trained: horizons.encode(nri, trained[0], PLAN, trained[1])
    else:
        units, edges = np.ones((STEPS, 2), np.float32), np.full((WINDOWS, OBJECTS * (OBJECTS - 1), 2), 0.5, np.float32)
        base, future = (draw(WINDOWS, STEPS, OBJECTS, 2, seed=seed) for seed in (2, 3))
        trained = params, past, base, edges

        def function(trained):
            return horizons.predict(nri, trained[0], PLAN, units, *trained[1:], future)

    check_kernel(f"models.horizons.{part}", function, trained)
