"""Manifolds of worm dynamics: trajectories in three dimensions and their phase plots, coloured by motor state.

The form of figures 2 and 4 of Kato et al. (2015), Cell 163:656; and how much variance the components carry.
"""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from wormjax.figures.style import (
    BLACK,
    LIGHT_GREY,
    MODEL_COLOURS,
    MODEL_MARKERS,
    colour_states,
    make_figure,
    save_figure,
    set_title,
    styled,
)
from wormjax.recordings.recording import UNSCORED

PAIRS = ((0, 1), (0, 2), (1, 2))
PUBLISHED_SHARE = (3, 0.65)  # Kato et al. 2015: about 65 % of the variance in three components.
VIEW = {"elev": 24, "azim": -58}  # Degrees.
CELL, CUBE = (2.35, 2.1), 2.5  # Inches: a panel's room, and the square in which its cube lies low.
NAME_LETTERS = 26  # In a line of that width.

Courses = Mapping[str, Float[np.ndarray, "frame component"]]
States = Mapping[str, Int[np.ndarray, " frame"]]


@styled
def plot_manifolds(
    courses: Courses,
    states: States,
    state_names: Sequence[str],
    path: str | os.PathLike,
    captions: Mapping[str, str] | None = None,
    title: str = "Trajectories along the principal components",
) -> Figure:
    """Draws each worm's trajectory in its first three components, coloured by motor state, a panel a worm.

    Axes run over each panel's own range: the components' units are no comparison between worms.

    Args:
      courses: worm → its course, three components or more. Rows of NaN break the line, so that an entry may hold
        several worms one after the other.
      states: worm → motor state of each frame, an index into `state_names`, or -1 where none was scored (grey).
      state_names: names of the motor states.
      path: the PNG to write.
      captions: worm → a line under its name, for instance how much variance is shown.
      title: for instance the study and what the components were fitted on.

    Raises:
      ValueError: no worm, fewer than three components, or states that do not fit.
    """
    _check_entries(courses, states, state_names, 3)
    columns = len(courses) if len(courses) <= 3 else math.ceil(len(courses) / 2)
    rows = math.ceil(len(courses) / columns)
    names = {worm: textwrap.wrap(worm, NAME_LETTERS) for worm in courses}
    width = max(columns * CELL[0] + 0.3, 3.6)
    head, name, foot = 0.15 + 0.17 * math.ceil(len(title) / (12 * width)), _measure_names(names), 0.3
    figure = make_figure(width, head + rows * (CELL[1] + name) + foot, layout="none")
    left = (width - columns * CELL[0]) / 2
    for number, (worm, course) in enumerate(courses.items()):
        row, column = divmod(number, columns)
        x, top = left + column * CELL[0], head + name + row * (CELL[1] + name)
        axes = _add_panel(figure, x, top)
        _draw_course(axes, np.asarray(course, float)[:, :3], np.asarray(states[worm]), state_names)
        _name_panel(figure, x + CELL[0] / 2, top, "\n".join(names[worm]), (captions or {}).get(worm, ""))
    _add_legend(figure, states, state_names, foot)
    set_title(figure, title)
    return save_figure(figure, path)


@styled
def plot_phase_plots(
    courses: Courses,
    states: States,
    state_names: Sequence[str],
    path: str | os.PathLike,
    title: str = "Phase plots of the principal components",
    pairs: Sequence[tuple[int, int]] = PAIRS,
) -> Figure:
    """Draws pairs of components against each other, coloured by motor state: a row a worm, a column a pair.

    Args: as `plot_manifolds`; `pairs` are the components across and up, counted from 0.
    Raises: as `plot_manifolds`.
    """
    _check_entries(courses, states, state_names, max(max(pair) for pair in pairs) + 1)
    figure = make_figure(2.1 * len(pairs) + 0.4, 1.75 * len(courses) + 0.7)
    panels = figure.subplots(len(courses), len(pairs), squeeze=False)
    for (worm, course), row in zip(courses.items(), panels, strict=True):
        for axes, pair in zip(row, pairs, strict=True):
            _draw_course(axes, np.asarray(course, float)[:, pair], np.asarray(states[worm]), state_names)
            axes.set(xticks=[], yticks=[], xlabel=f"component {pair[0] + 1}", ylabel=f"component {pair[1] + 1}")
        row[0].annotate(
            textwrap.fill(worm, 20),
            (-0.22, 0.5),
            xycoords="axes fraction",
            rotation=90,
            ha="right",
            va="center",
            fontweight="bold",
        )
    figure.legend(handles=_list_handles(states, state_names), loc="outside lower center", ncols=len(state_names) + 1)
    set_title(figure, title)
    return save_figure(figure, path)


