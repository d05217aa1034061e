"""The config that a work directory was made by: `--config=of_workdir:DIR`."""

import os

import ml_collections

from wormjax.errors import InputError
from wormjax.tasks.dispatch import read_experiment


def get_config(workdir: str) -> ml_collections.ConfigDict:
    """Return the config of `workdir`."""
    if not os.path.isdir(workdir):
        raise InputError(f"--workdir: found no folder {workdir!r}, expected a work directory of a training run")
    return read_experiment(workdir)
