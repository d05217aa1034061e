"""The two-neuron toy of Brennan & Proekt: two limit cycles, found from one of its neurons alone.

After Brennan & Proekt (2019, eLife 8:e46814): a network of two sigmoid neurons runs around a small and a large cycle;
asymmetric diffusion map modelling sees the first neuron only, and must find both cycles as loops.
"""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from scipy.optimize import linear_sum_assignment

from wormjax.figures import phase_portrait as portrait
from wormjax.figures.style import finish_figure, hide_frame, make_figure, styled

TRACE_FRAMES = 3000  # More cycles than that cannot be distinguished on a page.


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

    Args:
      first, second: the activity of the neuron that was seen, and of the one that was not.
      places: the delay embedding of the first neuron, two coordinates or more; NaN where there is none.
      loop: the loop that was found, or -1 (grey).
      phase: the phase that was found, radians; NaN where there is none.
      true_cycle: the limit cycle that each frame is on, or -1 where none can be said. The title has the share of frames
        on which the two agree, loops and cycles matched one to one as well as can be.
      frame_interval: time from one frame to the next, in units of the first neuron's time constant.
    """
    loops, true_places = portrait.colour_loops(loop), np.stack([first, second], axis=1)
    figure = make_figure(7.4, 4.7)
    grid = figure.add_gridspec(4, 3, height_ratios=[1, 0.42, 0.07, 0.07])
    panels = [figure.add_subplot(grid[0, column]) for column in range(3)]
    _draw_portrait(panels[0], places[:, :2], loops, "what is seen, by loop", "delay coordinate")
    _draw_portrait(panels[1], true_places, loops, "the true system, by loop", "neuron")
    _draw_portrait(panels[2], true_places, portrait.colour_phase(phase), "the true system, by phase", "neuron")
    portrait.draw_phase_wheel(panels[2], portrait.find_corner(panels[2], true_places))
    _draw_time(figure, grid, first, loop, true_cycle, frame_interval)
    figure.legend(handles=portrait.list_loops(loop), loc="outside lower center", ncols=6, handlelength=1.0)
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
    portrait.draw_trajectory(axes, places, colours, portrait.link_frames(places), linewidth=0.6)
    axes.set(xticks=[], yticks=[], xlabel=f"{unit} 1", ylabel=f"{unit} 2")
    axes.set_title(title, fontweight="bold", y=1.0)  # Given a height, it does not evade the wheel.


def _draw_time(figure: Figure, grid: GridSpec, first, loop, true_cycle, frame_interval: float):
    """Draw the trace over the strips of the loops found and of the true cycles."""
    trace, shown = figure.add_subplot(grid[1, :]), min(len(first), TRACE_FRAMES)
    line = np.stack([np.arange(shown) * frame_interval, first[:shown]], axis=1)
    colours, linked = portrait.colour_loops(loop)[:shown], portrait.link_frames(line)
    portrait.draw_trajectory(trace, line, colours, linked, linewidth=1.2)
    trace.set(xlim=(line[0, 0], line[-1, 0]), ylabel="neuron 1")
    trace.tick_params(labelbottom=False)
    for row, name, numbers in ((2, "found", loop), (3, "true", _match(loop, true_cycle))):
        strip = figure.add_subplot(grid[row, :], sharex=trace)
        strip.imshow(portrait.colour_loops(numbers[None, :shown]), extent=(*trace.get_xlim(), 0, 1), aspect="auto")
        strip.set_yticks([0.5], [name])
        hide_frame(strip)
        strip.tick_params(labelbottom=row == 3)
    figure.axes[-1].set_xlabel("time (time constants of neuron 1)")
