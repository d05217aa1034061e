"""Graphs, layers and networks at float32 against float64: values, gradients, and what is hard on either.

The smaller kernels are compared with plain numpy too (tests/data/plain_networks.py). Tolerances stand in
tests/data/numerical_kernels.py; `pytest -rP` prints what is measured.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import plain_networks as plain
import pytest
from float64_reference import check_kernel, measure_error, run_at_float64, run_with_gradient
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import norm

from wormjax import graphs
from wormjax.models import edge_chains, exact_posterior, layers, wang2021
from wormjax.models import nri as inference
from wormjax.models.aggregation import OF_NODES, OF_PAIRS, NodeAggregation, PairAggregation, normalise_degrees
from wormjax.models.decoders import (
    ContextDecoder,
    EquivariantDecoder,
    HistoryCode,
    JointLstm,
    MlpDecoder,
    RecurrentDecoder,
    TypedMessages,
    roll_out,
)
from wormjax.models.encoders import CnnEncoder, Mlp, MlpEncoder
from wormjax.models.forecasters import SummedMessages
from wormjax.models.layers import TrainingRngs
from wormjax.models.nri import decode_combinations
from wormjax.models.pairwise_posterior import infer_pairs, initialise_pairs, measure_pairs
from wormjax.models.sampling import kl_divergence, sample_edges

pytestmark = pytest.mark.usefixtures("quick_compilation")

NODES, FEATURES, HIDDEN, TYPES, FRAMES = 4, 3, 5, 3, 7
EDGES = NODES * (NODES - 1)
SCALE = (0.1, 0.5, 2.0)
CASES = {}


def draw(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def draw_params(module, *inputs, seed=7, **options):
    """Random parameters of a module's shapes, none at zero."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(functools.partial(module.init, **options), jax.random.key(0), *inputs)["params"]
    sizes = lambda leaf: np.sqrt(leaf.shape[0]) if len(leaf.shape) > 1 else 2.0  # noqa: E731
    return jax.tree.map(lambda leaf: (rng.normal(size=leaf.shape) / sizes(leaf)).astype(np.float32), shapes)


def case(name):
    """Registers a function that returns the arguments of `check_kernel` by its name."""

    def register(build):
        assert name not in CASES
        CASES[name] = build
        return build

    return register


def apply_to(module):
    """(params and input, others) → output, so that the gradient is in both."""
    return lambda trained, *others: module.apply({"params": trained[0]}, *trained[1:], *others)


@case("graphs.sum_messages")
def _():
    return lambda edges: graphs.sum_messages(edges, NODES), draw(EDGES, 3), lambda e: plain.sum_messages(e, NODES)


@case("graphs.edges_to_square")
def _():
    def reference(edges):
        square = np.zeros((NODES, NODES))
        for number, (sender, receiver) in enumerate(plain.list_edges(NODES)):
            square[receiver, sender] = edges[number]
        return square

    return lambda edges: graphs.edges_to_square(edges, NODES), draw(EDGES), reference


@case("graphs.join_edges")
def _():
    def reference(edges):
        paths, known = np.zeros((NODES * (NODES - 1), 2)), {pair: k for k, pair in enumerate(plain.list_edges(NODES))}
        for (sender, receiver), number in known.items():
            for third in set(range(NODES)) - {sender, receiver}:
                paths[number] += edges[known[sender, third], :2] * edges[known[third, receiver], 2:]
        return paths

    return lambda edges: graphs.join_edges(edges[:, :2], edges[:, 2:], NODES), draw(EDGES, 4), reference


@case("models.layers.elu")
def _():
    values = np.concatenate([draw(200), draw(50, scale=1e-4), [-200.0, -80.0, -1e-30, 1e-30]])
    return layers.elu, values.astype(np.float32), plain.elu


