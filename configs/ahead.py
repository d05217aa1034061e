"""The motor state up to 30 s ahead, in worms never seen; on simulated worms by default."""

import ml_collections

CONVOLUTION = {"kind": "temporal_convolution", "channels": 32, "dilations": (1, 2, 4, 8, 16)}
GRAPH = {"kind": "nri_graph", "channels": 32, "dilations": (1, 2, 4, 8, 16), "messages": True, "branch_scale": 0.3}


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.ahead --config=configs/ahead.py`."""
    config = ml_collections.ConfigDict()
    config.experiment = "ahead"
    config.seed = 0  # The first of `seeds` seeds.
    config.seeds = 1

    config.data = ml_collections.ConfigDict()
    config.data.study = "simulated"  # Or kato2015, nichols2017, dag2023, container.
    config.data.path = ""  # File or folder as downloaded.
    config.data.test_study = ""  # Of another study, for protocol.name "cross_study".
    config.data.test_path = ""
    config.data.neurons = "shared"  # Identified in all worms; or names, "AVAL,AVAR,...".
    config.data.states = "four"  # Or "two".
    config.data.inputs = ("trace", "causal_derivative")  # What sees the future is refused.
    config.data.derivative_seconds = (5.0,)
    config.data.trace_weight = 1.0
    config.data.scaling = "zscore"  # By the whole recording, as in published work; or calibration.
    config.data.calibration_seconds = 180.0
    config.data.frame_rate = 3.0  # Hertz; one for all worms, so that a second is as many frames in each.
    config.data.simulation = ml_collections.ConfigDict({"seed": 0, "worms": 3, "minutes": 10.0})

    config.protocol = ml_collections.ConfigDict()
    config.protocol.name = "leave_one_worm_out"  # Or subsets, cross_study.
    config.protocol.train_counts = ()  # Numbers of training worms; () takes all.

    config.split = ml_collections.ConfigDict()  # Of the training worms' frames.
    config.split.block = 512
    config.split.gap = 16
    config.split.validation_fraction = 0.0

    config.ahead = ml_collections.ConfigDict()
    config.ahead.seconds = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
    config.ahead.first = 32  # Frames before the first start of a stretch.
    config.ahead.every = 3

    config.linear = ml_collections.ConfigDict()  # Logistic regressions, alone and in front of chains.
    config.linear.offsets = (-24, -12, -6, -3, 0)  # Frames that they see; none of the future.
    config.linear.inverse_penalty = 0.003
    config.linear.frame_weights = (0.05, 0.1, 0.2, 0.4, 1.0)  # How much a chain lets a frame count; chosen of these.

    config.diffusion_map = ml_collections.ConfigDict()  # Brennan & Proekt 2019; defaults are theirs but where it says.
    config.diffusion_map.delays = 10
    config.diffusion_map.delay_frames = 2  # Ours.
    config.diffusion_map.smoothing_frames = 0.5
    config.diffusion_map.neighbours = 20
    config.diffusion_map.apart_frames = 10
    config.diffusion_map.noise_frames = 4
    config.diffusion_map.density_frames = 16.0
    config.diffusion_map.phase_bins = 125
    config.diffusion_map.resolution = 0.9  # Theirs, of another modularity: 1.2.
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

    # Any name → models or baselines whose probabilities are averaged; without one of them there is no pool.
    config.pools = ml_collections.ConfigDict({"graph_and_chain": ("nri_graph", "dwell_chain")})

    config.train = ml_collections.ConfigDict()
    config.train.steps = 500
    config.train.epochs = 0
    config.train.steps_per_chunk = 100
    config.train.window_frames = 96
    config.train.window_stride = 1
    config.train.batch_windows = 32
    config.train.learning_rate = 3e-3
    config.train.weight_decay = 3e-2
    config.train.schedule = "cosine"
    config.train.patience = 10
    config.train.clip_norm = 1.0
    config.train.average_decay = 0.99
    config.train.keep_best = False
    config.train.dropout = 0.3
    config.train.gain = 0.2
    config.train.offset = 0.3
    config.train.noise = 0.0
    config.train.neuron_dropout = 0.1
    config.train.temperature = 0.5
    config.train.kl_weight = 0.0
    config.train.edge_prior = ()
    config.train.members = 3  # Networks whose probabilities are averaged, each with its own initial parameters.
    config.train.placement = "runs"
    config.train.devices = 0
    config.train.runs_at_once = 0
    config.train.checkpoint_seconds = 60.0

    config.distributed = ml_collections.ConfigDict()  # Several processes that share out the runs, as jax.distributed.
    config.distributed.coordinator_address = ""  # HOST:PORT of the first process; "auto" asks Slurm, MPI or the TPU.
    config.distributed.num_processes = 1
    config.distributed.process_id = 0
    return config
