"""experiments.relate from end to end, on simulated worms whose wiring is known."""

import networkx
import numpy as np
import pandas as pd
import pytest
from small_relations import small_config

from wormjax.errors import InputError
from wormjax.scoring.reference_graphs import find_pairs
from wormjax.scoring.rows import read_rows
from wormjax.simulation.worms import choose_names, find_wiring, simulate_worms
from wormjax.tasks.dispatch import evaluate
from wormjax.tasks.references import align_wiring, load_references
from wormjax.tasks.relate.experiment import prepare_tasks, relate_neurons
from wormjax.tasks.relate.report import is_directed

pytestmark = pytest.mark.usefixtures("quick_compilation")
MODELS = ("hidden_neuron",)


@pytest.fixture(scope="module")
def related(tmp_path_factory, quick_compilation):
    """A workdir of the experiment with a network, and the rows that it returned."""
    workdir = tmp_path_factory.mktemp("programs") / "run"
    return workdir, relate_neurons(small_config(models=MODELS), workdir)


def test_it_scores_every_method_against_the_wiring(related):
    workdir, rows = related
    assert read_rows(workdir / "results.csv") == rows
    scores, agreement = (pd.read_csv(workdir / f"{name}.csv") for name in ("scores", "agreement"))
    methods = {*MODELS, *small_config().relations.methods, "var_response"}
    assert set(scores["method"]) == methods == set(agreement["method"])
    assert set(scores["reference"]) == {"wiring"}
    assert len(scores) == 2 * len(methods)
    assert scores[["auroc", "low", "high", "p_rewired", "p_permuted"]].notna().all(axis=None)
    assert scores["p_shifted"].isna().groupby(scores["method"]).all().to_dict() == {
        name: name in MODELS for name in methods
    }
    assert agreement[agreement["method"].isin(MODELS)]["seeds"].notna().all()
    value = next(row.value for row in rows if row[:1] == ("correlation",) and row.metric == "auroc:wiring")
    own = scores[(scores["method"] == "correlation") & (scores["pooling"] == "worms")]
    assert own["auroc"].item() == value
    assert own["difference"].item() == 0
    amounts = pd.read_csv(workdir / "amounts.csv")
    assert set(zip(amounts["worms"], amounts["share"], strict=True)) == {(n, x) for n in (1, 2, 3) for x in (0.5, 1.0)}
    assert "## Agreement" in (workdir / "summary.md").read_text()
    for name in ("scores", "agreement", "score_by_worms"):
        assert (workdir / "figures" / f"{name}.png").stat().st_size > 5000
    # A graph that is no better than chance is not drawn.
    beyond = (scores.loc[scores["method"] == "combined", "p_rewired"] <= 0.05).any()
    assert (workdir / "figures" / "graph_by_class.png").exists() == beyond


def test_graphs_are_written_as_edges_graphml_and_matrices(related):
    workdir, _ = related
    with np.load(workdir / "graphs.npz", allow_pickle=False) as file:
        names, counts, matrix = file["neuron_names"].tolist(), file["worms"], file["granger"]
    edges = pd.read_csv(workdir / "graphs" / "granger.csv")
    assert len(edges) == np.isfinite(matrix).sum()
    assert edges["score"].is_monotonic_decreasing
    for line in edges.head(5).itertuples():
        place = names.index(line.sender), names.index(line.receiver)
        assert matrix[place] == pytest.approx(line.score)
        assert counts[place] == line.worms >= 2
    graph = networkx.read_graphml(workdir / "graphs" / "granger.graphml")
    assert set(graph.nodes) == set(names)
    first = edges.iloc[0]
    assert graph.edges[first.sender, first.receiver]["score"] == pytest.approx(first.score)


def test_a_second_call_trains_nothing_and_gives_the_same(related):
    workdir, rows = related
    before = {path: path.stat().st_mtime for path in (workdir / "models").rglob("*") if path.is_file()}
    assert relate_neurons(small_config(models=MODELS), workdir) == rows
    assert {path: path.stat().st_mtime for path in before} == before
    with pytest.raises(InputError, match=r"found .*run of experiments.relate"):
        evaluate(small_config(models=MODELS), workdir)


def test_the_reference_of_simulated_worms_is_their_wiring():
    config = small_config()
    names = ("AVBL", "AVAL", "RID")
    known = choose_names(10)
    study = simulate_worms(0, 1, 0.5, known)
    own = [known.index(name) for name in names]
    np.testing.assert_array_equal(find_wiring(0, 10), study.wiring)
    np.testing.assert_array_equal(align_wiring(config.data.simulation, names), study.wiring[np.ix_(own, own)])
    (wiring,) = load_references(config.data, names).values()
    np.testing.assert_array_equal(wiring, study.wiring[np.ix_(own, own)] != 0)


def test_real_worms_are_scored_against_the_connectome():
    config = small_config(data__study="dag2023")
    references = load_references(config.data, ("AVAL", "AVAR", "DA02", "cell 7"))
    assert list(references) == ["chemical", "electrical"]
    assert references["chemical"][0, 2] == 1
    assert find_pairs(references["chemical"], references["chemical"]).sum() == 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"models": ("mlp",)}, "'models': found 'mlp', expected some of hidden_neuron, forecaster"),
        ({"relations__methods": ("correlation", "guess")}, "'relations.methods': found 'guess'"),
        ({"relations__methods": ("combined",)}, "'relations.methods': .* expected 'correlation' among them"),
        ({"relations__methods": ("correlation", "combined", "var_response")}, "'var_response', which always runs"),
        ({"report__method": "granger", "relations__methods": ("correlation",)}, "'report.method': found 'granger'"),
        ({"references__atlas": "atlas.h5"}, "'references.atlas': found 'atlas.h5', which has no effect"),
        ({"references__kinds": ("gap",)}, "'references.kinds': found 'gap', expected some of chemical"),
        ({"tasks__reconstruct__train__hidden_shares": (0.1, 1.5)}, "'tasks.reconstruct.train.hidden_shares'"),
        ({"tasks__forecast__models": (), "models": ("forecaster",)}, "'tasks.forecast.models'"),
        ({"relations__shrinkage": 0.0}, "'relations.shrinkage': found 0"),
        ({"data__path": "worms.h5"}, "'data.path': found 'worms.h5', which has no effect"),
    ],
)
def test_configs_that_cannot_be_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        prepare_tasks(small_config(**fields))


@pytest.mark.slow
def test_a_forecaster_answers_to_a_drive(tmp_path):
    relate_neurons(small_config(models=("hidden_neuron", "forecaster")), tmp_path / "run")
    scores = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert scores[scores["method"] == "forecaster"]["auroc"].notna().all()
    assert pd.read_csv(tmp_path / "run" / "agreement.csv").set_index("method")["seeds"].loc["forecaster"].notna().all()


def test_a_graph_is_directed_where_its_direction_is_above_chance():
    line = {"method": "granger", "pooling": "classes", "direction": 0.7}
    assert is_directed(pd.DataFrame([line | {"direction_low": 0.6}]), "granger")
    assert not is_directed(pd.DataFrame([line | {"direction_low": 0.45}]), "granger")
    assert not is_directed(pd.DataFrame([line]), "granger")
