"""Neural relational inference on Kuramoto oscillators; `:small` is for a laptop."""

import ml_collections

from configs import nri_springs


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_kuramoto.py[:small]`."""
    config = nri_springs.get_config(variant)
    config.data.system = "kuramoto"
    config.data.simulation = ml_collections.ConfigDict({"strengths": (0.0, 1.0), "noise": 0.0, "features": "scaled"})
    config.data.scaling = "none"  # The reference's features are scaled, each run by itself.
    config.model.encoder.relative = False  # A phase is not a place.
    config.model.decoder.relative = False
    # One frame does not tell where a phase goes; a decoder that sees two, or rolls out, needs the graph less.
    config.train.segments, config.train.roll_out = 16, 1
    if variant == "small":
        config.train.baseline_steps = 1_000
        config.train.steps = 8_000
    return config
