"""Motor states in figures: their colours, legends, and strips over time that stay blank where frames are missing."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba_array
from matplotlib.patches import Patch

from wormjax.figures.style import BLACK, BLUE, GREEN, LIGHT_GREY, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, hide_frame

STATE_COLOURS = {"reverse": VERMILLION, "forward": BLUE, "dorsal turn": GREEN, "ventral turn": PURPLE}
SPARE_COLOURS = (ORANGE, SKY, YELLOW, BLACK)
ABSENT = -2  # A stretch of time without a frame; -1 is a frame whose state was not scored.
GAP = 3.0  # Frames further apart than this many median steps belong to two stretches.


def colour_states(state_names: Sequence[str]) -> list[str]:
    """Return a colour for each motor state; the four of Wang et al. always have the same."""
    spare = iter(SPARE_COLOURS * len(state_names))
    return [STATE_COLOURS[name] if name in STATE_COLOURS else next(spare) for name in state_names]


def colour_frames(numbers: Int[np.ndarray, "..."], colours: Sequence[str]) -> Float[np.ndarray, "... 4"]:
    """Return the colour (red, green, blue, alpha) of each number; light grey for -1."""
    return to_rgba_array([*colours, LIGHT_GREY])[np.maximum(numbers, -1)]


def list_states(states: Int[np.ndarray, " frame"], state_names: Sequence[str]) -> list[Patch]:
    """Return the legend's entries of the motor states, "not scored" among them if there is such a frame."""
    handles = [Patch(color=c, label=name) for c, name in zip(colour_states(state_names), state_names, strict=True)]
    return handles + ([Patch(color=LIGHT_GREY, label="not scored")] if (np.asarray(states) == -1).any() else [])


def divide_time(times: Float[np.ndarray, " frame"]) -> tuple[Float[np.ndarray, " edge"], Int[np.ndarray, " cell"]]:
    """Divide the time axis into cells: one per frame, and one for each gap between two stretches.

    Return the cells' edges in seconds (one more than cells), and the frame of each cell, or ABSENT in a gap.
    """
    step = float(np.median(np.diff(times)))
    gaps = np.flatnonzero(np.diff(times) > GAP * step)
    edges = np.insert(np.append(times, times[-1] + step), gaps + 1, times[gaps] + step)
    return edges, np.insert(np.arange(len(times)), gaps + 1, ABSENT)


def fill_cells(
    values: Shaped[np.ndarray, "frame ..."], cells: Int[np.ndarray, " cell"], absent: float
) -> Shaped[np.ndarray, "cell ..."]:
    """Return the values of each cell's frame, and `absent` in the gaps of `divide_time`."""
    filled = np.asarray(values)[cells]
    filled[cells == ABSENT] = absent
    return filled


def draw_strip(
    axes: Axes,
    edges: Float[np.ndarray, " edge"],
    cells: Int[np.ndarray, " cell"],
    states: Int[np.ndarray, " frame"],
    state_names: Sequence[str],
    label: str,
    bottom: float = 0.0,
    top: float = 1.0,
) -> Axes:
    """Draw the motor state of each frame as a strip over time: grey where none was scored, blank where no frame is."""
    colour_map = ListedColormap(["white", LIGHT_GREY, *colour_states(state_names)])  # ABSENT, -1, 0, 1, ...
    filled, limits = fill_cells(states, cells, ABSENT), {"vmin": ABSENT - 0.5, "vmax": len(state_names) - 0.5}
    axes.pcolormesh(edges, [bottom, top], filled[None], cmap=colour_map, rasterized=True, **limits)
    axes.set_yticks([(bottom + top) / 2], [label])
    hide_frame(axes)
    return axes
