"""Neural relational inference (Kipf, Fetaya et al. 2018): a variational autoencoder whose latent is a graph.

An encoder reads the edge types off what the nodes do, a decoder predicts what they do next on that graph. One model for
particles and for neurons; it is pure functions of its parameters: `encode`, `decode`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from wormjax import graphs
from wormjax.models import decoders
from wormjax.models.edge_evidence import SHOWN, read_evidence
from wormjax.models.encoders import CnnEncoder, EvidenceEncoder, MlpEncoder, RecurrentEncoder
from wormjax.models.horizons import HorizonDecoder
from wormjax.models.layers import dense_precision
from wormjax.models.listed_posterior import list_switches
from wormjax.models.units import whiten_units

# "evidence" reads the decoder's messages; "recurrent" has a graph in each frame; "none": it is given, or there is none.
ENCODERS = ("mlp", "cnn", "evidence", "recurrent", "none")
# "horizon" predicts all steps at once; "lstm" ignores the graph; "none": the graph alone is wanted.
HORIZON = "horizon"
DECODERS = ("mlp", "equivariant", "context", "recurrent", HORIZON, "lstm", "none")

Samples = Float[Array, "sample frame node feature"]
Frames = Float[Array, "*batch frame node feature"]
History = Float[Array, "*sample time node feature"] | None


class Nri(NamedTuple):
    """The modules of one model, and the units that they compute in."""

    encoder: nn.Module | None
    decoder: nn.Module | None
    edge_types: int  # How many.
    differences: bool  # Whether the encoder is also shown the change of each frame to the next.
    # Each feature's typical change from frame to frame; the decoder predicts, and the encoder is shown, changes in
    # these units (the encoder on a logarithmic scale, so that no outlier saturates it).
    change_scale: tuple[float, ...]
    precision: str = ""  # Of matrix products, one of `layers.PRECISIONS`; "" for the device's own.
    summary: nn.Module | None = None  # What makes the code of each node's history that the decoder is shown, or None.
    offset_and_gain: float = 0.0  # Variance of each object's own, taken out of evidence (`units.whiten_units`).


def build_nri(model: Mapping[str, Any], edge_types: int, change_scale) -> Nri:
    """Return the model of a config's `model` section: `encoder`, `decoder` (name, sizes), `skip_first`, `precision`."""
    scale = tuple(float(value) for value in np.maximum(change_scale, 1e-6))
    encoder = _build_encoder(model.encoder, edge_types, scale, model.get("mutual", False))
    decoder = _build_decoder(model.decoder, model.skip_first, scale, model.precision)
    summary = None
    if model.decoder.name == "context":
        summary = decoders.HistoryCode(model.decoder.hidden, model.decoder.code, scale)
    return Nri(encoder, decoder, edge_types, model.encoder.differences, scale, model.precision, summary)


def _build_encoder(encoder, edge_types, scale, mutual):
    seen = (*scale, *(1.0,) * len(scale))
    makers = {
        "mlp": lambda: MlpEncoder(encoder.hidden, edge_types),
        "cnn": lambda: CnnEncoder(
            encoder.hidden,
            edge_types,
            tuple(encoder.kernels),
            encoder.stride,
            encoder.pooling,
            (seen if encoder.differences else scale) if encoder.relative else None,
            encoder.rounds,
        ),
        "evidence": lambda: EvidenceEncoder(
            encoder.hidden, edge_types, mutual, encoder.get("triangles", 0), encoder.get("beliefs", len(SHOWN))
        ),
        "recurrent": lambda: RecurrentEncoder(encoder.hidden, edge_types, seen if encoder.relative else None),
        "none": lambda: None,
    }
    return makers[encoder.name]()


def _build_decoder(decoder, skip_first, scale, precision):
    relative, aggregation = scale if decoder.relative else None, decoder.get("aggregation", "sum")
    mlp = skip_first, relative, decoder.differences, scale, aggregation
    makers = {
        "mlp": lambda: decoders.MlpDecoder(decoder.hidden, *mlp),
        "equivariant": lambda: decoders.EquivariantDecoder(decoder.hidden, scale, skip_first),
        "context": lambda: decoders.ContextDecoder(
            decoder.hidden, scale, skip_first, tuple(decoder.unseen), decoder.get("additive", False)
        ),
        "recurrent": lambda: decoders.RecurrentDecoder(decoder.hidden, skip_first, relative, aggregation),
        HORIZON: lambda: HorizonDecoder(decoder.hidden, skip_first, decoder.rounds, aggregation),
        "lstm": lambda: decoders.JointLstm(decoder.hidden, dense_cell=precision == "bfloat16"),
        "none": lambda: None,
    }
    return makers[decoder.name]()


