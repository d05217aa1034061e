"""One update and one chunk of updates, on a regression whose gradient is plain: what optax does, and what is kept."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wormjax.training.objectives.classification import Objective
from wormjax.training.step import Recipe, initialise_state, make_optimizer, train_chunk

RATE, DECAY = 0.05, 0.1
RANDOM = np.random.default_rng(0)
DATA = tuple(jnp.asarray(RANDOM.normal(size=shape), jnp.float32) for shape in ((20, 3), (20, 2)))


class ToyRun(NamedTuple):
    seed: jax.Array
    steps: jax.Array
    hyper: dict


def make_run(steps=100, rate=RATE, decay=DECAY):
    hyper = {"learning_rate": jnp.float32(rate), "weight_decay": jnp.float32(decay)}
    return ToyRun(jnp.array([3, 0]), jnp.int32(steps), hyper)


def measure_loss(params):
    return ((DATA[0] @ params["kernel"] + params["bias"] - DATA[1]) ** 2).mean()


def regression(score=lambda variables: jnp.float32(1.0)):
    """Least squares of the same data at every step; `score` of the variables stands in for a validation."""

    def initialise(run):
        params = {"kernel": jnp.linspace(-2.0, 2.0, 6).reshape(3, 2), "bias": jnp.ones(2)}
        return {"params": params, "batch_stats": {"updates": jnp.float32(0.0)}}

    def loss(variables, data, run, progress, key, shard):
        value = measure_loss(variables["params"])
        return value, ({"updates": variables["batch_stats"]["updates"] + 1}, {"loss": value})

    return Objective(initialise, loss, lambda variables, data, run: (score(variables), {}))


def descend():
    """An objective whose single weight falls by the learning rate (nearly) with every step."""

    def loss(variables, data, run, progress, key, shard):
        value = variables["params"]["weight"].sum()
        return value, ({}, {"loss": value})

    def validate(variables, data, run):
        return jnp.abs(variables["params"]["weight"][0] - 0.5), {}

    return Objective(lambda run: {"params": {"weight": jnp.ones(1)}}, loss, validate)


def chunks(objective, recipe, run, count):
    """The state after each of `count` chunks."""
    step = jax.jit(lambda state: train_chunk(objective, recipe, state, DATA, run)[0])
    states = [initialise_state(objective, recipe, run)]
    for _ in range(count):
        states.append(step(states[-1]))
    return states[1:]


def steps_of_optax(optimizer, count):
    params = regression().initialise(None)["params"]
    state = optimizer.init(params)
    for _ in range(count):
        updates, state = optimizer.update(jax.grad(measure_loss)(params), state, params)
        params = optax.apply_updates(params, updates)
    return params


def assert_close(tree, other, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), tree, other)


def decay_matrices(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)


def test_parts_are_clipped_each_by_its_own_norm():
    """A part whose gradient is a thousand times larger leaves the other's step as it is."""
    gradients = {"encoder": {"kernel": jnp.array([0.3, -0.4])}, "decoder": {"kernel": jnp.array([3e3, 4e3])}}
    apart = make_optimizer(Recipe(1, clip_norm=1.0, clip_parts=True))
    _, (_, moments) = apart.update(gradients, apart.init(gradients))
    np.testing.assert_allclose(moments.mu["encoder"]["kernel"], [0.03, -0.04], rtol=1e-5)
    np.testing.assert_allclose(moments.mu["decoder"]["kernel"], [0.06, 0.08], rtol=1e-5)
    whole = make_optimizer(Recipe(1, clip_norm=1.0))
    _, (_, moments) = whole.update(gradients, whole.init(gradients))
    np.testing.assert_allclose(moments.mu["encoder"]["kernel"], [6e-6, -8e-6], rtol=1e-4)


