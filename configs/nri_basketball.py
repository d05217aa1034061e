"""Neural relational inference on basketball: 30 frames (6 s) seen, 20 predicted, in feet. `:small` is for two cores.

python -m experiments.infer --config=configs/nri_basketball.py:small --config.data.path=nba
"""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_basketball.py[:small]`.

    Ten players are predicted from the players and the ball. The future of the ball is unknown unless
    --config.model.decoder.given='("ball",)'.
    """
    config = nri_springs.get_defaults(variant)
    small = variant == "small"
    config.data.system = "basketball"
    config.data.frames, config.data.test_frames = 30, 50
    config.data.stride, config.data.train_stride = 5, 2
    config.data.scaling = "features"

    config.model.edge_types = 2
    config.model.encoder.name = "mlp"
    config.model.encoder.hidden = 32 if small else 128
    config.model.encoder.stride = 3
    config.model.decoder.name = "horizon"
    config.model.decoder.hidden = 64 if small else 256
    config.linear.lags = (1, 2, 4, 8, 16, 23)
    config.linear.joint = False

    config.models = ("nri", "lstm")
    config.baselines = ("static", "constant_velocity", "damped_velocity", "var", "ridge")
    config.train.posterior = "sampled"
    config.train.learning_rate = 2e-3 if small else 5e-4
    config.train.steps = 2_000 if small else 20_000
    config.train.baseline_steps = 1_000 if small else 20_000
    config.train.steps_per_chunk = 100 if small else 500
    config.train.batch_simulations = 32
    config.train.turn_and_mirror = False
    config.train.mirror = True
    config.train.segments = 1
    config.train.weight_decay = 1e-2

    config.evaluate.steps = (1, 5, 10, 20)
    config.evaluate.error = "distance"
    config.evaluate.futures = 20
    config.evaluate.unscored = ("ball",)
    return config
