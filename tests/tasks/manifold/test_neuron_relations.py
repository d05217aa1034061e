"""Relational graphs of worms: each worm by itself, over its valid frames; what is alike is found, and nothing else."""

import os
from pathlib import Path

import numpy as np
import pytest

from wormjax.baselines.relational_graphs import RELATIONS, measure_relation
from wormjax.features.dataset import Dataset, WormArrays, build_dataset
from wormjax.features.neurons import shared_neurons
from wormjax.features.studies import open_recordings
from wormjax.figures.graph_comparison import plot_graph_similarity, plot_relations
from wormjax.figures.matrices import cluster_neurons
from wormjax.graphs import complete_edges, edges_to_matrix, matrix_to_edges
from wormjax.scoring.graph_similarity import compare_scores
from wormjax.tasks.manifold.relations import (
    correlate_neurons,
    join_stretches,
    measure_false_edges,
    measure_worms,
)

NAMES = ("AVAL", "AVAR", "RIML", "RIMR", "VB01", "VB02")


def make_dataset(traces, stretches=None):
    """Worms [frame, neuron] of any lengths as a dataset; padding and the second feature hold what must not be read."""
    stretches = stretches or [[len(trace)] for trace in traces]
    rows = [
        (worm, part)
        for worm, (trace, lengths) in enumerate(zip(traces, stretches, strict=True))
        for part in np.split(trace, np.cumsum(lengths)[:-1])
    ]
    shape = (len(rows), max(len(part) for _, part in rows))
    features = np.full((*shape, traces[0].shape[1], 2), 1e6, np.float32)
    features *= np.random.default_rng(9).normal(size=features.shape)
    valid = np.zeros(shape, bool)
    for row, (_, part) in enumerate(rows):
        features[row, : len(part), :, 0], valid[row, : len(part)] = part, True
    states, worms = np.zeros(shape, np.int32), tuple(f"worm-{worm}" for worm in range(len(traces)))
    names = tuple(f"N{k}" for k in range(traces[0].shape[1]))
    stretch_worm = np.array([worm for worm, _ in rows])
    arrays = WormArrays(features, states, valid)
    return Dataset(
        arrays, states, valid, np.zeros(shape), stretch_worm, worms, names, ("trace", "change"), ("rest",), "test", 3.0
    )


def draw_worms(worms=2, frames=300, neurons=4, seed=0, decay=0.8):
    rng = np.random.default_rng(seed)
    state, states = rng.normal(size=(worms, neurons)), []
    for _ in range(frames):
        state = decay * state + np.sqrt(1 - decay**2) * rng.normal(size=state.shape)
        states.append(state)
    return list(np.stack(states, axis=1).astype(np.float32))


def make_graphs(present, types=2):
    """Edge probabilities [worm, edge] as [worm, edge, type], shared out over the types but the first."""
    rest = present[..., None] * np.arange(1, types) / np.arange(1, types).sum()
    return np.concatenate([1 - present[..., None], rest], axis=-1)


def compare_graphs(graphs, **options):
    return compare_scores({name: 1.0 - edges[..., 0] for name, edges in graphs.items()}, **options)


def test_each_worm_is_related_over_its_own_valid_frames():
    first, second = draw_worms()
    second = second[:170]
    dataset = make_dataset([first, second], [[300], [90, 20, 60]])
    np.testing.assert_array_equal(join_stretches(dataset, 1)[..., 0], second)
    found = measure_worms(dataset, shifts=19, lag=2, order=2)
    assert list(found) == list(RELATIONS)
    for method, relation in found.items():
        for worm, trace in enumerate([first, second]):
            rng = np.random.default_rng([0, worm])
            expected = measure_relation(method, trace[..., None], rng, shifts=19, lag=2, order=2)
            np.testing.assert_array_equal(relation.edges[worm], expected.edges)
            np.testing.assert_array_equal(relation.score[worm], expected.score)


def test_the_same_graph_is_found_the_same_and_another_is_not():
    rng = np.random.default_rng(0)
    common, worms = rng.random(90), rng.random((3, 90))
    graphs = {
        "same": make_graphs(np.repeat(common[None], 3, axis=0)),
        "mine": make_graphs(worms),
        "weaker": make_graphs(0.1 + 0.5 * worms, types=4),
    }
    found = compare_graphs(graphs, shuffles=200)
    assert found.methods == ("same", "mine", "weaker")
    np.testing.assert_allclose(found.across[0], 1.0)
    assert found.between[1, 2] == pytest.approx(1.0)
    assert (found.between_null[:, 1, 2] < 0.9).all()
    assert abs(found.across_null.mean()) < 0.05
    assert abs(found.between_null[:, 0, 1].mean()) < 0.05
    low, high = np.quantile(found.across_null[:, 1], [0.005, 0.995])
    assert low < found.across[1].mean() < high
    np.testing.assert_array_equal(found.pairs, [[0, 1], [0, 2], [1, 2]])


def test_numbers_are_those_of_pearson_within_worms():
    rng = np.random.default_rng(1)
    one, other = rng.random((3, 30)), rng.random((3, 30))
    found = compare_graphs({"one": make_graphs(one, 3), "other": make_graphs(other)}, shuffles=2)
    within = [np.corrcoef(one[worm], other[worm])[0, 1] for worm in range(3)]
    assert found.between[0, 1] == pytest.approx(np.mean(within))
    for pair, (first, second) in enumerate(found.pairs):
        expected = np.corrcoef(one[first], one[second])[0, 1]
        assert found.across[0, pair] == pytest.approx(expected)


