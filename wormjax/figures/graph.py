"""The inferred graph over named neurons: its strongest edges on a circle, and all edges as a matrix.

The neurons stand in order of their class (AVAL and AVAR are of class AVA), so that left and right lie side by side.
"""

import os
import re
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from wormjax.figures.style import BLUE, ORANGE, hide_frame, make_figure, save_figure, set_title, styled


@styled
def plot_graph(
    edge_probabilities: Float[np.ndarray, "sender receiver"],
    neuron_names: Sequence[str],
    path: str | os.PathLike,
    title: str = "Inferred graph",
    top_edges: int | None = None,
    worm_probabilities: Float[np.ndarray, "worm sender receiver"] | None = None,
) -> Figure:
    """Draws the probability of each directed edge: the strongest as arrows, all as a matrix.

    Args:
      edge_probabilities: probability of an edge from sender to receiver, in [0, 1]; the diagonal is ignored.
      neuron_names: names of senders and receivers.
      path: the PNG to write.
      title: for instance the model and how many worms the probabilities are averaged over.
      top_edges: how many edges to draw as arrows; None: twice the number of neurons.
      worm_probabilities: each worm's own probabilities; adds a matrix of the share of worms in which an edge is
        among the worm's own `top_edges` strongest.
    """
    order = order_by_class(neuron_names)
    names = [neuron_names[k] for k in order]
    matrix = _arrange(edge_probabilities, order)
    top_edges = min(top_edges or 2 * len(names), len(names) * (len(names) - 1))
    panels_wide = 2 if worm_probabilities is None else 3
    figure = make_figure(3.9 * panels_wide, 4.0, layout="compressed")
    panels = figure.subplots(1, panels_wide)
    _draw_circle(panels[0], matrix, names, top_edges)
    _draw_matrix(figure, panels[1], matrix, names, "edge probability", np.nanmin(matrix), np.nanmax(matrix))
    if worm_probabilities is not None:
        chosen = [mark_strongest(_arrange(one, order), top_edges) for one in worm_probabilities]
        agreement = np.where(np.eye(len(names), dtype=bool), np.nan, np.mean(chosen, axis=0))
        label = f"share of {len(chosen)} worms with the edge in their top {top_edges}"
        _draw_matrix(figure, panels[2], agreement, names, label, 0, 1)
    set_title(figure, title)
    figure.get_layout_engine().set(h_pad=0.1)
    return save_figure(figure, path)


def find_class(name: str) -> str:
    """The class of a neuron: its name without side, quadrant or number.

    AVAL → AVA, RMED → RME, VB01 → VB; pharyngeal neurons too (I1L → I1, MCL → MC).
    """
    pharyngeal = re.fullmatch(r"([IM]\d|MC)[LR]", name)
    return pharyngeal[1] if pharyngeal else re.sub(r"\d+$", "", name)[:3]


def order_by_class(names: Sequence[str]) -> list[int]:
    """The order of neurons by class, then name."""
    return sorted(range(len(names)), key=lambda k: (find_class(names[k]), names[k]))


def mark_strongest(probabilities: Float[np.ndarray, "neuron neuron"], count: int) -> np.ndarray:
    """Marks the `count` strongest edges of a matrix, NaN left out; of equal ones the first."""
    ranked = np.argsort(np.where(np.isnan(probabilities), np.inf, -probabilities), axis=None, kind="stable")
    marked = np.zeros(probabilities.size, bool)
    marked[ranked[:count]] = True
    return marked.reshape(probabilities.shape)


def _arrange(probabilities: np.ndarray, order: Sequence[int]) -> np.ndarray:
    matrix = np.asarray(probabilities, float)[np.ix_(order, order)]
    np.fill_diagonal(matrix, np.nan)
    return matrix


def _place_on_circle(names: Sequence[str]) -> np.ndarray:
    """Angles of the neurons, clockwise from the top, with a wider step between two classes."""
    classes = [find_class(name) for name in names]
    steps = [1.0 if classes[k] == classes[k - 1] else 1.6 for k in range(len(names))]  # The first closes the circle.
    places = np.cumsum([0.0, *steps[1:]])
    return np.pi / 2 - 2 * np.pi * places / sum(steps)


def _draw_circle(axes: Axes, matrix: np.ndarray, names: Sequence[str], top_edges: int):
    angles = _place_on_circle(names)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    chosen = np.argwhere(mark_strongest(matrix, top_edges))
    values = np.array([matrix[sender, receiver] for sender, receiver in chosen])
    weights = (values - values.min()) / max(np.ptp(values), 1e-12)
    for (sender, receiver), weight in sorted(zip(map(tuple, chosen), weights, strict=True), key=lambda item: item[1]):
        axes.add_patch(_make_arrow(points[sender], points[receiver], weight))
    for name, point, angle in zip(names, points, angles, strict=True):
        axes.plot(*point, "o", color=ORANGE, markersize=9, markeredgecolor="white", zorder=3)
        turn = np.degrees(angle) % 360
        left = 90 < turn < 270
        axes.text(
            *(1.1 * point),
            name,
            rotation=turn - 180 if left else turn,
            ha="right" if left else "left",
            va="center",
            rotation_mode="anchor",
            fontsize=8,
        )
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
    axes.set_axis_off()
    axes.set_title(f"the {len(chosen)} strongest edges ({values.min():.2f} to {values.max():.2f})")


def _make_arrow(start: np.ndarray, stop: np.ndarray, weight: float) -> FancyArrowPatch:
    return FancyArrowPatch(
        start,
        stop,
        connectionstyle="arc3,rad=0.15",  # Bent, so that an edge and its reverse are both seen.
        arrowstyle="-|>,head_length=4,head_width=2",
        shrinkA=5,
        shrinkB=5,
        linewidth=0.5 + 1.5 * weight,
        alpha=0.25 + 0.65 * weight,
        color=BLUE,
        zorder=1 + weight,
    )


def _draw_matrix(
    figure: Figure, axes: Axes, matrix: np.ndarray, names: Sequence[str], title: str, low: float, high: float
):
    colour_map = matplotlib.colormaps["cividis"].with_extremes(bad="white")
    image = axes.imshow(matrix, cmap=colour_map, vmin=low, vmax=high)
    size = 7.5 if len(names) <= 20 else 5.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel="receiver", ylabel="sender")
    hide_frame(axes)
    figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
    axes.set_title(title)
