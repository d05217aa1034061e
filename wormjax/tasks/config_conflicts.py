"""The fields of a config that do not fit others, or have no effect in its experiment."""

import itertools
from collections.abc import Iterator

from ml_collections import ConfigDict

from wormjax.features.dataset import TIMED_INPUTS
from wormjax.features.neurons import ANY
from wormjax.features.studies import SIMULATED
from wormjax.models.aggregation import OF_NODES
from wormjax.models.nri import HORIZON
from wormjax.scoring.frame_errors import DISTANCE
from wormjax.tasks.protocols import WITHIN_RECORDING

# What an exact posterior never reads: it samples no graph, and charges for the whole of it from the first update.
SAMPLED_ONLY = {"hard": False, "free_bits": 0.0, "temperature": 0.5, "temperature_end": 0.5, "kl_warm_up": 0.0}
# What a pairwise posterior, which decodes no frames, never reads.
DECODED_ONLY = {"segments": 1, "burn_in": 1, "roll_out": 1, "decoded_frames": 0, "degrees_of_freedom": 0.0}
DECODED_ONLY |= {"variance": 0.0, "kl_weight": 1.0, "kl_weight_end": 1.0, "given": 1.0, "given_end": 0.0}
# What a decoder of all steps at once never reads: it goes over the whole future of a window.
ONE_STEP_ONLY = {"segments": 1, "burn_in": 1, "roll_out": 1, "decoded_frames": 0, "roll_out_weight": 0.0}
BATCH_NORMALISED = ("wang_mlp", "wang_graph")

# A field, whether it is wrong, and what follows its value in the message.
Conflict = tuple[str, object, str]


def list_conflicts(config, experiment: str, defaults) -> list[tuple[str, str]]:
    """Return each field that does not fit the others or has no effect, and what follows its value in the message."""
    if experiment == "relate":
        return []
    if experiment == "manifold":
        wrong = config.protocol.name not in ("leave_one_worm_out", "subsets")
        return [("protocol.name", ", expected leave_one_worm_out or subsets")] if wrong else []
    steps = ", expected 1 or more" + (" where 'train.epochs' is 0" if "epochs" in config.train else "")
    found = [("train.steps", not config.train.steps and not config.train.get("epochs", 0), steps)]
    if experiment == "infer":
        found += _find_in_systems(config, defaults)
    else:
        found += _find_in_worms(config, experiment, defaults)
    return [(field, problem) for field, wrong, problem in found if wrong]


def get_field(config, field: str):
    """Return the value of a field; None where there is none."""
    for name in field.split("."):
        if not isinstance(config, ConfigDict) or name not in config:
            return None
        config = config[name]
    return config


def _find_in_worms(config, experiment: str, defaults) -> Iterator[Conflict]:
    train, protocol = config.train, config.protocol.name
    yield "models", not (*config.models, *config.baselines), " and no baselines either, expected at least one"
    for field, needs in (("keep_best", train.keep_best), ("schedule", train.schedule == "plateau")):
        expected = " with a split.validation_fraction of 0, expected frames to validate on"
        yield f"train.{field}", needs and not config.split.validation_fraction, expected
    unread = train.kl_weight and not len(train.edge_prior)
    yield "train.kl_weight", unread, _no_effect("0 without a 'train.edge_prior', which it weighs")
    yield from _find_in_data(config, defaults)
    others = {"generalize": (WITHIN_RECORDING,), "forecast": ("same_worm",)}
    expected = f", expected subsets, leave_one_worm_out or cross_study for {experiment}"
    yield "protocol.name", protocol in others.get(experiment, ("same_worm", WITHIN_RECORDING)), expected
    if experiment == "generalize":
        yield from _find_in_decoding(config)
    if experiment == "forecast":
        yield from _find_in_forecasts(config, defaults)
    if experiment == "ahead":
        seconds = itertools.pairwise(config.ahead.seconds)
        yield "ahead.seconds", any(a >= b for a, b in seconds), ", expected increasing seconds above 0"
        future = max(config.linear.offsets, default=1) > 0
        yield "linear.offsets", future, ", expected frames from 0 backwards"
        yield "linear.inverse_penalty", not config.linear.inverse_penalty > 0, ", expected more than 0"


def _find_in_data(config, defaults) -> Iterator[Conflict]:
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
        yield f"data.{name}", where and value != defaults.data[name], _no_effect(f"{defaults.data[name]!r} {where}")
    expected = f", expected one of each of the {len(data.studies)} data.studies, or none"
    yield "data.paths", data.paths and len(data.paths) != len(data.studies), expected


