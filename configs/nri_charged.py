"""Neural relational inference on charged particles; `:small` is for a laptop."""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_charged.py[:small]`."""
    config = nri_springs.get_defaults(variant)
    config.data.system = "charged"
    config.data.simulation = ml_collections.ConfigDict({"charges": (-1.0, 1.0), "noise": 0.0})
    config.model.skip_first = False  # Attraction and repulsion: both types have a message.
    config.model.encoder.stride = 1  # Close encounters last a frame or two.
    config.train.degrees_of_freedom = 2.0  # Close encounters cannot be predicted and must not dominate.
    # The decoder must also predict well over many frames.
    config.train.roll_out, config.train.roll_out_weight = 10, 20.0
    if variant == "small":
        config.train.baseline_steps = 1_000
        config.model.encoder.rounds = 1
        config.train.steps = 4_000
    return config
