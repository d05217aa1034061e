"""Trajectories of test systems: what a model was given, what followed, and what it predicted.

`plot_trajectories` is for objects that move in a plane, `plot_signals` for a feature over time.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wormjax.figures import style
from wormjax.figures.names import spell_name
from wormjax.figures.style import find_limits, finish_figure, frame_points, make_figure, styled

TRUE_STYLE = {"linewidth": 3.2, "alpha": 0.35, "solid_capstyle": "round"}  # A band, on which a prediction is seen.
SHOWN_SIGNALS = 2  # Systems.
MODEL_DASHES = ((0, (3, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))

Paths = Float[np.ndarray, "step object 2"]


@styled
def plot_trajectories(
    history: Float[np.ndarray, "simulation frame object 2"],
    true: Float[np.ndarray, "simulation step object 2"],
    predicted: Mapping[str, Float[np.ndarray, "simulation step object 2"]],
    title: str = "Trajectories of test systems",
    shown: int = 4,
) -> Figure:
    """Plot the first `shown` systems, a column each, under each model, a row each; one colour per object.

    `history` are the locations that the models were given, `true` those that followed.
    """
    history, true = history[:shown], true[:shown]
    figure = make_figure(max(1.75 * len(true), 3.4) + 0.2, 1.75 * len(predicted) + 0.95, layout="compressed")
    panels = figure.subplots(len(predicted), len(true), squeeze=False)
    for row, (model, values) in enumerate(predicted.items()):
        for column, guess in enumerate(values[:shown]):
            draw_paths(panels[row, column], history[column], true[column], guess)
            if row == 0:
                panels[row, column].set_title(f"system {column + 1}")
        panels[row, 0].set_ylabel(spell_name(model))
    handles = [
        Line2D([], [], color=style.GREY, linewidth=1, label=f"given ({history.shape[1]} frames)"),
        Line2D([], [], color=style.BLUE, label=f"true ({true.shape[1]} frames)", **TRUE_STYLE),
        Line2D([], [], color=style.BLUE, linewidth=1.2, linestyle=MODEL_DASHES[0], marker="x", label="predicted"),
    ]
    return finish_figure(figure, title, handles, ncols=3, handlelength=2.6)


@styled
def plot_signals(
    history: Float[np.ndarray, "simulation frame object"],
    true: Float[np.ndarray, "simulation step object"],
    predicted: Mapping[str, Float[np.ndarray, "simulation step object"]],
    feature_name: str,
    frame_interval: float,
) -> Figure:
    """Plot one feature over time: the first systems, a column each, their objects, a row each; one colour per model.

    `history` is the feature in the frames that the models were given, `true` in those that followed.
    """
    history, true = history[:SHOWN_SIGNALS], true[:SHOWN_SIGNALS]
    systems, objects = len(true), true.shape[2]
    figure = make_figure(3.6 * systems + 0.4, 0.62 * objects + 1.35)
    panels = figure.subplots(objects, systems, squeeze=False, sharex=True, sharey=True)
    for column in range(systems):
        guesses = {model: values[column] for model, values in predicted.items()}
        for k in range(objects):
            one = {model: values[:, k] for model, values in guesses.items()}
            draw_signal(panels[k, column], history[column, :, k], true[column, :, k], one, frame_interval)
            panels[k, column].set_ylabel(str(k + 1) if column == 0 else "", rotation=0, va="center", labelpad=10)
        panels[0, column].set_title(f"system {column + 1}")
        panels[-1, column].set_xlabel("time from the last frame given (s)")
    # A prediction that runs away may leave.
    panels[0, 0].set_ylim(find_limits(np.concatenate([history, true], axis=1), 0.12, 0.12))
    figure.supylabel(f"{feature_name}, by object", fontsize=9)
    handles = [Line2D([], [], color=style.GREY, linewidth=1, label="given")]
    handles.append(Line2D([], [], color=style.BLACK, label="true", **TRUE_STYLE | {"alpha": 0.25}))
    handles += [Line2D([], [], label=spell_name(model), **_choose_line(k)) for k, model in enumerate(predicted)]
    return finish_figure(figure, "Test systems", handles, ncols=min(len(handles), 3 * systems))


def draw_paths(axes: Axes, history: Float[np.ndarray, "frame object 2"], true: Paths, guess: Paths) -> Axes:
    """Draw one system in the plane: what was given, what followed as bands, and the prediction as dashes."""
    for k in range(true.shape[1]):
        colour = style.OBJECT_COLOURS[k % len(style.OBJECT_COLOURS)]
        future = np.concatenate([history[-1:, k], true[:, k]])
        predicted = np.concatenate([history[-1:, k], guess[:, k]])
        segments = np.stack([history[:-1, k], history[1:, k]], axis=1)
        fading = [to_rgba(style.GREY, alpha) for alpha in np.linspace(0.1, 1.0, len(segments))]
        axes.add_collection(LineCollection(segments, colors=fading, linewidths=1.0, zorder=1))
        axes.plot(*future.T, color=colour, zorder=2, **TRUE_STYLE)
        axes.plot(*predicted.T, color=colour, linewidth=1.2, linestyle=MODEL_DASHES[0], zorder=3)
        axes.plot(*predicted[-1], "x", color=colour, markersize=4.5, markeredgewidth=1.2, zorder=4)
        axes.plot(*history[-1, k], "o", color=colour, markersize=4, markeredgecolor="white", zorder=4)
    # A prediction that runs away leaves the panel and does not shrink the true paths.
    frame_points(axes, np.concatenate([history, true]).reshape(-1, 2), 1.12)
    return axes


def draw_signal(
    axes: Axes,
    history: Float[np.ndarray, " frame"],
    true: Float[np.ndarray, " step"],
    predicted: Mapping[str, Float[np.ndarray, " step"]],
    interval: float,
) -> Axes:
    """Draw one signal over time (`interval` seconds per frame): given, true, and as each model predicted it."""
    past = (np.arange(len(history)) - len(history) + 1) * interval
    future = np.arange(len(true) + 1) * interval
    axes.plot(past, history, color=style.GREY, linewidth=1)
    axes.plot(future, np.concatenate([history[-1:], true]), color=style.BLACK, **TRUE_STYLE | {"alpha": 0.25})
    for number, values in enumerate(predicted.values()):
        axes.plot(future, np.concatenate([history[-1:], values]), **_choose_line(number))
    axes.axvline(0, color=style.GREY, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    axes.locator_params(axis="y", nbins=3)
    return axes


def _choose_line(number: int) -> dict:
    dashes = MODEL_DASHES[number % len(MODEL_DASHES)]
    return {"color": style.MODEL_COLOURS[number % len(style.MODEL_COLOURS)], "linewidth": 1.3, "linestyle": dashes}
