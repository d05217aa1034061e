"""Whole networks at float32 against float64: classifiers, forecasters and neural relational inference, with gradients.

Their parts are compared with numpy in test_float64_models.py; here the roll-outs of two forecasters are too. Tolerances
stand in tests/data/numerical_kernels.py; `pytest -rP` prints what is measured. What compiles in a second or two runs
by default, its values alone; gradients, the other networks and full size are slow.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import plain_networks as plain
import pytest
from float64_reference import check_kernel, run_with_gradient
from small_systems import small_config

from wormjax.models import nri as inference
from wormjax.models.catalog import build_classifier
from wormjax.models.classifiers import Correction, TemporalReadOut, flatten_neurons
from wormjax.models.forecast_roll_outs import initialise, predict
from wormjax.models.forecasters import GraphForecaster, MlpForecaster, RecurrentForecaster
from wormjax.models.graph_classifier import NeuronEmbedding
from wormjax.models.layers import TrainingRngs
from wormjax.models.wang2021 import BatchNormMlp
from wormjax.models.wang2021_forecasters import WangGraphForecaster, WangMlpForecaster

pytestmark = pytest.mark.usefixtures("quick_compilation")

STATES, FEATURES, ORDER = 3, 2, 2


class Size(NamedTuple):
    windows: int
    frames: int
    neurons: int
    hidden: int


SMALL, FULL = Size(3, 8, 4, 4), Size(8, 100, 15, 32)
CLASSIFIERS = {
    "models.classifiers.MlpClassifier": ("mlp", {"offsets": (-3, 0, 2)}, "hidden"),
    "models.classifiers.RecurrentClassifier": ("recurrent", {"cell": "gru"}, "hidden"),
    "models.classifiers.TemporalConvolutionClassifier": (
        "temporal_convolution",
        {"kernel": 3, "dilations": (1, 2)},
        "channels",
    ),
    "models.graph_classifier.GraphClassifier": (
        "nri_graph",
        {"node_hidden": 3, "edge_hidden": 4, "kernel": 3, "dilations": (1,)},
        "channels",
    ),
    "models.any_neurons.AnyNeuronDecoder": (
        "any_neurons",
        {"graph": "inferred", "embedding": 4, "node_hidden": 3, "edge_hidden": 4, "kernel": 3, "dilations": (1,)},
        "channels",
    ),
    "models.wang2021.WangMlp": ("wang_mlp", {}, "hidden"),
    "models.wang2021.WangGraph": ("wang_graph", {}, "hidden"),
}
QUICK = ("models.classifiers.RecurrentClassifier", "models.wang2021.WangGraph")
FORECASTERS = {
    "models.forecasters.GraphForecaster": GraphForecaster,
    "models.forecasters.RecurrentForecaster": RecurrentForecaster,
    "models.forecasters.MlpForecaster": MlpForecaster,
    "models.wang2021_forecasters.WangGraphForecaster": WangGraphForecaster,
    "models.wang2021_forecasters.WangMlpForecaster": WangMlpForecaster,
}


def draw(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def draw_variables(make, seed=7):
    """Random variables of the shapes that `make` makes; variances and scales above zero."""
    rng = np.random.default_rng(seed)

    def one(path, leaf):
        if jnp.issubdtype(leaf.dtype, jnp.integer):  # Numbers of neurons, all the same one.
            return np.ones(leaf.shape, leaf.dtype)
        values = rng.normal(size=leaf.shape) / (np.sqrt(leaf.shape[-2]) if len(leaf.shape) > 1 else 2.0)
        return (0.5 + abs(values) if path[-1].key in ("var", "scale") else values).astype(np.float32)

    return jax.tree_util.tree_map_with_path(one, jax.eval_shape(make))


def make_training_rngs(windows):
    return TrainingRngs(jax.random.split(jax.random.key(1), windows), np.float32(0.25), np.float32(0.5))


def build_decoding(name, size):
    """A training pass of a classifier: (params, features) → logits, edge logits; its batch statistics too."""
    kind, fields, width = CLASSIFIERS[name]
    names = tuple(f"N{neuron}" for neuron in range(size.neurons))
    module = build_classifier(kind, STATES, fields | {width: size.hidden}, neurons=names)
    features = draw(size.windows, size.frames, size.neurons, FEATURES)
    valid = np.arange(size.frames) < np.linspace(size.frames, size.frames // 2, size.windows)[:, None]
    variables = draw_variables(lambda: module.init(jax.random.key(0), features, valid))
    training_rngs = make_training_rngs(size.windows)

    def decode(trained, valid):
        own = {"params": trained[0], **{k: v for k, v in variables.items() if k != "params"}}
        return module.apply(own, trained[1], valid, training_rngs, mutable=["batch_stats"])

    return decode, (variables["params"], features), valid


def build_forecast(name, size, steps=20, modes=2):
    """A roll-out: (params, past, operators) → means, spreads, modes, graphs."""
    kind = FORECASTERS[name]
    fields = {"hidden": size.hidden}
    if kind is GraphForecaster:
        fields |= {"message_hidden": 3, "encoder_hidden": 3, "embedding": 2, "graph": "dynamic"}
    module = kind(size.neurons, FEATURES, **fields, **({} if "Wang" in name else {"modes": modes}))
    past = draw(size.windows, size.frames, size.neurons, FEATURES)
    channels = size.neurons * FEATURES
    operators = draw(size.windows, ORDER * channels + 1, channels, scale=0.2 / np.sqrt(channels))
    burn_in = size.frames - ORDER
    variables = draw_variables(lambda: initialise(module, jax.random.key(0), burn_in, ORDER, size.neurons, FEATURES))

    def forecast(trained):
        params, past, operators = trained
        return predict(module, {"params": params}, past, operators, steps)

    return forecast, (variables["params"], past, operators)


def build_inference(part, size):
    """An encoder or a decoder of neural relational inference."""
    config = small_config(
        model__decoder__name="recurrent", model__encoder__rounds=2, model__decoder__hidden=size.hidden
    )
    nri = inference.build_nri(config.model, 2, np.full(FEATURES, 0.5))
    frames = draw(size.windows, size.frames, size.neurons, FEATURES)
    params = draw_variables(lambda: inference.initialise(nri, jax.random.key(0), size.frames, size.neurons))
    if part == "encode":
        return lambda trained: inference.encode(nri, *trained), (params, frames)
    edges = np.full((size.windows, size.neurons * (size.neurons - 1), 2), 0.5, np.float32)
    given = jnp.broadcast_to(jnp.arange(size.frames) < 3, (size.windows, size.frames))
    return lambda trained: inference.decode(nri, *trained, given), (params, frames, edges)


def roll_plainly(advance, carry, weigh, past, operators, steps, modes):
    """One window's roll-outs in numpy: means and raw spreads by mode, and the logits of the modes."""

    def look(recent):
        drift = (recent.reshape(-1) @ operators[:-1] + operators[-1]).reshape(recent.shape[1:])
        return drift, np.concatenate([recent[-1], 4.0 * (recent[-1] - recent[-2]), 4.0 * drift], axis=-1)

    recent = past[:ORDER]
    for frame in past[ORDER:]:
        carry, _ = advance(carry, recent, look(recent)[1], np.zeros(modes))
        recent = np.concatenate([recent[1:], frame[None]])
    means, spreads = [], []
    for mode in np.eye(modes):
        state, seen = carry, recent
        for _ in range(steps):
            drift, shown = look(seen)
            state, outputs = advance(state, seen, shown, mode)
            correction, log_scale = np.split(outputs.reshape(len(drift), -1), 2, axis=-1)
            means.append(seen[-1] + drift + 0.3 * correction)
            spreads.append(2.0 * np.tanh(log_scale / 2.0))
            seen = np.concatenate([seen[1:], means[-1][None]])
    shape = (modes, steps, *past.shape[1:])
    return np.stack(means).reshape(shape), np.stack(spreads).reshape(shape), weigh(carry)


