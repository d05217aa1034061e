"""Lines of models: their colours, means over worms with 95 % intervals, names at their ends, published numbers.

The worm is the unit of replication: intervals are Student's t over worms (`wormjax.scoring.intervals`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.isotonic import isotonic_regression

from wormjax.figures.names import spell_name
from wormjax.figures.style import GREY, MODEL_COLOURS
from wormjax.scoring.intervals import interval_over_worms
from wormjax.scoring.published import PublishedResult

MODEL_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BASELINE_GREYS = ("#4D4D4D", "#7F7F7F", "#5F5F5F")  # Paler ones cannot be read as a label.
BASELINE_DASHES = ((0, (4, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
LABEL_DISTANCE = 0.055  # Of two labels, in heights of the panel.
PUBLISHED_COLOURS = ("#882255", "#999933")  # Apart from the models' and the baselines'.


def choose_styles(models: Iterable[str], baselines: Collection[str] = (), markers: bool = True) -> dict[str, dict]:
    """Return the style of each model's line: a colour each, and grey dashes for baselines."""
    styles, counts = {}, [0, 0]
    for model in models:
        baseline = model in baselines
        k = counts[baseline]
        counts[baseline] += 1
        if baseline:
            colour, dashes = BASELINE_GREYS[k % len(BASELINE_GREYS)], BASELINE_DASHES[k % len(BASELINE_DASHES)]
            styles[model] = {"color": colour, "linestyle": dashes, "linewidth": 1.1, "zorder": 3}
        else:
            styles[model] = {"color": MODEL_COLOURS[k % len(MODEL_COLOURS)], "linewidth": 1.6, "zorder": 4}
        if markers:
            # After the last colour they begin again, with other markers.
            marker = MODEL_MARKERS[(k + k // len(MODEL_COLOURS)) % len(MODEL_MARKERS)]
            styles[model] |= {"marker": marker, "markersize": 3.5 if baseline else 4.5}
    return styles


def average_over_worms(values: Float[np.ndarray, "worm point"]) -> Float[np.ndarray, "3 point"]:
    """Return the mean over worms at each point, and the low and high end of its 95 % interval.

    NaN where no worm has a value; the ends also where only one worm has.
    """
    bands = np.full((3, np.shape(values)[1]), np.nan)
    for point, column in enumerate(np.asarray(values, float).T):
        known = column[np.isfinite(column)]
        if len(known):
            bands[:, point] = np.array(interval_over_worms(known)[:3], float)  # None becomes NaN.
    return bands


def draw_mean(
    axes: Axes,
    places: Float[np.ndarray, " point"],
    values: Float[np.ndarray, "worm point"],
    label: str,
    style: Mapping,
    interval: str | None = "bars",
    alpha: float = 0.65,
) -> Float[np.ndarray, " point"]:
    """Draw the mean over worms where it is known, with bars or a band for its 95 % interval; return the mean."""
    mean, low, high = average_over_worms(values)
    known, sure = np.isfinite(mean), np.isfinite(low)
    axes.plot(places[known], mean[known], label=spell_name(label), **style)
    look = {"color": style["color"], "alpha": alpha, "label": f"_{label}"}
    if interval == "bars":
        axes.vlines(places[sure], low[sure], high[sure], linewidth=0.9, zorder=2.5, **look)
    elif interval == "band" and sure.any():
        axes.fill_between(places[sure], low[sure], high[sure], linewidth=0, zorder=style["zorder"] - 2, **look)
    return mean


def count_worms(arrays: Iterable[Float[np.ndarray, "worm point"]], shown: str) -> str:
    """Return a title with the number of worms that were scored, and what shows their intervals ("bars")."""
    scored = [np.isfinite(array).any(axis=1) for array in arrays]
    worms = int(np.any(scored, axis=0).sum()) if scored else 0
    return f"mean of {worms} worms, 95 % {shown}" if worms > 1 else f"one worm, no {shown}"


def label_ends(axes: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Write each line's name beside its end, none over another; an arrow says which way an end has left the panel.

    The axes have their final limits; `ends` has the height of each line's end (NaN: no label) and its colour.
    """
    ends = {name: (end, colour) for name, (end, colour) in ends.items() if np.isfinite(end)}
    low, high = axes.get_ylim()
    to_panel = axes.transScale + axes.transLimits
    heights = [float(np.clip(to_panel.transform((1.0, end))[1], 0, 1)) for end, _ in ends.values()]
    places = spread_labels(heights, LABEL_DISTANCE)
    if len(places):
        places += max(0.0, -places.min()) - max(0.0, places.max() - 1)  # All within the panel, if they fit.
    for (name, (end, colour)), height, place in zip(ends.items(), heights, places, strict=True):
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
        spot = {"xy": (1.005, height), "xytext": (1.07, place), "xycoords": "axes fraction"}
        text = spell_name(name) + (" ↑" if end > high else " ↓" if end < low else "")
        axes.annotate(text, color=colour, va="center", fontsize=8, arrowprops=arrow, **spot)


def spread_labels(heights: Sequence[float], distance: float) -> np.ndarray:
    """Return heights of labels, each as near to its own as at least `distance` from one to the next allows.

    Least squares: labels that would touch become one block, around the mean of their own heights.
    """
    if not len(heights):
        return np.empty(0)
    order, steps = np.argsort(heights, kind="stable"), distance * np.arange(len(heights))
    placed = np.empty(len(order))
    placed[order] = isotonic_regression(np.asarray(heights, float)[order] - steps) + steps
    return placed


def find_last(mean: Float[np.ndarray, " point"]) -> float:
    """Return the last value that is not NaN; NaN if there is none."""
    known = mean[np.isfinite(mean)]
    return float(known[-1]) if len(known) else np.nan


def collect_steps(
    published: Iterable[PublishedResult], metric: str, last: int
) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Return (source, model) → step and value of the published numbers of a metric ("mse@8") up to the last step."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for result in published:
        kind, _, step = result.metric.partition("@")
        if kind == metric and step and int(step) <= last:
            found.setdefault((result.source, result.model), []).append((int(step), result.mean))
    return {key: sorted(points) for key, points in found.items()}


def draw_open_markers(axes: Axes, points: Sequence[tuple[float, float]], label: str, colour: str, number: int, **look):
    """Draw published numbers as open markers, of the shape with this number; return the line."""
    style = {"marker": MODEL_MARKERS[number % 5], "linestyle": "none", "markerfacecolor": "white", "zorder": 5}
    style |= {"color": colour, "markeredgewidth": 1.2, "clip_on": False, "label": label, **look}
    return axes.plot(*zip(*points, strict=True), **style)[0]


def list_models(figure: Figure, panels: Iterable[Axes]) -> None:
    """Write a legend of the lines of all panels, each name once, to the right of them."""
    lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside right center", handlelength=3.2)


def cut_limits(axes: Axes, limits: tuple[float, float], axis: str = "y") -> None:
    """Cut an axis to the lowest and the highest value that there can be, such as 0 and 1."""
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    axes.set(**{f"{axis}lim": (max(low, limits[0]), min(high, limits[1]))})


def rule_lines(axes: Axes) -> None:
    """Draw pale horizontal lines at the ticks."""
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)
