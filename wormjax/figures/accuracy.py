"""Scores on held-out worms by the number of training worms, by an amount (neurons, seconds), and neuron by neuron.

Published numbers stand beside the first (Wang et al. 2021).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.figures import lines
from wormjax.figures.names import spell_name
from wormjax.figures.style import GREY, finish_figure, make_figure, styled
from wormjax.scoring.intervals import find_range
from wormjax.scoring.published import PAPER, PublishedResult
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import collect_by_worm, list_amounts, summarise, title_metric

PUBLISHED_NUMBERS = {"GNN": 0, "MLP": 1}  # Of markers.
PUBLISHED_STYLE = {"linestyle": (0, (1, 2)), "linewidth": 1, "markersize": 5.5, "zorder": 1.5}
PER_PANEL = 50  # Neurons whose names can be read side by side.
FEW_WORMS = 3  # Too few for an interval that says anything: their means are drawn instead.
SPREAD = 0.5  # All models of one number of worms lie within ± half of this.


@styled
def plot_accuracy_by_worms(
    rows: Iterable[Row],
    baselines: Collection[str] = (),
    published: Sequence[PublishedResult] = (),
    metrics: Sequence[str] = ("accuracy", "balanced_accuracy"),
) -> Figure:
    """Plot metrics on held-out worms of one study and test study by the number of training worms: a line per model.

    Bars are 95 % intervals over worms. Of three worms or fewer, dots are the means of each worm. Others' `published`
    numbers are open markers on dotted lines, without intervals.
    """
    rows = [row for row in rows if row.unseen and row.metric in metrics]
    frame = summarise(rows, baselines)
    metrics = [metric for metric in metrics if metric in set(frame["metric"])]
    figure = make_figure(3.3 * len(metrics) + 2.2, 4.0)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    few = frame["worms"].max() <= FEW_WORMS
    for axes, metric in zip(panels, metrics, strict=True):
        single = [row for row in rows if few and row.metric == metric]
        draw_accuracy(axes, frame[frame["metric"] == metric], [r for r in published if r.metric == metric], single)
    lines.list_models(figure, panels)
    study, test_study, _ = frame["setting"].iloc[0]
    where = study if study == test_study else f"{study} → {test_study}"
    marks = "small dots: each worm" if few else "bars: 95 % intervals over worms"
    return finish_figure(figure, f"Motor state decoded in held-out worms ({where}); {marks}")


def draw_accuracy(axes: Axes, frame: pd.DataFrame, published: Sequence[PublishedResult], single: Sequence[Row]) -> Axes:
    """Draw one metric's means and 95 % intervals by the number of training worms, models side by side.

    `single` are the rows whose means by worm are drawn in place of intervals.
    """
    by_model = dict(list(frame.groupby("model", sort=False)))
    styles = lines.choose_styles(list(by_model), set(frame["model"][frame["baseline"]]))
    offsets = np.linspace(-SPREAD / 2, SPREAD / 2, len(by_model)) if len(by_model) > 1 else [0.0]
    for (model, members), offset in zip(by_model.items(), offsets, strict=True):
        counts = members["train_count"].to_numpy() + offset
        axes.plot(counts, members["mean"].to_numpy(), label=spell_name(model), clip_on=False, **styles[model])
        colour = styles[model]["color"]
        if single:
            own = [(len(row.train_worms), row.test_worm, row.value) for row in single if row.model == model]
            means = pd.DataFrame(own).groupby([0, 1])[2].mean().reset_index()
            axes.scatter(means[0] + offset, means[2], s=6, color=colour, alpha=0.6, clip_on=False)
        else:
            axes.vlines(counts, members["low"], members["high"], color=colour, linewidth=0.9, zorder=2.5)
    for source, model in dict.fromkeys((result.source, result.model) for result in published):
        points = [(one.train_count, one.mean) for one in published if (one.source, one.model) == (source, model)]
        colour, number = lines.PUBLISHED_COLOURS[0 if source == PAPER else 1], PUBLISHED_NUMBERS.get(model, 2)
        lines.draw_open_markers(axes, points, f"{model}, {source}", colour, number, **PUBLISHED_STYLE)
    metric = frame["metric"].iloc[0]
    first, last = np.round(axes.dataLim.intervalx)
    axes.set(xlim=(first - 0.45, last + 0.45), xlabel="training worms")
    axes.set_xticks(np.arange(first, last + 1, max(1, (last - first) // 10)))
    axes.set_ylabel(title_metric(metric))
    lines.rule_lines(axes)
    if metric in ("accuracy", "balanced_accuracy", "auroc"):
        # An interval can be wider than the panel: means set the limits.
        lowest = min([*(min(line.get_ydata()) for line in axes.get_lines()), *(row.value for row in single)])
        axes.set_ylim(np.floor((lowest - 0.06) * 20) / 20, 1.0)
    lines.cut_limits(axes, find_range(metric))
    return axes


@styled
def plot_score_by_amount(
    rows: Iterable[Row], metrics: Sequence[str], label: str, baselines: Collection[str] = (), title: str = ""
) -> Figure:
    """Plot the mean over worms by the amount in METRIC@AMOUNT: a panel per metric, a line per model, 95 % bars.

    Metrics without a row are left out; `label` is of the amounts, for instance "named neurons of the held-out worm".
    """
    rows = [row for row in rows if "@" in row.metric]
    styles = lines.choose_styles(dict.fromkeys(row.model for row in rows), baselines)
    names = {metric: list_amounts(rows, metric) for metric in metrics}
    metrics = [metric for metric in metrics if names[metric]]
    figure = make_figure(4.0 * len(metrics) + 1.6, 3.9)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        draw_scores(axes, collect_by_worm(rows, [*names[metric].values()]), [*names[metric]], styles)
        axes.set(xlabel=label, ylabel=title_metric(metric))
        lines.cut_limits(axes, find_range(metric))
    lines.list_models(figure, panels)
    return finish_figure(figure, title)


def draw_scores(
    axes: Axes,
    values: Mapping[str, Float[np.ndarray, "worm amount"]],
    amounts: Sequence[str],
    styles: Mapping[str, Mapping],
) -> Axes:
    """Draw each model's values of one metric into axes, the amounts at equal distances."""
    for number, (model, style) in enumerate(styles.items()):
        places = np.arange(len(amounts)) + 0.06 * (number - (len(styles) - 1) / 2)
        if model in values:
            lines.draw_mean(axes, places, values[model], model, style)
    axes.set_xticks(range(len(amounts)), amounts)
    axes.set_title(lines.count_worms(values.values(), "bars"), fontweight="bold")
    lines.rule_lines(axes)
    return axes


