"""Neural relational inference on Kuramoto oscillators; `:small` is for a laptop."""

import ml_collections
from wormjax.configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_kuramoto.py[:small]`."""
    config = nri_springs.get_defaults(variant)
    config.data.system = "kuramoto"
    config.data.simulation = ml_collections.ConfigDict({"strengths": (0.0, 1.0), "noise": 0.0, "features": "scaled"})
    config.data.scaling = "none"  # The features are already scaled, within each simulation.
    config.model.encoder.relative = False  # Differences of phases mean nothing to it.
    config.model.decoder.relative = False
    # Each oscillator's features are scaled by its own range, which its history shows. A decoder that reads dφ/dt has
    # little use for a graph; without it, the decoder needs the phases of the senders.
    config.model.decoder.name = "context"
    config.model.decoder.unseen = (0,)
    config.train.turn_and_mirror = False
    config.train.segments, config.train.burn_in = 47, 2  # All frames after the first two.
    config.train.offset_and_gain = 1.0  # Predictions are right up to these.
    config.train.kl_weight, config.train.kl_weight_end = 20.0, 1.0  # A poor decoder must not be sure of a graph.
    if variant == "small":
        config.data.simulations.valid = 256
        config.train.batch_simulations = 32
        config.train.baseline_steps = 2_000
        config.train.steps = 3_000
    return config
