"""How stable the inferred graph is: correlation of edge probabilities across windows, seeds and worms, against chance.

Chance is the same correlation with the neurons of one graph shuffled.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from wormjax.figures.lines import cut_limits
from wormjax.figures.matrices import format_correlation
from wormjax.figures.style import BLUE, GREY, find_limits, finish_figure, make_figure, styled

KINDS = (("as inferred", BLUE, -0.21), ("neurons shuffled", GREY, 0.21))  # Label, colour, place beside the name.
HALF_WIDTH = 0.17
FEW = 12  # Below it a density would say more than is known.
MOST_DOTS = 300

Correlations = Mapping[str, Float[np.ndarray, " pair"]]


@styled
def plot_graph_stability(
    correlations: Correlations, nulls: Correlations, title: str = "Stability of the inferred graph"
) -> Figure:
    """Plot the correlations and their null side by side: dots, density, median.

    The number above is the median (the line), n the number of pairs, of which a few hundred have a dot; the density
    is drawn where there are enough pairs. Correlations are across windows, seeds or worms, by name.
    """
    figure = make_figure(max(1.45 * len(correlations) + 1.0, 3.4), 3.7)
    axes = figure.subplots()
    for centre, name in enumerate(correlations):
        for values, (label, colour, shift) in zip((correlations[name], nulls[name]), KINDS, strict=True):
            draw_values(axes, values[np.isfinite(values)], centre + shift, colour, f"{name}, {label}")
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    drawn = np.concatenate([[0.0, 0.1], *correlations.values(), *nulls.values()])
    axes.set_ylim(find_limits(drawn, 0.17, 0.1))  # Counts at the foot, medians on top.
    cut_limits(axes, (-1.0, 1.0))
    axes.set_xticks(range(len(correlations)), [f"across {name}" for name in correlations])
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(-0.5, len(correlations) - 0.5), ylabel="correlation of edge probabilities")
    handles = [Patch(color=colour, alpha=0.6, label=label) for label, colour, _ in KINDS]
    return finish_figure(figure, title, handles, handlelength=1.0)


def draw_values(axes: Axes, values: Float[np.ndarray, " pair"], place: float, colour: str, label: str) -> Axes:
    """Draw values at one place across: dots, the density if there are enough, the median and the count."""
    foot = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom", "fontsize": 7}
    axes.text(place, 0.015, f"n = {len(values)}", color=colour, **foot)
    if not len(values):
        return axes
    if len(values) >= FEW and np.ptp(values) > 0:
        (body,) = axes.violinplot([values], [place], widths=2 * HALF_WIDTH, showextrema=False)["bodies"]
        body.set(facecolor=colour, edgecolor="none", alpha=0.3)
    # Evenly spread over the sorted values: the same dots each time, and the shape is kept.
    dots = np.sort(values)[np.linspace(0, len(values) - 1, min(len(values), MOST_DOTS)).round().astype(int)]
    jitter = np.random.default_rng(0).uniform(-0.4, 0.4, len(dots)) * HALF_WIDTH
    dot = {"color": colour, "markersize": 4 if len(values) < FEW else 2, "alpha": 0.6, "markeredgewidth": 0}
    axes.plot(place + jitter, dots, "o", label=label, **dot)
    median = float(np.median(values))
    axes.hlines(median, place - HALF_WIDTH, place + HALF_WIDTH, color=colour, linewidth=2, label=f"{label}, median")
    text = {"textcoords": "offset points", "color": colour, "fontsize": 7.5, "ha": "center", "va": "bottom"}
    axes.annotate(format_correlation(median), (place, values.max()), xytext=(0, 3), **text)
    return axes
