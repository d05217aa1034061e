"""The field's own models of worm dynamics beside the deep ones; on simulated worms by default."""

import ml_collections
from wormjax.configs import ahead, base, forecast, generalize

SHARED = ("seed", "seeds", "protocol", "distributed")  # The same for all three tasks.


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.manifold --config=configs/manifold.py`."""
    config = base.experiment("manifold")
    config.data = base.recordings(frame_rate=3.0)  # So that all tasks are scored on the same frames.
    config.protocol = base.protocol("leave_one_worm_out")  # Or subsets.

    config.components = ml_collections.ConfigDict()  # PCA of the derivatives (Kato et al. 2015).
    config.components.derivative_seconds = 5.0
    config.components.scaling = "none"  # Of the derivatives; or zscore, peak.
    config.components.gap_seconds = 30.0  # Least distance in time of a frame and the neighbours that vote on its state.

    config.relations = ml_collections.ConfigDict()  # Graphs from statistics of the traces.
    config.relations.methods = ("correlation", "lagged_correlation", "partial_correlation", "granger")
    config.relations.shifts = 200
    config.relations.lag = 6  # Frames.
    config.relations.order = 4

    config.toy = ml_collections.ConfigDict({"frames": 6000, "neighbours": 5, "delays": 5, "delay_frames": 10})

    # Varies one parameter of tasks.ahead.diffusion_map at a time; () leaves it out.
    config.sensitivity = ml_collections.ConfigDict()
    config.sensitivity.seconds = 5.0  # The horizon that is scored; one of tasks.ahead.ahead.seconds.
    config.sensitivity.parameters = ml_collections.ConfigDict()
    config.sensitivity.parameters.delays = (1, 3, 10, 20)
    config.sensitivity.parameters.delay_frames = (1, 2, 4)
    config.sensitivity.parameters.neighbours = (5, 20, 60)
    config.sensitivity.parameters.noise_frames = (1, 4, 10)
    config.sensitivity.parameters.phase_bins = (25, 125, 400)
    config.sensitivity.parameters.resolution = (0.6, 0.9, 1.2)

    config.tasks = ml_collections.ConfigDict()  # The configs of the other experiments.
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
    return config