@pytest.mark.parametrize("clip", [0.0, 0.3])
def test_constant_rate_is_adamw_that_spares_the_biases(clip):
    before = [optax.clip_by_global_norm(clip)] if clip else []
    expected = steps_of_optax(optax.chain(*before, optax.adamw(RATE, weight_decay=DECAY, mask=decay_matrices)), 8)
    state = chunks(regression(), Recipe(4, clip_norm=clip), make_run(), 2)[-1]
    assert_close(state.variables["params"], expected)
    assert int(state.step) == 8
    assert float(state.variables["batch_stats"]["updates"]) == 8


def test_the_cosine_falls_to_zero_at_the_run_s_own_last_step():
    schedule = optax.cosine_decay_schedule(RATE, 6)
    expected = steps_of_optax(optax.adamw(schedule, weight_decay=DECAY, mask=decay_matrices), 6)
    state = chunks(regression(), Recipe(4, "cosine"), make_run(steps=6), 2)[-1]
    assert_close(state.variables["params"], expected)


def test_the_plateau_halves_the_rate_after_patience_validations_without_a_better_one():
    states = chunks(regression(), Recipe(1, "plateau", patience=2), make_run(), 6)  # The score never changes.
    assert [float(state.learning_rate_scale) for state in states] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    falling = regression(lambda variables: -variables["batch_stats"]["updates"])
    assert float(chunks(falling, Recipe(1, "plateau", patience=2), make_run(), 6)[-1].learning_rate_scale) == 1.0


def test_a_halved_rate_halves_the_step():
    objective, recipe, run = regression(), Recipe(1, "plateau"), make_run(decay=0.0)
    state = initialise_state(objective, recipe, run)
    whole = train_chunk(objective, recipe, state, DATA, run)[0]
    half = train_chunk(objective, recipe, state._replace(learning_rate_scale=jnp.float32(0.5)), DATA, run)[0]
    moved, less = (s.variables["params"]["bias"] - state.variables["params"]["bias"] for s in (whole, half))
    np.testing.assert_allclose(less, 0.5 * moved, rtol=1e-5)


def test_the_best_validation_is_kept_and_not_the_last():
    run = make_run(rate=0.1, decay=0.0)
    states = chunks(descend(), Recipe(1), run, 9)  # 0.9, 0.8, ... 0.1: the best is the fifth, 0.5.
    np.testing.assert_allclose(states[-1].best["params"]["weight"], 0.5, atol=1e-4)
    assert int(states[-1].best_step) == 5
    np.testing.assert_allclose(states[-1].variables["params"]["weight"], 0.1, atol=1e-4)
    last = chunks(descend(), Recipe(1, keep_best=False), run, 9)[-1]
    np.testing.assert_allclose(last.best["params"]["weight"], 0.1, atol=1e-4)
    assert int(last.best_step) == 9


def test_a_validation_that_is_not_a_number_is_never_the_best():
    def score(variables):
        updates = variables["batch_stats"]["updates"]
        return jnp.where(updates < 3, -updates, jnp.nan)

    state = chunks(regression(score), Recipe(1), make_run(), 5)[-1]
    assert int(state.best_step) == 2
    assert float(state.best_score) == -2.0


def test_the_moving_average_is_validated_and_kept_and_starts_fast():
    states = chunks(descend(), Recipe(1, average_decay=0.3, keep_best=False), make_run(rate=0.1, decay=0.0), 12)
    average, best = 1.0, np.inf
    for step, state in enumerate(states):
        decay = min(0.3, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * (0.9 - 0.1 * step)
        np.testing.assert_allclose(state.average["weight"], average, atol=1e-4)
        np.testing.assert_allclose(state.best["params"]["weight"], average, atol=1e-4)
        best = min(best, abs(average - 0.5))
        np.testing.assert_allclose(state.best_score, best, atol=1e-4)


def test_a_run_that_has_done_its_steps_stands_still():
    at_end, *later = chunks(descend(), Recipe(4, average_decay=0.5), make_run(steps=3), 3)
    assert int(at_end.step) == 3
    np.testing.assert_allclose(at_end.variables["params"]["weight"], 1.0 - 3 * RATE * (1 + 0 * DECAY), atol=1e-4)
    for state in later:
        jax.tree.map(np.testing.assert_array_equal, state, at_end)
