"""predict writes everything a model says of recordings; one that cannot be used never stops the others."""

import csv
import dataclasses
import pathlib
import sys

import h5py
import numpy as np
import pandas as pd
import pytest

import wormjax
from wormjax import commands
from wormjax.config_files import load_config
from wormjax.errors import RecordingWarning
from wormjax.features.dataset import build_dataset
from wormjax.instrument import predicting
from wormjax.instrument.inspecting import NO_MODEL, describe_recordings, fit_models
from wormjax.instrument.predicting import predict
from wormjax.recordings import container
from wormjax.training import workdir

pytestmark = pytest.mark.usefixtures("quick_compilation")

WORMS = wormjax.simulate_worms(4, minutes=2.0)
QUICK = {"progress": False, "steps": 20, "settings": {"train.steps_per_chunk": 10, "train.batch_windows": 8}}
NEURONS = tuple(sorted(set.intersection(*(set(worm.identified) for worm in WORMS)))[:4])


@pytest.fixture(scope="module")
def models():
    decoder = wormjax.Decoder("nri_graph", neurons=NEURONS, **QUICK).fit(WORMS[:3:2])
    return decoder, wormjax.Forecaster("var_adapted", neurons=NEURONS, **QUICK).fit(WORMS[:3:2])


def bare(recording, **fields):
    own = {"traces": recording.traces, "times": recording.times, "neuron_names": recording.neuron_names}
    return wormjax.Recording(**own, **fields)


def test_all_files_are_written_for_a_worm_without_states(tmp_path, models):
    worm = bare(WORMS[1], worm="my worm/3")
    scores = predict(models, [worm], tmp_path / "out", steps=4)
    assert scores.empty
    folder = tmp_path / "out" / "my_worm_3"
    assert {path.name for path in folder.iterdir()} - {"graph.png"} == {
        "states.csv", "edges.csv", "forecasts.csv", "ethogram.png", "forecast.png"
    }  # fmt: skip
    states = pd.read_csv(folder / "states.csv")
    assert len(states) == len(worm.times)
    np.testing.assert_allclose(states[list(models[0].state_names_)].sum(axis=1), 1.0, atol=1e-4)
    edges = pd.read_csv(folder / "edges.csv")
    assert set(edges.sender) == set(NEURONS)
    assert len(edges) == 12
    forecasts = pd.read_csv(folder / "forecasts.csv")
    assert (forecasts.low < forecasts["mean"]).all()
    assert forecasts.groupby("origin").size().eq(4 * len(NEURONS)).all()
    with h5py.File(tmp_path / "out" / "predictions.h5") as file:
        group = file["my_worm_3"]
        assert group.attrs["worm"] == "my worm/3"
        np.testing.assert_allclose(group["states/probabilities"][:], models[0].predict_proba(worm))
        assert group["edges/probabilities"].shape == (4, 4, 2)
        assert group["forecasts/mean"].shape[1:] == (4, 4)


@pytest.mark.parametrize("chance", [True, False])
def test_a_graph_is_drawn_unless_it_is_no_better_than_chance(tmp_path, models, monkeypatch, chance):
    monkeypatch.setattr(predicting, "is_chance", lambda *_: chance)
    predict(models[:1], [WORMS[1]], tmp_path / "out")
    (drawn,) = {path.parent for path in (tmp_path / "out").rglob("states.csv")}
    assert (drawn / "graph.png").exists() != chance
    assert ("no better than chance" in (tmp_path / "out" / "summary.md").read_text()) == chance


def test_nothing_of_an_earlier_prediction_by_other_models_is_left(tmp_path, models):
    predict(models[:1], [WORMS[1]], tmp_path / "out")
    assert (tmp_path / "out" / "scores.csv").is_file()
    predict(models[1:], [WORMS[1]], tmp_path / "out", steps=4)
    names = {path.name for path in (tmp_path / "out").rglob("*.*")}
    assert names == {"summary.md", "predictions.h5", "forecasts.csv", "forecast.png"}


