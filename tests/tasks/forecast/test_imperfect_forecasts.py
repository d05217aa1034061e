"""Forecasts of worms as people have them: no motor states, missing samples, a pause, an outlier."""

import dataclasses

import numpy as np
import pytest
from small_experiments import make_worms
from small_forecasts import small_config

from wormjax.recordings import container
from wormjax.scoring.rows import read_rows
from wormjax.tasks.forecast.experiment import forecast
from wormjax.tasks.worms import open_config_recordings

MLP = {"kind": "mlp", "drift": "adapted", "hidden": 4, "modes": 1}  # The network that compiles fastest.


@pytest.mark.usefixtures("quick_compilation")
def test_worms_without_states_and_with_gaps_are_forecast(tmp_path):
    worms = [dataclasses.replace(worm, motor_state=None, state_names=()) for worm in make_worms(2, frames=400)]
    traces = worms[0].traces.copy()
    traces[50:90, 1], traces[310:312, 2], traces[100, 0] = np.nan, np.nan, 1e6
    times = worms[0].times + 100.0 * (np.arange(400) >= 200) + 60.0 * (np.arange(400) >= 201)
    worms[0] = dataclasses.replace(worms[0], traces=traces, times=times)
    container.write(tmp_path / "worms.h5", [*worms, dataclasses.replace(make_worms(1, first=5)[0], worm="N2+TRP4")])
    config = small_config(
        data__study="container",
        data__path=str(tmp_path / "worms.h5"),
        data__neurons="shared",
        data__scaling="robust",
        models=("mlp",),
        model__mlp=MLP,
    )
    forecast(config, tmp_path / "runs")
    rows = read_rows(tmp_path / "runs" / "results.csv")
    assert {row.test_worm for row in rows} == {"worm 0", "worm 1", "N2+TRP4"}
    assert {"N2+TRP4", "worm 0"} <= {worm for row in rows for worm in row.train_worms}
    assert all(np.isfinite(row.value) for row in rows)
    summary = (tmp_path / "runs" / "summary.md").read_text()
    assert "worm 0: 400 frames, 2.2 min at 3.00 Hz, 0% with a scored state" in summary
    assert "4 neurons: AVAL, AVAR, AVBL, RIML" in summary
    assert (tmp_path / "runs" / "figures").is_dir()


@pytest.mark.usefixtures("quick_compilation")
def test_worms_of_different_named_neurons_are_forecast_and_scored_on_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("wormjax.tasks.forecast.report.save_figures", lambda *_: None)  # They take time.
    config = small_config(
        data__neurons="any",
        data__least_worms=2,
        data__simulation__named=0.6,
        data__simulation__worms=3,
        protocol__name="leave_one_worm_out",
        models=("mlp",),
        model__mlp=MLP,
        baselines=("persistence", "mean", "ar_2", "var_2", "mixture", "var_adapted"),
    )
    worms = open_config_recordings(config)
    named = {worm.worm: set(worm.identified) for worm in worms}
    played = {name for name in set.union(*named.values()) if sum(name in of for of in named.values()) >= 2}
    assert any(not played <= of for of in named.values())
    rows = forecast(config, tmp_path / "runs")
    assert all(np.isfinite(row.value) for row in rows)
    for model in (*config.models, *config.baselines):
        for worm, names in named.items():
            own = {row.metric for row in rows if (row.model, row.test_worm) == (model, worm)}
            scored = {metric.partition(":")[2] for metric in own if metric.startswith("mse@8:")} & played
            assert scored == names & played, (model, worm)
            assert "score" in own
    # The mean of a worm's error over the neurons that it has is its error.
    for worm, names in named.items():
        errors = {row.metric: row.value for row in rows if (row.model, row.test_worm) == ("ar_2", worm)}
        parts = [errors[f"mse@8:{name}"] for name in names & played]
        assert errors["mse@8"] == pytest.approx(np.mean(parts), rel=1e-5)
