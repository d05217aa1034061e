"""experiments.manifold from end to end: three tasks, the diffusion map in each, scored alike; and what it refuses."""

import csv
import types

import numpy as np
import pytest
from small_experiments import small_dataset
from small_manifold import small_config

from wormjax.errors import InputError
from wormjax.scoring.rows import Row, read_rows
from wormjax.tasks.ahead import report as ahead_report
from wormjax.tasks.decode import report
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.forecast import networks as forecasting
from wormjax.tasks.forecast import report as forecast_report
from wormjax.tasks.groups import list_groups, model_folder, restore_best
from wormjax.tasks.manifold import diffusion_map as loop_tasks
from wormjax.tasks.manifold import experiment as manifold
from wormjax.tasks.manifold.experiment import TASKS, explore_manifold
from wormjax.tasks.manifold.report import summarise, tabulate_means
from wormjax.tasks.protocols import Split
from wormjax.tasks.worms import prepare_materials
from wormjax.training.workdir import describe_dataset, read_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

WORMS = ("simulated-0-01", "simulated-0-02")
FIGURES = """components_variance manifolds phase_plots phase_transitions phase_portrait sensitivity_decoding
    sensitivity_nll sensitivity_loops relations graph_similarity toy_loops""".split()
SECTIONS = [
    "The present motor state, decoded",
    "The motor state to come: negative log-likelihood, nats, from neurons alone",
    "The neurons to come: mean squared error by step",
    "Principal components",
    "Loops",
    "Relations",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quick_compilation):
    """A workdir of the experiment, and the rows that it returned; a network's graphs are made up, as mlp has none."""
    graphs = np.random.default_rng(0).dirichlet((1, 1), size=(2, 12))
    infer = manifold.infer_graphs
    workdir = tmp_path_factory.mktemp("programs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        patch.setattr(manifold, "infer_graphs", lambda *parts: infer(*parts) | {"made_up": graphs})
        return workdir, explore_manifold(small_config(), workdir)


def leave_out_figures(patch):
    """Those of the tasks, which have tests of their own."""
    for module, name in ((report, "plot_figures"), (forecast_report, "plot_errors"), (ahead_report, "plot_skill")):
        patch.setattr(module, name, lambda *_: ())


def keys(rows, model, kinds):
    """(training worms, test worm, metric) of a model's rows whose metric begins with one of `kinds`."""
    return {(row.train_worms, row.test_worm, row.metric) for row in rows if row.model == model and row.metric in kinds}


def test_it_writes_the_rows_of_all_tasks_a_summary_and_figures(trained):
    workdir, rows = trained
    assert read_rows(workdir / "results.csv") == rows
    assert len(list(csv.DictReader((workdir / "results.csv").read_text().splitlines()))) == len(rows)
    assert len({row[:-1] for row in rows}) == len(rows)
    assert np.isfinite([row.value for row in rows]).all()
    for task in TASKS:
        own = read_rows(workdir / task / "results.csv")
        assert own
        assert [row for row in rows if row in own] == own
    summary = (workdir / "summary.md").read_text()
    sections = [line.removeprefix("## ") for line in summary.splitlines() if line.startswith("## ")]
    assert sections == SECTIONS
    parts = dict(zip(sections, summary.split("\n## ")[1:], strict=True))
    assert all(r"| diffusion\_map |" in parts[name] for name in sections[:3])
    assert all(f"| {name} |" in parts["Relations"] for name in ("correlation", "granger", "made_up"))
    figures = {path.name: path.stat().st_size for path in (workdir / "figures").iterdir()}
    assert set(figures) == {f"{name}.png" for name in FIGURES}
    assert min(figures.values()) > 5000
    assert not [path for path in workdir.rglob("*") if "partial" in path.name]


def test_the_diffusion_map_has_the_rows_of_the_other_models(trained):
    _, rows = trained
    for model, rival in (("diffusion_map", "lda"), ("diffusion_map", "persistence"), ("diffusion_map", "dwell_chain")):
        expected = {row.metric for row in rows if row.model == rival}
        assert len(expected) > 4
        found = keys(rows, model, expected)
        assert found == keys(rows, rival, expected)
        assert {one[:2] for one in found} == {(WORMS[:1], WORMS[1]), (WORMS[1:], WORMS[0])}
    metrics = [{row.metric for row in rows if row.model == name} for name in ("lda", "persistence", "dwell_chain")]
    assert set.union(*metrics) == {row.metric for row in rows if row.model == "diffusion_map"}


def test_it_is_scored_on_the_frames_of_the_other_models(trained, monkeypatch):
    """Where the map gives the answers of another model, it gets that model's rows: the same frames, starts, worms."""
    workdir, rows = trained
    tasks = {name: manifold.build_task(small_config(), name) for name in TASKS}
    materials = {name: prepare_materials(task) for name, task in tasks.items()}
    splits, dataset = list(materials["decode"].splits), materials["decode"].dataset
    groups = list_groups(tasks["decode"], splits)
    best = restore_best(model_folder(workdir / "decode", "lda"))
    lda = decoding.decode_model("lda", tasks["decode"], describe_dataset(dataset), dataset, groups, best)
    fit = restore_best(model_folder(workdir / "forecast", forecasting.LINEAR))

    def decode(model, shares, dataset, worms):
        return lda.probabilities[[split.test for split in splits].index(tuple(worms))]

    def persist(model, dataset, starts, steps, train):
        split = [split.train for split in splits].index(tuple(train))
        return forecasting.forecast_baseline("persistence", tasks["forecast"], fit, split, dataset, starts)

    monkeypatch.setattr(loop_tasks, "decode_dataset", decode)
    monkeypatch.setattr(loop_tasks, "forecast_starts", persist)
    shares = {f"split_{number}": {"shares": None} for number in range(len(splits))}
    scored = manifold.score_diffusion_map(tasks, materials, splits, [None] * len(splits), shares)
    for rival in ("lda", "persistence"):
        expected = [row for row in rows if row.model == rival]
        metrics = {row.metric for row in expected}
        found = [row._replace(model=rival) for row in scored if row.metric in metrics]
        assert sorted(found) == sorted(expected)


def test_a_second_call_trains_nothing_and_gives_the_same_rows(trained, monkeypatch):
    workdir, rows = trained
    kept = {path: path.read_bytes() for path in workdir.rglob("models/**/*") if path.is_file()}
    assert kept
    leave_out_figures(monkeypatch)
    monkeypatch.setattr(manifold, "measure_sensitivity", lambda *_: {})
    monkeypatch.setattr(manifold, "infer_graphs", lambda *_: {})
    monkeypatch.setattr(manifold, "write_report", lambda *_: None)
    assert explore_manifold(small_config(), workdir) == rows
    assert {path: path.read_bytes() for path in workdir.rglob("models/**/*") if path.is_file()} == kept


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_gives_the_rows_of_a_task(trained, task):
    workdir, _ = trained
    rows = evaluate(read_config(workdir / task), workdir / task)
    assert sorted(rows) == sorted(read_rows(workdir / task / "results.csv"))


def test_evaluate_of_the_whole_names_the_tasks(trained):
    workdir, _ = trained
    with pytest.raises(InputError, match=r"--workdir: found .*run of experiments\.manifold, expected .*run/decode"):
        evaluate(read_config(workdir), workdir)


def test_a_worm_s_graph_is_that_of_runs_that_have_not_seen_it(monkeypatch):
    """Two stretches are averaged, training worms left out, networks without a graph too."""
    dataset = small_dataset()
    splits = [Split((0, 1), (2,)), Split((0, 2), (1,)), Split((1,), (0, 2))]
    config = manifold.build_task(small_config(tasks__decode__models=("nri_graph", "mlp"), seeds=2), "decode")
    groups = list_groups(config, splits)
    edges = np.random.default_rng(0).random((len(groups), 4, 12, 2))
    decoded = {"nri_graph": decoding.Decoded(None, edges), "mlp": decoding.Decoded(None, None)}
    monkeypatch.setattr("wormjax.tasks.manifold.experiment.restore_best", lambda folder: None)
    monkeypatch.setattr(decoding, "decode_model", lambda name, *_: decoded[name])
    materials = types.SimpleNamespace(test_dataset=dataset, splits=splits)
    graphs = manifold.infer_graphs(config, materials, "nowhere")
    assert set(graphs) == {"nri_graph"}
    expected = [edges[[2, 5], 0].mean(axis=0), edges[[1, 4], 1].mean(axis=0), edges[[0, 2, 3, 5], 2:].mean(axis=(0, 1))]
    np.testing.assert_allclose(graphs["nri_graph"], expected)


def test_tables_are_of_the_most_training_worms_and_average_by_worm():
    def row(model, train, test, value, metric="nll"):
        return Row(model, "s", train, "s", test, 0, metric, value)

    rows = [
        row("one", ("a", "b"), "c", 1.0),
        row("one", ("a", "b"), "d", 2.0),
        row("one", ("a", "c"), "d", 4.0),
        row("one", ("a",), "c", 100.0),
        row("one", ("a", "b"), "c", 0.5, "auroc"),
        row("two", ("a", "b"), "c", 3.0),
        row("other", ("a", "b"), "c", 7.0, "auroc"),
    ]
    frame = tabulate_means(rows, ("nll", "auroc"))
    assert [*frame.columns] == ["numbers / worms", "nll", "auroc"]
    assert frame.loc["one"].tolist() == ["3, 1 / 2, 1", "**2.000** [0.000, 14.706]", "0.500"]
    assert frame.loc["two"].tolist() == ["1 / 1", "3.000", ""]
    assert len(frame) == 2


def test_the_table_of_states_to_come_leaves_out_who_is_given_the_state(trained, monkeypatch):
    _, rows = trained
    monkeypatch.setattr("wormjax.tasks.manifold.pca.tabulate_components", lambda *_: [])
    monkeypatch.setattr("wormjax.tasks.manifold.report.tabulate_relations", lambda *_: [])
    config = small_config(tasks__ahead__models=("nri_graph_known_state",))
    config.tasks.ahead.model.corrected = config.tasks.ahead.model.nri_graph_known_state
    config.tasks.ahead.models = ("nri_graph", "corrected")
    config.tasks.forecast.forecast.scored = (3, 5)
    tasks = {name: manifold.build_task(config, name) for name in TASKS}
    known = [row._replace(model=name) for row in rows if row.model == "dwell_chain"
            for name in ("corrected", "dwell_chain_known_state", "nri_graph")]  # fmt: skip
    known += [row._replace(metric="mse@3") for row in rows if row.metric == "mse@1"]
    findings = types.SimpleNamespace(components=None, models=[], trained=[])
    text = "\n".join(summarise(tasks, [*rows, *known], findings))
    table = text.split("## ")[2]
    assert table.startswith("The motor state to come")
    assert r"| nri\_graph |" in table
    assert r"| dwell\_chain |" in table
    assert "corrected" not in table
    assert "known" not in table
    assert "| model | numbers / worms | mse@3 | mse@5 |" in text  # None of the usual steps is scored.


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"protocol__name": "same_worm"}, r"'protocol\.name': found 'same_worm', expected leave_one_worm_out or"),
        ({"protocol__name": "cross_study"}, r"'protocol\.name': found 'cross_study'"),
        ({"protocol__train_counts": (7,)}, r"'protocol\.name': found no split of 2 worms"),
        ({"seeds": 0}, r"'seeds': found 0"),
        ({"data__frame_rate": -1.0}, r"'data\.frame_rate': found -1"),
        ({"data__calibration_seconds": -1.0}, r"'data\.calibration_seconds': found -1"),
        ({"data__neurons": "AVAL,AVBL"}, r"principal components, field 'components': found 3, expected 1 to 2"),
        ({"components__derivative_seconds": 0.0}, r"'components\.derivative_seconds': found 0\.0"),
        ({"components__gap_seconds": -1.0}, r"'components\.gap_seconds': found -1\.0"),
        ({"components__gap_seconds": 100.0}, r"separation of states: .*gap 281"),
        ({"components__scaling": "minmax"}, r"'components\.scaling': found 'minmax', expected one of none, z"),
        ({"relations__methods": ("corelation",)}, r"'relations\.methods': .*'corelation'.*one of correlation"),
        ({"relations__methods": ()}, r"'relations\.methods': found \(\), expected a list"),
        ({"relations__methods": ("granger", "granger")}, r"'relations\.methods': .*expected each name once"),
        ({"relations__shifts": 0}, r"'relations\.shifts': found 0, expected a whole number, 1 or more"),
        ({"relations__lag": 0}, r"'relations\.lag': found 0"),
        ({"relations__order": 0}, r"'relations\.order': found 0"),
        ({"toy__frames": 0}, r"'toy\.frames': found 0"),
        ({"toy__frames": 119}, r"'toy\.neighbours': found 5 with 119 frames, expected 120"),
        ({"toy__neighbours": 0}, r"'toy\.neighbours': found 0"),
        ({"toy__delays": 0}, r"'toy\.delays': found 0"),
        ({"toy__delay_frames": 0}, r"'toy\.delay_frames': found 0"),
        ({"sensitivity__seconds": 3.0}, r"'sensitivity\.seconds': found 3"),
        ({"sensitivity__parameters__delays": (0,)}, r"'sensitivity\.parameters\.delays': found 0"),
        ({"tasks__decode__train__dropout": 1.0}, r"'tasks\.decode\.train\.dropout': found 1\.0"),
        ({"tasks__decode__models": ("mlpp",)}, r"'tasks\.decode\.models': found 'mlpp'"),
        ({"tasks__decode__train__window_frames": 2000}, r"'tasks\.decode\.train\.window_frames': found 2000"),
        ({"tasks__forecast__data__inputs": ("causal_derivative",)}, r"'tasks\.forecast\.data\.inputs': .*trace alone"),
        ({"tasks__forecast__data__trace_weight": 0.5}, r"'tasks\.forecast\.data\.trace_weight': found 0\.5.*, 1"),
        ({"tasks__forecast__forecast__first": 5000}, r"'tasks\.forecast\.forecast\.first': found 5000"),
        ({"tasks__forecast__train__kl_weight": -1.0}, r"'tasks\.forecast\.train\.kl_weight': found -1"),
        ({"tasks__ahead__baselines": ("dwell_chain",)}, r"'tasks\.ahead\.baselines': .*expected 'diffusion_map' among"),
        ({"tasks__ahead__data__inputs": ("causal_derivative",)}, r"'tasks\.ahead\.data\.inputs': .*trace as the first"),
        ({"tasks__ahead__data__inputs": ("smoothed_derivative",)}, r"'tasks\.ahead\.data\.inputs': .*see the future"),
        ({"tasks__ahead__ahead__seconds": (5.0, 1000.0)}, r"'tasks\.ahead\.ahead\.seconds': found 1000 s"),
        ({"tasks__ahead__diffusion_map__neighbours": 40}, r"'tasks\.ahead\.diffusion_map\.neighbours': found 40"),
        ({"tasks__ahead__diffusion_map__cells": 0}, r"'tasks\.ahead\.diffusion_map\.cells': found 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_written_or_trained(fields, message, tmp_path, monkeypatch):
    def begin(*_):
        raise AssertionError("begun")

    for name in ("generalize", "claim_workdir"):
        monkeypatch.setattr(manifold, name, begin)
    with pytest.raises(InputError, match=message):
        explore_manifold(small_config(**fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_parameter_of_the_diffusion_map_is_refused(tmp_path):
    config = small_config()
    with config.unlocked():
        config.sensitivity.parameters.colour = (1, 2)
    with pytest.raises(InputError, match=r"'sensitivity\.parameters': found 'colour', expected some of .*delays"):
        explore_manifold(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
