"""The negative evidence lower bound: SciPy's densities and divergences, its schedules, its pieces and shards."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn.metrics import log_loss
from small_systems import make_system, small_config

from wormjax.features.symmetries import list_box_symmetries
from wormjax.models import nri as model
from wormjax.models.decoders import MlpDecoder, RecurrentDecoder
from wormjax.models.encoders import MlpEncoder
from wormjax.models.nri import Nri
from wormjax.simulation.ensembles import enable_float64
from wormjax.tasks.infer.materials import stack_system
from wormjax.training.objectives.classification import Shard
from wormjax.training.objectives.nri_sampled import best_accuracy, evidence_lower_bound
from wormjax.training.objectives.roll_outs import cut_segments, tile_segments
from wormjax.training.objectives.system_batches import PER_RUN, Bound, SystemArrays, SystemData, draw_batch, stack_runs

pytestmark = pytest.mark.usefixtures("quick_compilation")

# So few frames that a simulation has one segment: what the decoder goes over is the whole of it.
FRAMES, OBJECTS, FEATURES, BATCH = 3, 4, 4, 6
EDGES, VALUES = OBJECTS * (OBJECTS - 1), (FRAMES - 1) * OBJECTS * FEATURES
SCALE = (0.1, 0.2, 0.4, 0.8)
PRIOR = (0.7, 0.3)
VARIANCE = 0.05
BOUND = Bound(
    task="unsupervised",
    batch=BATCH,
    segments=1,
    decoded_frames=0,
    burn_in=1,
    roll_out=2,
    hard=False,
    variance=VARIANCE,
    variance_floor=1e-3,
    degrees_of_freedom=0.0,
    prior=PRIOR,
)
HYPER = {name: 0.0 for name in PER_RUN} | {
    "temperature": 0.5,
    "temperature_end": 0.5,
    "kl_weight": 1.0,
    "kl_weight_end": 1.0,
    "given": 1.0,
    "given_end": 1.0,
}
KEY = jax.random.key(5)
encode, decode = (jax.jit(function, static_argnums=0) for function in (model.encode, model.decode))


def make_nri(objects=OBJECTS, decoder=MlpDecoder):
    return Nri(MlpEncoder(5, 2), decoder(5), 2, True, SCALE)


def make_data(simulations=20, frames=FRAMES, objects=OBJECTS) -> SystemData:
    return SystemData(*(stack_system(make_system(simulations, frames, objects, seed)) for seed in (1, 2)))


def make_run(**hyper):
    train = small_config(train__steps=100).train
    run = jax.tree.map(lambda x: x[0], stack_runs([3], train))
    return run._replace(hyper=jax.tree.map(np.float32, HYPER | hyper))


@functools.cache
def draw_params(objects=OBJECTS, frames=FRAMES, decoder=MlpDecoder, seed=0):
    """Random parameters of the model, none at zero."""
    random = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: model.initialise(make_nri(objects, decoder), KEY, frames, objects))
    draw = lambda leaf: random.normal(size=leaf.shape) / np.sqrt(leaf.shape[0] if len(leaf.shape) > 1 else 4.0)  # noqa: E731
    return jax.tree.map(lambda leaf: draw(leaf).astype(np.float32), shapes)


def make_variables(bound=BOUND, squared_error=0.2, **options):
    steps = bound.roll_out
    errors = squared_error * (1.0 + np.arange(steps * FEATURES, dtype=np.float32).reshape(steps, FEATURES))
    return {"params": draw_params(**options), "batch_stats": {"squared_error": errors}}


@functools.cache
def compiled(bound=BOUND, objects=OBJECTS, frames=FRAMES, decoder=MlpDecoder):
    """The objective with its loss (variables, data, run, progress, key) and its validation compiled."""
    objective = evidence_lower_bound(make_nri(objects, decoder), bound, frames, objects)

    def loss(variables, data, run, progress, key):
        return objective.loss(variables, data, run, progress, key, Shard())

    return objective._replace(loss=jax.jit(loss), validate=jax.jit(objective.validate))


def measure_loss(bound=BOUND, variables=None, data=None, progress=0.5, key=KEY, **hyper):
    """Value, new batch statistics, metrics."""
    inputs = variables or make_variables(bound), data or make_data(), make_run(**hyper), progress, key
    value, (statistics, metrics) = compiled(bound).loss(*inputs)
    return float(value), statistics["squared_error"], jax.tree.map(float, metrics)


@functools.cache
def drawn_batch(size=BATCH):
    return jax.tree.map(np.asarray, draw_batch(make_data().training, size, KEY, Shard())[0])


def infer_probabilities(features):
    return scipy.special.softmax(np.asarray(encode(make_nri(), draw_params(), features), float), axis=-1)


def measure_divergences(features):
    """KL from the prior of each edge [simulation, edge]."""
    return scipy.special.rel_entr(infer_probabilities(features), np.array(PRIOR)).sum(axis=-1)


def predict(features, edges):
    """The frame after each true frame on given graphs."""
    given = jnp.ones((len(features), features.shape[1] - 1), bool)
    return np.asarray(decode(make_nri(), draw_params(), features[:, :-1], edges, given), float)


def on_true_graph(batch):
    """The decoder's errors [simulation, step, object, feature] on the true graphs."""
    return predict(batch.features, jax.nn.one_hot(batch.edges, 2)) - batch.features[:, 1:]


