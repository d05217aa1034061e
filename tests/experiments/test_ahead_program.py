"""experiments.ahead from end to end: what it writes, goes on with, evaluates and refuses."""

import csv

import jax
import ml_collections
import numpy as np
import pytest
from small_ahead import GRAPH, MLP, small_config, small_dataset
from small_experiments import make_worms, replace_arrays

from wormjax.errors import InputError
from wormjax.features.forecast_origins import Starts
from wormjax.features.future_states import Targets
from wormjax.recordings import container
from wormjax.tasks import training
from wormjax.tasks.ahead import experiment as ahead
from wormjax.tasks.ahead import networks as ahead_models
from wormjax.tasks.ahead import report as ahead_report
from wormjax.tasks.ahead.baselines import BASELINES
from wormjax.tasks.ahead.experiment import Output, evaluate_ahead, predict_ahead, read_setting
from wormjax.tasks.ahead.questions import Answers
from wormjax.tasks.dispatch import evaluate, run_experiment
from wormjax.tasks.groups import list_groups, model_folder, restore_best
from wormjax.tasks.worms import prepare_materials
from wormjax.training.workdir import read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

NETWORK = "network_known_state"
METRICS = {f"{kind}@{one}s" for kind in ("nll", "accuracy", "balanced_accuracy") for one in (1, 3)}
QUIET = {f"train__{kind}": 0.0 for kind in ("gain", "offset", "neuron_dropout")}


def make_config(**fields):
    """Worms of a file, a network that corrects a chain, all baselines."""
    own = {
        "data__study": "container",
        "data__neurons": "shared",
        "baselines": BASELINES,
        "models": (NETWORK,),
        f"model__{NETWORK}": MLP | {"base": "dwell_chain_known_state"},
    }
    return small_config(**own | QUIET | fields)


def make_once(build):
    """A function that gives in every call what `build` made in the first."""
    made = []

    def once(*arguments):
        made[:] = made or [build(*arguments)]
        return made[0]

    return once


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """The network trains in one compiled program and answers in another, for all tests: compiling takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((training, "build_engine"), (ahead_models, "build_answering")):
            patch.setattr(module, name, make_once(getattr(module, name)))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of recordings."""
    folder = tmp_path_factory.mktemp("ahead")
    container.write(folder / "train.h5", make_worms(2))
    container.write(folder / "more.h5", make_worms(2, first=1))
    container.write(folder / "other.h5", make_worms(1, first=8, study="other"))
    return folder


@pytest.fixture(scope="module")
def config(folder):
    return make_config(data__path=str(folder / "train.h5"))


@pytest.fixture(scope="module")
def trained(folder, config, quick_compilation):
    """A workdir of the experiment, and the rows that it returned."""
    run_experiment(config, folder / "run")
    return folder / "run", list(csv.DictReader((folder / "run" / "results.csv").read_text().splitlines()))


@pytest.fixture
def unreported(monkeypatch):
    """Reports are not written again: figures take time."""
    monkeypatch.setattr("wormjax.tasks.ahead.experiment.write_report", lambda *_: None)


