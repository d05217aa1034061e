"""Systems are scaled by their training alone, split as files say, and refused where they cannot be used."""

import dataclasses

import numpy as np
import pytest
from small_systems import make_splits, make_system, replace_features, small_config, write_archives, write_reference

from wormjax.errors import InputError, RecordingWarning
from wormjax.features.system_scaling import scale_systems, scale_trajectories
from wormjax.features.systems import cut_windows, open_systems, relate_neurons, take_simulations
from wormjax.recordings import container
from wormjax.simulation.trajectory_files import write_trajectories
from wormjax.simulation.worms import simulate_worms

pytestmark = pytest.mark.usefixtures("quick_compilation")

FRAMES = 12
FIELDS = ("low", "high", "change_scale")


@pytest.fixture
def splits():
    return make_splits()


def data_of(**fields):
    return small_config(**{f"data__{name}": value for name, value in fields.items()}).data


def assert_same_scaling(one, other):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one.scaling, field), getattr(other.scaling, field))


def test_locations_share_a_range_velocities_another_and_training_fills_it(splits):
    train = splits["train"].features[:, :FRAMES]
    systems = scale_systems(splits, FRAMES)
    low, high = systems.scaling.low, systems.scaling.high
    assert (low[0], high[0]) == (low[1], high[1]) == (train[..., :2].min(), train[..., :2].max())
    assert (low[2], high[2]) == (low[3], high[3]) == (train[..., 2:].min(), train[..., 2:].max())
    for group in (slice(0, 2), slice(2, 4)):
        values = systems.train.features[..., group]
        assert (values.min(), values.max()) == (pytest.approx(-1.0, abs=1e-5), pytest.approx(1.0, abs=1e-5))


def test_any_other_feature_has_a_range_of_its_own(splits):
    names = ("angle", "x", "y", "frequency")
    systems = scale_systems({k: dataclasses.replace(v, feature_names=names) for k, v in splits.items()}, FRAMES)
    features = splits["train"].features
    assert systems.scaling.low[0] == features[..., 0].min()
    assert systems.scaling.high[3] == features[..., 3].max()
    assert systems.scaling.low[1] == systems.scaling.low[2] == features[..., 1:3].min()


@pytest.mark.parametrize("split", ["valid", "test"])
def test_what_is_not_for_training_changes_no_scale_and_is_scaled_alike(splits, split):
    before = scale_systems(splits, FRAMES)
    changed = splits | {split: replace_features(splits[split], 50.0 * splits[split].features - 3.0)}
    after = scale_systems(changed, FRAMES)
    assert_same_scaling(after, before)
    np.testing.assert_array_equal(after.train.features, before.train.features)
    low, high = before.scaling.low, before.scaling.high
    expected = 2 * (changed[split].features - low) / (high - low) - 1
    np.testing.assert_allclose(getattr(after, split).features, expected, rtol=1e-4, atol=1e-4)


def test_training_frames_after_those_that_are_kept_change_no_scale(splits):
    """A folder may hold long training trajectories: only the first frames are trained on."""
    longer = splits | {"train": make_system(60, 30), "valid": make_system(20, 30)}
    before = scale_systems(longer, FRAMES)
    assert before.train.features.shape[1] == before.valid.features.shape[1] == FRAMES
    assert before.test.features.shape[1] == 20
    features = np.array(longer["train"].features)
    features[:, FRAMES:] = 1e3
    assert_same_scaling(scale_systems(longer | {"train": replace_features(longer["train"], features)}, FRAMES), before)


def test_the_scale_of_change_is_what_most_frames_change_by(splits):
    systems = scale_systems(splits, FRAMES)
    changes = np.diff(systems.train.features, axis=1)
    expected = 1.4826 * np.median(abs(changes), axis=(0, 1, 2))
    np.testing.assert_allclose(systems.scaling.change_scale, expected, rtol=1e-5)
    normal = np.cumsum(np.random.default_rng(0).normal(size=(60, 40, 3, 4)), axis=1)
    random_walk = scale_systems(splits | {"train": replace_features(splits["train"], normal)}, FRAMES, "none")
    np.testing.assert_allclose(random_walk.scaling.change_scale, 1.0, rtol=0.1)
    normal[:2] += 20.0 * np.arange(40)[:, None, None]  # A few leap.
    leaping = scale_systems(splits | {"train": replace_features(splits["train"], normal)}, FRAMES, "none")
    np.testing.assert_allclose(leaping.scaling.change_scale, random_walk.scaling.change_scale, rtol=0.1)


