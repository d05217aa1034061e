"""Figures name models in plain words, and their axes end where values do."""

import numpy as np
import pandas as pd
import pytest
from readable_figures import assert_plain

from wormjax import figures
from wormjax.figures.names import NAMES, spell_name
from wormjax.scoring.rows import Row

METHODS = ("var_response", "partial_correlation", "correlation")
REFERENCES = ("chemical", "electrical")
GRAPH = np.where(np.eye(4, dtype=bool), np.nan, np.random.default_rng(0).normal(size=(4, 4)))


def test_names_are_spelled_out():
    names = {
        "temporal_convolution": "Temporal convolution",
        "nri_graph_known_state": "Graph network (NRI), known state",
        "var_1": "Vector autoregression (1 lag)",
        "ar_16": "Autoregression (16 lags)",
        "nri_true_graph": "NRI, true graph",
        "chemical_rewired_0": "Chemical synapses, rewired 0",
        "granger + classes": "Granger causality + classes",
        "mlp [learning_rate=0.01]": "Multilayer perceptron [learning rate=0.01]",
        "no_identity": "No identity",
        "GNN": "GNN",
    }
    assert {name: spell_name(name) for name in names} == names


def test_names_in_the_table_differ():
    assert len(set(NAMES.values())) == len(NAMES)


def make_scores():
    lines = [
        {"method": method, "pooling": pooling, "reference": reference, "auroc": 0.9, "low": 0.8, "high": 1.0}
        for method in METHODS
        for reference in REFERENCES
        for pooling in ("worms", "classes")
    ]
    return pd.DataFrame(lines)


def make_amounts():
    lines = [
        {"method": method, "reference": reference, "worms": worms, "share": share, "auroc": best - 0.1 / worms}
        for method in METHODS
        for reference, best in (("chemical", 0.6), ("electrical", 1.0))
        for worms in (1, 5)
        for share in (0.5, 1.0)
    ]
    return pd.DataFrame(lines)


def make_rows():
    numbers = ((worm, amount) for worm in "ab" for amount in (4, 8))
    return [
        Row("any_neurons", "s", ("t",), "s", worm, 0, f"auroc@{n}", 1.0 - 0.1 * (worm == "a")) for worm, n in numbers
    ]


FIGURES = {
    "scores": lambda: figures.plot_graph_scores(make_scores(), "Scores"),
    "agreement": lambda: figures.plot_graph_agreement({"var_response": GRAPH, "chemical": GRAPH.T}, "Agreement"),
    "curves": lambda: figures.plot_graph_curves(make_amounts(), "Curves"),
    "classes": lambda: figures.plot_class_graph(
        GRAPH, ("AVA", "RIM", "RID", "VB"), ("inter", "inter", "", "motor"), "G"
    ),
    "responses": lambda: figures.plot_responses(GRAPH, {"var_response": GRAPH}, GRAPH > 0, "Responses"),
    "neurons": lambda: figures.plot_score_by_neuron(
        pd.DataFrame({"network": [1.0, 0.2], "ridge_pairs": [0.9, 0.1]}, index=["AVAL", "RIML"]), ("ridge_pairs",), "R²"
    ),
    "matrices": lambda: figures.plot_edge_matrices(GRAPH > 0, {"nri_posterior": np.full((4, 4), 0.25)}),
    "amounts": lambda: figures.plot_score_by_amount(make_rows(), ("auroc",), "named neurons"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_plain_words_and_no_value_beyond_one(name):
    figure = FIGURES[name]()
    assert_plain(figure)
    if name in ("scores", "curves", "neurons", "amounts"):
        ends = [axes.get_xlim()[1] if name == "scores" else axes.get_ylim()[1] for axes in figure.axes]
        assert max(ends) <= 1.0
    if name == "curves":
        highest = max(max(line.get_ydata()) for axes in figure.axes for line in axes.get_lines())
        assert highest < figure.axes[0].get_ylim()[1]
