"""Edges that change, frame by frame: the true ones of one system above those that each model infers."""

import textwrap
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from wormjax.figures.names import spell_name
from wormjax.figures.style import finish_figure, hide_frame, make_figure, styled
from wormjax.recordings.recording import UNSCORED


@styled
def plot_changing_edges(
    true: Int[np.ndarray, "interval edge"],
    probabilities: Mapping[str, Float[np.ndarray, "interval edge type"]],
    frame_interval: float,
) -> Figure:
    """Plot a heat map per model, a row per edge and a column per frame: the probability of any type but the first.

    A true type of -1 is not known; types are matched to the true ones; the frame interval is in seconds.
    """
    intervals, edges = true.shape
    objects = round(0.5 + np.sqrt(0.25 + edges))
    parts = {"true": np.where(true == UNSCORED, np.nan, true > 0)}
    parts |= {name: 1.0 - values[..., 0] for name, values in probabilities.items()}
    figure = make_figure(6.0, 1.0 + len(parts) * max(0.5, 0.055 * edges))
    panels = figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0]
    ends = np.arange(1, objects + 1) * (objects - 1)  # Edges are sorted by receiver.
    for panel, (name, values) in zip(panels, parts.items(), strict=True):
        times = frame_interval * np.arange(intervals + 1)
        drawn = panel.pcolormesh(times, np.arange(edges + 1), values.T, cmap="Blues", vmin=0, vmax=1, rasterized=True)
        panel.set_yticks(ends - (objects - 1) / 2, range(1, objects + 1))
        panel.set_ylabel(textwrap.fill(spell_name(name), 14), fontsize=8)
        panel.invert_yaxis()
        hide_frame(panel)
    panels[-1].set_xlabel("time (s); rows: edges by the object that they arrive at")
    figure.colorbar(drawn, ax=list(panels), label="probability of an edge", pad=0.01, aspect=30)
    return finish_figure(figure, "Edges of a test system")
