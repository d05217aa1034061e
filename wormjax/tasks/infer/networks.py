"""Trains the models of an `infer` config and runs them on test systems: the steps that the experiment is made of.

Every model is trained into `workdir/models/NAME/checkpoints` and always run from there, so that a table made right
after training and one made from a restored checkpoint are one and the same.
"""

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from wormjax import graphs
from wormjax.baselines.horizon_regression import number_kinds
from wormjax.errors import ConfigError, RecordingWarning
from wormjax.features.symmetries import list_box_symmetries, list_mirrors
from wormjax.features.systems import (
    Scaling,
    Systems,
    cut_frames,
    hide_objects,
    open_systems,
    scale_systems,
    scale_trajectories,
)
from wormjax.models import nri as model
from wormjax.models.decoders import MARKOV, EquivariantDecoder, check_vectors
from wormjax.models.exact_posterior import list_combinations
from wormjax.models.nri import HORIZON, Nri, build_nri, is_dynamic
from wormjax.scoring.frame_errors import DISTANCE
from wormjax.simulation.trajectories import SPLITS, Trajectories, hide_missing
from wormjax.tasks.groups import list_seeds, model_folder
from wormjax.tasks.infer.horizons import Base, find_plan, fit_base, infer_windows, predict_windows
from wormjax.tasks.infer.tables import BOUNDS
from wormjax.training.likelihoods import estimate_units
from wormjax.training.loop import train_ensemble
from wormjax.training.objectives.classification import Objective
from wormjax.training.objectives.nri_exact import (
    adapt_edges,
    exact_evidence,
    infer_changes,
    infer_posterior,
    infer_strengths,
)
from wormjax.training.objectives.nri_hidden import Hidden
from wormjax.training.objectives.nri_horizons import horizon_bound
from wormjax.training.objectives.nri_pairwise import infer_pairwise, pairwise_evidence
from wormjax.training.objectives.nri_sampled import (
    Bound,
    SystemArrays,
    SystemData,
    SystemRuns,
    evidence_lower_bound,
    stack_runs,
)
from wormjax.training.parallel import Engine, build_engine
from wormjax.training.step import Recipe, build_recipe

# With no graph to find, squared errors are all that a decoder has to get right: no outlier is to be spared.
TRUE_GRAPH = {"train.task": "true_graph", "train.degrees_of_freedom": 0.0}
# Model → what it changes in the config. The bounds are given the graph; the LSTM has none.
VARIANTS: dict[str, dict[str, Any]] = {
    "nri": {},
    "nri_seeing": {},  # It is shown the objects that are hidden from the others.
    "dnri": {"model.encoder.name": "recurrent"},
    "nri_supervised": {"train.task": "supervised", "model.decoder.name": "none"},
    "dnri_supervised": {
        "train.task": "supervised",
        "model.decoder.name": "none",
        "model.encoder.name": "recurrent",
    },
    "nri_true_graph": {**TRUE_GRAPH, "model.encoder.name": "none"},
    "lstm": {**TRUE_GRAPH, "model.encoder.name": "none", "model.decoder.name": "lstm"},
}
EXACT_ONLY = ("offset_and_gain", "roll_out_weight")  # Of config.train: what the exact posterior alone can have.
SEEING = "nri_seeing"
UNSUPERVISED = ("nri", "dnri", SEEING)
# What follows a model's name where not its encoder but its exact or pairwise posterior infers, from all frames, and
# where its encoder's edges are adapted to each system.
POSTERIOR, ADAPTED = "_posterior", "_adapted"
# With a graph in each frame, what follows the name where edges are inferred from the frames so far, by the encoder's
# prior or by the decoder.
PRIOR, FILTER = "_prior", "_filter"
LISTED = 64  # Combinations of a listed posterior where a config does not say how many.
AT_ONCE_MODELS = ("nri", "lstm")  # That predict all steps at once, or may stand beside one that does.
AT_ONCE = 128  # Simulations that are run at a time.


class Materials(NamedTuple):
    """A config's systems, ready to train and test on; `whole` are those with the hidden objects, if any are hidden."""

    systems: Systems
    data: SystemData
    edge_types: int
    base: Base | None = None
    whole: Systems | None = None


