"""Readers of the files that people have beside the studies': each test writes its own small file."""

import csv
import dataclasses
import json
import warnings
import zipfile

import damage
import h5py
import numpy as np
import pandas as pd
import pytest
import recording_files
import scipy.io

import wormjax
from wormjax.errors import InputError, RecordingWarning
from wormjax.recordings import container, csv_table, kato2015, nwb
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


def write_nwb(
    path, place="processing/CalciumActivity/SignalDFoF/SignalCalciumImResponseSeries", labels=True, traces=TRACES
):
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        series = file.create_group(place)
        series.attrs["neurodata_type"] = "RoiResponseSeries"
        series["data"] = traces
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


def test_columns_that_name_no_neuron_are_left_out(tmp_path):
    table = pd.DataFrame({"AVAL": [0.1, 0.4, 0.2], "label": [1, 2, 1], "x_um": [3, 4, 5], "cell_7": [0, 1, 0]})
    table.to_csv(tmp_path / "worm.csv", index=False)
    with pytest.warns(RecordingWarning, match=r"columns that name no neuron are left out: label, x_um"):
        (worm,) = csv_table.read(tmp_path / "worm.csv", frame_rate=3.0)
    with pytest.warns(RecordingWarning, match=r"are left out: label, x_um"):
        same = Recording.from_dataframe(table, frame_rate=3.0, time=None)
    for one in (worm, same):
        assert one.neuron_names == ("AVAL", None)
        assert one.traces.shape == (3, 2)


def test_a_rate_that_is_none_or_not_the_files_is_said(tmp_path):
    write_csv(tmp_path / "w.csv")
    for rate in ("1", -3.0, np.nan):
        with pytest.raises(InputError, match=r"frame_rate: found .*, expected hertz above 0"):
            open_study("csv", tmp_path / "w.csv", frame_rate=rate)
    with pytest.warns(RecordingWarning, match=r"frame_rate 3 is not used: by their times, frames come at 2\.00 Hz"):
        (worm, _) = wormjax.load([tmp_path / "w.csv"] * 2, frame_rate=3.0)
    assert dataclasses.replace(worm, times=worm.times * 2, notes=()).notes == ()
    np.savez(tmp_path / "w.npz", traces=TRACES, times=TIMES, frame_rate=30.0)
    with pytest.warns(RecordingWarning, match="frame_rate 30 is not used"):
        open_study("npz", tmp_path / "w.npz")


def test_files_of_other_kinds_in_a_folder_are_skipped_and_named(tmp_path):
    write_csv(tmp_path / "a.csv")
    write_csv(tmp_path / "B.CSV", time="Seconds", bom=False)
    (tmp_path / "notes.txt").write_text("worm a: pale\nworm B: fast\n")
    (tmp_path / "figure.png").write_bytes(b"png")
    with pytest.warns(RecordingWarning, match=r"skipped 2 files of another kind: figure\.png, notes\.txt"):
        worms = open_study("csv", tmp_path)
    assert [worm.worm for worm in worms] == ["B", "a"]


def test_containers_of_either_suffix_and_other_hdf5_files(tmp_path):
    write_container(tmp_path / "a.h5", "one")
    write_container(tmp_path / "b.hdf5", "two")
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.warns(RecordingWarning, match=r"skipped 1 files of another kind: model\.h5"):
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


def test_an_npz_keeps_behaviour_and_candidates_and_says_what_it_skips(tmp_path):
    arrays = {"traces": TRACES, "times": TIMES, "behavior/velocity": TIMES, "mask": TRACES, "neuron_names": [""] * 4}
    np.savez(tmp_path / "w.npz", **arrays, ambiguous_names=['["RIML", "rimR"]', "", "[]", '["AVAL"]'])
    with pytest.warns(RecordingWarning, match="no fields of a recording: mask"):
        (worm,) = open_study("npz", tmp_path / "w.npz")
    np.testing.assert_array_equal(worm.behavior["velocity"], TIMES)
    assert worm.ambiguous_names == (("RIML", "RIMR"), (), (), ("AVAL",))
    np.savez(tmp_path / "w.npz", traces=TRACES, times=TIMES, ambiguous_names=["RIML"] * 4)
    with pytest.raises(InputError, match="field 'ambiguous_names': found other text"):
        open_study("npz", tmp_path / "w.npz")