@styled
def plot_variance(
    shares: Mapping[str, Sequence[Float[np.ndarray, " component"]]],
    path: str | os.PathLike,
    published: tuple[int, float] | None = PUBLISHED_SHARE,
    components: int = 10,
    title: str = "Variance carried by principal components",
) -> Figure:
    """Draws the cumulative share of variance against the number of components: each worm thin, the mean thick.

    Args:
      shares: what the components were fitted on → per worm the share of each component.
      path: the PNG to write.
      published: number of components and the share they carry in Kato et al. 2015; None: not drawn.
      components: how many are drawn at most.
      title: for instance the study.

    Raises:
      ValueError: no share at all.
    """
    if not shares or not all(len(worms) for worms in shares.values()):
        raise ValueError("found no share of variance, expected one worm or more for each label")
    figure = make_figure(4.4, 3.4)
    axes = figure.subplots()
    for number, (label, worms) in enumerate(shares.items()):
        colour, marker = MODEL_COLOURS[number % len(MODEL_COLOURS)], MODEL_MARKERS[number % len(MODEL_MARKERS)]
        drawn = min(components, *(len(worm) for worm in worms))
        totals = np.stack([np.cumsum(worm)[:drawn] for worm in worms])
        counts = np.arange(1, drawn + 1)
        axes.plot(counts, totals.T, color=colour, linewidth=0.6, alpha=0.45)
        axes.plot(counts, totals.mean(axis=0), color=colour, marker=marker, markersize=4, label=label)
    if published:
        axes.plot(*published, "D", color=BLACK, markerfacecolor="white", markersize=7, zorder=5)
        axes.plot([], [], "D", color=BLACK, markerfacecolor="white", label="Kato et al. 2015, all recorded")
    axes.set(xlabel="components", ylabel="cumulative share of variance", ylim=(0, 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")
    set_title(figure, title)
    return save_figure(figure, path)


def _check_entries(courses: Courses, states: States, state_names: Sequence[str], components: int):
    if not courses:
        raise ValueError("found no worm, expected at least one")
    for worm, course in courses.items():
        shape = np.shape(course)
        if len(shape) != 2 or shape[1] < components:
            raise ValueError(f"{worm}: found a course of shape {shape}, expected [frame, {components} components]")
        if worm not in states or np.shape(states[worm]) != shape[:1]:
            raise ValueError(f"{worm}: found no states for it or of another length, expected {shape[0]}")
        if np.max(states[worm], initial=UNSCORED) >= len(state_names):
            raise ValueError(f"{worm}: found state {np.max(states[worm])}, expected below {len(state_names)}")


def _add_panel(figure: Figure, x: float, top: float) -> Axes3D:
    """A cube without ticks in the room that starts `x` and `top` inches from the figure's left and upper edge."""
    width, height = figure.get_size_inches()
    place = ((x + (CELL[0] - CUBE) / 2) / width, 1 - (top + CELL[1]) / height, CUBE / width, CUBE / height)
    axes = figure.add_axes(place, projection="3d", computed_zorder=False)
    axes.patch.set_visible(False)  # Squares overlap: above the cube they are empty.
    axes.view_init(**VIEW)
    axes.set_box_aspect((1, 1, 1), zoom=1.02)
    axes.set(xticks=[], yticks=[], zticks=[])
    for axis, number in zip((axes.xaxis, axes.yaxis, axes.zaxis), (1, 2, 3), strict=True):
        axis.set_pane_color((1, 1, 1, 0))
        axis.line.set_color(LIGHT_GREY)
        axis.labelpad = -14
        axis.set_label_text(f"PC{number}", fontsize=7)
    return axes


def _draw_course(axes: Axes, places: np.ndarray, states: np.ndarray, state_names: Sequence[str]):
    """One collection of lines a state, the rarest on top (turns are short, among long runs); unscored ones beneath."""
    colours = dict(enumerate(colour_states(state_names))) | {UNSCORED: LIGHT_GREY}
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
    for set_limits, start, stop in zip(
        (axes.set_xlim, axes.set_ylim, getattr(axes, "set_zlim", None)), low - margin, high + margin, strict=False
    ):
        set_limits(start, stop)


def _measure_names(names: Mapping[str, Sequence[str]]) -> float:
    """Inches for the longest name, a caption below it and a gap above."""
    return 0.3 + 0.15 * max(len(lines) for lines in names.values())


def _name_panel(figure: Figure, x: float, top: float, name: str, caption: str):
    """Writes name and caption above a panel; `x` and `top` in inches from the left and upper edge."""
    width, height = figure.get_size_inches()
    style = {"ha": "center", "va": "bottom"}
    figure.text(x / width, 1 - (top - 0.19) / height, name, fontsize=9, fontweight="bold", **style)
    figure.text(x / width, 1 - (top - 0.02) / height, caption, fontsize=8, **style)


def _add_legend(figure: Figure, states: States, state_names: Sequence[str], foot: float):
    handles = _list_handles(states, state_names)
    columns = len(handles) if figure.get_figwidth() > 0.95 * len(handles) else 3
    style = {"ncols": columns, "handlelength": 1.3, "columnspacing": 1.2}
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, foot / figure.get_figheight()), **style)


def _list_handles(states: States, state_names: Sequence[str]) -> list[Line2D]:
    colours = colour_states(state_names)
    handles = [Line2D([], [], color=colour, label=name) for colour, name in zip(colours, state_names, strict=True)]
    unscored = any((np.asarray(scored) == UNSCORED).any() for scored in states.values())
    return handles + ([Line2D([], [], color=LIGHT_GREY, label="not scored")] if unscored else [])
