"""Figures of the motor state ahead draw what was given: skill by horizon, loops and phases, sensitivity, the toy."""

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba
from readable_figures import assert_readable
from scipy import stats

from wormjax.figures.motor_states import STATE_COLOURS
from wormjax.figures.names import spell_name
from wormjax.figures.phase_portrait import (
    LOOP_COLOURS,
    average_flow,
    colour_loops,
    colour_phase,
    find_states,
    link_frames,
    plot_phase_portrait,
    plot_phase_transitions,
    plot_toy_loops,
    share_agreement,
    sort_bins,
)
from wormjax.figures.sensitivity import plot_sensitivity
from wormjax.figures.skill_by_horizon import choose_best, gain_over_best, plot_skill_by_horizon
from wormjax.figures.style import LIGHT_GREY, VERMILLION

STATES = ("reverse", "forward", "dorsal turn", "ventral turn")
HORIZONS = (1.0, 5.0, 30.0)
SIMPLE = ("persistence", "chain")


def find_line(axes, label):
    (line,) = (line for line in axes.get_lines() if line.get_label() in (label, spell_name(label)))
    return line


def find_bars(axes, label):
    (bars,) = (bars for bars in axes.collections if bars.get_label() == f"_{label}")
    return bars.get_segments()


def find_steps(axes):
    """The trajectory's steps and their colours."""
    (lines,) = (lines for lines in axes.collections if lines.get_label() == "trajectory")
    return np.array(lines.get_segments()), lines.get_colors()


def make_scores(worms=3):
    """Persistence is best at first, the chain later; the model gains .1, .2 and .3 in the worms, on the best."""
    worm = np.array([0.0, 1.0, 5.0])[:worms, None]
    persistence, chain = worm + np.array([1.0, 2.0, 4.0]), worm + np.array([1.5, 1.8, 2.0])
    gain = np.array([0.1, 0.2, 0.3])[:worms, None]
    return {"persistence": persistence, "chain": chain, "model": np.minimum(persistence, chain) - gain}


def test_skill_is_the_mean_over_worms_and_its_gain_is_paired_by_worm(tmp_path):
    figure = plot_skill_by_horizon(make_scores(), HORIZONS, "nats", SIMPLE, SIMPLE)
    assert_readable(figure, tmp_path)
    left, right = figure.axes
    assert find_line(left, "persistence").get_ydata() == pytest.approx([3, 4, 6])
    assert find_line(left, "persistence").is_dashed()
    assert not find_line(left, "model").is_dashed()
    (ring,) = (line for line in left.get_lines() if line.get_gid() == "best")
    assert ring.get_ydata() == pytest.approx([3, 3.8, 4])
    gain = find_line(right, "model")
    assert gain.get_ydata() == pytest.approx([0.2, 0.2, 0.2])
    assert gain.get_xdata() == pytest.approx(HORIZONS)
    # Worms differ by 5, gains by .2: only pairs have so short a bar.
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    for segment in find_bars(right, "model"):
        assert segment[:, 1] == pytest.approx([0.2 - half, 0.2 + half])
    assert [line.get_label() for line in right.get_lines()] == ["_zero", "Model"]
    assert "up is better" in right.get_ylabel()
    assert "lower is better" in left.get_ylabel()
    names = [text.get_text() for text in right.texts]
    assert names == ["Model", "Best simple baseline"]
    assert "of 3 worms" in left.get_title()


def test_up_is_better_where_the_metric_is_an_accuracy():
    values = make_scores()
    best = choose_best({name: values[name] for name in SIMPLE}, lower_is_better=False)
    assert best == ["chain", "persistence", "persistence"]
    gain = gain_over_best(values["chain"], values, best, lower_is_better=False)
    assert gain == pytest.approx(np.tile([0, -0.2, -2], (3, 1)))


def test_the_best_baseline_is_chosen_on_worms_that_all_were_scored_on():
    hard = {"b": np.array([[2.0], [np.nan]]), "a": np.array([[1.0], [9.0]]), "c": np.full((2, 1), np.nan)}
    assert choose_best(hard, lower_is_better=True) == ["a"]  # By its own worms, b would seem the better.
    assert choose_best({"c": hard["c"]}, lower_is_better=True) == [None]
    assert np.isnan(gain_over_best(hard["a"], hard, [None], lower_is_better=True)).all()


