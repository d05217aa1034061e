"""Skill by horizon on worms never seen: each model, and each against the best simple baseline on the same worms.

The worm is the unit of replication: bars are Student's t over worms (`wormjax.scoring.intervals`). The best simple
baseline is chosen at each horizon on the very worms that the models are scored on, which favours the baselines.
"""

import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from wormjax.figures.accuracy import BASELINE_DASHES, BASELINE_GREYS, BASELINE_MARKERS
from wormjax.figures.forecast_error import average_by_step
from wormjax.figures.roll_out_error import spread_labels
from wormjax.figures.style import BLACK, GREY, MODEL_COLOURS, MODEL_MARKERS, make_figure, save_figure, set_title, styled

GREYS = tuple(BASELINE_GREYS[k] for k in (0, 1, 3))  # Paler ones cannot be read as a label.
LABEL_DISTANCE = 0.055  # Of two labels, in heights of the panel.
EDGE = 1.22  # From the outer horizons to the panel's sides: room for what is drawn beside them.
DODGE = 0.28  # All models of one horizon lie within this share of the shortest gap, to either side.
MOST_BARS = 0.6  # How far bars and baselines may stretch the panel to either side, in ranges of the models' means.


@styled
def plot_skill_by_horizon(
    values: Mapping[str, Float[np.ndarray, "worm horizon"]],
    horizons: Sequence[float],
    path: str | os.PathLike,
    label: str,
    baselines: Collection[str] = (),
    simple: Collection[str] = (),
    lower_is_better: bool = True,
    title: str = "",
) -> Figure:
    """Draws the mean over worms by horizon, and beside it the gain over the best simple baseline, paired by worm.

    Bars are 95 % intervals over the worms that were scored; of one worm there is none. A ring marks the best simple
    baseline of each horizon. In the right panel up is better, whatever the metric; simple baselines are not drawn
    there, as none of them is above zero.

    Args:
      values: model → its metric on each test worm (averaged over subsets and seeds) at each horizon; NaN where not
        scored. All models have the same worms, in the same order, and the same horizons.
      horizons: seconds ahead, rising.
      path: the PNG to write.
      label: the metric, for instance "negative log-likelihood (nats)".
      baselines: which models are baselines (dashed, grey).
      simple: the models among which the best simple baseline is chosen; none, or all: no right panel.
      lower_is_better: whether the metric is an error.
      title: the figure's title.

    Raises:
      ValueError: the models differ in shape, the horizons are not theirs or do not rise, a simple baseline is not
        among the models, a score is infinite, or nothing was scored.
    """
    values, horizons = {model: np.asarray(v, float) for model, v in values.items()}, np.asarray(horizons, float)
    _check(values, horizons, simple)
    styles, places = _choose_styles(values, baselines), _dodge(horizons, values)
    others = [model for model in values if model not in simple] if simple else []
    better = "lower" if lower_is_better else "higher"
    figure = make_figure(4.9 * (1 + bool(others)) + 0.6, 4.3)
    panels = figure.subplots(1, 1 + bool(others), squeeze=False)[0]
    _draw_means(panels[0], values, places, styles, baselines, f"{label}, {better} is better")
    if simple:
        best = choose_best({model: values[model] for model in values if model in simple}, lower_is_better)
        _mark_best(panels[0], values, places, best)
    if others:
        gains = {model: gain_over_best(values[model], values, best, lower_is_better) for model in others}
        _draw_gains(panels[1], gains, _dodge(horizons, others), styles, baselines, label)
    for axes in panels:
        _set_horizons(axes, horizons)
    set_title(figure, title)
    return save_figure(figure, path)


def choose_best(simple: Mapping[str, Float[np.ndarray, "worm horizon"]], lower_is_better: bool) -> list[str | None]:
    """The simple baseline with the best mean at each horizon, over the worms that all of them were scored on there.

    A baseline with no score at a horizon has no part in it. None where there is none, or no worm in common.
    """
    best: list[str | None] = []
    for horizon in range(next(iter(simple.values())).shape[1]):
        scored = {m: v[:, horizon] for m, v in simple.items() if np.isfinite(v[:, horizon]).any()}
        common = np.isfinite([*scored.values()]).all(axis=0) if scored else np.zeros(1, bool)
        if not common.any():
            best.append(None)
            continue
        means = {model: float(column[common].mean()) for model, column in scored.items()}
        best.append((min if lower_is_better else max)(means, key=means.__getitem__))
    return best


