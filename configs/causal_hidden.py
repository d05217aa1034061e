"""Directed springs with a hidden common cause: one of five objects is not observed (after Löwe et al. 2022)."""

import ml_collections
from wormjax.configs import causal_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/causal_hidden.py[:small]`."""
    config = causal_springs.get_config(variant)
    config.data.hidden = 1
    config.models = ("nri", "nri_seeing")
    # Objects that the hidden one drives cannot be predicted at first. A Student's t likelihood lets the decoder learn
    # what a spring does from the other objects.
    config.train.degrees_of_freedom = 2.0
    if variant == "small":
        config.data.simulations.train, config.data.simulations.test = 2_000, 100
        config.model.decoder.hidden = 32
        config.train.steps = 600
    return config
