"""Losses, their gradients and the optimiser's steps at float32 against float64, on the same random draws.

Tolerances stand in tests/data/numerical_kernels.py; `pytest -rP` prints what is measured.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from float64_reference import check_kernel, run_at_float64, run_with_gradient
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import norm
from scipy.stats import t as students_t

from wormjax.features.dataset import WormArrays
from wormjax.models import units
from wormjax.models.catalog import build_classifier
from wormjax.models.decoders import EquivariantDecoder, MlpDecoder
from wormjax.models.encoders import MlpEncoder
from wormjax.models.forecasters import Forecast, GraphForecaster
from wormjax.models.nri import Nri
from wormjax.training import likelihoods
from wormjax.training.objectives import classification as objectives
from wormjax.training.objectives import forecasting
from wormjax.training.objectives import future_states as states_ahead
from wormjax.training.objectives import nri_exact as exact
from wormjax.training.objectives import nri_sampled as elbo
from wormjax.training.objectives.arriving_edges import AllCombinations
from wormjax.training.objectives.classification import Objective, Shard
from wormjax.training.objectives.system_batches import PER_RUN as PER_SYSTEM_RUN
from wormjax.training.objectives.system_batches import Bound, SystemArrays, SystemData, SystemRuns
from wormjax.training.runs import PER_RUN, Runs
from wormjax.training.step import Recipe, initialise_state, train_chunk

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(11)


def draw(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def draw_params(initialise):
    rng = np.random.default_rng(7)
    return jax.tree.map(lambda leaf: (0.5 * rng.normal(size=leaf.shape)).astype(np.float32), jax.eval_shape(initialise))


# The optimiser.

STEPS, CHUNK = 40, 10
RATE, DECAY, AVERAGE, CLIP = 0.0625, 0.125, 0.9, 0.5


def make_regression():
    """Least squares in one array of parameters, validated by their distance from zero."""

    def loss(variables, data, run, progress, key, shard):
        value = ((data[0] @ variables["params"]["kernel"] - data[1]) ** 2).mean()
        return value, ({}, {"loss": value})

    def validate(variables, data, run):
        return (variables["params"]["kernel"] ** 2).sum(), {}

    return lambda params: Objective(lambda run: {"params": params}, loss, validate)


def train_plainly(params, inputs, targets):
    """Adam with weight decay apart from it, a clipped gradient, a cosine, and an average: Kingma & Ba 2015."""
    weights = params["kernel"]
    average, first, second = weights, np.zeros_like(weights), np.zeros_like(weights)
    best = np.inf
    for step in range(STEPS):
        gradient = 2.0 * inputs.T @ (inputs @ weights - targets) / targets.size
        gradient = gradient * min(1.0, CLIP / np.sqrt((gradient**2).sum()))
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        direction = first / (1.0 - 0.9 ** (step + 1)) / (np.sqrt(second / (1.0 - 0.999 ** (step + 1))) + 1e-8)
        rate = RATE * 0.5 * (1.0 + np.cos(np.pi * step / STEPS))
        weights = weights - rate * (direction + DECAY * weights)
        decay = min(AVERAGE, (1.0 + step) / (10.0 + step))
        average = decay * average + (1.0 - decay) * weights
        best = min(best, (average**2).sum()) if (step + 1) % CHUNK == 0 else best
    return weights, average, best


def test_adam_clips_decays_and_averages_as_numpy_does():
    """Within the error of 1 - 0.999 at float32, by which the first steps' second moments are divided.

    The share of the steps that are done, and the cosine of it, is float32 at all times.
    """
    recipe = Recipe(CHUNK, schedule="cosine", average_decay=AVERAGE, clip_norm=CLIP)
    hyper = {"learning_rate": np.float32(RATE), "weight_decay": np.float32(DECAY)}
    run = Runs(np.array([3, 0]), None, None, None, None, None, np.int32(STEPS), hyper)

    def train(params, inputs, targets):
        objective = make_regression()(params)
        state = initialise_state(objective, recipe, run)
        for _ in range(STEPS // CHUNK):
            state, _ = train_chunk(objective, recipe, state, (inputs, targets), run)
        return state.variables["params"]["kernel"], state.average["kernel"], state.best_score

    inputs = draw(20, 3), draw(20, 2, seed=1)
    name = "training.step.train_chunk"
    check_kernel(
        name, train, {"kernel": draw(3, 2, seed=2)}, *inputs, reference=train_plainly, gradient=False, plain=1e-6
    )


# What a batch is made of.


@pytest.mark.slow
def test_augmented_features_are_those_of_numpy():
    features, keys = draw(3, 5, 4, 2), jax.random.split(KEY, 3)
    hyper = {"gain": 0.25, "offset": 0.5, "noise": 0.125, "neuron_dropout": 0.5, "neuron_dropout_most": 0.0}

    def reference(features):
        windows = []
        for window, key in zip(features, keys, strict=True):
            gain, offset, noise, drop = jax.random.split(key, 4)
            drawn = [
                jax.random.normal(gain, (4, 1)),
                jax.random.normal(offset, (4, 2)),
                jax.random.normal(noise, (5, 4, 2)),
            ]
            gains, offsets, noises = (np.asarray(values, np.float64) for values in drawn)
            window = window * np.exp(0.25 * gains) + 0.5 * offsets + 0.125 * noises
            windows.append(window * np.asarray(jax.random.bernoulli(drop, 0.5, (4, 1))))
        return np.stack(windows)

    check_kernel(
        "training.objectives.classification.augment_features",
        lambda features: objectives.augment_features(features, keys, hyper),
        features,
        reference=reference,
        gradient=False,
        plain=1e-6,  # The random numbers are float32, whose last bit is as XLA compiles them.
    )


def test_answers_are_split_unchanged():
    check_kernel(
        "training.objectives.future_states.split_answers",
        lambda values: states_ahead.split_answers(values, 3, 2),
        draw(4, 9),
        reference=lambda values: (np.stack([values[:, :3], values[:, 3:6]], axis=1), values[:, 6:]),
    )


# Likelihoods.


def draw_forecast(modes):
    """Two windows: one whose future is near, one whose is 80 spreads away from every mode."""
    mean, log_scale = draw(2, modes, 6, 3, 1), 0.8 * draw(2, modes, 6, 3, 1, seed=1)
    future = draw(2, 6, 3, 1, seed=3)
    future[1] += 80.0
    return (mean, log_scale, draw(2, modes, seed=2)), future, 0.5 + abs(draw(6, 3, 1, seed=4))


def test_the_likelihood_of_trajectories_is_that_of_numpy():
    trained, future, base_scale = draw_forecast(3)

    def measure(trained, future, base_scale):
        return forecasting.trajectory_nll(Forecast(*trained, None), future, base_scale)

    def reference(trained, future, base_scale):
        mean, log_scale, logits = trained
        scale = base_scale * np.exp(log_scale)
        densities = -0.5 * ((future[:, None] - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2.0 * np.pi)
        total = logsumexp(densities.sum(axis=(2, 3, 4)) + log_softmax(logits, axis=1), axis=1)
        return -total / future[0].size

    check_kernel(
        "training.objectives.forecasting.trajectory_nll", measure, trained, future, base_scale, reference=reference
    )


def test_the_mean_of_modes_is_that_of_numpy():
    trained = draw_forecast(3)[0]

    def reference(trained):
        return np.einsum("wm,wmsnf->wsnf", softmax(trained[2], axis=1), trained[0])

    check_kernel(
        "training.objectives.forecasting.average_modes",
        lambda trained: forecasting.average_modes(Forecast(*trained, None)),
        trained,
        reference=reference,
    )


@pytest.mark.parametrize("degrees", [0.0, 2.0, 4.5])
def test_the_negative_log_likelihood_of_an_error_is_that_of_scipy(degrees):
    """Of errors up to 1,000 scales."""
    errors = draw(200, 2) * np.float32([0.1, 3.0])
    errors[0] = 100.0, 3_000.0

    def reference(trained):
        squares, variance = trained
        law = students_t(degrees, scale=np.sqrt(variance)) if degrees else norm(scale=np.sqrt(variance))
        return -law.logpdf(np.sqrt(squares))

    trained = errors**2 + np.float32(1e-3), np.float32([0.01, 9.0])
    check_kernel(
        "training.likelihoods.negative_log_likelihood",
        lambda trained: likelihoods.negative_log_likelihood(*trained, degrees),
        trained,
        reference=reference,
    )


@pytest.mark.parametrize("still", [False, True], ids=["moving", "one object stands still"])
def test_errors_without_offset_and_gain_are_white_as_those_of_numpy(still):
    freedom, frames, scale = 3.0, 6, np.float32([0.5, 2.0])
    predicted = draw(2, frames, 3, 2, seed=1)
    if still:
        predicted[..., 1, :] = 0.75

    def reference(trained):
        """By the covariance of all frames of an object: its symmetric root, and its determinant."""
        errors, predicted = (np.moveaxis(values, 1, -1) for values in trained)
        basis = (predicted - predicted.mean(axis=-1, keepdims=True)) / scale[:, None]
        covariance = np.eye(frames) + freedom * (1.0 + basis[..., :, None] * basis[..., None, :])
        values, vectors = np.linalg.eigh(covariance)
        along = np.einsum("...ik,...i->...k", vectors, errors) / np.sqrt(values)
        nats = 0.5 * np.linalg.slogdet(covariance)[1]
        return np.moveaxis(np.einsum("...ik,...k->...i", vectors, along), -1, 1), nats.sum(axis=-1)

    check_kernel(
        "models.units.take_out_units",
        lambda trained: units.take_out_units(*trained, jnp.asarray(scale), freedom),
        (draw(2, frames, 3, 2, seed=2), predicted),
        reference=reference,
    )


def test_an_offset_and_a_gain_are_those_of_ridge_regression():
    freedom, scale = 3.0, np.float32([0.5, 2.0])
    errors, predicted = draw(2, 6, 3, 2, seed=2), draw(2, 6, 3, 2, seed=1)

    def reference(trained):
        errors, predicted = (np.moveaxis(values, 1, -1) for values in trained)
        centre = predicted.mean(axis=-1)
        basis = np.stack([np.ones_like(predicted), (predicted - centre[..., None]) / scale[:, None]], axis=-1)
        inverse = np.linalg.inv(np.einsum("...tk,...tl->...kl", basis, basis) + np.eye(2) / freedom)
        weights = np.einsum("...kl,...tl,...t->...k", inverse, basis, errors)
        fitted = np.einsum("...tk,...k->...t", basis, weights)
        return (weights[..., 0], weights[..., 1] / scale, centre), np.moveaxis(predicted - fitted, -1, 1)

    def estimate(trained):
        return units.estimate_units(*trained, jnp.asarray(scale), freedom)

    check_kernel(
        "models.units.estimate_units",
        lambda trained: tuple(estimate(trained)),
        (errors, predicted),
        reference=lambda trained: reference(trained)[0],
        gradient=False,
    )
    check_kernel(
        "models.units.Units",
        lambda trained: jax.vmap(lambda frame: estimate(trained).remove(frame), 1, 1)(trained[1]),
        (errors, predicted),
        reference=lambda trained: reference(trained)[1],
        gradient=False,
    )


@pytest.mark.parametrize("fixed", [0.0, 5e-5])
def test_the_variance_of_the_likelihood_is_that_of_numpy(fixed):
    scale = np.float32([0.1, 0.5, 2.0])
    bound = Bound("unsupervised", BATCH, 2, 0, 1, 1, False, fixed, 0.25, 0.0, ())

    def reference(errors):
        return np.full((2, 3), 5e-5) if fixed else np.where(errors > 0.25 * scale, errors, 0.25 * scale)

    check_kernel(
        "training.likelihoods.find_variance",
        lambda errors: likelihoods.find_variance(errors, bound, scale),
        draw(2, 3, scale=0.3) ** 2,
        reference=reference,
        gradient=False,
        plain=1e-7,  # A number at float32.
    )


# Objectives: the whole loss of one update.

WINDOW, BATCH, STATES = 6, 4, 3


def draw_worms(states=STATES):
    valid = np.arange(40) < np.array([[40], [33]])
    scored = np.random.default_rng(3).integers(-1, states, (2, 40)).astype(np.int32)
    return WormArrays(draw(2, 40, 4, 2) * valid[..., None, None], np.where(valid, scored, -1).astype(np.int32), valid)


def list_windows():
    return np.stack([np.repeat([0, 1], 10), np.tile(np.arange(10) * 2, 2)], axis=1).astype(np.int32)


def make_run(states=STATES, **hyper):
    usual = dict.fromkeys(PER_RUN, 0.0) | {"temperature": 0.5, "dropout": 0.25, "label_smoothing": 0.1, "gain": 0.25}
    usual |= {
        "class_balance": 1.0,
        "noise": 0.25,
        "offset": 0.25,
        "neuron_dropout": 0.25,
        "neuron_dropout_most": 0.0,
        "kl_weight": 0.5,
    } | hyper
    numbers = {name: np.float32(value) for name, value in usual.items()}
    windows, weights = list_windows(), np.float32([0.5, 1.0, 2.0])
    return Runs(
        np.array([3, 0], np.int32), windows, np.int32(20), windows[:3], np.int32(3), weights, np.int32(9), numbers
    )


def build_classification(kind, prior=None, augmentations=objectives.AUGMENTATIONS, **sizes):
    """(params, data, run) → loss and validation score."""
    module = build_classifier(kind, STATES, sizes)
    objective, run = objectives.classification(module, (4, 2), WINDOW, BATCH, augmentations, prior), make_run()

    def measure(params, worms, run):
        variables = {"params": params}
        value, _ = objective.loss(variables, worms, run, 0.5, KEY, Shard())
        return value, objective.validate(variables, worms, run)[0]

    return measure, draw_params(lambda: objective.initialise(run))["params"], draw_worms(), run


@pytest.mark.slow
def test_the_loss_of_a_classifier_is_that_at_float64():
    check_kernel(
        "training.objectives.classification.classification", *build_classification("mlp", hidden=3, offsets=(-1, 0))
    )


@pytest.mark.slow
def test_the_loss_of_a_classifier_that_infers_a_graph_is_that_at_float64():
    sizes = {"node_hidden": 2, "edge_hidden": 3, "channels": 3, "kernel": 3, "dilations": (1,)}
    check_kernel(
        "training.objectives.classification.classification", *build_classification("nri_graph", (0.7, 0.3), **sizes)
    )


def test_hard_batches_have_finite_losses_and_gradients():
    """One in which nothing is scored, and one with logits of ±80, together."""
    measure, params, worms, run = build_classification("mlp", augmentations=(), hidden=3, offsets=(0,))
    states = np.stack([np.full_like(worms.states, -1), worms.states])
    pairs = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), params)
    pairs["Dense_2"]["bias"][1] = [80.0, -80.0, 0.0]

    def measure_both(pairs, states, worms, run):
        return jax.vmap(lambda params, own: measure(params, worms._replace(states=own), run)[0])(pairs, states)

    losses, gradient = run_with_gradient(measure_both, pairs, states, worms, run)
    exact, _ = run_at_float64(measure_both, pairs, states, worms, run, gradient=False)
    np.testing.assert_allclose(losses, exact, rtol=1e-6)
    assert losses[0] == 0.0
    assert losses[1] > 20.0
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all()
        assert not leaf[0].any()
        assert leaf[1].any()


SYSTEM_FRAMES, OBJECTS = 5, 4


def build_bound(task="unsupervised", degrees=0.0, variance=0.0):
    bound = Bound(task, BATCH, 2, 0, 1, 2, False, variance, 1e-3, degrees, (0.7, 0.3))
    nri = Nri(MlpEncoder(3, 2), MlpDecoder(3), 2, True, (0.1, 0.2))
    return elbo.evidence_lower_bound(nri, bound, SYSTEM_FRAMES, OBJECTS)


def build_elbo(task="unsupervised", degrees=0.0, variance=0.0, squared_error=0.2):
    """(params, data) → loss, running mean of squared errors, validation score."""
    objective = build_bound(task, degrees, variance)
    random = np.random.default_rng(2)
    data = [draw(10, SYSTEM_FRAMES, OBJECTS, 2, seed=k).cumsum(axis=1) * 0.1 for k in (4, 5)]
    edges = [random.integers(0, 2, (10, 12)).astype(np.int32) for _ in range(2)]
    arrays = SystemData(*(SystemArrays(*pair) for pair in zip(data, edges, strict=True)))
    hyper = dict.fromkeys(PER_SYSTEM_RUN, np.float32(0.5)) | {
        "free_bits": np.float32(0.1),
        "kl_warm_up": np.float32(1.0),
    }
    run = SystemRuns(np.array([3, 0], np.int32), np.int32(9), hyper)
    errors = np.full((2, 2), squared_error, np.float32)

    def measure(params, arrays, errors, run, shard=None):
        variables = {"params": params, "batch_stats": {"squared_error": errors}}
        value, (moved, _) = objective.loss(variables, arrays, run, 0.25, KEY, shard or Shard())
        if shard is not None:
            return value, moved["squared_error"]
        return value, moved, objective.validate(variables, arrays, run)[0]

    return measure, draw_params(lambda: objective.initialise(run))["params"], arrays, errors, run


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"degrees": 3.0},
        {"variance": 5e-5},
        {"squared_error": 0.0},
        {"task": "true_graph"},
    ],
    ids=lambda options: ", ".join(f"{name} {value}" for name, value in options.items()) or "gaussian",
)
def test_the_evidence_lower_bound_is_that_at_float64(options):
    check_kernel("training.objectives.nri_sampled.evidence_lower_bound", *build_elbo(**options))


@pytest.mark.slow
def test_the_cross_entropy_of_edges_is_that_at_float64():
    _, params, arrays, _, run = build_elbo("supervised")
    objective = build_bound("supervised")

    def measure(params, arrays, run):
        variables = {"params": params}
        value, _ = objective.loss(variables, arrays, run, 0.25, KEY, Shard())
        return value, objective.validate(variables, arrays, run)[0]

    check_kernel(
        "training.objectives.nri_sampled.evidence_lower_bound", measure, {"encoder": params["encoder"]}, arrays, run
    )


@pytest.mark.slow
def test_the_parts_of_a_batch_of_systems_add_up_to_the_whole():
    """Two shards within one program, as two devices would: the loss adds up, the variance is that of the whole."""
    measure, *inputs = build_elbo(degrees=3.0)

    def share(*inputs):
        parts = jax.vmap(lambda index: measure(*inputs, Shard(index, 2, "device")), axis_name="device")(jnp.arange(2))
        return parts[0].sum(), parts[1], measure(*inputs, Shard())

    (total, errors, (whole, moved)), _ = run_at_float64(share, *inputs, gradient=False)
    assert total == pytest.approx(whole, rel=1e-12)
    np.testing.assert_allclose(errors, np.stack([moved, moved]), rtol=1e-12)


def build_exact(degrees=0.0, variance=0.0, segments=2, decoder=None, freedom=0.0, rolls=0.0):
    """(params, data) → loss, running mean of squared errors, validation score: with the exact posterior."""
    scale = (0.1, 0.12, 0.2, 0.25)
    bound = Bound("unsupervised", BATCH, segments, 0, 1, 1, False, variance, 1e-3, degrees, (0.7, 0.3), freedom)
    bound = bound._replace(roll_out=2, roll_out_weight=rolls)
    nri = Nri(MlpEncoder(3, 2), decoder or EquivariantDecoder(3, scale=scale), 2, True, scale)
    objective = exact.exact_evidence(nri, bound, SYSTEM_FRAMES, OBJECTS)
    data = [draw(10, SYSTEM_FRAMES, OBJECTS, 4, seed=k).cumsum(axis=1) * 0.1 for k in (4, 5)]
    edges = [np.random.default_rng(k).integers(0, 2, (10, 12)).astype(np.int32) for k in range(2)]
    arrays = SystemData(*(SystemArrays(*pair) for pair in zip(data, edges, strict=True)))
    hyper = dict.fromkeys(PER_SYSTEM_RUN, np.float32(0.5)) | {"kl_weight": np.float32(4.0)}
    run = SystemRuns(np.array([3, 0], np.int32), np.int32(9), hyper)

    def measure(params, arrays, errors, run):
        variables = {
            "params": params,
            "batch_stats": {"squared_error": errors, "roll_out_error": errors * np.ones((2, 1))},
        }
        value, (moved, _) = objective.loss(variables, arrays, run, 0.25, KEY, Shard())
        return value, moved, objective.validate(variables, arrays, run)[0]

    params = draw_params(lambda: objective.initialise(run))["params"]
    return measure, params, arrays, np.full((1, 4), 0.2, np.float32), run


EXACT = [
    {},
    {"degrees": 3.0},
    {"degrees": 3.0, "rolls": 0.5},
    {"variance": 5e-3},
    {"segments": 4},
    {"decoder": MlpDecoder(3)},
    {"freedom": 2.0},
]


@pytest.mark.slow
@pytest.mark.parametrize("options", EXACT, ids=lambda options: ", ".join(options) or "gaussian")
def test_the_exact_evidence_is_that_at_float64(options):
    check_kernel("training.objectives.nri_exact.exact_evidence", *build_exact(**options))


def test_what_every_combination_makes_of_the_frames_is_that_at_float64():
    scale, pieces = (0.1, 0.12, 0.2, 0.25), draw(3, 2, 2, OBJECTS, 4)
    nri = Nri(None, EquivariantDecoder(3, scale=scale), 2, True, scale)
    params = draw_params(lambda: exact.model.initialise(nri, KEY, 2, OBJECTS))
    bound = Bound("unsupervised", 3, 2, 0, 1, 1, False, 0.0, 1e-3, 3.0, ())

    def measure(params, pieces):
        variance = jnp.asarray(scale)
        return AllCombinations(nri, bound, OBJECTS).measure(params, pieces, variance, pieces[:, 0])[:3]

    check_kernel("training.objectives.arriving_edges.AllCombinations", measure, params, pieces, gradient=False)


def test_the_price_of_a_posterior_goes_by_a_constant_factor():
    prices = {"kl_weight": np.float32(10.0), "kl_weight_end": np.float32(0.5)}

    def reference(progress):
        return np.exp(np.log(10.0) + progress * (np.log(0.5) - np.log(10.0)))

    check_kernel(
        "training.objectives.nri_exact.price_posterior",
        lambda progress: exact.price_posterior(prices, progress),
        np.linspace(0.0, 1.0, 9, dtype=np.float32),
        reference=reference,
        gradient=False,
    )


@pytest.mark.slow
def test_the_loss_of_a_forecaster_is_that_at_float64():
    shape = forecasting.Shape(order=2, burn_in=3, roll_out=3, block=8, batch=3)
    module = GraphForecaster(4, 2, modes=2, hidden=3, message_hidden=2, encoder_hidden=3, embedding=2)
    objective = forecasting.ForecastObjective(module, shape, (4, 2), (0.7, 0.3), scheduled=True)
    hyper = dict.fromkeys(PER_RUN, np.float32(0.25))
    windows = list_windows()
    run = Runs(
        np.array([3, 0], np.int32),
        windows,
        np.int32(20),
        windows[:3],
        np.int32(3),
        None,
        np.int32(9),
        hyper,
        {
            "operators": np.arange(2, dtype=np.int32),
            "base_scale": 0.5 + abs(draw(3, 4, 2)),
            "step_scale": np.float32([0.5, 1.0, 1.5]),
        },
    )
    data = forecasting.ForecastData(draw_worms(), draw(2, 5, 17, 8, scale=0.1))

    def measure(params, data, own):
        variables = {"params": params}
        return objective.loss(variables, data, own, 0.1, KEY, Shard())[0], objective.validate(variables, data, own)[0]

    params = draw_params(lambda: objective.initialise(run))["params"]
    check_kernel("training.objectives.forecasting.ForecastObjective", measure, params, data, run)


@pytest.mark.slow
def test_the_loss_of_the_state_ahead_is_that_at_float64():
    module = build_classifier("mlp", 9, {"hidden": 3, "offsets": (-1, 0)})
    objective = states_ahead.AheadObjective(module, (4, 2), 3, 2, WINDOW, BATCH)
    random, worms, windows = np.random.default_rng(6), draw_worms(), list_windows()
    true = random.integers(-1, 3, (2, 40, 2)).astype(np.int32), random.integers(-1, 3, (2, 40)).astype(np.int32)
    data = states_ahead.AheadData(worms, *true, log_softmax(draw(2, 40, 9), axis=-1).astype(np.float32))
    run = Runs(
        np.array([3, 0], np.int32),
        windows,
        np.int32(20),
        windows[:3],
        np.int32(3),
        None,
        np.int32(9),
        make_run().hyper,
        {"base": np.arange(2, dtype=np.int32)},
    )

    def measure(params, data, own):
        variables = {"params": params}
        return objective.loss(variables, data, own, 0.1, KEY, Shard())[0], objective.validate(variables, data, own)[0]

    params = draw_params(lambda: objective.initialise(run))["params"]
    check_kernel("training.objectives.future_states.AheadObjective", measure, params, data, run)
