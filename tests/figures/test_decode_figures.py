"""Figures are PNG files of a size that can be read, and what is drawn is what was given."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.patches import FancyArrowPatch
from readable_figures import assert_readable

from wormjax.errors import InputError
from wormjax.figures import (
    plot_accuracy_by_worms,
    plot_confusions,
    plot_ethogram,
    plot_graph,
    plot_transfer,
)
from wormjax.figures.confusions import shorten_count
from wormjax.figures.matrices import order_by_class
from wormjax.figures.motor_states import ABSENT, STATE_COLOURS, colour_states, divide_time
from wormjax.figures.names import spell_name
from wormjax.figures.style import save_figure
from wormjax.graphs import mark_strongest
from wormjax.scoring.published import find_published
from wormjax.scoring.rows import Row

STATES = ("reverse", "forward", "dorsal turn", "ventral turn")
NEURONS = ("VB02", "AVAL", "RID", "AVAR", "RMED")


def make_rows(worms="uvwx"):
    means = {"LDA": 0.90, "GNN": 0.93}
    return [
        Row(model, "kato2015", tuple(f"t{k}" for k in range(count)), "kato2015", worm, 0, metric, mean + shift)
        for model, mean in means.items()
        for count in (1, 3)
        for worm, shift in zip(worms, (-0.02, 0.02, -0.02, 0.02), strict=False)
        for metric in ("accuracy", "balanced_accuracy")
    ]


def find_line(axes, label):
    (line,) = (line for line in axes.get_lines() if line.get_label() in (label, spell_name(label)))
    return line


def test_accuracy_figure_draws_means_intervals_and_published_numbers(tmp_path):
    published = find_published("kato2015", "kato2015")
    figure = plot_accuracy_by_worms(make_rows(), ("LDA",), published)
    assert_readable(figure, tmp_path)
    accuracy, balanced = figure.axes
    ours = find_line(accuracy, "GNN")
    assert np.round(ours.get_xdata()).tolist() == [1, 3]
    assert ours.get_ydata() == pytest.approx([0.93, 0.93])
    (bars,) = (c for c in accuracy.collections if to_hex(c.get_color()[0]) == to_hex(ours.get_color()))
    half = 3.182 * np.sqrt(4 / 3) * 0.02 / 2  # Student's t with three degrees of freedom.
    assert bars.get_segments()[0][:, 1] == pytest.approx([0.93 - half, 0.93 + half], abs=1e-4)
    paper = find_line(accuracy, "GNN, Wang et al. 2021")
    assert list(zip(paper.get_xdata(), paper.get_ydata(), strict=True)) == [
        (1, 0.833),
        (2, 0.838),
        (3, 0.868),
        (4, 0.874),
    ]
    assert paper.get_markerfacecolor() == "white"
    assert find_line(accuracy, "MLP, Wang et al. 2021").get_ydata()[0] == 0.765
    low, high = accuracy.get_ylim()
    assert low < 0.735
    assert high >= 1
    assert not [line for line in balanced.get_lines() if "Wang" in line.get_label()]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"GNN", "LDA", "GNN, Wang et al. 2021"} <= set(legend)
    assert len(legend) == len(set(legend))


def test_accuracy_figure_draws_each_of_a_few_worms():
    axes = plot_accuracy_by_worms(make_rows("uv")).axes[0]
    dots = sorted(value for points in axes.collections for value in points.get_offsets()[:, 1])
    assert dots == pytest.approx([0.88] * 2 + [0.91] * 2 + [0.92] * 2 + [0.95] * 2)


def test_accuracy_figure_sets_baselines_apart(tmp_path):
    axes = plot_accuracy_by_worms(make_rows(), ("LDA",)).axes[0]
    assert find_line(axes, "LDA").is_dashed()
    assert not find_line(axes, "GNN").is_dashed()
    assert find_line(axes, "LDA").get_xdata()[0] != find_line(axes, "GNN").get_xdata()[0]


def test_missing_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="found no folder"):
        save_figure(plot_accuracy_by_worms(make_rows()), tmp_path / "none" / "a.png")


@pytest.mark.parametrize("models", [1, 6])
def test_confusions_are_shares_of_the_true_state(tmp_path, models):
    counts = np.array([[90, 10, 0, 0], [0, 20_000, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    figure = plot_confusions({f"m{k}": counts for k in range(models)}, STATES)
    assert_readable(figure, tmp_path)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [f"M{k}" for k in range(models)]
    texts = [text.get_text() for text in shown[0].texts]
    assert texts[:4] == ["0.90", "90", "0.10", "10"]
    assert "20k" in texts
    assert texts[16:18] == ["0.25", "1"]
    assert texts[-2:] == ["-", "0"]  # A state without frames has no share.


def test_short_counts():
    shorts = {0: "0", 812: "812", 9999: "9999", 12_345: "12.3k", 1_234_567: "1.23M"}
    assert {count: shorten_count(count) for count in shorts} == shorts


def make_ethogram(frames=300):
    rng = np.random.default_rng(0)
    states = np.repeat(rng.integers(0, 4, frames // 30), 30)
    probabilities = np.full((frames, 4), 0.1) + 0.6 * np.eye(4)[states]
    return np.arange(frames) / 3.0, states, probabilities, rng.normal(size=(frames, 5))


def test_ethogram_marks_the_wrong_frames_and_only_them(tmp_path):
    times, states, probabilities, traces = make_ethogram()
    probabilities[[7, 100]] = np.roll(probabilities[[7, 100]], 1, axis=1)
    probabilities[200] = np.roll(probabilities[200], 1)
    states[200] = -1  # Not scored, so not wrong.
    figure = plot_ethogram(times, states, probabilities, STATES, "worm", traces, NEURONS)
    assert_readable(figure, tmp_path)
    heat, true, decoded, wrong, stack = figure.axes[:5]
    assert [segment[0, 0] for segment in wrong.collections[0].get_segments()] == pytest.approx(times[[7, 100]])
    assert np.array_equal(np.ravel(true.collections[0].get_array()), states)
    assert np.array_equal(np.ravel(decoded.collections[0].get_array()), probabilities.argmax(axis=1))
    assert [label.get_text() for label in heat.get_yticklabels()] == list(NEURONS)
    assert max(patch.get_data().values.max() for patch in stack.patches) == pytest.approx(1.0)
    assert "not scored" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_long_title_is_broken_to_the_width_of_the_figure(tmp_path):
    title = "temporal convolution, worm TS20140926d_lite-1_punc-31_NLS3_RIV_2eggs_1mMTet_basal_1080s, accuracy 0.94"
    figure = plot_ethogram(*make_ethogram()[:3], STATES, title)
    assert figure.get_suptitle().count("\n") == 1
    save_figure(figure, tmp_path / "e.png")
    assert imread(tmp_path / "e.png").shape[1] < 200 * (figure.get_figwidth() + 0.3)


def test_ethogram_leaves_gaps_between_stretches_blank(tmp_path):
    times, states, probabilities, _ = make_ethogram()
    times[150:] += 60
    edges, cells = divide_time(times)
    assert cells[150] == ABSENT
    assert edges[150:152] == pytest.approx([times[149] + 1 / 3, times[150]])
    assert len(cells) == 301
    figure = plot_ethogram(times, states, probabilities, STATES, "worm")
    assert np.ravel(figure.axes[0].collections[0].get_array())[150] == ABSENT


def test_states_keep_their_colours():
    assert colour_states(("forward", "reverse")) == [STATE_COLOURS["forward"], STATE_COLOURS["reverse"]]
    assert len(set(colour_states((*STATES, "quiescence", "pause")))) == 6


def test_graph_draws_the_strongest_edges_and_all_in_the_matrix(tmp_path):
    probabilities = np.random.default_rng(0).uniform(0.1, 0.5, (5, 5))
    probabilities[1, 2] = 0.9  # AVAL → RID.
    np.fill_diagonal(probabilities, 1.0)  # No edge to itself is drawn, whatever is given.
    worms = np.stack([probabilities, probabilities.T, probabilities])
    figure = plot_graph(probabilities, NEURONS, top_edges=3, worm_probabilities=worms)
    assert_readable(figure, tmp_path)
    circle, matrix, agreement = figure.axes[:3]
    arrows = [patch for patch in circle.patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == 3
    names = [label.get_text() for label in matrix.get_yticklabels()]
    assert names == ["AVAL", "AVAR", "RID", "RMED", "VB02"]
    drawn = matrix.images[0].get_array()
    sender, receiver = names.index("AVAL"), names.index("RID")
    assert drawn[sender, receiver] == pytest.approx(0.9)
    assert np.ma.getmaskarray(drawn).diagonal().all() or np.isnan(np.diag(drawn)).all()
    assert agreement.images[0].get_array()[sender, receiver] == pytest.approx(2 / 3)
    strongest = max(arrows, key=lambda arrow: arrow.get_linewidth())
    places = {text.get_text(): np.array(text.get_position()) / 1.1 for text in circle.texts}
    start, stop = strongest._posA_posB
    assert np.asarray(start) == pytest.approx(places["AVAL"])
    assert np.asarray(stop) == pytest.approx(places["RID"])


def test_graph_of_equal_edges_is_drawn(tmp_path):
    figure = plot_graph(np.full((5, 5), 0.5), NEURONS)
    assert_readable(figure, tmp_path)


def test_neurons_stand_by_class():
    assert [NEURONS[k] for k in order_by_class(NEURONS)] == ["AVAL", "AVAR", "RID", "RMED", "VB02"]


def test_strongest_edges():
    matrix = np.array([[np.nan, 0.9, 0.1], [0.5, np.nan, 0.5], [0.2, 0.3, np.nan]])
    assert np.argwhere(mark_strongest(matrix, 2)).tolist() == [[0, 1], [1, 0]]


def test_transfer_figure_counts_agreement_between_studies(tmp_path):
    neurons = ("AVAL", "RID")
    level = {"kato2015": np.array([[0.9, 0.2]] * 3), "dag2023": np.array([[0.3, 0.3], [0.5, 0.1]])}
    derivative = {"kato2015": np.array([[0.9, 0.2]] * 3), "dag2023": np.array([[0.8, 0.3], [np.nan, 0.1]])}
    rng = np.random.default_rng(0)
    values = {study: {"reverse": rng.normal(1, 1, 50), "forward": rng.normal(0, 1, 90)} for study in level}
    figure = plot_transfer(level, derivative, neurons, "AVAL", values, values)
    assert_readable(figure, tmp_path)
    assert "same side of chance: 1 of 2; mean distance 0.25" in figure.axes[0].get_title()
    assert "same side of chance: 2 of 2; mean distance 0.05" in figure.axes[1].get_title()
    assert figure.axes[2].get_xlabel() == "AVAL: level (z)"