@case("models.layers.drop_channels")
def _():
    training_rngs = TrainingRngs(jax.random.split(jax.random.key(1), 3), np.float32(0.25), np.float32(1.0))
    draws = [jax.random.bernoulli(jax.random.fold_in(key, 5), 0.75, (1, 4)) for key in training_rngs.keys]
    kept = np.stack(draws)
    assert 0 < kept.sum() < kept.size
    return lambda v: layers.drop_channels(v, training_rngs, 5), draw(3, FRAMES, 4), lambda v: v * kept / 0.75


@case("models.layers.mask_frames")
def _():
    valid = np.arange(FRAMES) < np.array([[3], [FRAMES], [0]])
    return lambda v: layers.mask_frames(v, valid), draw(3, FRAMES, 4), lambda v: v * valid[:, :, None]


@case("models.layers.TemporalConvolution")
def _():
    module, values = layers.TemporalConvolution(HIDDEN, 3, 2), draw(2, FRAMES, 3)

    def reference(trained):
        params, values = trained
        result = np.zeros((2, FRAMES, HIDDEN))
        for frame in range(FRAMES):
            for tap, offset in enumerate((-2, 0, 2)):
                if 0 <= frame + offset < FRAMES:
                    result[:, frame] += values[:, frame + offset] @ params["Dense_0"]["kernel"][3 * tap : 3 * tap + 3]
        return result + params["Dense_0"]["bias"]

    return apply_to(module), (draw_params(module, values), values), reference


def _network(module, reference, *inputs):
    params = draw_params(module, *inputs)
    return apply_to(module), (params, *inputs), lambda trained: reference(*trained)


@case("models.layers.PairDense")
def _():
    return _network(layers.PairDense(HIDDEN), plain.pair_dense, draw(NODES, FEATURES))


@case("models.layers.RelativeDense")
def _():
    nodes = draw(NODES, FEATURES)
    nodes[1] = nodes[0]  # Two at one place.
    return _network(
        layers.RelativeDense(HIDDEN, SCALE), lambda params, values: plain.relative_dense(params, values, SCALE), nodes
    )


@case("models.sampling.sample_edges")
def _():
    key, logits = jax.random.key(3), draw(EDGES, TYPES)
    drawn = jax.random.uniform(key, logits.shape, jnp.float32, jnp.finfo(jnp.float32).tiny, 1.0)
    gumbel = -np.log(-np.log(np.asarray(drawn, np.float64)))
    return lambda x: sample_edges(x, key, 0.5), logits, lambda x: softmax((x + gumbel) / 0.5, axis=-1)


@case("models.sampling.kl_divergence")
def _():
    prior = np.array([0.7, 0.2, 0.1])

    def reference(logits):
        log_probabilities = log_softmax(logits, axis=-1)
        return (np.exp(log_probabilities) * (log_probabilities - np.log(prior))).sum(axis=(-2, -1))

    logits = np.concatenate([draw(5, EDGES, TYPES), 80.0 * np.sign(draw(2, EDGES, TYPES, seed=1))])
    return lambda x: kl_divergence(x, jnp.asarray(prior)), logits.astype(np.float32), reference


@case("models.encoders.Mlp")
def _():
    return _network(Mlp(HIDDEN), plain.mlp, draw(9, FEATURES))


@case("models.encoders.MlpEncoder")
def _():
    module, nodes = MlpEncoder(HIDDEN, TYPES), draw(NODES, FEATURES)
    params = draw_params(module, graphs.complete_graph(nodes))

    def encode(trained):
        return module.apply({"params": trained[0]}, graphs.complete_graph(trained[1]))

    return encode, (params, nodes), lambda trained: plain.mlp_encoder(*trained)


@case("models.encoders.CnnEncoder")
def _():
    module = CnnEncoder(HIDDEN, TYPES, kernels=(2, 2), pooling=1, scale=SCALE)
    nodes = draw(NODES, FRAMES, FEATURES)
    params = draw_params(module, graphs.complete_graph(nodes))

    def encode(trained):
        return module.apply({"params": trained[0]}, graphs.complete_graph(trained[1]))

    return encode, (params, nodes), lambda trained: plain.cnn_encoder(*trained, SCALE, (2, 2))


