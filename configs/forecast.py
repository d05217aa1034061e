"""Forecasts of neural activity on worms never seen; on simulated worms by default."""

import ml_collections
from wormjax.configs import base

GRAPH = {
    "kind": "graph",
    "drift": "adapted",
    "hidden": 16,
    "message_hidden": 8,
    "encoder_hidden": 8,
    "embedding": 6,
    "modes": 1,
}
RECURRENT = {"kind": "recurrent", "drift": "adapted", "hidden": 32, "modes": 1}


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.forecast --config=configs/forecast.py`."""
    config = base.experiment("forecast")
    config.data = base.inputs("trace")  # Also causal_derivative; inputs that see the future are refused.
    config.protocol = base.protocol("subsets")

    config.split = ml_collections.ConfigDict()  # How the frames of the training worms are split.
    config.split.block = 256
    config.split.gap = 16
    config.split.validation_fraction = 0.25

    config.segment = ml_collections.ConfigDict()  # Of "within_recording": parts that train, then validate, then test.
    config.segment.frames = 1000
    config.segment.validation_fraction = 0.2
    config.segment.test_fraction = 0.2

    config.forecast = ml_collections.ConfigDict()
    config.forecast.first = 32  # Frames of a stretch before its first forecast origin.
    config.forecast.every = 16  # Frames from one forecast origin to the next.
    config.forecast.steps = 64
    config.forecast.scored = (*range(1, 17), 32, 64)

    config.linear = ml_collections.ConfigDict()  # Ridge autoregressions; every choice is made on training worms.
    config.linear.orders = (1, 2, 4, 8, 16)
    config.linear.ridges = (1e-3, 1e-2, 1e-1, 0.3)
    config.linear.adaptation = ml_collections.ConfigDict()  # Of var_adapted, which the networks also start from.
    config.linear.adaptation.order = 8
    config.linear.adaptation.weights = (3.0, 10.0, 30.0)  # Weights of each of the worm's own past frames.
    config.linear.adaptation.ridges = (1e-3, 1e-2)
    config.linear.adaptation.block = 16  # Frames between two re-estimates.

    config.baselines = ("persistence", "mean", "var_1", "var_2", "var_4", "var_8", "var_16", "var_adapted")
    # ar_16: each neuron from its own past. mixture: a weighted mean of all that do not adapt.
    # Also var_known_worm, a bound: adapted to the whole worm, its future included, except the frames around a forecast.
    config.baselines += ("ar_16", "mixture")
    config.models = ("nri_graph", "recurrent")  # Or any section of `model`.
    config.model = ml_collections.ConfigDict()  # Maps any name to a kind of network and its sizes.
    config.model.nri_graph = ml_collections.ConfigDict({**GRAPH, "graph": "static"})
    config.model.nri_dynamic = ml_collections.ConfigDict({**GRAPH, "graph": "dynamic"})
    config.model.nri_full = ml_collections.ConfigDict({**GRAPH, "graph": "full"})
    config.model.nri_random = ml_collections.ConfigDict({**GRAPH, "graph": "random"})
    config.model.node_wise = ml_collections.ConfigDict({**GRAPH, "graph": "none"})
    config.model.nri_mixture = ml_collections.ConfigDict({**GRAPH, "graph": "static", "modes": 3})
    config.model.nri_pooled = ml_collections.ConfigDict({**GRAPH, "graph": "static", "drift": "pooled"})
    config.model.nri_alone = ml_collections.ConfigDict({**GRAPH, "graph": "static", "drift": "none"})
    config.model.recurrent = ml_collections.ConfigDict(RECURRENT)
    config.model.recurrent_pooled = ml_collections.ConfigDict({**RECURRENT, "drift": "pooled"})
    config.model.mlp = ml_collections.ConfigDict({**RECURRENT, "kind": "mlp"})

    config.train = base.training_on_worms(steps=300, steps_per_chunk=50, learning_rate=2e-3, weight_decay=1e-1)
    config.train.average_decay = 0.98
    config.train.keep_best = True
    config.train.dropout = 0.2
    config.train.offset = 0.4
    config.train.noise = 0.2
    config.train.burn_in = 16
    config.train.roll_out = 16
    config.train.spread_weight = 0.05  # Weight of the likelihood beside the error of the roll-out.
    config.train.given = 0.0  # Scheduled sampling: the probability that a step starts from the true frame,
    config.train.given_end = 0.0  # which changes to this
    config.train.given_until = 1.0  # over this share of the updates.
    config.train.kl_weight = 0.01
    config.train.edge_prior = (0.8, 0.2)
    return config
