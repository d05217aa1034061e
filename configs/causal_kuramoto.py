"""Directed Kuramoto oscillators, as in Amortized Causal Discovery (Löwe et al. 2022); `:small` is for a laptop."""

import ml_collections
from wormjax.configs import nri_kuramoto


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/causal_kuramoto.py[:small]`.

    Each of the 20 directed edges is there with probability 1/2; no oscillator drives itself.
    """
    config = nri_kuramoto.get_config(variant)
    config.data.simulation.directed = True
    config.models = ("nri", "nri_supervised")
    if variant == "small":
        config.data.simulations.train = 5_000
    return config
