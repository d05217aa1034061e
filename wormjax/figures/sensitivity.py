"""How much a result depends on a method's parameters: one panel per parameter, the others at their defaults.

Made for asymmetric diffusion map modelling (Brennan & Proekt 2019, eLife 8:e46814), whose few parameters are set by
hand. The worm is the unit of replication: bars are Student's t over worms (`wormjax.scoring.intervals`).
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wormjax.figures.forecast_error import average_by_step
from wormjax.figures.style import BLUE, GREY, LIGHT_GREY, VERMILLION, make_figure, save_figure, set_title, styled

PANELS_A_ROW = 4
WORM_COLOUR = "#B5B5B5"

Results = Mapping[str, Sequence[tuple[object, Float[np.ndarray, " worm"]]]]


@styled
def plot_sensitivity(
    results: Results,
    defaults: Mapping[str, object],
    path: str | os.PathLike,
    label: str,
    reference: tuple[str, float] | None = None,
    title: str = "",
) -> Figure:
    """Draws a metric by the value of each parameter: mean, 95 % bar, a thin line a worm, the default shaded.

    Args:
      results: parameter → its values, in the order they are drawn in, each with the metric on every test worm; NaN
        where not scored. The worms of one parameter are the same, in the same order.
      defaults: parameter → its default; a parameter without one, or whose default was not tried, has no shade.
      path: the PNG to write.
      label: the metric.
      reference: a baseline's name and its level, drawn as a dashed line.
      title: the figure's title.

    Raises:
      ValueError: there is no parameter, one has no value, or its values differ in worms.
    """
    tables = {name: _stack(name, tried) for name, tried in results.items()}
    if not tables:
        raise ValueError("found no parameter, expected at least one")
    columns = min(len(tables), PANELS_A_ROW)
    rows = -(-len(tables) // columns)
    figure = make_figure(1.75 * columns + 0.7, 2.0 * rows + 0.6)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (name, table) in zip(panels, tables.items(), strict=False):
        values = [value for value, _ in results[name]]
        _draw_parameter(axes, table, values, defaults.get(name), name in defaults)
        axes.set_title(name, fontweight="bold")
        if reference is not None:
            axes.axhline(reference[1], color=GREY, linestyle=(0, (4, 2)), linewidth=1.1, zorder=1.5, label="reference")
    for axes in panels[len(tables) :]:
        axes.set_visible(False)
    figure.supylabel(label, fontsize=9)
    handles = _list_handles(tables, reference)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles) if columns > 2 else 2)
    set_title(figure, title)
    return save_figure(figure, path)


def _stack(name: str, tried: Sequence[tuple[object, np.ndarray]]) -> np.ndarray:
    """The metric of one parameter's values, [worm, value]."""
    columns = [np.atleast_1d(np.asarray(values, float)) for _, values in tried]
    if not columns or len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
        shapes = [column.shape for column in columns]
        raise ValueError(f"{name}: found values of shapes {shapes}, expected at least one, all of the same worms")
    return np.stack(columns, axis=1)


def _draw_parameter(axes: Axes, table: np.ndarray, values: Sequence[object], default: object, has_default: bool):
    places = np.arange(len(values))
    for worm, line in enumerate(table):
        axes.plot(places, line, color=WORM_COLOUR, linewidth=0.8, marker=".", markersize=3, label=f"_worm {worm}")
    mean, low, high = average_by_step(table)
    barred = np.isfinite(low)
    axes.vlines(places[barred], low[barred], high[barred], color=BLUE, linewidth=1.3, zorder=3)
    axes.plot(places, mean, color=BLUE, marker="o", linewidth=1.6, zorder=4, label="mean")
    for place in (place for place in places if has_default and values[place] == default):
        axes.axvspan(place - 0.4, place + 0.4, color=LIGHT_GREY, alpha=0.6, linewidth=0, zorder=0, gid="default")
        axes.plot(place, mean[place], "o", color=VERMILLION, zorder=5, label="default")
    axes.set_xticks(places, [_name_value(value) for value in values])
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


def _name_value(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) and not isinstance(value, bool) else str(value)


def _list_handles(tables: Mapping[str, np.ndarray], reference: tuple[str, float] | None) -> list:
    worms = max(len(table) for table in tables.values())
    mean = "mean and 95 % interval over worms" if worms > 1 else "mean (one worm: no interval)"
    handles = [
        Line2D([], [], color=BLUE, marker="o", linewidth=1.6, label=mean),
        Line2D([], [], color=WORM_COLOUR, marker=".", linewidth=0.8, label="one worm"),
        Line2D([], [], color=VERMILLION, marker="o", linestyle="none", label="default"),
    ]
    if reference is not None:
        handles.append(Line2D([], [], color=GREY, linestyle=(0, (4, 2)), linewidth=1.1, label=reference[0]))
    return handles
