"""Whether the models of an `infer` config exist, have the sizes that it asks for, and suit its systems."""

from typing import Any

import numpy as np

from wormjax.errors import ConfigError, note
from wormjax.features.symmetries import list_box_symmetries
from wormjax.models.decoders import MARKOV, check_vectors
from wormjax.models.exact_posterior import list_combinations
from wormjax.models.nri import HORIZON, is_dynamic
from wormjax.tasks.infer import networks
from wormjax.tasks.infer.materials import Materials, find_unknown

ADDING = "'equivariant', or 'context' with model.decoder.additive"
AT_ONCE_MODELS = ("nri", "lstm")  # That predict all steps at once, or may stand beside one that does.


def check_models(config):
    """Raise InputError for a model that does not exist, or a size that it does not have."""
    train, frames = config.train, config.data.frames
    for name in config.models:
        _expect(name in networks.VARIANTS, "models", repr(name), f"some of {', '.join(networks.VARIANTS)}")
        networks.build_model(networks.vary_config(name, config), 2, np.ones(1))
    encoder = config.model.encoder
    convolved = (frames - encoder.differences - encoder.kernels[0]) // encoder.stride + 1
    found = f"{tuple(encoder.kernels)} with a stride of {encoder.stride} and a pooling of {encoder.pooling}"
    holds = encoder.name != "cnn" or convolved // encoder.pooling >= encoder.kernels[1]
    _expect(holds, "model.encoder.kernels", found, f"kernels that fit into data.frames, {frames}")
    found = f"'evidence' with a model.decoder.name of {config.model.decoder.name!r}"
    holds = encoder.name != "evidence" or _adds_up(config)
    _expect(holds, "model.encoder.name", found, f"{ADDING}, or 'cnn'")
    for name in set(networks.UNSUPERVISED) & set(config.models):
        if networks.is_exact(config):
            _check_exact(networks.vary_config(name, config))
    if config.data.get("hidden", 0):
        _check_hidden(config)
    else:
        found = f"{networks.SEEING!r} with data.hidden=0"
        _expect(networks.SEEING not in config.models, "models", found, "objects that others are not shown")
    if networks.is_pairwise(config):
        found, decoder = "with a train.posterior of 'pairwise'", config.model.decoder.name
        holds = "nri" not in config.models or decoder == "none"
        _expect(holds, "model.decoder.name", f"{decoder!r} {found}", "'none'")
        _expect("dnri" not in config.models, "models", f"'dnri' {found}", "'nri'")
    for name in networks.EXACT_ONLY:
        found = f"{train[name]} with a train.posterior of {train.posterior!r}"
        _expect(networks.is_exact(config) or not train[name], f"train.{name}", found, 0)
    if config.model.decoder.name == HORIZON:
        _check_horizon(config)
    _expect(config.model.edge_types != 1, "model.edge_types", 1, "two types or more, or 0 for the systems'")
    field, decoded = "data.frames", frames
    if 0 < train.decoded_frames < frames:
        field, decoded = "train.decoded_frames", train.decoded_frames
    found = f"{train.roll_out} after a train.burn_in of {train.burn_in} frames"
    holds = train.burn_in + train.roll_out <= decoded
    _expect(holds, "train.roll_out", found, f"no more than {field}, {decoded}, together")


def _expect(holds: bool, field: str, found: Any, expected: Any):
    if not holds:
        raise ConfigError(field, f"found {found}, expected {expected}")


def _adds_up(config) -> bool:
    """Return whether the messages of a config's decoder add up, so that a sum over edges is a linear regression."""
    decoder = config.model.decoder
    return decoder.name == "equivariant" or (decoder.name == "context" and decoder.get("additive", False))


def _check_horizon(config):
    """Raise InputError where a config asks of all steps at once what they do not have."""
    decoder, frames = f"with a model.decoder.name of {HORIZON!r}", f"with data.frames {config.data.frames}"
    for name in config.models:
        _expect(name in AT_ONCE_MODELS, "models", f"{name!r} {decoder}", " or ".join(AT_ONCE_MODELS))
    encoder, predicted = config.model.encoder.name, config.data.test_frames
    _expect(encoder == "mlp", "model.encoder.name", f"{encoder!r} {decoder}", "mlp")
    _expect(predicted > config.data.frames, "data.test_frames", f"{predicted} {frames}", "more, to predict")
    lags = tuple(config.linear.lags)
    _expect(max(lags) < config.data.frames, "linear.lags", f"{lags} {frames}", "smaller ones")


