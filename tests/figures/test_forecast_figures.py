"""Figures of forecasts draw what was given: errors and their ratios, traces, graphs by state, stability, followers."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from readable_figures import assert_readable
from scipy import stats

from wormjax.figures import (
    plot_followers,
    plot_forecast_error,
    plot_forecast_traces,
    plot_graph_stability,
    plot_graphs_by_state,
)
from wormjax.figures.forecast_error import compare_by_worm
from wormjax.figures.lines import average_over_worms
from wormjax.figures.motor_states import STATE_COLOURS
from wormjax.figures.names import spell_name
from wormjax.figures.style import LIGHT_GREY
from wormjax.scoring.published import PublishedResult

STATES = ("reverse", "forward", "dorsal turn", "ventral turn")
NEURONS = ("VB02", "AVAL", "RID", "AVAR", "RMED")
ORDERED = ["AVAL", "AVAR", "RID", "RMED", "VB02"]


def find_line(axes, label):
    (line,) = (line for line in axes.get_lines() if line.get_label() in (label, spell_name(label)))
    return line


def find_band(axes, model):
    """Low and high of a model's band at each step that has one."""
    (band,) = (band for band in axes.collections if band.get_label() == f"_{model}")
    points = band.get_paths()[0].vertices
    steps = np.unique(points[:, 0])
    return steps.tolist(), *([f(points[points[:, 0] == step, 1]) for step in steps] for f in (np.min, np.max))


def make_errors(worms=3, steps=16):
    """Worms that differ tenfold, a model at a half of the VAR in all of them, and one that differs by worm."""
    var = np.array([0.02, 0.2, 0.05, 0.1])[:worms, None] * np.arange(1, steps + 1)
    factors = np.array([0.5, 0.8, 1.1, 0.6])[:worms, None]
    return {"persistence": 3 * var, "VAR": var, "half": var / 2, "mixed": factors * var}


def published(metric, source="Wang et al. 2021"):
    return PublishedResult(source, "GNN", "kato2015", "kato2015", 4, metric, 0.3, None)


def test_error_is_the_mean_over_worms_with_its_interval(tmp_path):
    errors = make_errors()
    figure = plot_forecast_error(errors, ("persistence", "VAR"))
    assert_readable(figure, tmp_path)
    (axes,) = figure.axes  # Without a reference there is no second panel.
    assert axes.get_yscale() == "log"
    line = find_line(axes, "mixed")
    assert line.get_xdata().tolist() == [*range(1, 17)]
    assert line.get_ydata() == pytest.approx(errors["mixed"].mean(axis=0))
    assert [find_line(axes, model).is_dashed() for model in errors] == [True, True, False, False]
    steps, low, high = find_band(axes, "mixed")
    assert steps == [*range(1, 17)]
    half = stats.t.ppf(0.975, 2) * errors["mixed"].std(axis=0, ddof=1) / np.sqrt(3)
    assert high == pytest.approx(errors["mixed"].mean(axis=0) + half)
    assert low == pytest.approx(errors["mixed"].mean(axis=0) - half)
    assert axes.get_ylim()[0] < errors["half"].mean(axis=0)[0]
    assert "3 worms" in axes.get_title()


def test_ratio_is_taken_in_each_worm(tmp_path):
    errors = make_errors()
    figure = plot_forecast_error(errors, ("persistence", "VAR"), "VAR")
    assert_readable(figure, tmp_path)
    axes = figure.axes[1]
    # The mean of ratios, not the ratio of means, which the worm with the largest error would rule.
    assert find_line(axes, "mixed").get_ydata() == pytest.approx(np.full(16, np.mean([0.5, 0.8, 1.1])))
    _, low, high = find_band(axes, "half")
    assert low == pytest.approx([0.5] * 16)  # Paired: all worms agree, however much their errors differ.
    assert high == pytest.approx([0.5] * 16)
    assert {line.get_label() for line in axes.get_lines() if not line.get_label().startswith("_")} == {
        "Persistence",
        "Half",
        "Mixed",
    }
    assert any(np.array_equal(np.unique(line.get_ydata()), [1]) for line in axes.get_lines())
    figure.draw_without_rendering()
    assert "100%" in [label.get_text() for label in axes.get_yticklabels()]
    # Three times the reference is out of the panel: an arrow says where.
    assert axes.get_ylim()[1] < 3
    assert {text.get_text() for text in axes.texts} == {"Persistence ↑", "VAR", "Half", "Mixed"}


