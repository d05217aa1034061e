"""The motor state up to 30 s ahead, in worms never seen; on simulated worms by default."""

import ml_collections
from wormjax.configs import base

CONVOLUTION = {"kind": "temporal_convolution", "channels": 32, "dilations": (1, 2, 4, 8, 16)}
GRAPH = {"kind": "nri_graph", "channels": 32, "dilations": (1, 2, 4, 8, 16), "messages": True, "branch_scale": 0.3}


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.ahead --config=configs/ahead.py`."""
    config = base.experiment("ahead")
    # One frame rate, so that a second has as many frames in every worm. Inputs that see the future are refused.
    config.data = base.inputs("trace", "causal_derivative", frame_rate=3.0)
    config.protocol = base.protocol("leave_one_worm_out")

    config.split = ml_collections.ConfigDict()  # How the frames of the training worms are split.
    config.split.block = 512
    config.split.gap = 16
    config.split.validation_fraction = 0.0

    config.ahead = ml_collections.ConfigDict()
    config.ahead.seconds = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
    config.ahead.first = 32  # Frames of a stretch before its first forecast origin.
    config.ahead.every = 3  # Frames from one forecast origin to the next.

    config.linear = ml_collections.ConfigDict()  # Logistic regressions, alone and before the chains.
    config.linear.offsets = (-24, -12, -6, -3, 0)  # Frames that they read, none of the future.
    config.linear.inverse_penalty = 0.003
    config.linear.frame_weights = (0.05, 0.1, 0.2, 0.4, 1.0)  # Of a frame in a chain; chosen on training worms.

    config.diffusion_map = ml_collections.ConfigDict()  # Brennan & Proekt 2019; theirs except where noted.
    config.diffusion_map.delays = 10
    config.diffusion_map.delay_frames = 2  # Ours.
    config.diffusion_map.smoothing_frames = 0.5
    config.diffusion_map.neighbours = 20
    config.diffusion_map.apart_frames = 10
    config.diffusion_map.noise_frames = 4
    config.diffusion_map.density_frames = 16.0
    config.diffusion_map.phase_bins = 125
    config.diffusion_map.resolution = 0.9  # Ours; theirs is 1.2, for another definition of modularity.
    config.diffusion_map.attempts = 10
    config.diffusion_map.cells = 100  # Ours.
    config.diffusion_map.smallest_share = 0.05  # Ours.
    config.diffusion_map.shortest_frames = 5

    config.baselines = (
        "frequencies",
        "persistence",
        "markov_chain",
        "dwell_chain",
        "logistic_regression",
        "diffusion_map",
        "persistence_known_state",
        "markov_chain_known_state",
        "dwell_chain_known_state",
    )
    config.models = ("nri_graph", "temporal_convolution", "nri_graph_known_state", "temporal_convolution_known_state")
    config.model = ml_collections.ConfigDict()  # Any name → a classifier, its sizes, and the chain that it corrects.
    config.model.nri_graph = ml_collections.ConfigDict({**GRAPH, "base": "none"})
    config.model.node_wise = ml_collections.ConfigDict({**GRAPH, "base": "none", "messages": False})
    config.model.temporal_convolution = ml_collections.ConfigDict({**CONVOLUTION, "base": "none"})
    config.model.recurrent = ml_collections.ConfigDict({"kind": "recurrent", "hidden": 32, "base": "none"})
    config.model.nri_graph_known_state = ml_collections.ConfigDict({**GRAPH, "base": "dwell_chain_known_state"})
    config.model.temporal_convolution_known_state = ml_collections.ConfigDict(
        {**CONVOLUTION, "base": "dwell_chain_known_state"}
    )

    # Maps any name to models or baselines whose probabilities are averaged. A pool that lacks one of them is left out.
    config.pools = ml_collections.ConfigDict({"graph_and_chain": ("nri_graph", "dwell_chain")})

    config.train = base.classification(steps=500, window_frames=96, weight_decay=3e-2, dropout=0.3, members=3)
    return config
