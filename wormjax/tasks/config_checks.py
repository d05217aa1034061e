"""What every field of a config must be, checked before anything is opened or computed: one line that names the field.

The limits are generous. They refuse what no machine holds, such as a hidden layer of 10⁹, not what yours does not; the
memory of a GPU or a CPU is the user's to know.
"""

import itertools
import math

import ml_collections

from wormjax.baselines.principal_components import DERIVATIVE_SCALINGS
from wormjax.baselines.relational_graphs import RELATIONS
from wormjax.errors import ConfigError
from wormjax.features import systems
from wormjax.features.dataset import INPUTS
from wormjax.features.scaling import SCALINGS
from wormjax.models.layers import PRECISIONS
from wormjax.models.nri import DECODERS, ENCODERS
from wormjax.recordings.motor_states import STATE_SETS
from wormjax.tasks.protocols import PROTOCOLS
from wormjax.training.objectives.nri_sampled import POSTERIORS, TASKS
from wormjax.training.parallel import PLACEMENTS, check_placement
from wormjax.training.step import SCHEDULES
from wormjax.value_checks import Kind, number, optional, several, show_value, text, truth, whole
from wormjax.value_checks import check_field as check_value

WIDEST, LONGEST, MOST_SEEDS = 16_384, 1_000_000, 1_000  # Channels of a layer; frames of a window; runs.
# Products of fields that fill a memory together, and the most that they may be.
PRODUCTS = {
    ("data.simulation.worms", "data.simulation.minutes"): 100_000,  # Ten thousand worms of ten minutes.
    ("train.batch_windows", "train.window_frames"): 1 << 24,
    ("seeds", "train.members"): 10_000,
    **{(f"data.simulations.{split}", "data.objects", "data.frames"): 1 << 31 for split in ("train", "valid", "test")},
    **{(f"data.simulations.{split}", "data.objects", "data.objects"): 1 << 31 for split in ("train", "valid", "test")},
    ("data.simulations.test", "data.objects", "data.test_frames"): 1 << 31,
    ("train.batch_simulations", "data.objects", "data.objects", "data.frames"): 1 << 31,
}

NAMES, POSITIVE, FROM_ZERO, SHARE = several(text(), once=True), number(above=0), number(0), number(0, 1)
FRACTION, SIZE = number(0, below=1), whole(1, WIDEST)
SECTION = Kind("a section of fields", lambda value: isinstance(value, ml_collections.ConfigDict), lambda value: None)

