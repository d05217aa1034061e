"""What forecasters minimise is what it says, adds up over devices, and teaches them what no linear model knows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from small_experiments import replace_worm
from small_forecasts import GRAPH, small_config, small_dataset

from wormjax.features.forecast_origins import cut_future, list_starts
from wormjax.graphs import edges_to_matrix
from wormjax.models.forecast_roll_outs import Clamp, predict
from wormjax.models.forecasters import Forecast, GraphForecaster
from wormjax.simulation.ensembles import enable_float64
from wormjax.tasks.forecast import networks as steps
from wormjax.tasks.groups import list_groups, restore_best
from wormjax.tasks.protocols import list_splits
from wormjax.training.loop import train_ensemble
from wormjax.training.objectives.classification import Shard
from wormjax.training.objectives.forecasting import (
    ForecastObjective,
    average_modes,
    trajectory_nll,
    weigh_neurons,
)
from wormjax.training.parallel import build_engine
from wormjax.training.step import build_recipe

pytestmark = pytest.mark.usefixtures("quick_compilation")

DATASET = small_dataset()
SPLITS = list_splits("subsets", 2)  # Each of the two worms trains, and is tested on the other.
# A program that runs a few times takes longer to compile well than to run.
compile_quickly = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": "0"})


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def draw_forecast(windows=2, modes=1, length=3, neurons=4):
    """A forecast of random numbers, a future [window, step, neuron, feature] and a spread to start from."""
    shape = (windows, modes, length, neurons, 1)
    forecast = Forecast(draw(*shape), 0.5 * draw(*shape, seed=1), draw(windows, modes, seed=2), None)
    return forecast, draw(windows, *shape[2:], seed=3), 0.5 + abs(draw(*shape[2:], seed=4))


def sum_log_densities(forecast, future, base_scale):
    """Of each mode's whole trajectory [window, mode], by scipy."""
    scale = base_scale * np.exp(forecast.log_scale)
    return scipy.stats.norm.logpdf(future[:, None], forecast.mean, scale).sum(axis=(2, 3, 4))


def test_the_likelihood_of_one_mode_is_the_gaussians():
    forecast, future, base_scale = draw_forecast()
    expected = -sum_log_densities(forecast, future, base_scale)[:, 0] / future[0].size
    np.testing.assert_allclose(compile_quickly(trajectory_nll)(forecast, future, base_scale), expected, rtol=1e-5)


