"""The phase portrait of a worm's dynamics: one trajectory, coloured by phase, by loop and by motor state.

After Brennan & Proekt (2019, eLife 8:e46814): a worm's activity runs around loops, and where it is on them (the phase)
goes with its motor state. The arrows are the mean flow, from one frame to the next.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Patch

from wormjax.figures.motor_states import colour_frames, colour_states, list_states
from wormjax.figures.style import BLACK, LIGHT_GREY, finish_figure, make_figure, styled

# Hues all round in even steps, light at green and dark at red: still in order for a reader who cannot tell those two.
PHASE_HUES = ("#AE4349", "#C27508", "#ADAE34", "#5CCB89", "#00BAC4", "#2289D0", "#6855B0", "#8B397C")
PHASE_MAP = LinearSegmentedColormap.from_list("phase", (*PHASE_HUES, PHASE_HUES[0]), N=256)
LOOP_COLOURS = ("#332288", "#DDAA33", "#44AA99", "#882255", "#88CCEE", "#999933")  # Apart from the motor states'.
TURN = 2 * np.pi
TURN_TICKS, TURN_NAMES = (0, np.pi, TURN), ("0", "π", "2π")
WHEEL_SIZE = 0.23  # In shares of a panel.
CELLS = 9  # Of the grid of arrows, along one side.
SHORTEST_ARROW = 0.3  # Of a cell; a shorter one is only a head.
FEWEST_FRAMES = 5  # In a cell that has an arrow.
STRIP_SECONDS = 240.0  # What the strip shows of the recording.

Colours = Float[np.ndarray, "frame 4"]
Phase = Float[np.ndarray, " frame"]
Loop = Int[np.ndarray, " frame"]
Linked = Bool[np.ndarray, " step"]
Places = Float[np.ndarray, "frame 2"]


@styled
def plot_phase_portrait(
    places: Float[np.ndarray, "frame 3"],
    phase: Phase,
    loop: Loop,
    states: Loop,
    state_names: Sequence[str],
    title: str,
    breaks: Sequence[int],
    frame_interval: float,
) -> Figure:
    """Plot a trajectory by phase, loop and motor state, a column each, and its phase over time under them.

    The upper row has coordinates 1 and 2, the next 1 and 3. The strip shows the first four minutes, its background is
    the motor state, its colour the loop. Places are the first three principal coordinates of the delay embedding. Where
    there is none, places and phase (radians) are NaN, loop and state -1 (grey). No line leads to the frames at
    `breaks`, where a new stretch begins (another recording, frames left out); the frame interval is in seconds.
    """
    linked = link_frames(places, breaks)
    colours = colour_phase(phase), colour_loops(loop), colour_frames(states, colour_states(state_names))
    figure = make_figure(7.4, 6.5)
    grid = figure.add_gridspec(3, 3, height_ratios=(1, 1, 0.42))
    for row, second in enumerate((1, 2)):
        _draw_row(figure, grid, row, places[:, [0, second]], colours, linked, f"coordinate {second + 1}")
    draw_phase_wheel(figure.axes[0], find_corner(figure.axes[0], places[:, :2]))
    draw_phase_strip(figure.add_subplot(grid[2, :]), phase, colours[1], colours[2], breaks, frame_interval)
    handles = list_loops(loop) + list_states(states, state_names)
    return finish_figure(figure, title, handles, ncols=min(len(handles), 8), handlelength=1.0)


def link_frames(places: Float[np.ndarray, "frame coordinate"], breaks: Sequence[int] = ()) -> Linked:
    """Return whether a line leads from each frame to the next: both have a place, and no stretch begins between."""
    known = np.isfinite(places).all(axis=1)
    linked = known[:-1] & known[1:]
    starts = np.asarray(breaks, int)
    linked[starts[(starts > 0) & (starts < len(places))] - 1] = False
    return linked


def colour_phase(phase: Phase) -> Colours:
    """Return a colour (red, green, blue, alpha) for each phase in radians; light grey where it is NaN."""
    known = np.isfinite(phase)
    colours = PHASE_MAP(np.where(known, np.mod(phase, TURN), 0) / TURN)
    colours[~known] = to_rgba(LIGHT_GREY)
    return colours


def colour_loops(loop: Loop) -> Colours:
    """Return a colour for each frame's loop, the same for the same number in every panel; light grey for -1."""
    return colour_frames(np.where(loop < 0, -1, loop % len(LOOP_COLOURS)), LOOP_COLOURS)


def list_loops(loop: Loop) -> list[Patch]:
    """Return the legend's entries of the loops, counted from 1; "no loop" among them if there is such a frame."""
    numbers = np.unique(loop[loop >= 0])
    colours = colour_loops(numbers)
    handles = [Patch(color=colour, label=f"loop {n + 1}") for n, colour in zip(numbers, colours, strict=True)]
    return handles + ([Patch(color=LIGHT_GREY, label="no loop")] if (loop < 0).any() else [])


def draw_trajectory(
    axes: Axes, places: Places, colours: Colours, linked: Linked, linewidth: float = 0.7
) -> LineCollection:
    """Draw the steps of a trajectory in the colours of the frames they lead from, in a random but fixed order.

    In the order of time the last frames would hide the first.
    """
    shown = np.random.default_rng(0).permutation(np.flatnonzero(linked))
    steps = np.stack([places[:-1], places[1:]], axis=1)[shown]
    lines = LineCollection(steps, colors=colours[:-1][shown], linewidths=linewidth, rasterized=True)
    lines.set(capstyle="round", label="trajectory")
    axes.add_collection(lines)
    axes.autoscale_view()
    return lines


