"""A number that cannot be used is an error of its field, before a file is opened."""

import functools
import re

import pytest
from small_experiments import small_config

from configs import ahead, forecast, generalize, manifold, nri_springs
from wormjax.config_files import list_fields
from wormjax.errors import InputError
from wormjax.tasks.config_checks import DEFAULTS, KINDS, check_settings


def test_the_configs_of_the_project_and_of_the_tests_hold():
    check_settings(generalize.get_config())
    check_settings(small_config())
    check_settings(small_config(train__steps=0, train__epochs=3))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("seeds", 0, "a whole number, 1 or more and at most 1,000"),
        ("seed", -1, "a whole number, 0 or more and at most 1,000,000,000"),
        ("split.block", 0, "1 or more and at most 1,000,000"),
        ("split.gap", -1, "0 or more and at most 1,000,000"),
        ("split.test_fraction", 1.0, "0 or more and less than 1"),
        ("train.steps", 0, "1 or more where 'train.epochs' is 0"),
        ("train.steps_per_chunk", 0, "1 or more"),
        ("train.window_frames", -5, "1 or more and at most 1,000,000"),
        ("train.members", 0, "1 or more and at most 1,000"),
        ("train.learning_rate", 0.0, "a number, more than 0 and at most 1000"),
        ("train.learning_rate", float("nan"), "more than 0"),
        ("train.dropout", 1.0, "0 or more and less than 1"),
        ("train.average_decay", 1.0, "0 or more and less than 1"),
        ("train.schedule", "cosin", "one of constant, cosine, plateau"),
        ("train.placement", "rows", "one of single, runs, batch"),
        ("train.devices", 99, "at most"),
        ("data.states", "five", "one of four, two"),
    ],
)
def test_a_value_that_cannot_be_names_field_and_expectation(field, value, expected):
    config = small_config(**{field.replace(".", "__"): value})
    with pytest.raises(InputError) as error:
        check_settings(config)
    assert str(error.value).startswith(f"config field {field!r}: found {value!r}")
    assert expected in str(error.value)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), True])
def test_the_weight_of_a_refitted_decoder_is_a_number_from_0_on(value):
    config = small_config(model__any_neurons={"refitted": value})
    with pytest.raises(InputError, match=rf"'model.any_neurons.refitted': found {value}, expected a number, 0 or more"):
        check_settings(config)


@pytest.mark.parametrize(
    ("module", "fields", "message"),
    [
        (generalize, {"train.kl_weight": 0.1}, "'train.kl_weight': found 0.1, which has no effect; expected 0 without"),
        (ahead, {"train.kl_weight": 0.1}, "'train.kl_weight': found 0.1, which has no effect"),
        (forecast, {"train.edge_prior": ()}, "'train.kl_weight': found 0.01, which has no effect"),
        (generalize, {"data.inputs": ("trace",), "data.derivative_seconds": (2.0,)}, "expected (5.0,) without causal_"),
        (forecast, {"data.test_study": "kato2015"}, "'data.test_study': found 'kato2015', which has no effect"),
        (
            forecast,
            {"data.path": "a.h5"},
            "'data.path': found 'a.h5', which has no effect; expected '' with data.study",
        ),
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
    check_settings(config)
    for field, value in fields.items():
        section, _, name = field.rpartition(".")
        functools.reduce(lambda part, key: part[key], section.split("."), config)[name] = value
    with pytest.raises(InputError, match=re.escape(message)):
        check_settings(config)


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


def test_a_config_without_models_and_baselines_is_refused():
    with pytest.raises(
        InputError, match=r"config field 'models': found \(\) and no baselines either, expected at least"
    ):
        check_settings(small_config(models=(), baselines=()))


def test_a_name_that_stands_twice_in_a_list_is_refused():
    with pytest.raises(InputError, match="config field 'models': found 'mlp' twice, expected each name once"):
        check_settings(small_config(models=("mlp", "mlp")))


@pytest.mark.parametrize("module", [generalize, nri_springs, forecast, ahead, manifold])
def test_a_field_that_is_missing_is_named(module):
    for field in ("seed", "train.steps" if module is not manifold else "tasks.decode.train.steps"):
        config = module.get_config()
        *sections, name = field.split(".")
        del functools.reduce(lambda part, key: part[key], sections, config)[name]
        with pytest.raises(InputError, match=f"config field '{field}': found None, expected a whole number"):
            check_settings(config)


# Names of fields that a user may give to a model or a simulator and that no shipped config has.
OF_USERS = set(
    """node_hidden edge_hidden embedding_kernel kernel dilations offsets hard edge_types charges probabilities stiffness
    strength location_scale speed refitted frequencies directed features identity box chunk_size temperatures""".split()
)


def test_every_entry_of_the_table_is_of_a_field():
    names = [f"{name}.{field}" for name, config in DEFAULTS.items() for field in list_fields(config)]
    unused = {end for end in KINDS if not any(name.endswith(f".{end}") or name == end for name in names)}
    assert unused <= OF_USERS