def test_labels_at_line_ends_never_overlap(tmp_path):
    errors = {f"model number {k}": make_errors()["VAR"] * (1 + 0.001 * k) for k in range(9)} | make_errors()
    figure = plot_forecast_error(errors, ("VAR", "persistence"), "VAR", seconds_per_step=0.34)
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        # An annotation counts its leader too: the text's own box is asked for.
        boxes = [Text.get_window_extent(text) for text in axes.texts]
        assert len(boxes) == 13
        tops, feet = zip(*sorted(((box.y1, box.y0) for box in boxes), reverse=True), strict=True)
        assert all(foot >= top for foot, top in zip(feet[:-1], tops[1:], strict=True))
        assert min(box.x0 for box in boxes) > axes.get_window_extent().x1


def test_steps_that_were_not_scored_are_left_out(tmp_path):
    errors = {model: np.array(values) for model, values in make_errors(4, 64).items()}
    for values in errors.values():
        values[:, 16:31] = values[:, 32:63] = np.nan
    errors["half"][1] = np.nan  # One worm was not scored by one model, ...
    errors["mixed"][1:, 63] = np.nan  # ... three at the last step by another.
    figure = plot_forecast_error(errors, reference="VAR", seconds_per_step=0.5)
    assert_readable(figure, tmp_path)
    left, right = figure.axes[:2]
    assert find_line(left, "VAR").get_xdata().tolist() == [*range(1, 17), 32, 64]
    assert np.flatnonzero(find_line(left, "VAR").get_markevery()).tolist() == [16, 17]
    assert find_line(left, "half").get_ydata() == pytest.approx(
        errors["VAR"][[0, 2, 3]].mean(axis=0)[[*range(16), 31, 63]] / 2
    )
    assert find_line(right, "mixed").get_ydata()[-1] == pytest.approx(0.5)  # The one worm that is left, ...
    assert find_band(right, "mixed")[0][-1] == 32  # ... of which there is no band.
    (top,) = left.child_axes
    ticks = dict(zip(top.get_xticks(), (label.get_text() for label in top.get_xticklabels()), strict=True))
    assert ticks[32 * 0.5] == "16"


def test_one_worm_has_no_band(tmp_path):
    figure = plot_forecast_error({"half": make_errors(1)["half"]}, reference="half")
    assert_readable(figure, tmp_path)
    assert not figure.axes[0].collections
    assert "no band" in figure.axes[0].get_title()
    mean, low, high = average_over_worms(np.array([[1.0, np.nan]]))
    assert mean.tolist() == pytest.approx([1.0, np.nan], nan_ok=True)
    assert np.isnan([low, high]).all()


def test_published_errors_of_the_metric_are_open_markers(tmp_path):
    results = [published("mse@8"), published("mse@1"), published("mae@4"), published("mse@32")]
    results += [published("accuracy"), published("mse@16", "another study")]
    for metric, points, label in (("mse", [1, 8], "squared"), ("mae", [4], "absolute")):
        figure = plot_forecast_error(make_errors(), published=results, metric=metric)
        axes = figure.axes[0]
        line = find_line(axes, "GNN, Wang et al. 2021")
        assert line.get_xdata().tolist() == points  # Step 32 lies after our last.
        assert line.get_markerfacecolor() == "white"
        assert label in axes.get_ylabel()
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        assert legend == ["GNN, Wang et al. 2021"] + (["GNN, another study"] if metric == "mse" else [])


def test_ratio_to_nothing_is_not_a_number():
    ratio = compare_by_worm(np.array([[1.0, 2.0, np.nan]]), np.array([[0.0, 4.0, 1.0]]))
    assert ratio.tolist() == [pytest.approx([np.nan, 0.5, np.nan], nan_ok=True)]


