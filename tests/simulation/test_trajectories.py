"""Files of trajectories: what is written comes back, the forms of others are read, what is wrong is named."""

import dataclasses

import h5py
import numpy as np
import pytest

from wormjax.errors import InputError, RecordingWarning
from wormjax.simulation.trajectories import Trajectories
from wormjax.simulation.trajectory_files import cache_trajectories, read_splits, read_trajectories, write_trajectories

NAMES = ("x", "y", "velocity x", "velocity y")


@pytest.fixture
def trajectories():
    random = np.random.default_rng(0)
    edges = random.integers(0, 3, (4, 3, 3)).astype(np.int32) * (1 - np.eye(3, dtype=np.int32))
    edges[0, 0, 1] = 2
    features = random.standard_normal((4, 7, 3, 4)).astype(np.float32)
    return Trajectories("springs", features, edges, NAMES, ("none", "weak", "strong"), 0.25)


def write_reference(folder, suffix="springs5", splits=("train", "valid", "test"), strengths=(0.0, 1.0), seed=0):
    """The reference's files of 6 simulations of 5 objects; returns the locations and strengths of the first split."""
    random = np.random.default_rng(seed)
    written = []
    for split in splits:
        frames = 9 if split == "test" else 5
        location, velocity = random.standard_normal((2, 6, frames, 2, 5))
        edges = random.choice(strengths, (6, 5, 5)).astype(float)
        written.append((location, velocity, edges))
        for field, values in zip(("loc", "vel", "edges"), written[-1], strict=True):
            np.save(folder / f"{field}_{split}_{suffix}.npy", values)
    return written[0]


@pytest.mark.parametrize("known", [True, False])
def test_what_is_written_comes_back(tmp_path, trajectories, known):
    if not known:
        trajectories = dataclasses.replace(trajectories, edges=None, edge_types=())
    path = tmp_path / "new" / "springs.h5"
    write_trajectories(trajectories, path, seed=3)
    read = read_trajectories(path)
    np.testing.assert_array_equal(read.features, trajectories.features)
    if known:
        np.testing.assert_array_equal(read.edges, trajectories.edges)
    else:
        assert read.edges is None
    for field in ("system", "feature_names", "edge_types", "frame_interval"):
        assert getattr(read, field) == getattr(trajectories, field)
    assert read.source == str(path)
    assert [file.name for file in path.parent.iterdir()] == ["springs.h5"]