def advance_mlp(params, carry, recent, shown, mode):
    values = np.concatenate([recent.reshape(-1), shown.reshape(-1), mode])
    values = plain.elu(plain.dense(params["layers_1"], plain.elu(plain.dense(params["layers_0"], values))))
    return values, plain.dense(params["read_out"], values)


def advance_gru(params, carry, recent, shown, mode):
    embedded = np.tanh(plain.dense(params["embed"], np.concatenate([shown.reshape(-1), mode])))
    carry = plain.gru_cell(params["cell"], carry, embedded)
    return carry, plain.dense(params["read_out"], plain.elu(plain.dense(params["before_read_out"], carry)))


def forecast_plainly(advance, hidden):
    """`predict` of a forecaster without a graph, in numpy."""

    def forecast(trained):
        params, past, operators = trained

        def weigh(carry):
            return plain.dense(params["mode_read_out"], carry)

        outputs = [
            roll_plainly(lambda *seen: advance(params, *seen), np.zeros(hidden), weigh, *window, 20, 2)
            for window in zip(past, operators, strict=True)
        ]
        return tuple(np.stack(parts) for parts in zip(*outputs, strict=True))

    return forecast


def list_sizes():
    """Small and full size."""
    return pytest.mark.parametrize("size", [SMALL, FULL], ids=["small", "full"])


