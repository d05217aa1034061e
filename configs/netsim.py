"""Amortised causal discovery on Netsim (Smith et al. 2011): directed edges in simulated functional MRI of subjects."""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/netsim.py[:small] --config.data.path=FOLDER`.

    FOLDER holds files `sim3_subject_NUMBER.npz` (wormjax.simulation.subject_files). The first 20 train, the next 4
    choose the encoder that is kept, the last 6 test; `data.fold` = 1, 2, ... tests others. No graph is given to train.
    """
    config = nri_springs.get_defaults(variant)
    config.data.system = "sim3"
    config.data.simulations = ml_collections.ConfigDict({"train": 20, "valid": 4, "test": 6})
    config.data.objects, config.data.frames, config.data.test_frames = 15, 200, 200
    config.data.longest_period = 42.7  # 128 s of frames every 3 s, the usual high-pass filter of functional MRI.
    config.data.scaling = "none"
    config.model.encoder.differences = False
    config.model.encoder.relative = False
    config.model.encoder.rounds = 1
    config.model.encoder.hidden = 16 if variant == "small" else 64
    config.model.encoder.stride = 1
    config.model.decoder.name = "none"
    config.models = ("nri",)
    config.baselines = (
        "correlation",
        "partial_correlation",
        "graphical_lasso",
        "lagged_correlation",
        "lagged_regression",
        "granger",
        "pairwise_direction",
    )
    config.train.posterior = "pairwise"
    config.train.turn_and_mirror = False
    config.train.segments = 1
    config.train.batch_simulations = 4
    config.train.learning_rate = 1e-2 if variant == "small" else 3e-3
    config.train.steps = 300 if variant == "small" else 2_000
    config.train.steps_per_chunk = 50
    return config
