"""Readers of the files that people have beside the studies': each test writes its own small file."""

import csv
import json

import h5py
import numpy as np
import pytest
import scipy.io

from wormjax.errors import InputError, RecordingWarning
from wormjax.recordings import container
from wormjax.recordings.catalog import READERS, find_reader, open_study
from wormjax.recordings.recording import Recording

FRAMES, NAMES = 30, ("AVAL", "VB02", None, "RID")
RANDOM = np.random.default_rng(0)
TRACES = RANDOM.normal(size=(FRAMES, len(NAMES)))
TIMES = np.arange(FRAMES) / 2.0


def write_container(path, worm="w"):
    container.write(path, [Recording(traces=TRACES, times=TIMES, neuron_names=NAMES, worm=worm)])


def write_csv(path, names=("AVAL", "vb2", "unknown_3", "RID"), time="time", states=None, bom=True):
    with open(path, "w", newline="", encoding="utf-8-sig" if bom else "utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*([time] if time else []), *names, *(["state"] if states else [])])
        for frame in range(FRAMES):
            row = [*([TIMES[frame]] if time else []), *TRACES[frame], *([states[frame]] if states else [])]
            writer.writerow(row)


def make_json(**changes):
    labels = {
        "1": {"label": "AVAL", "confidence": 4.5},
        "2": {"label": "VB2", "confidence": 3},
        "3": {"label": "AVAR?", "confidence": 5},
        "4": {"label": "RID", "confidence": 2},
    }
    content = {
        "uid": "2022-06-14-01",
        "avg_timestep": 0.5 / 60,
        "timestamp_confocal": TIMES.tolist(),
        "trace_array": np.zeros((4, FRAMES)).tolist(),
        "trace_original": TRACES.T.tolist(),
        "labeled": labels,
        "velocity": [None, *np.linspace(-1, 1, FRAMES - 1)],
        "reversal_events": [[3, 5], [30, 30]],
    }
    return content | changes


def write_nwb(path, place="processing/CalciumActivity/SignalDFoF/SignalCalciumImResponseSeries", labels=True):
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        series = file.create_group(place)
        series.attrs["neurodata_type"] = "RoiResponseSeries"
        series["data"] = TRACES
        series["starting_time"] = 0.0
        series["starting_time"].attrs["rate"] = 4.0
        if labels:
            names = ["AVAL", "VB2", "nan", "RID?"]
            file["processing/CalciumActivity/NeuronIDs/labels"] = np.array(names, h5py.string_dtype())


def test_a_csv_with_times_names_and_states(tmp_path):
    write_csv(tmp_path / "worm 7.csv", states=["forward", "reverse", ""] * 10)
    (worm,) = open_study("csv", tmp_path / "worm 7.csv")
    np.testing.assert_allclose(worm.traces, TRACES)
    np.testing.assert_allclose(worm.times, TIMES)
    assert worm.neuron_names == NAMES
    assert worm.worm == "worm 7"
    assert worm.state_names == ("forward", "reverse")
    assert worm.motor_state[:3].tolist() == [0, 1, -1]


def test_a_csv_without_times_needs_a_rate(tmp_path):
    write_csv(tmp_path / "w.csv", time=None)
    with pytest.raises(InputError, match=r"w\.csv: worm 'w', field 'time': found none, and no frame rate"):
        open_study("csv", tmp_path / "w.csv")
    (worm,) = open_study("csv", tmp_path / "w.csv", frame_rate=3.0)
    assert worm.frame_rate == pytest.approx(3.0)
    assert worm.motor_state is None


def test_files_of_other_kinds_in_a_folder_are_skipped_and_named(tmp_path):
    write_csv(tmp_path / "a.csv")
    write_csv(tmp_path / "B.CSV", time="Seconds", bom=False)
    (tmp_path / "notes.txt").write_text("worm a: pale\nworm B: fast\n")
    (tmp_path / "figure.png").write_bytes(b"png")
    with pytest.warns(RecordingWarning, match=r"skipped 1 files of another kind: notes\.txt"):
        worms = open_study("csv", tmp_path)
    assert [worm.worm for worm in worms] == ["B", "a"]


def test_containers_of_either_suffix_and_other_hdf5_files(tmp_path):
    write_container(tmp_path / "a.h5", "one")
    write_container(tmp_path / "b.hdf5", "two")
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.warns(RecordingWarning, match=r"model\.h5: skipped"):
        worms = open_study("container", tmp_path)
    assert [worm.worm for worm in worms] == ["one", "two"]


def test_wormwideweb(tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(make_json()))
    (tmp_path / "package.json").write_text('{"name": "other"}')
    with pytest.warns(RecordingWarning, match=r"package\.json"):
        (worm,) = open_study("wormwideweb", tmp_path)
    np.testing.assert_allclose(worm.traces, TRACES)
    assert worm.worm == "2022-06-14-01"
    assert worm.trace_units == "F/F20"
    assert worm.neuron_names == ("AVAL", "VB02", None, None)
    assert worm.ambiguous_names == ((), (), ("AVAR",), ("RID",))
    assert np.flatnonzero(worm.motor_state == 1).tolist() == [2, 3, 4, 29]
    assert np.isnan(worm.behavior["velocity"][0])


def test_wormwideweb_without_events_times_or_labels(tmp_path):
    content = make_json(reversal_events=[], timestamp_confocal=None, labeled=None, trace_original=None)
    content["trace_array"] = TRACES.T.tolist()
    (tmp_path / "w.json").write_text(json.dumps(content))
    (worm,) = open_study("auto", tmp_path / "w.json")
    assert worm.motor_state[:2].tolist() == [-1, 1]
    assert worm.motor_state[-1] == 0
    assert worm.frame_rate == pytest.approx(2.0)
    assert worm.identified == {}
    assert worm.trace_units == "z-score"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trace_original": [[1.0, 2.0], [3.0]]}, "field 'trace_original': found something else"),
        ({"labeled": {"x": {"label": "AVAL"}}}, "field 'labeled': found something else"),
        ({"reversal_events": [5]}, "field 'reversal_events': found no pairs"),
        ({"timestamp_confocal": None, "avg_timestep": None}, "found none, and no avg_timestep"),
    ],
)
def test_damaged_json_names_the_field(tmp_path, changes, words):
    (tmp_path / "w.json").write_text(json.dumps(make_json(**changes)))
    with pytest.raises(InputError, match=words):
        open_study("wormwideweb", tmp_path / "w.json")


