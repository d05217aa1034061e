"""The spelling of neurons' names."""

import pytest

from wormjax.recordings.names import (
    NEURONS,
    identify_neurons,
    is_neuron_name,
    normalise_neuron_name,
    sort_candidates,
    split_neuron_name,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("DB1", "DB01"),
        ("VB01", "VB01"),
        ("VA12", "VA12"),
        ("AS3", "AS03"),
        ("VB001", "VB01"),
        (" AVAL ", "AVAL"),
        ("IL1L", "IL1L"),
        ("I3", "I3"),
        ("M5", "M5"),
        ("DVA", "DVA"),
        ("VB1L", "VB1L"),
    ],
)
def test_pads_the_ventral_cord_and_nothing_else(written, expected):
    assert normalise_neuron_name(written) == expected
    assert normalise_neuron_name(expected) == expected


@pytest.mark.parametrize("text", ["---", "12", "?", "", "Unknown Cell", "unknown", "NaN", "-"])
def test_placeholders_name_no_neuron(text):
    assert not is_neuron_name(text)
    assert sort_candidates([text]) == (None, ())


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (["AVAL"], ("AVAL", ())),
        (["VB1"], ("VB01", ())),
        (["RIML", "RIMR"], (None, ("RIML", "RIMR"))),
        (["AVAL", "---"], (None, ("AVAL",))),
        (["AIY?"], (None, ("AIY",))),
        (["AVAL", ""], ("AVAL", ())),
        ([], (None, ())),
    ],
)
def test_only_one_sure_name_identifies(entry, expected):
    assert sort_candidates(entry) == expected


def test_the_302_neurons_and_their_spellings():
    assert len(NEURONS) == 302
    assert all(normalise_neuron_name(name) == normalise_neuron_name(name.lower()) == name for name in NEURONS)
    assert all(is_neuron_name(name) for name in NEURONS)
    spellings = ["VB2", "vb2", "avaL", "db1", " AVAL ", "awcOFF", "VB12", "pm1", "mine", "AVA"]
    assert [normalise_neuron_name(name) for name in spellings] == [
        *("VB02", "VB02", "AVAL", "DB01", "AVAL", "AWCOFF"),
        *("VB12", "pm1", "mine", "AVA"),  # None of the 302: a user's own names.
    ]


@pytest.mark.parametrize(
    "text", ["unknown_3", "neuron_12", "Unnamed: 0", "ROI 4", "undefined", "missing", "n/a", "nan?"]
)
def test_placeholders_with_numbers_name_no_neuron(text):
    assert sort_candidates([text]) == (None, ())


def test_a_name_that_two_neurons_carry_identifies_neither():
    entries = ["avaL", "AVAL", "VB2", "AVAR?", None, float("nan"), 12, "mine"]
    listed = [(), (), (), (), ("rimL", "RIMR"), (), (), ()]
    names, candidates, twice = identify_neurons(entries, listed)
    assert names == (None, None, "VB02", None, None, None, None, "mine")
    assert candidates == (("AVAL",), ("AVAL",), (), ("AVAR",), ("RIML", "RIMR"), (), (), ())
    assert twice == ("AVAL",)


def test_class_and_side():
    expected = {
        **{
            "AVAL": ("AVA", "L"),
            "RID": ("RID", ""),
            "VB02": ("VB", "02"),
            "IL1DL": ("IL1", "DL"),
            "IL1L": ("IL1", "L"),
        },
        **{
            "RMED": ("RME", "D"),
            "RMEL": ("RME", "L"),
            "RMDL": ("RMD", "L"),
            "RMDVR": ("RMD", "VR"),
            "I1L": ("I1", "L"),
        },
        **{
            "SABD": ("SAB", "D"),
            "SABVL": ("SAB", "VL"),
            "AWCON": ("AWC", ""),
            "AIY": ("AIY", ""),
            "cell": ("cell", ""),
        },
    }
    assert {name: split_neuron_name(name) for name in expected} == expected
    classes = {split_neuron_name(name)[0] for name in NEURONS}
    assert len(classes) == 118
    assert all("".join(split_neuron_name(name)) == name for name in NEURONS)