RUNS = {
    "seed": whole(0, 2_000_000_000),
    "seeds": whole(1, MOST_SEEDS),
    "distributed.coordinator_address": text(),
    "distributed.num_processes": whole(1, 100_000),
    "distributed.process_id": whole(0, 100_000),
}
GENERAL = {
    **RUNS,
    "models": NAMES,
    "baselines": NAMES,
    "train.steps": whole(),
    "train.steps_per_chunk": whole(1),
    "train.learning_rate": number(above=0, high=1_000),
    "train.weight_decay": FROM_ZERO,
    "train.schedule": text(SCHEDULES),
    "train.patience": whole(1),
    "train.clip_norm": FROM_ZERO,
    "train.average_decay": FRACTION,
    "train.keep_best": truth(),
    "train.temperature": POSITIVE,
    "train.kl_weight": FROM_ZERO,
    "train.placement": text(PLACEMENTS),
    "train.devices": whole(0, 10_000),
    "train.runs_at_once": whole(0, 100_000),
    "train.checkpoint_seconds": FROM_ZERO,
}
WORMS = {
    "data.study": text(),
    "data.path": text(),
    "data.neurons": text(longest=100_000),
    "data.states": text(STATE_SETS),
    "data.scaling": text(SCALINGS),
    "data.calibration_seconds": FROM_ZERO,
    "data.frame_rate": number(0, 1_000),
    "data.simulation.seed": whole(0, 2_000_000_000),
    "data.simulation.worms": whole(1, 10_000),
    "data.simulation.minutes": number(above=0, high=10_000),
    "protocol.name": text(PROTOCOLS),
    "protocol.train_counts": several(whole(1, 10_000)),
}
TRAINED_ON_WORMS = {
    "data.test_study": text(),
    "data.test_path": text(),
    "data.inputs": several(text(INPUTS), least=1, once=True),
    "data.derivative_seconds": several(number(above=0, high=10_000)),
    "data.trace_weight": POSITIVE,
    "split.block": whole(1, LONGEST),
    "split.gap": whole(0, LONGEST),
    "split.validation_fraction": FRACTION,
    "train.epochs": whole(0, 1_000_000),
    "train.window_stride": whole(1, LONGEST),
    "train.batch_windows": whole(1, 65_536),
    "train.dropout": FRACTION,
    "train.offset": FROM_ZERO,
    "train.noise": FROM_ZERO,
    "train.neuron_dropout": FRACTION,
    "train.edge_prior": several(number(above=0, high=1)),
}
CLASSIFIED = {
    "linear.inverse_penalty": FROM_ZERO,
    "train.window_frames": whole(1, LONGEST),
    "train.gain": FROM_ZERO,
    "train.members": whole(1, 1_000),
}
ROLLED_OUT = {
    "train.burn_in": whole(1, LONGEST),
    "train.roll_out": whole(1, LONGEST),
    "train.given": SHARE,
    "train.given_end": SHARE,
}
GENERALIZE = {
    "split.test_fraction": FRACTION,
    "decode.whole": truth(),
    "decode.own_statistics": truth(),
    "decode.state_durations": truth(),
    "linear.balanced": truth(),
    "train.label_smoothing": FRACTION,
    "train.class_balance": FROM_ZERO,
}
FORECAST = {
    "forecast.first": whole(1, LONGEST),
    "forecast.every": whole(1, LONGEST),
    "forecast.steps": whole(1, 10_000),
    "forecast.scored": several(whole(1, 10_000), most=10_000),
    "linear.orders": several(whole(1, 1_000)),
    "linear.ridges": several(POSITIVE),
    "linear.adaptation.order": whole(1, 1_000),
    "linear.adaptation.weights": several(POSITIVE),
    "linear.adaptation.ridges": several(POSITIVE),
    "linear.adaptation.block": whole(1, LONGEST),
    "train.spread_weight": FROM_ZERO,
    "train.given_until": POSITIVE,
}
AHEAD = {
    "ahead.seconds": several(number(above=0, high=100_000)),
    "ahead.first": whole(1, LONGEST),
    "ahead.every": whole(1, LONGEST),
    "linear.offsets": several(whole(-10_000, 10_000), once=True),
    "linear.frame_weights": several(POSITIVE),
    "diffusion_map.delays": whole(1, 10_000),
    "diffusion_map.delay_frames": whole(1, 10_000),
    "diffusion_map.smoothing_frames": number(0, 10_000),
    "diffusion_map.neighbours": whole(1, 100_000),
    "diffusion_map.apart_frames": whole(1, LONGEST),
    "diffusion_map.noise_frames": whole(1, LONGEST),
    "diffusion_map.density_frames": number(0, LONGEST),
    "diffusion_map.phase_bins": whole(1, 100_000),
    "diffusion_map.resolution": POSITIVE,
    "diffusion_map.attempts": whole(1, 100_000),
    "diffusion_map.cells": whole(1, 100_000),
    "diffusion_map.smallest_share": FRACTION,
    "diffusion_map.shortest_frames": whole(1, LONGEST),
}
MANIFOLD = {
    **RUNS,
    **WORMS,
    "components.derivative_seconds": number(above=0, high=10_000),
    "components.scaling": text(DERIVATIVE_SCALINGS),
    "components.gap_seconds": number(0, 100_000),
    "relations.methods": several(text(RELATIONS), least=1, once=True),
    "relations.shifts": whole(1, 1_000_000),
    "relations.lag": whole(1, 100_000),
    "relations.order": whole(1, 1_000),
    "toy.frames": whole(1, LONGEST),
    "toy.neighbours": whole(1, 100_000),
    "toy.delays": whole(1, 10_000),
    "toy.delay_frames": whole(1, 10_000),
    "sensitivity.seconds": POSITIVE,
    "sensitivity.parameters": SECTION,
}
INFER = {
    "data.system": text(),
    "data.path": text(),
    "data.suffix": text(),
    "data.cache": text(),
    "data.seed": whole(0, 2_000_000_000),
    "data.objects": whole(2, 1_000),
    "data.frames": whole(2, LONGEST),
    "data.test_frames": whole(2, LONGEST),
    "data.simulations.train": whole(1, 10_000_000),
    "data.simulations.valid": whole(1, 10_000_000),
    "data.simulations.test": whole(1, 10_000_000),
    "data.simulation": SECTION,
    "data.scaling": text(systems.SCALINGS),
    "model.edge_types": whole(0, 100),
    "model.skip_first": truth(),
    "model.precision": text(PRECISIONS),
    "model.encoder.name": text(ENCODERS),
    "model.encoder.hidden": SIZE,
    "model.encoder.differences": truth(),
    "model.encoder.relative": truth(),
    "model.encoder.kernels": several(whole(1, 10_000), least=2, most=2),
    "model.encoder.stride": whole(1, LONGEST),
    "model.encoder.pooling": whole(1, LONGEST),
    "model.encoder.rounds": whole(1, 100),
    "model.decoder.name": text(DECODERS),
    "model.decoder.hidden": SIZE,
    "model.decoder.relative": truth(),
    "model.decoder.differences": truth(),
    "model.decoder.code": whole(1, 1_000),
    "model.decoder.unseen": several(whole(0, 1_000)),
    "model.lstm_hidden": SIZE,
    "train.task": text(TASKS),
    "train.posterior": text(POSTERIORS),
    "train.baseline_steps": whole(),
    "train.batch_simulations": whole(1, 65_536),
    "train.segments": whole(1, 10_000),
    "train.decoded_frames": whole(0, LONGEST),
    "train.temperature_end": POSITIVE,
    "train.hard": truth(),
    "train.prior": several(SHARE),
    "train.kl_weight_end": POSITIVE,
    "train.kl_warm_up": SHARE,
    "train.free_bits": FROM_ZERO,
    "train.variance": FROM_ZERO,
    "train.variance_floor": FROM_ZERO,
    "train.degrees_of_freedom": FROM_ZERO,
    "train.offset_and_gain": FROM_ZERO,
    "train.roll_out_weight": FROM_ZERO,
    "train.turn_and_mirror": truth(),
    "evaluate.steps": several(whole(0, LONGEST)),
}
# Experiment → its fields. Where a config lacks one of OPTIONAL, the code has a default.
FIELDS: dict[str, dict[str, Kind]] = {
    "generalize": {**GENERAL, **WORMS, **TRAINED_ON_WORMS, **CLASSIFIED, "model": SECTION, **GENERALIZE},
    "forecast": {**GENERAL, **WORMS, **TRAINED_ON_WORMS, **ROLLED_OUT, "model": SECTION, **FORECAST},
    "ahead": {**GENERAL, **WORMS, **TRAINED_ON_WORMS, **CLASSIFIED, "model": SECTION, **AHEAD},
    "infer": {**GENERAL, **ROLLED_OUT, **INFER},
}
TASK_EXPERIMENTS = {"decode": "generalize", "forecast": "forecast", "ahead": "ahead"}  # Of a manifold config.
SAID_ONCE = frozenset(MANIFOLD) | {"data.test_study", "data.test_path"}  # For all tasks of a manifold config.
FIELDS["manifold"] = MANIFOLD | {
    f"tasks.{task}.{field}": kind
    for task, experiment in TASK_EXPERIMENTS.items()
    for field, kind in FIELDS[experiment].items()
    if field not in SAID_ONCE
}
OPTIONAL = ("train.epochs", "decode.own_statistics", *(field for field in RUNS if field.startswith("distributed.")))

