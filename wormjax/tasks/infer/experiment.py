"""The experiment of Kipf, Fetaya et al. (2018): recover the graphs of systems from their trajectories."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pooch

from wormjax.errors import InputError
from wormjax.features.system_scaling import Scaling, scale_trajectories
from wormjax.features.systems import hide_objects, open_systems
from wormjax.models.nri import HORIZON
from wormjax.scoring.edges import match_types, pair_frames, relabel_types, score_edges
from wormjax.scoring.frame_errors import measure_errors
from wormjax.scoring.rows import Row
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.groups import list_seeds, model_folder, restore_best
from wormjax.tasks.infer import baselines as relating
from wormjax.tasks.infer import hidden_objects
from wormjax.tasks.infer.edge_lists import write_edges
from wormjax.tasks.infer.horizons import check_kinds
from wormjax.tasks.infer.materials import (
    describe_materials,
    find_edges,
    find_truth,
    find_units,
    list_rows,
    name_types,
    prepare_materials,
    stack_system,
)
from wormjax.tasks.infer.model_checks import check_models, check_systems, leave_out_bounds
from wormjax.tasks.infer.networks import SEEING, train_model
from wormjax.tasks.infer.outputs import POSTERIOR, Inference, run_model
from wormjax.tasks.infer.relations import arrange_edges, check_features
from wormjax.tasks.infer.report import write_report
from wormjax.training import multihost
from wormjax.training.fitted import save_fitted
from wormjax.training.progress import follow
from wormjax.training.workdir import claim_workdir, read_config, read_description, refuse_changes
from wormjax.value_checks import check_names

REGRESSION = "ridge"  # The baseline that a model of all steps at once corrects.
TEST_GROUPS = 10  # Groups of test systems: each has rows of its own, so that intervals come from rows.
# Fields that may differ when other systems are scored; the first two say how the posterior is found.
OPEN_FIELDS = ("model.mutual", "train.combinations", "evaluate")
OPEN_FIELDS += tuple(f"data.{name}" for name in ("path", "suffix", "cache", "simulations", "stride"))


class Scored(NamedTuple):
    """Scaled systems that trained models are scored on; `whole` are both splits with the hidden objects, if any."""

    valid: Trajectories
    test: Trajectories
    scaling: Scaling
    edge_types: int
    whole: tuple[Trajectories, Trajectories] | None


def infer(config, workdir: str | os.PathLike) -> list[Row]:
    """Train every model on the systems of a config, infer the test systems' graphs, predict their frames, report.

    Writes checkpoints, `results.csv`, `summary.md`, `edges.csv`, `edges.h5` and figures into `workdir`. What an earlier
    call has trained is not trained again; what it had begun is continued.

    Raises:
      InputError: a config, files or a workdir that cannot be used.
    """
    check_config(config)
    materials = prepare_materials(config, find_cache(config))
    config = leave_out_bounds(config, materials)
    check_systems(config, materials)
    with claim_workdir(workdir, config, describe_materials(materials)):
        if materials.base is not None and multihost.is_first():
            save_fitted(model_folder(workdir, REGRESSION), materials.base.regression._asdict())
        for name in config.baselines if multihost.is_first() else ():
            relating.fit_baseline(name, config, materials.systems, workdir)
        for name in follow(config.models):
            train_model(name, config, materials, workdir)
        if not multihost.is_first():
            return []
        systems = materials.systems
        whole = materials.whole and (materials.whole.valid, materials.whole.test)
        tested = systems.valid, systems.test, whole
        outputs = run_models(config, materials.edge_types, systems.scaling, workdir, *tested)
        outputs, test = match_outputs(outputs, systems.valid), systems.test
        write_graphs(config, outputs, materials.edge_types, systems.train.edge_types, test, Path(workdir))
        if hidden_objects.NAME in outputs:
            save_fitted(workdir, outputs[hidden_objects.NAME].hidden._asdict(), hidden_objects.FILE)
        if config.evaluate.futures:
            relating.fit_spreads(config, workdir, outputs, systems.valid)
        rows = score_all(config, workdir, outputs, test, systems.scaling, whole)
        errors = relating.measure_baselines(config, workdir, test)
        write_report(config, rows, outputs, errors, test, systems.scaling, name_study(test), Path(workdir))
        return rows


def check_config(config):
    """Raise InputError for what a config of inference must not hold."""
    check_settings(config)
    check_models(config)
    check_names("baselines", config.baselines, (*relating.PREDICTORS, *relating.RELATIONS))


def evaluate_inference(config, workdir: str | os.PathLike) -> list[Row]:
    """Return the rows of a workdir's models on the test systems of `config.data`: its own, or others of the same kind.

    Other systems are scaled as those of the training were; of a file of other trials, all are scored. The names of the
    edge types are matched on the training's own validation systems, or those of the other files.

    Raises:
      InputError: no trained workdir, a config that differs, or files that do not fit.
    """
    scored = open_scored(config, workdir)
    outputs = run_models(config, scored.edge_types, scored.scaling, workdir, scored.valid, scored.test, scored.whole)
    return score_all(config, workdir, match_outputs(outputs, scored.valid), scored.test, scored.scaling, scored.whole)


def open_scored(config, workdir: str | os.PathLike) -> Scored:
    """Return the systems that a workdir's models are scored on, as `evaluate_inference` has them."""
    refuse_changes(config, workdir, OPEN_FIELDS)
    description = read_description(workdir)
    scaling = Scaling(*(np.asarray(description[field]) for field in Scaling._fields))
    other = Path(config.data.path).resolve() != Path(read_config(workdir).data.path).resolve()
    splits = open_systems(config.data, find_cache(config), trained=other)
    hidden, splits = config.data.get("hidden", 0), (splits["valid"], splits["test"])
    for split in splits:
        _check_fit(config, hide_objects(split, hidden), description)
    scaled = tuple(scale_trajectories(split, scaling) for split in splits)
    valid, test = (hide_objects(one, hidden) for one in scaled)
    return Scored(valid, test, scaling, description["edge_type_count"], scaled if hidden else None)


