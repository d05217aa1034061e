"""experiments.forecast from end to end: what it writes and refuses, and that no forecast knows what comes after it."""

import csv

import jax
import numpy as np
import pytest
from small_experiments import make_worms, replace_arrays
from small_forecasts import GRAPH, small_config, small_dataset

from wormjax.errors import InputError
from wormjax.features.dataset import build_dataset
from wormjax.features.forecast_origins import list_starts
from wormjax.models.forecast_roll_outs import initialise
from wormjax.scoring.rows import Row
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.forecast import linear as linear_forecasts
from wormjax.tasks.forecast import networks as forecasting
from wormjax.tasks.forecast.experiment import forecast
from wormjax.tasks.forecast.report import plot_errors
from wormjax.tasks.protocols import list_splits
from wormjax.training.workdir import read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

WORMS = ("simulated-0-01", "simulated-0-02")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quick_compilation):
    """A workdir of the experiment, and the rows that it returned."""
    workdir = tmp_path_factory.mktemp("programs") / "run"
    return workdir, forecast(small_config(), workdir)


def test_it_writes_rows_summary_and_figures(trained):
    workdir, returned = trained
    rows = list(csv.DictReader((workdir / "results.csv").read_text().splitlines()))
    assert len(rows) == len(returned)
    assert {row["model"] for row in rows} == {"nri_graph", "persistence", "var_2", "var_adapted"}
    assert {(row["train_worms"], row["test_worm"]) for row in rows} == {WORMS, WORMS[::-1]}
    expected = {f"{kind}@{step}" for kind in ("mse", "mae", "nll", "crps", "coverage90") for step in (1, 2, 4, 8)}
    for name in ("nri_graph", "persistence"):
        found = {row["metric"] for row in rows if row["model"] == name and row["test_worm"] == WORMS[0]}
        assert found >= expected | {"mse@8:AVAL", "mse@4:forward"}
    assert np.isfinite([float(row["value"]) for row in rows]).all()
    values = {tuple(list(row.values())[:-1]): float(row["value"]) for row in rows}
    assert len(values) == len(rows)
    errors = {row.model: row.value for row in returned if (row.metric, row.test_worm) == ("mse@8", WORMS[0])}
    assert len(set(errors.values())) == len(errors)
    r2 = {row.model: row.value for row in returned if (row.metric, row.test_worm) == ("r2@8", WORMS[0])}
    assert r2["nri_graph"] == pytest.approx(1.0 - errors["nri_graph"] / errors["persistence"], rel=1e-4)
    summary = (workdir / "summary.md").read_text()
    assert all(name in summary for name in (r"nri\_graph", "persistence", r"var\_adapted"))
    figures = {path.name: path.stat().st_size for path in (workdir / "figures").iterdir()}
    expected = "forecast_error traces_nri_graph graphs_by_state_nri_graph graph_stability_nri_graph followers_nri_graph"
    assert figures.keys() >= {f"{name}.png" for name in expected.split()}
    assert min(figures.values()) > 5000
    assert not [path for path in workdir.rglob("*") if "partial" in path.name]


def test_evaluate_gives_the_rows_of_training(trained):
    workdir, rows = trained
    assert evaluate(read_config(workdir), workdir) == rows


def test_a_second_call_trains_nothing_and_gives_the_same_rows(trained, monkeypatch):
    workdir, rows = trained
    checkpoints = {path: path.read_bytes() for path in (workdir / "models").rglob("*") if path.is_file()}
    monkeypatch.setattr("wormjax.tasks.forecast.experiment.write_report", lambda *_: None)
    assert forecast(small_config(), workdir) == rows
    assert {path: path.read_bytes() for path in (workdir / "models").rglob("*") if path.is_file()} == checkpoints


def test_evaluate_refuses_what_training_fixed(trained):
    workdir, _ = trained
    config = read_config(workdir)
    config.linear.adaptation.order = 1
    with pytest.raises(InputError, match=r"'linear\.adaptation\.order': found another value"):
        evaluate(config, workdir)


def test_no_figure_of_errors_is_drawn_where_none_of_its_steps_is_scored():
    rows = [Row("var_2", "made up", ("worm 0",), "made up", "worm 1", 0, "mse@32", 1.0)]
    assert not list(plot_errors(small_config(forecast__scored=(32,)), small_dataset((40, 40)), rows, None))


MODELS = {
    "nri_graph": GRAPH | {"graph": "dynamic"},
    "recurrent": {"kind": "recurrent", "drift": "adapted", "hidden": 5, "modes": 2},
}
BASELINES = ("persistence", "mean", "var_1", "var_2", "var_adapted")


@pytest.fixture(scope="module")
def foretell(quick_compilation):
    """A function: dataset → {model or baseline: its forecasts (Spread) of the second worm}, and their starts.

    All have learnt from the first worm; the networks' parameters are random, so that they say something of their own.
    """
    fields = {f"model__{name}": sizes for name, sizes in MODELS.items()}
    config = small_config(models=tuple(MODELS), baselines=BASELINES, forecast__first=10, forecast__every=7, **fields)
    first = small_dataset((200, 180))
    fit = linear_forecasts.fit_linear(config, linear_forecasts.gather_worms(first), list_splits("subsets", 2))
    compiled, random = {}, np.random.default_rng(0)
    for name in MODELS:
        module = forecasting.build_module(name, config, first)
        shapes = jax.eval_shape(lambda key, module=module: initialise(module, key, 3, 2, 4, 1), jax.random.key(0))
        variables = jax.tree.map(lambda x: 0.4 * random.normal(size=x.shape).astype(np.float32), shapes)
        compiled[name] = forecasting.build_forecaster(name, config, first), variables

    def tell(dataset):
        starts = list_starts(dataset, 10, 7)
        starts = starts.of(starts.worm == 1)
        spreads = {name: forecasting.forecast_baseline(name, config, fit, 0, dataset, starts) for name in BASELINES}
        for name, (forecaster, variables) in compiled.items():
            spreads[name], edges = forecasting.forecast_starts(
                forecaster, name, config, fit, 0, variables, dataset, starts
            )
            assert (edges is None) == (name == "recurrent")
        return spreads, starts

    return tell