def test_decoded_velocity_is_drawn(tmp_path, models, monkeypatch):
    decoding = models[0].decode(WORMS[1])
    decoding = dataclasses.replace(decoding, behavior={"velocity": np.sin(WORMS[1].times)})
    monkeypatch.setattr(models[0], "decode", lambda worm: decoding)
    predict(models[:1], [WORMS[1]], tmp_path / "out")
    assert list((tmp_path / "out").rglob("decoded_behaviour.png"))


def test_states_of_a_worm_without_a_graph_are_kept(tmp_path, models):
    names = [name if name == NEURONS[0] else None for name in WORMS[1].neuron_names]
    worm = dataclasses.replace(WORMS[1], neuron_names=tuple(names))
    with pytest.warns(RecordingWarning, match="fewer than two of its neurons"):
        predict(models[:1], [worm], tmp_path / "out")
    assert repr(models[0].decode(worm)).endswith("no graph)")
    assert list((tmp_path / "out").rglob("states.csv"))


def test_a_worm_that_cannot_be_used_is_named_and_stops_no_other(tmp_path, models, capsys):
    stranger = dataclasses.replace(WORMS[1], worm="stranger", neuron_names=(None,) * len(WORMS[1].neuron_names))
    lacking = dataclasses.replace(
        WORMS[3], worm="lacking", neuron_names=[None if name == NEURONS[3] else name for name in WORMS[3].neuron_names]
    )
    with pytest.warns(wormjax.RecordingWarning, match="it lacks 1 of 4 neurons"):
        scores = predict(models[:1], [stranger, lacking, WORMS[1]], tmp_path / "out")
    assert set(scores.test_worm) == {"lacking", WORMS[1].worm}
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "`stranger`: **left out**" in summary
    lacks = f"it lacks 1 of 4 neurons ({NEURONS[3]}); these are masked"
    assert next(line for line in summary.splitlines() if lacks in line).startswith("    - ")  # Of that worm's entry.
    assert "| model | worm | Accuracy | AUROC | Balanced accuracy |" in summary
    assert not (tmp_path / "out" / "stranger").exists()
    assert "left out: " in capsys.readouterr().err