def score_all(config, workdir, outputs: dict[str, Inference], test: Trajectories, scaling: Scaling, whole) -> list[Row]:
    """Return the rows of models and baselines; for `whole` see `run_models`."""
    study, groups = name_study(test), split_groups(test)
    rows = score_outputs(config, outputs, test, scaling, whole)
    rows += relating.score_baselines(config, workdir, test, scaling, study, groups)
    if config.evaluate.futures:
        rows += relating.score_futures(config, workdir, outputs, test, scaling, (study, groups))
    return rows


def find_cache(config) -> Path:
    """Return the folder that keeps simulations."""
    return Path(config.data.cache) if config.data.cache else Path(pooch.os_cache("wormjax")) / "simulations"


def name_study(trajectories: Trajectories) -> str:
    """Return what rows call a kind of system: its name and the number of its objects."""
    link = "-" if trajectories.system[-1:].isdigit() else ""
    return f"{trajectories.system}{link}{trajectories.features.shape[2]}"


def split_groups(test: Trajectories) -> dict[str, np.ndarray]:
    """Return the test simulations of each group by its name, in their order; named samples are groups by themselves."""
    if test.sample_names:
        names = np.array(test.sample_names)
        return {name: np.nonzero(names == name)[0] for name in dict.fromkeys(test.sample_names)}
    groups = np.array_split(np.arange(len(test.features)), TEST_GROUPS)
    return {f"test-{number}": group for number, group in enumerate(groups) if len(group)}


def run_models(config, edge_types: int, scaling: Scaling, workdir, valid, test, whole=None) -> dict[str, Inference]:
    """Return every model's output, from its checkpoint; `whole` are both splits with the hidden objects, if any."""
    outputs: dict[str, Inference] = {}
    for name in config.models:
        variables = restore_variables(name, config, workdir)
        shown = whole if name == SEEING else (valid, test)
        found = run_model(name, config, edge_types, scaling, variables, *shown)
        if name == SEEING:
            sizes = whole[1], config.data.hidden, config.data.frames
            found = {own: hidden_objects.split_hidden(output, *sizes) for own, output in found.items()}
        outputs |= found
        if whole and name == "nri":
            named = found[name + POSTERIOR].validation_edges
            inputs = config, edge_types, scaling, variables, test, named
            outputs[hidden_objects.NAME] = hidden_objects.run_hidden(*inputs)
    return outputs


