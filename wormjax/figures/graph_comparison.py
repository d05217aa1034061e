"""Graphs of several methods side by side, and how alike they are: between methods, and between worms.

The neurons stand in the order of a hierarchical clustering (average linkage), the same for all methods, so that groups
of neurons are seen as blocks.
"""

import os
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from wormjax.figures.graphs_by_state import arrange_matrix, name_neurons
from wormjax.figures.style import BLUE, GREY, LIGHT_GREY, hide_frame, make_figure, save_figure, set_title, styled
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


@styled
def plot_relations(
    graphs: Mapping[str, Float[np.ndarray, "worm edge type"]],
    neuron_names: Sequence[str],
    path: str | os.PathLike,
    title: str = "Relations between neurons",
    scores: Mapping[str, Float[np.ndarray, "worm edge"]] | None = None,
    correlations: Float[np.ndarray, "neuron neuron"] | None = None,
) -> Figure:
    """Draws each method's probability of an edge, mean over worms, and below it how strong the relation is.

    Args:
      graphs: method → probabilities of edge types, of which the first is "no edge".
      neuron_names: names of senders and receivers.
      path: the PNG to write.
      title: for instance the study and the number of worms.
      scores: method → score of each edge, each on its own scale; None draws probabilities alone, and a method that is
        not in it (a deep model) has no second panel.
      correlations: with their sign, to order the neurons by; None: the methods' mean probabilities.

    Raises:
      ValueError: there is no graph, or one does not fit the names.
    """
    count = len(neuron_names)
    shapes = {name: np.shape(edges) for name, edges in graphs.items()}
    if not graphs or any(len(shape) != 3 or shape[1] != count * (count - 1) for shape in shapes.values()):
        raise ValueError(f"found graphs of shapes {shapes}, expected [worm, {count * (count - 1)} edges, type]")
    present = {name: edges_to_matrix(1.0 - np.mean(edges, axis=0)[:, 0], count) for name, edges in graphs.items()}
    order = cluster_neurons(np.mean([*present.values()], axis=0) if correlations is None else correlations)
    rows, side = 1 if not scores else 2, max(1.9, 0.125 * count)
    figure = make_figure(side * len(graphs) + 1.6, (side + 0.55) * rows + 0.9, layout="compressed")
    panels = figure.subplots(rows, len(graphs), squeeze=False)
    names = [neuron_names[k] for k in order]
    for column, (name, matrix) in enumerate(present.items()):
        image = _draw_matrix(panels[0, column], arrange_matrix(matrix, order), 1.0)
        panels[0, column].set_title(spell_method(name), fontweight="bold")
        if scores:
            _draw_score(figure, panels[1, column], scores.get(name), order, SCORES.get(name, "score"))
    for row, column in np.ndindex(panels.shape):
        _name_panel(panels[row, column], names, row == rows - 1 or not panels[row + 1, column].axison, column == 0)
    figure.colorbar(image, ax=panels[0], label="edge probability", shrink=0.8, pad=0.02, aspect=15)
    set_title(figure, title)
    return save_figure(figure, path)


@styled
def plot_graph_similarity(
    similarity: GraphSimilarity,
    path: str | os.PathLike,
    title: str = "Similarity of graphs",
    of: str = "edge probabilities",
) -> Figure:
    """Draws how alike the methods' graphs of a worm are, and how alike each method's graphs of two worms are.

    In the matrix, a number in bold lies outside the interval that holds 95 % of the graphs with shuffled neurons. On
    the right, a dot is a pair of worms, the line their mean, and the grey bar that interval for the mean.

    Args:
      similarity: of `compare_graphs` or `compare_scores`.
      path: the PNG to write.
      title: for instance the study and the number of worms.
      of: what was correlated.
    """
    count = len(similarity.methods)
    names = [spell_method(name) for name in similarity.methods]
    matrix_side = max(2.0, 0.62 * count)
    figure = make_figure(matrix_side + max(2.6, 0.75 * count) + 1.6, matrix_side + 1.5)
    left, right = figure.subplots(1, 2, width_ratios=[matrix_side, max(2.2, 0.7 * count)])
    _draw_between(left, similarity, names)
    left.set_title("between methods, same worm", fontweight="bold")
    _draw_across(right, similarity, names)
    right.set_title("between worms, same method", fontweight="bold")
    right.set_ylabel(f"correlation of {of}")
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=4, linewidth=0, label="a pair of worms"),
        Line2D([], [], color=BLUE, linewidth=2, label="mean over pairs"),
        Patch(color=LIGHT_GREY, label="mean over pairs, neurons shuffled (95 %)"),
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=3, handlelength=1.2)
    set_title(figure, title)
    return save_figure(figure, path)


