"""Neural relational inference on motion capture: 50 frames seen, 49 predicted. `:small` is for two cores.

python -m experiments.infer --config=configs/nri_motion.py:small --config.data.path=cmu35_walk_xyz.npz
"""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_motion.py[:small]`.

    The trials are those of subject 35 of CMU motion capture in Kipf, Fetaya et al. (2018). For other files of trials
    change `data.trials`, or leave its lists empty.
    """
    config = nri_springs.get_config(variant)
    small = variant == "small"
    config.data.system = "motion"
    config.data.frames, config.data.test_frames = 50, 99
    config.data.stride, config.data.train_stride = 10, 2
    config.data.stretches = (1.1,)  # Who walks a little slower moves alike.
    config.data.scaling = "features"
    config.data.trials.train = tuple(f"35_{number:02d}" for number in range(1, 17))
    config.data.trials.valid = ("35_28", "35_29")
    config.data.trials.test = ("35_30", "35_31")

    config.model.edge_types = 2
    config.model.encoder.name = "mlp"
    config.model.encoder.hidden = 32 if small else 128
    config.model.encoder.stride = 3
    config.model.decoder.name = "horizon"
    config.model.decoder.hidden = 64 if small else 256
    config.model.decoder.rounds = 1
    config.linear.lags = (1, 2, 4, 8, 16, 23)
    config.linear.centred = True

    config.models = ("nri", "lstm")
    config.baselines = ("static", "constant_velocity", "damped_velocity", "var", "ridge")
    config.train.posterior = "sampled"
    config.train.learning_rate = 2e-3 if small else 5e-4
    config.train.steps = 1_500 if small else 20_000
    config.train.baseline_steps = 1_000 if small else 20_000
    config.train.steps_per_chunk = 100 if small else 500
    config.train.batch_simulations = 32
    config.train.turn_and_mirror = False
    config.train.segments = 1
    config.train.weight_decay = 1e-2

    config.evaluate.steps = (1, 10, 20, 49)
    return config
