"""Hidden neurons, reconstructed by messages on given graphs: the wiring, the atlas, their rewirings, all edges or none.

`--config.data.study=dag2023 --config.data.path=FOLDER --config.data.atlas=FILE`; without the atlas, take `atlas` out of
`models`. All networks are alike but for the graph.
"""

import ml_collections
from wormjax.configs import reconstruct

GRAPHS = ("chemical", "electrical", "both", "atlas")
REWIRINGS = 10


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.reconstruct --config=configs/reconstruct_given_graphs.py`."""
    config = reconstruct.get_config()
    config.data.atlas = ""  # funatlas.h5, its arrays as .npz, or the folder; for a model with edges="atlas".
    config.baselines, config.mixture = ("ridge_pairs",), ()
    network = config.model.network.to_dict() | {"graph": "given"}
    config.model = ml_collections.ConfigDict()
    rewired = [f"{graph}:rewired:{number}" for graph in ("chemical", "electrical") for number in range(REWIRINGS)]
    for edges in ("none", "complete", *GRAPHS, *rewired):
        config.model[edges.replace(":", "_")] = ml_collections.ConfigDict({**network, "edges": edges})
    config.models = ("none", "complete", "chemical", "electrical", "both")
    config.models += ("chemical_rewired_0", "electrical_rewired_0")  # And atlas, and rewired up to 9.
    return config