def draw_edges(seed=2):
    return softmax(draw(EDGES, TYPES, seed=seed), axis=-1)


@case("models.decoders.TypedMessages")
def _():
    def reference(params, nodes, edges):
        return plain.typed_messages(params, nodes, edges, HIDDEN)

    return _network(TypedMessages(HIDDEN), reference, draw(NODES, FEATURES), draw_edges())


@case("models.decoders.MlpDecoder")
def _():
    def reference(params, carry, nodes, edges):
        return plain.mlp_decoder(params, carry, nodes, edges, HIDDEN, SCALE, SCALE)

    before, nodes = draw(NODES, FEATURES), draw(NODES, FEATURES, seed=1)
    nodes[1] = nodes[0]
    module = MlpDecoder(HIDDEN, relative=SCALE, differences=True, scale=SCALE)
    return _network(module, reference, before, nodes, draw_edges())


SPACE = (0.1, 0.12, 0.5, 0.45)  # Of features in a plane whose axes are not quite alike.


@case("models.decoders.EquivariantDecoder")
def _():
    def reference(params, carry, nodes, edges):
        return (), plain.equivariant_decoder(params, nodes, edges, SPACE)

    return _network(EquivariantDecoder(HIDDEN, scale=SPACE), reference, (), draw(NODES, 4), draw_edges())


@case("models.decoders.HistoryCode")
def _():
    def reference(params, frames):
        return plain.history_code(params, frames, SCALE)

    return _network(HistoryCode(HIDDEN, 2, scale=SCALE), reference, draw(FRAMES, NODES, FEATURES))


@case("models.decoders.ContextDecoder")
def _():
    def reference(params, carry, nodes, edges):
        return plain.context_decoder(params, carry, nodes, edges, HIDDEN, SCALE, (1,))

    carry = draw(NODES, FEATURES), draw(NODES, 2, seed=3)
    module = ContextDecoder(HIDDEN, scale=SCALE, unseen=(1,))
    return _network(module, reference, carry, draw(NODES, FEATURES, seed=1), draw_edges())


@case("models.nri.decode_combinations")
def _():
    """A node at a time, on graphs all of whose nodes have the same combination."""
    module, frames = EquivariantDecoder(HIDDEN, scale=SPACE), draw(2, 2, NODES, 4)
    model = inference.Nri(None, module, 2, False, SPACE)
    combinations = exact_posterior.list_combinations(NODES - 1, 2)

    def run(trained):
        return decode_combinations(model, {"decoder": trained[0]}, trained[1], combinations)

    def reference(trained):
        params, frames = trained
        found = np.zeros((2 ** (NODES - 1), 2, NODES, 4))
        for number, kinds in enumerate(itertools.product((0, 1), repeat=NODES - 1)):
            edges = np.tile(np.eye(2)[list(kinds)], (NODES, 1))
            for sample, nodes in enumerate(frames[:, -1]):
                change = plain.equivariant_decoder(params, nodes, edges, SPACE) * np.array(SPACE)
                found[number, sample] = nodes + change
        return found

    return run, (draw_params(module, (), frames[0, 0], np.zeros((EDGES, 2))), frames), reference


def take_together(kind, messages, weights, kernel):
    """PairAggregation in numpy: messages [edge, type, feature], weights [edge, type]."""
    received = []
    for node in range(NODES):
        own = messages[node * (NODES - 1) : (node + 1) * (NODES - 1)].reshape(-1, messages.shape[-1])
        share = weights[node * (NODES - 1) : (node + 1) * (NODES - 1)].reshape(-1, 1)
        if kind == "max":
            received.append((share * own).max(axis=0))
            continue
        weighed = share * np.exp(own @ kernel) if kind == "attention" else share
        received.append(min(share.sum(), 1.0) * (weighed * own).sum(axis=0) / weighed.sum())
    return np.stack(received)


