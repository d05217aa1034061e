"""The transition matrix of a (loop, phase) model, its bins sorted by loop and phase, with the motor states they carry.

After Brennan & Proekt (2019, eLife 8:e46814): a worm that runs around loops has its transitions just beside the
diagonal, always on the same side, and leaves a loop for another in few phases.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from wormjax.figures.motor_states import colour_frames, colour_states, list_states
from wormjax.figures.phase_portrait import TURN, colour_loops, colour_phase, draw_phase_wheel, list_loops
from wormjax.figures.style import GREY, LIGHT_GREY, finish_figure, hide_frame, make_figure, styled

SHADES = LinearSegmentedColormap.from_list("shades", ("#FFFFFF", "#C6D3E6", "#6E8FBF", "#2F4B8C", "#10183F"))
SHADES = SHADES.with_extremes(bad=LIGHT_GREY)
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

    Colours follow the square root of the probability: staying in a bin would hide all else.

    Args:
      transitions: the probability to go from the bin of a row to that of a column; rows of NaN are grey.
      loop: the loop of each bin.
      phase: the middle of each bin, radians.
      state_shares: the share of each motor state among a bin's frames; a bin of zeros or NaN is grey.
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
