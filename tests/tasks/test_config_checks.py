"""A number that cannot be used is an error of its field, before a file is opened."""

import functools
import re

import pytest
from small_experiments import small_config

from configs import ahead, forecast, generalize, manifold, nri_springs
from wormjax.command_line import list_fields
from wormjax.errors import InputError
from wormjax.tasks.config_checks import (
    FIELDS,
    check_ahead_settings,
    check_forecast_settings,
    check_inference_settings,
    check_settings,
)

CHECKS = {
    "generalize": check_settings,
    "forecast": check_forecast_settings,
    "ahead": check_ahead_settings,
    "infer": check_inference_settings,
}


def test_the_configs_of_the_project_and_of_the_tests_hold():
    check_settings(generalize.get_config())
    check_settings(small_config())
    check_settings(small_config(train__steps=0, train__epochs=3))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("seeds", 0, "1 or more"),
        ("seed", -1, "0 or more"),
        ("split.block", 0, "1 or more"),
        ("split.gap", -1, "0 or more"),
        ("split.test_fraction", 1.0, "0 or more and less than 1"),
        ("train.steps", 0, "1 or more where 'train.epochs' is 0"),
        ("train.steps_per_chunk", 0, "1 or more"),
        ("train.window_frames", -5, "1 or more"),
        ("train.members", 0, "1 or more"),
        ("train.learning_rate", 0.0, "more than 0"),
        ("train.learning_rate", float("nan"), "more than 0"),
        ("train.dropout", 1.0, "0 or more and less than 1"),
        ("train.average_decay", 1.0, "0 or more and less than 1"),
        ("train.schedule", "cosin", "one of constant, cosine, plateau"),
        ("train.placement", "rows", "one of single, runs, batch"),
        ("train.devices", 99, "at most"),
        ("models", ("mlp", "mlp"), "each name once"),
    ],
)
def test_a_value_that_cannot_be_names_field_and_expectation(field, value, expected):
    config = small_config(**{field.replace(".", "__"): value})
    with pytest.raises(InputError) as error:
        check_settings(config)
    assert str(error.value).startswith(f"config field {field!r}: found {value!r}")
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("module", "fields", "message"),
    [
        (generalize, {"train.kl_weight": 0.1}, "'train.kl_weight': found 0.1, which has no effect; expected 0 without"),
        (ahead, {"train.kl_weight": 0.1}, "'train.kl_weight': found 0.1, which has no effect"),
        (forecast, {"train.edge_prior": ()}, "'train.kl_weight': found 0.01, which has no effect"),
        (
            generalize,
            {"decode.state_durations": True, "protocol.name": "same_worm"},
            "'decode.state_durations': found True, which has no effect; expected False with protocol.name='same_worm'",
        ),
        (
            generalize,
            {"decode.own_statistics": True, "decode.whole": True},
            "'decode.own_statistics': found True, which has no effect; expected False without a model that has batch",
        ),
        (
            forecast,
            {"model.nri_full.edge_types": 3},
            "'model.nri_full.edge_types': found 3, which has no effect; expected no such field with graph='full'",
        ),
        (forecast, {"model.nri_random.edge_types": 3}, "'model.nri_random.edge_types': found 3, which has no effect"),
        (nri_springs, {"train.hard": True}, "'train.hard': found True, which has no effect; expected False with"),
        (nri_springs, {"train.free_bits": 0.1}, "'train.free_bits': found 0.1, which has no effect"),
        (nri_springs, {"train.temperature": 0.4}, "'train.temperature': found 0.4, which has no effect"),
        (nri_springs, {"train.kl_warm_up": 0.1}, "'train.kl_warm_up': found 0.1, which has no effect"),
    ],
)
def test_a_field_without_effect_is_refused(module, fields, message):
    config = module.get_config().unlock()
    check = CHECKS[config.get("experiment", "generalize")]
    check(config)
    for field, value in fields.items():
        section, _, name = field.rpartition(".")
        functools.reduce(lambda part, key: part[key], section.split("."), config)[name] = value
    with pytest.raises(InputError, match=re.escape(message)):
        check(config)


@pytest.mark.parametrize(
    "fields",
    [
        {"train__kl_weight": 0.1, "train__edge_prior": (0.5, 0.5)},
        {"decode__own_statistics": True, "decode__whole": True, "models": ("wang_mlp",)},
    ],
)
def test_the_same_fields_pass_where_they_count(fields):
    check_settings(small_config(**fields))


@pytest.mark.parametrize("module", [forecast, ahead])
def test_only_decoding_keeps_test_frames_within_a_worm(module):
    assert "test_fraction" not in module.get_config().split


# Sections whose members have names of the user's, and what says which experiment a config is of.
NOT_OF_THE_TABLE = re.compile(
    r"(tasks\.\w+\.)?((model|pools)\.|experiment$)|data\.simulation\.|sensitivity\.parameters\."
)


@pytest.mark.parametrize("module", [generalize, nri_springs, forecast, ahead, manifold])
def test_every_field_of_a_config_has_its_type_and_range_and_no_other_has(module):
    config = module.get_config()
    known = set(list_fields(config))
    ruled = set(FIELDS[config.get("experiment", "generalize")])
    assert ruled <= known
    sections = {field for field in known if any(other.startswith(f"{field}.") for other in known)}
    assert not {field for field in known - ruled - sections if not NOT_OF_THE_TABLE.match(field)}