def flatten(rows):
    """Rows as the file holds them."""
    return [
        {**row._asdict(), "train_worms": "+".join(row.train_worms), "seed": str(row.seed), "value": repr(row.value)}
        for row in rows
    ]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_rows_summary_and_figures(trained):
    workdir, rows = trained
    assert {row["model"] for row in rows} == {NETWORK, *BASELINES}
    assert {(row["train_worms"], row["test_worm"]) for row in rows} == {("worm 0", "worm 1"), ("worm 1", "worm 0")}
    values = {}
    for row in rows:
        values.setdefault((row["model"], row["test_worm"]), {})[row["metric"]] = float(row["value"])
    for found in values.values():
        assert found.keys() >= METRICS | {"reversal_nll", "reversal_error", "reversal_auroc@3s"}
        assert np.isfinite(list(found.values())).all()
        assert all(0 <= value <= 1 for metric, value in found.items() if "accuracy" in metric)
    by_model = {name: values[name, "worm 0"]["nll@1s"] for name in (NETWORK, *BASELINES)}
    assert len(set(by_model.values())) == len(by_model)
    assert by_model["dwell_chain_known_state"] < by_model["frequencies"]
    summary = (workdir / "summary.md").read_text()
    assert all("| *{}* |".format(name.replace("_", r"\_")) in summary for name in BASELINES)
    assert "| {} |".format(NETWORK.replace("_", r"\_")) in summary
    assert "Against the best simple baseline" in summary
    assert summary.count("given the motor state so far") == 1
    figures = {path.name: path.stat().st_size for path in (workdir / "figures").iterdir()}
    kinds = ("nll", "balanced_accuracy")
    assert figures.keys() == {f"skill_{kind}{known}.png" for kind in kinds for known in ("", "_known_state")}
    assert min(figures.values()) > 5000
    assert (workdir / "models" / NETWORK / "curves.csv").stat().st_size
    assert not [path for path in workdir.rglob("*") if "partial" in path.name]


def test_evaluate_gives_the_rows_of_training_and_writes_nothing(trained):
    workdir, rows = trained
    before = contents(workdir)
    assert flatten(evaluate(read_config(workdir), workdir)) == rows
    assert contents(workdir) == before


def test_a_second_call_trains_and_fits_nothing(trained, config, unreported, monkeypatch):
    workdir, rows = trained
    before = contents(workdir)
    monkeypatch.setattr("wormjax.tasks.ahead.baselines.fit_regression", None)
    monkeypatch.setattr("wormjax.tasks.ahead.baselines.fit_diffusion_map", None)
    monkeypatch.setattr("wormjax.training.loop.save_state", None)
    assert flatten(predict_ahead(config, workdir)) == rows
    assert contents(workdir) == before


