"""Train on Kato et al. (2015), test on Dag et al. (2023) without touching them, from any named neurons.

The settings are those of configs/generalize_cross_study.py, which reads only the neurons that all worms of both studies
share: changes weigh more than levels, and context is short. Dag's scores were seen when they were set. `least_worms`
and the share of silent neurons were chosen on Kato's worms alone, each left out once.
"""

import ml_collections
from wormjax.configs import any_neurons, generalize_cross_study


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.generalize --config=configs/any_neurons_cross_study.py`."""
    config = generalize_cross_study.get_config()
    config.data.neurons = "any"
    config.data.least_worms = 3
    config.decode.own_activity = True
    config.protocol.train_counts = (4,)
    config.baselines = ("linear_shared", "linear_union")
    config.models = ("any_neurons",)
    config.model = ml_collections.ConfigDict()
    config.model.any_neurons = ml_collections.ConfigDict({**any_neurons.NETWORK, "dilations": (1, 2), "kernel": 3})
    config.train.members = 5
    config.train.neuron_dropout, config.train.neuron_dropout_most = 0.0, 0.9
    return config
