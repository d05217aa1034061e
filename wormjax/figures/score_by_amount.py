"""A score on held-out worms by an amount, such as the number of named neurons or the seconds of calibration."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.figures.lines import choose_styles, count_worms, cut_limits, draw_mean, list_models, rule_lines
from wormjax.figures.style import finish_figure, make_figure, styled
from wormjax.scoring.intervals import find_range
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import tabulate_amounts, title_metric


@styled
def plot_score_by_amount(
    rows: Iterable[Row], metrics: Sequence[str], label: str, baselines: Collection[str] = (), title: str = ""
) -> Figure:
    """Plot the mean over worms by the amount in METRIC@AMOUNT: a panel per metric, a line per model, 95 % bars.

    Args:
      rows: of held-out worms.
      metrics: one panel each; those without a row are left out.
      label: of the amounts, for instance "named neurons of the held-out worm".
      baselines: which models are baselines (dashed, grey).
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
        values = (
            frame[frame["model"] == model]
            .pivot_table(index="worm", columns="amount", values="value")
            .reindex(columns=amounts)
        )
        places = np.arange(len(amounts)) + 0.06 * (number - (len(styles) - 1) / 2)
        draw_mean(axes, places, values.to_numpy(), model, style)
        drawn.append(values.to_numpy())
    axes.set_xticks(range(len(amounts)), amounts)
    axes.set_title(count_worms(drawn, "bars"), fontweight="bold")
    rule_lines(axes)
    return axes