def test_failed_writing_leaves_the_old_file(tmp_path, trajectories):
    path = tmp_path / "springs.h5"
    write_trajectories(trajectories, path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_trajectories(trajectories, path, seed=object())
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_cache_simulates_once_a_setting(tmp_path, trajectories):
    calls = []

    def simulate():
        calls.append(1)
        return trajectories

    for seed in (0, 0, 1):
        cached = cache_trajectories(tmp_path, "springs5", {"seed": seed, "noise": 0.0}, simulate)
        np.testing.assert_array_equal(cached.features, trajectories.features)
    assert len(calls) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_archive_of_features_alone_is_enough(tmp_path, trajectories):
    np.savez(tmp_path / "bare.npz", features=trajectories.features.astype(np.float64))
    bare = read_trajectories(tmp_path / "bare.npz")
    assert bare.edges is None
    assert bare.features.dtype == np.float32
    assert bare.feature_names == ("feature 1", "feature 2", "feature 3", "feature 4")
    np.savez(
        tmp_path / "full.npz",
        features=trajectories.features,
        edges=trajectories.edges + 5 * np.eye(3, dtype=int),
        system="swarm",
        feature_names=np.array(NAMES),
        frame_interval=0.5,
    )
    full = read_trajectories(tmp_path / "full.npz")
    np.testing.assert_array_equal(full.edges, trajectories.edges)
    assert (full.system, full.feature_names, full.frame_interval) == ("swarm", NAMES, 0.5)
    assert full.edge_types == ("type 0", "type 1", "type 2")


def test_reference_files_are_read_as_they_are(tmp_path):
    location, velocity, edges = write_reference(tmp_path)
    splits = read_splits(tmp_path)
    assert list(splits) == ["train", "valid", "test"]
    train = splits["train"]
    assert (train.system, train.feature_names, train.edge_types) == ("springs", NAMES, ("0", "1"))
    assert splits["test"].features.shape == (6, 9, 5, 4)
    assert train.features[2, 3, 4, 1] == np.float32(location[2, 3, 1, 4])
    assert train.features[2, 3, 4, 2] == np.float32(velocity[2, 3, 0, 4])
    receiver, sender = 1, 3
    np.testing.assert_array_equal(train.edges[:, sender, receiver], edges[:, receiver, sender])
    assert not train.edges[:, np.arange(5), np.arange(5)].any()


@pytest.mark.parametrize(
    ("strengths", "types"),
    [
        ((-1.0, 1.0), {-1.0: 0, 1.0: 1}),
        ((0.0, 0.5, 1.0), {0.0: 0, 0.5: 1, 1.0: 2}),
        ((0.0, 1.0, 2.0, 3.0), {0.0: 0, 1.0: 1, 2.0: 2, 3.0: 3}),
    ],
)
def test_strengths_become_types(tmp_path, strengths, types):
    edges = write_reference(tmp_path, "any7", strengths=strengths)[2]
    read = read_splits(tmp_path)["train"].edges
    off_diagonal = ~np.eye(5, dtype=bool)
    expected = np.vectorize(types.get)(edges.swapaxes(1, 2))[:, off_diagonal]
    np.testing.assert_array_equal(read[:, off_diagonal], expected)


def test_strengths_are_numbered_over_all_splits(tmp_path):
    write_reference(tmp_path, "springs5", ("train",), (0.0, 0.5, 1.0))
    write_reference(tmp_path, "springs5", ("test",), (0.0, 1.0))
    assert set(np.unique(read_splits(tmp_path)["test"].edges)) == {0, 2}


def test_reference_folder_without_edges_and_with_feat_files(tmp_path):
    features = np.random.default_rng(0).standard_normal((6, 5, 9, 4))
    np.save(tmp_path / "feat_train_kuramoto5.npy", features)
    train = read_splits(tmp_path)["train"]
    assert train.edges is None
    assert train.system == "kuramoto"
    assert train.features[1, 2, 3, 0] == np.float32(features[1, 3, 2, 0])


def test_folder_of_archives(tmp_path, trajectories):
    write_trajectories(trajectories, tmp_path / "train.h5")
    np.savez(tmp_path / "test.npz", features=trajectories.features)
    assert list(read_splits(tmp_path)) == ["train", "test"]
    np.savez(tmp_path / "test.npz", features=trajectories.features[:, :, :2])
    test = read_splits(tmp_path)["test"]  # One object fewer.
    assert test.features.shape == trajectories.features.shape
    np.testing.assert_array_equal(test.present, np.broadcast_to([True, True, False], (4, 3)))
    np.savez(tmp_path / "test.npz", features=trajectories.features[..., :2])
    with pytest.raises(InputError, match="found 2 features in test and 4 in train"):
        read_splits(tmp_path)


def test_several_systems_need_a_suffix(tmp_path):
    write_reference(tmp_path, "springs5", ("train",))
    write_reference(tmp_path, "charged5", ("train",), (-1.0, 1.0))
    with pytest.raises(InputError, match="found files of charged5, springs5"):
        read_splits(tmp_path)
    assert read_splits(tmp_path, "charged5")["train"].system == "charged"
    with pytest.raises(InputError, match=r"found no trajectories, expected loc_train_nbody\.npy"):
        read_splits(tmp_path, "nbody")


def break_reference(folder, case):
    """Spoils one of the reference's files; returns the words that the error must hold."""
    path = folder / "loc_train_springs5.npy"
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:200])
        return "loc_train_springs5.npy: cannot be read as a .npy file"
    if case == "pickled":
        np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
        return "loc_train_springs5.npy: cannot be read as a .npy file"
    if case == "axes":
        np.save(path, np.zeros((6, 5, 10)))
        return r"loc_train_springs5.npy: found float64 of shape \(6, 5, 10\), expected numbers of 4 axes"
    if case == "missing":
        (folder / "vel_valid_springs5.npy").unlink()
        return "vel_valid_springs5.npy: found no such file"
    if case == "unequal":
        np.save(folder / "vel_train_springs5.npy", np.zeros((6, 4, 2, 5)))
        return r"vel_train_springs5.npy: found shape \(6, 4, 2, 5\), expected \(6, 5, 2, 5\)"
    if case == "edges":
        np.save(folder / "edges_train_springs5.npy", np.zeros((6, 4, 4)))
        return r"edges_train_springs5.npy: field 'edges': found shape \(6, 4, 4\), expected \(6, 5, 5\)"
    if case == "strengths":
        np.save(folder / "edges_train_springs5.npy", np.full((6, 5, 5), 0.3))
        return "found the strengths 0, 0.3, 1, expected 0 and 1"
    if case == "not finite":
        values = np.load(path)
        values[2, 3, 1, 4] = np.inf
        np.save(path, values)
        return "field 'features': found inf at simulation 2, frame 3, object 4"
    raise AssertionError(case)