def initialise(nri: Nri, key: PRNGKeyArray, frames: int, nodes: int) -> dict[str, Any]:
    """Return parameters of the encoder and the decoder, for samples of `frames` frames and `nodes` nodes."""
    encoder_key, decoder_key = jax.random.split(key)
    features = jnp.zeros((frames, nodes, len(nri.change_scale)))
    edges = jnp.zeros((nodes * (nodes - 1), nri.edge_types))
    params = {}
    if nri.encoder is not None:
        seen = _see_changes(nri, features) if is_dynamic(nri) else _observe(nri, features)
        if isinstance(nri.encoder, EvidenceEncoder):
            seen = jnp.zeros((len(edges), (nri.edge_types - 1) * nri.encoder.beliefs))
        params["encoder"] = nri.encoder.init(encoder_key, seen)["params"]
    if nri.summary is not None:
        params["summary"] = nri.summary.init(jax.random.fold_in(decoder_key, 1), features)["params"]
    if nri.decoder is not None:
        start = start_decoder(nri, params, features[0], features)
        params["decoder"] = nri.decoder.init(decoder_key, start, features[0], edges)["params"]
    return params


def encode(
    nri: Nri,
    params: Mapping[str, Any],
    features: Samples,
    pieces: Float[Array, "sample piece frame node feature"] | None = None,
) -> Float[Array, "sample edge type"]:
    """Return the logits of every edge's type, from what the nodes of each sample did.

    An encoder of evidence reads that of `pieces` alone, whose last frames are explained; None for all.
    """
    if isinstance(nri.encoder, EvidenceEncoder):
        seen = _explain_changes(nri, params, features, pieces)
    else:
        seen = jax.vmap(lambda sample: _observe(nri, sample))(features)
    with dense_precision(nri.precision, vmapped=True):
        return jax.vmap(lambda sample: nri.encoder.apply({"params": params["encoder"]}, sample))(seen)


def is_dynamic(nri: Nri) -> bool:
    """Return whether a model infers edges anew in every frame."""
    return isinstance(nri.encoder, RecurrentEncoder)


def encode_frames(
    nri: Nri, params: Mapping[str, Any], features: Samples, observed: Shaped[Array, "sample frame node"] | None = None
) -> tuple[Float[Array, "sample interval edge type"], Float[Array, "sample interval edge type"]]:
    """Return the logits of every edge's type in each frame but the last: from all frames, and from those so far.

    Edges of a frame act from it to the next. `observed`: which objects are there in each frame; None for all.
    """
    there = None if observed is None else jnp.asarray(observed, features.dtype)
    with dense_precision(nri.precision):
        logits = nri.encoder.apply({"params": params["encoder"]}, _see_changes(nri, features, there), there)
    return tuple(part[:, :-1] for part in logits)


def decode(
    nri: Nri,
    params: Mapping[str, Any],
    frames: Frames,
    edges: Float[Array, "*batch edge type"],
    given: Bool[Array, "*batch frame"],
    history: History = None,
    correct: Callable[[Array], Array] | None = None,
) -> Frames:
    """Return predictions of each next frame on a graph, as `decoders.roll_out` makes them of the frames that are given.

    Edges that change are [*batch, frame, edge, type], those of each frame in which the decoder goes on.

    `history` is what the code of each node is made of, where the decoder is shown one: the frames that the encoder
    sees. Its batch axes are the first of those of `frames`. `correct` is applied to each prediction before it is used.
    """
    changing = edges.ndim == frames.ndim

    def step(carry, nodes, present=edges):
        carry, change = _go_ahead(nri, params, carry, nodes, present)
        return carry, change if correct is None else correct(nodes + change) - nodes

    with dense_precision(nri.precision):
        start = start_decoder(nri, params, frames[..., 0, :, :], history)
        return decoders.roll_out(step, start, frames, given, edges if changing else None)


def decode_combinations(
    nri: Nri,
    params: Mapping[str, Any],
    frames: Frames,
    combinations: Float[np.ndarray, "combination sender type"],
    history: History = None,
) -> Float[Array, "combination *batch node feature"]:
    """Return predictions of `find_target`, as if each combination of edges arrived at every node.

    The decoder must be one that goes on from nothing but the frames themselves (`decoders.MARKOV`); its messages are
    computed once. For `history` see `decode`.
    """
    change = None
    with dense_precision(nri.precision):
        carry = start_decoder(nri, params, frames[..., 0, :, :], history)
        for number in range(frames.shape[-3]):
            inputs = carry, frames[..., number, :, :], jnp.asarray(combinations)
            carry, change = nri.decoder.apply({"params": params["decoder"]}, *inputs)
    return frames[..., -1, :, :] + change * jnp.asarray(nri.change_scale)


def find_target(nri: Nri, frames: Frames) -> Float[Array, "*batch node feature"]:
    """Return what `decode_combinations` predicts from all frames but the last: that one.

    Of features that an additive decoder is not shown, it is the frame before: given what is shown of a frame, they say
    the most of its edges.
    """
    shown = np.isin(np.arange(frames.shape[-1]), getattr(nri.decoder, "of_shown", ()))
    return jnp.where(shown, frames[..., -2, :, :], frames[..., -1, :, :])


