"""Neural relational inference on motion capture: 50 frames seen, 49 predicted. `:small` is for two cores.

python -m experiments.infer --config=configs/nri_motion.py:small --config.data.path=cmu35_walk_xyz.npz
"""

import ml_collections
from wormjax.configs import nri_basketball


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_motion.py[:small]`.

    The trials are those of subject 35 of CMU motion capture in Kipf, Fetaya et al. (2018). For other files of trials
    change `data.trials`, or leave its lists empty.
    """
    config = nri_basketball.get_config(variant)
    config.data.system = "motion"
    config.data.frames, config.data.test_frames = 50, 99
    config.data.stride = 10
    config.data.stretches = (1.1,)  # A slightly slower walk looks alike.
    config.data.trials.train = tuple(f"35_{number:02d}" for number in range(1, 17))
    config.data.trials.valid = ("35_28", "35_29")
    config.data.trials.test = ("35_30", "35_31")
    config.model.decoder.rounds = 1
    config.linear.joint, config.linear.centred = True, True
    config.train.mirror = False
    if variant == "small":
        config.train.steps = 1_500
    config.evaluate.steps = (1, 10, 20, 49)
    config.evaluate.error = "mse"
    config.evaluate.futures = 0
    config.evaluate.unscored = ()
    return config
