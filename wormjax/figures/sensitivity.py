"""How much a result depends on a method's parameters: one panel per parameter, the others at their defaults.

Made for asymmetric diffusion map modelling (Brennan & Proekt 2019, eLife 8:e46814), whose few parameters are set by
hand.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wormjax.figures.lines import cut_limits, draw_mean, rule_lines
from wormjax.figures.names import spell_name
from wormjax.figures.style import BLUE, GREY, LIGHT_GREY, VERMILLION, finish_figure, make_figure, styled

PANELS_PER_ROW = 4
WORM_STYLE = {"color": "#B5B5B5", "marker": ".", "markersize": 3, "linewidth": 0.8}
MEAN_STYLE = {"color": BLUE, "marker": "o", "linewidth": 1.6}
DEFAULT_STYLE = {"color": VERMILLION, "marker": "o", "linestyle": "none"}
REFERENCE_STYLE = {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.1}


@styled
def plot_sensitivity(
    results: Mapping[str, Sequence[tuple[object, Float[np.ndarray, " worm"]]]],
    defaults: Mapping[str, object],
    label: str,
    reference: tuple[str, float] | None = None,
    title: str = "",
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Figure:
    """Plot a metric by the value of each parameter: mean, 95 % bar, a thin line per worm, the default shaded.

    Each value of a parameter has the metric on every test worm, NaN where not scored; the worms of one parameter are
    the same, in the same order. A parameter without a default, or whose default was not tried, has no shade. A dashed
    line is the level of the baseline `reference`; `limits` are the lowest and highest value that the metric can have.
    """
    columns = min(len(results), PANELS_PER_ROW)
    rows = -(-len(results) // columns)
    figure = make_figure(1.75 * columns + 0.7, 2.0 * rows + 0.6)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (name, tried) in zip(panels, results.items(), strict=False):
        values, columns_of_worms = zip(*tried, strict=True)
        draw_parameter(axes, np.stack(columns_of_worms, axis=1), values, [v == defaults.get(name) for v in values])
        axes.set_title(spell_name(name), fontweight="bold")
        if reference is not None:
            axes.axhline(reference[1], zorder=1.5, label="reference", **REFERENCE_STYLE)
    cut_limits(panels[0], limits)
    for axes in panels[len(results) :]:
        axes.set_visible(False)
    figure.supylabel(textwrap.fill(label, 24 * rows), fontsize=9)
    worms = max(len(values) for tried in results.values() for _, values in tried)
    mean = "mean and 95 % interval over worms" if worms > 1 else "mean (one worm: no interval)"
    styles = {mean: MEAN_STYLE, "one worm": WORM_STYLE, "default": DEFAULT_STYLE}
    styles |= {} if reference is None else {spell_name(reference[0]): REFERENCE_STYLE}
    handles = [Line2D([], [], label=name, **style) for name, style in styles.items()]
    return finish_figure(figure, title, handles, ncols=len(handles) if columns > 2 else 2)


def draw_parameter(
    axes: Axes, table: Float[np.ndarray, "worm value"], values: Sequence[object], is_default: Sequence[bool]
) -> Axes:
    """Draw a metric by the values of one parameter."""
    places = np.arange(len(values))
    for worm, line in enumerate(table):
        axes.plot(places, line, label=f"_worm {worm}", **WORM_STYLE)
    mean = draw_mean(axes, places, table, "mean", MEAN_STYLE | {"zorder": 4}, alpha=1.0)
    for place in np.flatnonzero(is_default):
        axes.axvspan(place - 0.4, place + 0.4, color=LIGHT_GREY, alpha=0.6, linewidth=0, zorder=0, gid="default")
        axes.plot(place, mean[place], zorder=5, label="default", **DEFAULT_STYLE)
    numeric = [isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in values]
    names = [f"{value:g}" if number else str(value) for value, number in zip(values, numeric, strict=True)]
    axes.set_xticks(places, names)
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.tick_params(axis="x", length=0)
    rule_lines(axes)
    return axes
