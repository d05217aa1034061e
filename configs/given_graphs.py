"""Networks that differ by the graph they are given: the wiring, the atlas, their rewirings, all edges or none.

`given_graphs:reconstruct` (hidden neurons, the default), `given_graphs:decode` (motor state and velocity) and
`given_graphs:forecast`, with `--config.data.study=dag2023 --config.data.path=FOLDER --config.data.atlas=FILE`. Without
the atlas, leave `atlas` out of `models`. Each graph has ten rewirings, "chemical_rewired_0" to "chemical_rewired_9".
"""

import ml_collections
from wormjax.configs import any_neurons, forecast, reconstruct

GRAPHS = ("chemical", "electrical", "both", "atlas", "learnt")
REWIRINGS = 10


def get_config(task: str = "reconstruct") -> ml_collections.ConfigDict:
    """The config of `wormjax TASK --config=given_graphs:TASK`; decode is that of `wormjax generalize`."""
    config = {"reconstruct": build_reconstruct, "decode": build_decode, "forecast": build_forecast}[task]()
    config.data.atlas = ""  # funatlas.h5, its arrays as .npz, or the folder; for a model with edges="atlas".
    network, config.model = config.model.given.to_dict(), ml_collections.ConfigDict()
    rewired = [f"{graph}:rewired:{number}" for graph in GRAPHS for number in range(REWIRINGS)]
    for edges in ("none", "complete", *GRAPHS, *rewired):
        config.model[edges.replace(":", "_")] = ml_collections.ConfigDict({**network, "graph": "given", "edges": edges})
    if task == "forecast":  # The same network, but sums over all pairs at once are faster than over a list of them.
        config.model.complete = ml_collections.ConfigDict({**network, "graph": "full"})
    # Also atlas, which is a file, and all rewirings.
    config.models = ("none", "complete", "chemical", "electrical", "both", "learnt")
    config.models += ("chemical_rewired_0", "electrical_rewired_0", "learnt_rewired_0")
    return config


def build_reconstruct() -> ml_collections.ConfigDict:
    """Return the config of hidden neurons, with the network that all graphs are given to."""
    config = reconstruct.get_config()
    config.baselines, config.mixture = ("ridge_pairs",), ()
    config.model.given = config.model.network.to_dict()
    return config


def build_decode() -> ml_collections.ConfigDict:
    """Return the config of decoding: messages by weights that all edges share, summed as they arrive.

    No linear decoder, which reads no graph, stands beside the network.
    """
    config = any_neurons.get_config()
    config.baselines, config.few_neurons.counts, config.calibration.durations = (), (), ()
    config.model.given = config.model.messages.to_dict() | {"aggregation": "mean", "refitted": 0.0}
    return config


def build_forecast() -> ml_collections.ConfigDict:
    """Return the config of forecasts without a linear drift, which would read all neurons whatever the graph."""
    config = forecast.get_config()
    config.data.neurons = "any"
    config.data.simulation.update({"worms": 4, "minutes": 6.0, "neurons": 24, "named": 0.7})
    config.protocol.name = "leave_one_worm_out"
    config.linear.orders, config.linear.ridges = (2,), (1e-2,)
    config.linear.adaptation.update({"order": 2, "weights": (3.0,), "ridges": (1e-2,), "block": 64})
    config.baselines = ("persistence", "ar_2")
    config.model.given = {**forecast.GRAPH, "drift": "none"}
    return config
