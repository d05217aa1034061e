"""Checkpoints come back as they were, or end in one line; a damaged one is never half believed."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from wormjax.errors import InputError
from wormjax.training.checkpoints import _restore_whole, open_checkpoints, restore_latest, restore_state, save_state
from wormjax.training.objectives.classification import Objective
from wormjax.training.step import Recipe, TrainState, initialise_state

ROOT = pathlib.Path(__file__).parents[2]
# Orbax leaves an event loop in the middle where a checkpoint is damaged.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def make_state(value=1.0, size=3) -> TrainState:
    params = {"Dense_0": {"kernel": jnp.full((2, size), value), "bias": jnp.arange(3.0)}, "no parameters": {}}
    return initialise_state(Objective(lambda run: {"params": params}, None, None), Recipe(1), None)


def save(folder, *states):
    with open_checkpoints(folder) as manager:
        for step, state in enumerate(states):
            save_state(manager, step, state)


def restore(folder, template):
    with open_checkpoints(folder) as manager:
        restored = restore_state(manager, template)
        return None if restored is None else restored[1]


def test_the_latest_state_comes_back_bit_for_bit(tmp_path):
    states = [make_state(value) for value in (1.0, 0.1, np.pi)]
    save(tmp_path, *states)
    restored = restore(tmp_path, make_state(0.0))
    assert isinstance(restored, TrainState)
    np.testing.assert_array_equal(restored.variables["params"]["Dense_0"]["kernel"], np.float32(np.pi))
    assert restored.best_score == np.inf
    assert restored.step.dtype == np.int32
    assert restored.variables["params"]["no parameters"] == {}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.isdigit()) == ["1", "2"]  # Two are kept.


def test_an_empty_folder_has_none(tmp_path):
    assert restore(tmp_path, make_state()) is None


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    save(tmp_path, make_state())
    with pytest.raises(InputError, match="other shapes"):
        restore(tmp_path, make_state(size=4))
    template = make_state()
    template.variables["params"]["Dense_1"] = template.variables["params"]["Dense_0"]
    with pytest.raises(InputError, match="another model"):
        restore(tmp_path, template)


def test_a_checkpoint_without_one_number_is_refused(tmp_path):
    with open_checkpoints(tmp_path) as manager:
        save_state(manager, 0, {k: v for k, v in make_state()._asdict().items() if k != "stale"})
    with pytest.raises(InputError, match="another model, which differs in 'stale'"):
        restore(tmp_path, make_state())


def value_of(tree):
    return float(tree["variables"]["params"]["Dense_0"]["kernel"][0, 0])


def restore_or_message(folder):
    """The step and the value of the latest checkpoint, or None and why there is none."""
    try:
        with open_checkpoints(folder, read_only=True) as manager:
            step, tree = restore_latest(manager, fall_back=False)
            return (step, value_of(tree)), ""
    except InputError as error:
        return None, str(error)


def damage(folder, kind, number):
    """Damages one file of a checkpoint: the file and the place by a seed; its name."""
    random = np.random.default_rng([number, kind == "flip"])
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    path = files[number % len(files)]
    content = bytearray(path.read_bytes())
    if kind == "remove":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(content[: random.integers(0, len(content))])
    else:
        for place in random.integers(0, len(content), 1 + number % 3):
            content[place] ^= 1 << random.integers(0, 8)
        path.write_bytes(content)
    return path.name


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        ("flip", 4),
        pytest.param("remove", 6, marks=pytest.mark.slow),
        pytest.param("cut", 60, marks=pytest.mark.slow),
        pytest.param("flip", 600, marks=pytest.mark.slow),
    ],
)
def test_a_damaged_latest_checkpoint_is_reported_and_the_one_before_is_used(kind, times, tmp_path, capfd):
    save(tmp_path / "sound", make_state(1.0), make_state(2.0))
    fell_back = 0
    for number in range(times):
        folder = tmp_path / f"{kind} {number}"
        shutil.copytree(tmp_path / "sound", folder)
        damage(folder / "1", kind, number)
        found, message = restore_or_message(folder)
        refused = found is None
        if refused:
            assert "1: found a checkpoint that is damaged or not of wormjax" in message
            assert "train again, which goes on from the one before, of step 0" in message
        else:  # What was damaged is not read, or says the same.
            assert found == (1, 2.0)
        assert sorted(path.name for path in folder.iterdir() if path.name.isdigit()) == ["0", "1"]
        with open_checkpoints(folder) as manager:
            step, tree = restore_latest(manager)
            assert (step, value_of(tree)) == ((0, 1.0) if refused else (1, 2.0))
            printed = capfd.readouterr().err
            assert printed.count("\n") == refused
            assert ("1: found a checkpoint that is damaged" in printed) == refused
            if refused:  # The step is free again.
                save_state(manager, 1, make_state(3.0))
                assert value_of(restore_latest(manager)[1]) == 3.0
        fell_back += refused
    assert fell_back >= times / 6  # Of most files Orbax can do without.


def test_where_all_are_damaged_training_begins_anew(tmp_path, capfd):
    save(tmp_path, make_state(1.0), make_state(2.0))
    for step in ("0", "1"):
        for path in (tmp_path / step).rglob("manifest.ocdbt"):
            path.unlink()
    assert restore(tmp_path, make_state()) is None
    printed = capfd.readouterr().err.splitlines()
    assert [line.rpartition("goes on from ")[2] for line in printed] == ["the one before, of step 0", "the beginning"]


def test_arrays_that_were_changed_after_the_checksum_are_refused(tmp_path):
    with open_checkpoints(tmp_path) as manager:
        save_state(manager, 0, {"best": {"kernel": np.arange(6.0)}})
        tree = _restore_whole(manager, 0)
        tree["best"]["kernel"][3] += 1e-9
        manager.save(1, args=ocp.args.PyTreeSave(tree), force=True)
        manager.save(2, args=ocp.args.PyTreeSave({"best": {"kernel": np.arange(6.0)}}), force=True)
    message = r"2: found a checkpoint .*its checksum is not that of its arrays"
    with open_checkpoints(tmp_path, read_only=True) as manager, pytest.raises(InputError, match=message):
        restore_latest(manager, fall_back=False)
    with open_checkpoints(tmp_path, keep=9) as manager:
        assert restore_latest(manager) is None  # Neither of the two that are left.


FULL = """
import resource, sys
import numpy as np
from wormjax.errors import InputError
from wormjax.training.checkpoints import open_checkpoints, restore_latest, save_state
from wormjax.training.curves import append_curves
with open_checkpoints(sys.argv[1]) as manager:
    save_state(manager, 1, {"best": np.arange(4.0)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # As a disk that is full.
    try:
        save_state(manager, 2, {"best": np.random.default_rng(0).normal(size=100_000)})
    except InputError as error:
        print(error)
    try:
        for step in range(9999):
            append_curves(sys.argv[1] + "/curves.csv", step, {"loss": 1.0})
    except OSError as error:
        print(error.strerror)
with open_checkpoints(sys.argv[1]) as manager:
    print(restore_latest(manager)[0], manager.all_steps())
"""


def test_a_full_disk_is_one_line_and_earlier_checkpoints_are_kept(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    refusal, curves, steps = done.stdout.splitlines()
    assert refusal.startswith(f"{tmp_path}: the checkpoint of step 2 could not be written (File too large); what was")
    assert curves == "File too large"
    assert steps == "1 [1]"
    assert done.stderr == ""
    assert not [path for path in tmp_path.iterdir() if "tmp" in path.name]


READ_ONLY = """
import os, pathlib, sys
import numpy as np
from wormjax.errors import InputError
from wormjax.training.checkpoints import open_checkpoints, restore_latest, save_state
folder = pathlib.Path(sys.argv[1])
with open_checkpoints(folder) as manager:
    save_state(manager, 1, {"best": np.arange(4.0)})
    os.chmod(folder, 0o555)
    if os.geteuid() == 0:  # Whom no permission stops.
        os.seteuid(65534)
    for attempt in (lambda: save_state(manager, 2, {"best": np.arange(4.0)}), lambda: open_checkpoints(folder / "new")):
        try:
            attempt()
        except InputError as error:
            print(error)
with open_checkpoints(folder, read_only=True) as manager:
    print(restore_latest(manager)[0], manager.all_steps())
"""


def test_a_folder_that_has_become_read_only_is_one_line_and_can_still_be_read():
    with tempfile.TemporaryDirectory() as parent:  # Not below pytest's, which is closed to all but its owner.
        os.chmod(parent, 0o755)
        folder = os.path.join(parent, "checkpoints")
        command = [sys.executable, "-c", READ_ONLY, folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        os.chmod(folder, 0o755)
    assert done.returncode == 0, done.stderr
    save, new, steps = done.stdout.splitlines()
    assert save.startswith(f"{folder}: the checkpoint of step 2 could not be written (Permission denied); what was")
    assert new == f"{folder}/new: Permission denied, expected a folder to keep checkpoints in"
    assert steps == "1 [1]"
    assert done.stderr == ""


def test_what_a_killed_process_left_unfinished_is_cleared_away(tmp_path):
    save(tmp_path, make_state(1.0))
    unfinished = tmp_path / "1.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "0", unfinished)
    with open_checkpoints(tmp_path, read_only=True) as manager:
        assert manager.latest_step() == 0
    assert unfinished.exists()  # Another process may be writing it.
    with open_checkpoints(tmp_path) as manager:
        assert manager.latest_step() == 0
    assert not unfinished.exists()


def test_nothing_but_whole_checkpoints_is_left_in_the_folder(tmp_path):
    save(tmp_path, make_state())
    assert not [path for path in pathlib.Path(tmp_path).iterdir() if "tmp" in path.name]