def decode_on_prior(
    nri: Nri,
    params: Mapping[str, Any],
    frames: Samples,
    given: Bool[Array, "sample frame"],
    history: Float[Array, "sample time node feature"] | None = None,
    observed: Shaped[Array, "sample frame node"] | None = None,
) -> Samples:
    """Return predictions of each next frame, each on the likeliest edges that the prior has from the frames before it.

    Where a frame is not given, the prior and the decoder go on from the frame predicted before. The model is a dynamic
    one (`is_dynamic`) with a decoder. `observed`: which objects are there; of frames not given, those to be predicted.
    """
    samples, _, count, _ = frames.shape
    there = jnp.ones(frames.shape[:3]) if observed is None else jnp.asarray(observed, frames.dtype)

    def step(carry, nodes, beside):
        state, previous, own = carry
        there, both = beside[..., :count], beside[..., count:]
        change = _measure_change(nri, nodes - previous) * both[..., None]
        seen = jnp.concatenate([nodes, change], axis=-1)
        inputs = {"params": params["encoder"]}, state, seen, there
        state, logits = nri.encoder.apply(*inputs, method="advance")
        pairs = graphs.send(there[..., None]) * graphs.receive(there[..., None])
        edges = jax.nn.one_hot(logits.argmax(axis=-1), nri.edge_types) * pairs
        own, change = _go_ahead(nri, params, own, nodes, edges)
        return (state, nodes, own), change

    with dense_precision(nri.precision):
        first = frames[:, 0]
        state = jnp.zeros((samples, count * (count - 1), nri.encoder.hidden), frames.dtype)
        carry = state, first, start_decoder(nri, params, first, history)
        beside = jnp.concatenate([there, _find_both(there)], axis=-1)
        return decoders.roll_out(step, carry, frames, given, beside)


def start_decoder(
    nri: Nri, params: Mapping[str, Any], nodes: Float[Array, "*batch node feature"], history: History = None
) -> Any:
    """Return what a decoder carries into its first frame, `nodes`; for `history` see `decode`."""
    if nri.summary is None:
        return nri.decoder.start(nodes)
    code = nri.summary.apply({"params": params["summary"]}, history)
    code = code.reshape(*code.shape[:-2], *(1,) * (nodes.ndim - code.ndim), *code.shape[-2:])
    return nri.decoder.start(nodes, jnp.broadcast_to(code, (*nodes.shape[:-1], code.shape[-1])))


def _go_ahead(nri, params, carry, nodes, edges):
    """Return what the decoder carries on, and the change to the next frame, which some features are predicted from."""

    def apply(carry, nodes):
        carry, change = nri.decoder.apply({"params": params["decoder"]}, carry, nodes, edges)
        return carry, change * jnp.asarray(nri.change_scale)

    carry, change = apply(carry, nodes)
    if of_shown := getattr(nri.decoder, "of_shown", ()):
        later = change + apply(carry, nodes + change)[1]
        change = jnp.where(np.isin(np.arange(nodes.shape[-1]), of_shown), later, change)
    return carry, change


def _measure_change(nri, change):
    """Return changes from frame to frame on a logarithmic scale, so that no outlier saturates a network."""
    return jnp.arcsinh(change / jnp.asarray(nri.change_scale))


def _see_changes(nri, features, there=None):
    """Return frames with the change from the frame before beside them; none where an object was not there."""
    changes = _measure_change(nri, jnp.diff(features, axis=-3, prepend=features[..., :1, :, :]))
    changes = changes if there is None else changes * _find_both(there)[..., None]
    return jnp.concatenate([features, changes], axis=-1)


def _explain_changes(nri, params, features, pieces=None) -> Float[Array, "sample edge column"]:
    """Return what the decoder's messages explain of each frame's change to the next (`edge_evidence`)."""
    switches = list_switches(features.shape[-2] - 1, nri.edge_types)
    if pieces is None:
        length = nri.decoder.memory + 1
        starts = np.arange(features.shape[1] - length + 1)[:, None]
        pieces = features[:, starts + np.arange(length)]
    predicted = decode_combinations(nri, params, pieces[:, :, :-1], switches, features)
    target = find_target(nri, pieces)
    base, effects = predicted[0] - target, predicted[1:] - predicted[:1]
    if nri.offset_and_gain:
        base, effects = (whiten_units(part, target, nri.offset_and_gain) for part in (base, effects))
    read = functools.partial(read_evidence, mutual=nri.encoder.mutual, beliefs=nri.encoder.beliefs)
    return jax.vmap(read, in_axes=(0, 1))(*jax.lax.stop_gradient((base, effects)))


def _find_both(there):
    """Return 1 where an object is there in a frame and in the frame before it, else 0: [*batch, frame, node]."""
    return there * jnp.concatenate([there[..., :1, :], there[..., :-1, :]], axis=-2)


def _observe(nri, sample):
    """Return what the encoder reads of one sample: a complete graph whose nodes are [node, frame, feature]."""
    if nri.differences:
        changes = _measure_change(nri, sample[1:] - sample[:-1])
        sample = jnp.concatenate([sample[:-1], changes], axis=-1)
    nodes = sample.swapaxes(0, 1)
    return graphs.complete_graph(nodes.reshape(len(nodes), -1) if isinstance(nri.encoder, MlpEncoder) else nodes)