class Inference(NamedTuple):
    """One model's output for every run: edge probabilities, and frames predicted after the history of test systems.

    Either is None where the model does not give it. `named`: whether inferred types are named after true ones; `meant`:
    they mean what true ones do by themselves, and need no match. A model with a graph in each frame has one for each
    frame of the history but the last. `hidden`: of a model that infers objects that are not observed, the edges from
    these to the observed ones, and their trajectories; other edges are those between observed objects. `strengths`: of
    each test system's messages, where they are inferred.
    """

    validation_edges: Float[np.ndarray, "run simulation *interval edge type"] | None
    test_edges: Float[np.ndarray, "run simulation *interval edge type"] | None
    predicted: Float[np.ndarray, "run simulation step object feature"] | None
    named: bool = True
    meant: bool = False
    validation_predicted: Float[np.ndarray, "run simulation step object feature"] | None = None
    hidden: Hidden | None = None
    strengths: Float[np.ndarray, "run simulation"] | None = None


def prepare_materials(config, cache: str | os.PathLike) -> Materials:
    """Opens or simulates, scales and stacks all systems that a config names.

    Raises:
      InputError: a file or a field that cannot be used.
    """
    splits, hidden = open_systems(config.data, cache), config.data.get("hidden", 0)
    if not hidden:
        return gather_materials(config, scale_splits(config, splits))
    systems = scale_splits(config, {split: hide_objects(splits[split], hidden) for split in SPLITS})
    # Nobody knows the range of what is hidden: the whole is scaled as the observed objects are.
    whole = {split: scale_trajectories(splits[split], systems.scaling) for split in SPLITS}
    whole |= {split: cut_frames(whole[split], config.data.frames) for split in ("train", "valid")}
    return gather_materials(config, systems)._replace(whole=Systems(**whole, scaling=systems.scaling))


def scale_splits(config, splits: Mapping[str, Trajectories]) -> Systems:
    """Scale the splits as a config asks, and keep the frames that its models train on."""
    return scale_systems(splits, config.data.frames, config.data.scaling, whole=config.model.decoder.name == HORIZON)


def gather_materials(config, systems: Systems) -> Materials:
    """Return scaled systems with the arrays that train, and the number of edge types."""
    types = config.model.edge_types or max(len(systems.train.edge_types), 2)
    data = SystemData(stack_system(systems.train), stack_system(systems.valid))
    if config.model.decoder.name != HORIZON:
        return Materials(systems, data, types)
    base = fit_base(config, systems)
    data = SystemData(data.training._replace(base=base.training), data.validation._replace(base=base.validation))
    return Materials(systems, data, types, base)


def stack_system(trajectories: Trajectories) -> SystemArrays:
    """The arrays that training reads: features at float32, types by edge, -1 where the graph is not known."""
    pairs = find_pairs(trajectories.present)
    edges = np.full(pairs.shape, -1)
    if trajectories.edges is not None:
        pairs = pairs[:, None] if np.ndim(trajectories.edges) == 4 else pairs
        edges = np.where(pairs, graphs.matrix_to_edges(trajectories.edges), -1)
    observed = None if trajectories.observed is None else np.asarray(trajectories.observed)
    return SystemArrays(np.asarray(trajectories.features, np.float32), edges.astype(np.int32), observed)


def find_edges(trajectories: Trajectories, history: int) -> Int[np.ndarray, "simulation *frame edge"]:
    """Return the true types of the edges that a model infers from the first frames, -1 where one is not known."""
    edges = stack_system(trajectories).edges
    return edges[:, :history] if edges.ndim == 3 else edges


def find_pairs(present: Bool[np.ndarray, "simulation object"]) -> Bool[np.ndarray, "simulation edge"]:
    """Return which edges have both their objects."""
    return graphs.matrix_to_edges(present[:, :, None] & present[:, None, :])


def name_types(config, known: Sequence[str], count: int) -> list[str]:
    """Return the names of `count` inferred types: the true ones', or what the decoder makes of them."""
    first = "no edge" if config.model.skip_first else "type 0"
    names = list(known) or [first]
    return [*names, *(f"type {k}" for k in range(len(names), count))]


def describe_materials(materials: Materials) -> dict:
    """What a workdir remembers of its systems: their names, their scale and a fingerprint."""
    systems, digest = materials.systems, hashlib.sha256()
    splits = materials.data.training._replace(base=None), materials.data.validation._replace(base=None)
    for arrays in (*splits[0], *splits[1], systems.test.features):
        if arrays is not None:
            digest.update(np.ascontiguousarray(arrays).tobytes())
    return {
        "system": systems.train.system,
        "objects": int(systems.train.features.shape[2]),
        "features": list(systems.train.feature_names),
        "kinds": list(number_kinds(systems.train.object_names, systems.train.features.shape[2])),
        "edge_types": list(systems.train.edge_types),
        "edge_type_count": materials.edge_types,
        **{field: values.tolist() for field, values in systems.scaling._asdict().items()},
        "fingerprint": digest.hexdigest(),
    }


