"""Forecasts over the true traces of named neurons, with their spread, and the motor state above."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wormjax.figures.motor_states import divide_time, draw_strip, fill_cells, list_states
from wormjax.figures.style import BLACK, find_limits, finish_figure, make_figure, styled

FORECAST_COLOURS = ("#B35900", "#5D3A9B")  # In turn, so that a forecast is seen to end; no motor state has them.
FORECAST_STYLE: dict[str, Any] = {"linewidth": 1.3, "marker": "o", "markersize": 3.2}
FORECAST_STYLE |= {"markeredgewidth": 0, "markevery": [0]}

Band = Float[np.ndarray, "step neuron"]
Forecast = tuple[int, Band, Band, Band]


@styled
def plot_forecast_traces(
    times: Float[np.ndarray, " frame"],
    traces: Float[np.ndarray, "frame neuron"],
    forecasts: Sequence[Forecast],
    neuron_names: Sequence[str],
    states: Int[np.ndarray, " frame"],
    state_names: Sequence[str],
    title: str = "Forecasts of a held-out worm",
) -> Figure:
    """Plot each neuron's true trace in a row of its own, and the forecasts over it, each with its 90 % band.

    A forecast's line begins with a dot at the last frame that the model was given; all rows have one scale.

    Args:
      traces: the true activity, scaled; NaN where there is none.
      forecasts: of each its first forecast frame (an index into `times`; the frame before is the last one given),
        and the mean, low and high of each step and neuron. Steps after the last frame are not drawn.
      states: the motor state of each frame, -1 where none was scored (grey).
    """
    heights = [0.2] + [0.72] * len(neuron_names)
    figure = make_figure(7.2, sum(heights) + 1.25)
    panels = list(figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0])
    edges, cells = divide_time(times)
    strip = draw_strip(panels.pop(0), edges, cells, states, state_names, "motor state")
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "borderaxespad": 0.2, "handlelength": 1.0}
    strip.legend(handles=list_states(states, state_names), ncols=len(state_names) + 1, **place)
    # One scale for all rows, of the traces and the forecasts' means; a band that runs away may leave.
    limits = find_limits(np.concatenate([traces.ravel(), *(np.ravel(mean) for _, mean, *_ in forecasts)]), 0.08, 0.08)
    for neuron, axes in enumerate(panels):
        trace, joined = traces[:, neuron], []
        for first, *bands in forecasts:  # From the last frame given to the end of the recording.
            own = [np.append(trace[first - 1], band[:, neuron])[: len(times) - first + 1] for band in bands]
            joined.append((times[first - 1 : first + len(bands[0])], *own))
        draw_forecasts(axes, times, trace, joined)
        axes.locator_params(axis="y", nbins=3)
        axes.set_ylabel(neuron_names[neuron], rotation=0, ha="right", va="center")
        axes.set_ylim(*limits)
        axes.spines["bottom"].set_visible(axes is panels[-1])
        axes.tick_params(axis="x", length=3 if axes is panels[-1] else 0)
    panels[-1].set(xlim=(edges[0], edges[-1]), xlabel="time (s)")
    figure.supylabel("activity (z)", fontsize=9)
    return finish_figure(figure, title, list_handles(), ncols=4)


def draw_forecasts(
    axes: Axes, times: Float[np.ndarray, " frame"], trace: Float[np.ndarray, " frame"], forecasts: Sequence[tuple]
) -> Axes:
    """Draw a true trace, broken where there is a gap in time, and forecasts: of each its times, mean, low and high."""
    _, cells = divide_time(np.asarray(times, float))
    axes.plot(fill_cells(times, cells, np.nan), fill_cells(trace, cells, np.nan), color=BLACK, linewidth=1.0)
    for number, (own, mean, low, high) in enumerate(forecasts):
        colour = FORECAST_COLOURS[number % 2]
        axes.fill_between(own, low, high, color=colour, alpha=0.25, linewidth=0, zorder=1)
        axes.plot(own, mean, color=colour, zorder=3, **FORECAST_STYLE)
    return axes


def list_handles() -> list:
    """Return the legend's entries: the true trace, forecasts, and their bands."""
    names = zip(FORECAST_COLOURS, ("forecast", "the next forecast"), strict=True)
    return [
        Line2D([], [], color=BLACK, linewidth=1.0, label="true"),
        *(Line2D([], [], color=colour, label=name, **FORECAST_STYLE) for colour, name in names),
        Patch(color=FORECAST_COLOURS[0], alpha=0.25, linewidth=0, label="90 % band"),
    ]
