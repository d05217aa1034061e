"""The field's own models of worm dynamics as peers: components, (loop, phase) models, relations, and what they are for.

Runs the decoding, forecasting and ahead experiments of its config on the same worms, frames and splits, each in a
folder of its own, and puts the asymmetric diffusion map (Brennan & Proekt 2019) beside their models in all three.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from wormjax.baselines.diffusion_maps import Neighbourhood, check_frames
from wormjax.baselines.loops import LoopModel
from wormjax.errors import ConfigError, InputError
from wormjax.features.forecast_origins import list_starts
from wormjax.scoring.rows import Row, read_rows
from wormjax.tasks.ahead import baselines as ahead_baselines
from wormjax.tasks.ahead import experiment as ahead
from wormjax.tasks.ahead import networks as ahead_models
from wormjax.tasks.ahead.questions import ask
from wormjax.tasks.composed import build_task, name_task
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.decode.experiment import generalize
from wormjax.tasks.decode.graphs import average_unseen
from wormjax.tasks.forecast import experiment as forecast
from wormjax.tasks.forecast import networks as forecasting
from wormjax.tasks.groups import Group, list_groups, model_folder, restore_best
from wormjax.tasks.manifold import diffusion_map as loop_tasks
from wormjax.tasks.manifold import pca as components
from wormjax.tasks.manifold import relations as neuron_relations
from wormjax.tasks.manifold.report import write_report
from wormjax.tasks.manifold.sensitivity import check_sensitivity, measure_sensitivity
from wormjax.tasks.protocols import Split
from wormjax.tasks.worms import choose_worms, describe_materials, open_config_recordings, prepare_materials
from wormjax.training import multihost
from wormjax.training.progress import follow, track
from wormjax.training.workdir import claim_workdir, describe_dataset

TASKS = ("decode", "forecast", "ahead")
DIFFUSION = ahead_baselines.DIFFUSION


def explore_manifold(config, workdir: str | os.PathLike) -> list[Row]:
    """Run all of it and report: rows of every task, tables and figures.

    What an earlier call has trained or fitted is not done again; what it had begun is continued.
    """
    tasks = prepare_tasks(config)
    recordings = choose_worms(tasks["decode"], open_config_recordings(config))
    materials = {}
    for name, task in tasks.items():
        with name_task(name):
            materials[name] = prepare_materials(task)
    check_materials(tasks, materials)
    dataset, splits = materials["ahead"].dataset, list(materials["ahead"].splits)
    worms = components.read_worms(config, recordings, dataset.neuron_names)
    components_found, trajectories = components.describe_components(config, worms)
    with claim_workdir(workdir, config, describe_materials(materials["ahead"])):
        folders = {name: os.path.join(workdir, name) for name in TASKS}
        programs = {"decode": generalize, "forecast": forecast.forecast, "ahead": ahead.predict_ahead}
        for name in follow(TASKS, "task"):
            programs[name](tasks[name], folders[name])
        if not multihost.is_first():
            return []
        rows = [row for folder in folders.values() for row in read_rows(os.path.join(folder, "results.csv"))]
        fits = ahead.fit_baselines(tasks["ahead"], dataset, splits, folders["ahead"])
        models = [ahead.restore_loops(tasks["ahead"], dataset, fits, number) for number in range(len(splits))]
        rows += score_diffusion_map(tasks, materials, splits, models, fits[DIFFUSION])
        options = dict(config.relations)
        relations = neuron_relations.measure_worms(dataset, **options, seed=config.seed)
        # The share of edges between neurons of each pair of worms, which should be 0.05.
        methods = options.pop("methods") if len(dataset.worms) > 1 else ()
        false_edges = {
            name: neuron_relations.measure_false_edges(dataset, name, **options, seed=config.seed)
            for name in track(methods, "relations between worms", "method")
        }
        findings = SimpleNamespace(
            components=components_found,
            trajectories=trajectories,
            worms=worms,
            relations=relations,
            false_edges=false_edges,
            graphs=infer_graphs(tasks["decode"], materials["decode"], folders["decode"]),
            sensitivity=measure_sensitivity(config, tasks["ahead"], dataset, splits),
            models=models,
            trained=[tuple(dataset.worms[worm] for worm in split.train) for split in splits],
            fits=fits,
        )
        write_report(config, tasks, dataset, splits, rows, findings, Path(workdir))
        return rows


def refuse_evaluation(config, workdir: str | os.PathLike) -> list[Row]:
    """Raise InputError that names the workdirs of the tasks, which can be evaluated."""
    folders = ", ".join(os.path.join(workdir, task) for task in TASKS)
    raise InputError(f"--workdir: found {workdir} of experiments.manifold, expected one of its tasks: {folders}")


def prepare_tasks(config) -> dict:
    """Return task → its config; InputError for what the tasks cannot run with, before any is begun."""
    check_settings(config)
    tasks = {name: build_task(config, name) for name in TASKS}
    with name_task("decode"):
        check_settings(tasks["decode"])
        decoding.check_models(tasks["decode"])
    for name, experiment in (("forecast", forecast), ("ahead", ahead)):
        with name_task(name):
            experiment.check_config(tasks[name])
    if DIFFUSION not in tasks["ahead"].baselines:
        expected = f"expected {DIFFUSION!r} among them"
        raise ConfigError("tasks.ahead.baselines", f"found {tuple(tasks['ahead'].baselines)}, {expected}")
    for name, last, expected in (("forecast", None, "trace alone"), ("ahead", 1, "trace as the first")):
        if (found := tuple(tasks[name].data.inputs[:last])) != ("trace",):
            raise ConfigError(f"tasks.{name}.data.inputs", f"found {found}, expected {expected}")
    weights = [tasks[name].data.trace_weight for name in ("forecast", "ahead")]
    if weights[0] != weights[1]:  # One diffusion map is made of both tasks' traces.
        expected = f"expected that of tasks.ahead, {weights[1]:g}"
        raise ConfigError("tasks.forecast.data.trace_weight", f"found {weights[0]:g}, {expected}")
    check_sensitivity(config, tasks["ahead"])
    near = Neighbourhood(config.toy.neighbours, tasks["ahead"].diffusion_map.apart_frames)
    check_frames(config.toy.frames, near, "toy.neighbours")
    return tasks


def check_materials(tasks, materials):
    """Raise InputError for worms that one of the tasks cannot be run on, before another is begun."""
    dataset, splits = materials["ahead"].dataset, list(materials["ahead"].splits)
    for name, one in materials.items():
        strange = sorted(set(one.dataset.worms) ^ set(dataset.worms))
        if strange:
            found = f"found worm {strange[0]!r}, which can be used by some of the tasks and not by {name!r} or 'ahead'"
            raise ConfigError("data.path", f"{found}; expected worms with scored motor states, long enough for all")
    groups = {name: list_groups(task, splits) for name, task in tasks.items()}
    with name_task("decode"):
        decoding.build_group_runs(tasks["decode"], materials["decode"].dataset, groups["decode"])
    with name_task("forecast"):
        task, known = tasks["forecast"], materials["forecast"].dataset
        list_starts(known, task.forecast.first, task.forecast.every)
        forecasting.check_training(task, known, splits, groups["forecast"])
    with name_task("ahead"):
        task = tasks["ahead"]
        ask(task, dataset)
        if task.models:
            ahead_models.build_group_runs(task, dataset, groups["ahead"])
        ahead.check_diffusion_map(task, dataset, splits)


def score_diffusion_map(
    tasks, materials, splits: Sequence[Split], models: Sequence[LoopModel], fits: dict
) -> list[Row]:
    """Return the rows of the (loop, phase) model as a decoder and as a forecaster, of every split."""
    rows = []
    decode, predict = (materials[name].test_dataset for name in ("decode", "forecast"))
    task = tasks["forecast"]
    starts = list_starts(predict, task.forecast.first, task.forecast.every)
    description, names = describe_dataset(decode), (predict.study, predict.worms)
    traces = materials["ahead"].test_dataset
    for number, split in enumerate(track(splits, "diffusion map, decoding and forecasts", "split")):
        model, group = models[number], Group(tasks["decode"].seed, split)
        shares = fits[f"split_{number}"]["shares"]
        probabilities = loop_tasks.decode_dataset(model, shares, traces, split.test)
        decoded = decoding.Decoded(probabilities[None], None)
        rows += decoding.score_model(DIFFUSION, tasks["decode"], description, decode, [group], decoded)
        own = starts.of(np.isin(starts.worm, split.test))
        spread = loop_tasks.forecast_starts(model, predict, own, task.forecast.steps, split.train)
        rows += forecast.score_output(task, names, predict, [group], forecast.Output(DIFFUSION, 0, own, spread, None))
    return rows


def infer_graphs(config, materials, workdir) -> dict[str, np.ndarray]:
    """Return network → the graph that its runs infer in each worm that they had not seen [worm, edge, type]."""
    dataset, graphs = materials.test_dataset, {}
    groups = list_groups(config, materials.splits)
    for name in config.models:
        best = restore_best(model_folder(workdir, name))
        decoded = decoding.decode_model(name, config, describe_dataset(dataset), dataset, groups, best)
        if decoded.edges is not None:
            graphs[name] = average_unseen(dataset, groups, np.asarray(decoded.edges))
    return graphs