def check_models(config):
    """Raises InputError for a model that does not exist, or a size that it does not have."""
    for name in config.models:
        if name not in VARIANTS:
            raise ConfigError("models", f"found {name!r}, expected some of {', '.join(VARIANTS)}")
        build_model(vary_config(name, config), 2, np.ones(1))
    encoder, frames = config.model.encoder, config.data.frames
    convolved = (frames - encoder.differences - encoder.kernels[0]) // encoder.stride + 1
    if encoder.name == "cnn" and convolved // encoder.pooling < encoder.kernels[1]:
        found = f"found {tuple(encoder.kernels)} with a stride of {encoder.stride} and a pooling of {encoder.pooling}"
        expected = f"expected kernels that fit into data.frames, {frames}"
        raise ConfigError("model.encoder.kernels", f"{found}, {expected}")
    for name in set(UNSUPERVISED) & set(config.models):
        if is_exact(config):
            _check_exact(vary_config(name, config))
    if config.data.get("hidden", 0):
        _check_hidden(config)
    elif SEEING in config.models:
        raise ConfigError("models", f"found {SEEING!r} with data.hidden=0, expected objects that others are not shown")
    if "nri" in config.models and is_pairwise(config) and config.model.decoder.name != "none":
        found = f"found {config.model.decoder.name!r} with a train.posterior of 'pairwise'"
        raise ConfigError("model.decoder.name", f"{found}, expected 'none'")
    if "dnri" in config.models and is_pairwise(config):
        raise ConfigError("models", "found 'dnri' with a train.posterior of 'pairwise', expected 'nri'")
    for name in EXACT_ONLY:
        if config.train[name] and not is_exact(config):
            found = f"found {config.train[name]} with a train.posterior of {config.train.posterior!r}"
            raise ConfigError(f"train.{name}", f"{found}, expected 0")
    if config.model.decoder.name == HORIZON:
        _check_horizon(config)
    if config.model.edge_types == 1:
        raise ConfigError("model.edge_types", "found 1, expected two types or more, or 0 for the systems'")
    field, decoded = "data.frames", frames
    if 0 < config.train.decoded_frames < frames:
        field, decoded = "train.decoded_frames", config.train.decoded_frames
    if config.train.burn_in + config.train.roll_out > decoded:
        found = f"found {config.train.roll_out} after a train.burn_in of {config.train.burn_in} frames"
        expected = f"expected no more than {field}, {decoded}, together"
        raise ConfigError("train.roll_out", f"{found}, {expected}")


def _check_horizon(config):
    """Raises InputError where a config asks of all steps at once what they do not have."""
    for name in config.models:
        if name not in AT_ONCE_MODELS:
            found = f"found {name!r} with a model.decoder.name of {HORIZON!r}"
            raise ConfigError("models", f"{found}, expected {' or '.join(AT_ONCE_MODELS)}")
    if config.model.encoder.name != "mlp":
        found = f"found {config.model.encoder.name!r} with a model.decoder.name of {HORIZON!r}"
        raise ConfigError("model.encoder.name", f"{found}, expected mlp")
    if config.data.test_frames <= config.data.frames:
        found = f"found {config.data.test_frames} with data.frames {config.data.frames}"
        raise ConfigError("data.test_frames", f"{found}, expected more, to predict")
    if max(config.linear.lags) >= config.data.frames:
        found = f"found {tuple(config.linear.lags)} with data.frames {config.data.frames}"
        raise ConfigError("linear.lags", f"{found}, expected smaller ones")