def test_the_gaussian_is_scipys():
    bound = BOUND._replace(task="true_graph")
    value, _, metrics = measure_loss(bound)
    errors = on_true_graph(drawn_batch())
    expected = -scipy.stats.norm.logpdf(errors, scale=VARIANCE**0.5).mean()
    assert value == pytest.approx(expected, rel=1e-4)
    assert metrics["loss"] == value
    assert metrics["mse"] == pytest.approx((errors**2).mean(), rel=1e-4)
    assert metrics["kl"] == 0.0


@pytest.mark.parametrize("degrees", [4.5, pytest.param(1.0, marks=pytest.mark.slow)])
def test_students_t_is_scipys(degrees):
    value, _, _ = measure_loss(BOUND._replace(task="true_graph", degrees_of_freedom=degrees))
    expected = -scipy.stats.t.logpdf(on_true_graph(drawn_batch()), degrees, scale=VARIANCE**0.5).mean()
    assert value == pytest.approx(expected, rel=1e-4)


def test_an_estimated_variance_is_used_step_by_step_and_feature_by_feature_with_a_floor():
    bound = BOUND._replace(task="true_graph", variance=0.0)
    errors = on_true_graph(drawn_batch())
    for squared_error in (0.2, 0.0):
        variables = make_variables(bound, squared_error)
        value, new, _ = measure_loss(bound, variables)
        moving = 0.98 * variables["batch_stats"]["squared_error"] + 0.02 * (errors**2).mean(axis=(0, 2))
        np.testing.assert_allclose(new, moving, rtol=1e-4)
        assert value == pytest.approx(-scipy.stats.norm.logpdf(errors, scale=moving[:, None] ** 0.5).mean(), rel=1e-4)
    floored = bound._replace(variance_floor=1e4)
    scale = np.sqrt(1e4) * np.array(SCALE)
    assert measure_loss(floored)[0] == pytest.approx(-scipy.stats.norm.logpdf(errors, scale=scale).mean(), rel=1e-4)