def average_flow(
    places: Places, linked: Linked, cells: int = CELLS
) -> tuple[Float[np.ndarray, "arrow 2"], Float[np.ndarray, "arrow 2"]]:
    """Return the mean step from one frame to the next in each cell of a square grid that enough frames visit.

    Returns:
      The mean place of the frames in each such cell, and their mean step.
    """
    start, step = places[:-1][linked], np.diff(places, axis=0)[linked]
    if not len(start):
        return np.empty((0, 2)), np.empty((0, 2))
    low, width = start.min(axis=0), np.maximum(np.ptp(start, axis=0), 1e-12)
    column = np.minimum((start - low) / width * cells, cells - 1).astype(int)
    groups = pd.DataFrame(np.hstack([start, step])).groupby(column @ [1, cells])
    means = groups.mean()[groups.size() >= FEWEST_FRAMES].to_numpy()
    return means[:, :2], means[:, 2:]


def find_corner(axes: Axes, places: Places) -> tuple[float, float, float, float]:
    """Return the corner of the panel where the fewest frames are: left, low, width, height in shares of the panel."""
    (left, right), (low, high), size = axes.get_xlim(), axes.get_ylim(), WHEEL_SIZE
    inner = (places - [left, low]) / [right - left, high - low]
    corners = [(x, y) for y in (0.99 - size, 0.02) for x in (0.99 - size, 0.02)]
    taken = [((inner > corner) & (inner < np.add(corner, size))).all(axis=1).sum() for corner in corners]
    return (*corners[int(np.argmin(taken))], size, size)


def draw_phase_wheel(axes: Axes, box: tuple[float, float, float, float]) -> Axes:
    """Draw the colours of the phases as a wheel in a box (left, low, width, height in shares of the panel)."""
    wheel = axes.inset_axes(box, projection="polar")
    edges = np.linspace(0, TURN, 97)
    middles = (edges[:-1] + edges[1:]) / 2
    wheel.pcolormesh(edges, [0.55, 1], middles[None], cmap=PHASE_MAP, vmin=0, vmax=TURN, snap=False)
    wheel.set_ylim(0, 1)
    wheel.set_axis_off()
    for angle, name in zip((0, np.pi / 2, np.pi, 3 * np.pi / 2), ("0", "", "π", ""), strict=True):
        wheel.text(angle, 0.3, name, ha="center", va="center", fontsize=6.5)
    return wheel


def _draw_row(figure: Figure, grid: GridSpec, row: int, places: np.ndarray, colours, linked: np.ndarray, label: str):
    first = None
    for column, (name, frames) in enumerate(zip(("phase", "loop", "motor state"), colours, strict=True)):
        axes = figure.add_subplot(grid[row, column], sharex=first, sharey=first)
        first = first or axes
        draw_trajectory(axes, places, frames, linked)
        draw_flow(axes, places, linked)
        axes.set(xticks=[], yticks=[])
        axes.margins(0.08)
        if row == 0:
            axes.set_title(f"by {name}", fontweight="bold", y=1.0)  # Given a height, it does not evade the wheel.
        if column == 0:
            axes.set_ylabel(label)
        if row == 1:
            axes.set_xlabel("coordinate 1")


def draw_flow(axes: Axes, places: Places, linked: Linked) -> Axes:
    """Draw the mean flow as arrows, each at most as long as a cell of the grid."""
    start, step = average_flow(places, linked)
    if len(start) < 2:
        return axes
    cell = np.maximum(np.ptp(start, axis=0), 1e-12) / CELLS
    lengths = np.hypot(*(step / cell).T)
    # A few fast cells must not shrink all others to dots: an arrow is at most a cell long.
    longest = max(np.percentile(lengths, 70), 1e-12)
    arrows = step / np.maximum(lengths, longest)[:, None] * 1.15
    clear = lengths > SHORTEST_ARROW * longest
    style = {"color": BLACK, "alpha": 0.6, "width": 0.0055, "headwidth": 4, "headlength": 4.5, "headaxislength": 4}
    axes.quiver(*start[clear].T, *arrows[clear].T, angles="xy", scale_units="xy", scale=1, zorder=3, **style)
    return axes


def draw_phase_strip(
    axes: Axes, phase: Phase, loop_colours: Colours, state_colours: Colours, breaks: Sequence[int], interval: float
) -> Axes:
    """Draw the phase over time in the colour of the loop, over the motor state's."""
    shown = min(len(phase), int(STRIP_SECONDS / interval))
    edges = (np.arange(shown + 1) - 0.5) * interval
    axes.imshow(state_colours[None, :shown], extent=(edges[0], edges[-1], 0, TURN), aspect="auto", alpha=0.45, zorder=0)
    line = np.stack([np.arange(shown) * interval, np.mod(phase[:shown], TURN)], axis=1)
    wraps = np.flatnonzero(np.abs(np.diff(line[:, 1])) > np.pi) + 1  # The line goes on at the other edge.
    draw_trajectory(axes, line, loop_colours[:shown], link_frames(line, [*breaks, *wraps]), linewidth=1.6)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, TURN), ylabel="phase")
    axes.set_yticks(TURN_TICKS, TURN_NAMES)
    axes.set_xlabel("time (s)")
    return axes