def gain_over_best(
    ours: Float[np.ndarray, "worm horizon"],
    values: Mapping[str, Float[np.ndarray, "worm horizon"]],
    best: Sequence[str | None],
    lower_is_better: bool,
) -> Float[np.ndarray, "worm horizon"]:
    """How much better a model is than each horizon's best baseline, in each worm: above zero is better.

    NaN where either was not scored or there is no best.
    """
    theirs = [np.full(len(ours), np.nan) if name is None else values[name][:, h] for h, name in enumerate(best)]
    difference = np.asarray(ours, float) - np.stack(theirs, axis=1)
    return -difference if lower_is_better else difference


def _check(values: Mapping[str, np.ndarray], horizons: np.ndarray, simple: Collection[str]):
    shapes = sorted({array.shape for array in values.values()})
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1:] != horizons.shape:
        raise ValueError(f"found shapes {shapes}, expected one shape [worm, {len(horizons)} horizons] for all models")
    if (horizons <= 0).any() or (np.diff(horizons) <= 0).any():
        raise ValueError(f"found the horizons {horizons.tolist()}, expected seconds above zero that rise")
    if not set(simple) <= set(values):
        raise ValueError(f"found the simple baselines {sorted(simple)}, expected some of {[*values]}")
    if any(np.isinf(array).any() for array in values.values()):
        raise ValueError("found an infinite score, expected finite ones, or NaN where not scored")
    if not any(np.isfinite(array).any() for array in values.values()):
        raise ValueError("found no score of any model, expected at least one")