def _check_exact(config):
    """Raise InputError where a config asks for the exact posterior under a decoder that has none."""
    train, exact = config.train, "with a train.posterior of 'exact'"
    found = f"{train.roll_out} {exact} and a train.roll_out_weight of 0"
    _expect(train.roll_out == 1 or train.roll_out_weight, "train.roll_out", found, 1)
    _expect(config.model.encoder.name != "none", "model.encoder.name", f"'none' {exact}", "one that infers a graph")
    for name in ("degrees_of_freedom", "roll_out_weight"):
        found = f"{train.offset_and_gain} with train.{name} {train[name]}"
        _expect(not (train.offset_and_gain and train[name]), "train.offset_and_gain", found, "0 for one of the two")
    nri = networks.build_model(config, 2, np.ones(2))
    for name in networks.EXACT_ONLY if is_dynamic(nri) else ():
        _expect(not train[name], f"train.{name}", f"{train[name]} with a graph in each frame", 0)
    if train.posterior == "listed":
        listed = "with a train.posterior of 'listed'"
        _expect(not is_dynamic(nri), "models", f"'dnri' {listed}", "'exact' or 'sampled'")
        found, expected = f"{config.model.decoder.name!r} {listed}", f"{ADDING}, whose messages add up"
        _expect(_adds_up(config), "model.decoder.name", found, expected)
    found = f"{config.model.decoder.name!r} {exact}"
    _expect(isinstance(nri.decoder, MARKOV), "model.decoder.name", found, "one that sees frames alone")


def _check_hidden(config):
    """Raise InputError where a config hides objects from a model that cannot infer them."""
    hidden, objects = config.data.hidden, config.data.objects
    for name, expected in {"posterior": "exact", "burn_in": 1, "offset_and_gain": 0}.items():
        found = config.train[name]
        holds = "nri" not in config.models or found == expected
        _expect(holds, f"train.{name}", f"{found!r} with data.hidden={hidden}", repr(expected))
    holds = hidden <= objects - 2 or config.data.path
    _expect(holds, "data.hidden", f"{hidden} of {objects} objects", "two or more that are not hidden")


def check_systems(config, materials: Materials):
    """Raise InputError where systems do not suit a config: a prior of other edge types, a bound without a graph."""
    prior, types = tuple(config.train.prior), materials.edge_types
    sums = len(prior) == types and min(prior) > 0 and abs(sum(prior) - 1.0) <= 1e-6 if prior else True
    _expect(sums, "train.prior", prior, f"{types} probabilities above 0 that sum to 1, or none")
    _, _, objects, features = np.shape(materials.systems.train.features)
    posterior = config.train.posterior == "exact" and networks.is_exact(config)
    if posterior and set(networks.UNSUPERVISED) & set(config.models):
        list_combinations(objects + config.data.get("hidden", 0) - 1, types)
    found, expected = f"'pairwise' with {types} types of edges", "2: no edge, and an edge (model.edge_types)"
    _expect(types == 2 or not networks.is_pairwise(config), "train.posterior", found, expected)
    holds = "nri_supervised" not in config.models or materials.data.training.edges.ndim == 2
    _expect(holds, "models", "'nri_supervised' with edges that change", "'dnri_supervised'")
    if config.model.decoder.name == "equivariant":
        check_vectors(features)
    if config.train.turn_and_mirror:
        scaling = materials.systems.scaling
        list_box_symmetries(materials.systems.train.feature_names, scaling.low, scaling.high)
    unseen = tuple(config.model.decoder.unseen)
    holds = max(unseen, default=0) < features
    _expect(holds, "model.decoder.unseen", unseen, f"numbers of features, below {features}")
    given, unknown = [name for name in config.models if name in networks.BOUNDS], find_unknown(materials)
    if given and unknown:
        others = [name for name in config.models if name not in networks.BOUNDS] or ["nri"]
        found = f"{given[0]!r}, which is given the graph, and {unknown} without 'edges'"
        _expect(False, "models", found, f"models that are not: {', '.join(others)}")


def leave_out_bounds(config, materials: Materials):
    """Return the config without the models that are given the graph where it is not known, if others are left.

    A warning names them.
    """
    others, unknown = tuple(name for name in config.models if name not in networks.BOUNDS), find_unknown(materials)
    if not unknown or not others or len(others) == len(config.models):
        return config
    left_out = ", ".join(name for name in config.models if name in networks.BOUNDS)
    note(f"{unknown}: has no 'edges': left out {left_out}, which are given the graph")
    changed = config.copy_and_resolve_references()
    with changed.unlocked():
        changed.models = others
    return changed