@case("models.aggregation.PairAggregation")
def _():
    weights = np.random.default_rng(1).uniform(size=(EDGES, 2)).astype(np.float32)
    weights[:3] *= 0.1

    def run(trained):
        kernel, *messages = trained
        params = {"attention": {"kernel": kernel}}
        return [
            PairAggregation(kind).apply({"params": params if kind == "attention" else {}}, messages, weights, NODES)
            for kind in OF_PAIRS
        ]

    def reference(trained):
        kernel, *messages = trained
        return [take_together(kind, np.stack(messages, axis=1), weights, kernel) for kind in OF_PAIRS]

    return run, (draw(FEATURES, 1), draw(EDGES, FEATURES, seed=2), draw(EDGES, FEATURES, seed=3)), reference


def convolve_degrees(weights):
    weights = weights + np.eye(len(weights))
    degrees = weights.sum(axis=1)
    return weights / np.sqrt(np.outer(degrees, degrees))


@case("models.aggregation.normalise_degrees")
def _():
    weights = np.random.default_rng(1).uniform(size=(NODES, NODES)).astype(np.float32)
    return normalise_degrees, weights, convolve_degrees


@case("models.aggregation.NodeAggregation")
def _():
    nodes, weights = draw(NODES, FEATURES), np.random.default_rng(1).uniform(size=(EDGES, 2)).astype(np.float32)
    modules = [NodeAggregation(HIDDEN, kind) for kind in OF_NODES]
    params = [draw_params(module, nodes, weights) for module in modules]

    def run(trained):
        params, nodes = trained
        return [module.apply({"params": own}, nodes, weights) for module, own in zip(modules, params, strict=True)]

    def reference(trained):
        params, nodes = trained
        outputs = []
        for kind, own in zip(OF_NODES, params, strict=True):
            received = 0.0
            for number in range(2):
                square = np.zeros((NODES, NODES))
                for edge, (sender, receiver) in enumerate(plain.list_edges(NODES)):
                    square[receiver, sender] = weights[edge, number]
                layer = own[f"type_{number}"]
                sent = nodes @ layer["kernel"] + layer["bias"]
                if kind == "gcn":
                    received += convolve_degrees(square) @ sent
                else:
                    received += square @ sent + (1.0 + own[f"epsilon_{number}"]) * sent
            received = plain.elu(received)
            for name in ("Dense_0", "Dense_1") if kind == "gin" else ():
                received = plain.elu(received @ own["Mlp_0"][name]["kernel"] + own["Mlp_0"][name]["bias"])
            outputs.append(received)
        return outputs

    return run, (params, nodes), reference


def relate_pairs(features):
    """`measure_pairs` of one feature, in numpy."""
    values = features[..., 0]
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    frames, nodes = values.shape
    correlation = values.T @ values / frames
    squares = (correlation**2).sum()
    shrinkage = min((squares + nodes**2) / ((frames + 1) * (squares - nodes)), 1.0)
    precision = np.linalg.inv((1 - shrinkage) * correlation + shrinkage * np.eye(nodes))
    link, direction = np.full((nodes, nodes), -np.arctanh(0.999)), np.zeros((nodes, nodes))
    bent = np.log(np.cosh(np.maximum(values, 0)))
    bent -= bent.mean(axis=0)
    for i, j in itertools.permutations(range(nodes), 2):
        link[i, j] = np.arctanh(-precision[i, j] / np.sqrt(precision[i, i] * precision[j, j]))
        difference = bent[:, i] * values[:, j] - values[:, i] * bent[:, j]
        direction[i, j] = np.sign(correlation[i, j]) * difference.mean() / difference.std()
    return np.sqrt(frames) * link, np.sqrt(frames) * direction


def draw_skewed():
    noise = np.random.default_rng(0).gamma(1.5, 1.0, (80, NODES))
    return (noise @ (np.eye(NODES) + 0.5 * np.eye(NODES, k=1)))[..., None].astype(np.float32)