# Sections whose members have names of the user's: what a field of this name is in any of them.
MODEL_SIZES = {
    **dict.fromkeys(("hidden", "channels", "node_hidden", "edge_hidden", "message_hidden", "encoder_hidden"), SIZE),
    **dict.fromkeys(("kernel", "embedding_kernel", "embedding", "modes"), whole(1, 1_000)),
    "edge_types": whole(1, 100),
    "dilations": several(whole(1, 10_000), most=100),
    "offsets": several(whole(-10_000, 10_000), most=1_000),
    **dict.fromkeys(("messages", "skip_first", "hard"), truth()),
    "branch_scale": number(),
    **dict.fromkeys(("kind", "drift", "graph", "base", "cell"), text()),
}
SIMULATION = {
    **dict.fromkeys(("strengths", "charges", "probabilities"), several(number(), most=100)),
    **dict.fromkeys(("noise", "stiffness", "strength", "location_scale", "speed"), FROM_ZERO),
    "frequencies": several(number(), least=2, most=2),
    "directed": truth(),
    "features": text(),
    "box": optional(POSITIVE),
    "chunk_size": optional(whole(1, 10_000_000)),
}


def check_fields(config, experiment: str) -> None:
    """Raises InputError for the first field of an experiment's config that is missing, or not of its type and range."""
    for field, kind in FIELDS[experiment].items():
        found, value = _find(config, field)
        if found or not field.endswith(OPTIONAL):
            check_value(field, value, kind)
    if experiment == "infer":
        _check_members(config.data.simulation, "data.simulation", SIMULATION)
    elif experiment == "manifold":
        parameters = config.sensitivity.parameters
        _check_members(parameters, "sensitivity.parameters", dict.fromkeys(parameters, several(number())))
        for task in TASK_EXPERIMENTS:
            _check_models(config.tasks[task], f"tasks.{task}.")
    else:
        _check_models(config)
    for fields, most in PRODUCTS.items():
        values = [value for found, value in (_find(config, field) for field in fields) if found]
        if len(values) == len(fields) and math.prod(values) > most:
            others = " and ".join(dict.fromkeys(f"{field} {_find(config, field)[1]:,}" for field in fields[1:]))
            found = f"found {values[0]:,} with {others}"
            raise ConfigError(fields[0], f"{found}, expected a product of at most {most:,}")


