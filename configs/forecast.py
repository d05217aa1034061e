"""Forecasts of neural activity on worms never seen; on simulated worms by default."""

import ml_collections

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
    config = ml_collections.ConfigDict()
    config.experiment = "forecast"
    config.seed = 0  # The first of `seeds` seeds.
    config.seeds = 1

    config.data = ml_collections.ConfigDict()
    config.data.study = "simulated"  # Or kato2015, nichols2017, dag2023, container.
    config.data.path = ""  # File or folder as downloaded.
    config.data.test_study = ""  # Of another study, for protocol.name "cross_study".
    config.data.test_path = ""
    config.data.neurons = "shared"  # Identified in all worms; or names, "AVAL,AVAR,...".
    config.data.states = "four"  # By which errors are grouped; or "two".
    config.data.inputs = ("trace",)  # Or causal_derivative, too; what sees the future is refused.
    config.data.derivative_seconds = (5.0,)
    config.data.trace_weight = 1.0
    config.data.scaling = (
        "zscore"  # By the whole recording, as in published work; or calibration, by the first minutes.
    )
    config.data.calibration_seconds = 180.0
    config.data.frame_rate = 0.0  # Hertz; 0 keeps each worm's own frames.
    config.data.simulation = ml_collections.ConfigDict({"seed": 0, "worms": 3, "minutes": 10.0})

    config.protocol = ml_collections.ConfigDict()
    config.protocol.name = "subsets"  # Or leave_one_worm_out, cross_study.
    config.protocol.train_counts = ()  # Numbers of training worms; () takes all.

    config.split = ml_collections.ConfigDict()  # Of the training worms' frames.
    config.split.block = 256
    config.split.gap = 16
    config.split.validation_fraction = 0.25

    config.forecast = ml_collections.ConfigDict()
    config.forecast.first = 32  # Frames before the first start of a stretch.
    config.forecast.every = 16
    config.forecast.steps = 64
    config.forecast.scored = (*range(1, 17), 32, 64)

    config.linear = ml_collections.ConfigDict()  # Ridge vector autoregressions; all is chosen on training worms.
    config.linear.orders = (1, 2, 4, 8, 16)
    config.linear.ridges = (1e-3, 1e-2, 1e-1, 0.3)
    config.linear.adaptation = ml_collections.ConfigDict()  # Of var_adapted, which is also the networks' drift.
    config.linear.adaptation.order = 8
    config.linear.adaptation.weights = (3.0, 10.0, 30.0)  # How often each of the worm's own past frames counts.
    config.linear.adaptation.ridges = (1e-3, 1e-2)
    config.linear.adaptation.block = 16  # Frames between two estimates.

    config.baselines = ("persistence", "mean", "var_1", "var_2", "var_4", "var_8", "var_16", "var_adapted")
    # And var_known_worm, a bound: adapted to all of the worm but the frames around each forecast, the future too.
    config.models = ("nri_graph", "recurrent")  # Or any section of `model`.
    config.model = ml_collections.ConfigDict()  # Any name → a kind of network and its sizes.
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

    config.train = ml_collections.ConfigDict()
    config.train.steps = 300
    config.train.epochs = 0
    config.train.steps_per_chunk = 50
    config.train.burn_in = 16
    config.train.roll_out = 16
    config.train.window_stride = 1
    config.train.batch_windows = 32
    config.train.learning_rate = 2e-3
    config.train.weight_decay = 1e-1
    config.train.schedule = "cosine"
    config.train.patience = 10
    config.train.clip_norm = 1.0
    config.train.average_decay = 0.98
    config.train.keep_best = True
    config.train.dropout = 0.2
    config.train.offset = 0.4  # Disturbances of what a network is shown, in units of scaled features.
    config.train.noise = 0.2
    config.train.neuron_dropout = 0.0
    config.train.spread_weight = 0.05  # Of the likelihood beside the roll-out's error.
    config.train.given = 0.0  # Probability that a step goes on from the true frame: it goes to given_end
    config.train.given_end = 0.0
    config.train.given_until = 1.0  # over this share of the updates (scheduled sampling).
    config.train.temperature = 0.5
    config.train.kl_weight = 0.01
    config.train.edge_prior = (0.8, 0.2)
    config.train.placement = "runs"
    config.train.devices = 0
    config.train.runs_at_once = 0
    config.train.checkpoint_seconds = 60.0

    config.distributed = ml_collections.ConfigDict()  # Several processes that share out the runs, as jax.distributed.
    config.distributed.coordinator_address = ""  # HOST:PORT of the first process; "auto" asks Slurm, MPI or the TPU.
    config.distributed.num_processes = 1
    config.distributed.process_id = 0
    return config
