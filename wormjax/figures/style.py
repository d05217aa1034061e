"""The style that all figures share: fonts, colours that colour-blind readers can tell apart, and how a file is written.

Colours are those of Okabe and Ito (2008), Color Universal Design. Every `plot_...` returns a figure for `save_figure`;
a `draw_...` draws one panel into given axes.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wormjax.atomic_write import open_place

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW, BLACK = "#E69F00", "#56B4E9", "#F0E442", "#000000"
GREY, LIGHT_GREY = "#7A7A7A", "#DDDDDD"
OBJECT_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MODEL_COLOURS = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY, BLACK)

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "image.interpolation": "nearest",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
}

styled = matplotlib.rc_context(STYLE)  # Decorates a function that draws.


def make_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """Return an empty figure (inches), without pyplot's global state; the layout "compressed" suits square panels."""
    return Figure(figsize=(width, height), layout=layout)


def wrap_name(text: str, letters: int) -> str:
    """Return text in lines of at most `letters`; the long names of recordings are broken after "_" and "-", too."""
    lines = [""]
    for piece in re.findall(r"[^_\- ]*[_\- ]?", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > letters:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def finish_figure(figure: Figure, title: str, handles: Sequence[Artist] = (), **legend) -> Figure:
    """Write the figure's title, in lines that fit, and a legend of any handles below the panels; return the figure."""
    if handles:
        figure.legend(handles=handles, **{"loc": "outside lower center", "ncols": len(handles), **legend})
    figure.suptitle(wrap_name(title, int(13 * figure.get_figwidth())), fontsize=10)
    return figure


def make_dot(colour: str, label: str, **look) -> Line2D:
    """Return a dot for a legend."""
    return Line2D([], [], color=colour, label=label, **{"marker": "o", "linestyle": "none", "markersize": 5, **look})


@styled
def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure as PNG, 200 dots per inch, whole or not at all; InputError where there is no such folder."""
    with open_place(path) as beside:
        figure.savefig(beside, format="png", dpi=200, bbox_inches="tight", pad_inches=0.06)


NamedFigures = Iterable[tuple[str, Figure]]


def save_figures(workdir: Path, plots: NamedFigures) -> None:
    """Write each figure to figures/NAME.png in a workdir, as soon as it is drawn."""
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in plots:
        save_figure(figure, folder / f"{name}.png")


def hide_frame(axes: Axes) -> None:
    """Remove the box and the tick marks of axes that show an image."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def find_limits(values: Float[np.ndarray, "..."], below: float, above: float) -> tuple[float, float]:
    """Return limits of an axis around values, NaN left out, with room below and above in shares of their range."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    spread = max(high - low, 1e-6)
    return low - below * spread, high + above * spread


def frame_points(axes: Axes, points: Float[np.ndarray, "point 2"], room: float) -> None:
    """Set square limits around points, `room` times as wide as they spread, with a pale box and no ticks."""
    centre = (points.max(axis=0) + points.min(axis=0)) / 2
    half = max(np.ptp(points, axis=0).max(), 1e-6) * 0.5 * room
    axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half), aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=LIGHT_GREY)
