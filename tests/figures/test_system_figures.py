"""Figures of systems with a graph draw what was given: right and wrong edges, true and predicted paths, errors."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch
from readable_figures import assert_readable

from wormjax.figures import (
    plot_changing_edges,
    plot_inferred_graphs,
    plot_roll_out_error,
    plot_signals,
    plot_trajectories,
)
from wormjax.figures.inferred_graphs import colour_type, count_right_edges, find_blank
from wormjax.figures.lines import spread_labels
from wormjax.figures.style import BLUE, GREEN, VERMILLION
from wormjax.graphs import matrix_to_edges
from wormjax.scoring.published import find_published_systems

POSITIONS = np.array([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])


def list_lines(axes):
    """Colour and both ends of each undirected edge."""
    lines = [line for line in axes.get_lines() if line.get_linestyle() != "None"]
    return {(to_hex(line.get_color()).upper(), tuple(map(tuple, line.get_xydata()))): line for line in lines}


def list_arrows(axes):
    """Colour, sender's and receiver's place of each directed edge."""
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    return {(to_hex(a.get_edgecolor()).upper(), *(tuple(map(float, end)) for end in a._posA_posB)): a for a in arrows}


def test_undirected_pairs_are_one_line_and_a_missed_edge_is_dotted(tmp_path):
    true = np.array([[[0, 1, 1], [1, 0, 0], [1, 0, 0]]])
    chance = np.array([[[0, 0.9, 0.2], [0.7, 0, 0.6], [0.3, 0.8, 0]]])  # 1-2 right, 1-3 missed, 2-3 not there.
    edges = matrix_to_edges(chance)
    probabilities = np.stack([1 - edges, edges], axis=-1)
    figure = plot_inferred_graphs(true, probabilities, POSITIONS, ("no spring", "spring"))
    assert_readable(figure, tmp_path)
    above, below = figure.axes
    first, second, third = map(tuple, POSITIONS[0])
    assert set(list_lines(above)) == {(BLUE, (first, second)), (BLUE, (first, third))}
    lines = list_lines(below)
    right, missed, wrong = (BLUE, (first, second)), (VERMILLION, (first, third)), (VERMILLION, (second, third))
    assert set(lines) == {right, missed, wrong}
    assert lines[right].get_alpha() == pytest.approx(0.8)  # The mean of both ways.
    assert lines[wrong].get_alpha() == pytest.approx(0.7)
    assert lines[wrong].get_linewidth() < lines[right].get_linewidth()
    assert [lines[key].is_dashed() for key in (right, missed, wrong)] == [False, True, False]
    assert not list_arrows(below)
    assert below.get_title() == "2 of 6 edges right"


def test_directed_edges_of_three_types_are_arrows(tmp_path):
    true = np.array([[[0, 2, 0], [0, 0, 1], [0, 1, 0]]])  # 1 → 2 strong, 2 - 3 weak both ways.
    inferred = np.array([[[0, 2, 0], [0, 0, 2], [0, 1, 0]]])  # 2 → 3 said to be strong.
    probabilities = np.eye(3)[matrix_to_edges(inferred)]
    names = ("no spring", "weak", "strong")
    figure = plot_inferred_graphs(matrix_to_edges(true), probabilities, POSITIONS, names)
    above, below = figure.axes
    first, second, third = map(tuple, POSITIONS[0])
    assert set(list_lines(above)) == {(BLUE, (second, third))}
    assert set(list_arrows(above)) == {(GREEN, first, second)}
    assert set(list_arrows(below)) == {(GREEN, first, second), (VERMILLION, second, third), (BLUE, third, second)}
    assert not list_lines(below)
    assert below.get_title() == "5 of 6 edges right"


def test_charges_have_no_blank_type_and_oscillators_no_place(tmp_path):
    """All pairs are drawn, whichever type; of a graph that is not known nothing is called wrong."""
    true = np.full((5, 3, 3), -1)
    edges = np.full((5, 6), 0.6)
    probabilities = np.stack([edges, 1 - edges], axis=-1)
    figure = plot_inferred_graphs(true, probabilities, None, ("attract", "repel"))
    assert_readable(figure, tmp_path)
    assert len(figure.axes) == 4  # Four systems of the five, and no row of true graphs.
    lines = list_lines(figure.axes[0])
    assert len(lines) == 3
    assert {colour for colour, _ in lines} == {BLUE}
    assert all(line.get_alpha() == pytest.approx(0.6) for line in lines.values())
    assert figure.axes[0].get_title() == "system 1"


def test_blank_types_and_right_edges():
    names = {("no spring", "spring 1"): 0, ("none", "a"): 0, ("attract 1", "none", "repel 1"): 1, ("north", "s"): None}
    assert {key: find_blank(key) for key in names} == names
    assert [colour_type(k, 1) for k in (0, 2)] == [BLUE, GREEN]
    assert [colour_type(k, 0) for k in (1, 2)] == [BLUE, GREEN]
    true = np.array([[0, 1, -1], [0, 0, 1], [1, 1, 0]])
    assert count_right_edges(np.ones((3, 3), int), true) == (4, 5)


def test_trajectories_of_each_model_begin_where_the_history_ends(tmp_path):
    paths = np.cumsum(np.random.default_rng(0).normal(size=(5, 14, 3, 2)), axis=1)
    history, true = paths[:, :10], paths[:, 10:]
    predicted = {"nri": true + 0.1, "a model that runs away": true * 1e6}
    figure = plot_trajectories(history, true, predicted, shown=3)
    assert_readable(figure, tmp_path)
    assert len(figure.axes) == 6
    axes = figure.axes[1]
    future, said = axes.get_lines()[:2]
    assert np.array_equal(future.get_xydata(), np.concatenate([history[1, -1:, 0], true[1, :, 0]]))
    assert np.array_equal(said.get_xydata(), np.concatenate([history[1, -1:, 0], true[1, :, 0] + 0.1]))
    assert said.is_dashed()
    assert not future.is_dashed()
    assert future.get_color() == said.get_color() != axes.get_lines()[4].get_color()
    assert len(axes.collections) == 3  # The history of each object.
    assert axes.collections[0].get_segments()[-1][1] == pytest.approx(history[1, -1, 0])
    assert figure.axes[4].get_xlim() == axes.get_xlim()
    assert [figure.axes[k].get_ylabel() for k in (0, 3)] == ["NRI", "A model that runs away"]


def test_signals_are_drawn_by_object_in_seconds(tmp_path):
    values = np.sin(np.arange(12.0)[:, None] * [0.5, 1.0] + np.zeros((3, 1, 1)))
    history, true = values[:, :8], values[:, 8:]
    figure = plot_signals(history, true, {"nri": 0.9 * true}, "sin φ", 0.1)
    assert_readable(figure, tmp_path)
    assert len(figure.axes) == 4  # Two objects of two systems.
    given, future, said = figure.axes[2].get_lines()[:3]
    assert given.get_xdata()[[0, -1]] == pytest.approx([-0.7, 0.0])
    assert future.get_xdata() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert said.get_ydata() == pytest.approx([history[0, -1, 1], *(0.9 * true[0, :, 1])])


def test_roll_out_error_draws_means_ranges_and_published_numbers(tmp_path):
    runs = np.array([1.0, 3.0])[:, None] * np.arange(1, 13) * 1e-8
    errors = {"nri": runs, "static": np.arange(12.0) * 1e-5, "another": np.full(12, 2e-8)}
    figure = plot_roll_out_error(errors, find_published_systems("springs5"))
    assert_readable(figure, tmp_path)
    (axes,) = figure.axes
    lines = {line.get_label().lower(): line for line in axes.get_lines() if line.get_linestyle() != "None"}
    assert axes.get_yscale() == "log"
    assert lines["nri"].get_xdata().tolist() == [*range(1, 13)]
    assert lines["nri"].get_ydata() == pytest.approx(2e-8 * np.arange(1, 13))
    assert axes.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(36e-8)
    assert np.isnan(lines["static"].get_ydata()[0])  # An error of zero has no logarithm.
    open_markers = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
    # Errors after 20 steps are not drawn, for ours end before.
    assert open_markers[0].get_xydata().tolist() == [[1, 3.1e-8], [10, 3.3e-6]]
    assert {line.get_markerfacecolor() for line in open_markers} == {"white"}
    assert [open_markers[k].get_color() for k in (0, 2)] == [lines[ours].get_color() for ours in ("nri", "static")]
    assert {text.get_text() for text in axes.texts} == {"NRI", "Static", "Another"}


def test_labels_keep_their_distance_and_order():
    heights = [0.5, 0.52, 0.9, 0.51, 0.1]
    placed = spread_labels(heights, 0.1)
    assert np.argsort(placed).tolist() == np.argsort(heights).tolist()
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-12
    assert placed[[2, 4]] == pytest.approx([0.9, 0.1])
    assert placed[[0, 3, 1]] == pytest.approx([0.41, 0.51, 0.61])
    assert spread_labels([], 0.1).size == 0


def test_changing_edges_are_heat_maps_of_the_truth_and_of_each_model(tmp_path):
    true = np.array([[0, 1, -1, 0, 1, 1], [1, 1, -1, 0, 0, 1]])
    probabilities = np.random.default_rng(0).dirichlet([1.0, 1.0], (2, 6))
    figure = plot_changing_edges(true, {"dnri": probabilities, "dnri_prior": probabilities}, 0.1)
    assert_readable(figure, tmp_path)
    above, below, _, _ = figure.axes
    drawn = np.asarray(above.collections[0].get_array().filled(np.nan), float).reshape(6, 2)
    np.testing.assert_array_equal(drawn, np.where(true < 0, np.nan, true).T)
    np.testing.assert_allclose(np.asarray(below.collections[0].get_array()).reshape(6, 2), probabilities[..., 1].T)
    assert [axes.get_ylabel() for axes in figure.axes[:3]] == ["True", "Dynamic NRI", "Dynamic NRI,\nprior"]
