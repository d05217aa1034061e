"""The motor state to come: its distribution up to half a minute ahead, and when the next reversal begins.

What Brennan & Proekt (2019, eLife 8:e46814) ask of their model, asked of every model on the same starts, in worms that
none has seen.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from wormjax.baselines.diffusion_maps import Embedding, Neighbourhood, check_frames
from wormjax.baselines.loops import LoopModel, Partition
from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.derivatives import refuse_future
from wormjax.features.forecast_origins import Starts
from wormjax.features.future_states import Targets
from wormjax.scoring.rows import Row
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead import networks as ahead_models
from wormjax.tasks.ahead.questions import REVERSE, Answers, ask, find_steps, score_answers
from wormjax.tasks.ahead.report import write_report
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.groups import Group, list_groups, model_folder, restore_best, score_worms
from wormjax.tasks.new_worms import prepare_evaluation
from wormjax.tasks.protocols import Split
from wormjax.tasks.worms import RECORDINGS, describe_materials, prepare_materials
from wormjax.training import multihost
from wormjax.training.fitted import fit_once
from wormjax.training.progress import follow, track
from wormjax.training.workdir import claim_workdir
from wormjax.value_checks import check_names

# What may be another than it was in training: whose recordings, and the questions about them.
OPEN_FIELDS = (*RECORDINGS, "ahead.every")
SIMPLE = ahead_models.RESERVED


class Output(NamedTuple):
    """One model's answers on one group's test worms; `edges` is None where the model infers no graph."""

    model: str
    group: int
    starts: Starts
    truth: Targets
    answers: Answers
    edges: Float[np.ndarray, "start edge type"] | None


def predict_ahead(config, workdir: str | os.PathLike) -> list[Row]:
    """Train every model on every split and seed of a config, ask it about the worms left out, and report.

    Writes checkpoints, `results.csv`, `summary.md` and figures into `workdir`. What an earlier call has trained is not
    trained again; unfinished training is continued.
    """
    check_config(config)
    materials = prepare_materials(config)
    dataset, splits = materials.dataset, list(materials.splits)
    groups = list_groups(config, splits)
    if REVERSE not in dataset.state_names:
        found = f"found the states {', '.join(dataset.state_names) or 'none'}"
        raise ConfigError("data.states", f"{found}, expected {REVERSE!r} among them (data.state_map)")
    ask(config, materials.test_dataset)
    check_diffusion_map(config, dataset, splits)
    if config.models:
        ahead_models.build_group_runs(config, dataset, groups)
    with claim_workdir(workdir, config, describe_materials(materials)):
        with multihost.first_goes_ahead("baselines"):
            fits = fit_baselines(config, dataset, splits, workdir)
        setting = read_setting(config, dataset)
        for name in follow(config.models):
            ahead_models.train_model(name, config, setting, dataset, splits, groups, workdir)
        if not multihost.is_first():
            return []
        names = dataset.study, dataset.worms
        rows, outputs = _score_models(config, names, materials.test_dataset, splits, groups, fits, workdir)
        write_report(config, materials, rows, outputs, Path(workdir))
        return rows


def evaluate_ahead(config, workdir: str | os.PathLike) -> list[Row]:
    """Return the rows of a workdir's models on the worms of `config.data` that each run has not been trained on."""
    description, _, dataset, test_splits = prepare_evaluation(config, workdir, OPEN_FIELDS)
    check_config(config)
    groups = list_groups(config, test_splits)
    fits = {name: restore_best(model_folder(workdir, name)) for name in list_folders(config)}
    names = description["study"], description["worms"]
    return _score_models(config, names, dataset, test_splits, groups, fits, workdir)[0]


def _score_models(config, names, dataset, splits, groups, fits, workdir) -> tuple[list[Row], list[Output]]:
    """Return the rows of all models, baselines and pools, and their answers; `names` as of `score_output`."""
    outputs = list(run_models(config, dataset, splits, groups, fits, workdir))
    outputs += pool_outputs(config, splits, groups, outputs)
    scored = (score_output(config, names, dataset, splits, groups, fits, output) for output in outputs)
    return [row for rows in scored for row in rows], outputs


def check_config(config):
    """Raise InputError for what a config of states ahead must not hold."""
    check_settings(config)
    refuse_future(tuple(config.data.inputs))
    check_names("baselines", config.baselines, simple.BASELINES)
    ahead_models.check_models(config)
    check_pools(config)


def check_diffusion_map(config, dataset: Dataset, splits: Sequence[Split]):
    """Raise InputError where a split's training worms have too few frames for a diffusion map."""
    if simple.DIFFUSION not in config.baselines:
        return
    neighbourhood = read_setting(config, dataset).neighbourhood
    for split in splits:
        check_frames(int(dataset.arrays.valid[np.isin(dataset.stretch_worm, split.train)].sum()), neighbourhood)


def read_setting(config, dataset: Dataset) -> simple.Setting:
    """Return what the baselines take from a config and a dataset."""
    names, linear = dataset.state_names, config.linear
    questions = find_steps(config, dataset), len(names), names.index(REVERSE)
    regression = tuple(linear.offsets), linear.inverse_penalty, tuple(linear.frame_weights)
    kinds = Embedding, Neighbourhood, Partition
    parts = (kind(**{name: config.diffusion_map[name] for name in kind._fields}) for kind in kinds)
    return simple.Setting(*questions, *regression, *parts, config.seed)


def list_folders(config) -> list[str]:
    """Return the folders of what the baselines learn; frequencies and chains always, since networks may need them."""
    return [SIMPLE, *(name for name in (simple.REGRESSION, simple.DIFFUSION) if name in config.baselines)]


