"""The config that a work directory was made by: `--config=configs/of_workdir.py:DIR`."""

import ml_collections

from wormjax.tasks.dispatch import read_experiment


def get_config(workdir: str) -> ml_collections.ConfigDict:
    """The config of `workdir`."""
    return read_experiment(workdir)
