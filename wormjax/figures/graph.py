"""The inferred graph over named neurons: its strongest edges on a circle, and all edges as a matrix.

The neurons stand in order of their class (AVAL and AVAR are of class AVA), so that left and right lie side by side.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from wormjax.figures.matrices import arrange_matrix, draw_matrix, order_by_class
from wormjax.figures.style import BLUE, ORANGE, finish_figure, make_figure, styled
from wormjax.graphs import mark_strongest
from wormjax.recordings.names import split_neuron_name

ARROW = {  # Bent, so that an edge and its reverse are both seen.
    "connectionstyle": "arc3,rad=0.15",
    "arrowstyle": "-|>,head_length=4,head_width=2",
    "shrinkA": 5,
    "shrinkB": 5,
}


@styled
def plot_graph(
    edge_probabilities: Float[np.ndarray, "sender receiver"],
    neuron_names: Sequence[str],
    title: str = "Inferred graph",
    top_edges: int | None = None,
    worm_probabilities: Float[np.ndarray, "worm sender receiver"] | None = None,
) -> Figure:
    """Plot the probability of each directed edge: the `top_edges` strongest as arrows, all as a matrix.

    `top_edges` are twice the number of neurons by default; the diagonal is ignored. Each worm's own probabilities add a
    matrix of the share of worms in which an edge is among the worm's own strongest.
    """
    order = order_by_class(neuron_names)
    names = [neuron_names[k] for k in order]
    matrix = arrange_matrix(edge_probabilities, order)
    top_edges = min(top_edges or 2 * len(names), len(names) * (len(names) - 1))
    matrices = {"edge probability": (matrix, np.nanmin(matrix), np.nanmax(matrix))}
    if worm_probabilities is not None:
        chosen = [mark_strongest(arrange_matrix(one, order), top_edges) for one in worm_probabilities]
        share = np.where(np.eye(len(names), dtype=bool), np.nan, np.mean(chosen, axis=0))
        matrices[f"share of {len(chosen)} worms with the edge in their top {top_edges}"] = share, 0, 1
    figure = make_figure(3.9 * (1 + len(matrices)), 4.0, layout="compressed")
    circle, *panels = figure.subplots(1, 1 + len(matrices))
    draw_circle(circle, matrix, names, top_edges)
    for axes, (label, (values, low, high)) in zip(panels, matrices.items(), strict=True):
        draw_matrix(axes, values, names, low, high).set_title(label)
        figure.colorbar(axes.images[0], ax=axes, shrink=0.75, pad=0.02)
    figure.get_layout_engine().set(h_pad=0.1)
    return finish_figure(figure, title)


def draw_circle(axes: Axes, matrix: Float[np.ndarray, "sender receiver"], names: Sequence[str], top_edges: int) -> Axes:
    """Draw the neurons on a circle, with their strongest edges as arrows, the stronger the wider and darker."""
    classes = [split_neuron_name(name)[0] for name in names]
    # A wider step between two classes; the first step closes the circle.
    angles, points = place_on_circle([1.0 if classes[k] == classes[k - 1] else 1.6 for k in range(len(names))])
    senders, receivers = np.nonzero(mark_strongest(matrix, top_edges))
    values = matrix[senders, receivers]
    weights = (values - values.min()) / max(np.ptp(values), 1e-12) if len(values) else values
    for sender, receiver, weight in zip(senders, receivers, weights, strict=True):
        look = {"linewidth": 0.5 + 1.5 * weight, "alpha": 0.25 + 0.65 * weight, "zorder": 1 + weight}
        axes.add_patch(FancyArrowPatch(points[sender], points[receiver], color=BLUE, **look, **ARROW))
    axes.plot(*points.T, "o", color=ORANGE, markersize=9, markeredgecolor="white", zorder=3)
    write_around(axes, names, angles, 1.1, fontsize=8)
    if len(values):
        axes.set_title(f"the {len(values)} strongest edges ({values.min():.2f} to {values.max():.2f})")
    return axes


def write_around(axes: Axes, names: Sequence[str], angles: Sequence[float], radius: float, **look) -> None:
    """Write names around a circle of radius 1, each turned to be read from the left, and hide the axes."""
    for name, angle in zip(names, angles, strict=True):
        turn = np.degrees(angle) % 360
        left = 90 < turn < 270
        place = {"rotation": turn - 180 if left else turn, "rotation_mode": "anchor", "va": "center"}
        point = radius * np.cos(angle), radius * np.sin(angle)
        axes.text(*point, name, ha="right" if left else "left", **place, **look)
    axes.set(xlim=(-radius - 0.3, radius + 0.3), ylim=(-radius - 0.3, radius + 0.3), aspect="equal")
    axes.set_axis_off()


def place_on_circle(steps: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the angles and places of points, clockwise from the top; each step leads to its point from the last."""
    angles = np.pi / 2 - 2 * np.pi * np.cumsum([0.0, *steps[1:]]) / sum(steps)
    return angles, np.stack([np.cos(angles), np.sin(angles)], axis=1)