def restore_variables(name: str, config, workdir) -> dict[str, Any]:
    """Return a trained model's variables, stacked by run; of a model of all steps at once also its regression."""
    variables = restore_best(model_folder(workdir, name))
    if config.model.decoder.name == HORIZON:
        variables = {**variables, "regression": restore_best(model_folder(workdir, REGRESSION))}
    return variables


def match_outputs(outputs: dict[str, Inference], valid: Trajectories) -> dict[str, Inference]:
    """Return the outputs with inferred types named after true ones, as suits each run's validation systems best."""
    true, matched = stack_system(valid).edges, {}
    named = bool((true >= 0).any())
    for name, output in outputs.items():
        if output.test_edges is not None and not output.meant:
            # Without true types, those of the first run are the names of all.
            known = true if named else output.validation_edges[0].argmax(axis=-1)
            matchings = [match_types(*pair_frames(valid, known)) for valid in output.validation_edges]
            edges = list(map(relabel_types, output.test_edges, matchings))
            output = output._replace(test_edges=edges, named=named)
            if output.hidden is not None:
                edges = np.array(list(map(relabel_types, output.hidden.edges, matchings)))
                output = output._replace(hidden=output.hidden._replace(edges=edges))
        matched[name] = output
    return matched


def write_graphs(
    config, outputs: dict[str, Inference], count: int, known: Sequence[str], test: Trajectories, workdir: Path
) -> None:
    """Write the graphs of all test systems, the mean over seeds, into a workdir."""
    objects = test.features.shape[2]
    inferred = {
        name: arrange_edges(np.mean(output.test_edges, axis=0), objects)
        for name, output in outputs.items()
        if output.test_edges is not None
    }
    if inferred:
        named = all(output.named for output in outputs.values())
        columns = max(count, *(values.shape[-1] for values in inferred.values()))
        write_edges(workdir, inferred, name_types(config, known if named else (), columns), test)


def score_outputs(config, outputs: dict[str, Inference], test: Trajectories, scaling: Scaling, whole=None) -> list[Row]:
    """Return the rows of all models (`match_outputs`) by group of test systems; for `whole` see `run_models`."""
    features, history = find_truth(config, test), config.data.frames
    true, units = find_edges(test, history), find_units(config, scaling)
    study, rows = name_study(test), []
    for name, output in outputs.items():
        for run, seed in enumerate(list_seeds(config)):
            for group_name, group in split_groups(test).items():
                scores = {}
                if output.test_edges is not None and output.named:
                    scores |= score_edges(*pair_frames(output.test_edges[run][group], true[group]))
                if output.predicted is not None:
                    predicted = output.predicted[run, group]
                    steps = config.evaluate.steps
                    scores |= measure_errors(predicted, features[group], history, steps, units)
                if output.hidden is not None and whole[1].edges is not None:
                    scores |= hidden_objects.score_hidden(output.hidden, run, group, whole[1], history)
                if output.strengths is not None and test.temperatures is not None and len(group) > 1:
                    pair = output.strengths[run, group], np.asarray(test.temperatures)[group]
                    scores["strength_r"] = float(np.corrcoef(*pair)[0, 1])
                rows += list_rows(name, study, group_name, seed, scores)
    return rows


def _check_fit(config, trajectories: Trajectories, description: dict):
    check_features(trajectories, description["features"], config.data.frames)
    objects = trajectories.features.shape[2]
    if config.model.decoder.name == HORIZON:
        check_kinds(trajectories, description["kinds"])
    if "lstm" in config.models and objects != description["objects"]:
        expected = f"expected {description['objects']}, as many as the LSTM was trained on"
        raise InputError(f"{trajectories.source}: field 'features': found {objects} objects, {expected}")
    if len(trajectories.edge_types) > description["edge_type_count"]:
        found = f"found {len(trajectories.edge_types)} edge types"
        raise InputError(f"{trajectories.source}: field 'edges': {found}, expected {description['edge_type_count']}")
