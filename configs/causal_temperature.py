"""Directed springs at a temperature of each system, which is not observed (after Löwe et al. 2022)."""

import ml_collections
import numpy as np
from wormjax.configs import causal_springs

TRIED = 17  # Strengths, two octaves to either side of one.


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/causal_temperature.py[:small]`.

    The stiffness of all springs of a system is a factor of 1/2 to 2. A decoder knows forces up to a factor alone, so
    that the strengths tried reach further.
    """
    config = causal_springs.get_config(variant)
    config.data.simulation.temperatures = (0.5, 2.0)
    config.model.strengths = tuple(float(f"{strength:.4g}") for strength in np.geomspace(0.25, 4.0, TRIED))
    config.models = ("nri",)
    if variant == "small":
        config.data.simulations.train, config.data.simulations.test = 2_000, 500
        config.model.decoder.hidden = 32
        config.train.segments = 12
        config.train.steps = 500
    return config
