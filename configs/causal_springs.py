"""Directed springs, which pull their receiver only, as in Amortized Causal Discovery (Löwe et al. 2022)."""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/causal_springs.py[:small]`."""
    config = nri_springs.get_defaults(variant)
    config.data.simulation.directed = True
    config.models = ("nri", "nri_supervised")
    if variant == "small":
        config.data.simulations.train, config.data.simulations.valid = 5_000, 256
        config.train.batch_simulations = 32
        config.train.steps = 2_000
    return config
