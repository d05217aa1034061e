"""Nichols et al. 2017: four files, four or five states, derivatives a sample short."""

import h5py
import numpy as np
import pytest
import recording_files

from wormjax.errors import InputError
from wormjax.recordings import nichols2017
from wormjax.recordings.motor_states import FOUR_STATES, map_motor_states


@pytest.fixture
def path(tmp_path):
    return tmp_path / "n2_prelet.mat"


def test_reads_a_condition(path):
    recording_files.write_nichols(path)
    first, second = nichols2017.read(path)
    assert (first.study, first.worm, second.worm) == ("nichols2017", "AN_n2_prelet_0", "AN_n2_prelet_1")
    np.testing.assert_array_equal(first.traces, recording_files.make_traces(0, 6))
    assert first.neuron_names == ("AVAL", "AVAR", "VB01", None, None, None)
    np.testing.assert_array_equal(first.motor_state, recording_files.make_states(6))
    assert first.state_names == recording_files.FIVE_STATES
    assert first.frame_rate == 4.0


def test_the_derivatives_last_sample_is_repeated(path):
    recording_files.write_nichols(path)
    recording = nichols2017.read(path)[0]
    np.testing.assert_array_equal(recording.derivatives[:-1], np.diff(recording.traces, axis=0))
    np.testing.assert_array_equal(recording.derivatives[-1], recording.derivatives[-2])


def test_five_states_map_onto_the_four(path):
    recording_files.write_nichols(path)
    recording = nichols2017.read(path)[0]
    mapped = map_motor_states(recording, "four")
    names = ("forward", None, "reverse", "dorsal turn", "ventral turn", None)
    expected = [FOUR_STATES.index(name) if name else -1 for name in names]
    assert mapped.tolist() == [expected[number] for number in recording_files.make_states(6)]


@pytest.mark.parametrize("field", ["FourStates", "FiveStates"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("with_names", [True, False])
def test_states_counted_from_0_or_1(path, field, first, with_names):
    recording_files.write_nichols(path, field=field, first=first, with_names=with_names)
    recording = nichols2017.read(path)[1]
    names = recording_files.FIVE_STATES if field == "FiveStates" else recording_files.FOUR_STATES
    assert recording.state_names == names
    np.testing.assert_array_equal(recording.motor_state, recording_files.make_states(len(names)))


def test_the_finer_states_are_preferred(path, tmp_path):
    recording_files.write_nichols(path)
    recording_files.write_nichols(tmp_path / "four.mat", field="FourStates", first=1)
    with h5py.File(path, "r+") as file, h5py.File(tmp_path / "four.mat") as four:
        entry = four.copy(four[four["n2_prelet/FourStates"][0, 0]], file["#refs#"], "four", expand_refs=True)
        assert entry is None
        references = [file["#refs#/four"].ref] * 2
        file["n2_prelet"].create_dataset("FourStates", data=np.array(references, h5py.ref_dtype).reshape(2, 1))
    assert nichols2017.read(path)[0].state_names == recording_files.FIVE_STATES


def test_reads_a_folder_of_any_of_the_four(tmp_path):
    for condition in ("npr1_let", "n2_prelet"):
        recording_files.write_nichols(tmp_path / f"{condition}.mat", condition)
    names = [worm.worm for worm in nichols2017.read(tmp_path)]
    assert names == ["AN_n2_prelet_0", "AN_n2_prelet_1", "AN_npr1_let_0", "AN_npr1_let_1"]


def test_the_condition_tells_equal_names_apart(tmp_path):
    for condition in ("n2_let", "n2_prelet"):
        recording_files.write_nichols(tmp_path / f"{condition}.mat", condition, dataset="w{worm}")
    names = [worm.worm for worm in nichols2017.read(tmp_path)]
    assert names == ["n2_prelet w0", "n2_prelet w1", "n2_let w0", "n2_let w1"]


def test_bad_files_are_named(path, tmp_path):
    cases = {
        "'FiveStates'|shape (39,)|expected 40": {"states": np.zeros(39)},
        "'FiveStates'|state number 6 at frame 0|0 Forward": {"states": np.r_[6, np.zeros(39)]},
        "worm 'same' twice": {"dataset": "same"},
    }
    for words, changes in cases.items():
        recording_files.write_nichols(path, **changes)
        with pytest.raises(InputError) as caught:
            nichols2017.read(path)
        assert all(word in str(caught.value) for word in [str(path), *words.split("|")]), str(caught.value)
    path.unlink()
    with pytest.raises(InputError, match=r"expected one of: n2_prelet\.mat"):
        nichols2017.read(tmp_path)
