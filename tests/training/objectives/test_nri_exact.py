"""The exact evidence and its posterior, against sums over whole graphs with SciPy's densities."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats
from small_systems import make_system, small_config

from wormjax import graphs
from wormjax.errors import InputError
from wormjax.features.system_scaling import scale_systems
from wormjax.features.systems import take_simulations
from wormjax.models import nri as model
from wormjax.models.decoders import EquivariantDecoder
from wormjax.models.encoders import EvidenceEncoder, MlpEncoder
from wormjax.models.nri import Nri
from wormjax.simulation.charged import simulate_charged
from wormjax.tasks.infer.materials import stack_system
from wormjax.training.objectives import nri_exact as exact
from wormjax.training.objectives.arriving_edges import Pieces
from wormjax.training.objectives.classification import Shard
from wormjax.training.objectives.exact_inference import Decoded, infer_posterior
from wormjax.training.objectives.nri_sampled import best_accuracy
from wormjax.training.objectives.system_batches import PER_RUN, Bound, SystemData, draw_batch, stack_runs

pytestmark = pytest.mark.usefixtures("quick_compilation")

FRAMES, OBJECTS, FEATURES, BATCH = 4, 3, 4, 4
EDGES = OBJECTS * (OBJECTS - 1)
SCALE = (0.1, 0.2, 0.4, 0.8)
VARIANCE = 0.1  # So wide that several graphs are likely.
BOUND = Bound(
    task="unsupervised",
    batch=BATCH,
    segments=10,  # All pieces that there are.
    decoded_frames=0,
    burn_in=1,
    roll_out=1,
    hard=False,
    variance=VARIANCE,
    variance_floor=1e-3,
    degrees_of_freedom=0.0,
    prior=(0.7, 0.3),
)
KINDS = {
    "student": BOUND._replace(degrees_of_freedom=3.0),
    # Of the last feature's variance it is the floor that counts.
    "estimated": BOUND._replace(variance=0.0, variance_floor=0.4, prior=()),
    "units": BOUND._replace(offset_and_gain=2.0),
    "gaussian": BOUND,
    "student, estimated": BOUND._replace(variance=0.0, degrees_of_freedom=3.0),
    # Of whole simulations, so that none is drawn.
    "rolls": BOUND._replace(variance=0.0, degrees_of_freedom=3.0, roll_out=FRAMES - 1, roll_out_weight=0.7),
}
HYPER = dict.fromkeys(PER_RUN, 0.0) | {"kl_weight": 1.0, "kl_weight_end": 1.0}
KEY = jax.random.key(5)
QUICK = [
    name if name in ("student", "rolls", "units") else pytest.param(name, marks=pytest.mark.slow) for name in KINDS
]
GRAPHS = np.eye(2, dtype=np.float32)[[*itertools.product((0, 1), repeat=EDGES)]]  # [graph, edge, type].


def make_nri(encoder=True):
    return Nri(MlpEncoder(5, 2) if encoder else None, EquivariantDecoder(5, scale=SCALE), 2, True, SCALE)


def make_data(simulations=9, frames=FRAMES) -> SystemData:
    return SystemData(*(stack_system(make_system(simulations, frames, OBJECTS, seed)) for seed in (1, 2)))


def make_run(**hyper):
    run = jax.tree.map(lambda x: x[0], stack_runs([3], small_config().train))
    return run._replace(hyper=jax.tree.map(np.float32, HYPER | hyper))


@functools.cache
def draw_params(frames=FRAMES, seed=0):
    """Random parameters of the model, none at zero."""
    random = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: model.initialise(make_nri(), KEY, frames, OBJECTS))
    draw = lambda leaf: random.normal(size=leaf.shape) / np.sqrt(leaf.shape[0] if len(leaf.shape) > 1 else 4.0)  # noqa: E731
    return jax.tree.map(lambda leaf: draw(leaf).astype(np.float32), shapes)


def make_variables(params=None, roll_out=FRAMES - 1):
    errors = np.float32([[0.04, 0.08, 0.12, 0.16]])
    statistics = {"squared_error": errors, "roll_out_error": errors * np.arange(1.0, roll_out + 1)[:, None]}
    return {"params": params or draw_params(), "batch_stats": statistics}


@functools.cache
def compiled(bound=BOUND, frames=FRAMES):
    """The objective with its loss (variables, data, run, progress, key) and its validation compiled."""
    objective = exact.exact_evidence(make_nri(), bound, frames, OBJECTS)

    def loss(variables, data, run, progress, key):
        return objective.loss(variables, data, run, progress, key, Shard())

    return objective._replace(loss=jax.jit(loss), validate=jax.jit(objective.validate))


@functools.cache
def drawn_batch():
    return jax.tree.map(np.asarray, draw_batch(make_data().training, BATCH, KEY, Shard())[0])


encode = jax.jit(functools.partial(model.encode, make_nri()))


def decode_graphs(params, features):
    """The errors of every frame after the first, on every graph: [graph, simulation, piece, object, feature]."""
    pairs = jnp.stack([features[:, :-1], features[:, 1:]], axis=2)
    shape = (len(GRAPHS), *pairs.shape[:2])
    every = jnp.broadcast_to(pairs[:, :, :1], (*shape, 1, *pairs.shape[3:]))
    edges = jnp.broadcast_to(GRAPHS[:, None, None], (*shape, EDGES, 2))
    return model.decode(make_nri(), params, every, edges, jnp.ones((*shape, 1), bool))[..., 0, :, :] - pairs[:, :, 1]


@jax.jit
def measure_errors(params, features):
    return decode_graphs(params, features)


def whiten(errors, predicted, variance, freedom):
    """White errors and log likelihoods [graph, simulation] of objects with an offset and a gain of their own."""
    frames = errors.shape[2]
    basis = (predicted - predicted.mean(axis=2, keepdims=True)) / SCALE
    spread = np.eye(frames) + freedom * (1.0 + np.einsum("gspnf,gsqnf->gsnfpq", basis, basis))
    values, vectors = np.linalg.eigh(spread)
    along = np.einsum("gsnfpk,gspnf->gsnfk", vectors, errors) / np.sqrt(values)
    scale = np.sqrt(np.broadcast_to(variance, FEATURES))[:, None]
    nats = scipy.stats.norm.logpdf(along, scale=scale) - 0.5 * np.log(values)
    return np.einsum("gsnfpk,gsnfk->gspnf", vectors, along), nats.sum(axis=(2, 3, 4))


class Brute:
    """The posterior of simulations from all of their graphs; its arrays are named by their axes."""

    def __init__(self, features, bound=BOUND, price=1.0, params=None):
        estimated = make_variables()["batch_stats"]["squared_error"][0]
        variance = bound.variance or np.maximum(estimated, bound.variance_floor * np.square(SCALE))
        errors = np.asarray(measure_errors(params or draw_params(), features), float)
        if bound.degrees_of_freedom:
            densities = scipy.stats.t.logpdf(errors, bound.degrees_of_freedom, scale=np.sqrt(variance))
            counts = (bound.degrees_of_freedom + 1.0) / (bound.degrees_of_freedom + errors**2 / variance)
        else:
            densities, counts = scipy.stats.norm.logpdf(errors, scale=np.sqrt(variance)), 1.0
        self.prior = np.array(bound.prior or (0.5, 0.5))
        self.log_likelihood = densities.sum(axis=(2, 3, 4))  # [graph, simulation].
        white = errors * np.sqrt(counts)
        if bound.offset_and_gain:
            predicted = errors + np.asarray(features, float)[:, 1:]
            white, self.log_likelihood = whiten(errors, predicted, variance, bound.offset_and_gain)
        self.values = errors[0, 0].size
        joint = np.log(GRAPHS @ self.prior).sum(axis=1)[:, None] + self.log_likelihood / price
        self.evidence = price * scipy.special.logsumexp(joint, axis=0)
        self.posterior = scipy.special.softmax(joint, axis=0)
        self.edges = np.einsum("gs,gek->sek", self.posterior, GRAPHS)
        expected = np.einsum("gs,gspnf->spnf", self.posterior, errors**2)
        self.mse = expected.mean()
        self.squares = np.einsum("gs,gspnf->spnf", self.posterior, white**2).mean(axis=(0, 1, 2))


def roll_out(features, edges):
    """A Gaussian's nats per value of all frames after the first, from that one on; squares [simulation, step, ...]."""
    given = np.broadcast_to(np.arange(FRAMES - 1) < 1, (len(features), FRAMES - 1))
    inputs = (jnp.asarray(values, jnp.float32) for values in (features[:, :-1], edges))
    predicted = model.decode(make_nri(), draw_params(), *inputs, jnp.asarray(given))
    errors = np.asarray(predicted, float) - features[:, 1:]
    variance = make_variables()["batch_stats"]["roll_out_error"][:, None]
    return -scipy.stats.norm.logpdf(errors, scale=np.sqrt(variance)).mean(), errors**2


