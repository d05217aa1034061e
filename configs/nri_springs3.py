"""Neural relational inference on springs of three strengths: none, weak, strong. `:small` is for a laptop."""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_springs3.py[:small]`."""
    config = nri_springs.get_config(variant)
    config.data.simulation.strengths = (0.0, 0.5, 1.0)
    # With 1 from the start, one seed in eight merges two strengths within 250 updates and never separates them.
    config.train.kl_weight = 10.0
    if variant == "small":
        config.train.baseline_steps = 1_000
        config.train.steps = 1_200
    return config
