"""Summary of systems with a graph: rows → one table a system, models down and metrics across, and one for the console.

After Tables 1 and 2 of Kipf, Fetaya et al. (2018, arXiv 1802.04687), with what they leave out: the spread over seeds,
and the 95 % interval over groups of test systems.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from wormjax.scoring.intervals import Interval, average_by_worm, cut_to_range, find_range, interval_over_worms
from wormjax.scoring.markdown import escape, fit_name, join_cells, start_table, unique, write_markdown
from wormjax.scoring.published import PublishedResult
from wormjax.scoring.rows import Row

BOUNDS = ("nri_supervised", "nri_true_graph")  # They know the graph: in training, or in testing too.
PREDICTORS = ("lstm", "static", "var")  # Predict without a graph.
RELATIONS = ("correlation", "partial_correlation", "lagged_correlation", "granger")  # A graph by statistics alone.

METRIC_TITLES = {
    "edge_accuracy": "Edge accuracy",
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "nll": "NLL (nats per edge)",
    "calibration_error": "Calibration error",
}
ERROR = "mse@"  # Begins the names of errors of prediction; the number of steps follows.

EXPLANATION = (
    "Entries: mean over seeds and test systems ± s.d. over seeds (where there are several) [95 % interval over groups "
    "of test systems: seeds averaged first, then Student's t]. MSE @ k: mean squared error of the frame k steps after "
    "the last one given, in the scaled features. ‡ bounds, which are given the graph; *italics* baselines; † others' "
    "published numbers, whose test systems are not those scored here."
)

CONSOLE_METRICS = ("edge_accuracy", "auroc", "balanced_accuracy", "calibration_error")
CONSOLE_COLUMNS, NAME_WIDTH, ENTRY_WIDTH = 4, 28, 18  # 100 columns of a console.


class SystemEntry(NamedTuple):
    """One number of the table.

    Attributes:
      study, test_study: the systems trained and tested on.
      model: the model's name.
      metric: the metric's name.
      sd: the sample standard deviation over seeds, each the mean over its groups; None for a single seed.
      seeds: how many seeds.
      interval: the mean over groups of test systems, seeds averaged first, and its 95 % interval.
    """

    study: str
    test_study: str
    model: str
    metric: str
    sd: float | None
    seeds: int
    interval: Interval


def summarise_systems(rows: Iterable[Row]) -> list[SystemEntry]:
    """Reduces rows to one entry a system, model and metric.

    Returns:
      Entries ordered by system, then model (`rank_model`, otherwise as they first occur), then metric.
    """
    members: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        members[row.study, row.test_study, row.model, row.metric].append(row)
    systems = unique(key[:2] for key in members)
    models = sorted(unique(key[2] for key in members), key=rank_model)
    metrics = sorted(unique(key[3] for key in members), key=_rank_metric)
    keys = sorted(members, key=lambda key: (systems.index(key[:2]), models.index(key[2]), metrics.index(key[3])))
    return [_make_entry(*key, members[key]) for key in keys]


def rank_model(model: str) -> int:
    """The place of a kind of model: 0 NRI, 1 bounds, 2 models of other names, 3 predictors, 4 relation baselines."""
    for place, names in ((1, BOUNDS), (3, PREDICTORS), (4, RELATIONS)):
        if model in names:
            return place
    return 0 if model.startswith("nri") else 2


def write_systems_summary(
    path: str | os.PathLike,
    rows: Iterable[Row],
    config_text: str | None = None,
    published: Sequence[PublishedResult] = (),
) -> None:
    """Writes the summary as Markdown, whole or not at all.

    Args:
      path: where to, for instance "summary.md".
      rows: the results; a group of test systems is a test worm.
      config_text: the config that made the rows, printed at the end.
      published: others' numbers, put below the table of their system and marked (`find_published_systems`).
    """
    entries = summarise_systems(rows)
    parts = ["# Results", "", EXPLANATION]
    for system in unique((entry.study, entry.test_study) for entry in entries):
        same = [entry for entry in entries if (entry.study, entry.test_study) == system]
        others = [result for result in published if (result.study, result.test_study) == system]
        counts = f"{_count(same, lambda e: e.interval.worms, 'group')} of test systems"
        parts += ["", f"## {_name_system(*system)}", ""]
        parts += [f"{_count(same, lambda e: e.seeds, 'seed')}, {counts}.", "", *_tabulate(same, others)]
    write_markdown(path, parts, config_text)


def print_systems_summary(rows: Iterable[Row]) -> None:
    """Prints mean ± s.d. over seeds of how edges and frames are predicted; no line is wider than 100 columns."""
    print("\n".join(format_systems_summary(rows)))


def format_systems_summary(rows: Iterable[Row]) -> list[str]:
    """The lines that `print_systems_summary` prints."""
    entries = summarise_systems(rows)
    lines = ["Mean over seeds and test systems ± s.d. over seeds; ‡ given the graph, * baseline"]
    for system in unique((entry.study, entry.test_study) for entry in entries):
        same = [entry for entry in entries if (entry.study, entry.test_study) == system]
        metrics = sorted(unique(entry.metric for entry in same), key=_rank_metric)
        edges = [metric for metric in metrics if metric in CONSOLE_METRICS]
        errors = [metric for metric in metrics if metric.startswith(ERROR)]
        for title, chosen in (("edges", edges), ("error of prediction", errors)):
            for start in range(0, len(chosen), CONSOLE_COLUMNS):
                heading = f"{_name_system(*system)}: {title}"
                lines += ["", heading[:100], *_format_block(same, chosen[start : start + CONSOLE_COLUMNS])]
    return lines


def _make_entry(study, test_study, model, metric, rows) -> SystemEntry:
    by_seed = defaultdict(list)
    for row in rows:
        by_seed[row.seed].append(row.value)
    means = [np.mean(values) for values in by_seed.values()]
    sd = float(np.std(means, ddof=1)) if len(means) > 1 else None
    interval = interval_over_worms(np.array(list(average_by_worm(rows).values())))
    interval = cut_to_range(interval, find_range(metric))
    return SystemEntry(study, test_study, model, metric, sd, len(means), interval)


def _rank_metric(metric: str) -> tuple:
    if metric.startswith(ERROR):
        steps = metric.removeprefix(ERROR)
        return (2, int(steps) if steps.isdecimal() else 0, metric)
    return (0, [*METRIC_TITLES].index(metric), metric) if metric in METRIC_TITLES else (1, 0, metric)


def _title_metric(metric: str) -> str:
    if metric.startswith(ERROR):
        return f"MSE @ {metric.removeprefix(ERROR)}"
    return METRIC_TITLES.get(metric, metric)


def _name_system(study: str, test_study: str) -> str:
    return study if study == test_study else f"{study} → {test_study}"


def _count(entries: list[SystemEntry], number, noun: str) -> str:
    """How many seeds or groups: one number, or the range where models differ."""
    low, high = min(map(number, entries)), max(map(number, entries))
    return (f"{high}" if low == high else f"{low} to {high}") + f" {noun}{'' if high == 1 else 's'}"


def _tabulate(entries: list[SystemEntry], published: Sequence[PublishedResult]) -> list[str]:
    metrics = sorted(unique(entry.metric for entry in entries), key=_rank_metric)
    lines = start_table(["model", *(escape(_title_metric(metric)) for metric in metrics)])
    for model in unique(entry.model for entry in entries):
        cells = {entry.metric: entry for entry in entries if entry.model == model}
        lines.append(join_cells([_mark(model), *(_format_entry(cells.get(metric)) for metric in metrics)]))
    published = [result for result in published if result.metric in metrics]
    for source, model in unique((result.source, result.model) for result in published):
        found = {result.metric: result.mean for result in published if (result.source, result.model) == (source, model)}
        texts = [f"{_format_number(metric, found[metric])} †" if metric in found else "" for metric in metrics]
        lines.append(join_cells([f"{escape(model)} † ({escape(source)})", *texts]))
    return lines


def _mark(model: str) -> str:
    return (escape(model), f"{escape(model)} ‡", escape(model), *[f"*{escape(model)}*"] * 2)[rank_model(model)]


def _format_entry(entry: SystemEntry | None) -> str:
    if entry is None:
        return ""
    low, high = entry.interval.low, entry.interval.high
    if low is None:
        return _format_spread(entry)
    return f"{_format_spread(entry)} [{', '.join(_format_number(entry.metric, bound) for bound in (low, high))}]"


def _format_spread(entry: SystemEntry) -> str:
    numbers = [entry.interval.mean] if entry.sd is None else [entry.interval.mean, entry.sd]
    return " ± ".join(_format_number(entry.metric, number) for number in numbers)


def _format_number(metric: str, value: float) -> str:
    """Three decimals; an error with two digits and its power of ten, 3.1e-8."""
    if not metric.startswith(ERROR):
        return f"{value:.3f}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"


def _format_block(entries: list[SystemEntry], metrics: Sequence[str]) -> list[str]:
    lines = ["".ljust(NAME_WIDTH) + "".join(_title_metric(metric).rjust(ENTRY_WIDTH) for metric in metrics)]
    for model in unique(entry.model for entry in entries if entry.metric in metrics):
        cells = {entry.metric: entry for entry in entries if entry.model == model}
        texts = [_format_spread(cells[metric]) if metric in cells else "" for metric in metrics]
        name = ("", "‡ ", "", "* ", "* ")[rank_model(model)] + model
        lines.append(fit_name(name, NAME_WIDTH) + "".join(text.rjust(ENTRY_WIDTH) for text in texts))
    return lines
