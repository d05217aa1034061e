"""One decoder over all named neurons of all worms: motor state and velocity of worms never seen.

Worms share few named neurons; this takes any. Each worm is left out once; `--config.data.study=dag2023` and
`--config.data.path=FOLDER` take the worms of Dag et al. (2023).

What is decoded is refined by the activity of all of the tested worm's neurons, named or not, without its labels; rows
"without own activity" are not. The network's settings were chosen by inner folds of Dag's worms, trained on two and
tested on a third; all twelve together, so that the choice for a worm was not made without it.
"""

import ml_collections
from wormjax.configs import base, generalize

# A linear decoder refitted to the worm's neurons counts as much as the network where there are eight, more with fewer.
NETWORK = {"kind": "any_neurons", "graph": "none", "identity": "class", "embedding": 16, "node_hidden": 16}
NETWORK |= {"refitted": 8.0}


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.generalize --config=configs/any_neurons.py`."""
    config = generalize.get_config()
    config.data = base.inputs("trace", "smoothed_derivative")
    config.data.neurons = "any"
    config.data.states = "two"
    config.data.targets = ("motor_state", "velocity")
    config.data.edges = ""
    config.data.derivative_seconds = (3.0, 10.0)
    config.data.simulation.update({"worms": 4, "minutes": 6.0, "neurons": 24, "named": 0.7})
    config.protocol.name = "leave_one_worm_out"
    config.decode.own_activity = True

    config.few_neurons.counts = (1, 2, 4, 8, 16, 32, 1000)
    config.few_neurons.orders = 10  # With 3, scores of 1 to 16 neurons depend on the orders.
    config.calibration.durations = (30.0, 60.0, 120.0, 240.0)
    config.linear.inverse_penalty = 0.001
    config.baselines = ("linear_shared", "linear_union", "linear_pairs")
    config.models = ("any_neurons", "messages", "no_class", "no_identity")  # Or any section of `model`.
    config.model = ml_collections.ConfigDict()
    config.model.any_neurons = ml_collections.ConfigDict(NETWORK)
    config.model.messages = ml_collections.ConfigDict({**NETWORK, "graph": "complete", "aggregation": "sum"})
    inferred = {**NETWORK, "graph": "inferred", "aggregation": "sum"}
    config.model.inferred = ml_collections.ConfigDict(inferred)  # Six times as slow.
    config.model.no_class = ml_collections.ConfigDict({**NETWORK, "identity": "neuron"})
    # A linear decoder knows its neurons by name.
    config.model.no_identity = ml_collections.ConfigDict({**NETWORK, "identity": "none", "refitted": 0.0})

    config.train.steps = 200
    config.train.members = 2
    config.train.learning_rate = 1e-2
    config.train.weight_decay = 0.3
    config.train.average_decay = 0.98
    config.train.gain = 0.5
    config.train.neuron_dropout, config.train.neuron_dropout_most = 0.0, 0.9  # For worms with few named neurons.
    return config