def log_probabilities(features, params=None):
    return scipy.special.log_softmax(np.asarray(encode(params or draw_params(), features), float), axis=-1)


@pytest.mark.parametrize("kind", QUICK)
def test_the_loss_is_that_of_all_graphs(kind):
    """Also its price half-way, by a constant factor; and the running mean, of squares as likely as their graphs."""
    run, batch = make_run(kl_weight=8.0, kl_weight_end=0.5), drawn_batch()
    value, (statistics, metrics) = compiled(KINDS[kind]).loss(make_variables(), make_data(), run, 0.5, KEY)
    brute = Brute(batch.features, KINDS[kind], price=2.0)
    cross_entropy = -(brute.edges * log_probabilities(batch.features)).sum(axis=(1, 2))
    expected = (cross_entropy - brute.evidence).mean() / brute.values
    if kind == "rolls":
        nats, squares = roll_out(batch.features, brute.edges)
        expected += 0.5**2 * 0.7 * nats
        moved = 0.98 * make_variables()["batch_stats"]["roll_out_error"] + 0.02 * squares.mean(axis=(0, 2))
        np.testing.assert_allclose(statistics["roll_out_error"], moved, rtol=1e-4)
        assert metrics["roll_out_mse"] == pytest.approx(squares.mean(), rel=1e-4)
    assert float(value) == pytest.approx(expected, rel=1e-4)
    assert metrics["loss"] == value
    assert metrics["cross_entropy"] == pytest.approx(cross_entropy.mean(), rel=1e-4)
    assert metrics["mse"] == pytest.approx(brute.mse, rel=1e-3)
    moved = 0.98 * make_variables()["batch_stats"]["squared_error"] + 0.02 * brute.squares
    np.testing.assert_allclose(statistics["squared_error"], moved, rtol=1e-4)
    assert brute.edges[..., 0].min() < 0.5  # The frames speak against the prior here and there.
    assert brute.edges[..., 0].max() > 0.9


