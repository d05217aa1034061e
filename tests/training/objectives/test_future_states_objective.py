"""What a network of the state ahead minimises is what it says and adds up over devices."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest
import scipy.special
from small_ahead import GRAPH, MLP, small_config, small_dataset

from wormjax.errors import InputError
from wormjax.models.classifiers import Decoding, flatten_neurons
from wormjax.models.layers import drop_channels
from wormjax.recordings.recording import UNSCORED
from wormjax.tasks.ahead import experiment
from wormjax.tasks.ahead import networks as ahead_models
from wormjax.tasks.ahead.questions import tabulate
from wormjax.tasks.groups import list_groups
from wormjax.tasks.protocols import list_splits
from wormjax.training.objectives.classification import Shard, draw_windows
from wormjax.training.objectives.future_states import AheadData, AheadObjective

pytestmark = pytest.mark.usefixtures("quick_compilation")

PLAIN = {f"train__{kind}": 0.0 for kind in ("dropout", "gain", "offset", "neuron_dropout")}
CONFIG = small_config(
    models=("mlp", "graph"), model__mlp=MLP | {"base": "dwell_chain_known_state"}, model__graph=GRAPH, **PLAIN
)
DATASET = small_dataset()
SPLITS = list_splits("leave_one_worm_out", 3)
HORIZONS, STATES, WINDOW = 2, 4, 12
# A program that runs a few times takes longer to compile well than to run.
compile_quickly = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": "0"})


def prepare(name, config=CONFIG, dataset=DATASET, splits=SPLITS):
    """All that training one network needs."""
    setting, groups = experiment.read_setting(config, dataset), list_groups(config, splits)
    return ahead_models.build_training(name, config, setting, dataset, splits, groups)


def take(tree, run):
    return jax.tree.map(lambda values: np.asarray(values)[run], tree)


def build(module, config=CONFIG, **fields):
    """The objective of a module, the last run's arrays, the data of "mlp", and random parameters of all of them."""
    training = prepare("mlp", config)
    objective = AheadObjective(module, (3, 2), STATES, HORIZONS, WINDOW, config.train.batch_windows, **fields)
    run, random = take(training.runs, 2), np.random.default_rng(5)
    shapes = jax.eval_shape(objective.initialise, run)
    variables = jax.tree.map(lambda x: 0.4 * random.normal(size=x.shape).astype(np.float32), shapes)
    return objective, run, training.data, variables


class Guess(nn.Module):
    """As little as infers a graph and drops channels: compiled in a second, where a real one takes five."""

    @nn.compact
    def __call__(self, features, valid, training_rngs=None):
        values = drop_channels(flatten_neurons(features), training_rngs, 0)
        edges = nn.Dense(6 * 2)(values.mean(axis=1)).reshape(len(values), 6, 2)
        return Decoding(nn.Dense(HORIZONS * STATES + HORIZONS + 1)(values), edges)


@pytest.fixture(scope="module")
def small(quick_compilation):
    """The objective of the small network with a chain before it, without noise: its parts, compiled."""
    objective, run, data, variables = build(ahead_models.build_module("mlp", CONFIG, DATASET), augmentations=())

    def loss(variables, data, run, key):
        return objective.loss(variables, data, run, 0.0, key, Shard())

    compiled = compile_quickly(jax.value_and_grad(loss, has_aux=True)), compile_quickly(objective.validate)
    return *compiled, run, data, variables


def answer_plainly(variables, data, run, windows, module):
    """Negative log-likelihood of every question of every window [window, horizon + 1]; NaN where not known."""
    features = np.stack([data.worms.features[k, first : first + WINDOW] for k, first in windows])
    params = variables["params"]
    classifier = {"params": params["classifier"]}
    apply = compile_quickly(lambda values: module.apply(classifier, values, np.ones(values.shape[:2], bool)))
    logits = np.asarray(apply(features).logits)[:, -1].astype(float)
    targets = tabulate(CONFIG, DATASET, DATASET.arrays.states)
    losses = np.full((len(windows), HORIZONS + 1), np.nan)
    for number, (stretch, first) in enumerate(windows):
        last = first + WINDOW - 1
        base = data.base[run.own["base"][stretch], last]
        true = [*targets.states[stretch, last], targets.onset[stretch, last]]
        for question, one in enumerate(true):
            size = STATES if question < HORIZONS else HORIZONS + 1
            own = slice(question * STATES, question * STATES + size)
            weighed = logits[number, own] + params["base_weight"][question] * base[own]
            if one != UNSCORED:
                losses[number, question] = -scipy.special.log_softmax(weighed)[one]
    return losses


def test_the_loss_is_that_of_the_questions_at_each_windows_last_frame(small):
    loss, _, run, data, variables = small
    module = ahead_models.build_module("mlp", CONFIG, DATASET)
    assert (run.own["base"][1:] != np.arange(1, 4)).all()  # The entry of a stretch is not its number.
    for number in range(3):  # The last windows of a stretch have no answer at the later horizons.
        key = jax.random.key(number)
        table = run.training_windows[: run.training_count][-12 if number == 2 else 0 :]
        own = run._replace(training_windows=table, training_count=np.int32(len(table)))
        windows = np.asarray(draw_windows(table, own.training_count, jax.random.split(key)[0], 4))
        (value, (_, metrics)), _ = loss(variables, data, own, key)
        losses = answer_plainly(variables, data, own, windows, module)
        means = np.nan_to_num(losses).sum(axis=0) / np.maximum(np.isfinite(losses).sum(axis=0), 1)
        assert value == pytest.approx(means.mean(), rel=1e-4)
        assert metrics["first_nll"] == pytest.approx(means[0], rel=1e-4)
        assert metrics["onset_nll"] == pytest.approx(means[-1], rel=1e-4)
    assert np.isnan(losses[:, 1:]).any()


