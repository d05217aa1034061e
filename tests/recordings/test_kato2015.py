"""Kato et al. 2015: both layouts, the sister files, and the real file where it is there."""

import shutil
import tracemalloc

import h5py
import numpy as np
import pytest
import recording_files
import scipy.io

from wormjax.errors import InputError, RecordingWarning
from wormjax.recordings import kato2015

SHARED = "AIBL AIBR ALA AVAL AVAR AVBL AVER RID RIML RIMR RMED RMEL RMER VB01 VB02".split()


def read_message(path) -> str:
    with pytest.raises(InputError) as caught:
        kato2015.read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "WT_NoStim.mat"


def test_reads_the_layout_of_the_node(path):
    recording_files.write_kato(path)
    first, second = kato2015.read(path)
    assert (first.study, first.worm, second.worm) == ("kato2015", "WT_NoStim_worm_0", "WT_NoStim_worm_1")
    np.testing.assert_array_equal(first.traces, recording_files.make_traces(0, 6))
    np.testing.assert_array_equal(second.traces, recording_files.make_traces(1, 6))
    np.testing.assert_array_equal(first.derivatives, np.gradient(first.traces, axis=0))
    assert first.neuron_names == ("AVAL", "AVAR", "VB01", None, None, None)
    assert first.ambiguous_names == ((), (), (), ("RIML", "RIMR"), (), ())
    np.testing.assert_array_equal(first.motor_state, recording_files.make_states(8))
    assert first.state_names == kato2015.EIGHT_STATES
    np.testing.assert_allclose(first.times, np.arange(40) / 3)
    assert first.source == str(path)


def test_reads_the_folder_as_downloaded(path, tmp_path):
    recording_files.write_kato(path)
    assert len(kato2015.read(tmp_path)) == 2
    path.rename(tmp_path / "other.mat")
    assert "expected one of: WT_NoStim.mat" in read_message(tmp_path)


@pytest.mark.parametrize("struct", ["NoStim_Data", "WT_NoStim"])
@pytest.mark.parametrize("with_times", [False, True])
def test_reads_the_layout_with_binary_states(path, struct, with_times):
    recording_files.write_kato_binary(path, struct, with_times)
    first, second = kato2015.read(path)
    assert first.neuron_names == ("AVAL", None, "VB02", None)
    np.testing.assert_array_equal(first.motor_state, recording_files.make_states(8))
    assert first.state_names == kato2015.EIGHT_STATES
    np.testing.assert_allclose(first.times, np.arange(40) / 2.5 + with_times)
    assert (first.worm, second.worm) == (("w0", "w1") if with_times else (f"{struct} 1", f"{struct} 2"))
    np.testing.assert_array_equal(first.derivatives, np.gradient(first.traces, axis=0))


def test_a_frame_of_no_state_or_two_is_not_scored(path):
    recording_files.write_kato_binary(path)
    with h5py.File(path, "r+") as file:
        states = file[file["NoStim_Data/States"][0, 0]]
        states["fwd"][0] = 0
        states["slow"][1] = 1
    assert kato2015.read(path)[0].motor_state[:3].tolist() == [-1, -1, 0]


@pytest.mark.parametrize("struct", ["WT_Stim", "AVA_HisCl"])
def test_sister_files_take_their_key_or_the_readme(path, struct):
    own = ("Reversal", "Forward", "Quiescence", "Turn")
    recording_files.write_kato(path, struct, state_names=own)
    assert kato2015.read(path)[0].state_names == own
    recording_files.write_kato(path, struct, state_names=None)
    recording = kato2015.read(path)[0]
    assert recording.state_names == ("FWD", "REV", "REVSUS", "TURN")
    np.testing.assert_array_equal(recording.motor_state, recording_files.make_states(4))


def test_states_not_a_number_are_not_scored(path):
    states = np.ones(40)
    states[3] = np.nan
    recording_files.write_kato(path, replace={"States": states})
    assert kato2015.read(path)[0].motor_state[:5].tolist() == [0, 0, 0, -1, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"drop": ["traces"]}, ["'traces'", "no such field", "did you mean 'tracesDif'"]),
        ({"drop": ["IDs"]}, ["'IDs'", "no such field"]),
        ({"drop": ["States"]}, ["'States'", "no such field"]),
        ({"replace": {"States": np.full(40, 9.0)}}, ["'States'", "state number 9 at frame 0", "8 NOSTATE"]),
        ({"replace": {"States": np.full(40, -1.0)}}, ["'States'", "state number -1", "1 FWD"]),
        ({"replace": {"States": np.full(40, 1.5)}}, ["'States'", "state number 1.5"]),
        ({"replace": {"States": np.ones(39)}}, ["'States'", "39 values, expected 40"]),
        ({"replace": {"times": -np.arange(40.0)}}, ["'timVectorSeconds'", "-1 s after", "increase"]),
        ({"replace": {"traces": np.full((40, 6), np.nan)}}, ["'traces'", "nan", "WT_NoStim_worm_0"]),
        ({"replace": {"traces": np.ones((40, 6))}}, ["'traces'", "constant 1", "neuron 1 (AVAL)"]),
        ({"replace": {"dataset": "same"}}, ["worm 'same' twice"]),
        ({"struct": "Other"}, ["found only: Other", "WT_NoStim"]),
        ({"worms": 0}, ["'IDs'", "found only: nothing"]),
    ],
)
def test_bad_files_are_named_by_file_and_field(path, changes, words):
    recording_files.write_kato(path, **changes)
    message = read_message(path)
    assert message.startswith(str(path))
    assert all(word in message for word in words), message


