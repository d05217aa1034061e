"""Objects that move in space, with the edges inferred among them, and moving pictures of predictions.

Lines join objects whose distance does not change: the bones of a body.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle

from wormjax.atomic_write import open_place
from wormjax.figures import style
from wormjax.figures.names import spell_name
from wormjax.figures.style import finish_figure, hide_frame, make_dot, make_figure, styled

UP = "y"  # The axis that points upwards.
KIND_COLOURS = (style.BLUE, style.VERMILLION, style.BLACK, style.GREEN, style.PURPLE, style.ORANGE, style.SKY)
ARROW = {"arrowstyle": "-|>,head_length=3.2,head_width=1.4", "connectionstyle": "arc3,rad=0.12", "shrinkA": 2.5}
FRAMES_PER_SECOND = 10  # Of moving pictures.


def choose_plane(places: Float[np.ndarray, "*sample object axis"], axes: Sequence[str]) -> list[int]:
    """Return the numbers of the two axes to draw: along one objects are furthest apart, along the other they move most.

    The axis that points upwards comes last.
    """
    flat = np.asarray(places).reshape(-1, *places.shape[-2:])
    apart = flat - flat.mean(axis=1, keepdims=True)
    first = int(apart.var(axis=(0, 1)).argmax())
    moving = apart.var(axis=0).mean(axis=0)
    moving[first] = -1.0
    return sorted([first, int(moving.argmax())], key=lambda number: (axes[number] == UP, number))


@styled
def plot_placed_edges(
    places: Float[np.ndarray, "panel object 2"],
    edges: Float[np.ndarray, "panel sender receiver"],
    links: Int[np.ndarray, "link 2"],
    kinds: Sequence[int],
    titles: Sequence[str],
    kind_names: Sequence[str] = (),
    title: str = "Inferred edges",
    box: Sequence[float] | None = None,
    shown: int = 16,
) -> Figure:
    """Plot where objects are, with the `shown` most probable edges as arrows from sender to receiver, panel by panel.

    An edge of NaN is none. `links` are pairs of objects that lines join: a body's bones. Each of the `kinds` of objects
    has a colour, and a name in the legend where there are `kind_names`. `box`: sizes of a court about 0, which is
    drawn.
    """
    width, height = np.ptp(places.reshape(-1, 2), axis=0) if box is None else box
    columns = len(places) if width < height else -(-len(places) // 2)
    rows, size = -(-len(places) // columns), 2.1 if width < height else 3.4
    tall = float(np.clip(size * height / width, 1.2, 3.4)) + 0.3
    figure = make_figure(size * columns + 0.2, tall * rows + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    finite = edges[np.isfinite(edges)]
    low, high = (np.quantile(finite, level) for level in (0.5, 1.0)) if len(finite) else (0.0, 1.0)
    for axes, points, chances, name in zip(panels, places, edges, titles, strict=False):
        if box is not None:
            axes.add_patch(Rectangle((-width / 2, -height / 2), width, height, fill=False, color=style.LIGHT_GREY))
        draw_body(axes, points, links, style.LIGHT_GREY, 3.0)
        order = np.argsort(np.nan_to_num(chances, nan=-1.0), axis=None)[::-1][:shown]
        for sender, receiver in zip(*np.unravel_index(order, chances.shape), strict=True):
            weight = (chances[sender, receiver] - low) / max(high - low, 1e-9)
            if np.isfinite(weight) and weight > 0:
                colour = KIND_COLOURS[kinds[sender] % len(KIND_COLOURS)] if kind_names else style.VERMILLION
                line = {"color": to_rgba(colour, 0.2 + 0.7 * weight), "linewidth": 0.4 + 1.1 * weight}
                arrow = FancyArrowPatch(points[sender], points[receiver], shrinkB=3.5, zorder=3, **ARROW, **line)
                axes.add_patch(arrow)
        colours = [KIND_COLOURS[kind % len(KIND_COLOURS)] if kind_names else style.BLUE for kind in kinds]
        axes.scatter(*points.T, s=14, c=colours, edgecolors="white", linewidths=0.5, zorder=4)
        axes.set_title(name)
        axes.autoscale_view()
        axes.set(aspect="equal", xticks=[], yticks=[])
        hide_frame(axes)
    for axes in panels[len(places) :]:
        axes.remove()
    handles = [make_dot(KIND_COLOURS[k % len(KIND_COLOURS)], name) for k, name in enumerate(kind_names)]
    if len(links):
        handles.append(Line2D([], [], color=style.LIGHT_GREY, linewidth=3, label="distance that does not change"))
    colour, owner = (style.GREY, ", in the sender's colour") if kind_names else (style.VERMILLION, "")
    arrow = Line2D([], [], color=colour, label=f"inferred edge{owner}")
    return finish_figure(figure, title, [*handles, arrow], ncols=len(handles) + 1)


def draw_body(
    axes: Axes, points: Float[np.ndarray, "object 2"], links: Int[np.ndarray, "link 2"], colour: str, width: float
) -> Axes:
    """Draw the links of one body."""
    lines = LineCollection(points[np.asarray(links, int).reshape(-1, 2)], colors=colour, linewidths=width, zorder=1)
    axes.add_collection(lines)
    return axes


@styled
def save_moving_picture(
    path: str | os.PathLike,
    true: Float[np.ndarray, "frame object 2"],
    predicted: Mapping[str, Float[np.ndarray, "step object 2"]],
    links: Int[np.ndarray, "link 2"],
    interval: float,
) -> None:
    """Write a GIF of each model's predictions over the true movement, a panel per model.

    Of all frames (`true`), the last ones are predicted. `interval` is in seconds, 1 where it is not known; the picture
    may skip frames.
    """
    steps = max(len(values) for values in predicted.values())
    skip, seen = max(1, round(1 / (FRAMES_PER_SECOND * interval))) if interval < 1 else max(1, steps // 25), len(true)
    frames = np.arange(seen - 2 * steps if seen >= 2 * steps else 0, seen, skip)
    figure = make_figure(3.2 * len(predicted) + 0.2, 3.4)
    panels = figure.subplots(1, len(predicted), squeeze=False, sharex=True, sharey=True)[0]
    shown = true[frames]
    low, high = shown.min(axis=(0, 1)), shown.max(axis=(0, 1))
    margin = 0.06 * (high - low).max()

    def draw(frame):
        for axes, (name, values) in zip(panels, predicted.items(), strict=True):
            axes.clear()
            step = frame - (seen - len(values))
            draw_body(axes, true[frame], links, style.LIGHT_GREY, 3.0)
            axes.scatter(*true[frame].T, s=18, color=style.GREY if step >= 0 else style.BLUE, linewidths=0)
            if step >= 0:
                draw_body(axes, values[step], links, style.VERMILLION, 1.2)
                if not len(links):  # No body shows which point is which.
                    pairs = np.stack([true[frame], values[step]], axis=1)
                    axes.add_collection(LineCollection(pairs, colors=to_rgba(style.VERMILLION, 0.4), linewidths=0.8))
                axes.scatter(*values[step].T, s=10, color=style.VERMILLION, linewidths=0, zorder=3)
            axes.set_title(f"{spell_name(name)}: " + (f"step {step + 1}, true in grey" if step >= 0 else "given"))
            limits = {"xlim": (low[0] - margin, high[0] + margin), "ylim": (low[1] - margin, high[1] + margin)}
            axes.set(aspect="equal", xticks=[], yticks=[], **limits)
            hide_frame(axes)

    moving = FuncAnimation(figure, draw, frames=frames, blit=False)
    with open_place(path) as beside:
        renamed = f"{beside}.gif"  # Pillow goes by the ending.
        moving.save(renamed, writer=PillowWriter(fps=FRAMES_PER_SECOND), dpi=90)
        os.replace(renamed, beside)