def _find_in_systems(config, defaults) -> Iterator[Conflict]:
    train, evaluate, decoder, encoder = config.train, config.evaluate, config.model.decoder, config.model.encoder
    posterior, name = f"with train.posterior={train.posterior!r}", f"with model.decoder.name={decoder.name!r}"
    where = f"with model.encoder.name={encoder.name!r} and {posterior[5:]}"
    at_once, sampled, listed = decoder.name == HORIZON, train.posterior == "sampled", train.posterior == "listed"
    adapts, cross_fitted = evaluate.get("adaptation_steps", 0), train.get("cross_fitted", False)
    if len(config.model.get("strengths", ())):
        needs = {"train.posterior": "exact", "train.roll_out_weight": 0, "evaluate.adaptation_steps": 0}
        for field, expected in (needs | {"data.hidden": 0}).items():
            wrong = (get_field(config, field) or 0) != expected
            yield field, wrong, f", expected {expected!r} with model.strengths"
        expected = ", expected none with a graph in each frame (dnri) with model.strengths"
        yield "models", "dnri" in config.models, expected
    aggregation, most = decoder.get("aggregation", "sum"), defaults.train.combinations
    other, of_nodes = aggregation != "sum", f"False with model.decoder.aggregation={aggregation!r}"
    yield "model.decoder.aggregation", other and not sampled, f" {posterior}, expected 'sum' but for 'sampled'"
    reads = encoder.name == "evidence" and train.posterior in ("exact", "listed")
    futures = at_once and evaluate.error == DISTANCE
    needed = f"without evaluate.error={DISTANCE!r} and model.decoder.name={HORIZON!r}"
    most_beliefs = defaults.model.encoder.beliefs
    beliefs = encoder.get("beliefs", most_beliefs)
    unread = [  # A field, whether it has no effect, and what it should be.
        ("evaluate.adaptation_steps", adapts and train.posterior != "exact", f"0 {posterior}"),
        ("evaluate.adaptation_steps", adapts and "nri" not in config.models, "0 without 'nri' among the models"),
        ("model.decoder.aggregation", other and decoder.name not in ("mlp", "recurrent", HORIZON), f"'sum' {name}"),
        ("model.decoder.relative", aggregation in OF_NODES and decoder.relative, of_nodes),
        ("model.decoder.additive", decoder.get("additive", False) and decoder.name != "context", f"False {name}"),
        ("train.combinations", not listed and train.get("combinations", most) != most, f"{most} {posterior}"),
        ("model.encoder.triangles", encoder.name != "evidence" and encoder.get("triangles", 0), f"0 {where}"),
        ("model.encoder.beliefs", encoder.name != "evidence" and beliefs != most_beliefs, f"{most_beliefs} {where}"),
        ("train.cross_fitted", cross_fitted and not reads, f"False {where}"),
        ("model.mutual", not listed and config.model.get("mutual", False), f"False {posterior}"),
        ("model.decoder.given", decoder.given and not at_once, f"() without model.decoder.name={HORIZON!r}"),
        ("evaluate.futures", evaluate.futures and not futures, f"0 {needed}"),
    ]
    for field, value in (SAMPLED_ONLY | (DECODED_ONLY if train.posterior == "pairwise" else {})).items():
        expected = f"{value!r} {posterior}, which does not read it"
        unread.append((f"train.{field}", not sampled and train[field] != value, expected))
    for field, value in ONE_STEP_ONLY.items():
        expected = f"{value!r} {name}: nothing is rolled out"
        unread.append((f"train.{field}", at_once and train[field] != value, expected))
    for field, wrong, expected in unread:
        yield field, wrong, _no_effect(expected)
    pieces = (train.decoded_frames or config.data.frames) - train.burn_in
    expected = f", expected fewer than {pieces} with train.cross_fitted: the encoder reads what is left"
    yield "train.segments", cross_fitted and train.segments >= pieces, expected
    yield "train.posterior", at_once and not sampled, f", expected 'sampled' with model.decoder.name={HORIZON!r}"
    expected = ", expected False with train.turn_and_mirror, which does that and more"
    yield "train.mirror", train.mirror and train.turn_and_mirror, expected


def _find_in_decoding(config) -> Iterator[Conflict]:
    decode, own, share = config.decode, config.decode.get("own_statistics", False), config.train.test_study_share
    yield "decode.own_statistics", own and not decode.whole, ", expected False where 'decode.whole' is False"
    smooths = decode.state_durations and config.protocol.name == "same_worm"
    needed = _no_effect("False with protocol.name='same_worm', which does not smooth")
    yield "decode.state_durations", smooths, needed
    yield "train.test_study_share", share and not len(config.data.studies), _no_effect("0 without data.studies")
    needed = f"False without a model that has batch normalisation ({' or '.join(BATCH_NORMALISED)})"
    yield "decode.own_statistics", own and not set(BATCH_NORMALISED) & set(config.models), _no_effect(needed)


def _find_in_forecasts(config, defaults) -> Iterator[Conflict]:
    steps, within = config.forecast.steps, config.protocol.name == WITHIN_RECORDING
    where = f"without protocol.name={WITHIN_RECORDING!r}"
    expected = f", expected False {where}: in another worm it has no match"
    yield "data.unnamed", config.data.unnamed and not within, expected
    for name, value in config.segment.items():
        usual = defaults.segment.get(name)
        yield f"segment.{name}", not within and value != usual, _no_effect(f"{usual} {where}")
    yield "train.roll_out", config.train.roll_out > steps, f", expected at most forecast.steps, {steps}"
    expected = f", expected numbers from 1 to forecast.steps, {steps}"
    yield "forecast.scored", max(config.forecast.scored) > steps, expected
    graphs = [config.model[name].get("graph", "static") for name in config.models if name in config.model]
    unread = tuple(config.train.edge_prior) != defaults.train.edge_prior and "static" not in graphs
    yield "train.edge_prior", unread, _no_effect("the default without a model with a static graph")
    for name, section in config.model.items():
        graph = section.get("graph", "static")
        unread = "edge_types" in section and graph not in ("static", "dynamic")
        needed = f"no such field with graph={graph!r}, which infers no edges"
        yield f"model.{name}.edge_types", unread, _no_effect(needed)


def _no_effect(expected: str) -> str:
    return f", which has no effect; expected {expected}"
