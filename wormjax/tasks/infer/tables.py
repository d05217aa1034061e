"""Summary of systems with a graph: rows → one table a system, models down and metrics across, and one for the console.

After Tables 1 and 2 of Kipf, Fetaya et al. (2018, arXiv 1802.04687), with what they leave out: the spread over seeds,
and the 95 % interval over groups of test systems.
"""

import functools
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from wormjax.scoring.intervals import Interval, average_by_worm, cut_to_range, find_range, interval_over_worms
from wormjax.scoring.markdown import (
    escape,
    format_bounds,
    format_spread,
    tabulate,
    tabulate_console,
    unique,
    write_markdown,
)
from wormjax.scoring.published import PublishedResult
from wormjax.scoring.rows import Row
from wormjax.tasks.infer.baselines import PREDICTORS, RELATIONS
from wormjax.tasks.infer.networks import BOUNDS

METRIC_TITLES = {
    "edge_accuracy": "Edge accuracy",
    "auroc": "AUROC",
    "edge_auroc": "Edge AUROC",
    "direction_auroc": "Direction AUROC",
    "hidden_auroc": "Hidden AUROC",
    "hidden_r": "Hidden r",
    "strength_r": "Strength r",
    "balanced_accuracy": "Balanced accuracy",
    "nll": "NLL (nats per edge)",
    "calibration_error": "Calibration error",
}
BEST = "_best"  # Followed by the number of sampled futures.
KEYS = ["study", "test_study", "model", "metric"]
# Begin the names of errors of prediction; the number of steps follows, or nothing for the mean over all.
ERROR_TITLES = {"mse": "MSE", "distance": "Distance"}

EXPLANATION = (
    "Each entry is the mean over seeds and test systems ± s.d. over seeds, with the 95 % interval over groups of test "
    "systems in brackets (seeds averaged first, then Student's t). MSE @ k is the mean squared error of the scaled "
    "features k steps after the last frame given; Distance @ k is the mean distance then, in the units of the file. "
    "Best of n takes, for each object, the closest of n sampled futures. ‡ marks bounds, which are given the graph; "
    "baselines are in *italics*. Numbers marked † are published by others, on other test systems."
)

CONSOLE_METRICS = ("edge_accuracy", "edge_auroc", "direction_auroc", "calibration_error")
CONSOLE_METRICS += ("hidden_auroc", "hidden_r", "strength_r")
NO_ROWS = "Nothing is scored: no test system has a known graph, or frames after those that are given (data.frames)."
CONSOLE_COLUMNS, NAME_WIDTH, ENTRY_WIDTH = 4, 28, 18  # 100 columns of a console.


def summarise_systems(rows: Iterable[Row]) -> pd.DataFrame:
    """Return one line per system, model and metric, ordered so; models by `rank_model`, otherwise as they first occur.

    Returns:
      study, test_study, model, metric: what the line is about.
      mean, low, high, groups: over groups of test systems, seeds averaged first, and the 95 % interval.
      sd, seeds: over seeds, each the mean over its groups, and how many; sd is NaN for a single seed.
    """
    groups, lines = defaultdict(list), []
    for row in rows:
        groups[tuple(getattr(row, field) for field in KEYS)].append(row)
    for key, members in groups.items():
        by_seed = pd.Series([row.value for row in members]).groupby([row.seed for row in members]).mean()
        averages = np.array(list(average_by_worm(members).values()))
        interval = cut_to_range(interval_over_worms(averages), find_range(key[-1]))
        line = dict(zip(KEYS, key, strict=True)) | interval._asdict() | {"sd": by_seed.std(), "seeds": len(by_seed)}
        lines.append(line)
    found = pd.DataFrame(lines, columns=[*KEYS, *Interval._fields, "sd", "seeds"]).rename(columns={"worms": "groups"})
    found = found.astype({"low": float, "high": float})
    places = {name: place for place, name in enumerate(unique(zip(found["study"], found["test_study"], strict=True)))}
    found["system"] = [places[system] for system in zip(found["study"], found["test_study"], strict=True)]
    models = sorted(unique(found["model"]), key=rank_model)
    found["place"] = found["model"].map(models.index)
    found["rank"] = found["metric"].map(_rank_metric)
    return found.sort_values(["system", "place", "rank"], ignore_index=True)


def rank_model(model: str) -> int:
    """Return the rank of a model's kind: 0 NRI, 1 bounds, 2 other models, 3 predictors, 4 relation baselines."""
    for place, names in ((1, BOUNDS), (3, ("lstm", *PREDICTORS)), (4, RELATIONS)):
        if model in names:
            return place
    return 0 if model.startswith(("nri", "dnri")) else 2


