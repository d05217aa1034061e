"""A decoder of any set of neurons: every neuron is a node with its recent activity and an embedding of its identity.

The identity is composed of neuron, class and side (AVAL and AVAR share AVA), so that a neuron seen in few worms borrows
from its class. The embedding makes the weights with which a neuron's activity is read (a hypernetwork, Ha et al. 2017);
what is read of all neurons is summed (Deep Sets, Zaheer et al. 2017), so that their order and number do not matter.
Before the sum, messages may pass on a graph: complete, given, or inferred by the encoder of neural relational
inference (Kipf, Fetaya et al. 2018).

A neuron is absent from a frame exactly where all its features are 0. Which neuron has which place on the axis is no
parameter: the numbers stand in the collection "identity", to be replaced for another set or order of neurons
(`keep_known`, `move_identities`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from wormjax import graphs
from wormjax.errors import ConfigError
from wormjax.models.aggregation import AGGREGATIONS, TINY, normalise_degrees
from wormjax.models.classifiers import Decoding, Features, TemporalReadOut, Valid
from wormjax.models.encoders import Mlp
from wormjax.models.layers import PairDense, TrainingRngs, draw_keys, elu, mask_frames
from wormjax.models.refitted import Moments
from wormjax.models.sampling import sample_edges
from wormjax.recordings.names import split_neuron_name
from wormjax.value_checks import check_value, text

IDENTITIES = ("class", "neuron", "none")
GRAPHS = ("none", "complete", "inferred", "given")
UNKNOWN = 0  # The number of a neuron, class or side that is not in the vocabulary.


class Vocabulary(NamedTuple):
    """The neurons, classes and sides that a model has embeddings of, numbered from 1."""

    neurons: tuple[str, ...]
    classes: tuple[str, ...]
    sides: tuple[str, ...]


def build_vocabulary(names: Sequence[str]) -> Vocabulary:
    """Return the vocabulary of the names on the axis of neurons; "" is no name."""
    neurons = tuple(dict.fromkeys(name for name in names if name))
    classes, sides = zip(*map(split_neuron_name, neurons), strict=True) if neurons else ((), ())
    return Vocabulary(neurons, tuple(dict.fromkeys(classes)), tuple(dict.fromkeys(side for side in sides if side)))


def index_identities(names: Sequence[str], vocabulary: Vocabulary) -> Int[np.ndarray, "neuron 3"]:
    """Return the numbers of each neuron, its class and its side in a vocabulary; UNKNOWN where it has none.

    >>> vocabulary = build_vocabulary(["AVAL", "RID"])
    >>> index_identities(["RID", "AVAR", ""], vocabulary).tolist()
    [[2, 2, 0], [0, 1, 0], [0, 0, 0]]
    """
    tables = [{name: number for number, name in enumerate(part, 1)} for part in vocabulary]
    rows = [(name, *split_neuron_name(name)) for name in names]
    numbers = [[table.get(part, UNKNOWN) for table, part in zip(tables, row, strict=True)] for row in rows]
    return np.array(numbers, np.int32).reshape(-1, 3)


class IdentityEmbedding(nn.Module):
    """The numbers of neurons, classes and sides → the sum of their embeddings; what is UNKNOWN adds nothing."""

    sizes: tuple[int, int, int]
    embedding: int
    identity: str

    @nn.compact
    def __call__(self, ids: Int[Array, "neuron 3"]) -> Float[Array, "neuron embedding"]:
        total = jnp.zeros((len(ids), self.embedding))
        for part, (name, size) in enumerate(zip(("neuron", "class", "side"), self.sizes, strict=True)):
            if not size or self.identity == "none" or (self.identity == "neuron" and part):
                continue
            table = self.param(name, nn.initializers.normal(0.5), (size, self.embedding))
            known = ids[:, part, None] != UNKNOWN
            total += known * table[jnp.maximum(ids[:, part] - 1, 0)]
        return total


class AnyNeuronDecoder(nn.Module):
    """Motor states and continuous behaviours from any set of neurons; see the module."""

    states: int  # Number of motor states.
    neurons: tuple[str, ...] = ()  # Names on the axis of neurons; "" for a place without identity.
    targets: int = 0  # Number of continuous behaviours.
    identity: str = "class"  # "class" (embeddings of neuron, class and side), "neuron" (of the neuron alone) or "none".
    unnamed: bool = False  # Whether neurons without any identity are read.
    graph: str = "none"  # Of messages: one of GRAPHS; "given" is variables["given"]["edges"] [sender, receiver].
    # Of the messages that arrive at a neuron, one of models.aggregation; those of "max" take memory by the square of
    # the number of neurons.
    aggregation: str = "sum"
    embedding: int = 24  # Size of the identities' embedding.
    node_hidden: int = 24  # Features of a neuron.
    edge_hidden: int = 8  # Of the inferred graph, whose first type is no edge.
    edge_types: int = 2
    channels: int = 32  # Of the temporal read-out, as all that follows.
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4)
    branch_scale: float = 0.3
    # Where recordings are decoded, a linear decoder refitted to the worm's neurons (`models.refitted`) stands beside
    # the network: with so many neurons both count alike, with fewer it counts more. 0: no such decoder.
    refitted: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        for field, choices in (("identity", IDENTITIES), ("graph", GRAPHS), ("aggregation", AGGREGATIONS)):
            check_value(f"model.any_neurons.{field}", getattr(self, field), text(choices))
        if self.identity == "none" and self.refitted:
            found = (
                f"found {self.refitted!r} with identity='none', expected 0.0: a linear decoder reads neurons by name"
            )
            raise ConfigError("model.any_neurons.refitted", found)
        if self.graph == "none" and self.aggregation != "sum":
            found = f"found {self.aggregation!r}, which has no effect; expected 'sum' with graph='none'"
            raise ConfigError("model.any_neurons.aggregation", found)

    @nn.compact
    def __call__(self, features: Features, valid: Valid, training_rngs: TrainingRngs | None = None) -> Decoding:
        features = jnp.moveaxis(mask_frames(features, valid), (2, 3), (0, 1))
        vocabulary = build_vocabulary(self.neurons)
        ids = self.variable("identity", "ids", lambda: jnp.asarray(index_identities(self.neurons, vocabulary))).value
        if self.refitted:
            self._keep_moments(features.shape[0] * features.shape[1])
        read = (ids != UNKNOWN).any(axis=-1) | self.unnamed
        present = (features != 0).any(axis=1) & read[:, None, None]
        nodes = self._read_nodes(features, ids, tuple(map(len, vocabulary))) * present[:, None]
        edge_logits = None
        if self.graph != "none":
            weights, edge_logits = self._weigh_edges(nodes, present, training_rngs)
            nodes = (nodes + self.branch_scale * self._pass_messages(nodes, weights, present)) * present[:, None]
        pooled = nodes.sum(axis=0) / jnp.sqrt(jnp.maximum(present.sum(axis=0), 1))
        read_out = TemporalReadOut(self.states + self.targets, self.channels, self.kernel, self.dilations)
        outputs = read_out(jnp.moveaxis(pooled, 0, -1), valid, training_rngs)
        return Decoding(outputs[..., : self.states], edge_logits, self._scale_behavior(outputs[..., self.states :]))

    def _read_nodes(
        self, features: Float[Array, "neuron feature window frame"], ids: Int[Array, "neuron 3"], sizes
    ) -> Float[Array, "neuron hidden window frame"]:
        """Each neuron's activity, by weights made from its identity.

        With the frames last, a product of small matrices per neuron takes a fifteenth of the time on a CPU.
        """
        neurons, inputs, windows, frames = features.shape
        identities = IdentityEmbedding(sizes, self.embedding, self.identity, name="embedding")(ids)
        made = nn.Dense((inputs + 1) * self.node_hidden, name="weights")(identities)
        made = made.reshape(neurons, self.node_hidden, inputs + 1)
        read = elu((made[..., :-1] / jnp.sqrt(inputs)) @ features.reshape(neurons, inputs, -1) + made[..., -1:])
        return read.reshape(neurons, self.node_hidden, windows, frames)

    def _weigh_edges(self, nodes, present, training_rngs):
        """The weights of messages [window, receiver, sender], and the logits of edges."""
        neurons = nodes.shape[0]
        there = present.any(axis=2).T
        pairs = there[:, :, None] & there[:, None, :] & ~jnp.eye(neurons, dtype=bool)
        logits = None
        if self.graph == "complete":
            weights = pairs.astype(nodes.dtype)
        elif self.graph == "given":
            edges = self.variable("given", "edges", jnp.zeros, (neurons, neurons))
            weights = pairs * edges.value.T
        else:
            logits = self._infer_edges(nodes, present, pairs)
            edges = jax.nn.softmax(logits)
            if training_rngs is not None:
                keys = draw_keys(training_rngs, 100)
                edges = jax.vmap(sample_edges, in_axes=(0, 0, None))(logits, keys, training_rngs.temperature)
            weights = pairs * graphs.edges_to_square(1.0 - edges[..., 0], neurons)
        return weights, logits

    def _infer_edges(self, nodes, present, pairs) -> Float[Array, "window edge type"]:
        """One graph per window, from the mean and spread of each node's course over the frames where it is."""
        weights = (present / jnp.maximum(present.sum(axis=2, keepdims=True), 1))[:, None]
        mean = (nodes * weights).sum(axis=3)
        spread = jnp.sqrt(((nodes - mean[..., None]) ** 2 * weights).sum(axis=3) + 1e-6)
        encoder = PresentEncoder(self.edge_hidden, self.edge_types, name="encoder")
        return encoder(jnp.moveaxis(jnp.concatenate([mean, spread], axis=1), 2, 0), pairs)

    def _pass_messages(self, nodes, weights, present):
        received = self._aggregate(nodes, weights, present)
        mixed = elu(jnp.einsum("gh,rhwt->rgwt", self._draw_matrix("messages"), received))
        if self.aggregation != "gin":
            return mixed
        return elu(jnp.einsum("gh,rhwt->rgwt", self._draw_matrix("second"), mixed))

    def _draw_matrix(self, name):
        initial = nn.initializers.lecun_normal(in_axis=1, out_axis=0)
        return self.param(name, initial, (self.node_hidden, self.node_hidden))

    def _aggregate(self, nodes, weights, present) -> Float[Array, "neuron hidden window frame"]:
        """What arrives at each neuron by its weights [window, receiver, sender]; a sum is over the root of how many."""
        if self.aggregation == "max":
            return (jnp.moveaxis(weights, 0, -1)[:, :, None, :, None] * nodes).max(axis=1)
        if self.aggregation == "attention":
            queries, keys = (jnp.einsum("gh,nhwt->ngwt", self._draw_matrix(name), nodes) for name in ("query", "key"))
            logits = jnp.einsum("rgwt,sgwt->wrst", queries, keys) / jnp.sqrt(self.node_hidden)
            shares = weights[..., None] * jnp.exp(logits - logits.max(axis=2, keepdims=True))
            shares /= jnp.maximum(shares.sum(axis=2, keepdims=True), TINY)
            shares *= jnp.minimum(weights.sum(axis=2), 1.0)[..., None, None]
            return jnp.einsum("wrst,shwt->rhwt", shares, nodes)
        if self.aggregation == "mean":
            weights = weights / jnp.maximum(weights.sum(axis=2, keepdims=True), 1.0)
        elif self.aggregation == "gcn":
            weights = normalise_degrees(weights)
        else:
            count = jnp.maximum(present.any(axis=2).sum(axis=0), 1)
            weights = weights / jnp.sqrt(count)[:, None, None]
        received = jnp.einsum("wrs,shwt->rhwt", weights, nodes)
        if self.aggregation == "gin":
            received += (1.0 + self.param("epsilon", nn.initializers.zeros, ())) * nodes
        return received

    def _keep_moments(self, channels: int):
        """Make room for what is known of the training worms: not read here, but where recordings are decoded."""
        shapes = Moments((self.states,), (self.states, channels), (channels, channels), *[(self.targets, channels)] * 2)
        for name, shape in shapes._asdict().items():
            if 0 not in shape:
                self.variable("moments", name, jnp.zeros, shape)

    def _scale_behavior(self, outputs):
        """Outputs, in standard deviations, in the behaviours' own units."""
        if not self.targets:
            return None
        mean = self.variable("targets", "mean", jnp.zeros, (self.targets,))
        sd = self.variable("targets", "sd", jnp.ones, (self.targets,))
        return outputs * sd.value + mean.value