@case("models.pairwise_posterior.measure_pairs")
def _():
    def run(features):
        link, direction = measure_pairs(features)
        return link, direction * (1.0 - jnp.eye(NODES))

    return run, draw_skewed(), relate_pairs


@case("models.pairwise_posterior.infer_pairs")
def _():
    def reference(trained):
        params, features = trained
        link, direction = relate_pairs(features)
        (none, linked), sd = params["link_mean"], np.exp(params["link_log_sd"])
        ahead, noise = np.exp(params["direction_log_mean"]), np.exp(params["direction_log_sd"])
        chance = 1 / (1 + np.exp(-params["edge_log_odds"]))
        evidence, edges = 0.0, []
        for sender, receiver in plain.list_edges(NODES):
            value, lean = link[sender, receiver], direction[sender, receiver]
            absent = (1 - chance) * norm.pdf(value, none, sd[0]) * norm.pdf(lean, 0, noise[0])
            there, back = (
                chance / 2 * norm.pdf(value, linked, sd[1]) * norm.pdf(sign * lean, ahead, noise[1]) for sign in (1, -1)
            )
            evidence += np.log(absent + there + back) / 2
            share = there / (absent + there + back)
            edges.append([1 - share, share])
        return evidence, np.array(edges)

    params = jax.tree.map(np.asarray, initialise_pairs())
    return lambda trained: infer_pairs(*trained), (params, draw_skewed()), reference


@case("models.exact_posterior.weigh_combinations")
def _():
    """At a price of two; of some nodes hundreds of nats apart."""
    combinations, prior = exact_posterior.list_combinations(NODES - 1, TYPES), np.array([0.7, 0.2, 0.1])
    log_likelihood = draw(len(combinations), 3, NODES, scale=2.0)
    log_likelihood[:, 2] *= 200.0

    def run(log_likelihood):
        return exact_posterior.weigh_combinations(log_likelihood, combinations, jnp.asarray(prior), 2.0)

    def reference(log_likelihood):
        chances = prior[combinations.argmax(axis=-1)].prod(axis=1)
        joint = np.log(chances)[:, None, None] + log_likelihood / 2.0
        return 2.0 * logsumexp(joint, axis=0), softmax(joint, axis=0)

    return run, log_likelihood, reference


