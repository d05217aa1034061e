"""The experiment of Wang et al. (2021): decode the motor state of worms that no model has seen."""

import os
from pathlib import Path

from wormjax.tasks.config_checks import check_settings
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.decode.report import write_report
from wormjax.tasks.groups import list_groups, model_folder, restore_best
from wormjax.tasks.worms import describe_materials, prepare_materials
from wormjax.training import multihost
from wormjax.training.workdir import claim_workdir


def generalize(config, workdir: str | os.PathLike) -> None:
    """Trains every model on every split and seed of a config, decodes the worms left out, and reports.

    Writes checkpoints, `results.csv`, `summary.md` and figures into `workdir`. What an earlier call has trained is not
    trained again; what it had begun is gone on with.

    Raises:
      InputError: a config, recordings or a workdir that cannot be used; nothing is computed or written before.
    """
    check_config(config)
    materials = prepare_materials(config)
    groups = list_groups(config, materials.splits)
    decoding.build_group_runs(config, materials.dataset, groups)
    description = describe_materials(materials)
    with claim_workdir(workdir, config, description):
        for name in config.baselines if multihost.is_first() else ():
            decoding.train_baseline(name, config, materials.dataset, groups, workdir)
        for name in config.models:
            decoding.train_model(name, config, materials.dataset, groups, workdir)
        if not multihost.is_first():
            return
        decoded = {
            name: decoding.decode_model(
                name,
                config,
                description,
                materials.test_dataset,
                groups,
                restore_best(model_folder(workdir, name)),
            )
            for name in (*config.models, *config.baselines)
        }
        write_report(config, materials, groups, decoded, Path(workdir))


def check_config(config):
    """Raises InputError for what a config of decoding must not hold."""
    check_settings(config)
    decoding.check_models(config)