def test_a_name_that_two_neurons_carry_is_ambiguous(path):
    recording_files.write_kato(path, worms=1, names=[["VB1"], ["vb01"], ["AVAL"]])
    with pytest.warns(RecordingWarning, match="several neurons carry, ambiguous for each: VB01"):
        recording = kato2015.read(path)[0]
    assert recording.neuron_names == (None, None, "AVAL")
    assert recording.ambiguous_names == (("VB01",), ("VB01",), ())


def test_unequal_numbers_of_names_and_traces(path):
    recording_files.write_kato(path)
    with h5py.File(path, "r+") as file:
        file["WT_NoStim/IDs"][0, 0] = file["WT_NoStim/States_key"][0, 0]
    assert "field 'IDs': found 8 names, expected 6" in read_message(path)


def test_a_cycle_of_references_ends(path):
    recording_files.write_kato(path)
    with h5py.File(path, "r+") as file:
        cell = file[file["WT_NoStim/IDs"][0, 0]]
        cell[0, 0] = cell.ref
    assert "field 'IDs': found cells nested deeper" in read_message(path)


def test_an_empty_reference(path):
    recording_files.write_kato(path)
    with h5py.File(path, "r+") as file:
        file["WT_NoStim/traces"][0, 0] = h5py.Reference()
    assert "field 'traces': found an empty reference" in read_message(path)


def test_files_that_are_no_hdf5(path, tmp_path):
    scipy.io.savemat(path, {"WT_NoStim": 1})
    assert "found an array, expected a struct" in read_message(path)
    path.write_text("<html>Not found</html>")
    assert "not HDF5" in read_message(path)
    path.write_bytes(b"")
    assert "not HDF5" in read_message(path)
    assert "no such file" in read_message(tmp_path / "absent.mat")


def test_a_truncated_file(path):
    recording_files.write_kato(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "truncated" in read_message(path)


def test_a_huge_declared_size_is_refused_before_it_is_read(path):
    recording_files.write_kato(path)
    with h5py.File(path, "r+") as file:
        huge = file.create_dataset("#refs#/huge", shape=(100, 1 << 40), dtype=np.float64, chunks=(1, 1024))
        file["WT_NoStim/traces"][0, 0] = huge.ref
    message = read_message(path)
    assert "field 'traces': found a declared size of" in message


def test_data_kept_in_another_file_are_refused(path, tmp_path):
    recording_files.write_kato(path)
    (tmp_path / "outside.bin").write_bytes(bytes(8 * 40 * 6))
    with h5py.File(path, "r+") as file:
        outside = file.create_dataset(
            "#refs#/outside", (6, 40), np.float64, external=[(str(tmp_path / "outside.bin"), 0, 8 * 240)]
        )
        file["WT_NoStim/traces"][0, 0] = outside.ref
    assert "field 'traces': found data kept in another file" in read_message(path)


def test_memory_stays_within_three_times_what_is_returned(path):
    names = [[f"N{k:02d}"] for k in range(12)]
    recording_files.write_kato(path, worms=3, names=names, frames=8000)
    tracemalloc.start()
    worms = kato2015.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    returned = sum(worm.traces.nbytes + worm.derivatives.nbytes + worm.times.nbytes for worm in worms)
    assert returned > 4.5e6
    assert peak < 3 * returned


def test_the_real_file(real_data, tmp_path):
    worms = kato2015.read(real_data / "kato2015")
    assert [worm.traces.shape for worm in worms] == [(3137, 109), (3134, 133), (3059, 126), (3311, 121)]
    assert sorted(set.intersection(*(set(worm.identified) for worm in worms))) == SHARED
    assert all(2.8 <= worm.frame_rate <= 3.1 for worm in worms)
    assert worms[0].worm.startswith("TS20140715e")
    for worm in worms:
        reverse = np.isin(worm.motor_state, [worm.state_names.index(name) for name in ("REV1", "REV2", "REVSUS")])
        aval = worm.traces[:, worm.identified["AVAL"]]
        assert aval[reverse].mean() > aval[~reverse].mean() + aval.std()
    shutil.copy(real_data / "kato2015" / "WT_NoStim.mat", tmp_path / "half.mat")
    with open(tmp_path / "half.mat", "r+b") as stream:
        stream.truncate(12_000_000)
    assert "truncated" in read_message(tmp_path / "half.mat")
