"""Neural relational inference on ten Kuramoto oscillators or more; `:small` is for a laptop.

The messages of the decoder add up, so that the posterior is over the likeliest combinations of edges
(`models.listed_posterior`) and the encoder reads what the messages explain (`models.edge_evidence`).
"""

import ml_collections
from wormjax.configs import nri_kuramoto


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_kuramoto10.py[:small]`."""
    config = nri_kuramoto.get_config(variant)
    config.data.objects = 10
    config.model.encoder.name = "evidence"
    config.model.decoder.additive = True
    config.train.posterior = "listed"
    config.train.offset_and_gain = 4.0  # Of the search for edges, which knows no gain of its own.
    config.models = ("nri",)
    if variant == "small":
        config.data.simulations = ml_collections.ConfigDict({"train": 5_000, "valid": 64, "test": 100})
        config.model.encoder.hidden = config.model.decoder.hidden = 32
        config.train.learning_rate = 1e-2
        config.train.batch_simulations = 16
        config.train.steps_per_chunk = 100
        config.train.steps = 12_000
    return config
