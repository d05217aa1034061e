"""Accuracy on unseen worms by the number of training worms, with the published numbers drawn in (Wang et al. 2021)."""

import os
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wormjax.figures.style import GREY, MODEL_COLOURS, MODEL_MARKERS, make_figure, save_figure, set_title, styled
from wormjax.scoring.published import PAPER, PublishedResult
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import METRIC_TITLES, Entry, summarise

BASELINE_GREYS = ("#4D4D4D", "#7F7F7F", "#A6A6A6", "#5F5F5F", "#949494", "#BDBDBD")
BASELINE_DASHES = ((0, (4, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
BASELINE_MARKERS = ("o", "s", "^", "D", "v", "P")
PUBLISHED_MARKERS = {"GNN": "o", "MLP": "s"}
PUBLISHED_COLOURS = ("#882255", "#999933")  # Apart from the models' and the baselines'.
SPREAD = 0.5  # All models of one number of worms lie within ± half of this.


@styled
def plot_accuracy_by_worms(
    rows: Iterable[Row],
    path: str | os.PathLike,
    baseline_models: Collection[str] = (),
    published: Sequence[PublishedResult] = (),
    metrics: Sequence[str] = ("accuracy", "balanced_accuracy"),
) -> Figure:
    """Draws metrics on unseen worms by the number of training worms: a line a model, bars for 95 % over worms.

    Args:
      rows: the results of one study and one test study; rows of seen worms are left out.
      path: the PNG to write.
      baseline_models: which models are baselines (dashed, grey).
      published: others' numbers (`find_published`), drawn as open markers on dotted lines, without intervals.
      metrics: a panel each.

    Raises:
      ValueError: no row is of an unseen worm and one of `metrics`, or the rows are of several studies.
    """
    entries = [e for e in summarise(rows, baseline_models) if e.setting.unseen and e.metric in metrics]
    settings = {entry.setting for entry in entries}
    if len(settings) != 1:
        raise ValueError(f"found {len(settings)} pairs of studies in the rows of unseen worms, expected one")
    metrics = [metric for metric in metrics if any(entry.metric == metric for entry in entries)]
    figure = make_figure(3.3 * len(metrics) + 2.2, 4.0)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_models(axes, [entry for entry in entries if entry.metric == metric])
        _draw_published(axes, [result for result in published if result.metric == metric])
        _label(axes, metric)
    lines = {line.get_label(): line for axes in panels for line in _labelled_lines(axes)}
    figure.legend(lines.values(), lines.keys(), loc="outside right center", handlelength=3.2)
    study, test_study, _ = settings.pop()
    where = study if study == test_study else f"{study} → {test_study}"
    set_title(figure, f"Motor state decoded in worms never seen ({where})")
    return save_figure(figure, path)


def _draw_models(axes: Axes, entries: list[Entry]):
    models = list(dict.fromkeys(entry.model for entry in entries))
    offsets = np.linspace(-SPREAD / 2, SPREAD / 2, len(models)) if len(models) > 1 else np.zeros(1)
    drawn = {True: 0, False: 0}
    for model, offset in zip(models, offsets, strict=True):
        members = [entry for entry in entries if entry.model == model]
        baseline = members[0].baseline
        style = _choose_style(baseline, drawn[baseline])
        drawn[baseline] += 1
        counts = np.array([entry.train_count for entry in members]) + offset
        axes.plot(counts, [entry.mean for entry in members], label=model, **style)
        bars = [(x, e.interval) for x, e in zip(counts, members, strict=True) if e.interval.low is not None]
        if bars:
            low, high = [i.low for _, i in bars], [i.high for _, i in bars]
            axes.vlines(
                [x for x, _ in bars], low, high, color=style["color"], linewidth=0.9, zorder=style["zorder"] - 0.5
            )


def _choose_style(baseline: bool, number: int) -> dict:
    if baseline:
        return {
            "color": BASELINE_GREYS[number % len(BASELINE_GREYS)],
            "linestyle": BASELINE_DASHES[number % len(BASELINE_DASHES)],
            "marker": BASELINE_MARKERS[number % len(BASELINE_MARKERS)],
            "markersize": 4,
            "linewidth": 1.1,
            "zorder": 2,
        }
    place = number % len(MODEL_COLOURS)
    return {"color": MODEL_COLOURS[place], "marker": MODEL_MARKERS[place], "zorder": 4}


def _draw_published(axes: Axes, published: Sequence[PublishedResult]):
    for source, model in dict.fromkeys((result.source, result.model) for result in published):
        results = [result for result in published if (result.source, result.model) == (source, model)]
        axes.plot(
            [result.train_count for result in results],
            [result.mean for result in results],
            label=f"{model}, {source}",
            color=PUBLISHED_COLOURS[0 if source == PAPER else 1],
            linestyle=(0, (1, 2)),
            linewidth=1,
            marker=PUBLISHED_MARKERS.get(model, "D"),
            markerfacecolor="white",
            markersize=5.5,
            zorder=1.5,
        )


def _label(axes: Axes, metric: str):
    axes.set_xlabel("training worms")
    axes.set_ylabel(METRIC_TITLES.get(metric, metric))
    first, last = np.round(axes.dataLim.intervalx)
    axes.set_xlim(first - 0.45, last + 0.45)
    axes.set_xticks(np.arange(first, last + 1, max(1, (last - first) // 10)))
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)
    if metric in ("accuracy", "balanced_accuracy", "auroc"):
        means = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.get_lines()])
        # An interval of two worms can be wider than the panel: the means say where to look.
        axes.set_ylim(max(0.0, np.floor((means.min() - 0.06) * 20) / 20), 1.005)


def _labelled_lines(axes: Axes):
    return [line for line in axes.get_lines() if not line.get_label().startswith("_")]
