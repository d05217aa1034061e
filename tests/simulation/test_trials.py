"""Trials of unequal length: read, split by name, stretched, and cut into windows that lie within one trial."""

import numpy as np
import pytest
from small_systems import small_config

from wormjax.errors import InputError, RecordingWarning
from wormjax.features.system_scaling import scale_systems
from wormjax.features.systems import open_systems
from wormjax.simulation import trials as reading

JOINTS = ("root", "knee", "foot")


def write_trials(path, lengths, **fields):
    """Write trials whose first object counts frames, so that a window shows where it was cut."""
    arrays = {}
    for number, (name, length) in enumerate(lengths.items()):
        values = np.random.default_rng(number).normal(size=(length, 3, 2))
        values[:, 0, 0] = 1000 * number + np.arange(length)
        arrays[name] = values.astype(np.float32)
    np.savez(path, joints=np.array(JOINTS), **arrays, **fields)
    return arrays


def data_of(**fields):
    return small_config(**{f"data__{name}": value for name, value in fields.items()}).data


def test_windows_lie_within_one_trial_and_splits_go_by_name(tmp_path):
    arrays = write_trials(tmp_path / "walk.npz", {"a": 33, "b": 20, "c": 25, "d": 19, "e": 41})
    names = {"trials__train": ("a", "e"), "trials__valid": ("b",), "trials__test": ("c", "gone")}
    data = data_of(path=str(tmp_path / "walk.npz"), stride=5, train_stride=1, system="walk", **names)
    with pytest.warns(RecordingWarning, match="left out d, which are in no list of data.trials"):
        splits = open_systems(data, tmp_path)
    assert {split: len(part.features) for split, part in splits.items()} == {"train": 14 + 22, "valid": 1, "test": 2}
    assert (np.diff(splits["train"].features[:, :, 0, 0], axis=1) == 1).all()  # No window has frames of two trials.
    np.testing.assert_array_equal(splits["test"].features[1], arrays["c"][5:25])
    assert splits["test"].object_names == JOINTS
    assert splits["test"].feature_names == ("x", "y")
    assert splits["test"].system == "walk"


def test_all_trials_of_another_file_are_the_test(tmp_path):
    write_trials(tmp_path / "others.npz", {"x": 25, "y": 30})
    data = data_of(path=str(tmp_path / "others.npz"), stride=5, trials__train=("a",), trials__test=("c",))
    splits = open_systems(data, tmp_path, trained=True)
    assert len(splits["test"].features) == 2 + 3
    write_trials(tmp_path / "others.npz", {"x": 25, "y": 30, "c": 25})
    with pytest.raises(InputError, match=r"found the trials x, y, c, expected some of data.trials.train: a"):
        open_systems(data, tmp_path)


def test_without_names_the_first_trials_train(tmp_path):
    write_trials(tmp_path / "walk.npz", {name: 40 for name in "abcde"})
    with pytest.warns(RecordingWarning, match="none of its trials is in a list of data.trials: the first ones train"):
        open_systems(data_of(path=str(tmp_path / "walk.npz"), stride=20, trials__train=("elsewhere",)), tmp_path)
    splits = open_systems(data_of(path=str(tmp_path / "walk.npz"), stride=20), tmp_path)
    assert [len(splits[split].features) for split in ("train", "valid", "test")] == [6, 2, 2]


def test_velocities_are_changes_per_second_and_a_stretched_trial_is_slower(tmp_path):
    write_trials(tmp_path / "walk.npz", {"a": 60, "b": 40, "c": 40}, frame_interval=0.5)
    data = data_of(path=str(tmp_path / "walk.npz"), stride=20, train_stride=20, velocity=True, stretches=(2.0,))
    train = open_systems(data, tmp_path)["train"]
    assert train.feature_names == ("x", "y", "velocity x", "velocity y")
    assert train.features.shape == (3 + 5, 20, 3, 4)  # 118 frames of the stretched trial.
    np.testing.assert_allclose(train.features[:3, :, 0, 2], 2.0)
    np.testing.assert_allclose(train.features[3:, :, 0, 2], 1.0, atol=1e-3)


def test_objects_that_are_absent_are_masked(tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 3, 2)).astype(np.float32)
    values[:30, 2] = np.nan
    np.savez(tmp_path / "walk.npz", a=values, b=values[:40], c=values[10:60])
    splits = open_systems(data_of(path=str(tmp_path / "walk.npz"), stride=20, stretches=(1.5,)), tmp_path)
    systems = scale_systems(splits, 12, "features")
    assert not systems.train.observed[0, :, 2].any()
    assert systems.train.observed[2].all()
    assert np.abs(systems.train.features).max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"a": np.zeros((9, 3, 2)), "b": np.zeros((9, 4, 2))}, r"field 'b': found the shape \(9, 4, 2\), expected"),
        ({"a": np.full((9, 3, 2), np.inf)}, "field 'a': found infinite values"),
        ({"a": np.zeros((9, 1, 2))}, "field 'a': found 1 objects, expected two or more"),
        ({"a": np.zeros((9, 3, 2))}, "found 1 trials, expected 3 or more to split"),
        ({name: np.zeros((9, 3, 2)) for name in "abc"}, "found trials of 9 frames at most, expected 20"),
        ({"a": np.zeros((9, 3))}, "field 'features': found none"),
    ],
)
def test_bad_archives_are_refused_in_one_line(tmp_path, arrays, problem):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=problem):
        open_systems(data_of(path=str(tmp_path / "bad.npz")), tmp_path)


def write_games(folder, split, lengths, suffix=""):
    frames = sum(lengths)
    random = np.random.default_rng(frames)
    np.save(folder / f"player_coords_{split}{suffix}.npy", random.uniform(size=(frames, 10, 2)))
    np.save(folder / f"ball_coords_{split}{suffix}.npy", random.uniform(size=(frames, 3)))
    np.save(folder / f"example_stop_idxs_{split}{suffix}.npy", np.cumsum([0, *lengths]) - 1)


def test_games_are_read_in_feet_and_examples_do_not_touch(tmp_path):
    write_games(tmp_path, "train", [30, 25, 60, 22], "__with_5_games")
    write_games(tmp_path, "val", [40, 19])
    data = data_of(path=str(tmp_path), stride=5, train_stride=5)
    with pytest.warns(RecordingWarning, match="left out 1 of 2 trials, of fewer than 20 frames"):
        splits = open_systems(data, tmp_path)
    assert [len(splits[split].features) for split in ("train", "valid", "test")] == [3 + 2 + 9, 1, 5]
    players = np.load(tmp_path / "player_coords_val.npy")
    np.testing.assert_allclose(splits["test"].features[1, :, :10], players[5:25] * [94, 50], rtol=1e-6)
    assert splits["test"].object_names[-1] == "ball"
    write_games(tmp_path, "test", [50])
    assert len(open_systems(data, tmp_path, trained=True)["test"].features) == 7
    (tmp_path / "ball_coords_val.npy").unlink()
    with pytest.raises(InputError, match=r"found no such file for ball_coords_val\*.npy, expected one"):
        open_systems(data, tmp_path)


def test_the_shares_of_trials_go_by_frames():
    values = tuple(np.zeros((length, 2, 1), np.float32) for length in (10, 80, 10))
    trials = reading.Trials(("a", "b", "c"), values, ("x",), (), 1.0, "memory")
    assert [part.names for part in reading.share_trials(trials, (0.8, 0.1, 0.1))] == [("a",), ("b",), ("c",)]