def _check_exact(config):
    """Raises InputError where a config asks for the exact posterior under a decoder that has none."""
    if config.train.roll_out != 1 and not config.train.roll_out_weight:
        found = f"found {config.train.roll_out} with a train.posterior of 'exact' and a train.roll_out_weight of 0"
        raise ConfigError("train.roll_out", f"{found}, expected 1")
    if config.model.encoder.name == "none":
        found = "found 'none' with a train.posterior of 'exact'"
        raise ConfigError("model.encoder.name", f"{found}, expected one that infers a graph")
    for name in ("degrees_of_freedom", "roll_out_weight"):
        if config.train.offset_and_gain and config.train[name]:
            found = f"found {config.train.offset_and_gain} with train.{name} {config.train[name]}"
            raise ConfigError("train.offset_and_gain", f"{found}, expected 0 for one of the two")
    nri = build_model(config, 2, np.ones(2))
    for name in EXACT_ONLY if is_dynamic(nri) else ():
        if config.train[name]:
            raise ConfigError(f"train.{name}", f"found {config.train[name]} with a graph in each frame, expected 0")
    if config.train.posterior == "listed":
        _check_listed(config, nri)
    decoder = nri.decoder
    if not isinstance(decoder, MARKOV):
        found = f"found {config.model.decoder.name!r} with a train.posterior of 'exact'"
        raise ConfigError("model.decoder.name", f"{found}, expected one that sees frames alone")


def _check_listed(config, nri):
    """Raises InputError for what the posterior of listed combinations does not have."""
    if is_dynamic(nri):
        raise ConfigError("models", "found 'dnri' with a train.posterior of 'listed', expected 'exact' or 'sampled'")
    if not isinstance(nri.decoder, EquivariantDecoder):
        found = f"found {config.model.decoder.name!r} with a train.posterior of 'listed'"
        raise ConfigError("model.decoder.name", f"{found}, expected 'equivariant', whose messages add up")
    if config.train.offset_and_gain:
        found = f"found {config.train.offset_and_gain} with a train.posterior of 'listed'"
        raise ConfigError("train.offset_and_gain", f"{found}, expected 0")


def _check_hidden(config):
    """Raises InputError where a config hides objects from a model that cannot infer them."""
    needs = {"train.posterior": "exact", "train.burn_in": 1, "train.offset_and_gain": 0}
    for field, expected in needs.items():
        found = config.train[field.removeprefix("train.")]
        if "nri" in config.models and found != expected:
            raise ConfigError(field, f"found {found!r} with data.hidden={config.data.hidden}, expected {expected!r}")
    if config.data.hidden > config.data.objects - 2 and not config.data.path:
        found = f"found {config.data.hidden} of {config.data.objects} objects"
        raise ConfigError("data.hidden", f"{found}, expected two or more that are not hidden")


def check_systems(config, materials: Materials):
    """Raises InputError where systems do not suit a config: a prior of other edge types, a bound without a graph."""
    prior, types = tuple(config.train.prior), materials.edge_types
    if prior and (len(prior) != types or min(prior) <= 0 or abs(sum(prior) - 1.0) > 1e-6):
        expected = f"expected {types} probabilities above 0 that sum to 1, or none"
        raise ConfigError("train.prior", f"found {prior}, {expected}")
    _, _, objects, features = np.shape(materials.systems.train.features)
    if set(UNSUPERVISED) & set(config.models) and is_exact(config) and config.train.posterior == "exact":
        list_combinations(objects + config.data.get("hidden", 0) - 1, types)
    if is_pairwise(config) and types != 2:
        found = f"found 'pairwise' with {types} types of edges"
        raise ConfigError("train.posterior", f"{found}, expected 2: no edge, and an edge (model.edge_types)")
    if "nri_supervised" in config.models and materials.data.training.edges.ndim == 3:
        found, expected = "found 'nri_supervised' with edges that change", "expected 'dnri_supervised'"
        raise ConfigError("models", f"{found}, {expected}")
    if config.model.decoder.name == "equivariant":
        check_vectors(features)
    if config.train.turn_and_mirror:
        scaling = materials.systems.scaling
        list_box_symmetries(materials.systems.train.feature_names, scaling.low, scaling.high)
    if max(config.model.decoder.unseen, default=0) >= features:
        found, expected = tuple(config.model.decoder.unseen), f"expected numbers of features, below {features}"
        raise ConfigError("model.decoder.unseen", f"found {found}, {expected}")
    given, unknown = [name for name in config.models if name in BOUNDS], find_unknown(materials)
    if given and unknown:
        found = f"found {given[0]!r}, which is given the graph, and {unknown} without 'edges'"
        others = [name for name in config.models if name not in BOUNDS] or ["nri"]
        raise ConfigError("models", f"{found}, expected models that are not: {', '.join(others)}")


def find_unknown(materials: Materials) -> str | None:
    """Return the file whose systems, to train or to choose on, have no known graph; None where all have one."""
    for split in (materials.systems.train, materials.systems.valid):
        if split.edges is None or (stack_system(split).edges < 0).all():
            return split.source
    return None


