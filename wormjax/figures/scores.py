"""A score on held-out worms by an amount (named neurons, seconds of calibration), and neuron by neuron."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.figures.lines import choose_styles, count_worms, cut_limits, draw_mean, list_models, rule_lines
from wormjax.figures.names import spell_name
from wormjax.figures.style import GREY, finish_figure, make_figure, styled
from wormjax.scoring.intervals import find_range
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import tabulate_amounts, title_metric

PER_PANEL = 50  # Neurons whose names can be read side by side.


@styled
def plot_score_by_amount(
    rows: Iterable[Row], metrics: Sequence[str], label: str, baselines: Collection[str] = (), title: str = ""
) -> Figure:
    """Plot the mean over worms by the amount in METRIC@AMOUNT: a panel per metric, a line per model, 95 % bars.

    Metrics without a row are left out; `label` is of the amounts, for instance "named neurons of the held-out worm".
    """
    frame = tabulate_amounts(rows)
    styles = choose_styles(dict.fromkeys(frame["model"]), baselines)
    metrics = [metric for metric in metrics if metric in set(frame["metric"])]
    figure = make_figure(4.0 * len(metrics) + 1.6, 3.9)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        draw_scores(axes, frame[frame["metric"] == metric], styles)
        axes.set(xlabel=label, ylabel=title_metric(metric))
        cut_limits(axes, find_range(metric))
    list_models(figure, panels)
    return finish_figure(figure, title)


def draw_scores(axes: Axes, frame: pd.DataFrame, styles: Mapping[str, Mapping]) -> Axes:
    """Draw one metric of a table of `tabulate_amounts` into axes, the amounts at equal distances."""
    amounts, drawn = list(dict.fromkeys(frame["amount"])), []
    for number, (model, style) in enumerate(styles.items()):
        table = frame[frame["model"] == model].pivot_table(index="worm", columns="amount", values="value")
        values = table.reindex(columns=amounts)
        places = np.arange(len(amounts)) + 0.06 * (number - (len(styles) - 1) / 2)
        draw_mean(axes, places, values.to_numpy(), model, style)
        drawn.append(values.to_numpy())
    axes.set_xticks(range(len(amounts)), amounts)
    axes.set_title(count_worms(drawn, "bars"), fontweight="bold")
    rule_lines(axes)
    return axes


@styled
def plot_score_by_neuron(
    table: pd.DataFrame, baselines: Collection[str] = (), label: str = "", title: str = ""
) -> Figure:
    """Plot a marker per neuron (row of the table) and model (column), neurons sorted by the first model's score."""
    table = table.sort_values(table.columns[0], ascending=False)
    styles = choose_styles(table.columns, baselines)
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