def test_skill_with_gaps_one_worm_and_no_simple_baseline(tmp_path):
    values = make_scores(worms=1)
    values["model"][0, 1] = np.nan
    figure = plot_skill_by_horizon(values, HORIZONS, "nats", SIMPLE, SIMPLE)
    left, right = figure.axes
    assert not any(len(find_bars(axes, "model")) for axes in (left, right))
    assert find_line(right, "model").get_xdata() == pytest.approx([1, 30])
    assert "one worm" in right.get_title()
    assert len(plot_skill_by_horizon(values, HORIZONS, "nats").axes) == 1


def test_transitions_are_sorted_by_loop_and_phase_with_their_strips(tmp_path):
    loop, phase = np.array([1, 0, 1, 0]), np.array([-0.1, 3.0, 0.5, 1.0])  # -.1 is just below 2π.
    assert sort_bins(loop, phase).tolist() == [3, 1, 2, 0]
    transitions = np.arange(16.0).reshape(4, 4) / 100
    transitions[2] = np.nan
    shares = np.array([[0.9, 0.1, 0, 0], [0, 0, 1, 0], [np.nan] * 4, [0.2, 0.8, 0, 0]])
    assert find_states(shares).tolist() == [0, 2, -1, 1]
    figure = plot_phase_transitions(transitions, loop, phase, shares, STATES, "title")
    assert_readable(figure, tmp_path)
    drawn = figure.axes[0].images[0].get_array()
    order = [3, 1, 2, 0]
    assert np.allclose(drawn.filled(np.nan), transitions[np.ix_(order, order)], equal_nan=True)
    strips = {axes.get_label(): axes.images[0].get_array() for axes in figure.axes[0].child_axes if axes.images}
    assert set(strips) >= {f"{name}, {way}" for name in ("loop", "phase", "state") for way in ("from", "to")}
    states = ["forward", "dorsal turn", None, "reverse"]
    expected = [to_hex(STATE_COLOURS.get(name, LIGHT_GREY)).upper() for name in states]
    assert [to_hex(colour).upper() for colour in strips["state, to"][0]] == expected
    assert [to_hex(colour).upper() for colour in strips["loop, from"][:, 0]] == [
        LOOP_COLOURS[k].upper() for k in (0, 0, 1, 1)
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["loop 1", "loop 2", *STATES, "not scored"]


def make_circle(frames=200):
    angle = np.arange(frames) * 0.1
    return np.stack([np.cos(angle), np.sin(angle), np.sin(2 * angle)], axis=1), angle


def test_the_phase_portrait_draws_the_same_steps_thrice_and_breaks_the_line(tmp_path):
    places, phase = make_circle()
    loop, states = np.arange(200) // 100, np.arange(200) % 5 - 1
    places[20] = np.nan
    phase[30] = np.nan
    figure = plot_phase_portrait(places, phase, loop, states, STATES, "t", [0, 100, 150], 0.5)
    assert_readable(figure, tmp_path)
    panels, strip = figure.axes[:6], figure.axes[6]
    starts = np.setdiff1d(np.arange(199), [19, 20, 99, 149])
    for panel, coordinates in zip(panels, [(0, 1)] * 3 + [(0, 2)] * 3, strict=True):
        steps, _ = find_steps(panel)
        order = np.lexsort(places[starts][:, coordinates].T)
        drawn = steps[np.lexsort(steps[:, 0].T)]
        assert np.allclose(drawn[:, 0], places[starts][:, coordinates][order])
        assert np.allclose(drawn[:, 1], places[starts + 1][:, coordinates][order])
    steps, colours = find_steps(panels[1])
    later = np.linalg.norm(steps[:, 0] - places[101, :2], axis=1).argmin()
    assert to_hex(colours[later]).upper() == LOOP_COLOURS[1].upper()
    assert strip.get_xlabel() == "time (s)"
    assert strip.get_xlim() == pytest.approx((-0.25, 99.75))
    assert np.abs(np.diff(find_steps(strip)[0][:, :, 1], axis=1)).max() < 1  # No line across from 2π to 0.
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["loop 1", "loop 2", *STATES, "not scored"]


def test_phases_are_cyclic_and_loops_keep_their_colours():
    low, high, turned = colour_phase(np.array([0.01, 2 * np.pi - 0.01, 2 * np.pi + 0.01]))
    assert np.abs(low - high).max() < 0.05
    assert np.array_equal(low, turned)
    assert np.abs(low - colour_phase(np.array([np.pi]))[0]).max() > 0.3
    assert colour_phase(np.array([np.nan]))[0] == pytest.approx(to_rgba(LIGHT_GREY))
    alone, both = colour_loops(np.array([1])), colour_loops(np.array([0, 1, -1]))
    assert np.array_equal(alone[0], both[1])
    assert both[2] == pytest.approx(to_rgba(LIGHT_GREY))


def test_flow_is_the_mean_step_and_does_not_cross_breaks():
    places = np.tile(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), (10, 1))
    places[20:] = places[20:][::-1] + 50  # Another stretch, far away, the other way round.
    starts, steps = average_flow(places, link_frames(places, [20]), cells=2)
    near = starts[:, 0] < 10
    assert near.sum() == 1  # All four corners fall into one cell.
    turns = np.diff(places[:20], axis=0)
    assert steps[near][0] == pytest.approx(turns.mean(axis=0))
    assert np.abs(steps).max() < 1
    assert len(average_flow(places[:1], np.zeros(0, bool))[0]) == 0