@pytest.mark.parametrize("degrees", [0.0, pytest.param(3.0, marks=pytest.mark.slow)])
def test_in_the_long_run_the_estimate_is_the_likeliest(degrees):
    bound = BOUND._replace(task="true_graph", variance=0.0, variance_floor=1e-6, degrees_of_freedom=degrees)
    data = make_data(simulations=1)  # Every batch is the same.
    objective, run = evidence_lower_bound(make_nri(), bound, FRAMES, OBJECTS), make_run()
    arrays = jax.tree.map(jnp.asarray, data)

    @jax.jit
    def estimate(variables):
        def step(statistics, number):
            key = jax.random.fold_in(KEY, number)
            _, (new, _) = objective.loss({**variables, "batch_stats": statistics}, arrays, run, 0.5, key, Shard())
            return new, None

        return jax.lax.scan(step, variables["batch_stats"], jnp.arange(1500))[0]["squared_error"]

    estimated = estimate(make_variables(bound))
    errors = on_true_graph(data.training)[0]
    for step, feature in itertools.product(range(FRAMES - 1), range(FEATURES)):
        values = errors[step, :, feature]
        expected = scipy.stats.t.fit(values, fdf=degrees, floc=0.0)[2] ** 2 if degrees else np.mean(values**2)
        assert estimated[step, feature] == pytest.approx(expected, rel=1e-2 if degrees else 1e-4)


@pytest.mark.slow
def test_the_variance_is_estimated_and_not_learnt():
    """Where the estimate is what else would be fixed, the gradient of the parameters is the same."""
    free, fixed = BOUND._replace(variance=0.0), BOUND
    variables = make_variables(free)
    zero = {"squared_error": jnp.zeros_like(variables["batch_stats"]["squared_error"])}
    _, errors, _ = measure_loss(free, {**variables, "batch_stats": zero})
    old = {"squared_error": (VARIANCE - errors) / 0.98}

    def slope(bound, statistics):
        def value(params):
            inputs = {"params": params, "batch_stats": statistics}, make_data(), make_run(), 0.0, KEY
            return compiled(bound).loss(*inputs)[0]

        return jax.jit(jax.grad(value))(variables["params"])

    gradients = slope(free, old), slope(fixed, old)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), *gradients)
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(gradients[0])) > 0.1


def test_edges_cost_their_divergence_from_the_prior_a_value_of_the_trajectory():
    expected = measure_divergences(drawn_batch().features).sum(axis=1).mean()
    assert expected > 0.1
    value, _, metrics = measure_loss()
    assert metrics["kl"] == pytest.approx(expected, rel=1e-4)
    assert value - measure_loss(kl_weight=0.0)[0] == pytest.approx(expected / VALUES, rel=1e-3)
    uniform = BOUND._replace(prior=())
    entropy = scipy.stats.entropy(infer_probabilities(drawn_batch().features), axis=-1)
    assert measure_loss(uniform)[2]["kl"] == pytest.approx((np.log(2) - entropy).sum(axis=1).mean(), rel=1e-3)


def test_free_bits_are_free_edge_by_edge():
    divergences = measure_divergences(drawn_batch().features)
    for bits in (0.1, 0.4):
        expected = np.maximum(divergences, bits * np.log(2)).sum(axis=1).mean()
        assert measure_loss(free_bits=bits)[2]["kl"] == pytest.approx(expected, rel=1e-4)
    assert (divergences < 0.4 * np.log(2)).any()
    assert (divergences > 0.1 * np.log(2)).any()


def test_the_weight_of_the_divergence_goes_by_a_constant_factor():
    alone = measure_loss()[2]["kl"]
    for progress, weight in ((0.25, 4.0), (0.5, 2.0), (0.75, 1.0), (1.0, 0.5)):
        charged = measure_loss(progress=progress, kl_weight=8.0, kl_weight_end=0.5)[2]["kl"]
        assert charged == pytest.approx(weight * alone, rel=1e-4)


def test_without_a_warm_up_the_divergence_counts_from_the_first_step():
    assert measure_loss(progress=0.0, kl_weight_end=3.0)[2]["kl"] == pytest.approx(measure_loss()[2]["kl"], rel=1e-4)


def test_the_weight_of_the_divergence_warms_up_from_zero():
    alone = measure_loss()[2]["kl"]
    for progress, weight in ((0.0, 0.0), (0.1, 0.25), (0.2, 0.5), (0.4, 1.0), (0.9, 1.0)):
        charged = measure_loss(progress=progress, kl_warm_up=0.4)[2]["kl"]
        assert charged == pytest.approx(weight * alone, rel=1e-4, abs=1e-6)


