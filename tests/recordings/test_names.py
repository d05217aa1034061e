"""The spelling of neurons' names."""

import pytest

from wormjax.recordings.names import is_neuron_name, normalise_neuron_name, sort_candidates


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