@pytest.mark.parametrize(
    "place",
    [
        "processing/CalciumActivity/SignalDFoF/SignalCalciumImResponseSeries",
        "processing/CalciumActivity/SignalRawFluor/SignalCalciumImResponseSeries",
        "processing/CalciumActivity/Fluorescence/GCaMP_activity",
    ],
)
def test_nwb_needs_no_extension(tmp_path, place):
    write_nwb(tmp_path / "sub-1.nwb", place)
    (worm,) = open_study("auto", tmp_path / "sub-1.nwb")
    np.testing.assert_allclose(worm.traces, TRACES)
    assert worm.frame_rate == pytest.approx(4.0)
    assert worm.neuron_names == ("AVAL", "VB02", None, None)
    assert worm.ambiguous_names[3] == ("RID",)


def test_other_labs_nwb_files_name_the_series_and_the_labels(tmp_path):
    write_nwb(tmp_path / "a.nwb", "processing/ophys/Traces/Responses", labels=False)
    with h5py.File(tmp_path / "a.nwb", "a") as file:
        file["processing/ophys/Plane/cell_name"] = np.array(["AVAL", "RID", "", "AVBL"], h5py.string_dtype())
        group = file.create_group("processing/ophys/Other/Raw")
        group.attrs["neurodata_type"] = "RoiResponseSeries"
    (worm,) = open_study(
        "nwb", tmp_path / "a.nwb", series="processing/ophys/Traces/Responses", labels="processing/ophys/Plane/cell_name"
    )
    assert worm.neuron_names == ("AVAL", "RID", None, "AVBL")
    write_csv(tmp_path / "w.csv")
    with pytest.raises(InputError, match="reader 'csv': found the option 'series'"):
        open_study("csv", tmp_path / "w.csv", series="x")