def list_losses(features):
    """The likelihood of one simulation on each of its graphs."""
    graphs = np.array(list(itertools.product((0, 1), repeat=2)))
    edges = np.eye(2, dtype=np.float32)[graphs]
    params, nri = draw_params(objects=2), make_nri(2)
    frames = np.broadcast_to(features, (4, *features.shape[1:]))
    predicted = decode(nri, params, frames[:, :-1], edges, jnp.ones((4, FRAMES - 1), bool))
    errors = np.asarray(predicted) - frames[:, 1:]
    return -scipy.stats.norm.logpdf(errors, scale=VARIANCE**0.5).mean(axis=(1, 2, 3))


@pytest.mark.parametrize(
    ("hard", "temperatures", "whole"), [(True, 2.0, True), (False, 1e-3, True), (False, 2.0, False)]
)
def test_hard_or_cold_samples_are_whole_graphs(hard, temperatures, whole):
    bound, data = BOUND._replace(hard=hard, batch=1), make_data(1, objects=2)
    run = make_run(temperature=5.0, temperature_end=temperatures, kl_weight=0.0, kl_weight_end=1e-9)
    variables = make_variables(bound, objects=2)
    undecided = jax.tree.map(np.zeros_like, variables["params"]["encoder"])  # All graphs are alike to it.
    variables["params"] = {**variables["params"], "encoder": undecided}
    values = [float(compiled(bound, 2).loss(variables, data, run, 1.0, jax.random.key(seed))[0]) for seed in range(8)]
    distances = abs(np.array(values)[:, None] - list_losses(data.training.features)).min(axis=1)
    assert (distances < 1e-3).all() == whole
    assert np.ptp(values) > 1e-2  # Another key, another graph.


def test_frames_are_given_as_often_as_asked_but_the_burn_in_always():
    """With a chance of 0 the second frame is predicted from the first; with 1 from the true one."""
    bound = BOUND._replace(task="true_graph")
    batch = drawn_batch()
    edges = jax.nn.one_hot(batch.edges, 2)
    for start, progress, shown in ((0.0, 0.0, False), (1.0, 1.0, False), (1.0, 0.0, True)):
        given = jnp.broadcast_to(jnp.array([True, shown]), (BATCH, 2))
        predicted = decode(make_nri(), draw_params(), batch.features[:, :-1], edges, given)
        expected = np.mean((np.asarray(predicted, float) - batch.features[:, 1:]) ** 2)
        metrics = measure_loss(bound, progress=progress, given=start, given_end=0.0)[2]
        assert metrics["mse"] == pytest.approx(expected, rel=1e-4)
    burnt = bound._replace(burn_in=2, roll_out=1)  # The burn-in itself is not scored.
    expected = np.mean(on_true_graph(batch)[:, -1] ** 2)
    assert measure_loss(burnt, given=0.0, given_end=0.0)[2]["mse"] == pytest.approx(expected, rel=1e-4)


def test_validation_is_the_whole_bound_of_the_likeliest_graphs():
    objective, data = compiled(), make_data()
    score, metrics = objective.validate(
        make_variables(), data, make_run(kl_weight=9.0, kl_weight_end=2.0, free_bits=5.0)
    )
    features, edges, *_ = data.validation
    inferred = infer_probabilities(features).argmax(axis=-1)
    given = jnp.broadcast_to(jnp.array([True, False]), (len(features), 2))
    predicted = decode(make_nri(), draw_params(), features[:, :-1], np.eye(2, dtype=np.float32)[inferred], given)
    errors = np.asarray(predicted, float) - features[:, 1:]
    likelihood = scipy.stats.norm.logpdf(errors, scale=VARIANCE**0.5).mean()
    cost = 2.0 * measure_divergences(features).sum(axis=1).mean()
    assert float(score) == pytest.approx(cost / VALUES - likelihood, rel=1e-4)
    assert metrics["mse"] == pytest.approx((errors**2).mean(), rel=1e-4)
    right = (inferred == edges).mean()
    assert metrics["edge_accuracy"] == pytest.approx(max(right, 1 - right), abs=1e-6)