def fit_baselines(config, dataset: Dataset, splits: Sequence[Split], workdir) -> dict[str, dict]:
    """Return folder → split ("split_0", ...) → what was fitted to its training worms; fitted once, then restored."""
    setting, worms = read_setting(config, dataset), simple.gather_worms(dataset)
    fits = {SIMPLE: simple.fit_simple, simple.REGRESSION: simple.fit_regression}
    fits[simple.DIFFUSION] = simple.fit_diffusion_map

    def fit_splits(name):
        bar = track(splits, name, "split")
        with threadpool_limits(None if name == simple.DIFFUSION else 1):
            best = [fits[name](setting, [worms[worm] for worm in split.train]) for split in bar]
        return {f"split_{number}": one for number, one in enumerate(best)}

    names = list_folders(config)
    return {name: fit_once(model_folder(workdir, name), functools.partial(fit_splits, name)) for name in names}


def run_models(
    config, dataset: Dataset, splits: Sequence[Split], groups: Sequence[Group], fits: dict, workdir
) -> Iterator[Output]:
    """Yield every model's and baseline's answers, a group at a time; baselines, which have no seed, once a split."""
    starts, truth = ask(config, dataset)
    setting = read_setting(config, dataset)
    jobs = [(name, k) for name in config.models for k in range(len(groups))]
    jobs += [(name, k) for name in config.baselines for k in range(len(splits))]
    compiled, best, members = {}, {}, config.train.members
    for name, number in track(jobs, "answers", "run"):
        tested = np.isin(starts.worm, groups[number].split.test)
        own, split = starts.of(tested), f"split_{number % len(splits)}"
        if not len(own.frame):
            continue
        if name in config.baselines:
            answers = answer_baseline(name, setting, fits, split, dataset, own)
            yield Output(name, number, own, truth.of(tested), answers, None)
            continue
        if name not in compiled:
            compiled = {name: ahead_models.build_answering(name, config, dataset)}
            best = restore_best(model_folder(workdir, name))
        variables = jax.tree.map(lambda x, k=number: x[k * members : (k + 1) * members], best)
        base = ahead_models.expect_starts(config, setting, fits[SIMPLE][split], dataset, own, config.model[name].base)
        results = ahead_models.answer_starts(compiled[name], config, dataset, own, variables, base)
        yield Output(name, number, own, truth.of(tested), *results)


def pool_outputs(config, splits: Sequence[Split], groups: Sequence[Group], outputs: Sequence[Output]) -> list[Output]:
    """Return the means of several models' answers (a linear pool), for every pool whose members were all run."""
    found = {(output.model, output.group): output for output in outputs}
    pooled = []
    for name, members in config.get("pools", {}).items():
        if not set(members) <= {*config.models, *config.baselines}:
            continue
        networks = any(member in config.models for member in members)
        for number in range(len(groups) if networks else len(splits)):
            # A baseline has no seed: its answers are those of the first.
            places = [number if member in config.models else number % len(splits) for member in members]
            parts = [found.get(key) for key in zip(members, places, strict=True)]
            if None in parts:
                continue
            answers = Answers(*(np.mean(values, axis=0) for values in zip(*(p.answers for p in parts), strict=True)))
            pooled.append(parts[0]._replace(model=name, group=number, answers=answers, edges=None))
    return pooled


def check_pools(config):
    """Raise InputError for a pool that is named like a model, or of members that do not exist."""
    known = (*config.model, *simple.BASELINES)
    for name, members in config.get("pools", {}).items():
        if name in known:
            raise ConfigError(f"pools.{name}", "found a model's name, expected another")
        unknown = [member for member in members if member not in known]
        if unknown or len(members) < 2:
            found = f"found {unknown[0]!r}" if unknown else f"found {tuple(members)}"
            raise ConfigError(f"pools.{name}", f"{found}, expected two or more of {', '.join(known)}")


def answer_baseline(name: str, setting, fits: dict, split: str, dataset: Dataset, starts: Starts) -> Answers:
    """Return one baseline's answers at starts of worms that the split does not train on."""
    folder = name if name in fits else SIMPLE
    fit = fits[folder][split]
    model = simple.unpack_diffusion_map(setting, fit) if name == simple.DIFFUSION else None
    shape = len(starts.frame), len(setting.steps)
    answers = Answers(np.zeros((*shape, setting.states)), np.zeros((shape[0], setting.intervals)))
    for number in np.unique(starts.stretch):
        own, stretch = starts.stretch == number, simple.cut_stretch(dataset, number)
        given = simple.answer_baseline(name, setting, fit, stretch, starts.frame[own] - 1, model)
        for all_values, values in zip(answers, given, strict=True):
            all_values[own] = values
    return answers


def restore_loops(config, dataset: Dataset, fits: dict, split: int) -> LoopModel:
    """Return the (loop, phase) model of one split's training worms."""
    return simple.unpack_diffusion_map(read_setting(config, dataset), fits[simple.DIFFUSION][f"split_{split}"])


def score_output(config, names, dataset: Dataset, splits, groups, fits: dict, output: Output) -> list[Row]:
    """Return the rows of one model's answers on one group's test worms; `names` are of the training study and worms."""
    frequency = fits[SIMPLE][f"split_{output.group % len(splits)}"][simple.FREQUENCIES]["frequency"]

    def score(own):
        answers, truth = output.answers.of(own), output.truth.of(own)
        return score_answers(answers, truth, tuple(config.ahead.seconds), dataset.frame_rate, frequency)

    return score_worms(output.model, names, dataset, groups[output.group], output.starts.worm, score)