def leave_out_bounds(config, materials: Materials):
    """Return the config without the models that are given the graph where it is not known, if others are left.

    A warning names them.
    """
    others, unknown = tuple(name for name in config.models if name not in BOUNDS), find_unknown(materials)
    if not unknown or not others or len(others) == len(config.models):
        return config
    left_out = ", ".join(name for name in config.models if name in BOUNDS)
    text = f"{unknown}: has no 'edges': left out {left_out}, which are given the graph"
    warnings.warn(text, RecordingWarning, stacklevel=2)
    changed = config.copy_and_resolve_references()
    with changed.unlocked():
        changed.models = others
    return changed


def vary_config(name: str, config):
    """The config of one model: that of the config with what the variant changes."""
    changed = config.copy_and_resolve_references()
    with changed.ignore_type():  # A config may say 1 and not 1.0.
        changed.update_from_flattened_dict(VARIANTS[name])
    if name == "lstm":  # Its state has to be burnt in, and it is trained as it is tested.
        half, quarter = config.data.frames // 2, config.data.frames // 4
        changed.model.decoder.hidden = config.model.lstm_hidden
        if config.model.decoder.name == HORIZON:  # Windows have a future.
            half, quarter = config.data.frames, config.data.test_frames - config.data.frames
        changed.train.update({"segments": 1, "burn_in": half, "roll_out": quarter, "decoded_frames": 0})
        with changed.ignore_type():  # A config may say 1 and not 1.0.
            changed.train.update({"given": 0.0, "given_end": 0.0})
    if name == "nri_true_graph" and config.train.posterior in ("exact", "listed"):  # As many frames, in roll-outs.
        changed.train.segments = max(config.train.segments // config.train.roll_out, 1)
    if name not in UNSUPERVISED:
        changed.train.steps = config.train.baseline_steps or config.train.steps
    return changed


def build_model(config, edge_types: int, change_scale) -> Nri:
    """The model of a config (`vary_config`) in the units of its systems."""
    return build_nri(config.model, edge_types, change_scale)


def build_runs(config) -> SystemRuns:
    """One run a seed."""
    return stack_runs(list_seeds(config), config.train, config.data.simulations.valid)


def build_training(config, materials: Materials, runs: SystemRuns) -> tuple[Objective, Recipe, Engine]:
    """What one model (`vary_config`) is trained for, how, and by which compiled program."""
    _, frames, objects, features = materials.data.training.features.shape
    nri = build_model(config, materials.edge_types, materials.systems.scaling.change_scale)
    bound, train = build_bound(config), config.train
    names, scaling = materials.systems.train.feature_names, materials.systems.scaling
    if train.mirror:
        bound = bound._replace(symmetries=list_mirrors(names, scaling.low, scaling.high))
    if train.turn_and_mirror:
        bound = bound._replace(symmetries=list_box_symmetries(names, scaling.low, scaling.high))
    if config.model.decoder.name == HORIZON:
        plan = find_plan(config, materials.systems.train)
        objective = horizon_bound(nri, plan, bound, materials.base.units, objects, features)
    else:
        makers = {"exact": exact_evidence, "listed": exact_evidence, "pairwise": pairwise_evidence}
        make = makers.get(train.posterior, evidence_lower_bound) if infers_posterior(config) else evidence_lower_bound
        objective = make(nri, bound, frames, objects)
    # With a posterior of its own no part waits for another, nor may a decoder's gradient make an encoder's small.
    recipe = build_recipe(train)._replace(clip_parts=infers_posterior(config))
    size = len(runs.seed)
    engine = build_engine(
        objective, recipe, size, train.placement, train.devices, train.batch_simulations, train.runs_at_once
    )
    return objective, recipe, engine


def is_exact(config) -> bool:
    """Whether a model (`vary_config`) is trained with its decoder's posterior, of all or of listed combinations."""
    return config.train.posterior in ("exact", "listed") and config.train.task == "unsupervised"


def is_pairwise(config) -> bool:
    """Whether a model (`vary_config`) is trained with the posterior of each pair."""
    return config.train.posterior == "pairwise" and config.train.task == "unsupervised"


def infers_posterior(config) -> bool:
    """Whether a model (`vary_config`) has a posterior of the graph beside its encoder."""
    return is_exact(config) or is_pairwise(config)


def build_bound(config) -> Bound:
    """What the bound of one model (`vary_config`) is made of."""
    train = config.train
    return Bound(
        task=train.task,
        batch=train.batch_simulations,
        segments=train.segments,
        decoded_frames=train.decoded_frames,
        burn_in=train.burn_in,
        roll_out=train.roll_out,
        hard=train.hard,
        variance=train.variance,
        variance_floor=train.variance_floor,
        degrees_of_freedom=train.degrees_of_freedom,
        prior=tuple(train.prior),
        offset_and_gain=train.offset_and_gain,
        roll_out_weight=train.roll_out_weight,
        combinations=train.get("combinations", LISTED) if train.posterior == "listed" else 0,
        strengths=tuple(config.model.get("strengths", ())) if is_exact(config) else (),
    )


def train_model(name: str, config, materials: Materials, workdir, stop_after_chunks: int | None = None):
    """Train one model for all seeds; continue what an earlier call has begun."""
    if name == SEEING:
        materials = gather_materials(config, materials.whole)
    config = vary_config(name, config)
    runs = build_runs(config)
    _, recipe, engine = build_training(config, materials, runs)
    folder, seconds = model_folder(workdir, name), config.train.checkpoint_seconds
    return train_ensemble(engine, recipe, materials.data, runs, folder, name, seconds, stop_after_chunks)


def run_model(
    name: str, config, edge_types: int, scaling: Scaling, variables: Mapping[str, Any], valid: Trajectories, test
) -> dict[str, Inference]:
    """Infers the graphs of validation and test systems, and predicts the test systems' frames after `data.frames`.

    Edges are inferred from the first `data.frames` frames alone; a recurrent decoder is burnt in on the same.

    Returns:
      The model's output by its name; of one trained with the exact posterior, that of its decoder too (POSTERIOR),
      and that of its encoder adapted to each system (ADAPTED), where the config asks.
      With a graph in each frame, the edges from the frames so far, too (PRIOR, FILTER).
    """
    config = vary_config(name, config)
    nri = build_model(config, edge_types, scaling.change_scale)
    if config.model.decoder.name == HORIZON:
        return {name: run_horizons(config, nri, variables, valid, test)}
    history = config.data.frames
    features = np.asarray(test.features, np.float32)
    steps = min(max(config.evaluate.steps), features.shape[1] - history)
    splits = np.asarray(valid.features[:, :history], np.float32), features[:, :history]
    observed = [None if part.observed is None else np.asarray(part.observed)[:, :history] for part in (valid, test)]
    inputs = [*zip(splits, observed, strict=True)]
    inferred = {name: (None, None)}
    if is_dynamic(nri):
        pairs = [infer_frames(nri, variables["params"], *split) for split in inputs]
        inferred = dict(zip((name, name + PRIOR), zip(*pairs, strict=True), strict=True))
    elif nri.encoder is not None:
        inferred[name] = tuple(infer_edges(nri, variables["params"], split) for split in splits)
    last_edges = strengths = None
    if is_exact(config):
        bound, price = build_bound(config), config.train.kl_weight_end
        if is_dynamic(nri):
            chains = [infer_changes(nri, bound, price, variables, *split) for split in inputs]
            inferred[name + POSTERIOR] = tuple(chain.smoothed for chain in chains)
            inferred[name + FILTER] = tuple(chain.predicted[:, :, :-1] for chain in chains)
            last_edges = chains[-1].predicted[:, :, -1]
        else:
            inferred[name + POSTERIOR] = tuple(
                infer_posterior(nri, bound, price, variables, *split) for split in inputs
            )
        if bound.strengths:
            strengths = infer_strengths(nri, bound, price, variables, *inputs[-1])
        if config.evaluate.get("adaptation_steps", 0) and not is_dynamic(nri):
            amount = config.evaluate.adaptation_steps, config.evaluate.adaptation_rate
            inferred[name + ADAPTED] = tuple(
                adapt_edges(nri, bound, price, variables, *split, *amount)
                for split in zip(splits, observed, inferred[name], strict=True)
            )
    if is_pairwise(config):
        inferred[name + POSTERIOR] = tuple(infer_pairwise(variables, split) for split in splits)
    outputs = {}
    for output, (validation_edges, test_edges) in inferred.items():
        predicted = None
        if is_dynamic(nri) and output != name + POSTERIOR:
            if output == name and nri.decoder is not None and steps > 0:
                predicted = predict_on_prior(nri, variables["params"], *inputs[-1], steps)
            outputs[output] = Inference(validation_edges, test_edges, predicted)
            continue
        needs_graph = test_edges is None and name in BOUNDS
        if nri.decoder is not None and steps > 0 and not (needs_graph and test.edges is None):
            if test_edges is None:
                true, runs = stack_system(test).edges, len(jax.tree.leaves(variables)[0])
                best = (true[..., None] == np.arange(edge_types)).astype(np.float32)  # An unknown edge has no message.
                best = np.broadcast_to(best, (runs, *best.shape))
            else:
                latest = test_edges if last_edges is None else last_edges
                best = np.eye(edge_types, dtype=np.float32)[latest.argmax(axis=-1)]
                best *= find_pairs(test.present)[..., None]
            best = best if strengths is None else best * strengths[..., None, None]
            freedom = config.train.offset_and_gain if is_exact(config) else 0.0
            predicted = predict_frames(nri, variables["params"], features, best, history, steps, freedom)
        own = strengths if output == name + POSTERIOR else None
        outputs[output] = Inference(validation_edges, test_edges, predicted, meant=is_pairwise(config), strengths=own)
        if name == "lstm" and config.evaluate.futures:
            known, params = np.asarray(valid.features, np.float32), variables["params"]
            shown = predict_frames(nri, params, known, np.zeros((len(best), len(known), 1, 1)), history, steps)
            outputs[output] = outputs[output]._replace(validation_predicted=shown)
    return outputs


def run_horizons(config, nri: Nri, variables: Mapping[str, Any], valid: Trajectories, test: Trajectories) -> Inference:
    """Return the output of a model of all steps at once; `variables` holds the regression that it corrects, too."""
    edges, predicted = [], []
    for part in (valid, test):
        past, plan = np.asarray(part.features[:, : config.data.frames], np.float32), find_plan(config, part)
        probabilities = infer_windows(nri, variables["params"], plan, past)
        # Relaxed edges train it, whose mean is their probability; the likeliest types where one-hot ones do.
        used = np.asarray(probabilities, np.float32)
        if config.train.hard:
            used = np.eye(probabilities.shape[-1], dtype=np.float32)[probabilities.argmax(axis=-1)]
        used = used * find_pairs(part.present)[..., None]
        edges.append(probabilities)
        predicted.append(predict_windows(config, nri, variables, variables["regression"], part, used))
    return Inference(*edges, predicted[1], validation_predicted=predicted[0])


def infer_edges(
    nri: Nri, params: Mapping[str, Any], features: Float[np.ndarray, "simulation frame object feature"]
) -> Float[np.ndarray, "run simulation edge type"]:
    """The probability of each edge type, for every run (stacked parameters)."""

    def infer_run(run_params):
        return jax.lax.map(lambda x: model.encode(nri, run_params, x[None])[0], features, batch_size=AT_ONCE)

    logits = jax.jit(lambda stacked: jax.lax.map(infer_run, stacked))(params)
    return np.minimum(jax.nn.softmax(logits), 1.0)  # Rounding may lift one above.


def infer_frames(
    nri: Nri,
    params: Mapping[str, Any],
    features: Float[np.ndarray, "simulation frame object feature"],
    observed: Bool[np.ndarray, "simulation frame object"] | None = None,
) -> tuple[
    Float[np.ndarray, "run simulation interval edge type"], Float[np.ndarray, "run simulation interval edge type"]
]:
    """Return the probability of each edge type in each frame but the last: by the posterior, and by the prior.

    Of a model with a graph in each frame (`nri.is_dynamic`), for every run (stacked parameters). The prior of a frame
    has seen the frames up to it.

    Args:
      observed: which objects are there in each frame; None for all.

    Examples:
      >>> posterior, prior = infer_frames(nri, state.best["params"], features, observed)
    """
    there = np.ones(features.shape[:3], bool) if observed is None else observed

    def infer_run(run_params):
        def infer(system):
            return [part[0] for part in model.encode_frames(nri, run_params, *(part[None] for part in system))]

        return jax.lax.map(infer, (features, there), batch_size=AT_ONCE // 8)

    logits = jax.jit(lambda stacked: jax.lax.map(infer_run, stacked))(params)
    return tuple(np.minimum(jax.nn.softmax(part), 1.0) for part in logits)


def predict_on_prior(
    nri: Nri,
    params: Mapping[str, Any],
    features: Float[np.ndarray, "simulation frame object feature"],
    observed: Bool[np.ndarray, "simulation frame object"] | None,
    steps: int,
    seed: int | None = None,
) -> Float[np.ndarray, "run simulation step object feature"]:
    """Return the `steps` frames after the given ones, each on the edges that the prior has from the frames before it.

    Objects that are there in the last given frame are those of all later ones. With a `seed`, edges are drawn anew in
    each frame; None takes the likeliest.
    """
    history = features.shape[1]
    there = np.ones(features.shape[:3], bool) if observed is None else observed
    given = np.arange(history + steps - 1) < history
    features, there = (
        np.pad(part, [(0, 0), (0, steps - 1), *[(0, 0)] * (part.ndim - 2)]) for part in (features, there)
    )
    there[:, history:] = there[:, history - 1 : history]
    keys = jax.random.split(jax.random.key(seed or 0), len(features))

    def predict_run(run_params):
        def predict(system):
            frames, there, key = system
            inputs = frames[None], jnp.asarray(given)[None], frames[None, :history], there[None]
            drawn = None if seed is None else key
            return model.decode_on_prior(nri, run_params, *inputs, drawn)[0, history - 1 :]

        return jax.lax.map(predict, (features, there, keys), batch_size=AT_ONCE // 8)

    return np.asarray(jax.jit(lambda stacked: jax.lax.map(predict_run, stacked))(params))


def predict_frames(
    nri: Nri,
    params: Mapping[str, Any],
    features: Float[np.ndarray, "simulation frame object feature"],
    edges: Float[np.ndarray, "run simulation *frame edge type"],
    history: int,
    steps: int,
    freedom: float = 0.0,
) -> Float[np.ndarray, "run simulation step object feature"]:
    """The frames `history`, `history` + 1, ... as each run predicts them from the frames before `history` alone.

    Where a decoder was trained up to an offset and a gain of each object's own (`freedom`: their variance,
    `train.offset_and_gain`), these are learnt from the same frames.
    """
    # A Markov decoder needs the last frame or two.
    first = max(history - nri.decoder.memory, 0) if isinstance(nri.decoder, MARKOV) else 0
    frames = features[:, first : history + steps - 1].copy()
    edges = edges[:, :, first : history + steps - 1] if edges.ndim == 5 else edges
    given = np.arange(frames.shape[1]) < history - first
    frames[:, ~given] = 0.0  # So that nothing of them can be used.

    seen = features[:, :history]

    def predict_run(run):
        run_params, run_edges = run

        def predict(sample: tuple[Array, Array, Array]):
            after, edges, before = sample
            correct = None
            if freedom:
                shown = model.decode(nri, run_params, before, edges, jnp.ones(history, bool), before)
                shown, true = shown[nri.decoder.memory - 1 : -1], before[nri.decoder.memory :]
                correct = estimate_units(shown - true, shown, jnp.asarray(nri.change_scale), freedom).remove
            inputs = after, edges, jnp.asarray(given), before, correct
            return model.decode(nri, run_params, *inputs)[history - first - 1 :]

        return jax.lax.map(predict, (frames, run_edges, seen), batch_size=AT_ONCE)

    return np.asarray(jax.jit(lambda stacked: jax.lax.map(predict_run, stacked))((params, edges)))


def find_truth(config, test: Trajectories) -> Float[np.ndarray, "simulation frame object feature"]:
    """Return the features with NaN for all that is not scored: missing, or not in `evaluate.features`, or unscored.

    Raises:
      InputError: a name in `evaluate` that the systems do not have.
    """
    truth = np.array(hide_missing(test))
    for field, names in (("features", test.feature_names), ("unscored", test.object_names)):
        unknown = [name for name in config.evaluate[field] if name not in names]
        if unknown:
            found = f"found {unknown[0]!r}, expected some of {', '.join(names) or 'none: they have no names'}"
            raise ConfigError(f"evaluate.{field}", found)
    if config.evaluate.features:
        truth[..., [name not in config.evaluate.features for name in test.feature_names]] = np.nan
    unscored = (*config.evaluate.unscored, *config.model.decoder.given)
    if unscored:
        truth[:, :, [name in unscored for name in test.object_names]] = np.nan
    return truth


def find_units(config, scaling: Scaling) -> Float[np.ndarray, " feature"] | None:
    """Return what a scaled feature of 1 is in the units of the file, where errors are distances in them; else None."""
    return (scaling.high - scaling.low) / 2 if config.evaluate.error == DISTANCE else None
