"""Neural relational inference (Kipf, Fetaya et al. 2018): a variational autoencoder whose latent is a graph.

An encoder reads the edge types off what the nodes do, a decoder predicts what they do next on that graph. One model for
particles and for neurons; it is pure functions of its parameters: `encode`, `decode`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from wormjax import graphs
from wormjax.errors import ConfigError
from wormjax.models.decoders import (
    ContextDecoder,
    EquivariantDecoder,
    HistoryCode,
    JointLstm,
    MlpDecoder,
    RecurrentDecoder,
    roll_out,
)
from wormjax.models.encoders import CnnEncoder, MlpEncoder
from wormjax.models.layers import check_precision, dense_precision

ENCODERS = ("mlp", "cnn", "none")  # "none": the graph is given, or there is none.
# "lstm" ignores the graph; "none": the graph alone is wanted.
DECODERS = ("mlp", "equivariant", "context", "recurrent", "lstm", "none")


class Nri(NamedTuple):
    """The modules of one model, and the units that they compute in.

    Attributes:
      encoder, decoder: flax modules, or None.
      edge_types: how many.
      differences: whether the encoder is also shown the change of each frame to the next.
      change_scale: each feature's typical change from frame to frame; the decoder predicts, and the encoder is shown,
        changes in these units (the encoder on a logarithmic scale, so that no outlier saturates it).
      precision: of matrix products, one of `layers.PRECISIONS`; "" for the device's own.
      summary: what makes the code of each node's history that the decoder is shown, or None.
    """

    encoder: nn.Module | None
    decoder: nn.Module | None
    edge_types: int
    differences: bool
    change_scale: tuple[float, ...]
    precision: str = ""
    summary: nn.Module | None = None


def build_nri(model: Mapping[str, Any], edge_types: int, change_scale) -> Nri:
    """The model of a config's `model` section: `encoder`, `decoder` (name and sizes each), `skip_first`, `precision`.

    Raises:
      InputError: an encoder, a decoder or a precision that does not exist.
    """
    check_precision(model.precision)
    scale = tuple(float(value) for value in np.maximum(change_scale, 1e-6))
    encoder = _build_encoder(model.encoder, edge_types, scale)
    decoder = _build_decoder(model.decoder, model.skip_first, scale, model.precision)
    summary = HistoryCode(model.decoder.hidden, model.decoder.code, scale) if model.decoder.name == "context" else None
    return Nri(encoder, decoder, edge_types, model.encoder.differences, scale, model.precision, summary)


def _build_encoder(encoder, edge_types, scale):
    if encoder.name == "mlp":
        return MlpEncoder(encoder.hidden, edge_types)
    if encoder.name == "cnn":
        seen = (*scale, *(1.0,) * len(scale)) if encoder.differences else scale
        relative = seen if encoder.relative else None
        kernels = tuple(encoder.kernels)
        return CnnEncoder(
            encoder.hidden, edge_types, kernels, encoder.stride, encoder.pooling, relative, encoder.rounds
        )
    if encoder.name == "none":
        return None
    raise ConfigError("model.encoder.name", f"found {encoder.name!r}, expected one of {_list(ENCODERS)}")


def _build_decoder(decoder, skip_first, scale, precision):
    relative = scale if decoder.relative else None
    if decoder.name == "mlp":
        return MlpDecoder(decoder.hidden, skip_first, relative, decoder.differences, scale)
    if decoder.name == "equivariant":
        return EquivariantDecoder(decoder.hidden, scale, skip_first)
    if decoder.name == "context":
        return ContextDecoder(decoder.hidden, scale, skip_first, tuple(decoder.unseen))
    if decoder.name == "recurrent":
        return RecurrentDecoder(decoder.hidden, skip_first, relative)
    if decoder.name == "lstm":
        return JointLstm(decoder.hidden, dense_cell=precision == "bfloat16")
    if decoder.name == "none":
        return None
    raise ConfigError("model.decoder.name", f"found {decoder.name!r}, expected one of {_list(DECODERS)}")


def _list(names) -> str:
    return ", ".join(names)


def initialise(nri: Nri, key: PRNGKeyArray, frames: int, nodes: int) -> dict[str, Any]:
    """Parameters of the encoder and the decoder, for samples of so many frames and nodes."""
    encoder_key, decoder_key = jax.random.split(key)
    features = jnp.zeros((frames, nodes, len(nri.change_scale)))
    edges = jnp.zeros((nodes * (nodes - 1), nri.edge_types))
    params = {}
    if nri.encoder is not None:
        params["encoder"] = nri.encoder.init(encoder_key, _observe(nri, features))["params"]
    if nri.summary is not None:
        params["summary"] = nri.summary.init(jax.random.fold_in(decoder_key, 1), features)["params"]
    if nri.decoder is not None:
        start = start_decoder(nri, params, features[0], features)
        params["decoder"] = nri.decoder.init(decoder_key, start, features[0], edges)["params"]
    return params


def encode(
    nri: Nri, params: Mapping[str, Any], features: Float[Array, "sample frame node feature"]
) -> Float[Array, "sample edge type"]:
    """The logits of every edge's type, from what the nodes of each sample did."""

    def encode_sample(sample):
        return nri.encoder.apply({"params": params["encoder"]}, _observe(nri, sample))

    with dense_precision(nri.precision, vmapped=True):
        return jax.vmap(encode_sample)(features)


def decode(
    nri: Nri,
    params: Mapping[str, Any],
    frames: Float[Array, "*batch frame node feature"],
    edges: Float[Array, "*batch edge type"],
    given: Bool[Array, "*batch frame"],
    history: Float[Array, "*sample time node feature"] | None = None,
    correct: Callable[[Array], Array] | None = None,
) -> Float[Array, "*batch frame node feature"]:
    """Predictions of each next frame on a graph, as `decoders.roll_out` makes them of the frames that are given.

    `history` is what the code of each node is made of, where the decoder is shown one: the frames that the encoder
    sees. Its batch axes are the first of those of `frames`. `correct` is applied to each prediction before it is used.
    """
    scale = jnp.asarray(nri.change_scale)

    def step(carry, nodes):
        carry, change = nri.decoder.apply({"params": params["decoder"]}, carry, nodes, edges)
        change = change * scale
        return carry, change if correct is None else correct(nodes + change) - nodes

    with dense_precision(nri.precision):
        return roll_out(step, start_decoder(nri, params, frames[..., 0, :, :], history), frames, given)


def start_decoder(
    nri: Nri,
    params: Mapping[str, Any],
    nodes: Float[Array, "*batch node feature"],
    history: Float[Array, "*sample time node feature"] | None = None,
) -> Any:
    """What a decoder carries into its first frame, `nodes`; for `history` see `decode`."""
    if nri.summary is None:
        return nri.decoder.start(nodes)
    code = nri.summary.apply({"params": params["summary"]}, history)
    code = code.reshape(*code.shape[:-2], *(1,) * (nodes.ndim - code.ndim), *code.shape[-2:])
    return nri.decoder.start(nodes, jnp.broadcast_to(code, (*nodes.shape[:-1], code.shape[-1])))


def _observe(nri, sample):
    """What the encoder is shown of one sample: a complete graph whose nodes are [node, frame, feature]."""
    if nri.differences:
        changes = jnp.arcsinh((sample[1:] - sample[:-1]) / jnp.asarray(nri.change_scale))
        sample = jnp.concatenate([sample[:-1], changes], axis=-1)
    nodes = sample.swapaxes(0, 1)
    return graphs.complete_graph(nodes.reshape(len(nodes), -1) if isinstance(nri.encoder, MlpEncoder) else nodes)
