"""Error of a forecast by step, on worms never seen: each model, and each against one baseline on the same worms.

The worm is the unit of replication: bands are Student's t over worms (`wormjax.scoring.intervals`). Worms differ in
how hard they are to forecast, so that models are compared by the ratio of their errors within each worm.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator, PercentFormatter

from wormjax.figures.accuracy import BASELINE_DASHES, BASELINE_GREYS, PUBLISHED_COLOURS
from wormjax.figures.roll_out_error import spread_labels
from wormjax.figures.style import GREY, MODEL_COLOURS, make_figure, save_figure, set_title, styled
from wormjax.scoring.intervals import interval_over_worms
from wormjax.scoring.published import PublishedResult

METRIC_LABELS = {"mse": "mean squared error", "mae": "mean absolute error"}
GREYS = tuple(BASELINE_GREYS[k] for k in (0, 1, 3))  # Paler ones cannot be read as a label.
PUBLISHED_MARKERS = ("o", "s", "^", "D", "v")
LABEL_DISTANCE = 0.05  # Of two labels, in heights of the panel.
LINEAR_STEPS = 24  # A longer forecast has its steps on a logarithmic axis.
LARGEST_RATIO = 1.6  # A model far worse than the reference leaves the panel; its label stays, with an arrow.


@styled
def plot_forecast_error(
    errors: Mapping[str, Float[np.ndarray, "worm step"]],
    path: str | os.PathLike,
    baselines: Collection[str] = (),
    reference: str | None = None,
    published: Sequence[PublishedResult] = (),
    metric: str = "mse",
    seconds_a_step: float | None = None,
    title: str = "Forecast of worms never seen",
) -> Figure:
    """Draws the mean error over worms by step, and beside it the ratio to a reference, paired by worm.

    Bands are 95 % intervals over the worms that were scored at a step; of one worm there is none, of baselines neither.

    Args:
      errors: model → its error on each test worm at steps 1, 2, ... (averaged over subsets and seeds); NaN where not
        scored. All models have the same worms, in the same order, and the same steps.
      path: the PNG to write.
      baselines: which models are baselines (dashed, grey).
      reference: the model whose error is 100 % in the right panel; None: no right panel.
      published: others' numbers; those of `metric` ("mse@K" where it is "mse") are drawn as open markers.
      metric: "mse" or "mae".
      seconds_a_step: adds an axis in seconds on top.
      title: the figure's title.

    Raises:
      ValueError: the models differ in worms or steps, a metric or reference is not known, or nothing was scored.
    """
    errors = {model: np.asarray(values, float) for model, values in errors.items()}
    _check(errors, reference, metric)
    styles = _choose_styles(errors, baselines)
    panels_wide = 1 if reference is None else 2
    figure = make_figure(4.4 * panels_wide + 0.6, 4.3)
    panels = figure.subplots(1, panels_wide, squeeze=False)[0]
    last = max(_find_last(values) for values in errors.values())
    _draw_errors(panels[0], errors, styles, published, metric, last)
    if reference is not None:
        _draw_ratios(panels[1], errors, styles, reference)
    for axes in panels:
        _set_steps(axes, last, seconds_a_step)
    handles = [line for line in panels[0].get_lines() if line.get_gid() == "published"]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * panels_wide))
    set_title(figure, title)
    return save_figure(figure, path)


def average_by_step(
    values: Float[np.ndarray, "worm step"],
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """The mean over worms at each step and its 95 % interval, over the worms that have a value there.

    Returns:
      Mean, low and high; NaN where no worm has a value, and low and high also where only one has.
    """
    bands = np.full((3, values.shape[1]), np.nan)
    for step, column in enumerate(np.asarray(values, float).T):
        known = column[np.isfinite(column)]
        if len(known):
            bands[:, step] = np.array(interval_over_worms(known)[:3], float)  # None becomes NaN.
    return bands[0], bands[1], bands[2]


def compare_by_worm(
    ours: Float[np.ndarray, "worm step"], theirs: Float[np.ndarray, "worm step"]
) -> Float[np.ndarray, "worm step"]:
    """The ratio of two models' errors in each worm; NaN where either was not scored or theirs is zero."""
    return np.divide(ours, theirs, out=np.full(np.shape(ours), np.nan), where=np.asarray(theirs) > 0)