@pytest.mark.parametrize(
    "case", ["truncated", "pickled", "axes", "missing", "unequal", "edges", "strengths", "not finite"]
)
def test_broken_reference_files_are_named(tmp_path, case):
    write_reference(tmp_path)
    words = break_reference(tmp_path, case)
    with pytest.raises(InputError, match=words) as caught:
        read_splits(tmp_path)
    assert "\n" not in str(caught.value)


def test_broken_archives_are_named(tmp_path, trajectories):
    path = tmp_path / "a.h5"
    write_trajectories(trajectories, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a\.h5: found a truncated or damaged HDF5 file"):
        read_trajectories(path)
    path.write_bytes(whole)
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 7
    with pytest.raises(InputError, match=r"a\.h5: found 'wormjax-trajectories' version 7, expected"):
        read_trajectories(path)
    (tmp_path / "b.npz").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match=r"b\.npz: cannot be read as a NumPy archive"):
        read_trajectories(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", features=np.array([{}], object))
    with pytest.raises(InputError, match=r"c\.npz: cannot be read as a NumPy archive without objects"):
        read_trajectories(tmp_path / "c.npz")
    with pytest.raises(InputError, match="no such file"):
        read_trajectories(tmp_path / "d.h5")
    with pytest.raises(InputError, match=r"found the ending '\.csv'"):
        read_trajectories(tmp_path / "d.csv")
    with pytest.raises(InputError, match="no such folder"):
        read_splits(tmp_path / "none")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"edges": np.zeros((4, 3, 3))}, "'features': found none"),
        ({"features": np.zeros((4, 7, 3))}, r"'features': found float64 of shape \(4, 7, 3\)"),
        ({"features": np.zeros((4, 7, 1, 2))}, "two objects or more"),
        ({"features": np.zeros((4, 7, 3, 2)), "edges": np.full((4, 3, 3), 0.5)}, "'edges': found the type 0.5"),
        ({"features": np.zeros((4, 7, 3, 2)), "edges": -2 * np.ones((4, 3, 3))}, "'edges': found the type -2"),
        ({"features": np.zeros((4, 7, 3, 2)), "edges": np.zeros((4, 3))}, r"'edges': found float64 of shape \(4, 3\)"),
        ({"features": np.zeros((4, 7, 3, 2)), "edges": np.zeros((3, 3, 3))}, r"expected \(4, 3, 3\)"),
        ({"features": np.zeros((4, 7, 3, 2)), "feature_names": np.array(["x"])}, "'feature_names': found 1 names"),
        ({"features": np.zeros((4, 7, 3, 2)), "frame_interval": -1.0}, "'frame_interval': found -1"),
        ({"features": np.zeros((4, 7, 3, 2)), "frame_interval": np.array(["a"])}, "'frame_interval': found"),
        ({"features": np.zeros((4, 7, 3, 2)), "feature_names": "xy"}, "'feature_names'"),
        (
            {"features": np.zeros((4, 7, 3, 2)), "edges": 2 * np.ones((4, 3, 3)), "edge_types": np.array(["a", "b"])},
            "'edge_types': found 2 names, expected 3",
        ),
    ],
)
@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_wrong_fields_are_named(tmp_path, fields, words, ending):
    path = tmp_path / f"wrong.{ending}"
    if ending == "npz":
        np.savez(path, **fields)
    else:
        with h5py.File(path, "w") as file:
            for field, value in fields.items():
                if field in ("features", "edges"):
                    file[field] = value
                else:
                    text = isinstance(value, np.ndarray) and value.dtype.kind == "U"
                    file.attrs[field] = value.tolist() if text else value
    with pytest.raises(InputError, match=words) as caught:
        read_trajectories(path)
    assert f"wrong.{ending}" in str(caught.value)