@pytest.mark.slow
def test_the_gradient_is_that_of_expectation_maximisation():
    """That of the expected log likelihood, and of the cross-entropy, under a posterior that is held."""
    variables, data, features = make_variables(), make_data(), drawn_batch().features
    brute = Brute(features)

    @jax.jit
    def slope(params):
        def complete(params):
            gain = -0.5 * (decode_graphs(params, features) ** 2 / VARIANCE).sum(axis=(2, 3, 4))
            log_edges = jax.nn.log_softmax(model.encode(make_nri(), params, features))
            total = (brute.posterior * gain).sum() + (brute.edges * log_edges).sum()
            return -total / brute.values / BATCH

        return jax.grad(complete)(params)

    def loss(params):
        return compiled().loss({**variables, "params": params}, data, make_run(), 0.0, KEY)[0]

    found, expected = jax.jit(jax.grad(loss))(variables["params"]), slope(variables["params"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4), found, expected)
    for part in ("encoder", "decoder"):
        assert max(abs(leaf).max() for leaf in jax.tree.leaves(found[part])) > 0.05


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_shards_of_a_batch_add_up_to_the_whole(count):
    """Roll-outs of drawn pieces on drawn frames, too."""
    bound, run = KINDS["rolls"]._replace(roll_out=2), make_run(given=0.5, given_end=0.5)
    inputs = make_variables(roll_out=2), make_data()
    objective = exact.exact_evidence(make_nri(), bound, FRAMES, OBJECTS)

    @jax.jit
    def share(variables, data):
        def part(index):
            return objective.loss(variables, data, run, 0.3, KEY, Shard(index, count, "device"))

        return jax.vmap(part, axis_name="device")(jnp.arange(count))

    values, (statistics, metrics) = share(*inputs)
    whole, (moved, expected) = compiled(bound).loss(*inputs, run, 0.3, KEY)
    assert values.sum() == pytest.approx(float(whole), rel=1e-5)
    for name in ("squared_error", "roll_out_error"):
        for errors in statistics[name]:
            np.testing.assert_allclose(errors, moved[name], rtol=1e-5)
    for name, parts in metrics.items():
        assert parts.sum() == pytest.approx(float(expected[name]), rel=1e-4), name


