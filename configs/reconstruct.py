"""Hidden neurons of worms never seen, reconstructed from their other named neurons; on simulated worms by default."""

import ml_collections
from wormjax.configs import base

NETWORK = {"node_hidden": 32, "channels": 64}


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.reconstruct --config=configs/reconstruct.py`."""
    config = base.experiment("reconstruct")
    config.data = base.inputs("trace")
    config.data.neurons = "any"
    config.data.least_worms = 2  # Least number of training worms that have a scored neuron.
    config.data.simulation.update({"worms": 4, "minutes": 6.0, "neurons": 40, "named": 0.7})
    config.protocol = base.protocol("leave_one_worm_out")

    config.split = ml_collections.ConfigDict()  # How the frames of the training worms are split; all of them train.
    config.split.block = 192
    config.split.gap = 16
    config.split.validation_fraction = 0.0

    config.linear = ml_collections.ConfigDict()  # Of the baselines; chosen on training worms left out in turn.
    config.linear.penalties = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # Of ridge regressions, per training worm and frame.
    config.linear.shrinkages = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)  # Of the covariance towards the identity.

    config.baselines = ("partner", "ridge_union", "ridge_pairs", "ridge_mirrored", "gaussian")
    config.models = ("network",)  # And no_class.
    config.mixture = ("network", "ridge_mirrored")  # Models and baselines whose mean is a further model; () for none.
    config.model = ml_collections.ConfigDict()
    config.model.network = ml_collections.ConfigDict({**NETWORK, "identity": "class"})
    config.model.no_class = ml_collections.ConfigDict({**NETWORK, "identity": "neuron"})

    config.train = base.training_on_worms(steps=600, weight_decay=3e-2, dropout=0.5, average_decay=0.98)
    config.train.window_frames = 32
    config.train.batch_windows = 16
    config.train.members = 2  # Networks whose reconstructions are averaged.
    config.train.hidden_shares = (0.05, 0.3)  # Smallest and largest share of the neurons hidden in training.
    config.train.mirrored = 0.5  # Share of the windows in which left and right neurons are exchanged.
    config.train.gain = 0.2
    config.train.offset = 0.2
    config.train.noise = 0.3
    return config