def read_npz(folder, **fields):
    np.savez(folder / "own.npz", **fields)
    return read_trajectories(folder / "own.npz")


def test_missing_samples_are_masked_and_filled_from_the_past(tmp_path, trajectories):
    features = trajectories.features.copy()
    features[1, 3:5, 2, 0] = np.nan
    features[2, :2, 1] = np.nan
    with pytest.warns(RecordingWarning, match="samples are missing in 2 simulations; masked"):
        read = read_npz(tmp_path, features=features, edges=trajectories.edges)
    expected = np.ones((4, 7, 3), bool)
    expected[1, 3:5, 2] = expected[2, :2, 1] = False
    np.testing.assert_array_equal(read.observed, expected)
    np.testing.assert_array_equal(read.features[1, 3:5, 2], features[1, [2, 2], 2])
    np.testing.assert_array_equal(read.features[2, :2, 1], features[2, [2, 2], 1])
    np.testing.assert_array_equal(read.features[0], features[0])
    write_trajectories(read, tmp_path / "again.h5")
    with pytest.warns(RecordingWarning):
        np.testing.assert_array_equal(read_trajectories(tmp_path / "again.h5").observed, expected)
    with pytest.raises(InputError, match="found no value"):
        read_npz(tmp_path, features=np.full_like(features, np.nan))


def test_objects_that_are_never_observed_are_absent(tmp_path, trajectories):
    features = trajectories.features.copy()
    features[1, :, 2] = np.nan
    with pytest.warns(RecordingWarning, match=r"\(1 objects are absent from some\)"):
        read = read_npz(tmp_path, features=features)
    assert np.argwhere(~read.present).tolist() == [[1, 2]]
    np.testing.assert_allclose(read.features[1, :, 2], np.tile(features[1, :, :2].mean(axis=(0, 1)), (7, 1)), rtol=1e-5)


def test_edges_counted_from_one_are_renumbered_in_all_splits_alike(tmp_path, trajectories):
    for split in ("train", "test"):
        edges = trajectories.edges + 1 if split == "train" else np.full((4, 3, 3), 2)
        np.savez(tmp_path / f"{split}.npz", features=trajectories.features, edges=edges)
    with pytest.warns(RecordingWarning, match="counted from 1"):
        splits = read_splits(tmp_path)
    np.testing.assert_array_equal(splits["train"].edges, trajectories.edges)
    off = ~np.eye(3, dtype=bool)
    assert (splits["test"].edges[:, off] == 1).all()
    assert splits["train"].edge_types == splits["test"].edge_types == ("type 0", "type 1", "type 2")
    assert set(np.unique(read_npz(tmp_path, features=trajectories.features, edges=np.ones((4, 3, 3))).edges)) == {0, 1}


def test_flat_edges_are_in_the_order_of_the_reference(tmp_path, trajectories):
    edges = trajectories.edges
    flat = edges.swapaxes(1, 2)[:, ~np.eye(3, dtype=bool)]  # By receiver, then by sender.
    np.testing.assert_array_equal(read_npz(tmp_path, features=trajectories.features, edges=flat).edges, edges)
    written = write_reference(tmp_path, splits=("train",))[2]
    np.save(tmp_path / "edges_train_springs5.npy", written[:, ~np.eye(5, dtype=bool)])
    (tmp_path / "own.npz").unlink()
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_array_equal(read_splits(tmp_path)["train"].edges[:, off], written.swapaxes(1, 2)[:, off])


def test_unknown_edges_stay_unknown(tmp_path, trajectories):
    edges = trajectories.edges.astype(float)
    edges[0, 1, 2], edges[1, 0, 1] = np.nan, -1
    read = read_npz(tmp_path, features=trajectories.features, edges=edges).edges
    assert np.argwhere(read < 0).tolist() == [[0, 1, 2], [1, 0, 1]]
    whole = dataclasses.replace(trajectories, edges=read)
    write_trajectories(whole, tmp_path / "own.h5")
    np.testing.assert_array_equal(read_trajectories(tmp_path / "own.h5").edges, read)


