"""Check every field of a config before anything is opened or computed: one line names the field.

The shipped configs say which fields there are, and by their defaults of which type; `KINDS` has the narrower ranges.
Limits are generous. They refuse what no machine holds, such as a hidden layer of 10⁹, not what yours does not.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from wormjax.baselines.principal_components import DERIVATIVE_SCALINGS
from wormjax.baselines.relational_graphs import RELATIONS
from wormjax.configs import ahead, forecast, generalize, manifold, neuron_graphs, nri_springs, reconstruct
from wormjax.errors import ConfigError
from wormjax.features import systems
from wormjax.features.dataset import INPUTS, TIMED_INPUTS
from wormjax.features.missing import MISSING
from wormjax.features.neurons import ANY
from wormjax.features.scaling import SCALINGS
from wormjax.features.studies import SIMULATED
from wormjax.models.aggregation import AGGREGATIONS, OF_NODES
from wormjax.models.layers import PRECISIONS
from wormjax.models.nri import DECODERS, ENCODERS, HORIZON
from wormjax.recordings.motor_states import OWN, STATE_SETS
from wormjax.recordings.names import NEURONS
from wormjax.scoring.frame_errors import DISTANCE, ERRORS
from wormjax.tasks.protocols import PROTOCOLS, WITHIN_RECORDING
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
OPTIONAL = (
    "distributed",
    "combinations",
    "mutual",
    "epochs",
    "own_statistics",
    "pools",
    "targets",
    "edges",
    "atlas",
    "adaptation_steps",
    "adaptation_rate",
    "fold",
    "longest_period",
    "shuffle_objects",
    "aggregation",
    "data.hidden",
    "model.strengths",
)
# Sections whose members have names of the user's, by experiment and field.
FREE = (
    *(
        f"{task}.{section}"
        for task in ("generalize", "forecast", "ahead", "reconstruct")
        for section in ("model", "pools")
    ),
    *(
        f"tasks.{task}.{section}"
        for task in ("decode", "forecast", "ahead", "reconstruct")
        for section in ("model", "pools")
    ),
    "infer.data.simulation",
    "sensitivity.parameters",
)
MAY_BE_EMPTY = (
    "models",
    "baselines",
    "derivative_seconds",
    "edge_prior",
    "studies",
    "paths",
    "counts",
    "durations",
    "mixture",
    "stretches",
    "unscored",
    "shares",
    "given",
)
SECTION = Kind("a section of fields", lambda value: isinstance(value, ConfigDict))
ANY_NUMBER = number(-LARGEST_NUMBER)

# Kind → the fields that it is of, by the last words of their names: of a list its items', unless the kind is a list.
# All others have the kind of their default: whole numbers and numbers from 0 on, strings, true and false.
_KINDS = (
    (whole(0, 100_000), "rewirings permutations relate.nulls.shifts"),
    (whole(10, 100_000), "draws"),
    (whole(1), "steps_per_chunk patience evaluate.steps"),
    (whole(1, 100), "rounds edge_types"),
    (whole(0, 100), "infer.model.edge_types"),
    (whole(0, 1_000), "unseen"),
    (whole(1, 1_000), "seeds members order orders code kernel embedding_kernel embedding modes"),
    (whole(2, 1_000), "objects"),
    (
        whole(1, 10_000),
        "counts worms least_worms train_counts forecast.steps scored delays delay_frames segments combinations",
    ),
    (several(whole(1, 10_000), most=100), "dilations"),
    (several(whole(1, 10_000), 2, 2), "kernels"),
    (several(whole(-10_000, 10_000)), "offsets"),
    (whole(1, 16_384), "hidden channels node_hidden edge_hidden message_hidden encoder_hidden lstm_hidden"),
    (whole(1, 65_536), "batch_windows batch_simulations"),
    (whole(1, 100_000), "num_processes neighbours phase_bins attempts cells lag"),
    (whole(0, 1_000_000), "gap epochs decoded_frames"),
    (
        whole(1, 1_000_000),
        "block segment.frames window_stride window_frames burn_in roll_out first every stride pooling shifts",
    ),
    (whole(1, 1_000_000), "apart_frames noise_frames shortest_frames toy.frames"),
    (whole(2, 1_000_000), "data.frames test_frames"),
    (whole(1, 10_000), "lags"),
    (whole(0, 10_000), "futures"),
    (whole(0, 1_000_000), "data.stride train_stride"),
    (number(above=0, high=100), "stretches"),
    (text(longest=1000), "trials.train trials.valid trials.test"),
    (whole(1, 10_000_000), "train valid test"),
    (optional(whole(1, 10_000_000)), "chunk_size"),
    (whole(1, 1_000_000), "starts report.edges"),
    (
        number(above=0),
        "temperature temperature_end trace_weight ridges penalties weights frame_weights resolution kl_weight_end",
    ),
    (number(above=0), "ridge_penalty target_weight"),
    (optional(number(above=0)), "box"),
    (whole(1, len(NEURONS)), "data.simulation.neurons"),
    (number(above=0, high=1), "edge_prior given_until named shrinkages"),
    (several(number(0, 1), 2, 2), "hidden_shares"),
    (number(above=0, high=1_000), "learning_rate adaptation_rate"),
    (whole(0, 1_000_000), "adaptation_steps"),
    (whole(0, 1_000), "data.hidden"),
    (several(number(above=0), most=100), "model.strengths"),
    (several(number(above=0), 2, 2), "temperatures"),
    (number(above=0, high=10_000), "minutes derivative_seconds"),
    (number(above=0, high=100_000), "durations ahead.seconds sensitivity.seconds"),
    (number(0, 1), "mirrored given given_end prior kl_warm_up"),
    (number(0, below=1), "test_fraction validation_fraction average_decay dropout label_smoothing"),
    (number(0, below=1), "smallest_share test_study_share neuron_dropout neuron_dropout_most"),
    (number(0, 1_000), "frame_rate"),
    (number(0, 10_000), "smoothing_frames"),
    (number(0, 1_000_000), "gap_seconds density_frames"),
    (ANY_NUMBER, "branch_scale"),
    (several(ANY_NUMBER, most=100), "strengths charges probabilities"),
    (several(ANY_NUMBER, 2, 2), "frequencies"),
    (number(), "stiffness strength location_scale speed"),
    (truth(), "messages skip_first hard directed"),
    (text(), "kind drift graph base cell features identity targets studies unscored decoder.given"),
    (text(ERRORS), "evaluate.error"),
    (text(longest=4096), "paths"),
    (text(longest=100_000), "neurons"),
    (text((*STATE_SETS, OWN)), "states"),
    (text(MISSING), "missing"),
    (text(SCALINGS), "data.scaling"),
    (text(systems.SCALINGS), "infer.data.scaling"),
    (text(DERIVATIVE_SCALINGS), "components.scaling"),
    (text(PROTOCOLS), "protocol.name"),
    (text(INPUTS), "inputs"),
    (text(RELATIONS), "methods"),
    (text(), "relate.relations.methods kinds report.method"),
    (number(above=0), "ridge granger_ridge class_worms perturbation.seconds held_seconds"),
    (number(above=0, high=1), "shrinkage shares"),
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
# What an exact posterior never reads: it samples no graph, and charges for the whole of it from the first update.
SAMPLED_ONLY = {"hard": False, "free_bits": 0.0, "temperature": 0.5, "temperature_end": 0.5, "kl_warm_up": 0.0}
# What a pairwise posterior, which decodes no frames, never reads.
DECODED_ONLY = {"segments": 1, "burn_in": 1, "roll_out": 1, "decoded_frames": 0, "degrees_of_freedom": 0.0}
DECODED_ONLY |= {"variance": 0.0, "kl_weight": 1.0, "kl_weight_end": 1.0, "given": 1.0, "given_end": 0.0}
# What a decoder of all steps at once never reads: it goes over the whole future of a window.
ONE_STEP_ONLY = {"segments": 1, "burn_in": 1, "roll_out": 1, "decoded_frames": 0, "roll_out_weight": 0.0}
BATCH_NORMALISED = ("wang_mlp", "wang_graph")


def check_settings(config) -> None:
    """Raise ConfigError for the first field of a config that is missing, not of its kind, or does not fit the others.

    The tasks of a config that composes others are checked by themselves; here, only their fields.
    """
    experiment = find_experiment(config)
    check_fields(config)
    for field, problem in _list_faults(config, experiment):
        raise ConfigError(field, f"found {show_value(_get(config, field))}{problem}")
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
        values = [_get(config, field) for field in fields]
        if None not in values and math.prod(values) > most:
            others = " and ".join(dict.fromkeys(f"{f} {v:,}" for f, v in zip(fields[1:], values[1:], strict=True)))
            raise ConfigError(fields[0], f"found {values[0]:,} with {others}, expected a product of at most {most:,}")


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


def _get(config, field: str):
    """Return the value of a field; None where there is none."""
    for name in field.split("."):
        if not isinstance(config, ConfigDict) or name not in config:
            return None
        config = config[name]
    return config


def _list_faults(config, experiment: str) -> Iterator[tuple[str, str]]:
    """Yield each field that does not fit the others or has no effect, and what follows its value in the message."""
    if experiment == "relate":
        return
    if experiment == "manifold":
        if config.protocol.name not in ("leave_one_worm_out", "subsets"):
            yield "protocol.name", ", expected leave_one_worm_out or subsets"
        return
    train = config.train
    if not train.steps and not train.get("epochs", 0):
        yield "train.steps", ", expected 1 or more" + (" where 'train.epochs' is 0" if "epochs" in train else "")
    if experiment == "infer":
        yield from _list_inference_faults(config)
        return
    if not (*config.models, *config.baselines):
        yield "models", " and no baselines either, expected at least one"
    for field, needs in (("keep_best", train.keep_best), ("schedule", train.schedule == "plateau")):
        if needs and not config.split.validation_fraction:
            yield f"train.{field}", " with a split.validation_fraction of 0, expected frames to validate on"
    if train.kl_weight and not len(train.edge_prior):
        yield "train.kl_weight", _no_effect("0 without a 'train.edge_prior', which it weighs")
    yield from _list_data_faults(config, DEFAULTS[experiment])
    others = {"generalize": (WITHIN_RECORDING,), "forecast": ("same_worm",)}
    if config.protocol.name in others.get(experiment, ("same_worm", WITHIN_RECORDING)):
        yield "protocol.name", f", expected subsets, leave_one_worm_out or cross_study for {experiment}"
    if experiment == "generalize":
        yield from _list_decoding_faults(config)
    if experiment == "forecast":
        yield from _list_forecast_faults(config)
    if experiment == "ahead":
        yield from _list_ahead_faults(config)


def _list_data_faults(config, defaults) -> Iterator[tuple[str, str]]:
    """Yield the fields of `data` that have no effect, where they are not what the shipped config has."""
    data, cross = config.data, config.protocol.name == "cross_study"
    idle = {
        "derivative_seconds": not set(data.inputs) & set(TIMED_INPUTS) and f"without {' or '.join(TIMED_INPUTS)}",
        "trace_weight": "trace" not in data.inputs and "without the input 'trace'",
        "test_study": not cross and not data.studies and f"with protocol.name={config.protocol.name!r}",
        "test_path": not cross and f"with protocol.name={config.protocol.name!r}",
        "path": data.study == SIMULATED and "with data.study='simulated'",
        "paths": not data.studies and "without data.studies",
        "least_worms": data.neurons != ANY and f"with data.neurons={data.neurons!r}",
        "unnamed": data.neurons != ANY and f"with data.neurons={data.neurons!r}",
    }
    for name, where in idle.items():
        value = data[name] if isinstance(data[name], int | float | str) else tuple(data[name])  # JSON has lists.
        if where and value != defaults.data[name]:
            yield f"data.{name}", _no_effect(f"{defaults.data[name]!r} {where}")
    if data.paths and len(data.paths) != len(data.studies):
        yield "data.paths", f", expected one of each of the {len(data.studies)} data.studies, or none"


def _list_inference_faults(config) -> Iterator[tuple[str, str]]:
    train, evaluate, at_once = config.train, config.evaluate, config.model.decoder.name == HORIZON
    if evaluate.get("adaptation_steps", 0) and train.posterior != "exact":
        yield "evaluate.adaptation_steps", _no_effect(f"0 with train.posterior={train.posterior!r}")
    if evaluate.get("adaptation_steps", 0) and "nri" not in config.models:
        yield "evaluate.adaptation_steps", _no_effect("0 without 'nri' among the models")
    if len(config.model.get("strengths", ())):
        needs = {
            "train.posterior": (train.posterior, "exact"),
            "train.roll_out_weight": (train.roll_out_weight, 0),
            "evaluate.adaptation_steps": (evaluate.get("adaptation_steps", 0), 0),
            "data.hidden": (config.data.get("hidden", 0), 0),
        }
        for field, (found, expected) in needs.items():
            if found != expected:
                yield field, f", expected {expected!r} with model.strengths"
        if "dnri" in config.models:
            yield "models", ", expected none with a graph in each frame (dnri) with model.strengths"
    decoder, aggregation = config.model.decoder, config.model.decoder.get("aggregation", "sum")
    if aggregation != "sum" and train.posterior != "sampled":
        yield (
            "model.decoder.aggregation",
            f" with train.posterior={train.posterior!r}, expected 'sum' but for 'sampled'",
        )
    if aggregation != "sum" and decoder.name not in ("mlp", "recurrent", HORIZON):
        yield "model.decoder.aggregation", _no_effect(f"'sum' with model.decoder.name={decoder.name!r}")
    if aggregation in OF_NODES and decoder.relative:
        yield "model.decoder.relative", _no_effect(f"False with model.decoder.aggregation={aggregation!r}")
    combinations = DEFAULTS["infer"].train.combinations
    if train.posterior != "listed" and train.get("combinations", combinations) != combinations:
        yield "train.combinations", _no_effect(f"{combinations} with train.posterior={train.posterior!r}")
    if train.posterior != "listed" and config.model.get("mutual", False):
        yield "model.mutual", _no_effect(f"False with train.posterior={train.posterior!r}")
    idle = SAMPLED_ONLY | (DECODED_ONLY if train.posterior == "pairwise" else {})
    for name, value in idle.items():
        if train.posterior != "sampled" and train[name] != value:
            where = f"with train.posterior={train.posterior!r}, which does not read it"
            yield f"train.{name}", _no_effect(f"{value!r} {where}")
    if at_once and train.posterior != "sampled":
        yield "train.posterior", f", expected 'sampled' with model.decoder.name={HORIZON!r}"
    for name, value in ONE_STEP_ONLY.items():
        if at_once and train[name] != value:
            yield f"train.{name}", _no_effect(f"{value!r} with model.decoder.name={HORIZON!r}: nothing is rolled out")
    if config.model.decoder.given and not at_once:
        yield "model.decoder.given", _no_effect(f"() without model.decoder.name={HORIZON!r}")
    if evaluate.futures and not (at_once and evaluate.error == DISTANCE):
        needed = f"0 without evaluate.error={DISTANCE!r} and model.decoder.name={HORIZON!r}"
        yield "evaluate.futures", _no_effect(needed)
    if train.mirror and train.turn_and_mirror:
        yield "train.mirror", ", expected False with train.turn_and_mirror, which does that and more"


def _list_decoding_faults(config) -> Iterator[tuple[str, str]]:
    if config.train.test_study_share and not len(config.data.studies):
        yield "train.test_study_share", _no_effect("0 without data.studies")
    decode, own = config.decode, config.decode.get("own_statistics", False)
    if own and not decode.whole:
        yield "decode.own_statistics", ", expected False where 'decode.whole' is False"
    if decode.state_durations and config.protocol.name == "same_worm":
        yield "decode.state_durations", _no_effect("False with protocol.name='same_worm', which does not smooth")
    if own and not set(BATCH_NORMALISED) & set(config.models):
        needed = f"False without a model that has batch normalisation ({' or '.join(BATCH_NORMALISED)})"
        yield "decode.own_statistics", _no_effect(needed)


def _list_forecast_faults(config) -> Iterator[tuple[str, str]]:
    steps = config.forecast.steps
    if config.data.unnamed and config.protocol.name != WITHIN_RECORDING:
        yield (
            "data.unnamed",
            f", expected False without protocol.name={WITHIN_RECORDING!r}: in another worm it has no match",
        )
    default = DEFAULTS["forecast"].segment
    for name, value in config.segment.items():
        if config.protocol.name != WITHIN_RECORDING and value != default.get(name):
            yield f"segment.{name}", _no_effect(f"{default[name]} without protocol.name={WITHIN_RECORDING!r}")
    if config.train.roll_out > steps:
        yield "train.roll_out", f", expected at most forecast.steps, {steps}"
    if max(config.forecast.scored) > steps:
        yield "forecast.scored", f", expected numbers from 1 to forecast.steps, {steps}"
    for name, section in config.model.items():
        graph = section.get("graph", "static")
        if "edge_types" in section and graph not in ("static", "dynamic"):
            needed = f"no such field with graph={graph!r}, which infers no edges"
            yield f"model.{name}.edge_types", _no_effect(needed)


def _list_ahead_faults(config) -> Iterator[tuple[str, str]]:
    if any(later <= sooner for sooner, later in itertools.pairwise(config.ahead.seconds)):
        yield "ahead.seconds", ", expected increasing seconds above 0"
    if max(config.linear.offsets, default=1) > 0:
        yield "linear.offsets", ", expected frames from 0 backwards"
    if not config.linear.inverse_penalty > 0:
        yield "linear.inverse_penalty", ", expected more than 0"


def _no_effect(expected: str) -> str:
    return f", which has no effect; expected {expected}"
