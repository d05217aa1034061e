"""Learning curves: how loss and accuracy go with training, over all runs of an ensemble."""

import os
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.figures.style import GREY, MODEL_COLOURS, make_figure, save_figure, set_title, styled


@styled
def plot_learning_curves(
    curves: Mapping[str, Mapping[str, Float[np.ndarray, "run point"]]],
    steps: Float[np.ndarray, " point"],
    path: str | os.PathLike,
    title: str = "Training",
    step_name: str = "update",
    best_steps: Float[np.ndarray, " run"] | None = None,
) -> Figure:
    """Draws a panel a quantity: the median over runs and the band that holds 80 % of them.

    Args:
      curves: quantity ("loss", "accuracy") → split ("training", "validation") → values of each run at each point.
      steps: where on the time axis the points lie, in updates or epochs.
      path: the PNG to write.
      title: for instance the model.
      step_name: what a step is, for the axis.
      best_steps: the step whose parameters each run kept; marked at the foot of each panel.
    """
    figure = make_figure(3.4 * len(curves) + 0.3, 2.9)
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (quantity, by_split) in zip(panels, curves.items(), strict=True):
        for colour, (split, values) in zip(MODEL_COLOURS, by_split.items(), strict=False):
            _draw_runs(axes, np.asarray(steps), np.asarray(values, float), split, colour)
        if best_steps is not None:
            foot = np.full(len(best_steps), 0.02)
            label = "best, by validation"
            place = {"transform": axes.get_xaxis_transform(), "label": label, "color": GREY, "alpha": 0.6}
            axes.plot(best_steps, foot, "|", markersize=7, **place)
        axes.set(xlabel=step_name, ylabel=quantity)
        axes.margins(x=0.01)
    panels[0].legend()
    runs = len(next(iter(next(iter(curves.values())).values())))
    set_title(figure, f"{title} ({runs} runs: median, 10th to 90th percentile)")
    return save_figure(figure, path)


def _draw_runs(axes: Axes, steps: np.ndarray, values: np.ndarray, label: str, colour: str):
    low, middle, high = np.nanpercentile(values, [10, 50, 90], axis=0)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(steps, middle, color=colour, label=label)