def test_velocities_that_are_not_there_are_differences_from_the_past(tmp_path):
    location = write_reference(tmp_path)[0]
    for split in ("train", "valid", "test"):
        (tmp_path / f"vel_{split}_springs5.npy").unlink()
    with pytest.warns(RecordingWarning, match="velocities are differences of locations"):
        train = read_splits(tmp_path)["train"]
    assert train.feature_names == NAMES
    expected = (location[2, 3, 0] - location[2, 2, 0]) / 0.1
    np.testing.assert_allclose(train.features[2, 3, :, 2], expected, rtol=1e-4)
    np.testing.assert_array_equal(train.features[:, 0, :, 2:], train.features[:, 1, :, 2:])


@pytest.mark.parametrize("documented", [False, True])
def test_bold_signals_of_structinfer(tmp_path, documented):
    """BOLD [simulation, frame, 1, object], or as documented, and one graph of all simulations, -1 on the diagonal."""
    random = np.random.default_rng(0)
    bold, graph = random.standard_normal((4, 6, 1, 5)), random.uniform(0.3, 0.9, (5, 5)) * (random.random((5, 5)) < 0.4)
    np.fill_diagonal(graph, -1)
    np.save(tmp_path / "bold_train_netsims5r2_n1.npy", bold.transpose(0, 3, 2, 1) if documented else bold)
    np.save(tmp_path / "edges_train_netsims5r2_n1.npy", graph)
    train = read_splits(tmp_path)["train"]
    assert (train.system, train.feature_names) == ("netsims", ("BOLD",))
    assert train.features.shape == (4, 6, 5, 1)
    assert train.features[1, 2, 3, 0] == np.float32(bold[1, 2, 0, 3])
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_array_equal(train.edges[3][off], (graph.T > 0)[off])


@pytest.mark.parametrize("documented", [False, True])
def test_springs_of_structinfer(tmp_path, documented):
    """Locations and velocities of three splits, the test longer; another system lies in the same folder."""
    random = np.random.default_rng(1)
    graph, written = (random.random((15, 15)) < 0.2).astype(float), {}
    for split, count, frames in (("train", 4, 9), ("valid", 2, 9), ("test", 2, 19)):
        for field in ("loc", "vel"):
            values = written[field, split] = random.standard_normal((count, frames, 2, 15))
            values = values.transpose(0, 3, 2, 1) if documented else values
            np.save(tmp_path / f"{field}_{split}_springs15r1.npy", values)
        np.save(tmp_path / f"edges_{split}_springs15r1.npy", graph)
    np.save(tmp_path / "bold_train_netsims30r2.npy", random.standard_normal((2, 9, 1, 30)))
    with pytest.raises(InputError, match="netsims30r2, springs15r1, expected the suffix of one of them"):
        read_splits(tmp_path)
    splits = read_splits(tmp_path, "springs15r1")
    assert {split: one.features.shape for split, one in splits.items()} == {
        "train": (4, 9, 15, 4),
        "valid": (2, 9, 15, 4),
        "test": (2, 19, 15, 4),
    }
    assert (splits["test"].system, splits["test"].feature_names) == ("springs", NAMES)
    features = splits["test"].features[1, 7, 4]
    expected = [written[field, "test"][1, 7, axis, 4] for field in ("loc", "vel") for axis in range(2)]
    np.testing.assert_array_equal(features, np.float32(expected))
    receiver, sender = np.argwhere(graph * ~np.eye(15, dtype=bool))[0]
    assert splits["valid"].edges[1, sender, receiver] == 1
    assert splits["valid"].edges[1].sum() == graph.sum() - np.trace(graph)


def test_object_names_come_back(tmp_path, trajectories):
    named = dataclasses.replace(trajectories, object_names=("AVAL", "AVAR", "RID"))
    write_trajectories(named, tmp_path / "own.h5")
    assert read_trajectories(tmp_path / "own.h5").object_names == ("AVAL", "AVAR", "RID")
    with pytest.raises(InputError, match="'object_names': found 1 names"):
        dataclasses.replace(trajectories, object_names=("AVAL",))