def test_supervised_is_the_cross_entropy_of_the_true_types():
    objective = compiled(BOUND._replace(task="supervised"))
    assert list(jax.eval_shape(objective.initialise, make_run())["params"]) == ["encoder"]
    variables = {"params": draw_params()}
    value, (_, metrics) = objective.loss(variables, make_data(), make_run(), 0.0, KEY)
    score, scores = objective.validate(variables, make_data(), make_run())
    for result, batch, found in ((value, drawn_batch(), metrics), (score, make_data().validation, scores)):
        probabilities = infer_probabilities(batch.features)
        expected = log_loss(batch.edges.ravel(), probabilities.reshape(-1, 2))
        assert float(result) == pytest.approx(expected, rel=1e-4)
        assert found["edge_accuracy"] == pytest.approx((probabilities.argmax(-1) == batch.edges).mean(), abs=1e-6)


@pytest.mark.slow
def test_the_gradient_agrees_with_finite_differences():
    frames, decoder, random = 6, RecurrentDecoder, np.random.default_rng(2)
    bound = BOUND._replace(segments=2, burn_in=2, roll_out=2, batch=2, degrees_of_freedom=3.0)
    with enable_float64():
        objective = evidence_lower_bound(make_nri(decoder=decoder), bound, frames, OBJECTS)
        to_float64 = functools.partial(jax.tree.map, lambda x: jnp.asarray(x, jnp.float64))
        params = to_float64(draw_params(frames=frames, decoder=decoder))
        data, run = make_data(5, frames), make_run(free_bits=0.1, given=0.5, given_end=0.5)
        data = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64 if x.dtype == np.float32 else x.dtype), data)
        statistics = {"squared_error": jnp.full((2, FEATURES), 0.2, jnp.float64)}

        def value(params):
            variables = {"params": params, "batch_stats": statistics}
            return objective.loss(variables, data, run, 0.3, KEY, Shard())[0]

        evaluate, gradient = jax.jit(value), jax.jit(jax.grad(value))(params)
        for part in ("encoder", "decoder"):
            drawn = to_float64(jax.tree.map(lambda x: random.normal(size=x.shape), params[part]))
            slope = sum(
                float((a * b).sum()) for a, b in zip(*map(jax.tree.leaves, (gradient[part], drawn)), strict=True)
            )
            ahead, behind = (
                float(evaluate({**params, part: jax.tree.map(lambda x, d, h=h: x + h * d, params[part], drawn)}))
                for h in (1e-6, -1e-6)
            )
            assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-5, abs=1e-8)
            assert abs(slope) > 1e-4


SQUARE = list_box_symmetries(("x", "y", "velocity x", "velocity y"), -np.ones(4), np.ones(4))


@pytest.mark.parametrize("symmetries", [None, SQUARE])
@pytest.mark.parametrize("count", [2, 4])
def test_the_shards_of_a_batch_join_to_the_whole(count, symmetries):
    arrays = make_data(30).training
    whole, keys = draw_batch(arrays, 8, KEY, Shard(), symmetries)
    parts = [draw_batch(arrays, 8, KEY, Shard(index, count), symmetries) for index in range(count)]
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(part for part, _ in parts))
    jax.tree.map(np.testing.assert_array_equal, joined, whole)
    part_keys = np.concatenate([jax.random.key_data(part) for _, part in parts])
    np.testing.assert_array_equal(part_keys, jax.random.key_data(keys))
    assert len(np.unique(part_keys, axis=0)) == 8


