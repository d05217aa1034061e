"""Directed edges as matrices: of one system beside the true ones, by motor state or frame, and who follows whom."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure

from wormjax.figures.matrices import arrange_matrix, draw_differences, draw_matrix, find_largest, order_by_class
from wormjax.figures.motor_states import colour_states
from wormjax.figures.names import spell_name
from wormjax.figures.style import finish_figure, hide_frame, make_figure, styled
from wormjax.recordings.recording import UNSCORED


@styled
def plot_edge_matrices(
    true: Bool[np.ndarray, "sender receiver"],
    scores: Mapping[str, Float[np.ndarray, "sender receiver"]],
    names: Sequence[str] = (),
    title: str = "Edges of a test system",
) -> Figure:
    """Plot a matrix per method, from 0 to 1, with a dot at each true edge. The diagonal is not drawn.

    `scores` are probabilities or strengths of edges; objects without names are numbered.
    """
    count = len(true)
    names = names or [str(k + 1) for k in range(count)]
    side = max(1.9, 0.15 * count)
    figure = make_figure(side * (1 + len(scores)) + 1.2, side + 0.9, layout="compressed")
    panels = figure.subplots(1, 1 + len(scores), squeeze=False)[0]
    senders, receivers = np.nonzero(true & ~np.eye(count, dtype=bool))
    for panel, (name, values) in zip(panels, {"true": np.asarray(true, float), **scores}.items(), strict=True):
        shown = np.where(np.eye(count, dtype=bool), np.nan, values)
        draw_matrix(panel, shown, names, 0.0, 1.0)
        panel.set_title(textwrap.fill(spell_name(name), 24))
        if name != "true":
            panel.plot(receivers, senders, "o", markersize=2.5, markeredgecolor="black", markerfacecolor="white")
            panel.set_ylabel("")
            panel.tick_params(labelleft=False)
    figure.colorbar(panels[-1].images[0], ax=list(panels), shrink=0.8, pad=0.02, aspect=15)
    return finish_figure(figure, title)


@styled
def plot_graphs_by_state(
    probabilities: Mapping[str, Float[np.ndarray, "sender receiver"]],
    neuron_names: Sequence[str],
    title: str = "Inferred graph by motor state",
) -> Figure:
    """Plot the mean edge probability over motor states, then each one's difference from it, on one scale for all.

    States weigh the same in the mean, however many frames they have; the diagonal is left out, and NaN is no edge
    (grey).
    """
    order = order_by_class(neuron_names)
    names = [neuron_names[k] for k in order]
    matrices = np.stack([arrange_matrix(matrix, order) for matrix in probabilities.values()])
    known = np.isfinite(matrices)
    total, states = np.where(known, matrices, 0).sum(axis=0), known.sum(axis=0)
    mean = np.divide(total, states, out=np.full(total.shape, np.nan), where=states > 0)
    count = 1 + len(matrices)
    columns = count if count <= 3 else math.ceil(count / 2)
    rows = math.ceil(count / columns)
    side = max(1.9, (0.135 if len(names) <= 20 else 0.1) * len(names) + 0.2)  # As large as the names are.
    figure = make_figure(side * columns + 2.4, (side + 0.35) * rows + 0.9, layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    panels, largest = list(grid.flat)[:count], find_largest(matrices - mean)
    draw_matrix(panels[0], mean, names).set_title("mean over states", fontweight="bold")
    colours = colour_states([*probabilities])
    for axes, state, matrix, colour in zip(panels[1:], probabilities, matrices, colours, strict=True):
        drawn = draw_differences(axes, matrix - mean, names, largest)
        drawn.set_title(f"{state} − mean", color=colour, fontweight="bold")
    for number, axes in enumerate(grid.flat):
        axes.set_visible(number < len(panels))
        left, lowest = number % columns == 0, number + columns >= len(panels)
        axes.tick_params(labelleft=left, labelbottom=lowest)
        axes.set(ylabel="sender" if left else "", xlabel="receiver" if lowest else "")
    bar = {"ax": grid, "shrink": 0.8, "aspect": 30}
    figure.colorbar(panels[-1].images[0], label="difference from the mean", **bar)
    figure.colorbar(panels[0].images[0], label="edge probability (mean over states)", **bar)
    return finish_figure(figure, title)


@styled
def plot_followers(
    responses: Float[np.ndarray, "neuron follower"],
    neuron_names: Sequence[str],
    seconds: float,
    title: str = "Who follows whom in the model",
) -> Figure:
    """Plot the mean change of each follower some seconds after each neuron was set one standard deviation higher.

    Responses are in standard deviations of the follower; the diagonal is left out. Neurons are in order of class.
    """
    order = order_by_class(neuron_names)
    matrix = arrange_matrix(responses, order)
    side = max(3.0, 0.19 * len(order) + 0.6)
    figure = make_figure(side + 1.6, side + 0.8, layout="compressed")
    axes = draw_differences(figure.subplots(), matrix, [neuron_names[k] for k in order], find_largest(matrix))
    axes.set(xlabel="follower", ylabel="neuron set one s.d. higher")
    label = f"change of the follower after {seconds:.3g} s (s.d.)"
    figure.colorbar(axes.images[0], ax=axes, shrink=0.75, pad=0.02, label=label)
    return finish_figure(figure, title)


@styled
def plot_changing_edges(
    true: Int[np.ndarray, "interval edge"],
    probabilities: Mapping[str, Float[np.ndarray, "interval edge type"]],
    frame_interval: float,
) -> Figure:
    """Plot a heat map per model, a row per edge and a column per frame: the probability of any type but the first.

    A true type of -1 is not known; types are matched to the true ones; the frame interval is in seconds.
    """
    intervals, edges = true.shape
    objects = round(0.5 + np.sqrt(0.25 + edges))
    parts = {"true": np.where(true == UNSCORED, np.nan, true > 0)}
    parts |= {name: 1.0 - values[..., 0] for name, values in probabilities.items()}
    figure = make_figure(6.0, 1.0 + len(parts) * max(0.5, 0.055 * edges))
    panels = figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0]
    ends = np.arange(1, objects + 1) * (objects - 1)  # Edges are sorted by receiver.
    for panel, (name, values) in zip(panels, parts.items(), strict=True):
        times = frame_interval * np.arange(intervals + 1)
        drawn = panel.pcolormesh(times, np.arange(edges + 1), values.T, cmap="Blues", vmin=0, vmax=1, rasterized=True)
        panel.set_yticks(ends - (objects - 1) / 2, range(1, objects + 1))
        panel.set_ylabel(textwrap.fill(spell_name(name), 14), fontsize=8)
        panel.invert_yaxis()
        hide_frame(panel)
    panels[-1].set_xlabel("time (s); rows: edges by the object that they arrive at")
    figure.colorbar(drawn, ax=list(panels), label="probability of an edge", pad=0.01, aspect=30)
    return finish_figure(figure, "Edges of a test system")
