"""Folders of one archive per subject: what is read of them, how they are split, and what is refused."""

import numpy as np
import pytest
from small_systems import write_subjects
from wormjax.configs import netsim

from wormjax.errors import ConfigError, InputError
from wormjax.features.systems import open_systems, remove_drift, shuffle_objects
from wormjax.simulation.subject_files import read_subjects


def data_of(folder, **fields):
    data = netsim.get_config("small").data
    data.simulations = {"train": 5, "valid": 2, "test": 3}
    data.update({"path": str(folder), "longest_period": 0.0} | fields)
    return data


def test_a_subject_is_read_as_it_was_written(tmp_path):
    signals, causes = write_subjects(tmp_path, 12)
    read = read_subjects(tmp_path)
    assert read.sample_names == tuple(f"sim3_subject_{k}" for k in range(12))  # By number, not by letter.
    assert (read.system, read.feature_names, read.frame_interval) == ("sim3", ("BOLD",), 3.0)
    np.testing.assert_array_equal(read.features[11, :, 2, 0], signals[11][2].astype(np.float32))
    sender, receiver = np.argwhere(causes.T - np.diag(np.diag(causes)))[0]
    assert causes[receiver, sender] == 1
    assert read.edges[4, sender, receiver] == 1
    assert read.edges[4].sum() == causes.sum() - len(causes)


def test_every_subject_is_tested_in_one_fold_and_never_trained_on_there(tmp_path):
    write_subjects(tmp_path, 12)
    tested = []
    for fold in range(4):
        splits = open_systems(data_of(tmp_path, fold=fold), tmp_path)
        names = {split: set(part.sample_names) for split, part in splits.items()}
        assert [len(part.features) for part in splits.values()] == [5, 2, 3]
        assert not names["test"] & (names["train"] | names["valid"])
        tested += splits["test"].sample_names
    assert len(set(tested)) == 12
    assert open_systems(data_of(tmp_path), tmp_path)["test"].sample_names[0] == "sim3_subject_7"
    assert len(open_systems(data_of(tmp_path), tmp_path, trained=True)["test"].features) == 12


def test_drift_is_taken_out_and_what_is_faster_stays(tmp_path):
    write_subjects(tmp_path, 1)
    read = read_subjects(tmp_path)
    frames = np.arange(read.features.shape[1])
    slow, fast = np.cos(2 * np.pi * frames / 400), np.cos(2 * np.pi * (frames + 0.5) / 10)
    moved = remove_drift(read, 40.0).features
    for added, expected in ((slow, 0.0), (fast, fast)):
        changed = read.__class__(**{**read.__dict__, "features": read.features + added[:, None, None]})
        difference = remove_drift(changed, 40.0).features[0, :, 0, 0] - moved[0, :, 0, 0]
        assert np.abs(difference - expected).max() < 0.12
    np.testing.assert_allclose(moved.mean(axis=1), 0.0, atol=1e-5)


def test_shuffled_objects_keep_their_signals_and_edges(tmp_path):
    write_subjects(tmp_path, 3)
    read = read_subjects(tmp_path)
    shuffled = shuffle_objects(read, np.random.default_rng(0))
    orders = []
    for subject in range(3):
        old, new = read.features[subject, ..., 0].T, shuffled.features[subject, ..., 0].T
        order = [int(np.argmin(np.abs(old - signal).sum(axis=1))) for signal in new]
        assert sorted(order) == list(range(len(order)))
        np.testing.assert_array_equal(shuffled.edges[subject], read.edges[subject][np.ix_(order, order)])
        orders.append(order)
    assert len({tuple(order) for order in orders}) == 3


def test_subjects_that_do_not_fit_are_refused(tmp_path):
    write_subjects(tmp_path, 4)
    with pytest.raises(ConfigError, match=r"data\.simulations.*train 5, valid 2, test 3 with 4 subjects"):
        open_systems(data_of(tmp_path), tmp_path)
    np.savez(tmp_path / "sim3_subject_2.npz", X_np=np.zeros((5, 61)))
    with pytest.raises(InputError, match=r"sim3_subject_2\.npz: field 'X_np': found shape \(5, 61\)"):
        read_subjects(tmp_path)
    np.savez(tmp_path / "sim3_subject_2.npz", X_np=np.zeros((5, 60)), Gref=np.zeros((4, 4)))
    with pytest.raises(InputError, match=r"field 'Gref': found float64 of shape \(4, 4\)"):
        read_subjects(tmp_path)
    np.savez(tmp_path / "sim3_subject_2.npz", Gref=np.zeros((5, 5)))
    with pytest.raises(InputError, match="field 'X_np': found none"):
        read_subjects(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.fold.*without a folder of subjects"):
        open_systems(data_of("", fold=1), tmp_path)


def test_a_subject_without_a_graph_has_unknown_edges(tmp_path):
    write_subjects(tmp_path, 2)
    with np.load(tmp_path / "sim3_subject_1.npz") as archive:
        signal = archive["X_np"]
    np.savez(tmp_path / "sim3_subject_1.npz", X_np=signal)
    read = read_subjects(tmp_path)
    assert (read.edges[0] >= 0).all()
    assert (read.edges[1][~np.eye(5, dtype=bool)] == -1).all()
