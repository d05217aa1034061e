"""(Loop, phase) models of a worm's dynamics: trajectories by phase, loop and motor state, transitions, and the toy.

After Brennan & Proekt (2019, eLife 8:e46814): a worm's activity runs around loops, and where it is on them (the phase)
goes with its motor state. The arrows of a phase portrait are the mean flow, from one frame to the next. A worm that
runs around loops has its transitions just beside the diagonal, always on the same side, and leaves a loop for another
in few phases. The toy runs around a small and a large cycle; the model sees the first neuron only, and must find both
cycles as loops.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Patch
from scipy.optimize import linear_sum_assignment

from wormjax.figures.motor_states import colour_frames, colour_states, list_states
from wormjax.figures.style import BLACK, GREY, LIGHT_GREY, finish_figure, hide_frame, make_figure, styled

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
SHADES = LinearSegmentedColormap.from_list("shades", ("#FFFFFF", "#C6D3E6", "#6E8FBF", "#2F4B8C", "#10183F"))
SHADES = SHADES.with_extremes(bad=LIGHT_GREY)
TRACE_FRAMES = 3000  # More cycles than that cannot be distinguished on a page.
STRIP_WIDTH, STRIP_GAP = 0.032, 0.012  # In widths of the matrix.
WHEEL_BOX, BAR_BOX = (1.04, 0.8, 0.17, 0.17), (1.06, 0.08, 0.035, 0.62)  # Beside the matrix, over each other.


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


@styled
def plot_phase_transitions(
    transitions: Float[np.ndarray, "bin bin"],
    loop: Int[np.ndarray, " bin"],
    phase: Float[np.ndarray, " bin"],
    state_shares: Float[np.ndarray, "bin state"],
    state_names: Sequence[str],
    title: str = "",
) -> Figure:
    """Plot the matrix, from top to bottom "from" and from left to right "to", with strips for loop, phase and state.

    Colours follow the square root of the probability: staying in a bin would hide all else. Rows of NaN are grey, and
    so is a bin whose motor states have shares of 0 or NaN. The phase is that of the middle of each bin, in radians.
    """
    order = sort_bins(loop, phase)
    loop, phase, states = loop[order], phase[order], find_states(state_shares)[order]
    figure = make_figure(5.6, 5.3, layout="compressed")
    axes, top = figure.subplots(), max(np.nan_to_num(transitions).max(), 1e-12)
    image = axes.imshow(transitions[np.ix_(order, order)], cmap=SHADES, norm=PowerNorm(0.5, vmin=0, vmax=top))
    for edge in np.flatnonzero(np.diff(loop)) + 0.5:  # Where one loop ends and the next begins.
        axes.axhline(edge, color=GREY, linewidth=0.7)
        axes.axvline(edge, color=GREY, linewidth=0.7)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=GREY)
    state_colours = colour_frames(states, colour_states(state_names))
    for place, colours in enumerate((state_colours, colour_phase(phase), colour_loops(loop))):
        _draw_strips(axes, colours, place, ("state", "phase", "loop")[place])
    # Axes of its own beside the matrix: the layout would set it outside the strips' names.
    bar = figure.colorbar(image, cax=axes.inset_axes(BAR_BOX))
    bar.set_label("probability of the transition")
    bar.outline.set_visible(False)
    bar.set_ticks([tick for tick in (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if tick <= top] or [0, top])
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.minorticks_off()
    draw_phase_wheel(axes, WHEEL_BOX)
    handles = list_loops(loop) + list_states(states, state_names)
    return finish_figure(figure, title, handles, ncols=4, handlelength=1.0)


def sort_bins(loop: Int[np.ndarray, " bin"], phase: Float[np.ndarray, " bin"]) -> Int[np.ndarray, " bin"]:
    """Return the order of the bins by loop, then by phase from 0 to 2π."""
    return np.lexsort((np.mod(phase, TURN), loop))


def find_states(state_shares: Float[np.ndarray, "bin state"]) -> Int[np.ndarray, " bin"]:
    """Return the most likely motor state of each bin; -1 where no frame was scored."""
    shares = np.nan_to_num(state_shares)
    return np.where(shares.sum(axis=1) > 0, shares.argmax(axis=1), -1)


def _draw_strips(axes: Axes, colours: np.ndarray, place: int, name: str):
    """Draw one strip left of the matrix and one above, the farther out the higher its place."""
    away = STRIP_GAP + place * (STRIP_WIDTH + STRIP_GAP)
    left = axes.inset_axes((-away - STRIP_WIDTH, 0, STRIP_WIDTH, 1), sharey=axes, label=f"{name}, from")
    top = axes.inset_axes((0, 1 + away, 1, STRIP_WIDTH), sharex=axes, label=f"{name}, to")
    bins = len(colours)
    left.imshow(colours[:, None], aspect="auto", extent=(0, 1, bins - 0.5, -0.5))
    top.imshow(colours[None], aspect="auto", extent=(-0.5, bins - 0.5, 0, 1))
    for strip in (left, top):
        hide_frame(strip)
        strip.tick_params(labelleft=False, labelbottom=False)
    small = {"fontsize": 7, "clip_on": False}
    top.text(1.01, 0.5, name, transform=top.transAxes, ha="left", va="center", **small)
    left.text(0.5, -0.01, name, transform=left.transAxes, ha="center", va="top", rotation=90, **small)
    if place == 2:
        top.set_title("to (by loop, then phase)", fontsize=9)
        left.set_ylabel("from (by loop, then phase)")


@styled
def plot_toy_loops(
    first: Float[np.ndarray, " frame"],
    second: Float[np.ndarray, " frame"],
    places: Float[np.ndarray, "frame coordinate"],
    loop: Int[np.ndarray, " frame"],
    phase: Float[np.ndarray, " frame"],
    true_cycle: Int[np.ndarray, " frame"],
    frame_interval: float,
) -> Figure:
    """Plot the delay embedding and the true system by the loops found, the true system by phase, and the seen trace.

    The `first` neuron was seen and delay-embedded (`places`), the `second` not. A loop, or true limit cycle, of -1
    (grey) is none; so are places and a phase (radians) of NaN. The title has the share of frames on which loops and
    cycles agree, matched one to one as well as can be. The frame interval is in units of the first neuron's time
    constant.
    """
    loops, true_places = colour_loops(loop), np.stack([first, second], axis=1)
    figure = make_figure(7.4, 4.7)
    grid = figure.add_gridspec(4, 3, height_ratios=[1, 0.42, 0.07, 0.07])
    panels = [figure.add_subplot(grid[0, column]) for column in range(3)]
    _draw_portrait(panels[0], places[:, :2], loops, "what is seen, by loop", "delay coordinate")
    _draw_portrait(panels[1], true_places, loops, "the true system, by loop", "neuron")
    _draw_portrait(panels[2], true_places, colour_phase(phase), "the true system, by phase", "neuron")
    draw_phase_wheel(panels[2], find_corner(panels[2], true_places))
    _draw_time(figure, grid, first, loop, true_cycle, frame_interval)
    figure.legend(handles=list_loops(loop), loc="outside lower center", ncols=6, handlelength=1.0)
    agreement = f"the true one on {share_agreement(loop, true_cycle):.1%} of frames"
    return finish_figure(figure, f"Two limit cycles, found from one neuron ({agreement})")


def share_agreement(loop: Int[np.ndarray, " frame"], true_cycle: Int[np.ndarray, " frame"]) -> float:
    """Return the share of the frames that have both on which loop and cycle agree, once matched; NaN if none."""
    both = (loop >= 0) & (true_cycle >= 0)
    return float((loop == _match(loop, true_cycle))[both].mean()) if both.any() else float("nan")


def _match(loop: np.ndarray, true_cycle: np.ndarray) -> np.ndarray:
    """Return the true cycles under the numbers of the loops they share most frames with, one to one; others follow."""
    both = (loop >= 0) & (true_cycle >= 0)
    shared = np.zeros((true_cycle.max(initial=-1) + 1, loop.max(initial=-1) + 1), int)
    np.add.at(shared, (true_cycle[both], loop[both]), 1)
    names = shared.shape[1] + np.arange(shared.shape[0])
    cycles, loops = linear_sum_assignment(shared, maximize=True)
    names[cycles] = loops
    return np.where(true_cycle >= 0, np.append(names, -1)[true_cycle], -1)


def _draw_portrait(axes: Axes, places: np.ndarray, colours: np.ndarray, title: str, unit: str):
    draw_trajectory(axes, places, colours, link_frames(places), linewidth=0.6)
    axes.set(xticks=[], yticks=[], xlabel=f"{unit} 1", ylabel=f"{unit} 2")
    axes.set_title(title, fontweight="bold", y=1.0)  # Given a height, it does not evade the wheel.


def _draw_time(figure: Figure, grid: GridSpec, first, loop, true_cycle, frame_interval: float):
    """Draw the trace over the strips of the loops found and of the true cycles."""
    trace, shown = figure.add_subplot(grid[1, :]), min(len(first), TRACE_FRAMES)
    line = np.stack([np.arange(shown) * frame_interval, first[:shown]], axis=1)
    colours, linked = colour_loops(loop)[:shown], link_frames(line)
    draw_trajectory(trace, line, colours, linked, linewidth=1.2)
    trace.set(xlim=(line[0, 0], line[-1, 0]), ylabel="neuron 1")
    trace.tick_params(labelbottom=False)
    for row, name, numbers in ((2, "found", loop), (3, "true", _match(loop, true_cycle))):
        strip = figure.add_subplot(grid[row, :], sharex=trace)
        strip.imshow(colour_loops(numbers[None, :shown]), extent=(*trace.get_xlim(), 0, 1), aspect="auto")
        strip.set_yticks([0.5], [name])
        hide_frame(strip)
        strip.tick_params(labelbottom=row == 3)
    figure.axes[-1].set_xlabel("time (time constants of neuron 1)")