def test_a_feature_that_mostly_stands_still_is_scaled_by_its_spread(splits):
    features = np.array(splits["train"].features)
    features[..., 3] = 0.0
    features[:3, 5:, :, 3] = 1.0
    systems = scale_systems(splits | {"train": replace_features(splits["train"], features)}, FRAMES, "none")
    expected = np.diff(features[..., 3], axis=1).std()
    assert systems.scaling.change_scale[3] == pytest.approx(expected, rel=1e-4)


def test_unscaled_features_stay_as_they_are(splits):
    systems = scale_systems(splits, FRAMES, "none")
    for split, trajectories in splits.items():
        np.testing.assert_array_equal(getattr(systems, split).features, trajectories.features)
        np.testing.assert_array_equal(getattr(systems, split).edges, trajectories.edges)
    assert (systems.scaling.change_scale > 0).all()


def test_other_systems_are_scaled_by_the_same_numbers(splits):
    systems = scale_systems(splits, FRAMES)
    again = scale_trajectories(splits["test"], systems.scaling)
    np.testing.assert_array_equal(again.features, systems.test.features)


def test_one_file_is_split_into_the_first_tenths_and_the_last(tmp_path):
    whole = make_system(43, 9)
    write_trajectories(whole, tmp_path / "whole.h5")
    parts = open_systems(data_of(path=str(tmp_path / "whole.h5")), tmp_path)
    assert [len(parts[split].features) for split in ("train", "valid", "test")] == [34, 4, 5]
    for field in ("features", "edges"):
        joined = np.concatenate([getattr(parts[split], field) for split in ("train", "valid", "test")])
        np.testing.assert_array_equal(joined, getattr(whole, field))
    write_trajectories(dataclasses.replace(make_system(10, 9), edges=None), tmp_path / "ten.h5")
    ten = open_systems(data_of(path=str(tmp_path / "ten.h5")), tmp_path)
    assert [len(ten[split].features) for split in ("train", "valid", "test")] == [8, 1, 1]
    assert ten["test"].edges is None


@pytest.mark.parametrize("write", [write_archives, write_reference])
def test_a_folder_of_splits_is_read_as_it_is(tmp_path, splits, write):
    write(tmp_path, splits)
    read = open_systems(data_of(path=str(tmp_path)), tmp_path / "cache")
    assert list(read) == ["train", "valid", "test"]
    for split, trajectories in splits.items():
        np.testing.assert_array_equal(read[split].features, trajectories.features)
        np.testing.assert_array_equal(read[split].edges, trajectories.edges)
    assert not (tmp_path / "cache").exists()


def test_a_suffix_chooses_among_the_systems_of_a_folder(tmp_path, splits):
    write_reference(tmp_path, splits, "springs3")
    other = {split: replace_features(values, values.features + 9) for split, values in splits.items()}
    write_reference(tmp_path, other, "charged3")
    read = open_systems(data_of(path=str(tmp_path), suffix="charged3"), tmp_path)
    np.testing.assert_array_equal(read["test"].features, other["test"].features)
    assert read["test"].system == "charged"


def test_simulations_are_made_once_and_no_split_repeats_another(tmp_path):
    fields = {f"simulations.{split}": 5 for split in ("train", "valid", "test")}
    config = small_config(**{f"data__{name}": value for name, value in fields.items()}, data__test_frames=15)
    made = open_systems(config.data, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 3
    assert [made[split].features.shape[1] for split in ("train", "valid", "test")] == [12, 12, 15]
    again = open_systems(config.data, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files
    for split in made:
        np.testing.assert_array_equal(again[split].features, made[split].features)
    starts = np.concatenate([np.asarray(trajectories.features)[:, 0] for trajectories in made.values()])
    assert len(np.unique(starts.reshape(15, -1), axis=0)) == 15


def test_some_of_the_simulations_keep_their_graphs():
    whole = make_system(9, 5)
    some = take_simulations(whole, slice(2, 5))
    np.testing.assert_array_equal(some.features, whole.features[2:5])
    np.testing.assert_array_equal(some.edges, whole.edges[2:5])
    assert some.feature_names == whole.feature_names


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"system": "sprungs"}, "config field 'data.system': found 'sprungs', expected one of springs"),
        ({"simulation.charges": (1.0, -1.0)}, "config field 'data.simulation': .*charges"),
        ({"simulation.strengths": (1.0, 1.0)}, "found the strengths"),
        ({"simulation.noise": -1.0}, "'noise': found -1.0"),
        ({"objects": 1}, "'objects': found 1"),
        ({"path": "nowhere"}, "data.path.: found no such file or folder .nowhere"),
    ],
)
def test_what_cannot_be_simulated_or_read_is_named(tmp_path, fields, message):
    config = small_config(**{f"data__{name}": value for name, value in fields.items()})
    with pytest.raises(InputError, match=message) as caught:
        open_systems(config.data, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("cache/*"))


