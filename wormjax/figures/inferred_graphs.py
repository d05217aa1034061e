"""True and inferred graphs of a few systems, side by side: after Figure 1 of Kipf, Fetaya et al. (2018).

A type that means no edge is not drawn. Where both ways of a pair agree they are one line; otherwise each is an arrow.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from wormjax.figures import style
from wormjax.figures.graph import ARROW, place_on_circle
from wormjax.figures.style import finish_figure, frame_points, make_figure, styled
from wormjax.graphs import edges_to_matrix
from wormjax.recordings.recording import UNSCORED

TYPE_COLOURS = (style.BLUE, style.GREEN, style.PURPLE, style.SKY, style.BLACK)  # Vermillion is kept for what is wrong.
SHOWN = 4  # Systems.
NUMBERED = 20  # With more objects, dots are small and bear no number.
MISSED = {"linewidth": 1.3, "linestyle": (0, (1.2, 1.2))}
LEAST_PROBABILITY = 0.05  # Below it an edge would not be seen.


@styled
def plot_inferred_graphs(
    true: Int[np.ndarray, "simulation sender receiver"] | Int[np.ndarray, "simulation edge"],
    probabilities: Float[np.ndarray, "simulation edge type"],
    positions: Float[np.ndarray, "simulation object 2"] | None,
    type_names: Sequence[str],
) -> Figure:
    """Plot the first systems' true graphs above and the inferred ones below.

    An inferred edge is as wide and as dark as the probability that it is there (of its type, where all types are
    couplings). A true type of -1 is not known; a matrix, or edges in the order of `wormjax.graphs`. Objects without
    positions stand on a circle. A first type called "none" or "no ..." means no edge.
    """
    probabilities = np.asarray(probabilities, float)[:SHOWN]
    objects = round(0.5 + np.sqrt(0.25 + probabilities.shape[1]))
    true = true[:SHOWN] if true.ndim == 3 else edges_to_matrix(true[:SHOWN], objects)
    inferred = np.moveaxis(edges_to_matrix(np.moveaxis(probabilities, 2, 1), objects), 1, 3)
    places = [place_on_circle(np.ones(objects))[1]] * len(true) if positions is None else positions[:SHOWN]
    blank = find_blank(type_names)
    known_rows = int((true != UNSCORED)[:, ~np.eye(objects, dtype=bool)].any())  # No row of graphs that nobody knows.
    height = 4.4 if known_rows else 2.6
    figure = make_figure(max(1.75 * len(true), 3.4) + 0.2, height, layout="compressed")
    panels, faults = figure.subplots(1 + known_rows, len(true), squeeze=False), 0
    for column, (types, chances, points) in enumerate(zip(true, inferred, places, strict=True)):
        known = types != UNSCORED
        certain = np.eye(max(len(type_names), types.max() + 1))[types] * known[..., None]
        if known_rows:
            draw_graph(panels[0, column], types, certain, types, points, blank).set_title(f"system {column + 1}")
        decided = chances.argmax(axis=-1)
        right, known = count_right_edges(decided, types)
        faults += known - right
        title_below = f"{right} of {known} edges right" if known else "true graph not known"
        title_below = title_below if known_rows else f"system {column + 1}"
        draw_graph(panels[-1, column], decided, chances, types, points, blank).set_title(title_below)
    if known_rows:
        panels[0, 0].set_ylabel("true graph")
    panels[-1, 0].set_ylabel("inferred graph")
    _add_legend(figure, type_names, blank, faults > 0)
    return finish_figure(figure, "Graphs of test systems")


def find_blank(type_names: Sequence[str]) -> int | None:
    """Return the type that means no edge: one called "none" or "no ..."; None where every type is a coupling."""
    return next((k for k, name in enumerate(type_names) if name.split(" ")[0].lower() in ("no", "none")), None)


def count_right_edges(
    decided: Int[np.ndarray, "sender receiver"], true: Int[np.ndarray, "sender receiver"]
) -> tuple[int, int]:
    """Return how many directed edges have their true type, and how many have a known one."""
    known = (true != UNSCORED) & ~np.eye(len(true), dtype=bool)
    return int((decided == true)[known].sum()), int(known.sum())


def draw_graph(
    axes: Axes,
    decided: Int[np.ndarray, "sender receiver"],
    chances: Float[np.ndarray, "sender receiver type"],
    true: Int[np.ndarray, "sender receiver"],
    points: Float[np.ndarray, "object 2"],
    blank: int | None,
) -> Axes:
    """Draw one graph: a line where both ways of a pair agree, else an arrow each; wrong edges in vermillion.

    The type `blank`, if any, is not drawn; a true type of -1 is not known.
    """
    thinning = min(1.0, (5 / len(points)) ** 0.5)
    for first, second in zip(*np.triu_indices(len(points), 1), strict=True):
        both = [(first, second), (second, first)]
        if decided[both[0]] == decided[both[1]] and true[both[0]] == true[both[1]]:
            mean = (chances[both[0]] + chances[both[1]]) / 2
            if look := _choose_look(decided[both[0]], mean, true[both[0]], blank, thinning):
                axes.plot(*points[[first, second]].T, solid_capstyle="round", **look)
            continue
        for edge in both:
            if look := _choose_look(decided[edge], chances[edge], true[edge], blank, thinning):
                axes.add_patch(FancyArrowPatch(*points[list(edge)], **ARROW, **look))
    numbered = len(points) <= NUMBERED
    axes.plot(*points.T, "o", color=style.BLACK, markersize=10 if numbered else 4, markeredgecolor="white", zorder=3)
    for number, point in enumerate(points if numbered else ()):
        place = {"ha": "center", "va": "center_baseline", "fontsize": 6.5, "zorder": 4}
        axes.text(*point, str(number + 1), color="white", **place)
    frame_points(axes, points, 1.25)
    return axes


def _choose_look(decided: int, chances: np.ndarray, true: int, blank: int | None, thinning: float) -> dict | None:
    """Return colour and strength of an edge, or None where there is nothing to draw."""
    wrong = true not in (decided, UNSCORED)
    if wrong and decided == blank:
        return {"color": style.VERMILLION, "zorder": 2} | MISSED
    chance = min(chances[decided] if blank is None else chances.sum() - chances[blank], 1.0)  # But for rounding.
    if chance < LEAST_PROBABILITY:
        return None
    kinds = chances.copy()
    if blank is not None:
        kinds[blank] = -1.0  # The colour is that of the likeliest coupling, however unlikely an edge is.
    colour = style.VERMILLION if wrong else colour_type(int(kinds.argmax()), blank)
    width = thinning * (0.2 + 1.6 * chance)
    return {"color": colour, "linewidth": width, "alpha": chance, "linestyle": "-", "zorder": 1 + wrong}


def colour_type(edge_type: int, blank: int | None) -> str:
    """Return the colour of a type that is drawn."""
    place = edge_type - (blank is not None and edge_type > blank)
    return TYPE_COLOURS[place % len(TYPE_COLOURS)]


def _add_legend(figure: Figure, type_names, blank, faulty: bool):
    drawn = [k for k in range(len(type_names)) if k != blank]
    handles = [Line2D([], [], color=colour_type(k, blank), linewidth=1.8, label=type_names[k]) for k in drawn]
    wrong = "inferred, wrong" if blank is None else "inferred, but not true"
    if faulty:
        handles.append(Line2D([], [], color=style.VERMILLION, linewidth=1.8, label=wrong))
    if faulty and blank is not None:
        handles.append(Line2D([], [], color=style.VERMILLION, label="true, but missed", **MISSED))
    title = "a line: two edges, one each way; an arrow: one edge; width: probability"
    columns = min(len(handles), 1 + 2 * len(figure.axes) // 4)  # As many as fit the width.
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, title=title, title_fontsize=8)
