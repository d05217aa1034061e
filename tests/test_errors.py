"""Notes on data are given once, whatever happens to Python's filters in between."""

import subprocess
import sys

PROGRAM = """
import warnings
from wormjax.errors import note
note("two samples are missing")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    note("a neuron is dead")
note("a neuron is dead")
note("two samples are missing")
"""


def test_a_note_is_given_once_though_filters_change():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert run.stderr.count("two samples are missing") == run.stderr.count("a neuron is dead") == 1
