"""The inferred graph in each motor state: the mean over states, and how each state's graph departs from it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from wormjax.figures.matrices import arrange_matrix, draw_differences, draw_matrix, find_largest, order_by_class
from wormjax.figures.motor_states import colour_states
from wormjax.figures.style import finish_figure, make_figure, styled


@styled
def plot_graphs_by_state(
    probabilities: Mapping[str, Float[np.ndarray, "sender receiver"]],
    neuron_names: Sequence[str],
    title: str = "Inferred graph by motor state",
) -> Figure:
    """Plot the mean edge probability over states, then each state's difference from it, on one scale for all.

    States weigh the same in the mean, however many frames they have; the diagonal is left out (grey).

    Args:
      probabilities: motor state → probability of an edge from sender to receiver; NaN where there is none.
    """
    order = order_by_class(neuron_names)
    names = [neuron_names[k] for k in order]
    matrices = np.stack([arrange_matrix(matrix, order) for matrix in probabilities.values()])
    known = np.isfinite(matrices)
    total, states = np.where(known, matrices, 0).sum(axis=0), known.sum(axis=0)
    mean = np.divide(total, states, out=np.full(total.shape, np.nan), where=states > 0)
    count = 1 + len(matrices)
    columns = count if count <= 3 else math.ceil(count / 2)
    rows = math.ceil(count / columns)
    side = max(1.9, (0.135 if len(names) <= 20 else 0.1) * len(names) + 0.2)  # As large as the names are.
    figure = make_figure(side * columns + 2.4, (side + 0.35) * rows + 0.9, layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    panels, largest = list(grid.flat)[:count], find_largest(matrices - mean)
    draw_matrix(panels[0], mean, names).set_title("mean over states", fontweight="bold")
    for axes, state, matrix, colour in zip(
        panels[1:], probabilities, matrices, colour_states([*probabilities]), strict=True
    ):
        draw_differences(axes, matrix - mean, names, largest).set_title(
            f"{state} − mean", color=colour, fontweight="bold"
        )
    for number, axes in enumerate(grid.flat):
        axes.set_visible(number < len(panels))
        left, lowest = number % columns == 0, number + columns >= len(panels)
        axes.tick_params(labelleft=left, labelbottom=lowest)
        axes.set(ylabel="sender" if left else "", xlabel="receiver" if lowest else "")
    bar = {"ax": grid, "shrink": 0.8, "aspect": 30}
    figure.colorbar(panels[-1].images[0], label="difference from the mean", **bar)
    figure.colorbar(panels[0].images[0], label="edge probability (mean over states)", **bar)
    return finish_figure(figure, title)