def test_a_batch_is_drawn_from_all_simulations_alike_each_with_its_graph():
    features = np.arange(10, dtype=np.float32)[:, None, None, None]
    arrays = SystemArrays(features, np.arange(10)[:, None])
    batch, _ = draw_batch(arrays, 5000, KEY, Shard())
    np.testing.assert_array_equal(batch.features[:, 0, 0, 0], batch.edges[:, 0])
    counts = np.bincount(np.asarray(batch.edges[:, 0]), minlength=10)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    other, _ = draw_batch(arrays, 5000, jax.random.key(6), Shard())
    assert (np.asarray(other.edges) != np.asarray(batch.edges)).mean() > 0.5


def test_a_batch_is_turned_and_keeps_its_graphs():
    arrays = make_data(30).training
    plain, turned = (draw_batch(arrays, 16, KEY, Shard(), symmetries)[0] for symmetries in (None, SQUARE))
    np.testing.assert_array_equal(turned.edges, plain.edges)
    order, sign, _ = SQUARE
    images = np.stack([np.asarray(plain.features)[..., order[k]] * sign[k] for k in range(8)])
    same = (images == np.asarray(turned.features)).all(axis=(2, 3, 4))
    np.testing.assert_array_equal(same.sum(axis=0), 1)
    assert len(set(same.argmax(axis=0))) > 4


def test_segments_are_pieces_that_begin_anywhere():
    features = np.arange(9.0)[:, None, None] + 100.0 * np.arange(2)[:, None]
    pieces = np.asarray(cut_segments(features, KEY, 200, 4))
    assert pieces.shape == (200, 4, 2, 1)
    np.testing.assert_array_equal(pieces - pieces[:, :1], np.broadcast_to(features[:4] - features[0], pieces.shape))
    starts = pieces[:, 0, 0, 0]
    np.testing.assert_array_equal(pieces[:, 0, 1, 0], starts + 100.0)
    assert set(starts) == set(range(6))
    whole = cut_segments(features, KEY, 3, 9)
    np.testing.assert_array_equal(whole, np.broadcast_to(features, (3, *features.shape)))


@pytest.mark.parametrize(
    ("frames", "length", "starts"), [(10, 4, [0, 3, 6]), (9, 4, [0, 3]), (4, 4, [0]), (5, 2, [0, 1, 2, 3])]
)
def test_tiles_predict_every_frame_once_but_for_what_is_left_over(frames, length, starts):
    features = np.broadcast_to(np.arange(frames, dtype=float)[None, :, None, None], (2, frames, 3, 1))
    pieces = np.asarray(tile_segments(features, length))
    assert pieces.shape == (2, len(starts), length, 3, 1)
    expected = np.array(starts)[:, None] + np.arange(length)
    np.testing.assert_array_equal(pieces, np.broadcast_to(expected[None, :, :, None, None], pieces.shape))


@pytest.mark.parametrize("types", [2, 3])
def test_the_best_accuracy_is_that_of_the_best_renaming(types):
    random = np.random.default_rng(types)
    for unknown in (0.0, 0.3):
        true, inferred = random.integers(0, types, (2, 5, 12))
        true = np.where(random.random(true.shape) < unknown, -1, true)
        known = true >= 0
        shares = [(np.array(names)[inferred] == true)[known].mean() for names in itertools.permutations(range(types))]
        assert float(best_accuracy(inferred, true, types)) == pytest.approx(max(shares), abs=1e-6)
    assert float(best_accuracy((true + 1) % types, np.abs(true), types)) <= 1.0
    assert float(best_accuracy((inferred + 1) % types, inferred, types)) == pytest.approx(1.0)
    assert np.isnan(best_accuracy(inferred, np.full_like(inferred, -1), types))


def test_runs_have_a_seed_each_and_the_numbers_of_the_config():
    train = small_config(train__kl_weight=3.0, train__temperature_end=0.1).train
    runs = stack_runs([7, 8], train)
    np.testing.assert_array_equal(runs.seed, [[7, 0], [8, 0]])
    assert runs.hyper.keys() == set(PER_RUN)
    assert runs.hyper["kl_weight"].tolist() == [3.0, 3.0]
    assert runs.hyper["temperature_end"][1] == np.float32(0.1)
    assert runs.steps.tolist() == [train.steps] * 2