def _check(errors: Mapping[str, np.ndarray], reference: str | None, metric: str):
    shapes = sorted({values.shape for values in errors.values()})
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise ValueError(f"found errors of shapes {shapes}, expected one shape [worm, step] for all models")
    if not any(np.isfinite(values).any() for values in errors.values()):
        raise ValueError("found no error of any model, expected at least one")
    if reference is not None and reference not in errors:
        raise ValueError(f"found the reference {reference!r}, expected one of {[*errors]}")
    if metric not in METRIC_LABELS:
        raise ValueError(f"found the metric {metric!r}, expected one of {[*METRIC_LABELS]}")


def _choose_styles(models: Sequence[str], baselines: Collection[str]) -> dict[str, dict]:
    styles, grey, colour = {}, 0, 0
    for model in models:
        if model in baselines:
            dashes = BASELINE_DASHES[grey % len(BASELINE_DASHES)]
            styles[model] = {"color": GREYS[grey % len(GREYS)], "linestyle": dashes, "linewidth": 1.2, "zorder": 3.5}
            grey += 1
        else:
            styles[model] = {"color": MODEL_COLOURS[colour % len(MODEL_COLOURS)], "linewidth": 1.8, "zorder": 3}
            colour += 1
    return styles


def _draw_errors(axes: Axes, errors, styles, published, metric: str, last: int):
    banded = _choose_banded(errors, styles)
    means = {
        model: _draw_model(axes, values, model, styles[model], sum(banded.values()), banded[model])
        for model, values in errors.items()
    }
    axes.set_yscale("log", nonpositive="clip")
    results = _draw_published(axes, published, metric, last)
    drawn = np.concatenate([*means.values(), results])
    drawn = drawn[drawn > 0]
    if len(drawn):
        # An interval of few worms can reach below zero: the means say where to look.
        axes.set_ylim(drawn.min() / 1.6, drawn.max() * 1.6)
    worms = int(np.any([np.isfinite(values).any(axis=1) for values in errors.values()], axis=0).sum())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(METRIC_LABELS[metric])
    axes.set_title(_count_worms("mean", worms), fontweight="bold")
    _label_ends(axes, means, styles)


def _draw_ratios(axes: Axes, errors, styles, reference: str):
    others = [model for model in errors if model != reference]
    axes.axhline(1, **styles[reference] | {"zorder": 2})
    ratios = {model: compare_by_worm(errors[model], errors[reference]) for model in others}
    banded = _choose_banded(others, styles)
    means = {
        model: _draw_model(axes, ratios[model], model, styles[model], sum(banded.values()), banded[model])
        for model in others
    }
    drawn = np.concatenate([[1.0], *means.values()])
    drawn = drawn[np.isfinite(drawn)]
    low, high = drawn.min(), min(drawn.max(), LARGEST_RATIO)
    margin = max(0.12 * (high - low), 0.05)
    axes.set_ylim(max(0.0, low - margin), high + margin)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    paired = [np.isfinite(values).any(axis=1) for values in ratios.values()]
    worms = int(np.any(paired, axis=0).sum()) if paired else 0
    axes.set_ylabel(f"error, % of {reference}'s")
    axes.set_title(_count_worms("ratio in each worm: mean", worms), fontweight="bold")
    _label_ends(axes, means | {reference: np.ones_like(errors[reference][0])}, styles)


def _choose_banded(models: Iterable[str], styles) -> dict[str, bool]:
    """Which models have a band: baselines (dashed) have none where there are others, whose bands theirs would hide."""
    dashed = {model: "linestyle" in styles[model] for model in models}
    return {model: not dash or all(dashed.values()) for model, dash in dashed.items()}


def _count_worms(what: str, worms: int) -> str:
    return f"{what} of {worms} worms, 95 % band" if worms > 1 else "one worm: no band"