def test_sensitivity_draws_each_parameter_each_worm_and_the_default(tmp_path):
    worms = np.array([0.6, 0.7, 0.8])
    results = {
        "neighbours": [(10, worms - 0.1), (20, worms), (40, np.array([0.5, np.nan, 0.7]))],
        "kernel": [("gaussian", worms), ("flat", worms - 0.2)],
        "bins": [(0.25, worms)],
    }
    defaults = {"neighbours": 20, "kernel": "gaussian", "bins": 0.5}
    figure = plot_sensitivity(results, defaults, "accuracy", ("chain", 0.55))
    assert_readable(figure, tmp_path)
    assert [axes.get_title() for axes in figure.axes] == [*map(spell_name, results)]
    neighbours, kernel, bins = figure.axes
    assert find_line(neighbours, "mean").get_ydata() == pytest.approx([0.6, 0.7, 0.6])
    assert find_line(neighbours, "_worm 0").get_ydata() == pytest.approx([0.5, 0.6, 0.5])
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    (bars,) = neighbours.collections
    assert bars.get_segments()[0][:, 1] == pytest.approx([0.6 - half, 0.6 + half])
    assert (find_line(neighbours, "default").get_xdata(), find_line(kernel, "default").get_xdata()) == ([1], [0])
    assert find_line(kernel, "default").get_color() == VERMILLION
    assert not [line for line in bins.get_lines() if line.get_label() == "default"]  # It was not tried.
    assert [label.get_text() for label in kernel.get_xticklabels()] == ["gaussian", "flat"]
    assert neighbours.get_ylim() == kernel.get_ylim()
    assert all(find_line(axes, "reference").get_ydata() == [0.55, 0.55] for axes in figure.axes)
    assert "Chain" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_sensitivity_of_one_worm_has_no_interval(tmp_path):
    figure = plot_sensitivity({"k": [(1, np.array([0.5])), (2, np.array([np.nan]))]}, {"k": 2}, "m")
    assert not sum(len(bars.get_segments()) for bars in figure.axes[0].collections)
    assert "no interval" in figure.legends[0].get_texts()[0].get_text()


def test_toy_loops_are_matched_with_the_true_cycles(tmp_path):
    places, phase = make_circle()
    loop, cycle = np.arange(200) // 100, 1 - np.arange(200) // 100
    cycle[:20] = 0  # 20 of 200 frames differ, under whatever numbers.
    loop[-10:] = -1
    places[:5] = np.nan
    assert share_agreement(loop, cycle) == pytest.approx(170 / 190)
    first, second = np.cos(phase), np.sin(phase)
    figure = plot_toy_loops(first, second, places, loop, phase, cycle, 0.1)
    assert_readable(figure, tmp_path)
    assert "89.5%" in figure.get_suptitle()
    seen, true, by_phase, trace, found_strip, true_strip = figure.axes
    assert [len(find_steps(axes)[0]) for axes in (seen, true, by_phase, trace)] == [194, 199, 199, 199]
    found, given = (axes.images[0].get_array()[0] for axes in (found_strip, true_strip))
    assert (np.abs(found - given).max(axis=1) > 0.1).sum() == 30  # The 20, and the 10 without a loop.


def test_agreement_with_more_cycles_than_loops():
    cycles = np.array([0, 0, 1, 1, 1, 2, -1])
    assert share_agreement(np.zeros(7, int), cycles) == pytest.approx(3 / 6)
    assert np.isnan(share_agreement(np.full(7, -1), cycles))
