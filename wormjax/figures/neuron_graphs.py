"""Graphs between named neurons: by class, scores against references, agreement, curves, and responses to a drive."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from wormjax.baselines.consensus import correlate
from wormjax.figures import matrices, style
from wormjax.figures.graph import ARROW, place_on_circle, write_around
from wormjax.figures.lines import choose_styles, cut_limits, rule_lines
from wormjax.figures.names import spell_name
from wormjax.graphs import mark_strongest

TOP_EDGES = 40
SHOWN_CLASSES = 60  # Names that can be read beside a matrix.
TYPE_COLOURS = {"sensory": style.GREEN, "inter": style.PURPLE, "motor": style.VERMILLION, "": style.GREY}
TYPE_LABELS = {"sensory": "sensory neurons", "inter": "interneurons", "motor": "motor neurons", "": "of several types"}

Matrix = Float[np.ndarray, "sender receiver"]


@style.styled
def plot_class_graph(
    scores: Matrix, classes: Sequence[str], types: Sequence[str], title: str, known: Matrix | None = None
) -> Figure:
    """Plot a graph between neuron classes: its strongest edges on a circle, and all scores as a matrix.

    An edge that has the same score both ways is a line without a head. The circle is in the order of `types`:
    "sensory", "inter", "motor" or "". Edges of a reference, where `known` is above 0, are drawn dark, others pale.
    """
    kept = np.argsort(-np.isfinite(scores).sum(axis=0), kind="stable")[:SHOWN_CLASSES]
    scores = scores[np.ix_(kept, kept)]
    order = matrices.cluster_neurons(np.nan_to_num(scores / max(matrices.find_largest(scores), 1e-12)))
    matrix, names = matrices.arrange_matrix(scores, order), [classes[kept[k]] for k in order]
    figure = style.make_figure(13.0, 6.6, layout="compressed")
    circle, panel = figure.subplots(1, 2)
    around = sorted(range(len(kept)), key=lambda k: (list(TYPE_COLOURS).index(types[kept[k]]), classes[kept[k]]))
    reference = None if known is None else matrices.arrange_matrix(known[np.ix_(kept, kept)], around)
    placed = [classes[kept[k]] for k in around], [types[kept[k]] for k in around]
    draw_class_circle(circle, matrices.arrange_matrix(scores, around), *placed, reference)
    matrices.draw_differences(panel, matrix, names, float(np.nanpercentile(np.abs(matrix), 98)))
    panel.tick_params(labelsize=5)
    figure.colorbar(panel.images[0], ax=panel, shrink=0.7, pad=0.02, label="score", extend="both")
    handles = [style.make_dot(colour, TYPE_LABELS[one]) for one, colour in TYPE_COLOURS.items() if one in set(types)]
    if known is not None:
        handles.append(Line2D([], [], color=style.BLUE, label="edge of the reference, in either direction"))
        handles.append(Line2D([], [], color=style.ORANGE, label="not in the reference"))
    return style.finish_figure(figure, title, handles)


def draw_class_circle(axes: Axes, matrix, names: Sequence[str], types: Sequence[str], known) -> Axes:
    """Draw classes on a circle with their strongest edges."""
    angles, points = place_on_circle([1.0] * len(names))
    symmetric = np.allclose(np.nan_to_num(matrix), np.nan_to_num(matrix.T))
    shown = np.where(np.tril(np.ones_like(matrix), -1) > 0, np.nan, matrix) if symmetric else matrix
    senders, receivers = np.nonzero(mark_strongest(shown, TOP_EDGES) & (shown > 0))
    look = {**ARROW, "arrowstyle": "-"} if symmetric else ARROW
    for sender, receiver in zip(senders, receivers, strict=True):
        is_known = known is not None and np.nanmax([known[sender, receiver], known[receiver, sender], 0]) > 0
        colour = style.BLUE if is_known or known is None else style.ORANGE
        arrow = FancyArrowPatch(points[sender], points[receiver], color=colour, linewidth=1.2, alpha=0.8, **look)
        axes.add_patch(arrow)
    axes.scatter(*points.T, s=28, c=[TYPE_COLOURS[one] for one in types], edgecolors="white", zorder=3)
    write_around(axes, names, angles, 1.05, fontsize=7)
    axes.set_title(f"the {len(senders)} strongest edges between classes")
    return axes


@style.styled
def plot_graph_scores(scores: pd.DataFrame, title: str) -> Figure:
    """Plot each method's AUROC with its interval, a panel per reference; hollow: over worms, full: with classes.

    `scores` has a line per method, pooling ("worms" or "classes") and reference, with auroc, low and high.
    """
    references, methods = list(dict.fromkeys(scores["reference"])), list(dict.fromkeys(scores["method"]))
    figure = style.make_figure(3.3 * len(references) + 1.6, 0.34 * len(methods) + 1.6)
    panels = figure.subplots(1, len(references), sharey=True, squeeze=False)[0]
    for axes, reference in zip(panels, references, strict=True):
        own = scores[scores["reference"] == reference]
        for line in own.itertuples():
            pooled = line.pooling == "classes"
            place = -methods.index(line.method) + (-0.14 if pooled else 0.14)
            colour, face = (style.BLUE, style.BLUE) if pooled else (style.GREY, "white")
            axes.plot([line.low, line.high], [place, place], color=colour, linewidth=1.2)
            axes.plot(line.auroc, place, "o", color=colour, markerfacecolor=face, markersize=5)
        axes.axvline(0.5, color=style.LIGHT_GREY, zorder=0)
        base = own[(own["method"] == "correlation") & (own["pooling"] == "worms")]
        for value in base["auroc"]:
            axes.axvline(value, color=style.GREY, linestyle=(0, (3, 2)), linewidth=0.8, zorder=0)
        axes.set_title(spell_name(reference), fontweight="bold")
        axes.set_xlabel("AUROC")
        axes.set_yticks([-k for k in range(len(methods))], map(spell_name, methods))
        cut_limits(axes, (0.0, 1.0), "x")
    handles = [
        Line2D([], [], color=style.GREY, marker="o", markerfacecolor="white", label="mean over worms"),
        Line2D([], [], color=style.BLUE, marker="o", label="shrunk to classes"),
        Line2D([], [], color=style.GREY, linestyle=(0, (3, 2)), linewidth=0.8, label="correlation, mean over worms"),
    ]
    return style.finish_figure(figure, title, handles)


@style.styled
def plot_graph_agreement(graphs: Mapping[str, Matrix], title: str) -> Figure:
    """Plot the correlation of each two graphs, methods' and references', over the pairs that both have."""
    names = list(graphs)
    values = np.full((len(names), len(names)), np.nan)
    for row, one in enumerate(graphs.values()):
        for column, other in enumerate(graphs.values()):
            if row != column:
                values[row, column] = correlate(one, other)
    figure = style.make_figure(0.62 * len(names) + 2.2, 0.5 * len(names) + 2.2)
    axes = figure.subplots()
    matrices.draw_correlations(axes, values, [*map(spell_name, names)])
    axes.set_aspect("auto")
    return style.finish_figure(figure, title)


@style.styled
def plot_graph_curves(amounts: pd.DataFrame, title: str) -> Figure:
    """Plot the AUROC by the number of worms, a panel per reference, a line per method, and by share of the recording.

    Full lines are of whole recordings; of the parts, the smallest is dotted. `amounts` has the columns method,
    reference, worms, share, auroc, and several lines for several sets of worms.
    """
    references, methods = list(dict.fromkeys(amounts["reference"])), list(dict.fromkeys(amounts["method"]))
    shares = sorted(set(amounts["share"]))
    styles = choose_styles(methods)
    patterns = dict(zip(reversed(shares), ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (1, 4))), strict=False))
    figure = style.make_figure(3.2 * len(references) + 2.2, 3.6)
    panels = figure.subplots(1, len(references), squeeze=False, sharey=True)[0]
    for axes, reference in zip(panels, references, strict=True):
        own = amounts[amounts["reference"] == reference]
        for (method, share), part in own.groupby(["method", "share"], sort=False):
            mean = part.groupby("worms")["auroc"].mean()
            look = {**styles[method], "linestyle": patterns.get(share, "-")}
            axes.plot(mean.index, mean.to_numpy(), **look)
        axes.axhline(0.5, color=style.LIGHT_GREY, zorder=0)
        axes.set_title(spell_name(reference), fontweight="bold")
        axes.set(xlabel="worms", xticks=sorted(set(own["worms"])))
        rule_lines(axes)
    cut_limits(panels[0], (0.0, 1.0))  # Of all: they share it.
    panels[0].set_ylabel("AUROC, mean over sets of worms")
    handles = [Line2D([], [], label=spell_name(name), **styles[name]) for name in methods]
    handles += [
        Line2D([], [], color=style.GREY, linestyle=look, label=f"{100 * share:.0f} % of each recording")
        for share, look in patterns.items()
    ]
    figure.legend(handles=handles, loc="outside right center", handlelength=3.0)
    return style.finish_figure(figure, title)


@style.styled
def plot_responses(measured: Matrix, predicted: Mapping[str, Matrix], known: Matrix, title: str) -> Figure:
    """Plot measured responses to a driven neuron (mean dF/F) against each prediction; red: significant (`known` 1)."""
    figure = style.make_figure(3.2 * len(predicted) + 0.6, 3.6)
    panels = figure.subplots(1, len(predicted), squeeze=False, sharey=True)[0]
    for axes, (name, values) in zip(panels, predicted.items(), strict=True):
        both = np.isfinite(measured) & np.isfinite(values) & np.isfinite(known)
        for significant, colour, size in ((False, style.GREY, 3), (True, style.VERMILLION, 7)):
            chosen = both & ((known > 0) == significant)
            axes.scatter(values[chosen], measured[chosen], s=size, color=colour, alpha=0.5, linewidths=0)
        low, high = np.nanpercentile(measured[both], (0.5, 99.5))
        axes.set(ylim=(low, high), xlim=np.nanpercentile(values[both], (0.2, 99.8)), xlabel=spell_name(name))
        axes.locator_params(axis="x", nbins=5)
        axes.axhline(0, color=style.LIGHT_GREY, zorder=0)
        axes.axvline(0, color=style.LIGHT_GREY, zorder=0)
    panels[0].set_ylabel("measured response (mean dF/F)")
    looks = ((style.VERMILLION, "q < 0.05", 4), (style.GREY, "not significant", 3))
    handles = [style.make_dot(colour, label, markersize=size) for colour, label, size in looks]
    return style.finish_figure(figure, title, handles)