def test_npz_holds_the_fields_of_a_recording(tmp_path):
    fields = {"traces": TRACES.astype("f4"), "frame_rate": 2.0, "neuron_names": ["AVAL", "VB2", "", "RID"]}
    np.savez(tmp_path / "w.npz", **fields, motor_state=np.arange(FRAMES) % 2, state_names=["a", "b"], study="lab")
    (worm,) = open_study("auto", tmp_path / "w.npz")
    assert worm.neuron_names == NAMES
    assert (worm.study, worm.worm, worm.frame_rate) == ("lab", "w", 2.0)
    assert worm.state_names == ("a", "b")


def test_npz_with_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", traces=np.array([{}], object))
    with pytest.raises(InputError, match=r"w\.npz: found a file that cannot be read"):
        open_study("npz", tmp_path / "w.npz")


def as_cells(values):
    cells = np.empty(len(values), object)
    cells[:] = values
    return cells


@pytest.mark.parametrize("worms", [1, 3])
def test_matlab_v5_of_kato_and_nichols(tmp_path, worms):
    names = as_cells([as_cells(["AVAL", "VB2", "---", "RID"])] * worms)
    common = {"IDs": names, "traces": as_cells([TRACES + k for k in range(worms)])}
    common |= {"tracesDif": as_cells([TRACES] * worms), "dataset": as_cells([f"ds{k}" for k in range(worms)])}
    common["timVectorSeconds"] = as_cells([TIMES[:, None]] * worms)
    states = (np.arange(FRAMES) % 9)[:, None]  # 0: not scored.
    kato = common | {"States": as_cells([states.astype(float)] * worms)}
    scipy.io.savemat(tmp_path / "WT_NoStim.mat", {"WT_NoStim": kato})
    read = open_study("auto", tmp_path / "WT_NoStim.mat")
    assert [worm.worm for worm in read] == [f"ds{k}" for k in range(worms)]
    np.testing.assert_allclose(read[-1].traces, TRACES + worms - 1)
    np.testing.assert_allclose(read[0].derivatives, TRACES)
    assert read[0].neuron_names == NAMES
    assert read[0].motor_state[:10].tolist() == [-1, 0, 1, 2, 3, 4, 5, 6, 7, -1]
    five = as_cells([(np.arange(FRAMES) % 6)[:, None].astype(float)] * worms)
    scipy.io.savemat(tmp_path / "n2_let.mat", {"n2_let": common | {"FiveStates": five}})
    read = open_study("auto", tmp_path / "n2_let.mat")
    assert read[0].state_names[2] == "Reversal"
    assert read[0].motor_state[:6].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_damaged_matlab_v5_file_is_one_line(tmp_path):
    scipy.io.savemat(tmp_path / "WT_NoStim.mat", {"WT_NoStim": {"traces": TRACES}})
    whole = (tmp_path / "WT_NoStim.mat").read_bytes()
    (tmp_path / "WT_NoStim.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="found a MATLAB file that cannot be read"):
        open_study("kato2015", tmp_path / "WT_NoStim.mat")


def test_the_reader_is_found_by_the_files(tmp_path):
    write_container(tmp_path / "a.h5")
    write_csv(tmp_path / "b.csv")
    assert find_reader(tmp_path / "a.h5") == "container"
    assert find_reader(tmp_path / "b.csv") == "csv"
    with pytest.raises(InputError, match=r"found files of container, csv, expected those of one reader"):
        open_study("auto", tmp_path)
    (tmp_path / "c.docx").write_text("")
    with pytest.raises(InputError, match=r"c\.docx: found a file of no known kind"):
        open_study("auto", tmp_path / "c.docx")


def test_an_unknown_reader_is_suggested(tmp_path):
    with pytest.raises(InputError, match="found no study 'wormwidweb', did you mean 'wormwideweb'"):
        open_study("wormwidweb", tmp_path)
    assert set(READERS) >= {"csv", "npz", "nwb", "wormwideweb", "container", "kato2015", "nichols2017", "dag2023"}