@case("models.edge_chains.follow_chains")
def _():
    """The evidence, whose gradient is the smoothed posterior, by the forward algorithm at a price of two."""
    prior, moves = np.array([0.7, 0.2, 0.1]), np.array([[0.9, 0.06, 0.04], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    kinds = exact_posterior.list_combinations(2, TYPES).argmax(axis=-1)
    first, between = prior[kinds].prod(axis=1), moves[kinds[:, None], kinds[None]].prod(axis=-1)

    def run(log_likelihood):
        return edge_chains.follow_chains(log_likelihood, jnp.asarray(prior), jnp.asarray(moves), 2.0).evidence

    def reference(log_likelihood):
        forward = np.log(first)[:, None] + log_likelihood[0] / 2.0
        for nats in log_likelihood[1:]:
            forward = logsumexp(forward[:, None] + np.log(between)[..., None], axis=0) + nats / 2.0
        return 2.0 * logsumexp(forward, axis=0)

    return run, draw(5, len(kinds), 3, scale=2.0), reference


@case("models.exact_posterior.marginalise_edges")
def _():
    combinations = exact_posterior.list_combinations(NODES - 1, TYPES)
    posterior = softmax(draw(len(combinations), 2, NODES, scale=2.0), axis=0)

    def reference(posterior):
        edges = np.zeros((2, EDGES, TYPES))
        for edge, (sender, receiver) in enumerate(plain.list_edges(NODES)):
            place = sender - (sender > receiver)
            for number, kinds in enumerate(combinations.argmax(axis=-1)):
                edges[:, edge, kinds[place]] += posterior[number, :, receiver]
        return edges

    return lambda posterior: exact_posterior.marginalise_edges(posterior, combinations), posterior, reference


@case("models.decoders.RecurrentDecoder")
def _():
    def reference(params, carry, nodes, edges):
        return plain.recurrent_decoder(params, carry, nodes, edges, HIDDEN)

    carry = draw(NODES, HIDDEN, seed=1, scale=0.5)
    return _network(RecurrentDecoder(HIDDEN), reference, carry, draw(NODES, FEATURES), draw_edges())


@case("models.decoders.JointLstm")
def _():
    carry = draw(HIDDEN, seed=1, scale=0.5), draw(HIDDEN, seed=2, scale=0.5)
    return _network(JointLstm(HIDDEN), plain.joint_lstm, carry, draw(NODES, FEATURES))


@case("models.decoders.roll_out")
def _():
    """A rotation that is squashed: what was predicted matters to the end of 200 frames."""
    frames, given = draw(200, NODES, 2), jnp.arange(200) % 50 == 0

    def step(numbers, turn, carry, nodes):
        return 0.9 * carry + nodes, numbers.tanh(nodes @ turn + 0.1 * carry) - nodes

    turn = np.array([[0.8, 0.7], [-0.7, 0.8]], np.float32)

    def run(trained):
        return roll_out(functools.partial(step, jnp, trained[0]), jnp.zeros((NODES, 2)), trained[1], given)

    def reference(trained):
        return plain.roll_out(functools.partial(step, np, trained[0]), np.zeros((NODES, 2)), trained[1], given)

    return run, (turn, frames), reference


@case("models.forecasters.SummedMessages")
def _():
    def reference(params, nodes, edges):
        both = zip(nodes, edges, strict=True)
        return np.stack([plain.summed_messages(params, *sample, HIDDEN) for sample in both])

    nodes, edges = draw(2, NODES, FEATURES), np.stack([draw_edges(), draw_edges(seed=3)])
    return _network(SummedMessages(HIDDEN), reference, nodes, edges)


@case("models.wang2021.FrameNorm")
def _():
    """In training: moments over the valid frames; one feature is constant."""
    module, values = wang2021.FrameNorm(), draw(3, FRAMES, 2, 4, scale=2.0)
    values[..., 0] = 0.7
    valid = np.arange(FRAMES) < np.array([[3], [FRAMES], [0]])
    params = {"BatchNorm_0": {"scale": draw(4, seed=1), "bias": draw(4, seed=2)}}

    def run(trained):
        kept = {"BatchNorm_0": {"mean": jnp.zeros(4), "var": jnp.ones(4)}}
        output, moved = module.apply(
            {"params": trained[0], "batch_stats": kept}, trained[1], valid, True, mutable=["batch_stats"]
        )
        return output, moved["batch_stats"]["BatchNorm_0"]

    def reference(trained):
        (scale, bias), values = (trained[0]["BatchNorm_0"][name] for name in ("scale", "bias")), trained[1]
        mean, variance = values[valid].mean(axis=(0, 1)), values[valid].var(axis=(0, 1))
        output = (values - mean) / np.sqrt(variance + 1e-5) * scale + bias
        return output, {"mean": 0.1 * mean, "var": 0.9 + 0.1 * variance}

    return run, (params, values), reference


@case("models.wang2021.NodeProducts")
def _():
    def reference(params, nodes):
        rows = nodes.reshape(-1, NODES, FEATURES)
        sent, received = (plain.dense(params[name], rows) for name in ("sender", "receiver"))
        return np.transpose(sent, (1, 2, 0)), np.transpose(received, (1, 2, 0))

    return _network(wang2021.NodeProducts(HIDDEN), reference, draw(2, 3, NODES, FEATURES))


@case("models.wang2021.mix_features")
def _():
    def reference(trained):
        return np.stack([trained[0].T @ values for values in trained[1]])

    return lambda trained: wang2021.mix_features(*trained), (draw(4, 6), draw(3, 4, 9, seed=1)), reference


@case("models.wang2021.drop_diagonal")
def _():
    def reference(square):
        return np.stack([square[receiver, sender] for sender, receiver in plain.list_edges(NODES)])

    return wang2021.drop_diagonal, draw(NODES, NODES, 2), reference


def embed_plainly(sent, received, kernel, bias):
    """[receiver, sender, feature, graph] of two layers, by their products."""
    both = plain.elu(sent[None] + received[:, None])
    return plain.elu(np.einsum("fh,rsfg->rshg", kernel, both) + bias[:, None])


def draw_pairs():
    return draw(NODES, 3, 6), draw(NODES, 3, 6, seed=1), draw(3, 3, seed=2), draw(3, seed=3)


@case("models.wang2021.PairNetwork")
def _():
    def embed(pairs):
        return jnp.stack([wang2021.PairNetwork(*pairs).embed(received) for received in pairs[1]])

    return embed, draw_pairs(), lambda pairs: embed_plainly(*pairs)


@case("models.wang2021.sum_frames")
def _():
    frames = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0], np.float32)

    def sum_frames(pairs):
        return wang2021.sum_frames(wang2021.PairNetwork(*pairs), frames)

    return sum_frames, draw_pairs(), lambda pairs: (embed_plainly(*pairs) * frames).sum(axis=-1)


