"""The inferred graph in each motor state: the mean over states, and how each state's graph departs from it."""

import math
import os
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from wormjax.figures.graph import order_by_class
from wormjax.figures.style import LIGHT_GREY, colour_states, hide_frame, make_figure, save_figure, set_title, styled

LEAST_SCALE = 0.01  # Smaller differences are not worth a full colour.


@styled
def plot_graphs_by_state(
    probabilities: Mapping[str, Float[np.ndarray, "sender receiver"]],
    neuron_names: Sequence[str],
    path: str | os.PathLike,
    title: str = "Inferred graph by motor state",
) -> Figure:
    """Draws the mean edge probability over states, then each state's difference from it, on one scale for all.

    States weigh the same in the mean, however many frames they have; the diagonal is left out (grey).

    Args:
      probabilities: motor state → probability of an edge from sender to receiver; NaN where there is none.
      neuron_names: names of senders and receivers.
      path: the PNG to write.
      title: for instance the model and how many worms the probabilities are averaged over.

    Raises:
      ValueError: there is no state, or a matrix does not fit the names.
    """
    order = order_by_class(neuron_names)
    names = [neuron_names[k] for k in order]
    shapes = [np.shape(matrix) for matrix in probabilities.values()]
    if set(shapes) != {(len(names), len(names))}:
        raise ValueError(f"found matrices of shapes {shapes}, expected {(len(names), len(names))} for each state")
    matrices = np.stack([arrange_matrix(matrix, order) for matrix in probabilities.values()])
    mean = _average_states(matrices)
    largest = find_largest(matrices - mean)
    figure, first, panels, columns = _lay_out(len(matrices), len(names))
    _draw_mean(figure, first, mean, names)
    colours = colour_states([*probabilities])
    for axes, state, matrix, colour in zip(panels, probabilities, matrices, colours, strict=True):
        image = draw_differences(axes, matrix - mean, largest)
        axes.set_title(f"{state} − mean", color=colour, fontweight="bold")
    _name_panels(panels, names, columns)
    right = panels[columns - 1].inset_axes([1.06, 0.05, 0.06, 0.9])
    figure.colorbar(image, cax=right, label="difference from the mean")
    set_title(figure, title)
    return save_figure(figure, path)


def arrange_matrix(
    matrix: Float[np.ndarray, "sender receiver"], order: Sequence[int]
) -> Float[np.ndarray, "sender receiver"]:
    """A copy of a matrix with its rows and columns in another order, and no diagonal (NaN)."""
    arranged = np.array(matrix, float)[np.ix_(order, order)]
    np.fill_diagonal(arranged, np.nan)
    return arranged


def find_largest(values: Float[np.ndarray, "..."]) -> float:
    """The largest absolute value, for a scale with zero in its middle; never below LEAST_SCALE."""
    return float(np.max(np.abs(values[np.isfinite(values)]), initial=LEAST_SCALE))


def draw_differences(axes: Axes, matrix: Float[np.ndarray, "sender receiver"], largest: float) -> AxesImage:
    """Draws a matrix of values with a sign: red above zero, blue below, white at zero, grey where there is none."""
    colour_map = matplotlib.colormaps["RdBu_r"].with_extremes(bad=LIGHT_GREY)
    image = axes.imshow(matrix, cmap=colour_map, vmin=-largest, vmax=largest)
    hide_frame(axes)
    return image


def name_neurons(axes: Axes, names: Sequence[str]) -> None:
    """Writes neurons' names on both axes of a matrix, in letters that fit."""
    size = 7 if len(names) <= 20 else 5.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)


def _average_states(matrices: np.ndarray) -> np.ndarray:
    """The mean over the states that have a value; NaN where none has."""
    known = np.isfinite(matrices)
    total, count = np.where(known, matrices, 0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _lay_out(states: int, neurons: int) -> tuple[Figure, Axes, list[Axes], int]:
    """A figure with the mean's axes at the left, the states' in a square at the right, and the square's columns.

    By hand, in inches: matplotlib's layouts do not keep square panels of two sizes together.
    """
    columns = math.ceil(math.sqrt(states))
    rows = math.ceil(states / columns)
    side = max(1.9, (0.135 if neurons <= 20 else 0.1) * neurons + 0.2)  # As large as the names are.
    wide = side if rows == 1 else 1.45 * side  # Beside two rows, the mean has room to be larger.
    names, gap, title, foot = 0.75, 0.1, 0.3, 1.35
    left, top = names + wide + 0.15 + names, 0.65
    width = left + columns * (side + gap) + 1.0
    height = top + max(rows * side + (rows - 1) * title, wide) + foot
    figure = make_figure(width, height, layout="none")

    def place(x: float, y: float, size: float) -> Axes:
        return figure.add_axes((x / width, 1 - (y + size) / height, size / width, size / height))

    places = [(left + (k % columns) * (side + gap), top + (k // columns) * (side + title)) for k in range(states)]
    return figure, place(names, top, wide), [place(*corner, side) for corner in places], columns


def _draw_mean(figure: Figure, axes: Axes, mean: np.ndarray, names: Sequence[str]):
    colour_map = matplotlib.colormaps["cividis"].with_extremes(bad=LIGHT_GREY)
    image = axes.imshow(mean, cmap=colour_map)
    axes.set(title="mean over states", xlabel="receiver", ylabel="sender")
    hide_frame(axes)
    name_neurons(axes, names)
    inches = axes.get_position().height * figure.get_figheight()
    below = axes.inset_axes([0.05, -0.88 / inches, 0.9, 0.13 / inches])  # Under the names.
    figure.colorbar(image, cax=below, label="edge probability", orientation="horizontal")


def _name_panels(panels: Sequence[Axes], names: Sequence[str], columns: int):
    """Names at the left and below each column's last panel."""
    for number, axes in enumerate(panels):
        name_neurons(axes, names)
        left, lowest = number % columns == 0, number + columns >= len(panels)
        axes.tick_params(labelleft=left, labelbottom=lowest)
        axes.set(ylabel="sender" if left else "", xlabel="receiver" if lowest else "")
