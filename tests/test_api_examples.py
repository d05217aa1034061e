"""The examples of public names run as they stand, and give what they say."""

import doctest

import numpy as np
import pytest

import wormjax

SLOW = {"RelationalInference"}
FILES = {"load", "load_model"}  # Examples that name files of a user's.
NAMES = [name for name in wormjax.__all__ if name not in FILES and getattr(wormjax, name).__doc__]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NAMES]
)
def test_an_example_gives_what_it_says(name):
    names = {"wormjax": wormjax, "np": np, "Recording": wormjax.Recording}
    example = doctest.DocTestParser().get_doctest(getattr(wormjax, name).__doc__, names, name, None, None)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    said: list[str] = []
    doctest.DocTestRunner(optionflags=flags).run(example, out=said.append)
    assert not said, "".join(said)


def test_what_can_be_called_has_an_example():
    made = [name for name in (*NAMES, *FILES) if callable(getattr(wormjax, name)) and "Error" not in name]
    assert [name for name in made if ">>>" not in getattr(wormjax, name).__doc__ and "Warning" not in name] == []
