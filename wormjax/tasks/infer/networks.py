"""The models of an `infer` config: what each changes in it, and how it is built and trained."""

from typing import Any

from wormjax.features.symmetries import list_box_symmetries, list_mirrors
from wormjax.models.nri import HORIZON, Nri, build_nri
from wormjax.tasks.groups import list_seeds
from wormjax.tasks.infer.horizons import find_plan
from wormjax.tasks.infer.materials import Materials, gather_materials
from wormjax.tasks.training import Training, prepare_training, train_into
from wormjax.training.objectives.nri_exact import exact_evidence
from wormjax.training.objectives.nri_horizons import horizon_bound
from wormjax.training.objectives.nri_pairwise import pairwise_evidence
from wormjax.training.objectives.nri_sampled import evidence_lower_bound
from wormjax.training.objectives.system_batches import Bound, stack_runs

# With no graph to find, squared errors are all that a decoder has to get right: no outlier is to be spared.
TRUE_GRAPH = {"train.task": "true_graph", "train.degrees_of_freedom": 0.0}
SUPERVISED = {"train.task": "supervised", "model.decoder.name": "none"}
# Model → what it changes in the config. The bounds are given the graph; the LSTM has none.
VARIANTS: dict[str, dict[str, Any]] = {
    "nri": {},
    "nri_seeing": {},  # It is shown the objects that are hidden from the others.
    "dnri": {"model.encoder.name": "recurrent"},
    "nri_supervised": SUPERVISED,
    "dnri_supervised": {**SUPERVISED, "model.encoder.name": "recurrent"},
    "nri_true_graph": {**TRUE_GRAPH, "model.encoder.name": "none"},
    "lstm": {**TRUE_GRAPH, "model.encoder.name": "none", "model.decoder.name": "lstm"},
}
# They know the graph: in training, or in testing too.
BOUNDS = ("nri_supervised", "dnri_supervised", "dnri_supervised_prior", "nri_true_graph")
EXACT_ONLY = ("offset_and_gain", "roll_out_weight")  # Of config.train: what exact and listed posteriors alone have.
SEEING = "nri_seeing"
UNSUPERVISED = ("nri", "dnri", SEEING)
LISTED = 64  # Combinations of a listed posterior where a config does not say how many.


def vary_config(name: str, config):
    """Return the config of one model: that of the config with what the variant changes."""
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
    if changed.model.decoder.name == "none" and changed.model.encoder.name == "evidence":
        changed.model.encoder.name = "cnn"  # There are no messages to read.
    if name not in UNSUPERVISED:
        changed.train.steps = config.train.baseline_steps or config.train.steps
    return changed


def build_model(config, edge_types: int, change_scale) -> Nri:
    """Return the model of a config (`vary_config`) in the units of its systems."""
    nri = build_nri(config.model, edge_types, change_scale)
    return nri._replace(offset_and_gain=config.train.offset_and_gain)


def build_training(config, materials: Materials) -> Training:
    """Return how one model (`vary_config`) is trained, a run per seed, and by which compiled program."""
    _, frames, objects, features = materials.data.training.features.shape
    names, scaling = materials.systems.train.feature_names, materials.systems.scaling
    nri = build_model(config, materials.edge_types, scaling.change_scale)
    bound, train = build_bound(config), config.train
    if train.mirror:
        bound = bound._replace(symmetries=list_mirrors(names, scaling.low, scaling.high))
    if train.turn_and_mirror:
        bound = bound._replace(symmetries=list_box_symmetries(names, scaling.low, scaling.high))
    if config.model.decoder.name == HORIZON:
        plan = find_plan(config, materials.systems.train)
        objective = horizon_bound(nri, plan, bound, materials.base.units, objects, features)
    else:
        make = pairwise_evidence if is_pairwise(config) else evidence_lower_bound
        objective = (exact_evidence if is_exact(config) else make)(nri, bound, frames, objects)
    runs = stack_runs(list_seeds(config), train)
    # With a posterior of its own no part waits for another, nor may a decoder's gradient make an encoder's small.
    return prepare_training(objective, train, runs, materials.data, clip_parts=is_exact(config) or is_pairwise(config))


def is_exact(config) -> bool:
    """Return whether a model (`vary_config`) is trained with its decoder's posterior, exact or listed."""
    return config.train.posterior in ("exact", "listed") and config.train.task == "unsupervised"


def is_pairwise(config) -> bool:
    """Return whether a model (`vary_config`) is trained with the posterior of each pair."""
    return config.train.posterior == "pairwise" and config.train.task == "unsupervised"


def build_bound(config) -> Bound:
    """Return the bound of one model (`vary_config`)."""
    train = config.train
    own = {
        "batch": train.batch_simulations,
        "prior": tuple(train.prior),
        "combinations": train.get("combinations", LISTED) if train.posterior == "listed" else 0,
        "mutual": config.model.get("mutual", False) and train.posterior == "listed",
        "strengths": tuple(config.model.get("strengths", ())) if is_exact(config) else (),
        "cross_fitted": is_exact(config) and train.get("cross_fitted", False),
    }
    return Bound(**{field: train[field] for field in Bound._fields if field in train} | own)


def train_model(name: str, config, materials: Materials, workdir, stop_after_chunks: int | None = None):
    """Train one model for all seeds; continue what an earlier call has begun."""
    if name == SEEING:
        materials = gather_materials(config, materials.whole)
    training = build_training(vary_config(name, config), materials)
    return train_into(workdir, name, config.train, training, stop_after_chunks)
