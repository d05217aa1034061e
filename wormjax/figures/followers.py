"""Who follows whom in a model: the change of each neuron some time after one neuron was set higher."""

import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from wormjax.figures.graph import order_by_class
from wormjax.figures.graphs_by_state import arrange_matrix, draw_differences, find_largest, name_neurons
from wormjax.figures.style import make_figure, save_figure, set_title, styled


@styled
def plot_followers(
    responses: Float[np.ndarray, "neuron follower"],
    neuron_names: Sequence[str],
    path: str | os.PathLike,
    seconds: float,
    title: str = "Who follows whom in the model",
) -> Figure:
    """Draws the mean change of each follower after each neuron was set one standard deviation higher.

    Args:
      responses: [neuron that was set, follower], in standard deviations of the follower; the diagonal is left out.
      neuron_names: names of rows and columns; both are drawn in order of class.
      path: the PNG to write.
      seconds: the time from setting to reading.
      title: the figure's title.

    Raises:
      ValueError: the matrix does not fit the names.
    """
    count = len(neuron_names)
    if np.shape(responses) != (count, count):
        raise ValueError(f"found responses of shape {np.shape(responses)}, expected {(count, count)}")
    order = order_by_class(neuron_names)
    matrix = arrange_matrix(responses, order)
    side = max(3.0, 0.19 * count + 0.6)
    figure = make_figure(side + 1.6, side + 0.8, layout="compressed")
    axes = figure.subplots()
    image = draw_differences(axes, matrix, find_largest(matrix))
    name_neurons(axes, [neuron_names[k] for k in order])
    axes.set(xlabel="follower", ylabel="neuron set one s.d. higher")
    figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02, label=f"change of the follower after {seconds:.3g} s (s.d.)")
    set_title(figure, title)
    return save_figure(figure, path)
