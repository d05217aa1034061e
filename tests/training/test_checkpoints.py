"""Checkpoints come back as they were, or end in one line; a damaged one is never half believed."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from wormjax.errors import InputError
from wormjax.training.checkpoints import open_checkpoints, restore_latest, restore_state, save_state
from wormjax.training.objectives import Objective
from wormjax.training.step import Recipe, TrainState, initialise_state


def make_state(value=1.0, size=3) -> TrainState:
    params = {"Dense_0": {"kernel": jnp.full((2, size), value), "bias": jnp.arange(3.0)}, "no parameters": {}}
    return initialise_state(Objective(lambda run: {"params": params}, None, None), Recipe(1), None)


def save(folder, *states):
    with open_checkpoints(folder) as manager:
        for step, state in enumerate(states):
            save_state(manager, step, state)


def restore(folder, template):
    with open_checkpoints(folder) as manager:
        return restore_state(manager, template)


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
    with pytest.raises(InputError, match=r"another model .*stale"):
        restore(tmp_path, make_state())


def restore_or_message(folder):
    try:
        with open_checkpoints(folder) as manager:
            return restore_latest(manager), ""
    except InputError as error:
        return None, str(error)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax's loop, left in the middle.
@pytest.mark.parametrize("damage", ["cut", "remove"])
def test_a_damaged_checkpoint_is_one_line_or_still_whole(damage, tmp_path):
    save(tmp_path / "sound", make_state(7.0))
    files = sorted(path for path in (tmp_path / "sound").rglob("*") if path.is_file())
    refused = 0
    for number, path in enumerate(files):
        folder = tmp_path / str(number)
        save(folder, make_state(7.0))
        copy = folder / path.relative_to(tmp_path / "sound")
        if not copy.exists():  # Some names are drawn anew with every save.
            continue
        copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2]) if damage == "cut" else copy.unlink()
        restored, message = restore_or_message(folder)
        refused += bool(message)
        assert not message or "found a checkpoint that Orbax cannot read" in message
        if restored is not None:
            assert restored["variables"]["params"]["Dense_0"]["kernel"].tolist() == [[7.0] * 3] * 2
    assert refused


def test_nothing_but_whole_checkpoints_is_left_in_the_folder(tmp_path):
    save(tmp_path, make_state())
    assert not [path for path in pathlib.Path(tmp_path).iterdir() if "tmp" in path.name]
