"""Checks of a config's numbers, before anything is opened or computed: one line that names the field."""

import itertools
from collections.abc import Callable
from typing import Any

from wormjax.baselines.principal_components import DERIVATIVE_SCALINGS
from wormjax.baselines.relational_graphs import RELATIONS
from wormjax.errors import InputError
from wormjax.training.elbo import TASKS
from wormjax.training.parallel import check_placement
from wormjax.training.step import SCHEDULES

# What a field must be, in words → the test of it, and the fields.
RULES: dict[str, tuple[Callable[[Any], bool], tuple[str, ...]]] = {
    "1 or more": (
        lambda value: value >= 1,
        (
            "seeds",
            "split.block",
            "train.steps_per_chunk",
            "train.patience",
            "train.window_frames",
            "train.window_stride",
            "train.batch_windows",
            "train.members",
            "train.batch_simulations",
            "train.segments",
            "train.burn_in",
            "train.roll_out",
            "data.objects",
            "data.simulations.train",
            "data.simulations.valid",
            "data.simulations.test",
            "model.encoder.hidden",
            "model.encoder.stride",
            "model.encoder.pooling",
            "model.encoder.rounds",
            "model.decoder.hidden",
            "model.lstm_hidden",
            "forecast.first",
            "forecast.every",
            "forecast.steps",
            "linear.adaptation.order",
            "linear.adaptation.block",
            "ahead.first",
            "ahead.every",
            "diffusion_map.delays",
            "diffusion_map.delay_frames",
            "diffusion_map.neighbours",
            "diffusion_map.apart_frames",
            "diffusion_map.noise_frames",
            "diffusion_map.phase_bins",
            "diffusion_map.attempts",
            "diffusion_map.cells",
            "diffusion_map.shortest_frames",
            "relations.shifts",
            "relations.lag",
            "relations.order",
            "toy.frames",
            "toy.neighbours",
            "toy.delays",
            "toy.delay_frames",
        ),
    ),
    "0 or more": (
        lambda value: value >= 0,
        (
            "seed",
            "split.gap",
            "train.steps",
            "train.epochs",
            "train.devices",
            "train.runs_at_once",
            "train.weight_decay",
            "train.clip_norm",
            "train.noise",
            "train.gain",
            "train.offset",
            "train.kl_weight",
            "train.checkpoint_seconds",
            "train.baseline_steps",
            "train.decoded_frames",
            "train.free_bits",
            "train.variance",
            "train.variance_floor",
            "train.degrees_of_freedom",
            "train.spread_weight",
            "train.class_balance",
            "data.calibration_seconds",
            "linear.inverse_penalty",
            "model.edge_types",
            "diffusion_map.smoothing_frames",
            "diffusion_map.density_frames",
            "components.gap_seconds",
        ),
    ),
    "more than 0": (
        lambda value: value > 0,
        (
            "train.learning_rate",
            "train.temperature",
            "train.temperature_end",
            "train.given_until",
            "train.kl_weight_end",
            "data.trace_weight",
            "diffusion_map.resolution",
            "components.derivative_seconds",
        ),
    ),
    "from 0 to 1": (lambda value: 0 <= value <= 1, ("train.given", "train.given_end", "train.kl_warm_up")),
    "0 or more and less than 1": (
        lambda value: 0 <= value < 1,
        (
            "split.validation_fraction",
            "split.test_fraction",
            "train.dropout",
            "train.neuron_dropout",
            "train.average_decay",
            "train.label_smoothing",
            "diffusion_map.smallest_share",
        ),
    ),
    f"one of {', '.join(SCHEDULES)}": (lambda value: value in SCHEDULES, ("train.schedule",)),
    f"one of {', '.join(DERIVATIVE_SCALINGS)}": (lambda value: value in DERIVATIVE_SCALINGS, ("components.scaling",)),
    f"some of {', '.join(RELATIONS)}": (
        lambda names: len(names) > 0 and set(names) <= set(RELATIONS),
        ("relations.methods",),
    ),
    "each name once": (
        lambda names: len(set(names)) == len(names),
        ("models", "baselines", "relations.methods"),
    ),
}


