"""The notebooks of the documentation run, on simulated worms: with few updates of training, slow as they stand."""

import json
import pathlib

import matplotlib
import matplotlib.pyplot as plt
import pytest

from wormjax.config_files import list_fields
from wormjax.instrument.settings import build_config

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "docs" / "tutorials").glob("*.ipynb"))


FEW = {"train.steps": 4, "train.steps_per_chunk": 2, "train.epochs": 0}


def build_short(*arguments):
    """Return the config of a model, with few updates where it is the one that trains."""
    config = build_config(*arguments)
    config.train.update({name.removeprefix("train."): FEW[name] for name in FEW if name in list_fields(config)})
    return config


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["few updates", "whole"])
@pytest.mark.parametrize(
    "path",
    # Neural relational inference compiles for long; test_relational_inference has a smaller one.
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem == "infer_a_graph"), id=path.stem) for path in NOTEBOOKS],
)
def test_a_notebook_runs(path, whole, monkeypatch):
    matplotlib.use("agg")
    for module in () if whole else ("decoder", "forecaster", "relational_inference"):
        monkeypatch.setattr(f"wormjax.instrument.{module}.build_config", build_short)
    names: dict = {}
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)

    plt.close("all")
