"""The forecasters and the protocol of Wang, Sapra, George & Silva (2021), to be compared with the paper's curve.

x(t+1) = x(t) + f(x(t)) on min-max scaled features, hidden 256, a graph in every frame, scheduled sampling that falls
linearly until epoch 275 of 600, 70 % of short shuffled windows to train and 30 % to validate on 8-step roll-outs, 16
steps to test. One thing cannot be theirs: the source's derivative sees the future, a forecaster must not, so the second
feature is a causal derivative; the published errors are of the other. 600 epochs at hidden 256 are for a GPU.
"""

import ml_collections
from wormjax.configs import forecast


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.forecast --config=configs/forecast_wang2021.py`."""
    config = forecast.get_config()
    config.data.inputs = ("trace", "causal_derivative")
    config.data.derivative_seconds = (2.0,)
    config.data.scaling = "minmax"
    config.split.block = 10  # A frame to start from, one more that the shape of a window asks for, and 8 steps.
    config.split.gap = 0
    config.split.validation_fraction = 0.3

    config.forecast.steps = 16
    config.forecast.scored = tuple(range(1, 17))
    config.linear.orders = (1, 2, 4, 8)
    config.linear.adaptation.order = 1

    config.baselines = ("persistence", "mean", "var_1", "var_2", "var_4", "var_8", "var_adapted", "ar_8", "mixture")
    config.models = ("wang_graph", "wang_mlp")
    config.model = ml_collections.ConfigDict()
    config.model.wang_graph = ml_collections.ConfigDict({"kind": "wang_graph", "drift": "none", "hidden": 256})
    config.model.wang_mlp = ml_collections.ConfigDict({"kind": "wang_mlp", "drift": "none", "hidden": 256})

    config.train.steps = 0
    config.train.epochs = 600
    config.train.steps_per_chunk = 100
    config.train.burn_in = 1
    config.train.roll_out = 8
    config.train.window_stride = 10
    config.train.learning_rate = 1e-3
    config.train.weight_decay = 0.0
    config.train.schedule = "plateau"
    config.train.clip_norm = 0.0
    config.train.average_decay = 0.0
    config.train.dropout = 0.0
    config.train.offset = 0.0
    config.train.noise = 0.0
    config.train.spread_weight = 0.0
    config.train.given = 1.0
    config.train.given_end = 0.0
    config.train.given_until = 275 / 600
    config.train.kl_weight = 0.0
    config.train.edge_prior = ()
    return config