def write_systems_summary(
    path: str | os.PathLike, rows: Iterable[Row], published: Sequence[PublishedResult] = ()
) -> None:
    """Write the summary as Markdown, whole or not at all; of the rows a group of test systems is a test worm.

    `published`: others' numbers, put below the table of their system and marked (`find_published_systems`).
    """
    rows = [*rows]
    parts = ["# Results", "", EXPLANATION if rows else NO_ROWS]
    for system, same in summarise_systems(rows).groupby(KEYS[:2], sort=False):
        others = [result for result in published if (result.study, result.test_study) == system]
        counts = f"{_count(same['seeds'], 'seed')}, {_count(same['groups'], 'group')} of test systems."
        parts += ["", f"## {_name_system(*system)}", "", counts, "", *_tabulate(same, others)]
    write_markdown(path, parts)


def format_systems_summary(rows: Iterable[Row]) -> list[str]:
    """Return the mean ± s.d. over seeds of scores of edges and of frames, in lines of at most 100 columns."""
    rows = [*rows]
    lines = ["Mean over seeds and test systems ± s.d. over seeds; ‡ given the graph, * baseline" if rows else NO_ROWS]
    for system, same in summarise_systems(rows).groupby(KEYS[:2], sort=False):
        metrics = sorted(unique(same["metric"]), key=_rank_metric)
        edges = [metric for metric in metrics if metric in CONSOLE_METRICS]
        errors = [metric for metric in metrics if _is_error(metric)]
        for title, chosen in (("edges", edges), ("error of prediction", errors)):
            for start in range(0, len(chosen), CONSOLE_COLUMNS):
                titles = {metric: _title_metric(metric) for metric in chosen[start : start + CONSOLE_COLUMNS]}
                cells = {
                    (("", "‡ ", "", "* ", "* ")[rank_model(line.model)] + line.model, line.metric): _format_spread(line)
                    for line in same[same["metric"].isin(titles)].itertuples()
                }
                lines += ["", f"{_name_system(*system)}: {title}"[:100]]
                lines += tabulate_console("", titles, cells, (NAME_WIDTH, ENTRY_WIDTH))
    return lines


def _rank_metric(metric: str) -> tuple:
    if _is_error(metric):
        steps = metric.partition("@")[2]
        return (2, int(steps) if steps.isdecimal() else 0, metric)
    return (0, [*METRIC_TITLES].index(metric), metric) if metric in METRIC_TITLES else (1, 0, metric)


def _is_error(metric: str) -> bool:
    return metric.partition("@")[0].partition(BEST)[0] in ERROR_TITLES


def _title_metric(metric: str) -> str:
    if _is_error(metric):
        (name, _, steps), (_, _, futures) = metric.partition("@"), metric.partition(BEST)
        title = ERROR_TITLES[name.partition(BEST)[0]]
        return f"Best of {futures}" if futures else title + (f" @ {steps}" if steps else "")
    return METRIC_TITLES.get(metric, metric)


def _name_system(study: str, test_study: str) -> str:
    return study if study == test_study else f"{study} → {test_study}"


def _count(numbers: pd.Series, noun: str) -> str:
    """Return how many seeds or groups: one number, or the range where models differ."""
    low, high = numbers.min(), numbers.max()
    return (f"{high}" if low == high else f"{low} to {high}") + f" {noun}{'' if high == 1 else 's'}"


def _tabulate(frame: pd.DataFrame, published: Sequence[PublishedResult]) -> list[str]:
    titles = {metric: escape(_title_metric(metric)) for metric in sorted(unique(frame["metric"]), key=_rank_metric)}
    cells = {}
    for line in frame.itertuples():
        number = functools.partial(_format_number, line.metric)
        cells[_mark(line.model), line.metric] = _format_spread(line) + format_bounds(line.low, line.high, number)
    for one in published:
        if one.metric in titles:
            name = f"{escape(one.model)} † ({escape(one.source)})"
            cells[name, one.metric] = f"{_format_number(one.metric, one.mean)} †"
    return tabulate("model", titles, cells)


def _mark(model: str) -> str:
    return (escape(model), f"{escape(model)} ‡", escape(model), *[f"*{escape(model)}*"] * 2)[rank_model(model)]


def _format_spread(line) -> str:
    return format_spread(line.mean, line.sd, functools.partial(_format_number, line.metric))


def _format_number(metric: str, value: float) -> str:
    """Return three decimals; of an error two digits and its power of ten, 3.1e-8."""
    if metric.startswith("distance"):
        return f"{value:.2f}"
    if not _is_error(metric):
        return f"{value:.3f}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"
