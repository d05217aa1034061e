"""The field's own models of worm dynamics beside the deep ones; on simulated worms by default."""

import ml_collections
from wormjax.configs import ahead, forecast, generalize

SHARED = ("seed", "seeds", "protocol", "distributed")  # Said once, for all three tasks.


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.manifold --config=configs/manifold.py`."""
    config = ml_collections.ConfigDict()
    config.experiment = "manifold"
    config.seed = 0
    config.seeds = 1

    config.data = ml_collections.ConfigDict()
    config.data.study = "simulated"  # Or kato2015, nichols2017, dag2023, container.
    config.data.path = ""  # File or folder as downloaded.
    config.data.neurons = "shared"  # Identified in all worms; or names, "AVAL,AVAR,...".
    config.data.states = "four"
    config.data.scaling = "zscore"
    config.data.calibration_seconds = 180.0
    config.data.frame_rate = 3.0  # Hertz, so that all tasks are scored on the same frames.
    config.data.simulation = ml_collections.ConfigDict({"seed": 0, "worms": 3, "minutes": 10.0})

    config.protocol = ml_collections.ConfigDict()
    config.protocol.name = "leave_one_worm_out"  # Or subsets.
    config.protocol.train_counts = ()

    config.components = ml_collections.ConfigDict()  # PCA of the derivatives (Kato et al. 2015).
    config.components.derivative_seconds = 5.0
    config.components.scaling = "none"  # Of the derivatives; or zscore, peak.
    config.components.gap_seconds = 30.0  # Between a frame and the neighbours that tell its state.

    config.relations = ml_collections.ConfigDict()  # Graphs without a model.
    config.relations.methods = ("correlation", "lagged_correlation", "partial_correlation", "granger")
    config.relations.shifts = 200
    config.relations.lag = 6  # Frames.
    config.relations.order = 4

    config.toy = ml_collections.ConfigDict({"frames": 6000, "neighbours": 5, "delays": 5, "delay_frames": 10})

    # One parameter of tasks.ahead.diffusion_map at a time; () leaves it out.
    config.sensitivity = ml_collections.ConfigDict()
    config.sensitivity.seconds = 5.0  # The horizon that is scored, one of tasks.ahead.ahead.seconds.
    config.sensitivity.parameters = ml_collections.ConfigDict()
    config.sensitivity.parameters.delays = (1, 3, 10, 20)
    config.sensitivity.parameters.delay_frames = (1, 2, 4)
    config.sensitivity.parameters.neighbours = (5, 20, 60)
    config.sensitivity.parameters.noise_frames = (1, 4, 10)
    config.sensitivity.parameters.phase_bins = (25, 125, 400)
    config.sensitivity.parameters.resolution = (0.6, 0.9, 1.2)

    config.tasks = ml_collections.ConfigDict()  # The other experiments, whose sections mean what they mean there.
    for name, module in (("decode", generalize), ("forecast", forecast), ("ahead", ahead)):
        task = module.get_config()
        for field in SHARED:
            del task[field]
        for field in [field for field in task.data if field not in ("inputs", "derivative_seconds", "trace_weight")]:
            del task.data[field]
        config.tasks[name] = task
    config.tasks.decode.baselines = ("logistic_regression", "lda_context")
    config.tasks.decode.train.steps_per_chunk = 50
    config.tasks.forecast.models = ("nri_graph",)
    config.tasks.forecast.baselines = ("persistence", "mean", "var_8", "var_adapted")
    config.tasks.forecast.linear.orders = (8,)

    config.distributed = ml_collections.ConfigDict()  # Several processes that share out the runs, as jax.distributed.
    config.distributed.coordinator_address = ""  # HOST:PORT of the first process; "auto" asks Slurm, MPI or the TPU.
    config.distributed.num_processes = 1
    config.distributed.process_id = 0
    return config
