"""Neural relational inference on springs as it was published, with sampled edges; `:small` is for a laptop.

Also for systems with more objects than an exact posterior allows (eleven, with two edge types).
"""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_springs_sampled.py[:small]`."""
    config = nri_springs.get_defaults(variant)
    config.model.decoder.name = "mlp"
    config.train.posterior = "sampled"
    config.train.turn_and_mirror = False
    config.train.segments, config.train.roll_out = 4, 4  # Roll-outs, more and more on the decoder's own predictions.
    if variant == "small":
        config.train.steps = 5_000
    return config