@pytest.mark.parametrize("name", QUICK)
def test_a_classifier_says_what_it_says_at_float64(name):
    check_kernel(name, *build_decoding(name, SMALL), gradient=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
@list_sizes()
def test_a_classifier_and_its_gradient_are_those_at_float64(name, size):
    check_kernel(name, *build_decoding(name, size))


@pytest.mark.parametrize("name", ["models.graph_classifier.GraphClassifier", "models.wang2021.WangGraph"])
@pytest.mark.parametrize("hard", ["no frames", "features that never change"])
@pytest.mark.slow
def test_a_graph_of_nothing_has_finite_numbers(name, hard):
    decode, (params, features), valid = build_decoding(name, SMALL)
    if hard == "no frames":
        valid = valid & (np.arange(SMALL.windows) > 0)[:, None]
    else:
        features = np.ones_like(features)
    for leaf in jax.tree.leaves(run_with_gradient(decode, (params, features), valid)):
        assert np.isfinite(leaf).all()


NUMPY = {"models.forecasters.MlpForecaster": advance_mlp, "models.forecasters.RecurrentForecaster": advance_gru}


def test_the_roll_out_of_a_forecaster_is_that_of_numpy_at_float64():
    name = "models.forecasters.MlpForecaster"
    reference = forecast_plainly(advance_mlp, SMALL.hidden)
    check_kernel("models.forecast_roll_outs.predict", *build_forecast(name, SMALL), reference=reference, gradient=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMPY)
def test_the_roll_out_of_a_forecaster_and_its_gradient_are_those_of_numpy_at_float64(name):
    reference = forecast_plainly(NUMPY[name], SMALL.hidden)
    check_kernel(name, *build_forecast(name, SMALL), reference=reference)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORECASTERS)
@list_sizes()
def test_a_roll_out_and_its_gradient_are_those_at_float64(name, size):
    check_kernel(name, *build_forecast(name, size))


def test_neural_relational_inference_says_what_it_says_at_float64():
    check_kernel("models.nri.decode", *build_inference("decode", SMALL), gradient=False)


@pytest.mark.slow
def test_a_graph_in_each_frame_and_its_gradient_are_those_at_float64():
    features = draw(2, 6, 4, 4)
    config = small_config(model__encoder__name="recurrent").model
    nri = inference.build_nri(config, 2, np.ones(4))
    params = draw_variables(lambda: inference.initialise(nri, jax.random.key(0), 6, 4))
    check_kernel("models.nri.encode_frames", lambda p: inference.encode_frames(nri, p, features), params)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["encode", "decode"])
@list_sizes()
def test_neural_relational_inference_and_its_gradient_are_those_at_float64(part, size):
    check_kernel(f"models.nri.{part}", *build_inference(part, size))


def build_layer(name):
    features, valid = draw(3, 8, 4, FEATURES), np.ones((3, 8), bool)
    if name == "models.classifiers.TemporalReadOut":
        module, inputs = TemporalReadOut(STATES, 4, 3, (1, 2)), (draw(3, 8, 5), valid, None)
    elif name == "models.graph_classifier.NeuronEmbedding":
        module, inputs = NeuronEmbedding(3, 3), (features,)
    elif name == "models.wang2021.BatchNormMlp":
        module, inputs = BatchNormMlp(4, 5), (features, valid, False)
    else:
        module, base = Correction(build_classifier("mlp", 9, {"hidden": 4}), 3, 2), draw(3, 9, seed=1)
        module, inputs = module, (features, valid, base)
    variables = draw_variables(lambda: module.init(jax.random.key(0), *inputs))

    def run(trained):
        return module.apply({**variables, "params": trained[0]}, trained[1], *inputs[1:])

    return run, (variables["params"], inputs[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "models.classifiers.TemporalReadOut",
        "models.graph_classifier.NeuronEmbedding",
        "models.wang2021.BatchNormMlp",
        "models.classifiers.Correction",
    ],
)
def test_a_part_of_a_classifier_and_its_gradient_are_those_at_float64(name):
    check_kernel(name, *build_layer(name))


def test_neurons_are_laid_beside_each_other_unchanged():
    features = draw(3, 8, 4, FEATURES)
    check_kernel(
        "models.classifiers.flatten_neurons", flatten_neurons, features, reference=lambda x: x.reshape(3, 8, 8)
    )