class PresentEncoder(nn.Module):
    """`MlpEncoder` among the nodes that are there: of what arrives at a node, the mean over present senders."""

    hidden: int
    edge_types: int

    @nn.compact
    def __call__(self, nodes: Float[Array, "window node feature"], pairs: Bool[Array, "window node node"]):
        count = nodes.shape[1]
        senders, receivers = graphs.complete_edges(count)
        there = pairs[:, receivers, senders, None]
        nodes = Mlp(self.hidden)(nodes)
        edges = elu(nn.Dense(self.hidden)(elu(PairDense(self.hidden)(nodes)))) * there
        arrived = jnp.maximum(graphs.sum_messages(there, count), 1)
        nodes = Mlp(self.hidden)(graphs.sum_messages(edges, count) / arrived)
        edges = elu(PairDense(self.hidden)(nodes) + nn.Dense(self.hidden, use_bias=False)(edges))
        edges = elu(nn.Dense(self.hidden)(edges))
        return nn.Dense(self.edge_types, kernel_init=nn.initializers.variance_scaling(0.01, "fan_in", "normal"))(edges)


def keep_known(
    ids: Int[np.ndarray, "neuron 3"], present: Bool[np.ndarray, "worm neuron"], least_worms: int = 1
) -> Int[np.ndarray, "neuron 3"]:
    """Return identities with UNKNOWN for the neurons and classes that fewer than `least_worms` training worms have.

    A neuron that is too rare keeps its class, and one of a class that is too rare is without identity. `least_worms`
    counts as the number of training worms at most.
    """
    least = min(least_worms, len(present))
    by_class = np.stack([present[:, ids[:, 1] == number].any(axis=1) for number in ids[:, 1]], axis=1)
    known = np.stack([present.sum(axis=0) >= least, by_class.sum(axis=0) >= least], axis=1)
    known &= ids[:, :2] != UNKNOWN
    return ids * np.column_stack([known, known.any(axis=1)])


def move_identities(
    ids: Int[np.ndarray, "run neuron 3"], vocabulary: Sequence[str], names: Sequence[str]
) -> Int[np.ndarray, "run other 3"]:
    """Return the identities that runs know of other neurons, or of the same ones in another order.

    A neuron that is not in the vocabulary has its class's identity, where a run knows a neuron of that class. `ids` are
    of the vocabulary's neurons, UNKNOWN where a run does not know them (`keep_known`).
    """
    numbers = index_identities(names, build_vocabulary(vocabulary))
    known = [np.array([np.isin(numbers[:, part], own[:, part]) for part in range(3)]).T for own in ids]
    moved = numbers * np.stack(known)
    moved[~(moved[..., :2] != UNKNOWN).any(axis=-1)] = UNKNOWN
    return moved
