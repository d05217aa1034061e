"""Manifolds are drawn whole, in the colours of the states; breaks break the line."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from mpl_toolkits.mplot3d.art3d import Line3DCollection
from readable_figures import assert_readable

from wormjax.figures.manifolds import plot_manifolds, plot_phase_plots, plot_variance
from wormjax.figures.motor_states import STATE_COLOURS
from wormjax.figures.style import LIGHT_GREY

STATES = ("reverse", "forward", "dorsal turn", "ventral turn")
FRAMES = 40


def make_worms(count):
    """Courses [frame, 3] and states by worm: the first five frames unscored, then the four states in turn."""
    angles = np.linspace(0, 6, FRAMES)
    names = [f"worm {k}" for k in range(count)]
    courses = {n: np.stack([np.cos(angles), np.sin(angles), angles * (k + 1)], 1) for k, n in enumerate(names)}
    states = np.where(np.arange(FRAMES) < 5, -1, np.arange(FRAMES) % 4)
    return courses, dict.fromkeys(names, states)


def count_segments(axes):
    """Colour → number of the lines' segments, the points that axes carry besides left out."""
    counts = {}
    for lines in axes.collections:
        segments = lines._segments3d if isinstance(lines, Line3DCollection) else lines.get_segments()
        counts[to_hex(lines.get_edgecolor()[0]).upper()] = len(segments)
    return counts


@pytest.mark.parametrize("count", [1, 4, 5, 6])
def test_a_panel_a_worm_with_its_name_and_caption(tmp_path, count):
    courses, states = make_worms(count)
    captions = {worm: f"caption of {worm}" for worm in courses}
    figure = plot_manifolds(courses, states, STATES, captions, "A study")
    assert_readable(figure, tmp_path)
    assert [axes.get_title() for axes in figure.axes] == [*courses]
    assert [axes.texts[0].get_text() for axes in figure.axes] == [*captions.values()]
    assert figure.get_suptitle() == "A study"
    assert len({tuple(np.round(axes.get_position().size, 6)) for axes in figure.axes}) == 1
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*STATES, "not scored"]
    for axes in figure.axes:
        assert not len(axes.get_xticks()) + len(axes.get_yticks()) + len(axes.get_zticks())


def test_each_step_has_the_colour_of_its_state_and_breaks_have_none(tmp_path):
    courses, states = make_worms(1)
    (figure_axes,) = plot_manifolds(courses, states, STATES).axes
    scored = states["worm 0"][:-1]
    expected = {STATE_COLOURS[name].upper(): int((scored == k).sum()) for k, name in enumerate(STATES)}
    assert count_segments(figure_axes) == expected | {LIGHT_GREY: 5}
    courses["worm 0"][20] = np.nan
    (axes,) = plot_manifolds(courses, states, STATES).axes
    assert sum(count_segments(axes).values()) == FRAMES - 1 - 2
    assert np.isfinite(axes.get_w_lims()).all()


def test_rare_states_lie_on_top_and_unscored_frames_beneath(tmp_path):
    courses, _ = make_worms(1)
    states = {"worm 0": np.repeat([0, 1, -1], [30, 7, 3])}
    (axes,) = plot_manifolds(courses, states, STATES).axes
    depths = {to_hex(lines.get_edgecolor()[0]).upper(): lines.get_zorder() for lines in axes.collections}
    assert depths[LIGHT_GREY] < depths[STATE_COLOURS["reverse"]] < depths[STATE_COLOURS["forward"]]
    assert not axes.computed_zorder


def test_a_long_name_stays_within_its_panel(tmp_path):
    courses, states = make_worms(1)
    name = "TS20140715e_lite-1_punc-31_NLS3_2eggs_56um_1mMTet_basal_1080s"
    figure = plot_manifolds({name: courses["worm 0"]}, {name: states["worm 0"]}, STATES)
    written = figure.axes[0].get_title()
    assert written.replace("\n", "") == name
    assert max(len(line) for line in written.split("\n")) <= 26


def test_phase_plots_have_a_row_a_worm_and_a_column_a_pair(tmp_path):
    courses, states = make_worms(2)
    figure = plot_phase_plots(courses, states, STATES)
    assert_readable(figure, tmp_path)
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]
    assert labels == [(f"component {one}", f"component {other}") for one, other in ((1, 2), (1, 3), (2, 3))] * 2
    assert sum(count_segments(figure.axes[0]).values()) == FRAMES - 1
    vertices = np.concatenate([np.concatenate(c.get_segments()) for c in figure.axes[5].collections])
    np.testing.assert_allclose(vertices.max(axis=0), courses["worm 1"][:, 1:].max(axis=0))
    assert figure.axes[5].get_ylim()[1] > courses["worm 1"][:, 2].max()
    assert [axes.texts[0].get_text() for axes in figure.axes[::3]] == list(courses)


def test_variance_is_cumulated_for_each_worm_and_on_average(tmp_path):
    shares = {"all": [np.array([0.5, 0.3, 0.2]), np.array([0.7, 0.2, 0.05, 0.05])], "pooled": np.full((3, 4), 0.25)}
    figure = plot_variance(shares)
    (axes,) = figure.axes
    assert_readable(figure, tmp_path)
    lines = {line.get_label(): line for line in axes.get_lines()}
    np.testing.assert_allclose(lines["all"].get_ydata(), [0.6, 0.85, 0.975])
    np.testing.assert_allclose(lines["pooled"].get_ydata(), [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(lines["all"].get_xdata(), [1, 2, 3])
    thin = [line for line in axes.get_lines() if line.get_color() == lines["all"].get_color() and line.get_alpha()]
    assert len(thin) == 2
    published = [line for line in axes.get_lines() if line.get_marker() == "D" and len(line.get_xdata())]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in published] == [(3, 0.65)]
    assert "Kato" in " ".join(text.get_text() for text in axes.get_legend().get_texts())
