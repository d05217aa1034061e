"""Forecasts over the true traces of named neurons, with their spread, and the motor state above."""

import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wormjax.figures.ethogram import ABSENT, divide_time
from wormjax.figures.style import (
    BLACK,
    LIGHT_GREY,
    colour_states,
    hide_frame,
    make_figure,
    save_figure,
    set_title,
    styled,
)
from wormjax.recordings.recording import UNSCORED

FORECAST_COLOURS = ("#B35900", "#5D3A9B")  # In turn, so that a forecast is seen to end; no motor state has them.

Forecast = tuple[
    int, Float[np.ndarray, "step neuron"], Float[np.ndarray, "step neuron"], Float[np.ndarray, "step neuron"]
]


@styled
def plot_forecast_traces(
    times: Float[np.ndarray, " frame"],
    traces: Float[np.ndarray, "frame neuron"],
    forecasts: Sequence[Forecast],
    neuron_names: Sequence[str],
    path: str | os.PathLike,
    states: Int[np.ndarray, " frame"] | None = None,
    state_names: Sequence[str] = (),
    title: str = "Forecasts of a worm never seen",
    unit: str = "activity (z)",
) -> Figure:
    """Draws each neuron's true trace in a row of its own, and the forecasts over it, each with its 90 % band.

    A forecast's line begins with a dot at the last frame that the model was given; all rows have one scale.

    Args:
      times: seconds.
      traces: the true activity, scaled; NaN where there is none.
      forecasts: of each its first forecast frame (an index into `times`; the frame before is the last one given),
        and the mean, low and high of each step and neuron. Steps beyond the last frame are not drawn.
      neuron_names: names of the columns of `traces`.
      path: the PNG to write.
      states: the motor state of each frame, -1 where none was scored (grey); None: no strip.
      state_names: names of the states.
      title: for instance the model and the worm.
      unit: label of the traces' axis.

    Raises:
      ValueError: frames or neurons do not agree, a forecast begins outside the recording, or no value is known.
    """
    times, traces = np.asarray(times, float), np.asarray(traces, float)
    _check(times, traces, forecasts, neuron_names, states)
    heights = ([0.2] if states is not None else []) + [0.72] * len(neuron_names)
    figure = make_figure(7.2, sum(heights) + 1.25)
    panels = list(figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0])
    edges, cells = divide_time(times)
    if states is not None:
        _draw_states(panels.pop(0), edges, cells, np.asarray(states), state_names)
    for neuron, axes in enumerate(panels):
        _draw_neuron(axes, times, traces[:, neuron], cells, forecasts, neuron)
        axes.set_ylabel(neuron_names[neuron], rotation=0, ha="right", va="center")
        axes.set_ylim(*_find_limits(traces, forecasts))
        axes.spines["bottom"].set_visible(axes is panels[-1])
        axes.tick_params(axis="x", length=3 if axes is panels[-1] else 0)
    panels[-1].set(xlim=(edges[0], edges[-1]), xlabel="time (s)")
    figure.supylabel(unit, fontsize=9)
    _add_legend(figure)
    set_title(figure, title)
    return save_figure(figure, path)


def _check(times, traces, forecasts, neuron_names, states):
    if traces.shape != (len(times), len(neuron_names)):
        raise ValueError(f"found traces of shape {traces.shape}, expected {(len(times), len(neuron_names))}")
    if not np.isfinite(traces).any():
        raise ValueError("found no activity, expected at least one frame of one neuron")
    if states is not None and len(states) != len(times):
        raise ValueError(f"found {len(states)} states, expected {len(times)}, one a frame")
    for first, *bands in forecasts:
        if not 0 < first < len(times):
            raise ValueError(f"found a forecast that begins at frame {first}, expected one of 1 to {len(times) - 1}")
        shapes = [np.shape(band) for band in bands]
        if len(set(shapes)) != 1 or shapes[0][1:] != (len(neuron_names),):
            raise ValueError(f"found a forecast of shapes {shapes}, expected one shape [step, {len(neuron_names)}]")


def _draw_states(axes: Axes, edges, cells, states, state_names):
    """Draws the strip of motor states, their names above it."""
    colours = colour_states(state_names)
    colour_map = ListedColormap(["white", LIGHT_GREY, *colours])  # ABSENT, UNSCORED, 0, 1, ...
    strip = np.where(cells == ABSENT, ABSENT, states[cells])
    top = len(colours) - 0.5
    axes.pcolormesh(edges, [0, 1], strip[None], cmap=colour_map, vmin=ABSENT - 0.5, vmax=top, rasterized=True)
    axes.set_yticks([0.5], ["motor state"])
    hide_frame(axes)
    handles = [Patch(color=colour, label=name) for colour, name in zip(colours, state_names, strict=True)]
    handles += [Patch(color=LIGHT_GREY, label="not scored")] if (states == UNSCORED).any() else []
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "borderaxespad": 0.2}
    axes.legend(handles=handles, ncols=len(handles), handlelength=1.0, **place)


def _draw_neuron(axes: Axes, times, trace, cells, forecasts: Sequence[Forecast], neuron: int):
    """Draws a true trace, its line broken where there is a gap in time, and the forecasts over it."""
    gap = cells == ABSENT
    axes.plot(np.where(gap, np.nan, times[cells]), np.where(gap, np.nan, trace[cells]), color=BLACK, linewidth=1.0)
    for number, forecast in enumerate(forecasts):
        _draw_forecast(axes, times, trace, forecast, neuron, FORECAST_COLOURS[number % 2])
    axes.locator_params(axis="y", nbins=3)


def _draw_forecast(axes: Axes, times, trace, forecast: Forecast, neuron: int, colour: str):
    first, *bands = forecast
    mean, low, high = (np.asarray(band, float)[: len(times) - first, neuron] for band in bands)
    start = first - 1
    frames = slice(start, start + 1 + len(mean))
    joined = [np.concatenate([trace[start : start + 1], band]) for band in (mean, low, high)]
    axes.fill_between(times[frames], joined[1], joined[2], color=colour, alpha=0.25, linewidth=0, zorder=1)
    axes.plot(times[frames], joined[0], color=colour, linewidth=1.3, zorder=3)
    axes.plot(times[start], trace[start], "o", color=colour, markersize=3.2, markeredgewidth=0, zorder=4)


def _find_limits(traces: np.ndarray, forecasts: Sequence[Forecast]) -> tuple[float, float]:
    """One scale for all rows: the traces and the forecasts' means; a band that runs away may leave."""
    every = np.concatenate([traces.ravel(), *(np.ravel(forecast[1]) for forecast in forecasts)])
    low, high = np.nanmin(every), np.nanmax(every)
    margin = max(0.08 * (high - low), 1e-6)
    return low - margin, high + margin


def _add_legend(figure: Figure):
    first, second = FORECAST_COLOURS
    lines = [
        Line2D([], [], color=BLACK, linewidth=1.0, label="true"),
        Line2D([], [], color=first, linewidth=1.3, marker="o", markersize=3.2, markevery=[0], label="forecast"),
        Line2D(
            [], [], color=second, linewidth=1.3, marker="o", markersize=3.2, markevery=[0], label="the next forecast"
        ),
        Patch(color=first, alpha=0.25, linewidth=0, label="90 % band"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines))
