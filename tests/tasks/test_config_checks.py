"""A number that cannot be used is an error of its field, before a file is opened."""

import re

import pytest
from small_experiments import small_config

from configs import ahead, forecast, generalize, manifold, nri_springs
from wormjax.command_line import list_fields
from wormjax.errors import InputError
from wormjax.tasks.config_checks import FIELDS, check_settings


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
