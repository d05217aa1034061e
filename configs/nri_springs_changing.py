"""Dynamic neural relational inference on springs that attach and detach; `:small` is for a laptop.

The task of Graber & Schwing (2020, CVPR): the edges of each frame, where "nri" has one graph for all of them.
"""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_springs_changing.py[:small]`."""
    config = nri_springs.get_defaults(variant)
    config.data.system = "changing_springs"
    config.data.simulation.change = 0.04  # Probability per frame that a pair's spring is drawn anew.
    config.data.simulation.reach = 0.0  # No spring beyond this distance; 0 for no limit.
    config.models = ("dnri", "nri", "nri_true_graph")
    config.train.segments = 48
    if variant == "small":
        config.data.simulations = ml_collections.ConfigDict({"train": 5_000, "valid": 128, "test": 500})
        config.model.encoder.hidden = config.model.decoder.hidden = 32
        config.train.batch_simulations = 16
        config.train.baseline_steps = 500
        config.train.steps = 1_500
    return config