def test_every_parameter_learns(small):
    loss, _, run, data, variables = small
    gradient = loss(variables, data, run, jax.random.key(0))[1]
    outputs = gradient["params"]["classifier"]["Dense_2"]["kernel"]
    assert outputs.shape[1] == HORIZONS * STATES + HORIZONS + 1
    assert (abs(outputs).max(axis=0) > 1e-6).all()
    assert all(abs(values).max() > 1e-6 for values in jax.tree.leaves(gradient))


def test_validation_is_over_its_own_windows_in_any_order(small):
    _, validate, run, data, variables = small
    own = run._replace(validation_windows=run.training_windows[:9], validation_count=np.int32(6))
    score, metrics = validate(variables, data, own)
    module = ahead_models.build_module("mlp", CONFIG, DATASET)
    losses = answer_plainly(variables, data, run, run.training_windows[:6], module)
    assert score == pytest.approx(np.nanmean(losses, axis=0).mean(), rel=1e-4)
    assert metrics["last_nll"] == pytest.approx(np.nanmean(losses[:, HORIZONS - 1]), rel=1e-4)
    order = np.array([4, 0, 5, 2, 1, 3, 8, 8, 8])  # Those after the count are no windows.
    shuffled = own._replace(validation_windows=own.validation_windows[order])
    assert validate(variables, data, shuffled)[0] == pytest.approx(float(score), rel=1e-5)


def test_what_is_not_scored_counts_for_nothing(small):
    _, validate, run, data, variables = small
    own = run._replace(validation_windows=run.training_windows[:9], validation_count=np.int32(6))
    states, onset = np.array(data.states), np.array(data.onset)
    stretch, first = own.validation_windows[0]
    assert first + WINDOW - 1 < 100
    states[stretch, first + WINDOW - 1] = UNSCORED
    onset[stretch, first + WINDOW - 1] = UNSCORED
    without = validate(variables, data._replace(states=states, onset=onset), own)[0]
    others = own._replace(validation_windows=np.roll(own.validation_windows, -1, axis=0), validation_count=np.int32(5))
    assert without == pytest.approx(float(validate(variables, data, others)[0]), rel=1e-5)
    nothing = data._replace(states=np.full_like(states, UNSCORED), onset=np.full_like(onset, UNSCORED))
    assert validate(variables, nothing, own)[0] == 0.0


@pytest.mark.slow
def test_the_parts_of_a_batch_add_up_to_the_whole():
    noisy = {f"train__{kind}": 0.3 for kind in ("dropout", "offset", "kl_weight")}
    config = small_config(model__mlp=MLP | {"base": "dwell_chain"}, **noisy)
    objective, run, data, variables = build(Guess(), config, augmentations=("offset",), edge_prior=(0.2, 0.8))

    @compile_quickly
    def both(key):
        def part(index, count, axis):
            value, (_, metrics) = objective.loss(variables, data, run, 0.0, key, Shard(index, count, axis))
            return value, metrics

        parts = jax.vmap(lambda index: part(index, 2, "device"), axis_name="device")(np.arange(2))
        return part(0, 1, None), parts

    data, run = jax.tree.map(jax.numpy.asarray, (data, run))
    (value, metrics), (values, own) = jax.device_get(both(jax.random.key(1)))
    assert abs(values[0] - values[1]) > 1e-3
    assert values.sum() == pytest.approx(value, rel=1e-4)
    for name, one in metrics.items():
        assert own[name].sum() == pytest.approx(one, rel=1e-4)
    assert value > metrics["loss"] + 1e-3  # The graph pays.


def test_windows_to_validate_keep_clear_of_the_frames_that_training_asks_about():
    config = small_config(split__validation_fraction=0.3, split__gap=0)
    groups = list_groups(config, SPLITS)
    runs = ahead_models.build_group_runs(config, DATASET, groups)
    asked = max(experiment.find_steps(config, DATASET))
    for run in range(len(groups)):
        used = []
        for kind in ("training", "validation"):
            table = getattr(runs, f"{kind}_windows")[run][: getattr(runs, f"{kind}_count")[run]]
            frames = {(int(k), int(first) + step) for k, first in table for step in range(WINDOW + asked)}
            assert len(table)
            used.append(frames)
        assert not used[0] & used[1]
    with pytest.raises(InputError, match=r"'train\.window_frames and the frames of ahead\.seconds': found 69"):
        ahead_models.build_group_runs(
            small_config(split__validation_fraction=0.3, train__window_frames=60), DATASET, groups
        )


def test_the_data_of_a_network_are_the_worms_and_their_answers():
    training = prepare("graph")
    assert isinstance(training.data, AheadData)
    targets = tabulate(CONFIG, DATASET, DATASET.arrays.states)
    np.testing.assert_array_equal(training.data.states, targets.states)
    np.testing.assert_array_equal(training.data.onset, targets.onset)
    assert (training.data.base == 0).all()
    for run, split in enumerate(SPLITS):
        table = training.runs.training_windows[run]  # Padding and all.
        assert set(DATASET.stretch_worm[table[:, 0]]) == set(split.train)
        assert DATASET.arrays.valid[table[:, 0], table[:, 1] + WINDOW - 1].all()
