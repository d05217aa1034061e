"""Confusion matrices: which motor states a model takes for which, one panel a model."""

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.figures.style import hide_frame, make_figure, save_figure, styled

PANELS_A_ROW = 4


@styled
def plot_confusions(
    confusions: Mapping[str, Int[np.ndarray, "true predicted"]],
    state_names: Sequence[str],
    path: str | os.PathLike,
    kind: str = "state",
    unit: str = "frame",
    decided: str = "decoded",
) -> Figure:
    """Draws each model's confusion matrix: the share of each true state's frames, and the frames' number below.

    Args:
      confusions: model → counts [true, predicted], summed over worms and runs (`metrics.confusion`).
      state_names: the names of the states, in the order of the matrices.
      path: the PNG to write.
      kind, unit, decided: what a class, an item and a decision are called; of edges: "type", "edge", "inferred".
    """
    lines = math.ceil(len(confusions) / PANELS_A_ROW)
    columns = math.ceil(len(confusions) / lines)
    side = 0.55 * len(state_names) + 0.3
    figure = make_figure(max(side * columns + 1.3, 3.6), (side + 0.35) * lines + 1.25, layout="compressed")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (model, counts) in zip(panels.flat, confusions.items(), strict=False):
        _draw_matrix(axes, np.asarray(counts), state_names)
        axes.set_title(model)
    for axes in panels.flat[len(confusions) :]:
        axes.set_visible(False)
    for number, axes in enumerate(panels.flat[: len(confusions)]):
        axes.tick_params(labelbottom=number + columns >= len(confusions))
    text = f"{decided} {kind}\n(share of the true {kind}'s {unit}s; number of {unit}s below)"
    figure.supxlabel(text, fontsize=8)
    figure.supylabel(f"true {kind}", fontsize=8)
    return save_figure(figure, path)


def _draw_matrix(axes: Axes, counts: np.ndarray, state_names: Sequence[str]):
    frames = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(frames, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true, predicted in np.ndindex(counts.shape):
        ink = "white" if shares[true, predicted] > 0.55 else "black"
        share = f"{shares[true, predicted]:.2f}" if frames[true] else "-"
        axes.text(predicted, true - 0.1, share, ha="center", va="center", color=ink, fontsize=8)
        number = shorten_count(counts[true, predicted])
        axes.text(predicted, true + 0.26, number, ha="center", va="center", color=ink, fontsize=6)
    axes.set_xticks(range(len(state_names)), state_names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(state_names)), state_names)
    hide_frame(axes)


def shorten_count(count: int) -> str:
    """A count in at most five characters where it is below a thousand million: 812, 12.3k, 1.2M."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit * 10 or (unit > 1_000 and count >= unit):
            return f"{count / unit:.3g}{name}"
    return str(int(count))
