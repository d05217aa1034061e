"""Error of a forecast by step: on held-out worms, of each model and relative to one baseline, and on test systems.

Some worms are harder to forecast than others, so models are compared by the ratio of their errors in each worm. How
far roll-outs stay with systems is drawn after Table 2 of Kipf, Fetaya et al. (2018, arXiv 1802.04687), whose numbers
stand as open markers.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator, PercentFormatter

from wormjax.figures import lines, style
from wormjax.figures.names import spell_name
from wormjax.figures.style import finish_figure, make_figure, styled
from wormjax.scoring.published import LSTM, NRI, STATIC, PublishedResult

METRIC_LABELS = {"mse": "mean squared error", "mae": "mean absolute error"}
LINEAR_STEPS = 24  # A longer forecast has its steps on a logarithmic axis.
LARGEST_RATIO = 1.6  # A model far worse than the reference leaves the panel; its label stays, with an arrow.
COLOURS = {"nri": style.VERMILLION, "nri_true_graph": style.BLACK, "lstm": style.BLUE, "var": style.GREEN}
COLOURS["static"] = style.GREY
SPARE_COLOURS = (style.PURPLE, style.SKY, style.ORANGE)
# Bounds and baselines, dashed.
THIN = ("nri_true_graph", "lstm", "var", "static", "constant_velocity", "damped_velocity", "ridge")
PUBLISHED_AS = {NRI: "nri", LSTM: "lstm", STATIC: "static"}  # Their model → ours, whose colour it has.

Errors = Mapping[str, Float[np.ndarray, "worm step"]]


@styled
def plot_forecast_error(
    errors: Errors,
    baselines: Collection[str] = (),
    reference: str | None = None,
    published: Sequence[PublishedResult] = (),
    metric: str = "mse",
    seconds_per_step: float | None = None,
) -> Figure:
    """Plot the mean error over worms by step, and beside it the ratio to a reference, paired by worm.

    Bands are 95 % intervals over the worms that were scored at a step; baselines have none beside other models.

    Args:
      errors: model → its error on each test worm at steps 1, 2, ... (averaged over subsets and seeds); NaN where not
        scored. All models have the same worms, in the same order, and the same steps.
      reference: the model whose error is 100 % in the right panel; None: no right panel.
      published: others' numbers; those of `metric` ("mse@K") are drawn as open markers.
    """
    styles = lines.choose_styles(errors, baselines, markers=False)
    columns = 1 if reference is None else 2
    figure = make_figure(5.2 * columns + 0.4, 4.3)
    panels = figure.subplots(1, columns, squeeze=False)[0]
    last = max(np.flatnonzero(np.isfinite(values).any(axis=0)).max(initial=0) + 1 for values in errors.values())
    points = lines.collect_steps(published, metric, last)
    draw_errors(panels[0], errors, styles, METRIC_LABELS[metric], points)
    if reference is not None:
        draw_ratios(panels[1], errors, styles, reference)
    for axes in panels:
        _set_steps(axes, last, seconds_per_step)
    markers = panels[0].get_lines()[-len(points) :] if points else ()
    return finish_figure(figure, "Forecast of held-out worms", markers, ncols=min(len(markers), 2 * columns))


def compare_by_worm(
    ours: Float[np.ndarray, "worm step"], theirs: Float[np.ndarray, "worm step"]
) -> Float[np.ndarray, "worm step"]:
    """Return the ratio of two models' errors in each worm; NaN where either was not scored or theirs is zero."""
    return np.divide(ours, theirs, out=np.full(np.shape(ours), np.nan), where=np.asarray(theirs) > 0)


def draw_errors(
    axes: Axes, errors: Errors, styles: Mapping[str, dict], label: str, published: Mapping[tuple[str, str], list] = {}
) -> Axes:
    """Draw each model's mean error over worms by step, on a logarithmic axis; published numbers as open markers."""
    means = _draw_models(axes, errors, styles)
    heights = [height for points in published.values() for _, height in points]
    drawn = np.concatenate([*means.values(), heights])
    axes.set_yscale("log", nonpositive="clip")
    # An interval of few worms can reach below zero: the means set the limits.
    axes.set_ylim(np.min(drawn[drawn > 0]) / 1.6, np.nanmax(drawn) * 1.6)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(label)
    axes.set_title(lines.count_worms(errors.values(), "band"), fontweight="bold")
    lines.label_ends(axes, {model: (lines.find_last(mean), styles[model]["color"]) for model, mean in means.items()})
    for number, ((source, model), points) in enumerate(published.items()):
        lines.draw_open_markers(axes, points, f"{model}, {source}", lines.PUBLISHED_COLOURS[number % 2], number)
    return axes