def test_a_zip_bomb_and_deep_json_end_in_one_line(tmp_path):
    np.savez(tmp_path / "w.npz", traces=TRACES, times=TIMES)
    with zipfile.ZipFile(tmp_path / "w.npz", "a") as archive:
        archive.writestr("study.npy", b"")
        archive.filelist[0].file_size = 1 << 33
    with pytest.raises(InputError, match=r"w\.npz: found 8,\d{3},\d{3},\d{3} bytes of arrays, expected at most"):
        open_study("npz", tmp_path / "w.npz")
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (500000000000,)}".ljust(117) + "\n"
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("traces.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(InputError, match=r"w\.npz: found a file that cannot be read"):
        open_study("auto", tmp_path / "w.npz")
    (tmp_path / "w.json").write_text('{"trace_array": ' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(InputError, match=r"w\.json: found a file that is not JSON") as caught:
        open_study("auto", tmp_path / "w.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        ("time,AVAL,avaL,RID", "{s},{a},{b},{a}", (None, None, "RID")),
        ("time,AVAL,AVAL,RID", "{s},{a},{b},{a}", (None, None, "RID")),
        ("time;AVAL;RID", "{s};{a},5;{b},25", ("AVAL", "RID")),
        ("time (ms)\tAVAL\tRID", "{ms}\t{a}\t{b}", ("AVAL", "RID")),
        (",time,AVAL,RID", "{k},{s},{a},{b}", ("AVAL", "RID")),
        ("frame,seconds,AVAL,velocity,12", "{k},{s},{a},{b},{a}", ("AVAL", None)),
        ("time,AVAL", "{k},{s},{a}", ("AVAL",)),  # As R writes row names.
        ("# Of worm 3, day 1\n# dF/F\ntime,AVAL,RID", "{s},{a},{b}", ("AVAL", "RID")),
        ("# time,AVAL,RID", "{s},{a},{b}", ("AVAL", "RID")),  # As numpy.savetxt writes names.
    ],
)
@pytest.mark.filterwarnings("ignore::wormjax.errors.RecordingWarning")
def test_tables_as_spreadsheets_and_r_write_them(tmp_path, header, row, names):
    rows = [
        row.format(k=k + 1, s=k // 2 if ";" in row else k / 2, ms=500 * k, a=k * 7 % 5, b=k * 3 % 4) for k in range(40)
    ]
    (tmp_path / "w.csv").write_text("\n".join([header, *rows]))
    (worm,) = open_study("auto", tmp_path / "w.csv")
    assert worm.neuron_names == names
    assert worm.frame_rate == pytest.approx(2.0)
    assert list(worm.behavior) == (["velocity"] if "velocity" in header else [])
    assert (";" not in row) or worm.traces[1].tolist() == [2.5, 3.25]
    assert "avaL" not in header or worm.ambiguous_names[:2] == (("AVAL",), ("AVAL",))


def test_one_column_is_one_neuron(tmp_path):
    (tmp_path / "w.csv").write_text("AVAL\n" + "\n".join(str(k % 3) for k in range(20)))
    assert open_study("csv", tmp_path / "w.csv", frame_rate=2.0)[0].neuron_names == ("AVAL",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,AVAL,RIM\n0,1,hello\n1,2,x\n2,3,y\n", "field 'RIM': found 'hello' in line 2, expected numbers"),
        ("0.1,0.2\n0.3,0.4\n0.5,0.1\n", "found numbers in the first line, expected the names"),
        ("time,AVAL,RID\n0,1\n1,2\n", "found 3 names in the first line and 2 columns"),
        ("", "found 0 rows after the names"),
        ("time,AVAL\n", "found 0 rows after the names"),
        ("time,AVAL\n0,1\n", "found 1 row after the names of the columns, expected a row of numbers per frame"),
        ("a,b\nx,y\nz,w\n", "found no column of numbers"),
        ("# note\ntime,AVAL\n0,1\n1,x\n", "field 'AVAL': found 'x' in line 4"),
        ("neuron,0.0,0.5\nAVAL,1,2\nvb2,3,2\n", r"found neurons in rows \(AVAL, VB02"),
        ("time,state\n0,1\n1,0\n", "found no column of a neuron"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, words):
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        open_study("csv", tmp_path / "w.csv")


def test_the_real_tables(real_data):
    worms = open_study("auto", real_data / "csv", frame_rate=1.0)
    assert [worm.traces.shape for worm in worms] == [(293, 35), (200, 29), (569, 29)]
    assert all(len(worm.identified) == worm.traces.shape[1] for worm in worms)
    traces = worms[0].traces[:, [worms[0].identified["AVAL"], worms[0].identified["AVAR"]]]
    assert np.corrcoef(traces.T)[0, 1] > 0.9


def test_nwb_of_pynwb_has_links_tables_and_behaviour(tmp_path):
    """Time stamps shared by a link, labels in the table of regions, a reference channel, velocity."""
    module = "processing/CalciumActivity"
    write_nwb(tmp_path / "w.nwb", f"{module}/SignalCalciumImResponseSeries", labels=False, traces=TRACES * 1000 // 1)
    with h5py.File(tmp_path / "w.nwb", "a") as file:
        other = file.create_group(f"{module}/ReferenceCalciumImResponseSeries")
        other.attrs["neurodata_type"] = "RoiResponseSeries"
        other["data"], other["timestamps"] = TRACES, TIMES + 5
        series = file[f"{module}/SignalCalciumImResponseSeries"]
        del series["starting_time"]
        series["timestamps"] = h5py.SoftLink(f"/{other.name.strip('/')}/timestamps")
        table = file.create_group(f"{module}/CalciumSeriesSegmentation/Neurons")
        table["ID_labels"] = np.array(["RID", "", "vb2", "x", "AVAL"], h5py.string_dtype())
        table["imaging_plane"] = h5py.SoftLink("/general/optophysiology/plane")
        series["rois"] = np.array([4, 2, 1, 0])
        series["rois"].attrs["table"] = table.ref
        file["processing/Behavior/velocity/velocity/data"] = np.r_[np.nan, -np.ones(9), np.ones(20)]
    (worm,) = open_study("nwb", tmp_path)
    assert worm.neuron_names == NAMES
    np.testing.assert_array_equal(worm.traces, TRACES * 1000 // 1)
    np.testing.assert_array_equal(worm.times, TIMES + 5)
    assert worm.motor_state[[0, 1, 9, 10]].tolist() == [-1, 1, 1, 0]
    assert set(worm.behavior) == {"velocity"}
    (named,) = open_study("nwb", tmp_path, series="ReferenceCalciumImResponseSeries", labels="")
    np.testing.assert_array_equal(named.traces, TRACES)
    for options, words in (({"series": "x"}, "found 0 series 'x'"), ({"labels": "x"}, "expected one of: ID_labels")):
        with pytest.raises(InputError, match=words):
            open_study("nwb", tmp_path, **options)


def test_damaged_nwb_files_end_in_a_recording_or_one_line(tmp_path):
    path = tmp_path / "w.nwb"
    write_nwb(path, "processing/CalciumActivity/SignalCalciumImResponseSeries")
    with h5py.File(path, "a") as file:
        table = file.create_group("processing/CalciumActivity/Segmentation/Neurons")
        table["ID_labels"] = np.array(["RID", "", "vb2", "x", "AVAL"], "S6")
        series = file["processing/CalciumActivity/SignalCalciumImResponseSeries"]
        series["rois"] = np.array([4, 2, 1, 0])
        series["rois"].attrs["table"] = table.ref
        file["processing/Behavior/velocity/velocity/data"] = np.linspace(-1, 1, FRAMES)
    whole, good, refused = path.read_bytes(), 0, []
    for name in damage.list_nodes(path):
        for change in damage.CHANGES:
            path.write_bytes(whole)
            damage.damage_field(path, name, change)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RecordingWarning)
                try:
                    good += len(nwb.read(path))
                except InputError as error:
                    refused.append(str(error))
    assert good > 100
    assert len(refused) > 100
    assert good + len(refused) >= 500
    assert all(str(path) in message for message in refused)


def test_an_nwb_file_links_to_no_other_file(tmp_path):
    write_nwb(tmp_path / "w.nwb", labels=False)
    with h5py.File(tmp_path / "w.nwb", "a") as file:
        series = file["processing/CalciumActivity/SignalDFoF/SignalCalciumImResponseSeries"]
        file["elsewhere"] = h5py.ExternalLink("/dev/zero", "/")
        series["timestamps"] = h5py.SoftLink("/elsewhere")
    with pytest.raises(InputError, match="found a link to data elsewhere"):
        open_study("nwb", tmp_path)


def test_the_public_no_stim_data(tmp_path):
    """`derivs` leads to a struct, `States` to one of binary vectors, and the last name is a cell of one."""
    fields = {}
    with recording_files.MatlabFile(tmp_path / "NoStim_Data.mat") as file:
        for worm in range(2):
            states = {name.lower(): (np.arange(FRAMES) % 8 == k) * 1.0 for k, name in enumerate(kato2015.EIGHT_STATES)}
            names = [file.add_text("AVAL"), file.add_text("2"), file.add_text("vb2"), file.add_names(["RID"])]
            entry = {"NeuronNames": file.add_cell(names), "deltaFOverF_bc": file.add(TRACES.T + worm)}
            entry |= {"derivs": file.add_struct({"traces": TRACES.T}), "fps": file.add(np.array([[2.0]]))}
            entry |= {"States": file.add_struct(states), "dataset": file.add_text(f"TS{worm}")}
            for field, reference in entry.items():
                fields.setdefault(field, []).append(reference)
        file.write_struct("NoStim_Data", fields)
    (tmp_path / "readme.txt").write_text("From the node.")
    with pytest.warns(RecordingWarning, match=r"skipped 1 files of another kind: readme\.txt"):
        worms = open_study("auto", tmp_path)
    assert [worm.worm for worm in worms] == ["TS0", "TS1"]
    assert worms[0].neuron_names == ("AVAL", None, "VB02", "RID")
    np.testing.assert_array_equal(worms[0].derivatives, TRACES)
    assert worms[0].motor_state.tolist() == (np.arange(FRAMES) % 8).tolist()


def test_doubtful_names_of_a_container_are_candidates(tmp_path):
    write_container(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["worm_1/neuron_names"]
        file["worm_1/neuron_names"] = [b"AVAL?", b" vb2", b"---", b"avaR"]
    (worm,) = open_study("auto", tmp_path / "a.h5")
    assert worm.neuron_names == (None, "VB02", None, "AVAR")
    assert worm.ambiguous_names == (("AVAL",), (), (), ())


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


@pytest.mark.parametrize("worms", [1, 2])
def test_matlab_v5_with_a_struct_per_worm(tmp_path, worms):
    """An array of structs, as MATLAB's own code makes it: names in cells of cells, states as a struct of vectors."""
    names = as_cells(["AVAL", as_cells(["RIML", "RIMR"]), np.zeros((0, 0)), as_cells(["vb2"])])
    states = {name.lower(): (np.arange(FRAMES) % 8 == k) * 1.0 for k, name in enumerate(kato2015.EIGHT_STATES)}
    struct = np.zeros((1, worms), [(name, object) for name in ("NeuronNames", "traces", "derivs", "fps", "States")])
    for k in range(worms):
        struct[0, k] = (names, TRACES + k, {"traces": TRACES}, 2.0, states)
    path = tmp_path / "WT_NoStim.mat"
    scipy.io.savemat(path, {"WT_NoStim": struct}, do_compression=True)
    before = path.read_bytes()
    read = open_study("auto", path)
    assert path.read_bytes() == before
    assert [worm.worm for worm in read] == [f"WT_NoStim {k + 1}" for k in range(worms)]
    assert read[0].source == str(path)
    assert read[0].neuron_names == ("AVAL", None, None, "VB02")
    assert read[0].ambiguous_names == ((), ("RIML", "RIMR"), (), ())
    np.testing.assert_array_equal(read[-1].traces, TRACES + (worms - 1))
    np.testing.assert_array_equal(read[0].derivatives, TRACES)
    assert read[0].motor_state.tolist() == (np.arange(FRAMES) % 8).tolist()


def test_bad_fields_of_matlab_v5_are_named(tmp_path):
    fields = {
        "IDs": as_cells([as_cells(["AVAL"])]),
        "traces": as_cells([TRACES]),
        "States": as_cells([np.ones(FRAMES)]),
    }
    scipy.io.savemat(tmp_path / "WT_NoStim.mat", {"WT_NoStim": fields})
    with pytest.raises(InputError, match="field 'IDs': found 1 names, expected 4"):
        open_study("kato2015", tmp_path)
    scipy.io.savemat(tmp_path / "WT_NoStim.mat", {"WT_NoStim": {**fields, "traces": as_cells(["text"])}})
    with pytest.raises(InputError, match="field 'traces': found uint16"):
        open_study("kato2015", tmp_path)


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
    with pytest.warns(RecordingWarning, match=r"skipped 1 files of another kind: b\.csv"):
        assert len(open_study("auto", tmp_path)) == 1
    write_nwb(tmp_path / "d.nwb")
    with pytest.raises(InputError, match=r"found files of container, nwb, expected those of one reader"):
        open_study("auto", tmp_path)
    (tmp_path / "c.docx").write_text("")
    with pytest.raises(InputError, match=r"c\.docx: found a file of no known kind"):
        open_study("auto", tmp_path / "c.docx")


def test_an_unknown_reader_is_suggested(tmp_path):
    with pytest.raises(InputError, match="found no study 'wormwidweb', did you mean 'wormwideweb'"):
        open_study("wormwidweb", tmp_path)
    assert set(READERS) >= {"csv", "npz", "nwb", "wormwideweb", "container", "kato2015", "nichols2017", "dag2023"}


def test_one_bad_table_stops_no_other(tmp_path):
    write_csv(tmp_path / "good.csv")
    (tmp_path / "junk.csv").write_bytes(b"\xff\xfe\x00junk\x00")
    (tmp_path / "readme.md").write_text("From the lab.")
    with pytest.warns(RecordingWarning, match=r"junk\.csv: .*; the file is skipped") as said:
        worms = open_study("csv", tmp_path)
    assert [worm.worm for worm in worms] == ["good"]
    assert [str(one.message).partition(": ")[2] for one in said][1:] == ["skipped 1 files of another kind: readme.md"]
    with pytest.raises(InputError, match=r"junk\.csv"):
        open_study("csv", tmp_path / "junk.csv")