def _choose_styles(models: Collection[str], baselines: Collection[str]) -> dict[str, dict]:
    styles, counts = {}, {True: 0, False: 0}
    for model in models:
        k, grey = counts[model in baselines], model in baselines
        counts[grey] += 1
        if grey:
            dashes = BASELINE_DASHES[k % len(BASELINE_DASHES)]
            marker = BASELINE_MARKERS[k % len(BASELINE_MARKERS)]
            styles[model] = {"color": GREYS[k % len(GREYS)], "linestyle": dashes, "marker": marker, "linewidth": 1.1}
            styles[model] |= {"markersize": 3.5, "zorder": 3}
        else:
            # Behind the last colour they begin again, with other markers.
            marker = MODEL_MARKERS[(k + k // len(MODEL_COLOURS)) % len(MODEL_MARKERS)]
            styles[model] = {"color": MODEL_COLOURS[k % len(MODEL_COLOURS)], "marker": marker, "linewidth": 1.6}
            styles[model] |= {"markersize": 4.5, "zorder": 4, "markeredgecolor": "white", "markeredgewidth": 0.5}
    return styles


def _dodge(horizons: np.ndarray, models: Collection[str]) -> dict[str, np.ndarray]:
    """Where each model's points lie on the logarithmic axis: beside each other, so that bars do not hide bars."""
    gap = np.log(horizons[1:] / horizons[:-1]).min() if len(horizons) > 1 else 1.0
    shifts = min(DODGE, 0.05 * len(models)) * np.linspace(-1, 1, len(models)) if len(models) > 1 else [0.0]
    return {model: horizons * np.exp(shift * gap) for model, shift in zip(models, shifts, strict=True)}


def _draw_panel(axes: Axes, values, places, styles, baselines: Collection[str], zero: str = ""):
    """Draws all models with their bars and names; `zero` names the line at zero, where there is one."""
    means, ends = {}, []
    for model, array in values.items():
        means[model], low, high = average_by_step(array)
        known, barred = np.isfinite(means[model]), np.isfinite(low)
        axes.plot(places[model][known], means[model][known], label=model, **styles[model])
        bar = {"color": styles[model]["color"], "linewidth": 0.9, "alpha": 0.65, "zorder": 2.5}
        axes.vlines(places[model][barred], low[barred], high[barred], label=f"_{model}", **bar)
        ends += [low[barred], high[barred]]
    labels = {model: (mean, styles[model]["color"]) for model, mean in means.items()}
    if zero:
        labels[zero] = np.zeros(1), BLACK
    # The models say where to look, and the zero line; a baseline far worse than they are leaves the panel.
    ours = [mean for model, (mean, _) in labels.items() if model not in baselines and np.isfinite(mean).any()]
    ours = np.concatenate(ours if len(ours) > bool(zero) else [mean for mean, _ in labels.values()])
    everything = np.concatenate([*(mean for mean, _ in labels.values()), *ends])
    if np.isfinite(ours).any():
        axes.set_ylim(*_limit(ours[np.isfinite(ours)], everything[np.isfinite(everything)]))
    _label_ends(axes, labels)


def _draw_means(axes: Axes, values, places, styles, baselines: Collection[str], label: str):
    _draw_panel(axes, values, places, styles, baselines)
    axes.set_ylabel(label)
    axes.set_title(_count_worms(values), fontweight="bold")


def _draw_gains(axes: Axes, gains, places, styles, baselines: Collection[str], label: str):
    axes.axhline(0, color=BLACK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=2, label="_zero")
    _draw_panel(axes, gains, places, styles, baselines, zero="best simple baseline")
    axes.set_ylabel(f"gain in {label}, up is better")
    axes.set_title("difference by worm: " + _count_worms(gains), fontweight="bold")


def _limit(means: np.ndarray, everything: np.ndarray) -> tuple[float, float]:
    """The panel's limits: bars have room, but the wide ones of few worms do not press the means together."""
    spread = max(float(np.ptp(means)), 1e-3 * max(1.0, float(np.abs(means).max())))
    low = max(everything.min(), means.min() - MOST_BARS * spread)
    high = min(everything.max(), means.max() + MOST_BARS * spread)
    return low - 0.05 * spread, high + 0.05 * spread


def _mark_best(axes: Axes, values, places, best: Sequence[str | None]):
    points = [(places[m][h], average_by_step(values[m])[0][h]) for h, m in enumerate(best) if m is not None]
    if points:
        style = {"markerfacecolor": "none", "markeredgecolor": BLACK, "markeredgewidth": 1.1, "markersize": 8.5}
        axes.plot(
            *zip(*points, strict=True), "o", label="best simple baseline at this horizon", gid="best", zorder=5, **style
        )
        axes.figure.legend(handles=[axes.get_lines()[-1]], loc="outside lower center")


def _count_worms(values: Mapping[str, np.ndarray]) -> str:
    scored = [np.isfinite(array).any(axis=1) for array in values.values()]
    worms = int(np.any(scored, axis=0).sum()) if scored else 0
    return f"mean of {worms} worms, 95 % bars" if worms > 1 else "one worm, no bars"


def _set_horizons(axes: Axes, horizons: np.ndarray):
    axes.set_xscale("log")
    axes.set_xlim(horizons[0] / EDGE, horizons[-1] * EDGE)
    axes.set_xticks(horizons, [f"{seconds:g}" for seconds in horizons])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("horizon (s ahead)")
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)


def _label_ends(axes: Axes, labels: Mapping[str, tuple[np.ndarray, str]]):
    """Write each model's name beside its line's last point, none over another."""
    known = {model: (mean[np.isfinite(mean)], colour) for model, (mean, colour) in labels.items()}
    ends = {model: (mean[-1], colour) for model, (mean, colour) in known.items() if len(mean)}
    low, high = axes.get_ylim()
    heights = [np.clip((end - low) / (high - low), 0, 1) for end, _ in ends.values()]
    places = spread_labels(heights, LABEL_DISTANCE)
    if len(places):
        places += max(0.0, -places.min()) - max(0.0, places.max() - 1)  # All within the panel, if they fit.
    for (model, (end, colour)), height, place in zip(ends.items(), heights, places, strict=True):
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
        spot = {"xy": (1.005, height), "xytext": (1.07, place), "xycoords": "axes fraction"}
        name = f"{model} ↑" if end > high else f"{model} ↓" if end < low else model
        axes.annotate(name, color=colour, va="center", fontsize=8.5, arrowprops=arrow, **spot)
