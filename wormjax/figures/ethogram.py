"""The ethogram of one worm: its motor states over time, as scored and as decoded, with the model's probabilities."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.figures.motor_states import colour_states, divide_time, draw_strip, fill_cells, list_states
from wormjax.figures.style import BLACK, finish_figure, hide_frame, make_figure, styled
from wormjax.recordings.recording import UNSCORED

Edges = Float[np.ndarray, " edge"]


@styled
def plot_ethogram(
    times: Float[np.ndarray, " frame"],
    states: Int[np.ndarray, " frame"],
    probabilities: Float[np.ndarray, "frame state"],
    state_names: Sequence[str],
    title: str,
    traces: Float[np.ndarray, "frame neuron"] | None = None,
    neuron_names: Sequence[str] = (),
) -> Figure:
    """Plot the true states over the decoded ones, the frames decoded wrongly, and the probabilities below.

    A state of -1 was not scored (grey). On top is a heat map of z-scored `traces`, if they are given.
    """
    edges, cells = divide_time(np.asarray(times, float))
    predicted = probabilities.argmax(axis=1)
    heights = ([] if traces is None else [max(0.9, 0.13 * len(neuron_names))]) + [0.24, 0.24, 0.14, 0.95]
    figure = make_figure(7.2, sum(heights) + 1.15)
    panels = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    if traces is not None:
        heat = draw_heat_map(panels.pop(0), edges, fill_cells(traces, cells, np.nan), neuron_names)
        figure.colorbar(heat.collections[0], ax=heat, label="activity (z)", extend="both", pad=0.01, aspect=12)
    draw_strip(panels[0], edges, cells, states, state_names, "true")
    draw_strip(panels[1], edges, cells, predicted, state_names, "decoded")
    wrong = times[(predicted != states) & (states != UNSCORED)]
    panels[2].vlines(wrong, 0, 1, color=BLACK, linewidth=0.5)  # At least a dot wide: a single frame is visible.
    panels[2].set(ylim=(0, 1))
    panels[2].set_yticks([0.5], ["wrong"])
    hide_frame(panels[2])
    draw_probabilities(panels[3], edges, fill_cells(probabilities, cells, np.nan), state_names)
    handles = list_states(states, state_names)
    return finish_figure(figure, title, handles, handlelength=1.0)


def draw_heat_map(axes: Axes, edges: Edges, traces: Float[np.ndarray, "cell neuron"], names: Sequence[str]) -> Axes:
    """Draw z-scored traces as a heat map over time, a row per neuron."""
    rows = np.arange(len(names) + 1) - 0.5
    axes.pcolormesh(edges, rows, traces.T, cmap="RdBu_r", vmin=-2.5, vmax=2.5, rasterized=True)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelsize=7)
    axes.invert_yaxis()
    hide_frame(axes)
    return axes


def draw_probabilities(
    axes: Axes, edges: Edges, probabilities: Float[np.ndarray, "cell state"], state_names: Sequence[str]
) -> Axes:
    """Draw the probabilities of the states over time, stacked."""
    tops = np.cumsum(probabilities, axis=1)
    for top, colour in reversed([*zip(tops.T, colour_states(state_names), strict=True)]):
        axes.stairs(top, edges, baseline=0, fill=True, color=colour, linewidth=0)
    axes.set(ylim=(0, 1), yticks=(0, 0.5, 1), xlim=(edges[0], edges[-1]), xlabel="time (s)")
    axes.set_ylabel("probability", fontsize=8)
    return axes
