"""The style that all figures share: fonts, colours that colour-blind readers can tell apart, and how a file is written.

Colours are those of Okabe and Ito (2008), Color Universal Design.
"""

import os
import textwrap
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.atomic_write import open_place

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW, BLACK = "#E69F00", "#56B4E9", "#F0E442", "#000000"
GREY, LIGHT_GREY = "#7A7A7A", "#DDDDDD"

MODEL_COLOURS = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY, BLACK)
MODEL_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STATE_COLOURS = {"reverse": VERMILLION, "forward": BLUE, "dorsal turn": GREEN, "ventral turn": PURPLE}
SPARE_STATE_COLOURS = (ORANGE, SKY, YELLOW, BLACK)

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
DOTS_PER_INCH = 200

styled = matplotlib.rc_context(STYLE)  # Decorates a function that draws.


def colour_states(state_names: Sequence[str]) -> list[str]:
    """A colour for each motor state; the four of Wang et al. always have the same."""
    spare = iter(SPARE_STATE_COLOURS * len(state_names))
    return [STATE_COLOURS[name] if name in STATE_COLOURS else next(spare) for name in state_names]


def make_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """An empty figure (inches), tied to no window and to no global state; "compressed" suits square panels."""
    return Figure(figsize=(width, height), layout=layout)


def set_title(figure: Figure, title: str) -> None:
    """Writes the figure's title, in lines that fit its width (the names of recordings are long)."""
    figure.suptitle(textwrap.fill(title, int(13 * figure.get_figwidth()), break_on_hyphens=False), fontsize=10)


def save_figure(figure: Figure, path: str | os.PathLike) -> Figure:
    """Writes a figure as PNG, 200 dots per inch, whole or not at all; returns it.

    Raises:
      InputError: the folder of `path` does not exist.
    """
    with open_place(path) as beside:
        figure.savefig(beside, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", pad_inches=0.06)
    return figure


def hide_frame(axes: Axes) -> None:
    """Takes the box and the ticks' marks from axes that show an image."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