def check_settings(config) -> None:
    """Raises InputError for the first field of a config whose value cannot be used."""
    _check_rules(config)
    if not config.train.steps and not config.train.get("epochs", 0):
        raise InputError("config field 'train.steps': found 0, expected 1 or more where 'train.epochs' is 0")
    for field, needs in (("keep_best", config.train.keep_best), ("schedule", config.train.schedule == "plateau")):
        if needs and not config.split.validation_fraction:
            found = f"found {config.train[field]!r} with a split.validation_fraction of 0"
            raise InputError(f"config field 'train.{field}': {found}, expected frames to validate on")
    decode = config.get("decode")
    if decode is not None and decode.get("own_statistics", False) and not decode.whole:
        raise InputError(
            "config field 'decode.own_statistics': found True, expected False where 'decode.whole' is False"
        )
    check_placement(config.train.placement, config.train.devices, config.train.batch_windows)


def check_inference_settings(config) -> None:
    """As `check_settings`, for a config of neural relational inference on systems."""
    _check_rules(config)
    if not config.train.steps:
        raise InputError("config field 'train.steps': found 0, expected 1 or more")
    steps = tuple(config.evaluate.steps)
    if not steps or min(steps) < 1:
        raise InputError(f"config field 'evaluate.steps': found {steps}, expected numbers of steps from 1")
    if config.train.task not in TASKS:
        expected = f"expected one of {', '.join(TASKS)}"
        raise InputError(f"config field 'train.task': found {config.train.task!r}, {expected}")
    check_placement(config.train.placement, config.train.devices, config.train.batch_simulations, "batch_simulations")


def check_forecast_settings(config) -> None:
    """As `check_settings`, for a config of forecasts."""
    check_settings(config)
    if config.train.roll_out > config.forecast.steps:
        found = f"found {config.train.roll_out}"
        raise InputError(
            f"config field 'train.roll_out': {found}, expected at most forecast.steps, {config.forecast.steps}"
        )
    if config.protocol.name == "same_worm":
        expected = "expected subsets, leave_one_worm_out or cross_study for forecasts"
        raise InputError(f"config field 'protocol.name': found 'same_worm', {expected}")
    steps, scored = config.forecast.steps, tuple(config.forecast.scored)
    if not scored or min(scored) < 1 or max(scored) > steps:
        found = f"found {scored}"
        raise InputError(f"config field 'forecast.scored': {found}, expected numbers from 1 to forecast.steps, {steps}")
    linear, adaptation = config.linear, config.linear.adaptation
    for field, values in (
        ("linear.orders", linear.orders),
        ("linear.ridges", linear.ridges),
        ("linear.adaptation.ridges", adaptation.ridges),
        ("linear.adaptation.weights", adaptation.weights),
    ):
        if not len(values) or min(values) <= 0:
            raise InputError(f"config field {field!r}: found {tuple(values)}, expected numbers above 0")


def check_ahead_settings(config) -> None:
    """As `check_settings`, for a config of the motor state ahead."""
    check_settings(config)
    if config.protocol.name == "same_worm":
        expected = "expected subsets, leave_one_worm_out or cross_study for states ahead"
        raise InputError(f"config field 'protocol.name': found 'same_worm', {expected}")
    seconds = tuple(config.ahead.seconds)
    if not seconds or min(seconds) <= 0 or any(b <= a for a, b in itertools.pairwise(seconds)):
        raise InputError(f"config field 'ahead.seconds': found {seconds}, expected increasing seconds above 0")
    offsets, weights = tuple(config.linear.offsets), tuple(config.linear.frame_weights)
    if not offsets or max(offsets) > 0:
        raise InputError(f"config field 'linear.offsets': found {offsets}, expected frames from 0 backwards")
    if not weights or min(weights) <= 0:
        raise InputError(f"config field 'linear.frame_weights': found {weights}, expected numbers above 0")
    if not config.linear.inverse_penalty > 0:
        found = f"found {config.linear.inverse_penalty}"
        raise InputError(f"config field 'linear.inverse_penalty': {found}, expected more than 0")


def check_manifold_settings(config) -> None:
    """Raises InputError for the first of a manifold config's own fields whose value cannot be used; tasks are apart."""
    _check_rules(config)
    if config.protocol.name not in ("leave_one_worm_out", "subsets"):
        expected = "expected leave_one_worm_out or subsets"
        raise InputError(f"config field 'protocol.name': found {config.protocol.name!r}, {expected}")


def _check_rules(config):
    for expected, (holds, fields) in RULES.items():
        for field in fields:
            value = _find(config, field)
            if value is not None and not holds(value):
                raise InputError(f"config field {field!r}: found {value!r}, expected {expected}")


def _find(config, field: str):
    """The value of a field by its full name; None where this config has no such field."""
    for name in field.split("."):
        config = config.get(name)
        if config is None:
            return None
    return config