def test_splits_that_are_missing_or_too_few_are_named(tmp_path, splits):
    write_archives(tmp_path, {"train": splits["train"], "test": splits["test"]})
    with pytest.raises(InputError, match="found no valid split, expected train, valid, test"):
        open_systems(data_of(path=str(tmp_path)), tmp_path)
    write_trajectories(make_system(9, 5), tmp_path / "few.h5")
    with pytest.raises(InputError, match=r"few\.h5: field 'features': found 9 simulations or windows, expected 10 or"):
        open_systems(data_of(path=str(tmp_path / "few.h5")), tmp_path)


def test_what_cannot_be_scaled_is_named(splits):
    short = splits | {"valid": dataclasses.replace(make_system(20, 11), source="valid.h5")}
    message = r"valid\.h5: field 'features': found 11 frames in the valid split, expected 12 \(data.frames\)"
    with pytest.raises(InputError, match=message):
        scale_systems(short, FRAMES)
    features = np.array(splits["train"].features)
    features[..., 2:] = 0.25
    with pytest.raises(InputError, match="field 'features': found 'velocity x' constant, expected one that changes"):
        scale_systems(splits | {"train": replace_features(splits["train"], features)}, FRAMES)


def test_a_long_simulation_is_cut_into_windows_and_it_is_said(tmp_path):
    whole = make_system(1, 250)
    write_trajectories(whole, tmp_path / "long.h5")
    with pytest.warns(RecordingWarning, match=r"1 simulation of 250 frames: cut into 12 windows of 20 frames"):
        splits = open_systems(data_of(path=str(tmp_path / "long.h5")), tmp_path)
    windows = np.concatenate([splits[name].features for name in ("train", "valid", "test")])
    np.testing.assert_array_equal(windows.reshape(1, 240, 3, 4), whole.features[:, :240])
    assert (splits["test"].edges == whole.edges).all()
    with pytest.warns(RecordingWarning, match="20 windows of 12 frames"):  # So many that they can be split.
        assert len(open_systems(data_of(path=str(tmp_path / "long.h5"), test_frames=30), tmp_path)["train"].features)
    with pytest.warns(RecordingWarning, match="25 windows of 10 frames"):
        open_systems(data_of(path=str(tmp_path / "long.h5"), window=10), tmp_path)


def test_missing_samples_have_no_part_in_the_scale(splits):
    whole = scale_systems(splits, FRAMES).scaling
    features = np.array(splits["train"].features)
    features[0, 3, 1], features[1, :, 2] = np.nan, np.nan
    masked = scale_systems(splits | {"train": dataclasses.replace(splits["train"], features=features)}, FRAMES)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(masked.scaling, field), getattr(whole, field), rtol=0.1)
    assert masked.train.observed.sum() == 60 * FRAMES * 3 - 1 - FRAMES


def test_worms_are_systems_of_their_named_neurons(tmp_path):
    worms = simulate_worms(0, 3, minutes=1.0).recordings
    systems = relate_neurons(worms)
    names = systems.object_names
    assert set(names) == {name for worm in worms for name in worm.identified}
    column = names.index("AVAL")
    own = worms[0].traces[:, worms[0].neuron_names.index("AVAL")]
    np.testing.assert_array_equal(systems.features[0, : len(own), column, 0], own.astype(np.float32))
    lacking = [name for name in names if name not in worms[1].identified]
    assert [names[k] for k in np.flatnonzero(~systems.present[1])] == lacking
    cut = cut_windows(systems, 20)
    assert cut.features.shape[1:] == (20, len(names), 1)
    container.write(tmp_path / "worms.h5", worms)
    with pytest.warns(RecordingWarning, match="windows of 20 frames"):
        splits = open_systems(data_of(path=str(tmp_path / "worms.h5")), tmp_path)
    assert splits["test"].object_names == names
    slower = np.r_[0, np.cumsum(np.diff(worms[1].times) * np.linspace(1, 3, len(worms[1].times) - 1))]
    for times in (worms[1].times / 4, slower):
        with pytest.raises(InputError, match="expected one rate"):
            relate_neurons([worms[0], dataclasses.replace(worms[1], times=times)])


def test_a_cache_of_another_simulator_is_not_read(tmp_path, monkeypatch):
    data = data_of(simulations__train=4, simulations__valid=2, simulations__test=2)
    for version in (1, 1, 2):
        monkeypatch.setattr("wormjax.features.systems.SIMULATOR_VERSION", version)
        open_systems(data, tmp_path)
    assert len(list(tmp_path.glob("springs3-train-*.h5"))) == 2