def make_forecasts(traces, firsts, steps=8):
    rng = np.random.default_rng(1)
    means = [rng.normal(size=(steps, traces.shape[1])) for _ in firsts]
    return [(first, mean, mean - 0.5, mean + 0.7) for first, mean in zip(firsts, means, strict=True)]


def test_forecasts_lie_where_they_were_made(tmp_path):
    times = np.arange(100) / 3
    traces = np.random.default_rng(0).normal(size=(100, 2))
    states = np.repeat(np.arange(-1, 4), 20)
    forecasts = make_forecasts(traces, (16, 32, 96))
    names = ("RID", "AVAL")
    figure = plot_forecast_traces(times, traces, forecasts, names, states, STATES)
    assert_readable(figure, tmp_path)
    strip, *rows = figure.axes
    assert [axes.get_ylabel() for axes in rows] == ["RID", "AVAL"]  # In the order given.
    assert np.ravel(strip.collections[0].get_array()).tolist() == states.tolist()
    assert [text.get_text() for text in strip.get_legend().get_texts()] == [*STATES, "not scored"]
    colours = strip.collections[0].to_rgba([-1, 0, 1])
    assert [to_hex(colour).upper() for colour in colours] == [
        LIGHT_GREY,
        STATE_COLOURS["reverse"],
        STATE_COLOURS["forward"],
    ]
    for neuron, axes in enumerate(rows):
        truth, *lines = axes.get_lines()
        assert truth.get_ydata() == pytest.approx(traces[:, neuron])
        for (first, mean, low, high), line, band in zip(forecasts, lines, axes.collections, strict=True):
            shown = slice(first, min(first + 8, 100))  # The last forecast goes on beyond the recording.
            length = shown.stop - first
            assert line.get_xydata()[0].tolist() == [times[first - 1], traces[first - 1, neuron]]
            assert line.get_markevery() == [0]
            assert line.get_xdata()[1:] == pytest.approx(times[shown])
            assert line.get_ydata()[1:] == pytest.approx(mean[:length, neuron])
            points = band.get_paths()[0].vertices
            last = points[points[:, 0] == times[shown.stop - 1], 1]
            assert [last.min(), last.max()] == pytest.approx([low[length - 1, neuron], high[length - 1, neuron]])
            assert to_hex(line.get_color()) == to_hex(band.get_facecolor()[0])
    assert rows[0].get_ylim() == rows[1].get_ylim()


def test_traces_without_states_or_forecasts_or_some_frames(tmp_path):
    times = np.concatenate([np.arange(20), np.arange(20) + 60]) / 3
    traces = np.random.default_rng(0).normal(size=(40, 1))
    traces[5] = np.nan
    figure = plot_forecast_traces(times, traces, [], ("RID",), np.zeros(len(times), int), STATES)
    assert_readable(figure, tmp_path)
    _, axes = figure.axes
    broken = np.isnan(axes.get_lines()[0].get_ydata())
    assert np.flatnonzero(broken).tolist() == [5, 20]  # The frame without a value, the gap.
    assert np.isfinite(axes.get_ylim()).all()


def find_images(figure):
    return [(axes, image) for axes in figure.axes for image in axes.images]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_states_are_drawn_as_differences_from_their_mean(tmp_path, count):
    graphs = np.random.default_rng(0).uniform(size=(count, 5, 5))
    given = graphs.copy()
    figure = plot_graphs_by_state(dict(zip(STATES, graphs, strict=False)), NEURONS)
    assert_readable(figure, tmp_path)
    assert np.array_equal(graphs, given)  # The diagonal of what was given is as it was.
    images = find_images(figure)
    assert [axes.get_title() for axes, _ in images] == ["mean over states", *(f"{s} − mean" for s in STATES[:count])]
    order = [NEURONS.index(name) for name in ORDERED]
    off = ~np.eye(5, dtype=bool)
    arranged = graphs[:, order][:, :, order]
    expected = [arranged.mean(axis=0), *(arranged - arranged.mean(axis=0))]
    for (_, image), matrix in zip(images, expected, strict=True):
        drawn = np.ma.filled(image.get_array(), np.nan)
        assert drawn[off] == pytest.approx(matrix[off])
        assert np.isnan(drawn.diagonal()).all()
    limits = {image.get_clim() for _, image in images[1:]}
    ((low, high),) = limits
    largest = max(np.abs(matrix[off]).max() for matrix in expected[1:])
    assert (low, high) == pytest.approx((-max(largest, 0.01), max(largest, 0.01)))
    assert [label.get_text() for label in images[0][0].get_yticklabels()] == ORDERED
    assert [label.get_text() for label in images[-1][0].get_xticklabels()] == ORDERED