def test_the_likelihood_of_several_modes_is_that_of_whole_trajectories():
    forecast, future, base_scale = draw_forecast(modes=2)
    weights = scipy.special.softmax(forecast.mode_logits, axis=1)
    joint = sum_log_densities(forecast, future, base_scale)
    expected = -scipy.special.logsumexp(joint, axis=1, b=weights) / future[0].size
    np.testing.assert_allclose(compile_quickly(trajectory_nll)(forecast, future, base_scale), expected, rtol=1e-5)
    by_mode = weights[:, :, None, None, None] * forecast.mean
    np.testing.assert_allclose(average_modes(forecast), by_mode.sum(axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("modes", [1, 2])
def test_the_likelihood_moves_the_mean_of_several_modes_and_never_of_one(modes):
    forecast, future, base_scale = draw_forecast(modes=modes)

    def score(mean, log_scale):
        return trajectory_nll(forecast._replace(mean=mean, log_scale=log_scale), future, base_scale).sum()

    of_mean, of_scale = compile_quickly(jax.grad(score, argnums=(0, 1)))(forecast.mean, forecast.log_scale)
    assert (abs(of_mean).max() > 1e-3) == (modes > 1)
    assert (abs(of_scale).max(axis=(0, 2, 3, 4)) > 1e-3).all()
    if modes == 1:
        ratio = (future[:, None] - forecast.mean) / (base_scale * np.exp(forecast.log_scale))
        np.testing.assert_allclose(of_scale, (1.0 - ratio**2) / future[0].size, rtol=1e-3, atol=1e-5)


def prepare(config, dataset=DATASET):
    """What the baselines learn on the two splits, and the runs and data of the network "nri_graph"."""
    fit = steps.linear.fit_linear(config, steps.linear.gather_worms(dataset), SPLITS)
    groups = list_groups(config, SPLITS)
    return fit, *steps.build_forecast_runs("nri_graph", config, dataset, SPLITS, groups, fit)


def build_objective(config, module, **options):
    """The objective of a module, the first run's arrays, the data, and random parameters (read-outs too)."""
    _, runs, data = prepare(config)
    run = jax.tree.map(lambda values: np.asarray(values)[0], runs)
    objective = ForecastObjective(module, steps.build_shape(config), (4, 1), **options)
    random = np.random.default_rng(5)
    shapes = jax.eval_shape(objective.initialise, run)["params"]
    params = jax.tree.map(lambda x: 0.4 * random.normal(size=x.shape).astype(np.float32), shapes)
    return objective, run, data, params


def widen(tree):
    """All numbers at 64 bits, in numpy: JAX keeps them so only within `enable_float64`."""
    kinds = {np.dtype(np.float32): np.float64, np.dtype(np.int32): np.int64}
    return jax.tree.map(lambda x: np.asarray(x, kinds.get(x.dtype)), tree)


def small_graph(**fields):
    return GraphForecaster(4, hidden=4, message_hidden=3, encoder_hidden=3, embedding=2, **fields)


@pytest.fixture(scope="module")
def loss_of():
    """A function: number of shards → the compiled loss at 64 bits, and parameters to call it with.

    The loss: (params, shard's index, progress) → (loss, metrics), and for the whole batch the gradient with it.
    """
    config = small_config(
        train__noise=0.3, train__offset=0.2, train__kl_weight=0.5, train__given=0.6, train__spread_weight=0.5
    )
    module = small_graph(modes=2)  # One mode's likelihood hides the mean on purpose, and so from differences.
    objective, *arrays = build_objective(config, module, edge_prior=(0.8, 0.2), scheduled=True)
    *arrays, params = widen(arrays)
    with enable_float64():
        run, data = jax.tree.map(jnp.asarray, tuple(arrays))

    @functools.cache
    def make(count=1):
        def loss(params, index, progress):
            shard, key = Shard(index, count), jax.random.key(3)
            value, (_, metrics) = objective.loss({"params": params}, data, run, progress, key, shard)
            return value, metrics

        compiled = compile_quickly(jax.value_and_grad(loss, has_aux=True) if count == 1 else loss)

        def call(params, index=0, progress=0.25):
            with enable_float64():
                return jax.device_get(compiled(params, index, progress))

        return call, params

    return make


@pytest.mark.slow
def test_the_parts_of_a_batch_add_up_to_the_whole(loss_of):
    loss, params = loss_of()
    (whole, metrics), _ = loss(params)
    parts = [loss_of(2)[0](params, index) for index in range(2)]
    assert abs(parts[0][0] - parts[1][0]) > 1e-3
    assert sum(value for value, _ in parts) == pytest.approx(whole, rel=1e-9)
    for name, value in metrics.items():
        assert sum(own[name] for _, own in parts) == pytest.approx(value, rel=1e-9)


def test_scheduled_sampling_fades_over_training(loss_of):
    loss, params = loss_of()
    chances = {progress: loss(params, 0, progress)[0][1]["mse"] for progress in (0.0, 1.0, 2.0)}
    assert chances[0.0] != chances[1.0]  # At the end every step goes on from the forecast's own frames.
    assert chances[1.0] == chances[2.0]


def test_the_gradient_of_the_loss_agrees_with_finite_differences(loss_of):
    loss, params = loss_of()
    gradient, random = loss(params)[1], np.random.default_rng(1)
    for _ in range(4):
        direction = jax.tree.map(lambda x: random.normal(size=x.shape), params)
        slope = sum((a * b).sum() for a, b in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
        ahead, behind = (
            loss(jax.tree.map(lambda x, d, h=h: x + h * d, params, direction))[0][0] for h in (1e-6, -1e-6)
        )
        assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-5, abs=1e-7)
        assert abs(slope) > 1e-3


def test_the_loss_is_its_errors_in_units_of_persistence_plus_the_likelihood():
    config, module = small_config(), small_graph(graph="none")
    objective, run, data, params = build_objective(config, module)
    shape, count, features = steps.build_shape(config), int(run.validation_count), DATASET.arrays.features
    windows = run.validation_windows[:count]
    frames = np.stack([features[k, first : first + shape.frames] for k, first in windows])
    blocks = (windows[:, 1] + shape.past) // shape.block
    operators = data.operators[run.own["operators"][windows[:, 0]], blocks]
    past, future = frames[:, : shape.past], frames[:, shape.past :]

    @compile_quickly
    def both(variables):
        forecast = predict(module, variables, past, operators, shape.roll_out)
        return forecast, *objective.validate(variables, data_there, run_there)

    data_there, run_there = jax.tree.map(jnp.asarray, (data, run))
    forecast, score, metrics = jax.device_get(both({"params": params}))
    errors = ((forecast.mean[:, 0] - future) ** 2).mean(axis=(0, 2, 3))
    own = features[0, DATASET.arrays.valid[0]]  # Of the first run's only training worm.
    persistence = [((own[step:] - own[:-step]) ** 2).mean() for step in range(1, shape.roll_out + 1)]
    nll = np.mean(compile_quickly(trajectory_nll)(forecast, future, run.own["base_scale"][: shape.roll_out]))
    assert count > 1
    assert metrics["mse"] == pytest.approx(float(errors.mean()), rel=1e-3)
    assert metrics["relative_error"] == pytest.approx(float((errors / persistence).mean()), rel=1e-3)
    assert metrics["nll"] == pytest.approx(float(nll), rel=1e-3)
    expected = metrics["relative_error"] + config.train.spread_weight * metrics["nll"]
    assert score == pytest.approx(expected, rel=1e-5)


CONFIG = small_config(
    model__nri_graph=GRAPH | {"graph": "static", "hidden": 8, "message_hidden": 8},
    train__steps=100,
    train__steps_per_chunk=50,
    train__roll_out=1,
    train__batch_windows=32,
    train__learning_rate=1e-2,
    train__weight_decay=0.0,
    **{f"train__{name}": 0.0 for name in ("dropout", "offset", "noise")},
)


@pytest.fixture(scope="module")
def train(quick_compilation):
    """A function: (folder, steps, dataset, stop) → the state after training as `train_model` does; compiled once."""
    recipe, module = build_recipe(CONFIG.train), steps.build_module("nri_graph", CONFIG, DATASET)
    objective = ForecastObjective(module, steps.build_shape(CONFIG), (4, 1), CONFIG.train.edge_prior)
    engine = build_engine(objective, recipe, len(SPLITS), runs_at_once=1)

    def run(folder, updates=100, dataset=DATASET, stop=None):
        _, runs, data = prepare(CONFIG, dataset)
        runs = runs._replace(steps=np.full_like(runs.steps, updates))
        folder = steps.model_folder(folder, "nri_graph")
        return train_ensemble(engine, recipe, data, runs, folder, "nri_graph", 0.0, stop)

    return run


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """The state after training without a stop."""
    return train(tmp_path_factory.mktemp("whole"))


def take(tree, run):
    return jax.tree.map(lambda values: np.asarray(values)[run], tree)


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_resumed_is_uninterrupted_bit_for_bit(train, whole, tmp_path):
    assert (train(tmp_path, stop=1).step == 50).all()
    resumed = train(tmp_path)
    assert (resumed.step == 100).all()
    assert_equal(resumed, whole)
    assert_equal(restore_best(steps.model_folder(tmp_path, "nri_graph")), whole.best)


def test_a_worm_that_a_run_does_not_train_on_changes_nothing_in_it(train, whole, tmp_path):
    assert SPLITS[0].train == (0,)
    dataset = replace_worm(DATASET, 1, 0.0, state=2)
    dataset.arrays.features[1] = 3.0 * draw(*dataset.arrays.features[1].shape)
    found = train(tmp_path, dataset=dataset)
    assert_equal(take(found, 0), take(whole, 0))
    kernels = [take(state.variables["params"]["read_out"]["kernel"], 1) for state in (found, whole)]
    assert (kernels[0] != kernels[1]).any()


def test_the_graph_of_what_no_line_can_tell_is_found_and_holds_for_another_worm(train, tmp_path):
    variables = take(train(tmp_path, updates=600).best, 0)  # Trained on the first worm.
    fit, _, _ = prepare(CONFIG)
    starts = list_starts(DATASET, 16, 1)
    starts = starts.of(starts.worm == 1)
    future = cut_future(DATASET, starts, 1)[0][:, 0, :, 0]
    forecast = steps.build_forecaster("nri_graph", CONFIG, DATASET)
    spread, edges = steps.forecast_starts(forecast, "nri_graph", CONFIG, fit, 0, variables, DATASET, starts)
    drift = steps.forecast_baseline("var_adapted", CONFIG, fit, 0, DATASET, starts)
    errors = [((forecast.center[:, 0, 3, 0] - future[:, 3]) ** 2).mean() for forecast in (spread, drift)]
    assert errors[0] < 0.25 * errors[1]
    present = edges_to_matrix(1.0 - edges[..., 0], 4).mean(axis=0)
    assert present[0, 3] > 0.95  # Who is followed.
    assert present[1:3, 3].max() < 0.3


def test_a_graph_in_each_frame_is_drawn_from_the_posterior_and_its_divergence_from_the_prior_is_charged():
    config, module = small_config(), small_graph(graph="dynamic")
    objective, run, data, params = build_objective(config, module)

    @compile_quickly
    @jax.value_and_grad
    def measure(params, weight):
        there = run_there._replace(hyper=run_there.hyper | {"kl_weight": weight})
        return objective.loss({"params": params}, data_there, there, 0.5, jax.random.key(3), Shard(0, 1))[0]

    data_there, run_there = jax.tree.map(jnp.asarray, (data, run))
    losses, moved = {}, {}
    for weight in (0.0, 1.0, 2.0):
        losses[weight], slopes = jax.device_get(measure(params, weight))
        parts = slopes["encoder"].items()
        moved[weight] = {name: max(abs(leaf).max() for leaf in jax.tree.leaves(part)) for name, part in parts}
    assert moved[0.0]["posterior_types"] > 1e-6
    assert moved[0.0]["prior_types"] == 0.0  # It learns from the posterior alone.
    assert moved[2.0]["prior_types"] > 1e-6
    assert losses[1.0] > losses[0.0]
    assert losses[2.0] - losses[0.0] == pytest.approx(2.0 * (losses[1.0] - losses[0.0]), rel=1e-3)
    for name in ("posterior_types", "prior_types"):  # Alike, they cost nothing.
        params["encoder"][name] = jax.tree.map(np.zeros_like, params["encoder"][name])
    assert float(measure(params, 2.0)[0]) == pytest.approx(float(measure(params, 0.0)[0]), rel=1e-6)


@pytest.mark.parametrize("modes", [1, 2])
def test_what_is_held_enters_no_likelihood(modes):
    forecast, future, base_scale = draw_forecast(modes=modes)
    lacking = np.zeros(future.shape[:1] + future.shape[2:3], bool)
    lacking[0, 1] = True
    weights = weigh_neurons(Clamp(lacking, np.zeros_like(future[:, 0])))
    found = trajectory_nll(forecast, future, base_scale, weights)
    changed = future.copy()
    changed[0, :, 1] = 50.0
    np.testing.assert_allclose(trajectory_nll(forecast, changed, base_scale, weights), found, rtol=1e-5)
    np.testing.assert_allclose(found[1:], trajectory_nll(forecast, future, base_scale)[1:], rtol=1e-5)
    np.testing.assert_allclose(np.mean(weights, axis=2), 1.0, rtol=1e-5)
    if modes == 1:
        kept = np.delete(np.arange(future.shape[2]), 1)
        fewer = forecast._replace(mean=forecast.mean[:, :, :, kept], log_scale=forecast.log_scale[:, :, :, kept])
        alone = trajectory_nll(fewer, future[:, :, kept], base_scale[:, kept])
        np.testing.assert_allclose(found[0], alone[0], rtol=1e-5)


def test_the_loss_does_not_know_the_spread_of_a_neuron_that_is_not_there():
    config = small_config()
    module = steps.build_module("nri_graph", config, DATASET)
    found = []
    for masked in (True, False):
        objective, run, data, params = build_objective(config, module, masked=masked)
        features, operators = np.array(data.worms.features), np.array(data.operators)
        features[:, :, 3], operators[..., 3] = 0.0, 0.0
        data = data._replace(worms=data.worms._replace(features=features), operators=operators)
        for scale in (1.0, 100.0):
            own = run.own | {"base_scale": run.own["base_scale"] * np.array([1, 1, 1, scale], np.float32)[:, None]}
            value, metrics = jax.jit(objective.validate)({"params": params}, data, run._replace(own=own))
            assert np.isfinite(value)
            found.append(float(metrics["nll"]))
    assert found[0] == found[1]
    assert abs(found[2] - found[3]) > 0.1
