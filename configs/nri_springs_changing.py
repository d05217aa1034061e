"""Dynamic neural relational inference on springs that attach and detach; `:small` is for a laptop.

The task of Graber & Schwing (2020, CVPR): the edges of each frame, where "nri" has one graph for all of them.
"""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_springs_changing.py[:small]`."""
    config = nri_springs.get_config(variant)
    config.data.system = "changing_springs"
    config.data.simulation.change = 0.04  # Probability per frame that a pair's spring is drawn anew.
    config.data.simulation.reach = 0.0  # Distance from which there is no spring; 0 for any distance.
    config.models = ("dnri", "nri", "dnri_supervised", "nri_true_graph", "lstm")
    config.train.segments = 48  # All pieces: a chain of edges has no gaps.
    if variant == "small":
        config.data.simulations.train = 5_000
        config.data.simulations.test = 1_000
        config.train.batch_simulations = 32
        config.train.baseline_steps = 1_000
        config.train.steps = 2_000
    return config