def test_no_empty_folder_is_left(tmp_path, models):
    stranger = dataclasses.replace(WORMS[1], neuron_names=(None,) * len(WORMS[1].neuron_names))
    with pytest.raises(wormjax.InputError, match="found no recording that could be used"):
        predict(models[:1], [stranger], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_files_is_left_alone(tmp_path, models):
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(wormjax.InputError, match=r"--output: found .* with other files in it"):
        predict(models, WORMS[:1], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_predictions_of_other_worms_are_left_alone(tmp_path, models):
    for _ in range(2):  # The same worm again: its files are replaced.
        predict(models[:1], WORMS[1:2], tmp_path / "out")
    with pytest.raises(wormjax.InputError, match=rf"predictions of {WORMS[1].worm} in .*, expected a new folder"):
        predict(models[:1], WORMS[3:4], tmp_path / "out")


def test_worms_of_one_name_have_folders_of_their_own(tmp_path, models):
    predict(models[:1], [bare(WORMS[1]), bare(WORMS[3])], tmp_path / "out")
    assert (tmp_path / "out" / "worm" / "states.csv").exists()
    assert (tmp_path / "out" / "worm_2" / "states.csv").exists()


def test_the_program_decodes_a_csv(tmp_path, models, capsys, monkeypatch):
    models[0].save(tmp_path / "model")
    with open(tmp_path / "day1.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([name or f"unknown_{k}" for k, name in enumerate(WORMS[1].neuron_names)])
        writer.writerows(WORMS[1].traces.tolist())
    monkeypatch.chdir(tmp_path)
    arguments = ["--model=model", f"--data={tmp_path / 'day1.csv'}"]
    commands.run_command("predict", ["predict", *arguments, f"--frame_rate={WORMS[1].frame_rate}"])
    out = pathlib.Path("predictions", "day1")
    assert f"Report: {out / 'report.html'}" in capsys.readouterr().out
    page = (out / "report.html").read_text()
    assert "Ethogram: day1" in page
    assert "predictions.h5" in page
    assert "wormjax evaluate" not in page  # It is no work directory.
    states = pd.read_csv(out / "day1" / "states.csv")
    expected = models[0].predict_proba(WORMS[1])
    np.testing.assert_allclose(states[list(models[0].state_names_)], expected, atol=1e-4)
    with pytest.raises(SystemExit):
        commands.run_command("predict", ["predict", arguments[0]])
    assert "error: --data: found none" in capsys.readouterr().err


def test_inspect_says_what_a_file_holds(tmp_path, capsys):
    container.write(tmp_path / "mine.h5", [WORMS[0], bare(WORMS[1], worm="unscored")])
    commands.run_command("inspect", ["inspect", str(tmp_path / "mine.h5"), f"--models={tmp_path}"])
    said = capsys.readouterr().out
    for words in ("2 worms of mine, simulated", "unscored:", "no motor state is scored", "motor states: forward", "Hz"):
        assert words in said
    assert "neurons are named in every worm" in said


def test_what_is_odd_is_listed():
    worm = WORMS[0]
    traces = worm.traces.copy()
    traces[3:6, 0] = np.nan
    times = worm.times.copy()
    times[100:] += 60.0
    with pytest.warns(wormjax.RecordingWarning):
        odd = wormjax.Recording(traces=traces, times=times)
    said = "\n".join(describe_recordings([odd]))
    for words in ("2 stretches", "3 samples of 1 neurons are missing", "no neuron is named"):
        assert words in said


def test_inspect_says_which_models_fit(tmp_path, models):
    models[0].save(tmp_path / "model")
    assert fit_models(WORMS[1:2], tmp_path) == [
        f"  {tmp_path / 'model'}: fits; 4 of its 4 neurons are named; {models[0].frame_rate_:.2f} Hz"
    ]
    names = [None if name == NEURONS[3] else name for name in WORMS[1].neuron_names]
    lacking = dataclasses.replace(WORMS[1], neuron_names=tuple(names))
    assert f"fits, other neurons masked (no worm has {NEURONS[3]}); 3 of its 4" in fit_models([lacking], tmp_path)[0]
    nameless = wormjax.Recording(traces=WORMS[1].traces, times=WORMS[1].times)
    assert "does not fit; 0 of its 4" in fit_models([nameless], tmp_path)[0]
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "config.json").write_text(load_config("neuron_graphs").to_json_best_effort())
    assert fit_models(WORMS[1:2], tmp_path / "graphs") == [NO_MODEL]
    (tmp_path / "model" / "parameters.npz").write_bytes(b"")
    workdir.write_description(tmp_path / "data.json", workdir.describe_dataset(build_dataset(WORMS[:2], NEURONS)))
    (tmp_path / "config.json").write_text(load_config("generalize").to_json_best_effort())  # Of an interrupted run.
    interrupted, damaged = fit_models(WORMS[1:2], tmp_path)
    assert f"{tmp_path}: cannot be used: {tmp_path / 'models'}" in interrupted
    assert "model: cannot be used: " in damaged
    assert "parameters.npz" in damaged


def test_decoded_states_as_an_nwb_file(tmp_path, models):
    pynwb = pytest.importorskip("pynwb")
    predict(models[:1], WORMS[1:2], tmp_path / "out", nwb=True)
    with pynwb.NWBHDF5IO(str(tmp_path / "out" / WORMS[1].worm / "states.nwb"), "r") as reader:
        series = reader.read().processing["behavior"]["BehavioralTimeSeries"].time_series
        np.testing.assert_allclose(series["state_probabilities"].data[:], models[0].predict_proba(WORMS[1]))
        assert series["decoded_state"].data[:].max() < 4


def test_without_pynwb_nothing_is_written(tmp_path, models, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(wormjax.InputError, match=r"--nwb: found no package pynwb.*pip install 'wormjax\[nwb\]'"):
        predict(models[:1], WORMS[1:2], tmp_path / "out", nwb=True)
    assert not (tmp_path / "out").exists()
