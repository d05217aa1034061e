"""Check every field of a config before anything is opened or computed: one line names the field.

The shipped configs say which fields there are, and by their defaults of which type; `KINDS` has the narrower ranges.
Limits are generous. They refuse what no machine holds, such as a hidden layer of 10⁹, not what yours does not.
"""

import math
from typing import Any

from ml_collections import ConfigDict

from wormjax.baselines.principal_components import DERIVATIVE_SCALINGS
from wormjax.baselines.relational_graphs import RELATIONS
from wormjax.configs import ahead, forecast, generalize, manifold, neuron_graphs, nri_springs, reconstruct
from wormjax.errors import ConfigError
from wormjax.features.dataset import INPUTS
from wormjax.features.missing import MISSING
from wormjax.features.scaling import SCALINGS
from wormjax.features.system_scaling import SCALINGS as SYSTEM_SCALINGS
from wormjax.models.aggregation import AGGREGATIONS
from wormjax.models.edge_evidence import SHOWN
from wormjax.models.layers import PRECISIONS
from wormjax.models.nri import DECODERS, ENCODERS
from wormjax.recordings.motor_states import OWN, STATE_SETS
from wormjax.recordings.names import NEURONS
from wormjax.scoring.frame_errors import ERRORS
from wormjax.tasks.config_conflicts import get_field, list_conflicts
from wormjax.tasks.protocols import PROTOCOLS
from wormjax.training.objectives.system_batches import POSTERIORS, TASKS
from wormjax.training.parallel import PLACEMENTS, check_placement
from wormjax.training.step import SCHEDULES
from wormjax.value_checks import (
    LARGEST_NUMBER,
    Kind,
    check_value,
    number,
    optional,
    several,
    show_value,
    text,
    truth,
    whole,
)

DEFAULTS = {
    "generalize": generalize.get_config(),
    "forecast": forecast.get_config(),
    "ahead": ahead.get_config(),
    "manifold": manifold.get_config(),
    "reconstruct": reconstruct.get_config(),
    "relate": neuron_graphs.get_config(),
    "infer": nri_springs.get_config(),
}
# Where a config lacks one, the code has a default.
OPTIONAL = set(
    "distributed combinations mutual epochs own_statistics pools targets edges data.atlas adaptation_steps "
    "adaptation_rate fold longest_period shuffle_objects aggregation additive data.hidden model.strengths triangles "
    "beliefs cross_fitted".split()
)
# Sections whose members have names of the user's, by experiment and field.
_TASKS = ("generalize", "forecast", "ahead", "reconstruct", "tasks.decode", "tasks.forecast", "tasks.ahead")
FREE = tuple(f"{task}.{section}" for task in (*_TASKS, "tasks.reconstruct") for section in ("model", "pools"))
FREE += ("infer.data.simulation", "sensitivity.parameters")
MAY_BE_EMPTY = set(
    "models baselines derivative_seconds edge_prior studies paths counts durations mixture stretches unscored shares "
    "given".split()
)
SECTION = Kind("a section of fields", lambda value: isinstance(value, ConfigDict))
ANY_NUMBER = number(-LARGEST_NUMBER)

