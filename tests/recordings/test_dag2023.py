"""Dag et al. 2023: recordings, labels from the JLD2 file, stretches; and the real files where they are there."""

import h5py
import numpy as np
import pytest
import recording_files
from sklearn.metrics import roc_auc_score

from wormjax.errors import InputError
from wormjax.recordings import dag2023

SHARED_WITH_KATO = ["AIBL", "AIBR", "AVAL", "AVAR", "AVER", "RID", "RMEL"]
KATO = "AIBL AIBR ALA AVAL AVAR AVBL AVER RID RIML RIMR RMED RMEL RMER VB01 VB02".split()


@pytest.fixture
def folder(tmp_path):
    recording_files.write_dag(tmp_path / "dag")
    return tmp_path / "dag"


def recording_path(folder):
    return folder / "data" / "swf702_with_id" / "2022-01-01-01-data.h5"


def read_message(path) -> str:
    with pytest.raises(InputError) as caught:
        dag2023.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reads_the_folder_at_any_level(folder):
    inside = folder / "data" / "swf702_with_id"
    for path in (folder, folder / "data", inside):
        assert [worm.worm for worm in dag2023.read(path)] == ["2022-01-01-01", "2022-01-02-01"]
    assert [worm.worm for worm in dag2023.read(recording_path(folder))] == ["2022-01-01-01"]


def test_reads_labels_that_lie_beside(folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    recording_path(folder).rename(flat / "2022-01-01-01-data.h5")
    labels = folder / "data" / "receptor_expression" / dag2023.LABELS_FILE
    labels.rename(flat / dag2023.LABELS_FILE)
    assert len(dag2023.read(flat)) == 1
    assert "found no neuron labels" in read_message(folder)


def test_a_recording(folder):
    first = dag2023.read(folder)[0]
    assert first.study == "dag2023"
    np.testing.assert_array_equal(first.traces, recording_files.make_traces(0, 6) + 2)
    assert first.trace_units == "F/F20"
    assert first.neuron_names == ("AVAL", None, "AVAR", None, "RID", None)
    assert first.ambiguous_names == ((), ("AVAR",), (), ("AIY",), (), ())
    assert first.state_names == ("forward", "reverse")
    assert first.motor_state[:5].tolist() == [1, 1, 1, 0, 0]
    assert first.stretches == ((0, 20), (20, 40))
    assert first.times[0] == 0
    np.testing.assert_allclose(np.diff(first.times), 0.6)
    np.testing.assert_array_equal(first.behavior["velocity"], np.linspace(-0.1, 0.1, 40))
    assert np.isnan(first.behavior["pumping"]).all()
    assert first.derivatives is None


@pytest.mark.parametrize(("names", "units", "offset"), [
    (("trace_array", "trace_array_original"), "ratio", 1),
    (("trace_array",), "z-score", 0),
])  # fmt: skip
def test_the_next_best_traces(tmp_path, names, units, offset):
    recording_files.write_dag(tmp_path / "d", traces=names)
    recording = dag2023.read(tmp_path / "d")[0]
    assert recording.trace_units == units
    np.testing.assert_array_equal(recording.traces, recording_files.make_traces(0, 6) + offset)


@pytest.mark.parametrize(
    ("labels", "names", "ambiguous"),
    [
        ({1: ("AVAL", 5), 2: ("AVAL", 4)}, ("AVAL", None), ((), ("AVAL",))),
        ({1: ("AVAL", 4), 2: ("AVAL", 4)}, (None, None), (("AVAL",), ("AVAL",))),
        ({1: ("AVAL", 2.9), 2: ("VB1", 3)}, (None, "VB01"), (("AVAL",), ())),
        ({2: ("AVAL?", 5)}, (None, None), ((), ("AVAL",))),
        ({}, (None, None), ((), ())),
    ],
)
def test_the_more_confident_neuron_keeps_the_name(labels, names, ambiguous):
    assert dag2023.identify_neurons(labels, 2) == (names, ambiguous)


def test_frames_of_unknown_direction_are_not_scored(folder):
    with h5py.File(recording_path(folder), "r+") as file:
        values = file["behavior/reversal_vec"][()].astype(float)
        values[:2] = np.nan
        del file["behavior/reversal_vec"]
        file["behavior/reversal_vec"] = values
    assert dag2023.read(folder)[0].motor_state[:4].tolist() == [-1, -1, 1, 0]


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        ("behavior/reversal_vec", np.full(40, 2), ["found state number 2 at frame 0", "0 forward, 1 reverse"]),
        ("behavior/reversal_vec", np.zeros(39, int), ["found 39 values, expected 40"]),
        ("behavior/velocity", np.zeros(39), ["found 39 values"]),
        ("timing/timestamp_confocal", -np.arange(40.0), ["increase", "2022-01-01-01"]),
        ("gcamp/idx_splits", np.array([[1, 19], [20, 40]]), ["stretches"]),
        ("gcamp/idx_splits", np.array([[1], [41]]), ["found frames 1 to 41, expected 1 to 40"]),
        ("gcamp/traces_array_F_F20", np.full((40, 6), np.nan), ["nan at frame 0 of neuron 1 (AVAL)"]),
        ("gcamp/traces_array_F_F20", np.zeros((40, 6), int), ["int64", "floating point"]),
    ],
)
def test_bad_fields_are_named(folder, field, values, words):
    with h5py.File(recording_path(folder), "r+") as file:
        del file[field]
        file[field] = values
    message = read_message(folder)
    assert all(word in message for word in [str(recording_path(folder)), f"field '{field}'", *words]), message


def test_a_damaged_name_of_a_field(folder):
    path = recording_path(folder)
    path.write_bytes(path.read_bytes().replace(b"reversal_vec\0", b"reversal_\xff\xfe\xff\0"))
    assert "field 'behavior/reversal_vec': found no such field" in read_message(folder)


def test_labels_of_other_recordings_or_neurons(folder, tmp_path):
    recording_path(folder).rename(recording_path(folder).with_name("2030-data.h5"))
    assert "found no key '2030', expected it among: 2022-01-01-01" in read_message(folder)
    recording_files.write_dag(tmp_path / "few", neurons=3)
    assert "found neuron number 4, expected 1 to 3" in read_message(tmp_path / "few")


def test_labels_whose_references_form_a_cycle(folder):
    path = folder / "data" / "receptor_expression" / dag2023.LABELS_FILE
    with h5py.File(path, "r+") as file:
        file["NeuroPAL_labels"][()] = file["NeuroPAL_labels"].ref
    message = read_message(folder)
    assert dag2023.LABELS_FILE in message
    assert "references in a row" in message


def test_the_real_files(real_data):
    worms = dag2023.read(real_data / "dag2023")
    assert [worm.worm for worm in worms] == ["2022-07-26-31", "2022-07-27-31", "2022-07-27-45", "2022-08-02-31"]
    assert [worm.traces.shape for worm in worms] == [(800, 146), (800, 145), (800, 140), (800, 130)]
    shared = set.intersection(*(set(worm.identified) for worm in worms))
    assert sorted(shared & set(KATO)) == SHARED_WITH_KATO
    for worm in worms:
        assert worm.stretches == ((0, 800),)
        assert abs(worm.frame_rate - 1 / 0.6) < 0.01
        reverse = worm.motor_state == worm.state_names.index("reverse")
        assert worm.behavior["velocity"][reverse].mean() < 0 < worm.behavior["velocity"][~reverse].mean()
        for name in ("AVAL", "AVAR"):
            assert roc_auc_score(reverse, worm.traces[:, worm.identified[name]]) > 0.6
