"""A config's names and sizes become a model, or an error that names what there is."""

import pytest

from wormjax.errors import InputError
from wormjax.models.catalog import CLASSIFIERS, build_classifier


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_name_builds_its_model(name):
    module = build_classifier(name, 4, {})
    assert isinstance(module, CLASSIFIERS[name])
    assert module.states == 4


def test_sizes_reach_the_model_with_lists_as_tuples():
    module = build_classifier("temporal_convolution", 2, {"channels": 7, "dilations": [1, 3]})
    assert module.channels == 7
    assert module.dilations == (1, 3)


def test_a_number_may_be_a_whole_0_and_a_count_not():
    assert build_classifier("any_neurons", 2, {"refitted": 0, "branch_scale": 0}).refitted == 0
    with pytest.raises(InputError, match=r"model.any_neurons.embedding': found 0, expected at least one"):
        build_classifier("any_neurons", 2, {"embedding": 0})


def test_the_devices_axis_reaches_only_models_that_join_over_a_batch():
    assert build_classifier("wang_graph", 4, {}, "device").axis_name == "device"
    assert not hasattr(build_classifier("mlp", 4, {}, "device"), "axis_name")


@pytest.mark.parametrize(
    ("name", "sizes", "words"),
    [
        ("transformer", {}, ["'models'", "'transformer'", *CLASSIFIERS]),
        ("mlp", {"hiden": 3}, ["'model.mlp'", "hiden", "hidden", "offsets"]),
        ("mlp", {"states": 3}, ["'model.mlp'", "states"]),
        ("wang_mlp", {"axis_name": "device"}, ["'model.wang_mlp'", "axis_name"]),
        ("recurrent", {"cell": "rnn"}, ["'model.recurrent.cell'", "'rnn'", "gru", "lstm"]),
    ],
)
def test_a_misspelt_name_or_size_is_refused_in_one_line(name, sizes, words):
    with pytest.raises(InputError) as caught:
        build_classifier(name, 4, sizes)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
