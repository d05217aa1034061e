"""Infer the graphs of trajectories in memory: what `wormjax.RelationalInference` is made of. Nothing is written."""

import jax
import ml_collections
import numpy as np
from jaxtyping import Float

from wormjax import graphs
from wormjax.errors import InputError
from wormjax.features.system_scaling import Scaling, scale_trajectories
from wormjax.features.systems import hold_out_simulations
from wormjax.models.nri import HORIZON, is_dynamic
from wormjax.scoring.edges import match_types, pair_frames, relabel_types
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.infer import outputs
from wormjax.tasks.infer.edge_lists import hide_absent
from wormjax.tasks.infer.horizons import check_kinds, find_plan, infer_windows
from wormjax.tasks.infer.materials import describe_materials, find_edges, gather_materials, name_types, scale_splits
from wormjax.tasks.infer.model_checks import check_systems
from wormjax.tasks.infer.networks import build_model, build_training, vary_config
from wormjax.tasks.training import Trained, train_best


def fit_relations(
    config: ml_collections.ConfigDict,
    train: Trajectories,
    valid: Trajectories | None = None,
    seed: int = 0,
    progress: bool = True,
    name: str = "nri",
) -> Trained:
    """Train one model to infer the graphs of trajectories, in memory.

    The graph need not be known: "nri" never reads it to train. Where the validation systems' graphs are known, the
    inferred types are named after the true ones (`scoring.edges.match_types`); otherwise they keep the model's order.

    Args:
      config: of `infer`, checked (`experiment.check_config`); its `seed` and `seeds` are not read.
      train: the systems to train on, in their own units; the first `config.data.frames` frames are read.
      valid: the systems that choose the parameters that are kept; None holds out the last tenth of `train`.
      seed: of initial parameters and batches.
      progress: whether to show a progress bar.
      name: "nri", or "nri_supervised", which needs the graphs of both.

    Raises:
      InputError: trajectories that the config cannot be used on.
      TrainingError: the loss or the parameters are not finite.

    Examples:
      >>> trained = fit_relations(config, trajectories, seed=0)
      >>> probabilities = infer_edges(trained, trajectories)  # [sample, sender, receiver, type]
    """
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.seed, config.seeds, config.models = seed, 1, (name,)
    if valid is None:
        train, valid = hold_out_simulations(train)
    splits = {"train": train, "valid": valid, "test": valid}
    materials = gather_materials(config, scale_splits(config, splits))
    check_systems(config, materials)
    best = train_best(build_training(vary_config(name, config), materials), name, progress)
    trained = Trained(name, config, describe_materials(materials), (), best)
    known = find_edges(valid, config.data.frames)
    matching = list(match_types(*pair_frames(_infer(trained, valid), known))) if (known >= 0).any() else None
    names = name_types(config, trained.description["edge_types"], trained.description["edge_type_count"])
    # How inferred types are numbered anew, and their names.
    return trained._replace(description=trained.description | {"matching": matching, "edge_types": names})


def infer_edges(trained: Trained, trajectories: Trajectories) -> Float[np.ndarray, "sample sender receiver type"]:
    """Return the probability of each type of every edge, by the encoder, from the first `data.frames` frames.

    The columns are `trained.description["edge_types"]`. The diagonal is NaN, and so are the edges of objects
    that a sample lacks. With `model.encoder.name` "recurrent" they are [sample, frame, sender, receiver, type], of all
    frames but the last.

    Args:
      trained: from `fit_relations`.
      trajectories: systems with the features of the training, as many objects as you like, in their own units.

    Raises:
      InputError: other features, or too few frames.
    """
    edges, matching = _infer(trained, trajectories), trained.description["matching"]
    if matching is not None:
        edges = relabel_types(edges, tuple(matching))
    return hide_absent(arrange_edges(edges, np.shape(trajectories.features)[2]), trajectories.present)


def arrange_edges(
    edges: Float[np.ndarray, "sample *interval edge type"], objects: int
) -> Float[np.ndarray, "sample *interval sender receiver type"]:
    """Return probabilities by edge as matrices, NaN on the diagonal."""
    matrices = np.moveaxis(graphs.edges_to_matrix(np.moveaxis(np.asarray(edges), -1, -2), objects), -3, -1).copy()
    matrices[..., np.arange(objects), np.arange(objects), :] = np.nan
    return matrices


def _infer(trained: Trained, trajectories: Trajectories) -> Float[np.ndarray, "sample edge type"]:
    description, frames = trained.description, trained.config.data.frames
    check_features(trajectories, description["features"], frames)
    scaling = Scaling(*(np.asarray(description[field]) for field in Scaling._fields))
    seen = np.asarray(scale_trajectories(trajectories, scaling).features[:, :frames], np.float32)
    config = vary_config(trained.name, trained.config)
    nri = build_model(config, description["edge_type_count"], scaling.change_scale)
    params = jax.tree.map(np.asarray, trained.variables["params"])
    if is_dynamic(nri):
        there = None if trajectories.observed is None else np.asarray(trajectories.observed)[:, :frames]
        return outputs.infer_frames(nri, params, seen, there)[0][0]
    if config.model.decoder.name == HORIZON:
        check_kinds(trajectories, description["kinds"])
        return infer_windows(nri, params, find_plan(config, trajectories), seen)[0]
    return outputs.infer_edges(nri, params, seen)[0]


def check_features(trajectories: Trajectories, names, frames: int) -> None:
    """Raise InputError for other features than those of the training, or for fewer frames than are read."""
    if list(trajectories.feature_names) != list(names):
        found = f"found {', '.join(trajectories.feature_names)}"
        raise InputError(f"{trajectories.source}: field 'feature_names': {found}, expected those of the training")
    length = np.shape(trajectories.features)[1]
    if length < frames:
        found = f"found {length} frames, expected {frames} or more (data.frames)"
        raise InputError(f"{trajectories.source}: field 'features': {found}")