def cluster_neurons(similarity: Float[np.ndarray, "neuron neuron"]) -> list[int]:
    """An order in which neurons that go together lie side by side; of a matrix that is not symmetric, its mean."""
    if len(similarity) < 3:
        return list(range(len(similarity)))
    distance = 1.0 - (np.asarray(similarity, float) + np.transpose(similarity)) / 2
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(np.maximum(distance, 0.0), checks=False), method="average", optimal_ordering=True)
    return leaves_list(tree).tolist()


def spell_method(name: str) -> str:
    """A method's name as figures write it: "partial correlation", "Granger causality"."""
    return "Granger causality" if name == "granger" else name.replace("_", " ")


def _draw_matrix(axes: Axes, matrix: np.ndarray, largest: float):
    colour_map = matplotlib.colormaps["cividis"].with_extremes(bad=LIGHT_GREY)
    hide_frame(axes)
    return axes.imshow(matrix, cmap=colour_map, vmin=0.0, vmax=largest)


def _draw_score(figure: Figure, axes: Axes, score: np.ndarray | None, order: Sequence[int], label: str):
    if score is None:
        axes.set_axis_off()
        return
    matrix = arrange_matrix(edges_to_matrix(np.mean(score, axis=0), len(order)), order)
    image = _draw_matrix(axes, matrix, max(float(np.nanpercentile(matrix, FULL_COLOUR)), 1e-12))
    place = {"location": "top", "pad": 0.03, "aspect": 22, "shrink": 0.9}
    figure.colorbar(image, ax=axes, label=label, extend="max", **place)


def _name_panel(axes: Axes, names: Sequence[str], lowest: bool, leftmost: bool):
    if not axes.axison:
        return
    name_neurons(axes, names)
    axes.tick_params(labelleft=leftmost, labelbottom=lowest)
    axes.set(ylabel="sender" if leftmost else "", xlabel="receiver" if lowest else "")


def _draw_between(axes: Axes, similarity: GraphSimilarity, names: Sequence[str]):
    count = len(names)
    low, high = np.nanpercentile(similarity.between_null, INTERVAL, axis=0)
    shown = np.where(np.eye(count, dtype=bool), np.nan, similarity.between)
    colour_map = matplotlib.colormaps["RdBu_r"].with_extremes(bad=LIGHT_GREY)
    axes.imshow(shown, cmap=colour_map, vmin=-1, vmax=1)
    for one, other in np.ndindex(count, count):
        value = similarity.between[one, other]
        if one == other or not np.isfinite(value):
            continue
        clear = value < low[one, other] or value > high[one, other]
        text = {"ha": "center", "va": "center", "fontweight": "bold" if clear else "normal"}
        axes.text(other, one, f"{round(value, 2) + 0.0:.2f}", color="white" if abs(value) > 0.6 else "black", **text)
    hide_frame(axes)
    axes.set_xticks(range(count), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), names)


def _draw_across(axes: Axes, similarity: GraphSimilarity, names: Sequence[str]):
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
        axes.annotate(f"{values.mean():.2f}", (place, max(values.max(), 0.0)), **text)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.set(xlim=(-0.6, len(names) - 0.4))
    drawn = np.concatenate([np.ravel(similarity.across), np.ravel(similarity.across_null), [0.0, 0.1]])
    low, high = np.nanmin(drawn), np.nanmax(drawn)
    axes.set_ylim(low - 0.05 * (high - low), high + 0.12 * (high - low))
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