def count_pieces(mse, total):
    """How often each piece was drawn, where piece k has a mean squared error of 4 ** k / (pieces drawn)."""
    whole = round(float(mse))
    assert mse == pytest.approx(whole, abs=0.1)
    return [whole // 4**piece % 4 for piece in range(total)]


@pytest.mark.parametrize(
    ("burn_in", "decoded_frames"), [(2, 6), *(pytest.param(burn_in, 0, marks=pytest.mark.slow) for burn_in in (1, 3))]
)
def test_pieces_are_drawn_without_one_twice(burn_in, decoded_frames):
    """A decoder that predicts that nothing changes, and jumps that double from frame to frame."""
    frames, segments = 9, 3
    jumps = 2.0 ** np.concatenate([np.zeros(burn_in), np.arange(frames - burn_in)])
    jumps[:burn_in] = 0.0
    features = np.zeros((1, frames, OBJECTS, FEATURES), np.float32)
    features += jumps.cumsum().astype(np.float32)[:, None, None]
    data = jax.tree.map(jnp.asarray, make_data(1, frames))
    data = SystemData(*(arrays._replace(features=jnp.asarray(features)) for arrays in data))
    variables = make_variables(jax.tree.map(np.zeros_like, draw_params(frames)))
    total = (decoded_frames or frames) - burn_in
    bound = BOUND._replace(batch=1, burn_in=burn_in, segments=segments, decoded_frames=decoded_frames)
    drawn = []
    for number in range(12):
        inputs = variables, data, make_run(), 0.0, jax.random.key(number)
        mse = compiled(bound, frames).loss(*inputs)[1][1]["mse"]
        drawn.append(count_pieces(segments * mse, total))
        assert set(drawn[-1]) <= {0, 1}
        assert sum(drawn[-1]) == segments
    assert np.max(drawn, axis=0).tolist() == [1] * total  # Any of them may be.


@pytest.mark.parametrize("kind", QUICK)
def test_validation_is_the_loss_of_all_pieces_at_the_last_price(kind):
    data, run = make_data(), make_run(kl_weight=9.0, kl_weight_end=2.0)
    score, metrics = compiled(KINDS[kind]).validate(make_variables(), data, run)
    features, edges, *_ = data.validation
    brute = Brute(features, KINDS[kind], price=2.0)
    cross_entropy = -(brute.edges * log_probabilities(features)).sum(axis=(1, 2))
    expected = (cross_entropy - brute.evidence).mean() / brute.values
    if kind == "rolls":
        nats, squares = roll_out(features, brute.edges)
        expected += 0.7 * nats
        assert metrics["roll_out_mse"] == pytest.approx(squares.mean(), rel=1e-4)
    assert float(score) == pytest.approx(expected, rel=1e-4)
    assert metrics["loss"] == score
    assert metrics["cross_entropy"] == pytest.approx(cross_entropy.mean(), rel=1e-4)
    assert metrics["mse"] == pytest.approx(brute.mse, rel=1e-3)
    for name, probabilities in (
        ("edge_accuracy", log_probabilities(features)),
        ("posterior_edge_accuracy", brute.edges),
    ):
        right = (probabilities.argmax(axis=-1) == edges).mean()
        assert metrics[name] == pytest.approx(max(right, 1 - right), abs=1e-6)


def test_validation_is_the_evidence_and_the_entropy_where_the_encoder_has_the_posterior():
    """Under a decoder without messages any graph is as likely as before."""
    params = jax.tree.map(np.copy, draw_params())
    params["encoder"] = jax.tree.map(np.zeros_like, params["encoder"])
    params["decoder"]["amounts"] = jax.tree.map(np.zeros_like, params["decoder"]["amounts"])
    data, bound = make_data(), KINDS["estimated"]
    score, _ = compiled(bound).validate(make_variables(params), data, make_run())
    brute = Brute(data.validation.features, bound, params=params)
    np.testing.assert_allclose(brute.edges, 0.5, rtol=1e-6)
    entropy = EDGES * np.log(2.0)
    assert float(score) == pytest.approx((entropy - brute.evidence.mean()) / brute.values, rel=1e-4)


@pytest.mark.parametrize("price", [pytest.param(1.0, marks=pytest.mark.slow), 4.0])
def test_the_posterior_is_inferred_by_the_decoder_alone(price):
    features, params = make_data().validation.features, [draw_params(seed=seed)["decoder"] for seed in (0, 1)]
    errors = np.stack([make_variables()["batch_stats"]["squared_error"]] * 2)
    stacked = {
        "params": {"decoder": jax.tree.map(lambda *leaves: np.stack(leaves), *params)},
        "batch_stats": {"squared_error": errors},
    }
    bound = KINDS["estimated"]._replace(segments=1)  # All pieces are used, however many trained.
    found = infer_posterior(Decoded(make_nri(encoder=False), bound, price, stacked, features))
    assert found.shape == (2, len(features), EDGES, 2)
    assert found.max() <= 1.0
    for run in range(2):
        brute = Brute(features, bound, price, {"decoder": params[run]})
        np.testing.assert_allclose(found[run], brute.edges, rtol=1e-3, atol=1e-5)
    assert abs(found[0] - found[1]).max() > 0.1


def infer_one(features, bound=BOUND):
    """The posterior under the random decoder, of one run."""
    stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], make_variables())
    return infer_posterior(Decoded(make_nri(), bound, 1.0, stacked, features))[0]


