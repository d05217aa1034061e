"""Skill by horizon on held-out worms, of each model and relative to the best simple baseline.

The best simple baseline of each horizon is chosen on the worms that are scored, which favours the baseline.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from wormjax.figures import lines
from wormjax.figures.style import BLACK, finish_figure, make_figure, styled

EDGE = 1.1  # From the outer points to the panel's sides.
DODGE = 0.28  # All models of one horizon lie within this share of the shortest gap, to either side.
MOST_BARS = 0.6  # How far bars and baselines may stretch the panel to either side, in ranges of the models' means.
BEST_STYLE = {"markerfacecolor": "none", "markeredgecolor": BLACK, "markeredgewidth": 1.1, "markersize": 8.5}

Scores = Mapping[str, Float[np.ndarray, "worm horizon"]]


@styled
def plot_skill_by_horizon(
    values: Scores,
    horizons: Sequence[float],
    label: str,
    baselines: Collection[str] = (),
    simple: Collection[str] = (),  # None, or all: no right panel.
    lower_is_better: bool = True,
    title: str = "",
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Figure:
    """Plot the mean over worms by horizon, and beside it the gain over the best simple baseline, paired by worm.

    Bars are 95 % intervals over the worms that were scored; of one worm there is none. A ring marks the best simple
    baseline of each horizon. In the right panel up is better, whatever the metric; simple baselines are not drawn
    there, as none of them is above zero. All models have the same worms, in the same order, and the same horizons;
    their metrics (averaged over subsets and seeds) are NaN where not scored. `label` is the metric's, such as
    "log-likelihood (nats)".
    """
    horizons, styles = np.asarray(horizons, float), lines.choose_styles(values, baselines)
    others = [model for model in values if model not in simple] if simple else []
    figure = make_figure(5.8 * (1 + bool(others)) + 0.4, 4.3)
    panels = figure.subplots(1, 1 + bool(others), squeeze=False)[0]
    draw_scores(panels[0], values, horizons, styles, baselines)
    lines.cut_limits(panels[0], limits)
    panels[0].set_ylabel(f"{label}, {'lower' if lower_is_better else 'higher'} is better")
    panels[0].set_title(lines.count_worms(values.values(), "bars"), fontweight="bold")
    if simple:
        best = choose_best({model: values[model] for model in values if model in simple}, lower_is_better)
        places = _dodge(horizons, values)
        points = [
            (places[name][h], lines.average_over_worms(values[name])[0, h]) for h, name in enumerate(best) if name
        ]
        if points:
            label = "best simple baseline at this horizon"
            rings = panels[0].plot(*zip(*points, strict=True), "o", label=label, gid="best", zorder=5, **BEST_STYLE)
            figure.legend(handles=rings, loc="outside lower center")
    if others:
        gains = {model: gain_over_best(values[model], values, best, lower_is_better) for model in others}
        panels[1].axhline(0, color=BLACK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=2, label="_zero")
        draw_scores(panels[1], gains, horizons, styles, baselines, zero="best simple baseline")
        panels[1].set_ylabel(f"gain in {label}, up is better")
        panels[1].set_title("difference by worm: " + lines.count_worms(gains.values(), "bars"), fontweight="bold")
    return finish_figure(figure, title)


def choose_best(simple: Scores, lower_is_better: bool) -> list[str | None]:
    """Return the simple baseline with the best mean at each horizon, over the worms that all of them were scored on.

    A baseline with no score at a horizon has no part in it. None where there is none, or no worm in common.
    """
    best: list[str | None] = []
    for horizon in range(next(iter(simple.values())).shape[1]):
        scored = {m: v[:, horizon] for m, v in simple.items() if np.isfinite(v[:, horizon]).any()}
        common = np.isfinite([*scored.values()]).all(axis=0) if scored else np.zeros(1, bool)
        means = {model: float(column[common].mean()) for model, column in scored.items() if common.any()}
        best.append((min if lower_is_better else max)(means, key=means.__getitem__, default=None))
    return best


def gain_over_best(
    ours: Float[np.ndarray, "worm horizon"], values: Scores, best: Sequence[str | None], lower_is_better: bool
) -> Float[np.ndarray, "worm horizon"]:
    """Return how much better a model is than each horizon's best baseline, in each worm: above zero is better.

    NaN where either was not scored or there is no best.
    """
    theirs = [np.full(len(ours), np.nan) if name is None else values[name][:, h] for h, name in enumerate(best)]
    difference = ours - np.stack(theirs, axis=1)
    return -difference if lower_is_better else difference


def draw_scores(
    axes: Axes,
    values: Scores,
    horizons: Float[np.ndarray, " horizon"],
    styles: Mapping[str, dict],
    baselines: Collection[str] = (),
    zero: str = "",
) -> Axes:
    """Draw all models' means over worms by horizon, with bars and names; `zero` names the line at zero, if any."""
    places = _dodge(horizons, values)
    means = {model: lines.draw_mean(axes, places[model], own, model, styles[model]) for model, own in values.items()}
    ends = {model: (lines.find_last(mean), styles[model]["color"]) for model, mean in means.items()}
    ends |= {zero: (0.0, BLACK)} if zero else {}
    # The models set the limits, and the zero line; a baseline far worse than they are leaves the panel.
    ours = [mean for model, mean in means.items() if model not in baselines and np.isfinite(mean).any()]
    origin = [0.0] if zero else []
    shown = np.concatenate([*(ours or means.values()), origin])
    everything = np.concatenate([origin, *(lines.average_over_worms(own).ravel() for own in values.values())])
    if np.isfinite(shown).any():
        low, high = np.nanmin(shown), np.nanmax(shown)
        spread = max(high - low, 1e-3 * max(1.0, abs(low), abs(high)))
        # Bars have room, but the wide ones of few worms do not press the means together.
        low = max(np.nanmin(everything), low - MOST_BARS * spread)
        high = min(np.nanmax(everything), high + MOST_BARS * spread)
        axes.set_ylim(low - 0.05 * spread, high + 0.05 * spread)
    axes.set_xscale("log")
    drawn = np.concatenate([*places.values()])
    axes.set_xlim(drawn.min() / EDGE, drawn.max() * EDGE)
    axes.set_xticks(horizons, [f"{seconds:g}" for seconds in horizons])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("horizon (s ahead)")
    lines.rule_lines(axes)
    lines.label_ends(axes, ends)
    return axes


def _dodge(horizons: np.ndarray, models: Collection[str]) -> dict[str, np.ndarray]:
    """Return where each model's points lie on the logarithmic axis: side by side, so that bars do not hide bars."""
    gap = np.log(horizons[1:] / horizons[:-1]).min() if len(horizons) > 1 else 1.0
    shifts = min(DODGE, 0.05 * len(models)) * np.linspace(-1, 1, len(models)) if len(models) > 1 else [0.0]
    return {model: horizons * np.exp(shift * gap) for model, shift in zip(models, shifts, strict=True)}
