"""(Loop, phase) models, after Brennan & Proekt (2019, eLife 8:e46814): their transition matrix, and their toy.

A worm that runs around loops has its transitions just beside the diagonal, always on the same side, and leaves a loop
for another in few phases. The toy runs around a small and a large cycle; the model sees the first neuron only, and must
find both cycles as loops.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from scipy.optimize import linear_sum_assignment

from wormjax.figures.motor_states import colour_frames, colour_states, list_states
from wormjax.figures.phase_portrait import (
    TURN,
    colour_loops,
    colour_phase,
    draw_phase_wheel,
    draw_trajectory,
    find_corner,
    link_frames,
    list_loops,
)
from wormjax.figures.style import GREY, LIGHT_GREY, finish_figure, hide_frame, make_figure, styled

SHADES = LinearSegmentedColormap.from_list("shades", ("#FFFFFF", "#C6D3E6", "#6E8FBF", "#2F4B8C", "#10183F"))
SHADES = SHADES.with_extremes(bad=LIGHT_GREY)
TRACE_FRAMES = 3000  # More cycles than that cannot be distinguished on a page.
STRIP_WIDTH, STRIP_GAP = 0.032, 0.012  # In widths of the matrix.
WHEEL_BOX, BAR_BOX = (1.04, 0.8, 0.17, 0.17), (1.06, 0.08, 0.035, 0.62)  # Beside the matrix, over each other.


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
