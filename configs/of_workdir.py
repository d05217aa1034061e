"""The config that a work directory was made by: `--config=configs/of_workdir.py:DIR`."""

import ml_collections

from wormjax.training.workdir import read_config


def get_config(workdir: str) -> ml_collections.ConfigDict:
    """The config of `workdir`."""
    return read_config(workdir)