def test_the_posterior_depends_on_the_decoded_frames_and_no_others():
    features = np.array(make_data().validation.features)
    later, early = features.copy(), features.copy()
    later[:, 3:], early[:, 2] = 1e3, 0.3
    found = infer_one(np.concatenate([features, later, early]), BOUND._replace(decoded_frames=3))
    known, later, early = np.split(found, 3)
    np.testing.assert_allclose(later, known, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(known, Brute(features[:, :3]).edges, rtol=1e-3, atol=1e-5)
    assert abs(early - known).max() > 0.05


def test_more_decoded_frames_than_there_are_are_all_there_are():
    features = make_data().validation.features
    found = infer_one(features, BOUND._replace(decoded_frames=FRAMES + 7))
    np.testing.assert_allclose(found, Brute(features).edges, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_relabelling_the_objects_relabels_the_posterior():
    features, order = make_data().validation.features, np.array([2, 0, 1])
    found = infer_one(np.concatenate([features, features[:, :, order]]))[..., 1]
    edges, moved = (graphs.edges_to_matrix(part, OBJECTS) for part in np.split(found, 2))
    np.testing.assert_allclose(moved, edges[:, order][:, :, order], rtol=1e-3, atol=1e-5)
    assert abs(moved - edges).max() > 0.1


def test_more_objects_than_can_be_summed_over_are_refused():
    with pytest.raises(InputError, match=r"'train\.posterior': found 'exact' with 12 objects and 2 edge types"):
        exact.exact_evidence(make_nri(), BOUND, FRAMES, 12)


def train_briefly(objective, data, steps, rate):
    """Variables at first, and after some steps of Adam, as two runs."""
    run, optimizer = make_run(), optax.adam(optax.cosine_decay_schedule(rate, steps))
    data = jax.tree.map(jnp.asarray, data)

    def step(state, number):
        variables, moments = state

        def loss(params):
            key = jax.random.fold_in(KEY, number)
            value, (statistics, _) = objective.loss(
                {**variables, "params": params}, data, run, number / steps, key, Shard()
            )
            return value, statistics

        gradient, statistics = jax.grad(loss, has_aux=True)(variables["params"])
        updates, moments = optimizer.update(gradient, moments)
        return ({"params": optax.apply_updates(variables["params"], updates), "batch_stats": statistics}, moments), None

    @jax.jit
    def train(run):
        first = jax.tree.map(jnp.asarray, objective.initialise(run))
        state = first, optimizer.init(first["params"])
        return first, jax.lax.scan(step, state, jnp.arange(steps))[0][0]

    return jax.tree.map(lambda *leaves: np.stack(leaves), *train(run))


def test_charges_of_one_sign_and_of_two_are_told_apart_by_the_frames_alone():
    """In seconds, for systems never seen, by a decoder that is given no graph."""
    frames, unseen = 25, 64
    whole = simulate_charged(jax.random.key(0), 256 + unseen, OBJECTS, frames, chunk_size=64)
    parts = {"train": slice(unseen, None), "valid": slice(0, unseen), "test": slice(0, unseen)}
    systems = scale_systems({split: take_simulations(whole, part) for split, part in parts.items()}, frames)
    scale = tuple(systems.scaling.change_scale.tolist())
    nri = Nri(MlpEncoder(4, 2), EquivariantDecoder(12, scale=scale, skip_first=False), 2, False, scale)
    bound = BOUND._replace(batch=8, segments=12, variance=0.0, degrees_of_freedom=2.0, prior=())
    training, test = stack_system(systems.train), stack_system(systems.test)
    blind = training._replace(edges=np.full_like(training.edges, -1))
    objective = exact.exact_evidence(nri, bound, frames, OBJECTS)
    variables = train_briefly(objective, SystemData(blind, blind), 200, 2e-2)
    assert set(variables["params"]) == {"encoder", "decoder"}
    np.testing.assert_allclose(variables["batch_stats"]["squared_error"][0], [np.square(scale)], rtol=1e-5)
    assert (variables["batch_stats"]["squared_error"][1] < 0.5 * np.square(scale)).all()
    edges = infer_posterior(Decoded(nri, bound, 1.0, variables, test.features))
    before, after = (float(best_accuracy(run.argmax(axis=-1), test.edges, 2)) for run in edges)
    assert before < 0.75
    assert after > 0.9


@pytest.mark.parametrize("kind", ["student", pytest.param("gaussian", marks=pytest.mark.slow)])
def test_with_all_combinations_listed_the_loss_and_the_posterior_are_the_exact_ones(kind):
    data, run, variables = make_data(), make_run(kl_weight=8.0, kl_weight_end=0.5), make_variables()
    bound = KINDS[kind]._replace(combinations=6)  # Two more than there are.
    value, (statistics, metrics) = compiled(KINDS[kind]).loss(variables, data, run, 0.5, KEY)
    found, (listed_statistics, listed_metrics) = compiled(bound).loss(variables, data, run, 0.5, KEY)
    assert float(found) == pytest.approx(float(value), rel=1e-4)
    np.testing.assert_allclose(listed_statistics["squared_error"], statistics["squared_error"], rtol=1e-4)
    for name in metrics:
        assert float(listed_metrics[name]) == pytest.approx(float(metrics[name]), rel=1e-3), name
    stacked = jax.tree.map(lambda x: np.asarray(x)[None], variables)
    inputs = 2.0, stacked, data.validation.features
    expected = infer_posterior(Decoded(make_nri(), KINDS[kind], *inputs))
    np.testing.assert_allclose(infer_posterior(Decoded(make_nri(), bound, *inputs)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_gradient_of_the_listed_loss_is_that_of_the_exact_one():
    def slope(bound):
        def loss(params):
            variables = make_variables() | {"params": params}
            return compiled(bound).loss(variables, make_data(), make_run(), 0.0, KEY)[0]

        return jax.jit(jax.grad(loss))(draw_params())

    expected, found = slope(BOUND), slope(BOUND._replace(combinations=4))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4), found, expected)


def test_mutual_edges_are_inferred_from_all_objects_together():
    """Against the sum over all graphs whose two edges of each pair have one type."""
    features, ends = make_data().validation.features, [*zip(*graphs.complete_edges(OBJECTS), strict=True)]
    reverse = np.array([ends.index(edge[::-1]) for edge in ends])
    mutual = (GRAPHS[:, reverse] == GRAPHS).all(axis=(1, 2))
    brute = Brute(features)
    joint = 0.5 * np.log(GRAPHS @ brute.prior).sum(axis=1)[:, None] + brute.log_likelihood
    posterior = scipy.special.softmax(np.where(mutual[:, None], joint, -np.inf), axis=0)
    expected = np.einsum("gs,gek->sek", posterior, GRAPHS)
    found = infer_one(features, BOUND._replace(combinations=8, mutual=True))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found, found[:, reverse], rtol=1e-5)
    assert abs(found - brute.edges).max() > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_with_cross_fitting_the_encoder_reads_what_is_left_of_each_system(seed):
    bound, frames = BOUND._replace(segments=4, cross_fitted=True), np.arange(11.0)[:, None, None]
    pieces, key = Pieces(bound, len(frames)), jax.random.key(seed)
    parts = pieces.draw(frames, key), pieces.leave(frames, key)
    first, others = (np.asarray(part[:, 0, 0, 0]) for part in parts)
    np.testing.assert_array_equal(np.diff(np.concatenate([first, others])) % 10, 1)
    assert sorted([*first, *others]) == [*range(10)]
    assert len(first) == 4
    nri = make_nri()._replace(encoder=EvidenceEncoder(5, 2))
    features = jnp.asarray(make_data().training.features[:2])
    params = model.initialise(nri, key, FRAMES, OBJECTS)
    every = jnp.stack([features[:, start : start + 2] for start in range(FRAMES - 1)], axis=1)
    whole, read, half = (model.encode(nri, params, features, part) for part in (None, every, every[:, ::2]))
    np.testing.assert_allclose(read, whole, atol=1e-5)
    assert abs(half - whole).max() > 1e-3