@styled
def plot_score_by_neuron(
    table: pd.DataFrame, baselines: Collection[str] = (), label: str = "", title: str = ""
) -> Figure:
    """Plot a marker per neuron (row of the table) and model (column), neurons sorted by the first model's score."""
    table = table.sort_values(table.columns[0], ascending=False)
    styles = lines.choose_styles(table.columns, baselines)
    rows = -(-len(table) // PER_PANEL)
    figure = make_figure(11.0, 2.4 * rows + 0.6)
    lowest, highest = np.nanmin(table.to_numpy()), np.nanmax(table.to_numpy())
    width = -(-len(table) // rows)
    for row, axes in enumerate(figure.subplots(rows, 1, squeeze=False)[:, 0]):
        part = table.iloc[row * width : (row + 1) * width]
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        for model, style in styles.items():
            axes.plot(range(len(part)), part[model], **(style | {"linestyle": "none"}), label=model, clip_on=False)
        axes.set_xticks(range(len(part)), part.index, rotation=90, fontsize=7)
        axes.set(ylabel=label, xlim=(-0.7, width - 0.3), ylim=(lowest - 0.05, min(highest + 0.05, 1.0)))
        axes.grid(axis="x", color="#EEEEEE", linewidth=0.6)
        axes.set_axisbelow(True)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    names = [f"{spell_name(name)}: mean {table[name].mean():.2f}" for name in labels]
    figure.legend(handles, names, loc="outside right upper")
    return finish_figure(figure, title)
