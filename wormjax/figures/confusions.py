"""Confusion matrices of motor states or edge types, one per model."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.figures.names import spell_name
from wormjax.figures.style import hide_frame, make_figure, styled

PANELS_PER_ROW = 4


@styled
def plot_confusions(
    confusions: Mapping[str, Int[np.ndarray, "true predicted"]],
    names: Sequence[str],
    kind: str = "state",
    unit: str = "frame",
    decided: str = "decoded",
) -> Figure:
    """Plot each model's confusion matrix: shares of each true class, with the number of items below.

    Counts are summed over worms and runs. A class is called `kind`, an item `unit`, a decision `decided`: of edges
    "type", "edge", "inferred".
    """
    lines = math.ceil(len(confusions) / PANELS_PER_ROW)
    columns = math.ceil(len(confusions) / lines)
    side = 0.55 * len(names) + 0.3
    figure = make_figure(max(side * columns + 1.3, 3.6), (side + 0.35) * lines + 1.25, layout="compressed")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for number, axes in enumerate(panels.flat):
        axes.set_visible(number < len(confusions))
        axes.tick_params(labelbottom=number + columns >= len(confusions))
    for axes, (model, counts) in zip(panels.flat, confusions.items(), strict=False):
        draw_confusion(axes, np.asarray(counts), names).set_title(textwrap.fill(spell_name(model), 24))
    text = f"{decided} {kind}\n(share of the true {kind}'s {unit}s; number of {unit}s below)"
    figure.supxlabel(text, fontsize=8)
    figure.supylabel(f"true {kind}", fontsize=8)
    return figure


def draw_confusion(axes: Axes, counts: Int[np.ndarray, "true predicted"], names: Sequence[str]) -> Axes:
    """Draw one confusion matrix, shares in colour and in numbers, counts in small."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true, predicted in np.ndindex(counts.shape):
        style = {"ha": "center", "va": "center", "color": "white" if shares[true, predicted] > 0.55 else "black"}
        share = f"{shares[true, predicted]:.2f}" if totals[true] else "-"
        axes.text(predicted, true - 0.1, share, fontsize=8, **style)
        axes.text(predicted, true + 0.26, shorten_count(counts[true, predicted]), fontsize=6, **style)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    hide_frame(axes)
    return axes


def shorten_count(count: int) -> str:
    """Return a count in at most five characters where it is below a thousand million: 812, 12.3k, 1.2M."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit * 10 or (unit > 1_000 and count >= unit):
            return f"{count / unit:.3g}{name}"
    return str(int(count))
