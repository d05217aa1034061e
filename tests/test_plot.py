"""Pictures are drawn into the axes that are given, of recordings with and without states."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import wormjax
from wormjax import plot
from wormjax.instrument.results import Decoding, Forecast

WORM = wormjax.simulate_worms(1, minutes=2.0)[0]
PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(4), len(WORM.times))


@pytest.fixture
def axes():
    return Figure().subplots()


def make_forecast(modes=1):
    random = np.random.default_rng(1)
    means, scales = random.normal(size=(modes, 5, 2)), np.ones((modes, 5, 2))
    times, weights = 60.0 + np.arange(5) / 3, np.full(modes, 1 / modes)
    return Forecast("w", 60.0, times, ("AVAL", "RID"), means, scales, weights, None, "dF/F")


def make_decoding(**behavior):
    names = ("reverse", "forward")
    return Decoding("w", WORM.times, np.full((len(WORM.times), 2), 0.5), names, None, (), behavior)


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_an_ethogram_shows_decoded_over_scored_states(axes):
    assert plot.ethogram(WORM, PROBABILITIES, ax=axes) is axes
    assert labels(axes) == ["0", "0.5", "1", "decoded", "scored"]


def test_an_ethogram_of_a_worm_without_states_has_no_strip_of_them(axes):
    bare = wormjax.Recording(traces=WORM.traces, times=WORM.times, neuron_names=WORM.neuron_names)
    plot.ethogram(bare, PROBABILITIES, ax=axes)
    assert "scored" not in labels(axes)


def test_probabilities_of_another_length_are_refused():
    with pytest.raises(wormjax.InputError, match="probabilities: found float64 of shape"):
        plot.ethogram(WORM, PROBABILITIES[:-1])


def test_a_decoded_behaviour_is_drawn_over_the_measured_one(axes):
    decoded = np.sin(WORM.times)
    assert plot.behavior(WORM, make_decoding(velocity=decoded, speed=decoded), ax=axes) is axes
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(drawn["decoded"], decoded)
    np.testing.assert_allclose(drawn["measured"], WORM.behavior["velocity"])
    with pytest.raises(wormjax.InputError, match=r"name: found 'bend', expected one .*velocity, speed"):
        plot.behavior(WORM, make_decoding(velocity=decoded, speed=decoded), "bend")


@pytest.mark.parametrize(
    ("draw", "arguments", "message"),
    [
        (plot.behavior, (WORM, PROBABILITIES), "decoding: found ndarray without continuous behaviour"),
        (plot.behavior, (WORM, make_decoding()), "decoding: found Decoding without continuous behaviour"),
        (plot.ethogram, (WORM, np.full(len(WORM.times), "forward")), "probabilities: found text of shape"),
        (plot.ethogram, ([WORM], PROBABILITIES), "worm: found list, expected one recording"),
        (plot.traces, (WORM.traces,), "worm: found ndarray, expected one recording"),
        (plot.traces, (WORM, 3), "neurons: found 3"),
        (plot.forecast, (WORM, PROBABILITIES), "forecasts: found ndarray"),
        (plot.confusions, (WORM, ["forward"]), "predicted: found shapes"),
        (plot.accuracy, ([0.9],), "rows: found list"),
        (plot.trajectories, (PROBABILITIES,), "true: found shape"),
    ],
)
def test_something_else_than_is_drawn_is_named(draw, arguments, message):
    with pytest.raises(wormjax.InputError, match=message):
        draw(*arguments)


def test_frames_without_probabilities_are_counted(axes):
    gaps = PROBABILITIES.copy()
    gaps[3:9] = np.nan
    with pytest.warns(wormjax.RecordingWarning, match="probabilities: 6 frames are NaN"):
        plot.ethogram(WORM, gaps, ax=axes)


def test_names_of_other_states_are_counted():
    with pytest.raises(wormjax.InputError, match="state_names: found 2 names, expected 4, one per column"):
        plot.ethogram(WORM, PROBABILITIES, state_names=("a", "b"))


def test_traces_are_a_row_per_named_neuron(axes):
    assert plot.traces(WORM, ax=axes) is axes
    assert sorted(labels(axes)) == sorted(WORM.identified)
    assert labels(plot.traces(WORM, "RID")) == ["RID"]
    with pytest.raises(wormjax.InputError, match="ax: found 3, expected axes of matplotlib"):
        plot.traces(WORM, ax=3)
    with pytest.raises(wormjax.InputError, match="neurons: found 'XYZ'"):
        plot.traces(WORM, ["XYZ"])


def test_a_graph_draws_the_strongest_edges(axes):
    edges = np.random.default_rng(0).uniform(size=(4, 4))
    assert plot.graph(edges, ["AVAL", "AVAR", "RID", "VB02"], top_edges=3, ax=axes) is axes
    assert len(axes.patches) == 3
    with pytest.raises(wormjax.InputError, match="edges: found shape"):
        plot.graph(edges, ["AVAL"])


@pytest.mark.parametrize("modes", [1, 2])
def test_a_forecast_lies_over_its_neurons_trace(axes, modes):
    assert plot.forecast(WORM, make_forecast(modes), "RID", ax=axes) is axes
    assert axes.get_ylabel() == "RID (dF/F)"
    with pytest.raises(wormjax.InputError, match="neuron: found 'XYZ'"):
        plot.forecast(WORM, make_forecast(), "XYZ")


def test_confusions_count_scored_frames(axes):
    names = np.array(["forward", "reverse"])
    assert plot.confusions(["forward", "forward", "reverse", ""], names[[0, 1, 1, 0]], ax=axes) is axes
    assert [text.get_text() for text in axes.texts if "." not in text.get_text()] == ["1", "1", "0", "1"]


def test_accuracy_draws_every_row(axes):
    rows = pd.DataFrame({"model": ["a", "a", "b"], "metric": "accuracy", "value": [0.8, 0.9, 0.7]})
    assert plot.accuracy(rows, ax=axes) is axes
    assert sum(len(line.get_xdata()) for line in axes.lines) == 3
    with pytest.raises(wormjax.InputError, match="metric: found 'nll'"):
        plot.accuracy(rows, "nll")


def test_trajectories_are_drawn_with_and_without_a_prediction(axes):
    paths = np.cumsum(np.random.default_rng(0).normal(size=(20, 3, 2)), axis=0)
    assert plot.trajectories(paths, paths[-5:] + 0.1, ax=axes) is axes
    assert plot.trajectories(paths, ax=axes) is axes


def test_new_axes_are_made_where_none_are_given():
    assert plot.ethogram(WORM).figure is not plot.ethogram(WORM).figure