def test_an_interrupted_call_is_continued(trained, config, unreported, monkeypatch, tmp_path):
    train = ahead_models.train_model

    def interrupt(*arguments):
        assert (train(*arguments, stop_after_chunks=1).step == 2).all()
        raise KeyboardInterrupt

    monkeypatch.setattr(ahead_models, "train_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        predict_ahead(config, tmp_path / "run")
    monkeypatch.setattr(ahead_models, "train_model", train)
    assert flatten(predict_ahead(config, tmp_path / "run")) == trained[1]
    best = [restore_best(model_folder(workdir, NETWORK)) for workdir in (trained[0], tmp_path / "run")]
    jax.tree.map(np.testing.assert_array_equal, *best)


def test_a_worm_that_a_run_does_not_train_on_changes_nothing_in_it(trained, config, tmp_path):
    materials = prepare_materials(config)
    arrays = jax.tree.map(np.copy, materials.dataset.arrays)
    arrays.features[1] = 3.0 * np.random.default_rng(0).normal(size=arrays.features[1].shape)
    arrays.states[1] = arrays.states[1] % 2
    dataset = replace_arrays(materials.dataset, arrays)
    setting, splits = read_setting(config, dataset), list(materials.splits)
    assert [split.train for split in splits] == [(0,), (1,)]
    ahead_models.train_model(NETWORK, config, setting, dataset, splits, list_groups(config, splits), tmp_path)
    found, whole = (restore_best(model_folder(workdir, NETWORK))["params"] for workdir in (tmp_path, trained[0]))
    equal = jax.tree.map(lambda one, other: (one == other).reshape(2, -1).all(axis=1), found, whole)
    assert all(same for same, _ in jax.tree.leaves(equal, is_leaf=lambda x: isinstance(x, np.ndarray)))
    assert not equal["classifier"]["Dense_0"]["kernel"][1]


def test_other_recordings_are_evaluated_where_a_run_has_not_seen_them(trained, folder):
    workdir, rows = trained
    config = read_config(workdir)
    config.data.path = str(folder / "more.h5")
    found = flatten(evaluate(config, workdir))
    pairs = {(row["train_worms"], row["test_worm"]) for row in found}
    assert pairs == {("worm 0", "worm 1"), ("worm 0", "worm 2"), ("worm 1", "worm 2")}
    assert {row["model"] for row in found} == {NETWORK, *BASELINES}
    same = [[row for row in some if row["test_worm"] == "worm 1"] for some in (found, rows)]
    assert same[0] == same[1]


def test_evaluate_may_ask_elsewhere_and_refuses_what_training_fixed(trained):
    workdir, rows = trained
    config = read_config(workdir)
    config.ahead.every = 9
    other = flatten(evaluate_ahead(config, workdir))
    assert [row["metric"] for row in other] == [row["metric"] for row in rows]
    assert other != rows
    config.ahead.seconds = (1.0, 2.0)
    with pytest.raises(InputError, match=r"'ahead\.seconds': found another value"):
        evaluate(config, workdir)


@pytest.mark.parametrize("scaling", ["zscore", "calibration"])
def test_across_studies_and_by_calibration_minutes(folder, unreported, tmp_path, scaling):
    config = make_config(
        protocol__name="cross_study",
        protocol__train_counts=(2,),
        data__path=str(folder / "train.h5"),
        data__test_study="container",
        data__test_path=str(folder / "other.h5"),
        data__scaling=scaling,
        data__calibration_seconds=20.0,
        models=(),
        baselines=("frequencies", "dwell_chain", "persistence_known_state"),
    )
    rows = predict_ahead(config, tmp_path / "run")
    assert {row[1:5] for row in rows} == {("mine", ("worm 0", "worm 1"), "other", "worm 8")}
    assert {row.model for row in rows} == set(config.baselines)
    assert {row.metric for row in rows} >= METRICS
    assert evaluate(read_config(tmp_path / "run"), tmp_path / "run") == rows


def test_the_graph_of_a_network_is_drawn_and_of_no_other():
    dataset, config = small_dataset(), small_config(models=("mlp", "graph"))
    edges = np.random.default_rng(0).dirichlet((1, 1), (5, 6))
    outputs = [Output(name, 0, None, None, None, edges if name == "graph" else None) for name in ("mlp", "graph")]
    assert [name for name, _ in ahead_report.plot_graphs(config, dataset, outputs)] == ["graph_graph"]


MISTAKES = {
    "smoothed": ({"data__inputs": ("trace", "smoothed_derivative")}, "'data.inputs'", "smoothed_derivative"),
    "same worm": ({"protocol__name": "same_worm"}, "'protocol.name'", "leave_one_worm_out"),
    "protocol": ({"protocol__name": "subset"}, "'protocol.name'", "'subset'"),
    "model": ({"models": ("mpl",)}, "'models'", "'mpl'"),
    "baseline's name": ({"models": ("dwell_chain",), "model__dwell_chain": MLP}, "'models'", "'dwell_chain'"),
    "folder's name": ({"models": ("simple",), "model__simple": MLP}, "'models'", "'simple'"),
    "nothing": ({"models": (), "baselines": ()}, "'models'", "at least one"),
    "twice": ({"baselines": ("frequencies", "frequencies")}, "'baselines'", "each name once"),
    "base": ({"model__mlp__base": "dwell"}, "'model.mlp.base'", "none, dwell_chain, dwell_chain_known_state"),
    "no base": ({"model__mlp": {"kind": "mlp"}}, "'model.mlp.base'", "expected one of"),
    "kind": ({"model__mlp__kind": "lstm"}, "'model.mlp.kind'", "'lstm'"),
    "no kind": ({"model__mlp": {"base": "none"}}, "'model.mlp.kind'", "expected one of"),
    "normalised": ({"model__mlp": {"kind": "wang_mlp", "base": "none"}}, "'model.mlp.kind'", "batch normalisation"),
    "normalised graph": ({"model__mlp": {"kind": "wang_graph", "base": "none"}}, "'model.mlp.kind'", "'wang_graph'"),
    "field": ({"models": ("own",), "model__own": MLP | {"hiden": 3}}, "'model.own'", "hiden"),
    "size": ({"models": ("own",), "model__own": GRAPH | {"channels": 0}}, "'model.own.channels'", "found 0"),
    "prior": ({"models": ("graph",), "train__edge_prior": (0.2, 0.3, 0.5)}, "'train.edge_prior'", "each of the 2"),
    "baseline": ({"baselines": ("dwell",)}, "'baselines'", "'dwell'"),
    "seconds": ({"ahead__seconds": (2.0, 1.0)}, "'ahead.seconds'", "increasing"),
    "seconds twice": ({"ahead__seconds": (1.0, 1.0)}, "'ahead.seconds'", "increasing"),
    "no seconds": ({"ahead__seconds": ()}, "'ahead.seconds'", "a list of 1 to"),
    "now": ({"ahead__seconds": (0.0, 1.0)}, "'ahead.seconds'", "more than 0"),
    "late": ({"ahead__first": 5000}, "'ahead.first'", "expected less"),
    "far": ({"ahead__seconds": (1.0, 3000.0)}, "'ahead.seconds'", "expected less"),
    "first": ({"ahead__first": 0}, "'ahead.first'", "1 or more"),
    "future": ({"linear__offsets": (-4, 0, 4)}, "'linear.offsets'", "from 0 backwards"),
    "no offsets": ({"linear__offsets": ()}, "'linear.offsets'", "from 0 backwards"),
    "weights": ({"linear__frame_weights": (0.0, 1.0)}, "'linear.frame_weights'", "more than 0"),
    "penalty": ({"linear__inverse_penalty": 0.0}, "'linear.inverse_penalty'", "more than 0"),
    "cells": ({"diffusion_map__cells": 0}, "'diffusion_map.cells'", "1 or more"),
    "window": ({"train__window_frames": 900}, "'train.window_frames'", "900"),
    "other study": ({"protocol__name": "cross_study"}, "'data.test_study'", "expected a study"),
    "experiment": ({"experiment": "ahed"}, "'experiment'", "'ahed'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_field_and_no_workdir(folder, tmp_path, mistake):
    fields, *words = MISTAKES[mistake]
    config = small_config(
        **{"data__study": "container", "data__path": str(folder / "train.h5"), "data__neurons": "shared"} | fields
    )
    with pytest.raises(InputError) as caught:
        run_experiment(config, tmp_path / "run")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_pool_is_the_mean_of_its_members_answers():
    config = small_config(baselines=("frequencies", "dwell_chain"), models=())
    config.pools = ml_collections.ConfigDict(
        {"both": ("frequencies", "dwell_chain"), "not_run": ("mlp", "dwell_chain")}
    )
    starts = Starts(*(np.zeros(2, int) for _ in range(4)))
    truth = Targets(np.zeros((2, 1), int), np.zeros(2, int), np.zeros(2, int))
    answers = {name: Answers(np.full((2, 1, 2), p), np.full((2, 2), 1 - p)) for name, p in (("a", 0.2), ("b", 0.6))}
    outputs = [
        ahead.Output(name, split, starts, truth, answers[key], None)
        for name, key in (("frequencies", "a"), ("dwell_chain", "b"))
        for split in (0, 1)
    ]
    pooled = ahead.pool_outputs(config, [None, None], [None] * 4, outputs)
    assert [(output.model, output.group) for output in pooled] == [("both", 0), ("both", 1)]
    np.testing.assert_allclose(pooled[0].answers.states, 0.4)
    np.testing.assert_allclose(pooled[0].answers.onset, 0.6)


@pytest.mark.parametrize("members", [("dwell_chain",), ("dwell_chain", "dwel_chain")])
def test_a_pool_of_what_is_not_there_is_refused(members):
    config = small_config()
    config.pools = ml_collections.ConfigDict({"odd": members})
    with pytest.raises(InputError, match=r"'pools\.odd'"):
        ahead.check_config(config)
