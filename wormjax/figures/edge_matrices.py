"""The directed edges of one system as matrices: the true ones beside those that each method infers."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from wormjax.figures.matrices import draw_matrix
from wormjax.figures.names import spell_name
from wormjax.figures.style import finish_figure, make_figure, styled


@styled
def plot_edge_matrices(
    true: Bool[np.ndarray, "sender receiver"],
    scores: Mapping[str, Float[np.ndarray, "sender receiver"]],
    names: Sequence[str] = (),
    title: str = "Edges of a test system",
) -> Figure:
    """Plot a matrix per method, from 0 to 1, with a dot at each true edge.

    Args:
      true: which edges there are.
      scores: method → probability or strength of each edge; the diagonal is not drawn.
      names: of the objects; numbers where they have none.
    """
    count = len(true)
    names = names or [str(k + 1) for k in range(count)]
    side = max(1.9, 0.15 * count)
    figure = make_figure(side * (1 + len(scores)) + 1.2, side + 0.9, layout="compressed")
    panels = figure.subplots(1, 1 + len(scores), squeeze=False)[0]
    senders, receivers = np.nonzero(true & ~np.eye(count, dtype=bool))
    for panel, (name, values) in zip(panels, {"true": np.asarray(true, float), **scores}.items(), strict=True):
        shown = np.where(np.eye(count, dtype=bool), np.nan, values)
        draw_matrix(panel, shown, names, 0.0, 1.0)
        panel.set_title(textwrap.fill(spell_name(name), 24))
        if name != "true":
            panel.plot(receivers, senders, "o", markersize=2.5, markeredgecolor="black", markerfacecolor="white")
            panel.set_ylabel("")
            panel.tick_params(labelleft=False)
    figure.colorbar(panels[-1].images[0], ax=list(panels), shrink=0.8, pad=0.02, aspect=15)
    return finish_figure(figure, title)