@pytest.mark.parametrize("frame", [52, 59, 100])  # A start, the next one, and a frame between two starts.
def test_no_forecast_knows_a_frame_at_or_after_its_start(foretell, frame):
    dataset = small_dataset((200, 180))
    arrays = dataset.arrays._replace(features=dataset.arrays.features.copy())
    arrays.features[1, frame:180] = 5.0 * np.random.default_rng(frame).normal(size=(180 - frame, 4, 1))
    before, starts = foretell(dataset)
    after, _ = foretell(replace_arrays(dataset, arrays))
    blind = starts.frame <= frame
    assert 0 < blind.sum() < len(blind)
    assert frame == 100 or (starts.frame == frame).any()
    for name in (*BASELINES, *MODELS):
        for one, other in zip(before[name], after[name], strict=True):
            np.testing.assert_array_equal(one[blind], other[blind])
        if name != "mean":
            changed = (before[name].mean != after[name].mean).any(axis=(1, 2, 3, 4))
            assert changed[~blind].all()


def test_scaled_by_calibration_minutes_the_inputs_know_no_later_frame():
    recordings, frame = make_worms(2), 150
    later = [recording.traces.copy() for recording in recordings]
    for traces in later:
        traces[frame:] += 7.0
    names = recordings[0].neuron_names
    changed = [type(r)(**vars(r) | {"traces": traces}) for r, traces in zip(recordings, later, strict=True)]
    datasets = [
        build_dataset(worms, names, ("trace", "causal_derivative"), "calibration", calibration_seconds=20.0)
        for worms in (recordings, changed)
    ]
    one, other = (dataset.arrays.features for dataset in datasets)
    np.testing.assert_array_equal(one[:, :frame], other[:, :frame])
    assert (one[:, frame:] != other[:, frame:]).any(axis=(2, 3)).all()
    assert list_starts(datasets[0], 16, 16).frame.min() >= 60  # At 3 Hz; those minutes are not scored.


MISTAKES = {
    "smoothed": ({"data__inputs": ("trace", "smoothed_derivative")}, "'data.inputs'", "smoothed_derivative"),
    "source": ({"data__inputs": ("source_derivative",)}, "'data.inputs'", "see the future"),
    "same worm": ({"protocol__name": "same_worm"}, "'protocol.name'", "leave_one_worm_out"),
    "protocol": ({"protocol__name": "subset"}, "'protocol.name'", "'subset'"),
    "model": ({"models": ("nri_grph",)}, "'models'", "'nri_grph'"),
    "nothing": ({"models": (), "baselines": ()}, "'models'", "at least one"),
    "field": ({"model__nri_graph": GRAPH | {"graph": "full", "hiden": 3}}, "'model.nri_graph'", "hiden"),
    "drift": ({"model__nri_graph__drift": "own"}, "'model.nri_graph.drift'", "adapted, pooled, none"),
    "no drift": ({"model__nri_graph": {"kind": "graph"}}, "'model.nri_graph.drift'", "adapted, pooled, none"),
    "graph": ({"model__nri_graph__graph": "fixed"}, "'model.nri_graph.graph'", "static, dynamic"),
    "kind": ({"model__nri_graph__kind": "lstm"}, "'model.nri_graph.kind'", "graph, recurrent, mlp"),
    "no kind": ({"model__nri_graph": {"drift": "none"}}, "'model.nri_graph.kind'", "graph, recurrent, mlp"),
    "size": ({"model__nri_graph__hidden": 0}, "'model.nri_graph.hidden'", "1 or more"),
    "modes": ({"model__nri_graph__modes": 0}, "'model.nri_graph.modes'", "1 or more"),
    "first": ({"forecast__first": 4}, "'forecast.first'", "expected 5 or more"),
    "late": ({"forecast__first": 5000}, "'forecast.first'", "expected less"),
    "late for a half": ({"forecast__first": 300}, "'forecast.first'", "expected less"),
    "scored": ({"forecast__scored": (1, 9)}, "'forecast.scored'", "forecast.steps, 8"),
    "scored none": ({"forecast__scored": ()}, "'forecast.scored'", "a list of 1 to"),
    "baseline": ({"baselines": ("var_3",)}, "'baselines'", "'var_3'"),
    "roll-out": ({"train__roll_out": 9}, "'train.roll_out'", "forecast.steps, 8"),
    "burn-in": ({"train__burn_in": 60, "forecast__first": 64}, "train.burn_in + train.roll_out'", "'split.block'"),
    "ridges": ({"linear__ridges": (0.0,)}, "'linear.ridges'", "more than 0"),
    "one type": ({"model__nri_graph__edge_types": 1}, "'model.nri_graph.edge_types'", "2 or more"),
    "prior": ({"train__edge_prior": (0.2, 0.3, 0.5)}, "'train.edge_prior'", "2"),
    "neurons": ({"data__neurons": "AVAL,NOBODY"}, "NOBODY", ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_field_and_no_workdir(tmp_path, mistake):
    fields, *words = MISTAKES[mistake]
    with pytest.raises(InputError) as caught:
        forecast(small_config(**fields), tmp_path / "run")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "run").exists()
