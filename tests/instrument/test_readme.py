"""The Python examples of the README and the documentation run as they stand."""

import pathlib
import re

import matplotlib
import numpy as np
import pytest

import wormjax

ROOT = pathlib.Path(__file__).parents[2]
README = ROOT / "README.md"


def test_the_example_runs(tmp_path, monkeypatch):
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    text = README.read_text(encoding="utf-8")
    (example,) = re.findall(r"## From a notebook\n\n```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["probabilities"].shape == (len(names["worms"][3].times), 4)
    np.testing.assert_allclose(names["probabilities"].sum(axis=1), 1.0, atol=1e-5)
    assert names["decoder"].score(names["worms"][3]) > 0.6
    assert (tmp_path / "decoder" / "model.json").is_file()
    assert names["forecast"].mean.shape == (16, len(names["forecaster"].neuron_names_))


def test_the_functions_beneath_train_over_seeds(quick_compilation):
    text = (ROOT / "docs" / "pure_functions.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict = {}
    exec(compile(example, "pure_functions.md", "exec"), names)
    losses = names["losses"]
    assert losses.shape == (6, 3)
    assert (losses[-1] < losses[0]).all()
    assert len(set(losses[0].tolist())) == 3


def test_recordings_are_made_from_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "recordings.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(example, "recordings.md", "exec"), {})
    (worm,) = wormjax.load("mine.h5")
    assert worm.traces.shape == (600, 4)
    assert worm.state_shares == {"forward": 0.5, "reverse": 0.5}


def test_the_pictures_and_pages_of_the_readme_are_there():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 180
    links = re.findall(r"\]\((?!http)([^)#]+)", text)
    assert sum(link.endswith(".png") for link in links) >= 3
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_help_lists_what_there_is():
    text = wormjax.__doc__
    assert all(name in text for name in wormjax.__all__)


@pytest.mark.slow
def test_the_example_of_any_neurons_runs(quick_compilation):
    text = (ROOT / "docs" / "any_neurons.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict = {}
    exec(compile(example, "any_neurons.md", "exec"), names)
    worm = names["worms"][3]
    assert np.corrcoef(names["decoding"].behavior["velocity"], worm.behavior["velocity"])[0, 1] > 0.5
    assert names["own"].decode(worm).probabilities.shape == (len(worm.times), 2)
