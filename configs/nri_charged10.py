"""Neural relational inference on ten charged particles or more; `:small` is for a laptop.

The posterior is over the likeliest combinations of edges (`models.listed_posterior`). The encoder reads what the
decoder's messages explain (`models.edge_evidence`), and learns how edges depend on each other: the products of charges.
"""

import ml_collections
from wormjax.configs import nri_charged


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_charged10.py[:small]`."""
    config = nri_charged.get_config(variant)
    config.data.objects = 10
    config.model.encoder.name = "evidence"
    config.model.encoder.triangles = 2
    config.train.posterior = "listed"
    config.train.cross_fitted, config.train.segments = True, 24  # The encoder reads the frames of the other half.
    config.train.variance_floor = 1e-6
    config.train.roll_out, config.train.roll_out_weight = 1, 0.0  # The graph is what is wanted.
    config.models = ("nri",)
    if variant == "small":
        config.data.simulations = ml_collections.ConfigDict({"train": 5_000, "valid": 64, "test": 100})
        config.model.encoder.hidden = 32
        config.train.batch_simulations = 16
        config.train.steps = 12_000
    return config
