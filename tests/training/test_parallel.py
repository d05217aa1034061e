"""Four devices end where one does: runs shared among them, batches shared among them, checkpoints carried over."""

import functools
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
# Case → what four devices may differ by from one: relative, and absolute (parameters and scores are of the order of
# one). The sums of a batch are taken in another order, and Adam divides a small gradient by its own size.
TOLERANCES = {
    "runs": (1e-3, 1e-6),
    "same seed": (0.0, 0.0),  # Not placed otherwise, only trained in another process: bit for bit.
    "few runs": (1e-3, 1e-6),
    "batch": (1e-3, 1e-6),
    "batch, nri_graph": (1e-3, 1e-6),
    "batch, wang_graph": (1e-3, 1e-6),
    "systems by batch": (2e-3, 1e-5),
    "systems by run": (2e-3, 1e-5),
}
ROWS_OF_ONE_CHECKPOINT = 1e-5  # Relative: the same parameters, decoded elsewhere.
ROWS_OF_ANOTHER_TRAINING = 1e-3
CASES = [case if case in program.QUICK else pytest.param(case, marks=pytest.mark.slow) for case in TOLERANCES]


def train_on_both(one, four, cases):
    """The state of each case that one device ended in; four, in a process of their own, train into `four`.

    The four go on with what one had half done of the case RESUMED.
    """
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, program.__file__, str(four), *cases]
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    states = {}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        try:
            for case in sorted(set(cases) - {"same seed"}, key=lambda case: case != program.RESUMED):
                states[case] = program.train_case(case, one / case, placement="single")
                if case == program.RESUMED:
                    shutil.copytree(one / case, four / case)
                    (last,) = (four / case).glob("models/*/checkpoints/6")
                    shutil.rmtree(last)
                    assert (last.parent / "3").is_dir()  # Half of the steps.
                    process.stdin.write("go on\n")
                    process.stdin.flush()
            if "same seed" in cases:
                states["same seed"] = states["runs"]
            _, errors = process.communicate(timeout=500)
        finally:
            process.kill()
    assert process.returncode == 0, errors[-3000:]
    return states


@pytest.fixture(scope="module", name="both")
def trained_by_both(tmp_path_factory, quick_compilation):
    """A function: case → folders that one device and four have trained into, and the states that one ended in."""

    @functools.cache
    def train(quick):
        one, four = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("four")
        cases = [case for case in TOLERANCES if (case in program.QUICK) == quick]
        return one, four, train_on_both(one, four, cases)

    return lambda case: train(case in program.QUICK)


def read_rows(folder, case):
    """The rows that four devices made of a case."""
    return json.loads((folder / "rows.json").read_text())[case]


@pytest.mark.parametrize("case", CASES)
def test_four_devices_train_as_one_does(case, both):
    _, four, states = both(case)
    # What four devices left is restored on this one, which has nothing more to do.
    state = program.train_case(case, four / case, placement="single")
    np.testing.assert_array_equal(state.step, 4 if case in program.SYSTEM_CASES else 6)
    np.testing.assert_array_equal(state.best_step, states[case].best_step)
    relative, absolute = TOLERANCES[case]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=relative, atol=absolute), state, states[case])


@pytest.mark.parametrize("case", ["runs", "batch"])
def test_a_checkpoint_of_four_devices_gives_the_same_rows_on_one(case, both):
    folder = both(case)[1]
    rows, restored = read_rows(folder, case), program.score_case(case, folder / case)
    assert [list(map(str, row[:-1])) for row in restored] == [
        [str(tuple(value)) if isinstance(value, list) else str(value) for value in row[:-1]] for row in rows
    ]
    np.testing.assert_allclose([row.value for row in restored], [row[-1] for row in rows], rtol=ROWS_OF_ONE_CHECKPOINT)


def test_the_same_seed_gives_the_same_rows_in_another_process(both):
    one, four, _ = both("same seed")
    rows = program.score_case("same seed", one / "runs")
    assert len(rows) > 10
    np.testing.assert_array_equal([row.value for row in rows], [row[-1] for row in read_rows(four, "same seed")])


def test_a_checkpoint_of_one_device_gives_the_rows_of_four(both):
    one, four, _ = both("runs")
    rows = program.score_case("runs", one / "runs")
    values = {tuple(map(str, row[:-1])): row.value for row in rows if row.metric == "nll"}
    trained_by_four = {
        (row[0], row[1], str(tuple(row[2])), *map(str, row[3:-1])): row[-1]
        for row in read_rows(four, "runs")
        if row[-2] == "nll"
    }
    assert values.keys() == trained_by_four.keys()
    expected = [trained_by_four[key] for key in values]
    np.testing.assert_allclose(list(values.values()), expected, rtol=ROWS_OF_ANOTHER_TRAINING)


@pytest.mark.slow
@pytest.mark.parametrize("case", program.BY_PMAP)
def test_pmap_trains_as_shard_map_does(case, both):
    _, four, _ = both(case)
    expected = program.train_case(case, four / case, placement="single")
    found = program.train_case(case, four / f"{case} by pmap", placement="single")
    np.testing.assert_array_equal(found.step, 6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), found, expected)


def test_more_devices_than_there_are_is_an_error_of_its_field():
    with pytest.raises(InputError, match=r"'train\.devices': found 99, expected at most"):
        build_engine(None, Recipe(1), 2, devices=99)