def _check_models(config, prefix=""):
    """The sections of `model` and the lists of `pools`, whose names are the user's."""
    for name, section in config.model.items():
        check_value(f"{prefix}model.{name}", section, SECTION)
        _check_members(section, f"{prefix}model.{name}", MODEL_SIZES)
    if "pools" in config:
        check_value(f"{prefix}pools", config.pools, SECTION)
        _check_members(config.pools, f"{prefix}pools", dict.fromkeys(config.pools, NAMES))


def _check_members(section, prefix, kinds):
    for name, value in section.items():
        if name in kinds:
            check_value(f"{prefix}.{name}", value, kinds[name])


def _find(config, field: str):
    """Whether a config has a field, and its value; InputError where a section on the way to it is none."""
    names = field.split(".")
    for depth, name in enumerate(names):
        if depth:
            check_value(".".join(names[:depth]), config, SECTION)
        if name not in config:
            return False, None
        config = config[name]
    return True, config


# What an exact posterior never reads: it samples no graph, and charges for the whole of it from the first update.
SAMPLED_ONLY = {"hard": False, "free_bits": 0.0, "temperature": 0.5, "temperature_end": 0.5, "kl_warm_up": 0.0}
BATCH_NORMALISED = ("wang_mlp", "wang_graph")


def list_inert_fields(config, experiment: str) -> list[tuple[str, str]]:
    """List the fields that a config sets and that have no effect in its experiment.

    Returns:
      (field, what to do) of each, for instance ("train.kl_weight", "0, or an 'edge_prior' to be near to").
    """
    inert = []
    if experiment == "infer":
        if config.train.posterior == "exact":
            inert += [
                (f"train.{name}", f"{value!r} with train.posterior='exact', which does not read it")
                for name, value in SAMPLED_ONLY.items()
                if config.train[name] != value
            ]
        return inert
    if config.train.kl_weight and not len(config.train.edge_prior):
        inert.append(("train.kl_weight", "0 without a 'train.edge_prior', which it weighs"))
    if experiment == "generalize":
        if config.decode.state_durations and config.protocol.name == "same_worm":
            inert.append(("decode.state_durations", "False with protocol.name='same_worm', which does not smooth"))
        if config.decode.own_statistics and not set(BATCH_NORMALISED) & set(config.models):
            needed = " or ".join(BATCH_NORMALISED)
            inert.append(("decode.own_statistics", f"False without a model that has batch normalisation ({needed})"))
    if experiment == "forecast":
        for name, section in config.model.items():
            graph = section.get("graph", "static")
            if "edge_types" in section and graph not in ("static", "dynamic"):
                inert.append((f"model.{name}.edge_types", f"no such field with graph={graph!r}, which infers no edges"))
    return inert


def refuse_inert_fields(config, experiment: str) -> None:
    """Raise InputError for the first field that is set and has no effect (`list_inert_fields`)."""
    for field, expected in list_inert_fields(config, experiment):
        value = _find(config, field)[1]
        raise ConfigError(field, f"found {show_value(value)}, which has no effect; expected {expected}")


