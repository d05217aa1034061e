"""The ethogram of one worm: its motor states over time, as scored and as decoded, with the model's probabilities."""

import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from wormjax.figures.style import (
    BLACK,
    LIGHT_GREY,
    colour_states,
    hide_frame,
    make_figure,
    save_figure,
    set_title,
    styled,
)
from wormjax.recordings.recording import UNSCORED

ABSENT = -2  # A stretch of time without a frame; UNSCORED is -1.
GAP = 3.0  # Frames further apart than this many median steps belong to two stretches.


@styled
def plot_ethogram(
    times: Float[np.ndarray, " frame"],
    states: Int[np.ndarray, " frame"],
    probabilities: Float[np.ndarray, "frame state"],
    state_names: Sequence[str],
    title: str,
    path: str | os.PathLike,
    traces: Float[np.ndarray, "frame neuron"] | None = None,
    neuron_names: Sequence[str] | None = None,
) -> Figure:
    """Draws the true states over the decoded ones, the frames decoded wrongly, and the probabilities beneath.

    Args:
      times: seconds.
      states: the scored state of each frame, or -1 where none was scored (grey).
      probabilities: the model's probability of each state.
      state_names: names of the columns of `probabilities`.
      title: for instance model, worm and accuracy.
      path: the PNG to write.
      traces: z-scored activity, drawn as a heat map on top; None: no heat map.
      neuron_names: names of the columns of `traces`.
    """
    edges, cells = divide_time(np.asarray(times, float))
    colours = colour_states(state_names)
    neurons = 0 if traces is None else np.shape(traces)[1]
    heights = ([max(0.9, 0.13 * neurons)] if neurons else []) + [0.24, 0.24, 0.14, 0.95]
    figure = make_figure(7.2, sum(heights) + 1.15)
    panels = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    if neurons:
        _draw_traces(figure, panels.pop(0), edges, _fill(traces, cells, np.nan), neuron_names)
    states, predicted = np.asarray(states), np.asarray(probabilities).argmax(axis=1)
    wrong = (predicted != states) & (states != UNSCORED)
    _draw_strip(panels[0], edges, _fill(states, cells, ABSENT), colours, "true")
    _draw_strip(panels[1], edges, _fill(predicted, cells, ABSENT), colours, "decoded")
    _mark_wrong(panels[2], np.asarray(times, float)[wrong])
    _draw_probabilities(panels[3], edges, _fill(probabilities, cells, np.nan), colours)
    handles = [Patch(color=colour, label=name) for colour, name in zip(colours, state_names, strict=True)]
    handles += [Patch(color=LIGHT_GREY, label="not scored")] if (states == UNSCORED).any() else []
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.0)
    set_title(figure, title)
    return save_figure(figure, path)


def divide_time(times: Float[np.ndarray, " frame"]) -> tuple[Float[np.ndarray, " edge"], Int[np.ndarray, " cell"]]:
    """Divides the time axis into cells: one per frame, and one for each gap between two stretches.

    Returns:
      The cells' edges in seconds (one more than cells), and per cell its frame, or ABSENT in a gap.
    """
    step = float(np.median(np.diff(times)))
    edges, cells = [times[0]], []
    for frame, time in enumerate(times):
        following = times[frame + 1] if frame + 1 < len(times) else time + step
        gap = following - time > GAP * step
        edges.append(time + step if gap else following)
        cells.append(frame)
        if gap:
            edges.append(following)
            cells.append(ABSENT)
    return np.array(edges), np.array(cells)


def _fill(values: np.ndarray, cells: np.ndarray, absent: float) -> np.ndarray:
    filled = np.asarray(values)[cells]  # A gap takes the last frame's values, until the next line.
    filled[cells == ABSENT] = absent
    return filled


def _draw_traces(figure: Figure, axes: Axes, edges: np.ndarray, traces: np.ndarray, names: Sequence[str] | None):
    rows = np.arange(traces.shape[1] + 1) - 0.5
    image = axes.pcolormesh(edges, rows, traces.T, cmap="RdBu_r", vmin=-2.5, vmax=2.5, rasterized=True)
    axes.set_yticks(range(traces.shape[1]), names if names is not None else [str(k) for k in range(traces.shape[1])])
    axes.tick_params(axis="y", labelsize=7)
    axes.invert_yaxis()
    hide_frame(axes)
    figure.colorbar(image, ax=axes, label="activity (z)", extend="both", pad=0.01, aspect=12)


def _draw_strip(axes: Axes, edges: np.ndarray, states: np.ndarray, colours: Sequence[str], label: str):
    colour_map = ListedColormap(["white", LIGHT_GREY, *colours])  # ABSENT, UNSCORED, 0, 1, ...
    top = len(colours) - 0.5
    axes.pcolormesh(edges, [0, 1], states[None], cmap=colour_map, vmin=ABSENT - 0.5, vmax=top, rasterized=True)
    axes.set_yticks([0.5], [label])
    hide_frame(axes)


def _mark_wrong(axes: Axes, times: np.ndarray):
    axes.vlines(times, 0, 1, color=BLACK, linewidth=0.5)  # A line has a width: one frame in thousands is seen.
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["wrong"])
    hide_frame(axes)


def _draw_probabilities(axes: Axes, edges: np.ndarray, probabilities: np.ndarray, colours: Sequence[str]):
    tops = np.cumsum(probabilities, axis=1)
    for state in reversed(range(len(colours))):
        axes.stairs(tops[:, state], edges, baseline=0, fill=True, color=colours[state], linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability", fontsize=8)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("time (s)")