# Kind → the fields that it is of, by the last words of their names: of a list its items', unless the kind is a list.
# All others have the kind of their default: whole numbers and numbers from 0 on, strings, true and false.
_KINDS = (
    (whole(0, 100), "infer.model.edge_types triangles"),
    (whole(0, 1_000), "unseen data.hidden"),
    (whole(0, 10_000), "futures"),
    (whole(0, 100_000), "rewirings permutations relate.nulls.shifts"),
    (whole(0, 1_000_000), "gap epochs decoded_frames data.stride train_stride adaptation_steps"),
    (whole(1), "steps_per_chunk patience evaluate.steps"),
    (whole(1, len(NEURONS)), "data.simulation.neurons"),
    (whole(1, len(SHOWN)), "beliefs"),
    (whole(1, 100), "rounds edge_types"),
    (whole(1, 1_000), "seeds members order orders code kernel embedding_kernel embedding modes"),
    (whole(1, 10_000), "counts worms least_worms train_counts forecast.steps scored delays delay_frames segments lags"),
    (whole(1, 10_000), "combinations"),
    (whole(1, 16_384), "hidden channels node_hidden edge_hidden message_hidden encoder_hidden lstm_hidden"),
    (whole(1, 65_536), "batch_windows batch_simulations"),
    (whole(1, 100_000), "num_processes neighbours phase_bins attempts cells lag"),
    (whole(1, 1_000_000), "block segment.frames window_stride window_frames burn_in roll_out first every stride"),
    (whole(1, 1_000_000), "apart_frames noise_frames shortest_frames toy.frames pooling shifts starts report.edges"),
    (whole(1, 10_000_000), "train valid test"),
    (optional(whole(1, 10_000_000)), "chunk_size"),
    (whole(2, 1_000), "objects"),
    (whole(2, 1_000_000), "data.frames test_frames"),
    (whole(10, 100_000), "draws"),
    (several(whole(1, 10_000), most=100), "dilations"),
    (several(whole(1, 10_000), 2, 2), "kernels"),
    (several(whole(-10_000, 10_000)), "offsets"),
    (number(), "stiffness strength location_scale speed refitted"),
    (number(0, 1), "mirrored given given_end prior kl_warm_up"),
    (number(0, below=1), "test_fraction validation_fraction average_decay dropout label_smoothing"),
    (number(0, below=1), "smallest_share test_study_share neuron_dropout neuron_dropout_most"),
    (number(0, 1_000), "frame_rate"),
    (number(0, 10_000), "smoothing_frames"),
    (number(0, 1_000_000), "gap_seconds density_frames"),
    (number(above=0), "temperature temperature_end trace_weight ridges penalties weights frame_weights resolution"),
    (number(above=0), "ridge ridge_penalty granger_ridge target_weight class_worms kl_weight_end held_seconds"),
    (number(above=0), "perturbation.seconds"),
    (optional(number(above=0)), "box"),
    (number(above=0, high=1), "edge_prior given_until named shrinkage shrinkages shares"),
    (number(above=0, high=100), "stretches"),
    (number(above=0, high=1_000), "learning_rate adaptation_rate"),
    (number(above=0, high=10_000), "minutes derivative_seconds"),
    (number(above=0, high=100_000), "durations ahead.seconds sensitivity.seconds"),
    (several(number(0, 1), 2, 2), "hidden_shares"),
    (several(number(above=0), most=100), "model.strengths"),
    (several(number(above=0), 2, 2), "temperatures"),
    (ANY_NUMBER, "branch_scale"),
    (several(ANY_NUMBER, most=100), "strengths charges probabilities"),
    (several(ANY_NUMBER, 2, 2), "frequencies"),
    (truth(), "messages skip_first hard directed"),
    (text(), "kind drift graph base cell features identity targets studies unscored decoder.given"),
    (text(), "relate.relations.methods kinds report.method"),
    (text(longest=1000), "trials.train trials.valid trials.test"),
    (text(longest=4096), "paths"),
    (text(longest=100_000), "neurons"),
    (text((*STATE_SETS, OWN)), "states"),
    (text(MISSING), "missing"),
    (text(SCALINGS), "data.scaling"),
    (text(SYSTEM_SCALINGS), "infer.data.scaling"),
    (text(DERIVATIVE_SCALINGS), "components.scaling"),
    (text(PROTOCOLS), "protocol.name"),
    (text(INPUTS), "inputs"),
    (text(RELATIONS), "methods"),
    (text(ERRORS), "evaluate.error"),
    (text(SCHEDULES), "schedule"),
    (text(PLACEMENTS), "placement"),
    (text(PRECISIONS), "precision"),
    (text(ENCODERS), "encoder.name"),
    (text(DECODERS), "decoder.name"),
    (text(AGGREGATIONS), "aggregation"),
    (text(TASKS), "train.task"),
    (text(POSTERIORS), "posterior"),
)
KINDS = {end: kind for kind, ends in _KINDS for end in ends.split()}
BY_TYPE = {bool: truth(), int: whole(), float: number(), str: text()}

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
COMPOSED = ("manifold", "relate")  # Whose tasks have sections of their own.