def check_settings(config, experiment: str = "generalize") -> None:
    """Raises InputError for the first field of an experiment's config whose value cannot be used."""
    check_fields(config, experiment)
    if not config.train.steps and not config.train.get("epochs", 0):
        raise ConfigError("train.steps", "found 0, expected 1 or more where 'train.epochs' is 0")
    for field, needs in (("keep_best", config.train.keep_best), ("schedule", config.train.schedule == "plateau")):
        if needs and not config.split.validation_fraction:
            found = f"found {config.train[field]!r} with a split.validation_fraction of 0"
            raise ConfigError(f"train.{field}", f"{found}, expected frames to validate on")
    if "decode" in config and config.decode.get("own_statistics", False) and not config.decode.whole:
        raise ConfigError("decode.own_statistics", "found True, expected False where 'decode.whole' is False")
    refuse_inert_fields(config, experiment)
    check_placement(config.train.placement, config.train.devices, config.train.batch_windows)


def check_inference_settings(config) -> None:
    """As `check_settings`, for a config of neural relational inference on systems."""
    check_fields(config, "infer")
    refuse_inert_fields(config, "infer")
    if not config.train.steps:
        raise ConfigError("train.steps", "found 0, expected 1 or more")
    steps = tuple(config.evaluate.steps)
    if not steps or min(steps) < 1:
        raise ConfigError("evaluate.steps", f"found {show_value(steps)}, expected numbers of steps from 1")
    check_placement(config.train.placement, config.train.devices, config.train.batch_simulations, "batch_simulations")


def check_forecast_settings(config) -> None:
    """As `check_settings`, for a config of forecasts."""
    check_settings(config, "forecast")
    if config.train.roll_out > config.forecast.steps:
        found = f"found {config.train.roll_out}"
        raise ConfigError("train.roll_out", f"{found}, expected at most forecast.steps, {config.forecast.steps}")
    if config.protocol.name == "same_worm":
        expected = "expected subsets, leave_one_worm_out or cross_study for forecasts"
        raise ConfigError("protocol.name", f"found 'same_worm', {expected}")
    steps, scored = config.forecast.steps, tuple(config.forecast.scored)
    if not scored or max(scored) > steps:
        found = f"found {show_value(scored)}"
        raise ConfigError("forecast.scored", f"{found}, expected numbers from 1 to forecast.steps, {steps}")
    linear, adaptation = config.linear, config.linear.adaptation
    for field, values in (
        ("linear.orders", linear.orders),
        ("linear.ridges", linear.ridges),
        ("linear.adaptation.ridges", adaptation.ridges),
        ("linear.adaptation.weights", adaptation.weights),
    ):
        if not len(values):
            raise ConfigError(field, "found (), expected numbers above 0")


def check_ahead_settings(config) -> None:
    """As `check_settings`, for a config of the motor state ahead."""
    check_settings(config, "ahead")
    if config.protocol.name == "same_worm":
        expected = "expected subsets, leave_one_worm_out or cross_study for states ahead"
        raise ConfigError("protocol.name", f"found 'same_worm', {expected}")
    seconds = tuple(config.ahead.seconds)
    if not seconds or any(b <= a for a, b in itertools.pairwise(seconds)):
        found = f"found {show_value(seconds)}"
        raise ConfigError("ahead.seconds", f"{found}, expected increasing seconds above 0")
    offsets = tuple(config.linear.offsets)
    if not offsets or max(offsets) > 0:
        found = f"found {show_value(offsets)}"
        raise ConfigError("linear.offsets", f"{found}, expected frames from 0 backwards")
    if not len(config.linear.frame_weights):
        raise ConfigError("linear.frame_weights", "found (), expected numbers above 0")
    if not config.linear.inverse_penalty > 0:
        found = f"found {config.linear.inverse_penalty}"
        raise ConfigError("linear.inverse_penalty", f"{found}, expected more than 0")


def check_manifold_settings(config) -> None:
    """Raises InputError for the first of a manifold config's own fields whose value cannot be used; tasks are apart."""
    check_fields(config, "manifold")
    if config.protocol.name not in ("leave_one_worm_out", "subsets"):
        expected = "expected leave_one_worm_out or subsets"
        raise ConfigError("protocol.name", f"found {config.protocol.name!r}, {expected}")
