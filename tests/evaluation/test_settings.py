"""A number that cannot be used is an error of its field, before a file is opened."""

import pytest
from small_experiments import small_config

from configs import ahead, forecast, generalize, manifold, nri_springs
from wormjax.command_line import list_fields
from wormjax.errors import InputError
from wormjax.evaluation.settings import RULES, check_settings


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


def test_every_rule_is_of_fields_that_a_config_has():
    configs = [module.get_config() for module in (generalize, nri_springs, forecast, ahead, manifold)]
    known = {field for config in configs for field in list_fields(config)}
    for _, fields in RULES.values():
        assert set(fields) <= known
