"""Who follows whom in a model: the change of each neuron some time after one neuron was set higher."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from wormjax.figures.matrices import arrange_matrix, draw_differences, find_largest, order_by_class
from wormjax.figures.style import finish_figure, make_figure, styled


@styled
def plot_followers(
    responses: Float[np.ndarray, "neuron follower"],
    neuron_names: Sequence[str],
    seconds: float,
    title: str = "Who follows whom in the model",
) -> Figure:
    """Plot the mean change of each follower after each neuron was set one standard deviation higher.

    Args:
      responses: [neuron that was set, follower], in standard deviations of the follower; the diagonal is left out.
      neuron_names: names of rows and columns; both are drawn in order of class.
      seconds: the time from setting to reading.
    """
    order = order_by_class(neuron_names)
    matrix = arrange_matrix(responses, order)
    side = max(3.0, 0.19 * len(order) + 0.6)
    figure = make_figure(side + 1.6, side + 0.8, layout="compressed")
    axes = draw_differences(figure.subplots(), matrix, [neuron_names[k] for k in order], find_largest(matrix))
    axes.set(xlabel="follower", ylabel="neuron set one s.d. higher")
    label = f"change of the follower after {seconds:.3g} s (s.d.)"
    figure.colorbar(axes.images[0], ax=axes, shrink=0.75, pad=0.02, label=label)
    return finish_figure(figure, title)
