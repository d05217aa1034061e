"""Graphs of several methods side by side; how alike they are between methods, worms, seeds and windows, and by chance.

The neurons stand in the order of a hierarchical clustering, the same for all methods.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wormjax.figures.lines import cut_limits
from wormjax.figures.matrices import arrange_matrix, cluster_neurons, draw_correlations, draw_matrix, format_correlation
from wormjax.figures.names import spell_name
from wormjax.figures.style import BLUE, GREY, LIGHT_GREY, find_limits, finish_figure, make_dot, make_figure, styled
from wormjax.graphs import edges_to_matrix
from wormjax.scoring.graph_similarity import GraphSimilarity

INTERVAL = (2.5, 97.5)  # Percentiles of the shuffled graphs.
FULL_COLOUR = 97  # Percentile of the scores with the last colour: a few pairs are far above all others.
SCORES = {  # What a method's score is called.
    "correlation": "|correlation|",
    "lagged_correlation": "|correlation|",
    "partial_correlation": "|partial correlation|",
    "granger": "log ratio of variances",
}
KINDS = (("as inferred", BLUE, -0.21), ("neurons shuffled", GREY, 0.21))  # Label, colour, place beside the name.
HALF_WIDTH = 0.17
FEW = 12  # Below it a density would say more than is known.
MOST_DOTS = 300


@styled
def plot_relations(
    graphs: Mapping[str, Float[np.ndarray, "worm edge type"]],
    neuron_names: Sequence[str],
    title: str = "Relations between neurons",
    scores: Mapping[str, Float[np.ndarray, "worm edge"]] = {},
    correlations: Float[np.ndarray, "neuron neuron"] | None = None,
) -> Figure:
    """Plot each method's probability of an edge, mean over worms, and below it how strong the relation is.

    The first edge type is "no edge". Scores are each on its own scale; a method without (a deep model) has no second
    panel. Neurons are ordered by `correlations` with their sign, or by the methods' mean probabilities.
    """
    count, rows = len(neuron_names), 2 if scores else 1
    present = {name: edges_to_matrix(1.0 - np.mean(edges, axis=0)[:, 0], count) for name, edges in graphs.items()}
    order = cluster_neurons(np.mean([*present.values()], axis=0) if correlations is None else correlations)
    names, side = [neuron_names[k] for k in order], max(1.9, 0.125 * count)
    figure = make_figure(side * len(graphs) + 1.6, (side + 0.55) * rows + 0.9, layout="compressed")
    panels = figure.subplots(rows, len(graphs), squeeze=False)
    for column, (name, matrix) in enumerate(present.items()):
        top, low = panels[0, column], panels[-1, column]
        draw_matrix(top, arrange_matrix(matrix, order), names, 0.0, 1.0)
        top.set_title(textwrap.fill(spell_name(name), 24), fontweight="bold")
        if name in scores:
            shown = arrange_matrix(edges_to_matrix(np.mean(scores[name], axis=0), count), order)
            draw_matrix(low, shown, names, 0.0, max(float(np.nanpercentile(shown, FULL_COLOUR)), 1e-12))
            label, place = SCORES.get(name, "score"), {"location": "top", "pad": 0.03, "aspect": 22, "shrink": 0.9}
            figure.colorbar(low.images[0], ax=low, label=label, extend="max", **place)
            top.tick_params(labelbottom=False)
            top.set_xlabel("")
        elif scores:
            low.set_axis_off()
        for axes in panels[:, column] if column else ():
            axes.tick_params(labelleft=False)
            axes.set_ylabel("")
    figure.colorbar(top.images[0], ax=panels[0], label="edge probability", shrink=0.8, pad=0.02, aspect=15)
    return finish_figure(figure, title)


@styled
def plot_graph_similarity(
    similarity: GraphSimilarity, title: str = "Similarity of graphs", of: str = "edge probabilities"
) -> Figure:
    """Plot how alike the methods' graphs of a worm are, and how alike each method's graphs of two worms are.

    In the matrix, a number in bold lies outside the interval that holds 95 % of the graphs with shuffled neurons. On
    the right, a dot is a pair of worms, the line their mean, and the grey bar that interval for the mean.

    `similarity` is of `compare_scores`, `of` what was correlated.
    """
    count = len(similarity.methods)
    side = max(2.0, 0.62 * count)
    figure = make_figure(side + max(2.6, 0.75 * count) + 1.6, side + 1.5)
    left, right = figure.subplots(1, 2, width_ratios=[side, max(2.2, 0.7 * count)])
    low, high = np.nanpercentile(similarity.between_null, INTERVAL, axis=0)
    shown = np.where(np.eye(count, dtype=bool), np.nan, similarity.between)
    draw_correlations(left, shown, [*map(spell_name, similarity.methods)], (shown < low) | (shown > high))
    left.set_title("between methods, same worm", fontweight="bold")
    draw_between_worms(right, similarity).set_title("between worms, same method", fontweight="bold")
    right.set_ylabel(f"correlation of {of}")
    handles = [
        make_dot(BLUE, "a pair of worms", markersize=4),
        Line2D([], [], color=BLUE, linewidth=2, label="mean over pairs"),
        Patch(color=LIGHT_GREY, label="mean over pairs, neurons shuffled (95 %)"),
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=3, handlelength=1.2)
    return finish_figure(figure, title)


def draw_between_worms(axes: Axes, similarity: GraphSimilarity) -> Axes:
    """Draw the correlation of each method's graphs of two worms: pairs, their mean, and the mean by chance."""
    for place, (values, null) in enumerate(zip(similarity.across, similarity.across_null.T, strict=True)):
        values, null = values[np.isfinite(values)], null[np.isfinite(null)]
        if len(null):
            low, high = np.percentile(null, INTERVAL)
            axes.bar(place, high - low, bottom=low, width=0.7, color=LIGHT_GREY, zorder=1)
        if not len(values):
            continue
        jitter = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(place + jitter, values, "o", color=BLUE, markersize=4, alpha=0.6, markeredgewidth=0)
        axes.hlines(values.mean(), place - 0.3, place + 0.3, color=BLUE, linewidth=2, zorder=3)
        text = {"textcoords": "offset points", "xytext": (0, 4), "ha": "center", "fontsize": 8, "color": BLUE}
        axes.annotate(format_correlation(values.mean()), (place, max(values.max(), 0.0)), **text)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    drawn = np.concatenate([np.ravel(similarity.across), np.ravel(similarity.across_null), [0.0, 0.1]])
    axes.set(xlim=(-0.6, len(similarity.methods) - 0.4), ylim=find_limits(drawn, 0.05, 0.12))
    cut_limits(axes, (-1.0, 1.0))
    names = [*map(spell_name, similarity.methods)]
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    return axes


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