@case("models.wang2021.sum_senders")
def _():
    def sum_senders(trained):
        return wang2021.sum_senders(wang2021.PairNetwork(*trained[0]), trained[1])

    def reference(trained):
        return (embed_plainly(*trained[0]) * trained[1][:, :, None, None]).sum(axis=1)

    return sum_senders, (draw_pairs(), abs(draw(NODES, NODES, seed=4))), reference


SLOW = (
    "models.decoders.ContextDecoder",
    "models.edge_chains.follow_chains",
    "models.encoders.CnnEncoder",
    "models.nri.decode_combinations",
    "models.wang2021.PairNetwork",
    "models.layers.TemporalConvolution",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def test_a_kernel_and_its_gradient_are_those_of_numpy_at_float64(name):
    function, trained, reference = CASES[name]()
    check_kernel(name, function, trained, reference=reference)


@pytest.mark.parametrize(("temperature", "tolerance"), [(0.5, 1e-5), (0.01, 2e-3), (1e-4, 0.1)])
def test_samples_of_sure_logits_at_low_temperatures_lose_digits_but_not_their_sense(temperature, tolerance):
    """An exponent of 80 / temperature is kept to one part in 10^7: so much is lost of a probability near a tie.

    Gradients are of the order of 1 / temperature, and as exact in its units.
    """
    key, logits = jax.random.key(5), np.float32([[80.0, -80.0], [-80.0, 80.0], [80.0, 80.0], [0.0, 0.0]] * 20)

    def sample(logits):
        return sample_edges(logits, key, temperature)

    found, exact = (run(sample, logits) for run in (run_with_gradient, run_at_float64))
    assert abs(found[0] - exact[0]).max() < tolerance
    assert abs(found[1] - exact[1]).max() < tolerance / temperature
    np.testing.assert_allclose(found[0].sum(axis=-1), 1.0, rtol=1e-6)


def test_batch_norm_of_what_hardly_varies_keeps_its_digits():
    """A mean of 300 standard deviations: E[x²] − E[x]² would be off by a hundredth."""
    values, valid = (30.0 + draw(4, 50, 2, 3, scale=0.1)).astype(np.float32), np.ones((4, 50), bool)
    params = {"BatchNorm_0": {"scale": np.ones(3, np.float32), "bias": np.zeros(3, np.float32)}}

    def normalise(values):
        kept = {"BatchNorm_0": {"mean": jnp.zeros(3), "var": jnp.ones(3)}}
        variables = {"params": params, "batch_stats": kept}
        return wang2021.FrameNorm().apply(variables, values, valid, True, mutable=["batch_stats"])[0]

    found, exact = (run(normalise, values, gradient=False)[0] for run in (run_with_gradient, run_at_float64))
    assert measure_error(found, exact) < 5e-5