def _draw_model(axes: Axes, values: np.ndarray, model: str, style: dict, models: int, band=True) -> np.ndarray:
    """Draws the mean by step over the steps that have one, and its band, the paler the more models there are."""
    mean, low, high = average_by_step(values)
    steps = np.arange(1, len(mean) + 1)
    known = np.isfinite(mean)
    if known.any():
        # Beyond a gap in the steps a marker shows where the line was measured.
        sparse = np.diff(steps[known], prepend=steps[known][0] - 1) > 1
        mark = {"marker": "o", "markersize": 4, "markevery": sparse.tolist()} if sparse.any() else {}
        axes.plot(steps[known], mean[known], label=model, **style, **mark)
    banded = np.isfinite(low)
    if band and banded.any():
        faint = 0.18 * min(1.0, 4 / models)
        edge = {"color": style["color"], "alpha": faint, "linewidth": 0, "zorder": style["zorder"] - 2}
        axes.fill_between(steps[banded], low[banded], high[banded], label=f"_{model}", **edge)
    return mean


def _draw_published(axes: Axes, published: Sequence[PublishedResult], metric: str, last: int) -> list[float]:
    """Draws others' errors of one metric as open markers; returns those drawn."""
    prefix, heights = f"{metric}@", []
    results = [result for result in published if result.metric.startswith(prefix)]
    for number, (source, model) in enumerate(dict.fromkeys((r.source, r.model) for r in results)):
        members = [r for r in results if (r.source, r.model) == (source, model)]
        points = sorted((int(r.metric.removeprefix(prefix)), r.mean) for r in members)
        points = [point for point in points if point[0] <= last]
        if not points:
            continue
        heights += [height for _, height in points]
        style = {
            "color": PUBLISHED_COLOURS[number % len(PUBLISHED_COLOURS)],
            "marker": PUBLISHED_MARKERS[number % len(PUBLISHED_MARKERS)],
            "linestyle": "none",
            "markerfacecolor": "white",
            "markeredgewidth": 1.3,
            "zorder": 4,
        }
        axes.plot(*zip(*points, strict=True), clip_on=False, label=f"{model}, {source}", gid="published", **style)
    return heights


def _find_last(values: np.ndarray) -> int:
    """The last step at which any worm was scored, 0 if none."""
    scored = np.flatnonzero(np.isfinite(values).any(axis=0))
    return int(scored[-1]) + 1 if len(scored) else 0


def _set_steps(axes: Axes, last: int, seconds_a_step: float | None):
    if last > LINEAR_STEPS:
        axes.set_xscale("log", base=2)
        axes.set_xlim(2**-0.15, last * 2**0.1)
        ticks = [2**k for k in range(int(np.log2(last)) + 1)]
    else:
        axes.set_xlim(0.6, last + 0.3)
        ticks = [1, *range(2, last + 1, 1 if last <= 8 else 2)] if last <= 16 else [1, *range(4, last + 1, 4)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("steps after the last frame given")
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)
    if seconds_a_step is not None:
        top = axes.secondary_xaxis("top", functions=(lambda x: x * seconds_a_step, lambda s: s / seconds_a_step))
        shown = ticks if len(ticks) <= 8 else ticks[:: -(-len(ticks) // 8)]
        top.set_xticks([tick * seconds_a_step for tick in shown], [f"{tick * seconds_a_step:.3g}" for tick in shown])
        top.xaxis.set_minor_locator(NullLocator())
        top.set_xlabel("time after the last frame given (s)")
        axes.spines["top"].set_visible(False)


def _label_ends(axes: Axes, means: Mapping[str, np.ndarray], styles: Mapping[str, dict]):
    """Write each model's name beside its line's end, none over another."""
    known = {model: mean[np.isfinite(mean)] for model, mean in means.items()}
    ends = {model: values[-1] for model, values in known.items() if len(values)}
    scale = np.log if axes.get_yscale() == "log" else np.asarray
    low, high = scale(axes.get_ylim())
    heights = [np.clip((scale(end) - low) / (high - low), 0, 1) for end in ends.values()]
    places = spread_labels(heights, LABEL_DISTANCE)
    if len(places):
        places += max(0.0, -places.min()) - max(0.0, places.max() - 1)  # All within the panel, if they fit.
    for model, height, place in zip(ends, heights, places, strict=True):
        colour = styles[model]["color"]
        axes.annotate(
            model if ends[model] <= axes.get_ylim()[1] else f"{model} ↑",
            xy=(1.005, height),
            xytext=(1.07, place),
            xycoords="axes fraction",
            color=colour,
            va="center",
            fontsize=8.5,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
