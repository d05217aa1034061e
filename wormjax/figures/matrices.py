"""Matrices [sender, receiver] of named neurons, in an order in which related neurons lie side by side."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from wormjax.figures.style import LIGHT_GREY, hide_frame
from wormjax.recordings.names import split_neuron_name

Matrix = Float[np.ndarray, "sender receiver"]


def order_by_class(names: Sequence[str]) -> list[int]:
    """Return the order of neurons by class, then name."""
    return sorted(range(len(names)), key=lambda k: (split_neuron_name(names[k])[0], names[k]))


def cluster_neurons(similarity: Float[np.ndarray, "neuron neuron"]) -> list[int]:
    """Return the order of neurons by hierarchical clustering (average linkage), so that groups are seen as blocks.

    `similarity` is 1 for neurons that are the same; where it is not symmetric, its mean with its transpose counts.
    """
    if len(similarity) < 3:
        return list(range(len(similarity)))
    distance = 1.0 - (np.asarray(similarity, float) + np.transpose(similarity)) / 2
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(np.maximum(distance, 0.0), checks=False), method="average", optimal_ordering=True)
    return leaves_list(tree).tolist()


def arrange_matrix(matrix: Matrix, order: Sequence[int]) -> Matrix:
    """Return a copy of a matrix with its rows and columns in another order, and no diagonal (NaN)."""
    arranged = np.array(matrix, float)[np.ix_(order, order)]
    np.fill_diagonal(arranged, np.nan)
    return arranged


def draw_matrix(
    axes: Axes,
    matrix: Matrix,
    names: Sequence[str],
    low: float | None = None,
    high: float | None = None,
    colours: str = "cividis",
) -> Axes:
    """Draw a matrix with the names of its neurons; grey where it is NaN. The image is `axes.images[0]`."""
    colour_map = matplotlib.colormaps[colours].with_extremes(bad=LIGHT_GREY)
    axes.imshow(matrix, cmap=colour_map, vmin=low, vmax=high)
    size = 7 if len(names) <= 20 else 5.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel="receiver", ylabel="sender")
    hide_frame(axes)
    return axes


def draw_differences(axes: Axes, matrix: Matrix, names: Sequence[str], largest: float) -> Axes:
    """Draw a matrix of signed values: red above zero, blue below, white at zero, grey where there is none."""
    return draw_matrix(axes, matrix, names, -largest, largest, "RdBu_r")


def draw_correlations(
    axes: Axes,
    values: Float[np.ndarray, "row column"],
    names: Sequence[str],
    bold: Bool[np.ndarray, "row column"] | None = None,
) -> Axes:
    """Draw correlations in colour and in numbers, grey where there is none; those marked `bold` in bold."""
    axes.imshow(values, cmap=matplotlib.colormaps["RdBu_r"].with_extremes(bad=LIGHT_GREY), vmin=-1, vmax=1)
    for row, column in np.argwhere(np.isfinite(values)):
        value, weight = values[row, column], "bold" if bold is not None and bold[row, column] else "normal"
        look = {"fontsize": 8, "fontweight": weight, "color": "white" if abs(value) > 0.6 else "black"}
        axes.text(column, row, format_correlation(value), ha="center", va="center", **look)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    hide_frame(axes)
    return axes


def format_correlation(value: float) -> str:
    """Return a correlation in two decimals, with the minus of the axes and without a minus zero."""
    return f"{round(float(value), 2) + 0.0:.2f}".replace("-", "−")


def find_largest(values: Float[np.ndarray, "..."]) -> float:
    """Return the largest absolute value, for a scale around zero; at least 0.01, below which no colour is full."""
    return float(np.max(np.abs(values[np.isfinite(values)]), initial=0.01))
