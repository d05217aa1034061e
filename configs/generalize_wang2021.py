"""The protocol and architectures of Wang, Sapra, George & Silva (2021), to be compared with the paper's table.

Two features a neuron, the bleach-corrected trace and the source's derivative, each scaled to [-1, 1] by its own minimum
and maximum; windows of 8 frames, shuffled, 70 % to train and 30 % to validate; classifiers per frame; Adam at 1e-3 with
plateau decay; 800 epochs, of which the best on validation is kept; unseen worms decoded whole. What the paper leaves
open and we chose: batches of 32 windows, drawn with replacement; the rate halves after 10 validations without a better
one.
"""

import ml_collections
from wormjax.configs import generalize


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.generalize --config=configs/generalize_wang2021.py`."""
    config = generalize.get_config()
    config.seeds = 1

    config.data.inputs = ("trace", "source_derivative")
    config.data.scaling = "minmax"
    config.split.block = 8
    config.split.gap = 0
    config.split.validation_fraction = 0.3
    config.linear.inverse_penalty = 0.0
    config.decode.whole = True

    config.baselines = ("logistic_regression",)
    config.models = ("wang_mlp", "wang_graph")
    config.model = ml_collections.ConfigDict()
    config.model.wang_mlp = ml_collections.ConfigDict({"hidden": 16})
    config.model.wang_graph = ml_collections.ConfigDict({"hidden": 16})

    config.train.steps = 0
    config.train.epochs = 800
    config.train.steps_per_chunk = 50
    config.train.window_frames = 8
    config.train.window_stride = 8
    config.train.batch_windows = 32
    config.train.learning_rate = 1e-3
    config.train.weight_decay = 0.0
    config.train.schedule = "plateau"
    config.train.clip_norm = 0.0
    config.train.average_decay = 0.0
    config.train.dropout = 0.0
    config.train.keep_best = True
    config.train.gain = 0.0
    config.train.offset = 0.0
    config.train.noise = 0.0
    config.train.neuron_dropout = 0.0
    config.train.members = 1
    return config