def test_a_shuffle_renames_neurons_and_keeps_the_graph():
    # A hub sends to all: any renaming correlates by 1 (the same hub) or by one other number.
    hub = np.zeros((2, 6, 6))
    hub[:, 0] = 1
    found = compare_scores({"hub": matrix_to_edges(hub)}, shuffles=300)
    values = np.unique(found.across_null.round(6))
    assert len(values) == 2
    assert values[-1] == pytest.approx(1.0)
    assert np.mean(found.across_null > 0.99) == pytest.approx(1 / 6, abs=0.06)


def test_the_shuffled_null_holds_where_edges_of_a_neuron_go_together():
    rng, rejected = np.random.default_rng(2), []
    for draw in range(150):
        values = rng.normal(size=(2, 8, 1)) + 0.3 * rng.normal(size=(2, 8, 8))  # Senders differ, in each worm anew.
        found = compare_scores({"senders": matrix_to_edges(values)}, shuffles=39, seed=draw)
        rejected.append((1 + np.sum(found.across_null[:, 0] >= found.across[0, 0])) / 40 <= 0.1)
    assert np.mean(rejected) == pytest.approx(0.1, abs=0.07)


def test_what_is_constant_or_alone_has_no_similarity():
    varied = make_graphs(np.random.default_rng(0).random((2, 12)))
    found = compare_graphs({"constant": np.full((2, 12, 2), 0.5), "varied": varied}, shuffles=3)
    assert np.isnan(found.between[0]).all()
    assert np.isnan(found.across[0]).all()
    assert np.isfinite(found.across[1]).all()
    alone = compare_graphs({"varied": varied[:1]}, shuffles=3)
    assert alone.across.shape == (1, 0)
    assert np.isnan(alone.across_null).all()


def test_edges_between_worms_are_false_as_often_as_they_should():
    traces = draw_worms(4, 600, 6, decay=0.95)
    for method in ("correlation", "granger"):
        shares = measure_false_edges(make_dataset(traces), method, shifts=39)
        assert shares.shape == (6,)
        assert shares.mean() == pytest.approx(0.05, abs=0.04)
    bleached = [trace[: 600 - 20 * k] - np.linspace(0, 6, 600)[: 600 - 20 * k, None] for k, trace in enumerate(traces)]
    assert measure_false_edges(make_dataset(bleached), "correlation", shifts=39).mean() > 0.5


def test_neurons_that_go_together_stand_together():
    rng = np.random.default_rng(0)
    modes = rng.normal(size=(200, 2))
    group = np.array([0, 1, 0, 1, 1, 0])
    trace = modes[:, group] + 0.5 * rng.normal(size=(200, 6))
    trace[:, 3] *= 100
    correlations = correlate_neurons(make_dataset([trace, -trace]))
    np.testing.assert_allclose(correlations, np.corrcoef(trace.T), atol=1e-5)
    order = cluster_neurons(correlations)
    assert sorted(order) == list(range(6))
    assert np.abs(np.diff(group[order])).sum() == 1


def test_figures_take_relations_and_deep_models_graphs():
    rng = np.random.default_rng(0)
    graphs = {"granger": make_graphs(rng.random((3, 30))), "nri_graph": make_graphs(rng.random((3, 30)), 3)}
    scores = {"granger": rng.random((3, 30))}
    figure = plot_relations(graphs, NAMES, scores=scores)
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    sender, receiver = labels.index("AVAR"), labels.index("VB01")
    expected = edges_to_matrix(graphs["nri_graph"][..., 1:].sum(axis=-1).mean(axis=0), 6)[1, 4]
    assert images[1][sender, receiver] == pytest.approx(expected)
    assert len(images) == 3  # No score of the deep model.
    similarity = compare_graphs(graphs, shuffles=20)
    figure = plot_graph_similarity(similarity)
    assert f"{similarity.between[0, 1]:.2f}".replace("-0.00", "0.00").replace("-", "−") in [
        text.get_text() for text in figure.axes[0].texts
    ]
    plot_graph_similarity(compare_graphs({"one": graphs["granger"][:1]}, shuffles=3))


@pytest.mark.slow
def test_graphs_of_recorded_worms_agree_on_left_and_right():
    folder = os.environ.get("WORMJAX_DATA_DIR")
    if not folder or not (Path(folder) / "kato2015" / "WT_NoStim.mat").exists():
        pytest.skip("WORMJAX_DATA_DIR leads to no kato2015/WT_NoStim.mat")
    recordings = open_recordings("kato2015", str(Path(folder) / "kato2015" / "WT_NoStim.mat"), None)
    dataset = build_dataset(recordings, shared_neurons(recordings), inputs=("trace",))
    found = measure_worms(dataset, ["partial_correlation", "granger"], shifts=60)
    names = np.array(dataset.neuron_names)
    senders, receivers = complete_edges(len(names))
    twins = np.array([one[:-1] == other[:-1] for one, other in zip(names[senders], names[receivers], strict=True)])
    for relation in found.values():
        present = relation.edges[..., 1]
        assert present[:, twins].mean() > present[:, ~twins].mean() + 0.2
    similarity = compare_graphs({name: relation.edges for name, relation in found.items()}, shuffles=40)
    assert (similarity.across.mean(axis=1) > similarity.across_null.max(axis=0)).all()
    assert measure_false_edges(dataset, "partial_correlation", shifts=40).mean() < 0.08