def check_settings(config) -> None:
    """Raise ConfigError for the first field of a config that is missing, not of its kind, or does not fit the others.

    The tasks of a config that composes others are checked by themselves; here, only their fields.
    """
    experiment = find_experiment(config)
    check_fields(config)
    for field, problem in list_conflicts(config, experiment, DEFAULTS[experiment]):
        raise ConfigError(field, f"found {show_value(get_field(config, field))}{problem}")
    if experiment not in COMPOSED:
        batch = "batch_simulations" if experiment == "infer" else "batch_windows"
        check_placement(config.train.placement, config.train.devices, config.train[batch], batch)


def find_experiment(config) -> str:
    """Return the name of a config's experiment; ConfigError where there is no such experiment."""
    name = config.get("experiment", "generalize")
    check_value("experiment", name, text(DEFAULTS))
    return name


def check_fields(config) -> None:
    """Raise ConfigError for the first field that is missing or not of its kind, or sizes too large together."""
    experiment = find_experiment(config)
    _check_section(config, DEFAULTS[experiment], "", experiment)
    for fields, most in PRODUCTS.items():
        values = [get_field(config, field) for field in fields]
        if None not in values and math.prod(values) > most:
            others = " and ".join(dict.fromkeys(f"{f} {v:,}" for f, v in zip(fields[1:], values[1:], strict=True)))
            raise ConfigError(fields[0], f"found {values[0]:,} with {others}, expected a product of at most {most:,}")


def check_edge_prior(config, name: str, types: int) -> None:
    """Raise ConfigError where a model has other edge types than `train.edge_prior` has probabilities."""
    prior = tuple(config.train.edge_prior)
    if prior and types and len(prior) != types:
        expected = f"expected the probability of each of the {types} edge types of {name}, or none"
        raise ConfigError("train.edge_prior", f"found {prior}, {expected}")


def _check_section(section, defaults, prefix: str, experiment: str, free: bool = False):
    """Check the fields that a section has by default, or, where names are the user's, those that it has."""
    for name in section if free else defaults:
        field = prefix + name
        if name not in section and (name in OPTIONAL or field in OPTIONAL):
            continue
        kind = _find_kind(f"{experiment}.{field}", defaults.get(name))
        value = section.get(name)
        if kind is not None:
            check_value(field, value, kind)
        if isinstance(value, ConfigDict):
            inner = defaults[name] if isinstance(defaults.get(name), ConfigDict) else ConfigDict()
            _check_section(value, inner, f"{field}.", experiment, free or f"{experiment}.{field}".endswith(FREE))


def _find_kind(field: str, default: Any) -> Kind | None:
    """Return the kind of a field, `experiment.section.name`; None where neither it nor a default is known."""
    names = field.split(".")
    if (names[-2] == "model" and names[0] != "infer") or isinstance(default, ConfigDict):
        return SECTION
    if names[-2] == "pools":
        return several(text())
    if names[-2] == "parameters":
        return several(ANY_NUMBER)
    ends = (".".join(names[start:]) for start in range(len(names)))
    kind = next((KINDS[end] for end in ends if end in KINDS), None)
    if not isinstance(default, tuple) or (kind and kind.item):
        return kind or BY_TYPE.get(type(default))
    item = kind or BY_TYPE[type(default[0]) if default else str]
    return several(item, 1 if default and names[-1] not in MAY_BE_EMPTY else 0)
