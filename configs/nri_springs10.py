"""Neural relational inference on ten particles or more joined by springs; `:small` is for a laptop.

The posterior is over the likeliest combinations of edges (`models.listed_posterior`), of which a few are enough where
all combinations are too many.
"""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_springs10.py[:small]`."""
    config = nri_springs.get_config(variant)
    config.data.objects = 10
    config.model.encoder.beliefs = 1  # Of more objects than here, earlier beliefs are often wrong.
    config.train.posterior = "listed"
    config.models = ("nri", "nri_supervised", "nri_true_graph")
    if variant == "small":
        config.data.simulations = ml_collections.ConfigDict({"train": 5_000, "valid": 64, "test": 500})
        config.model.decoder.hidden = 32
        config.train.batch_simulations = 16
        config.train.steps_per_chunk = 200
        config.train.steps = 8_000  # The more exact the messages, the more objects their edges can be inferred of.
        config.train.baseline_steps = 800
    return config