def draw_ratios(axes: Axes, errors: Errors, styles: Mapping[str, dict], reference: str) -> Axes:
    """Draw the mean over worms of each model's error as a share of the reference's, by step."""
    axes.axhline(1, **styles[reference] | {"zorder": 2})
    others = [model for model in errors if model != reference]
    ratios = {model: compare_by_worm(errors[model], errors[reference]) for model in others}
    means = _draw_models(axes, ratios, styles)
    drawn = np.concatenate([[1.0], *means.values()])
    low, high = np.nanmin(drawn), min(np.nanmax(drawn), LARGEST_RATIO)
    margin = max(0.12 * (high - low), 0.05)
    axes.set_ylim(max(0.0, low - margin), high + margin)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_ylabel(f"error relative to {spell_name(reference)}")
    axes.set_title(f"ratio in each worm: {lines.count_worms(ratios.values(), 'band')}", fontweight="bold")
    ends = {model: (lines.find_last(mean), styles[model]["color"]) for model, mean in means.items()}
    lines.label_ends(axes, ends | {reference: (1.0, styles[reference]["color"])})
    return axes


def _draw_models(axes: Axes, values: Errors, styles: Mapping[str, dict]) -> dict[str, np.ndarray]:
    """Draw each model's mean by step, and its band, the paler the more there are; return the means."""
    dashed = [model for model in values if "linestyle" in styles[model]]
    banded = [model for model in values if model not in dashed] or dashed  # Baselines' bands would hide the others.
    means = {}
    for model, array in values.items():
        known = 1 + np.flatnonzero(np.isfinite(array).any(axis=0))
        sparse = np.diff(known, prepend=known[:1] - 1) > 1  # After a gap in the steps a marker shows what was measured.
        mark = {"marker": "o", "markersize": 4, "markevery": sparse.tolist()} if sparse.any() else {}
        alpha, steps = 0.18 * min(1.0, 1.5 / len(banded)), np.arange(1, array.shape[1] + 1)  # Bands add up.
        band = "band" if model in banded else None
        means[model] = lines.draw_mean(axes, steps, array, model, styles[model] | mark, band, alpha)
    return means


def _set_steps(axes: Axes, last: int, seconds_per_step: float | None):
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
    lines.rule_lines(axes)
    if seconds_per_step is not None:
        top = axes.secondary_xaxis("top", functions=(lambda x: x * seconds_per_step, lambda s: s / seconds_per_step))
        seconds = [tick * seconds_per_step for tick in ticks[:: -(-len(ticks) // 8)]]
        top.set_xticks(seconds, [f"{value:.3g}" for value in seconds])
        top.xaxis.set_minor_locator(NullLocator())
        top.set_xlabel("time after the last frame given (s)")


@styled
def plot_roll_out_error(
    errors: Mapping[str, Float[np.ndarray, " step"] | Float[np.ndarray, "run step"]],
    published: Sequence[PublishedResult] = (),
) -> Figure:
    """Plot the mean squared error after 1, 2, ... steps (scaled units), a line per model, on a logarithmic axis.

    Of several runs the mean is drawn, and their range; published errors are drawn as open markers.
    """
    figure = make_figure(6.0, 3.7)
    axes = figure.subplots()
    spare = iter(SPARE_COLOURS * (1 + len(errors)))
    colours = {model: COLOURS[model] if model in COLOURS else next(spare) for model in errors}
    ends, last = {}, max(np.shape(values)[-1] for values in errors.values())
    for model, values in errors.items():
        # Nothing is exactly right; a logarithm has no place for it.
        runs = np.atleast_2d(np.where(np.asarray(values) > 0, values, np.nan))
        steps, mean = np.arange(1, runs.shape[1] + 1), runs.mean(axis=0)
        line = {"linestyle": (0, (4, 1.5)), "linewidth": 1.2} if model in THIN else {"linewidth": 1.8}
        axes.plot(steps, mean, color=colours[model], label=spell_name(model), zorder=3, **line)
        if len(runs) > 1:
            low, high = runs.min(axis=0), runs.max(axis=0)
            axes.fill_between(steps, low, high, color=colours[model], alpha=0.18, linewidth=0)
        ends[model] = lines.find_last(mean), colours[model]
    markers = []
    for number, ((_, model), points) in enumerate(lines.collect_steps(published, "mse", last).items()):
        ours = PUBLISHED_AS.get(model)
        colour = colours.get(ours, COLOURS.get(ours, style.BLACK))
        markers.append(lines.draw_open_markers(axes, points, model, colour, number))
    axes.set_yscale("log")
    axes.set(xlim=(0.3, last + 0.4), xlabel="steps after the last frame given", ylabel="mean squared error")
    axes.set_xticks([1, *range(5, last + 1, 5)] if last <= 40 else [1, *range(10, last + 1, 10)])
    lines.rule_lines(axes)
    lines.label_ends(axes, ends)
    if markers:
        axes.legend(handles=markers, loc="best", title=published[0].source, title_fontsize=8)
    return finish_figure(figure, "Error of prediction on test systems")
