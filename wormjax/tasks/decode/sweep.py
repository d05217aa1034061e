"""Ablations: every combination of a list of config values, by all splits and seeds, in as few programs as can be."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from wormjax import figures
from wormjax.atomic_write import open_place
from wormjax.config_files import EXPECTED, find_field, list_fields, parse_value, suggest_field
from wormjax.errors import InputError
from wormjax.figures.style import save_figures
from wormjax.scoring.rows import Row, write_rows
from wormjax.scoring.tables import format_summary, write_summary
from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.config_conflicts import get_field
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.decode.nested_selection import (
    CRITERION,
    check_criterion,
    format_choices,
    nest_rows,
    score_candidates,
)
from wormjax.tasks.groups import list_groups, model_folder, restore_best
from wormjax.tasks.training import train_into
from wormjax.tasks.worms import describe_materials, prepare_materials
from wormjax.training import multihost
from wormjax.training.progress import follow
from wormjax.training.runs import PER_RUN
from wormjax.training.workdir import claim_workdir

TRACED = tuple(f"train.{name}" for name in PER_RUN)


def parse_sweep(sweep: Sequence[str], config: ConfigDict) -> dict[str, tuple]:
    """Return field → values of texts "train.dropout=0,0.3", of the types that the config has there."""
    values = {}
    known = [field for field in list_fields(config) if not isinstance(get_field(config, field), ConfigDict)]
    for item in sweep:
        field, _, listed = item.partition("=")
        if not listed:
            raise InputError(f"--sweep: found {item!r}, expected FIELD=VALUE,VALUE,...")
        if field not in known:
            raise InputError(f"--sweep: found no such config field {field!r}, {suggest_field(field, known)}")
        section, name = find_field(config, field)
        kind = section.get_type(name)
        if kind not in (bool, int, float, str):
            raise InputError(f"--sweep: field {field!r}: found {kind.__name__}, expected a number, text or bool")
        try:
            values[field] = tuple(parse_value(text, kind) for text in listed.split(","))
        except (ValueError, KeyError, TypeError):
            raise InputError(f"--sweep: field {field!r}: found {listed!r}, expected {EXPECTED[kind]}") from None
    if not values:
        raise InputError("--sweep: found none, expected FIELD=VALUE,VALUE,... (repeat the flag for a grid)")
    return values


def ablate(
    config: ConfigDict, sweep: dict[str, tuple], workdir: str | os.PathLike, criterion: Sequence[str] = CRITERION
) -> list[Row]:
    """Train and score every model of a config under every combination of the swept values.

    Values of `TRACED` fields (learning rate, dropout, ...) are numbers inside one compiled program and share it with
    the seeds and splits on its run axis; any other field (sizes, counts) needs a program for each value. Rows name
    the combination in brackets after the model.

    The best of these rows is no fair score: it would be chosen by the held-out worms themselves. Under the protocol
    "subsets", three worms or more are enough to choose fairly (`selection`): the rows of "MODEL (nested choice)" score
    each worm with the combination that did best, by `criterion`, where that worm neither trained nor was tested.
    `chosen.csv` has the score of each combination without each worm, and without none: the choice for new recordings.
    """
    check_criterion(criterion)
    shapes = {field: values for field, values in sweep.items() if field not in TRACED}
    traced = {field: values for field, values in sweep.items() if field in TRACED}
    wrong = [field for field in shapes if not field.startswith(("model.", "train.", "split."))]
    if wrong:
        raise InputError(f"--sweep: found {wrong[0]!r}, expected fields of 'train', 'model' or 'split'")
    check_settings(config)
    materials = prepare_materials(config)
    groups = list_groups(config, materials.splits)
    for values in _combine(sweep):
        variant = _override(config, values)
        check_settings(variant)
        decoding.check_models(variant)
        decoding.build_group_runs(variant, materials.dataset, groups)
    description, tested = describe_materials(materials), materials.test_dataset
    activity = decoding.factor_worms(config, tested)
    listed = [f"{field}={','.join(map(str, values))}" for field, values in sweep.items()]
    stored = ConfigDict({**config.to_dict(), "sweep": listed})
    with claim_workdir(workdir, stored, description):
        rows = []
        programs = [*itertools.product(config.models, _combine(shapes))]
        for name, shape in follow(programs, spell=lambda program: _label(*program)):
            variants = [_override(config, shape | values) for values in _combine(traced)]
            parts = [decoding.build_group_runs(variant, materials.dataset, groups) for variant in variants]
            runs = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
            # Without the brackets of the rows, which Orbax would read as a pattern.
            folder = f"{name} {_list(shape)}" if shape else name
            training = decoding.build_training(name, variants[0], materials.dataset, runs)
            train_into(workdir, folder, variants[0].train, training)
            if not multihost.is_first():
                continue
            best = restore_best(model_folder(workdir, folder))
            size = len(runs.seed) // len(variants)
            for number, (variant, values) in enumerate(zip(variants, _combine(traced), strict=True)):
                part = slice(number * size, (number + 1) * size)
                own = jax.tree.map(lambda x, part=part: x[part], best)
                decoded = decoding.decode_model(name, variant, description, tested, groups, own)
                decoded = decoding.refine_decoded(decoded, tested, groups, activity)
                scored = decoding.score_model(name, variant, description, tested, groups, decoded)
                rows += [row._replace(model=_label(name, shape | values)) for row in scored]
        if not multihost.is_first():
            return []
        return _report(rows, criterion if _has_inner_folds(config, materials) else (), Path(workdir))


def _has_inner_folds(config, materials) -> bool:
    """Return whether some subset trains without two worms: one that is held out, and one to choose its settings on."""
    worms = len(materials.dataset.worms)
    return config.protocol.name == "subsets" and any(len(split.train) + 2 <= worms for split in materials.splits)


def _report(rows: list[Row], criterion: Sequence[str], workdir: Path) -> list[Row]:
    """Write the report, with the nested choice by a criterion, if there is one; return all rows."""
    if criterion:
        scores = score_candidates(rows, criterion)
        with open_place(workdir / "chosen.csv") as beside:
            scores.astype({"chosen": int}).to_csv(beside, index=False)
        print("\n".join([*format_choices(scores), ""]))
        rows = [*rows, *nest_rows(rows, scores)]
    write_rows(workdir / "results.csv", rows)
    write_summary(workdir / "summary.md", rows)
    unseen = any(row.unseen for row in rows)
    save_figures(workdir, [("ablation", figures.plot_accuracy_by_worms(rows))] if unseen else [])
    print("\n".join(format_summary(rows)))
    return rows


def _combine(values: dict[str, tuple]) -> list[dict]:
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def _override(config, values) -> ConfigDict:
    changed = config.copy_and_resolve_references()
    changed.update_from_flattened_dict(values)
    return changed


def _label(name, values) -> str:
    return f"{name} [{_list(values)}]" if values else name


def _list(values) -> str:
    return ", ".join(f"{field.rpartition('.')[2]}={value}" for field, value in values.items())
