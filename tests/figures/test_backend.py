"""Figures are drawn whatever backend the environment names."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from wormjax import figures
figure = figures.plot_confusions({"mlp": [[9, 1], [0, 5]]}, ("reverse", "forward"))
figures.save_figure(figure, sys.argv[1])
"""


@pytest.mark.parametrize(
    "backend",
    [
        "module://no_such.backend",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("module://matplotlib_inline.backend_inline", "")),
    ],
)
def test_the_backend_of_a_notebook_does_not_break_programs(tmp_path, backend):
    path = tmp_path / "figure.png"
    environment = os.environ | {"MPLBACKEND": backend, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, str(path)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert path.read_bytes().startswith(b"\x89PNG")


BACKEND = """
import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas
from matplotlib.backend_bases import FigureManagerBase as FigureManager
matplotlib.interactive(True)
"""
NOTEBOOK = """
import matplotlib
import numpy as np
import wormjax
wormjax.plot.trajectories(np.zeros((4, 2, 2)))
print(matplotlib.is_interactive())
"""


def test_a_notebook_still_shows_figures_after_one_of_ours(tmp_path):
    (tmp_path / "notebook_backend.py").write_text(BACKEND)
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = os.environ | {"MPLBACKEND": "module://notebook_backend", "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    run = subprocess.run([sys.executable, "-c", NOTEBOOK], env=environment, capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("True\n", 0), run.stderr
