"""Error of prediction by step: how far each model's roll-outs stay with the true systems.

After Table 2 of Kipf, Fetaya et al. (2018, arXiv 1802.04687), whose numbers are drawn in as open markers.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wormjax.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    make_figure,
    save_figure,
    set_title,
    styled,
)
from wormjax.scoring.published import LSTM, NRI, STATIC, PublishedResult

COLOURS = {"nri": VERMILLION, "nri_true_graph": BLACK, "lstm": BLUE, "var": GREEN, "static": GREY}
SPARE_COLOURS = (PURPLE, SKY, ORANGE)
THIN = ("nri_true_graph", "lstm", "var", "static")  # Bounds and baselines, dashed.
PUBLISHED_AS = {NRI: "nri", LSTM: "lstm", STATIC: "static"}  # Their model → ours, whose colour it has.
MARKERS = ("o", "s", "^", "D", "v")
LABEL_DISTANCE = 0.055  # Of two labels, in heights of the panel.


@styled
def plot_roll_out_error(
    errors: Mapping[str, Float[np.ndarray, " step"] | Float[np.ndarray, "run step"]],
    path: str | os.PathLike,
    published: Sequence[PublishedResult] = (),
    title: str = "Error of prediction on test systems",
) -> Figure:
    """Draws the mean squared error after 1, 2, ... steps, a line a model, on a logarithmic axis.

    Args:
      errors: model → its error at each step, in scaled units; of several runs the mean is drawn, and their range.
      path: the PNG to write.
      published: others' numbers (`find_published_systems`); those of errors are drawn as open markers.
      title: the figure's title.
    """
    figure = make_figure(6.0, 3.7)
    axes = figure.subplots()
    spare = iter(SPARE_COLOURS * (1 + len(errors)))
    colours = {model: COLOURS[model] if model in COLOURS else next(spare) for model in errors}
    ends = {model: _draw_model(axes, np.asarray(errors[model], float), model, colours[model]) for model in errors}
    steps = max(len(line.get_xdata()) for line in axes.get_lines())
    markers = _draw_published(axes, published, steps, colours)
    axes.set_yscale("log")
    axes.set(xlim=(0.3, steps + 0.4), xlabel="steps after the last frame given", ylabel="mean squared error")
    axes.set_xticks([1, *range(5, steps + 1, 5)] if steps <= 40 else [1, *range(10, steps + 1, 10)])
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)
    _label_ends(axes, ends, colours)
    if markers:
        axes.legend(handles=markers, loc="best", title=published[0].source, title_fontsize=8)
    set_title(figure, title)
    return save_figure(figure, path)


def spread_labels(heights: Sequence[float], distance: float) -> np.ndarray:
    """Heights of labels, each as near to its own as at least `distance` from one to the next allows.

    Least squares: labels that would touch become one block, which lies at the mean of where its labels want to be.
    """
    order = np.argsort(heights, kind="stable")
    blocks: list[list[float]] = []  # What each label would have its block's foot at.
    for height in np.asarray(heights, float)[order]:
        blocks.append([height])
        while len(blocks) > 1 and np.mean(blocks[-2]) + distance * len(blocks[-2]) > np.mean(blocks[-1]):
            shift = distance * len(blocks[-2])
            last = blocks.pop()
            blocks[-1] += [foot - shift for foot in last]
    placed = np.empty(len(order))
    placed[order] = [np.mean(block) + distance * place for block in blocks for place in range(len(block))]
    return placed


def _draw_model(axes: Axes, errors: np.ndarray, model: str, colour: str) -> float:
    """Draws a model's line; its height at the last step."""
    runs = np.where(errors > 0, errors, np.nan)  # Nothing is exactly right; a logarithm has no place for it.
    steps = np.arange(1, runs.shape[-1] + 1)
    mean = runs.mean(axis=0) if runs.ndim == 2 else runs
    line = {"linestyle": (0, (4, 1.5)), "linewidth": 1.2} if model in THIN else {"linewidth": 1.8}
    axes.plot(steps, mean, color=colour, label=model, zorder=3, **line)
    if runs.ndim == 2 and len(runs) > 1:
        axes.fill_between(steps, runs.min(axis=0), runs.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    known = mean[np.isfinite(mean)]
    return float(known[-1]) if len(known) else np.nan


def _draw_published(axes: Axes, published: Sequence[PublishedResult], last: int, colours: Mapping[str, str]):
    """Draws others' errors as open markers; what the legend needs of them."""
    handles = []
    results = [result for result in published if result.metric.startswith("mse@")]
    for number, model in enumerate(dict.fromkeys(result.model for result in results)):
        points = [(int(r.metric.removeprefix("mse@")), r.mean) for r in results if r.model == model]
        ours = PUBLISHED_AS.get(model)
        style = {
            "color": colours.get(ours, COLOURS.get(ours, BLACK)),
            "marker": MARKERS[number % len(MARKERS)],
            "linestyle": "none",
            "markerfacecolor": "white",
            "markeredgewidth": 1.2,
            "zorder": 4,
        }
        shown = [point for point in points if point[0] <= last]
        if shown:
            axes.plot(*zip(*shown, strict=True), clip_on=False, **style)
            handles.append(Line2D([], [], label=model, **style))
    return handles


def _label_ends(axes: Axes, ends: Mapping[str, float], colours: Mapping[str, str]):
    """Write each model's name beside its line's end, in its colour, none over another."""
    ends = {model: end for model, end in ends.items() if np.isfinite(end)}
    low, high = np.log(axes.get_ylim())
    heights = [(np.log(end) - low) / (high - low) for end in ends.values()]
    for (model, height), place in zip(
        zip(ends, heights, strict=True), spread_labels(heights, LABEL_DISTANCE), strict=True
    ):
        axes.annotate(
            model,
            xy=(1.005, height),
            xytext=(1.04, place),
            xycoords="axes fraction",
            color=colours[model],
            va="center",
            fontsize=8.5,
            arrowprops={
                "arrowstyle": "-",
                "color": colours[model],
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
