"""Manifolds of worm dynamics: trajectories in three dimensions and their phase plots, coloured by motor state.

After figures 2 and 4 of Kato et al. (2015), Cell 163:656; with the variance that the components carry.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from wormjax.figures.lines import MODEL_MARKERS
from wormjax.figures.motor_states import colour_states, list_states
from wormjax.figures.style import BLACK, LIGHT_GREY, MODEL_COLOURS, finish_figure, make_figure, styled, wrap_name
from wormjax.recordings.recording import UNSCORED

COMPONENTS = 10  # Drawn at most, of the variance.
PAIRS = ((0, 1), (0, 2), (1, 2))
PUBLISHED_SHARE = (3, 0.65)  # Kato et al. 2015: about 65 % of the variance in three components.
VIEW = {"elev": 24, "azim": -58}  # Degrees.
SIDE = 2.35  # Inches of a panel.
NAME_LETTERS = 26  # In a line of that width.

Courses = Mapping[str, Float[np.ndarray, "frame component"]]
States = Mapping[str, Int[np.ndarray, " frame"]]


@styled
def plot_manifolds(
    courses: Courses,
    states: States,
    state_names: Sequence[str],
    captions: Mapping[str, str] | None = None,
    title: str = "Trajectories along the principal components",
) -> Figure:
    """Plot each worm's trajectory in its first three components, coloured by motor state, one panel per worm.

    Each panel has its own range, since components of different worms have no common unit. Rows of NaN break the line,
    so that an entry may hold several worms one after the other. A state of -1 was not scored (grey). Captions stand
    under names, for instance how much variance is shown.
    """
    columns = len(courses) if len(courses) <= 3 else math.ceil(len(courses) / 2)
    rows = math.ceil(len(courses) / columns)
    names = {worm: wrap_name(worm, NAME_LETTERS) for worm in courses}
    head, foot, title_height = 0.35 + 0.15 * max(name.count("\n") + 1 for name in names.values()), 0.45, 0.3
    width = max(columns * SIDE + 0.3, 3.6)
    height = title_height + rows * (head + SIDE) + foot
    figure = make_figure(width, height, layout="none")
    panels = figure.subplots(rows, columns, squeeze=False, subplot_kw={"projection": "3d", "computed_zorder": False})
    # By hand: matplotlib's layouts leave out the titles of cubes.
    top, bottom = 1 - (title_height + head) / height, foot / height
    figure.subplots_adjust(left=0, right=1, bottom=bottom, top=top, wspace=0, hspace=head / SIDE)
    for axes, (worm, course) in zip(panels.flat, courses.items(), strict=False):
        draw_course(axes, course[:, :3], states[worm], state_names)
        axes.view_init(**VIEW)
        axes.set_box_aspect((1, 1, 1), zoom=1.1)
        axes.patch.set_visible(False)  # Cubes overlap where they are empty.
        axes.set(xticks=[], yticks=[], zticks=[])
        for number, axis in enumerate((axes.xaxis, axes.yaxis, axes.zaxis), 1):
            axis.set_pane_color((1, 1, 1, 0))
            axis.line.set_color(LIGHT_GREY)
            axis.labelpad = -14
            axis.set_label_text(f"PC{number}", fontsize=7)
        axes.set_title(names[worm], fontweight="bold", y=1.17)  # Of a cube, matplotlib takes 0.92 y.
        caption = {"ha": "center", "va": "bottom", "fontsize": 8, "transform": axes.transAxes}
        axes.text2D(0.5, 1.0, (captions or {}).get(worm, ""), **caption)
    for axes in panels.flat[len(courses) :]:
        axes.remove()
    handles = list_states(np.concatenate([*states.values()]), state_names)
    columns = len(handles) if width > 0.95 * len(handles) else 3
    figure.legend(handles=handles, loc="lower center", ncols=columns, handlelength=1.0)
    return finish_figure(figure, title)


@styled
def plot_phase_plots(courses: Courses, states: States, state_names: Sequence[str]) -> Figure:
    """Plot pairs of components by motor state, a row per worm, a column per pair; see `plot_manifolds`."""
    figure = make_figure(2.1 * len(PAIRS) + 0.4, 1.75 * len(courses) + 0.7)
    panels = figure.subplots(len(courses), len(PAIRS), squeeze=False)
    for (worm, course), row in zip(courses.items(), panels, strict=True):
        for axes, pair in zip(row, PAIRS, strict=True):
            draw_course(axes, course[:, pair], states[worm], state_names)
            axes.set(xticks=[], yticks=[], xlabel=f"component {pair[0] + 1}", ylabel=f"component {pair[1] + 1}")
        place = {"transform": row[0].transAxes, "rotation": 90, "ha": "right", "va": "center"}
        row[0].text(-0.22, 0.5, wrap_name(worm, 20), fontweight="bold", **place)
    handles = list_states(np.concatenate([*states.values()]), state_names)
    return finish_figure(figure, "Phase plots of the principal components", handles, handlelength=1.0)


@styled
def plot_variance(shares: Mapping[str, Sequence[Float[np.ndarray, " component"]]]) -> Figure:
    """Plot the cumulative share of variance by the number of components, per fit: each worm thin, the mean thick."""
    figure = make_figure(4.4, 3.4)
    axes = figure.subplots()
    for number, (label, worms) in enumerate(shares.items()):
        colour, marker = MODEL_COLOURS[number % len(MODEL_COLOURS)], MODEL_MARKERS[number % len(MODEL_MARKERS)]
        drawn = min(COMPONENTS, *(len(worm) for worm in worms))
        totals = np.stack([np.cumsum(worm)[:drawn] for worm in worms])
        counts = np.arange(1, drawn + 1)
        axes.plot(counts, totals.T, color=colour, linewidth=0.6, alpha=0.45)
        axes.plot(counts, totals.mean(axis=0), color=colour, marker=marker, markersize=4, label=label, clip_on=False)
    label = "Kato et al. 2015, all recorded neurons"
    axes.plot(*PUBLISHED_SHARE, "D", color=BLACK, markerfacecolor="white", markersize=7, zorder=5, label=label)
    axes.set(xlabel="components", ylabel="cumulative share of variance", ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")
    return finish_figure(figure, "Variance carried by principal components")


def draw_course(
    axes: Axes, places: Float[np.ndarray, "frame dimension"], states: Int[np.ndarray, " frame"], names: Sequence[str]
) -> Axes:
    """Draw a trajectory in two or three dimensions by motor state: the rarest on top, unscored ones below."""
    colours = dict(enumerate(colour_states(names))) | {UNSCORED: LIGHT_GREY}
    collection = LineCollection if places.shape[1] == 2 else Line3DCollection
    segments = np.stack([places[:-1], places[1:]], axis=1)
    whole = np.isfinite(segments).all(axis=(1, 2))
    present, counts = np.unique(states[:-1][whole], return_counts=True)
    for depth, state in enumerate(present[np.lexsort((-counts, present != UNSCORED))]):
        chosen = segments[whole & (states[:-1] == state)]
        lines = collection(chosen, colors=colours[int(state)], linewidths=0.6, alpha=0.85, capstyle="round")
        lines.set_zorder(2 + depth)
        axes.add_collection(lines)
    inside = places[np.isfinite(places).all(axis=1)]
    low, high = inside.min(axis=0), inside.max(axis=0)
    margin = 0.04 * np.maximum(high - low, 1e-9)
    for letter, start, stop in zip("xyz", low - margin, high + margin, strict=False):
        axes.set(**{f"{letter}lim": (start, stop)})
    return axes
