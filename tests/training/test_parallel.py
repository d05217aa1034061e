"""Four devices end where one does: runs shared among them, batches shared among them, checkpoints carried over."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import train_on_devices as program

from wormjax.errors import InputError
from wormjax.training.parallel import build_engine
from wormjax.training.step import Recipe

pytestmark = pytest.mark.usefixtures("quick_compilation")

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def both(tmp_path_factory, quick_compilation):
    """Folders that one device and four have trained into, and the state of each case that one device ended in.

    The four devices, in a process of their own, go on with what one had half done of the case "batch norm".
    """
    one, four = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("four")
    states = {"batch norm": program.train_case("batch norm", one / "batch norm", placement="single")}
    shutil.copytree(one / "batch norm", four / "batch norm")
    (last,) = four.glob("batch norm/models/*/checkpoints/6")
    shutil.rmtree(last)
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, program.__file__, str(four), *program.CASES]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for case in program.CASES.keys() - states.keys():
            states[case] = program.train_case(case, one / case, placement="single")
        for case in program.SYSTEM_CASES:
            states[case] = program.train_system_case(case, one / case, placement="single")
        _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors[-3000:]
    return one, four, states


@pytest.fixture
def one_device(both):
    """The folder that one device has trained into, and the state of each case at its end."""
    return both[0], both[2]


@pytest.fixture
def four_devices(both):
    """The folder that four devices have trained into, and the rows that they made of each case."""
    return both[1], json.loads((both[1] / "rows.json").read_text())


@pytest.mark.parametrize("case", program.CASES)
def test_four_devices_train_as_one_does(case, one_device, four_devices):
    expected = one_device[1][case]
    # What four devices left is restored on this one, which has nothing more to do.
    state = program.train_case(case, four_devices[0] / case, placement="single")
    np.testing.assert_array_equal(state.step, expected.step)
    np.testing.assert_array_equal(state.best_step, expected.best_step)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), state, expected)


@pytest.mark.parametrize("case", program.SYSTEM_CASES)
def test_four_devices_infer_graphs_as_one_does(case, one_device, four_devices):
    expected = one_device[1][case]
    state = program.train_system_case(case, four_devices[0] / case, placement="single")
    assert (state.step == 4).all()
    np.testing.assert_array_equal(state.best_step, expected.best_step)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5), state, expected)


@pytest.mark.parametrize("case", ["runs", "batch norm"])
def test_a_checkpoint_of_four_devices_gives_the_same_rows_on_one(case, four_devices):
    folder, rows = four_devices
    restored = program.score_case(case, folder / case)
    assert [list(map(str, row[:-1])) for row in restored] == [
        [str(tuple(value)) if isinstance(value, list) else str(value) for value in row[:-1]] for row in rows[case]
    ]
    np.testing.assert_allclose([row.value for row in restored], [row[-1] for row in rows[case]], rtol=1e-5)


def test_a_checkpoint_of_one_device_gives_the_rows_of_four(one_device, four_devices):
    rows = program.score_case("runs", one_device[0] / "runs")
    values = {tuple(map(str, row[:-1])): row.value for row in rows if row.metric == "nll"}
    trained_by_four = {
        (row[0], row[1], str(tuple(row[2])), *map(str, row[3:-1])): row[-1]
        for row in four_devices[1]["runs"]
        if row[-2] == "nll"
    }
    assert values.keys() == trained_by_four.keys()
    np.testing.assert_allclose(list(values.values()), [trained_by_four[key] for key in values], rtol=1e-3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"placement": "rows"}, "'train.placement': found 'rows', expected one of single, runs, batch"),
        ({"devices": 99}, "'train.devices': found 99, expected at most"),
    ],
)
def test_a_placement_that_cannot_be_is_an_error_of_its_field(fields, message):
    with pytest.raises(InputError, match=message):
        build_engine(None, Recipe(1), 2, **fields)