def test_a_state_that_was_never_seen_does_not_enter_the_mean(tmp_path):
    graphs = {"reverse": np.full((5, 5), 0.2), "forward": np.full((5, 5), 0.4), "dorsal turn": np.full((5, 5), np.nan)}
    (_, mean), (_, reverse), _, (_, dorsal) = find_images(plot_graphs_by_state(graphs, NEURONS))
    assert mean.get_array()[0, 1] == pytest.approx(0.3)
    assert reverse.get_array()[0, 1] == pytest.approx(-0.1)
    assert np.isnan(np.ma.filled(dorsal.get_array(), np.nan)).all()


def test_stability_draws_values_medians_and_counts(tmp_path):
    rng = np.random.default_rng(0)
    found = {"windows": rng.normal(0.6, 0.1, 2000), "worms": np.array([0.4, 0.5, np.nan, 0.9])}
    nulls = {"windows": rng.normal(0, 0.1, 100), "worms": np.full(20, -0.001)}
    figure = plot_graph_stability(found, nulls)
    assert_readable(figure, tmp_path)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["across windows", "across worms"]
    assert sorted(find_line(axes, "worms, as inferred").get_ydata()) == [0.4, 0.5, 0.9]
    dots = find_line(axes, "windows, as inferred").get_ydata()
    assert len(dots) == 300
    assert [dots.min(), dots.max()] == [found["windows"].min(), found["windows"].max()]
    medians = {c.get_label(): c.get_segments()[0][0, 1] for c in axes.collections if "median" in c.get_label()}
    assert medians["worms, as inferred, median"] == 0.5
    assert medians["windows, neurons shuffled, median"] == pytest.approx(np.median(nulls["windows"]))
    texts = [text.get_text() for text in axes.texts]
    assert texts[:2] == ["n = 2000", f"{np.median(found['windows']):.2f}"]
    assert texts[4:] == ["n = 3", "0.50", "n = 20", "0.00"]
    true, shuffled = (find_line(axes, f"windows, {kind}").get_xdata() for kind in ("as inferred", "neurons shuffled"))
    assert true.max() < 0 < shuffled.min()
    assert axes.get_ylim()[0] < min(dots.min(), nulls["windows"].min())


def test_stability_of_nothing_and_of_other_names(tmp_path):
    figure = plot_graph_stability({"seeds": np.array([])}, {"seeds": np.array([np.nan])})
    assert [text.get_text() for text in figure.axes[0].texts] == ["n = 0", "n = 0"]
    assert_readable(figure, tmp_path)


def test_followers_are_in_order_and_without_diagonal(tmp_path):
    responses = np.random.default_rng(0).normal(size=(5, 5))
    np.fill_diagonal(responses, 50.0)  # What a neuron does to itself must not rule the scale.
    responses[1, 2] = 4.0  # AVAL → RID.
    figure = plot_followers(responses, NEURONS, 5.44)
    assert_readable(figure, tmp_path)
    ((axes, image),) = find_images(figure)
    assert [label.get_text() for label in axes.get_yticklabels()] == ORDERED
    assert [label.get_text() for label in axes.get_xticklabels()] == ORDERED
    drawn = np.ma.filled(image.get_array(), np.nan)
    assert drawn[ORDERED.index("AVAL"), ORDERED.index("RID")] == 4.0
    assert np.isnan(drawn.diagonal()).all()
    assert image.get_clim() == (-4.0, 4.0)
    assert responses[0, 0] == 50.0
    assert any("5.44 s" in other.get_ylabel() for other in figure.axes)
    plot_followers(np.array([[np.nan]]), ("RID",), 1.0)
