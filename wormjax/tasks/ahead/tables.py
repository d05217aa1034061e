"""Tables of motor states ahead: scores by horizon, and up to which horizon a model beats simple baselines.

Models that are given the motor state so far have tables of their own, beside those that read neurons alone. The best
simple baseline of each horizon is chosen on the test worms, which favours the baseline.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from wormjax.scoring.intervals import (
    Interval,
    average_by_worm,
    difference_over_worms,
    interval_over_rows,
    interval_over_worms,
)
from wormjax.scoring.markdown import format_bounds, tabulate, tabulate_console, write_markdown
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import Setting, describe_setting

LOWER_IS_BETTER = {"nll": True, "accuracy": False, "balanced_accuracy": False, "reversal_auroc": False}
REVERSAL = {"reversal_nll": True, "reversal_error": True}  # Metrics without a horizon; whether lower is better.
TITLES = {
    "nll": "Negative log-likelihood of the motor state, nats",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
    "reversal_auroc": "Has the next reversal begun by then: AUROC",
    "reversal_nll": "Interval of the next reversal: negative log-likelihood, nats",
    "reversal_error": "Time to the next reversal: mean absolute error of the median, s",
}
COMPARED = ("nll", "balanced_accuracy")
EXPLANATION = (
    "Each entry is the mean over training subsets, worms and seeds, with the 95 % interval over worms in brackets (a "
    "jackknife where subsets of the worms trained, else Student's t); the best of a column is in bold, and * marks "
    "baselines. Differences are paired by worm. The best simple baseline (frequencies, persistence, chains) is "
    "chosen at each horizon on the test worms. *Better up to* is the last horizon up to which the mean difference "
    "always favours the model; in brackets, up to which the whole interval does. Persistence predicts the next "
    "reversal as frequencies do. With `data.scaling` zscore, minmax or robust, a trace is scaled by the recording, "
    "later frames included; with calibration, by its first minutes."
)


class Table(NamedTuple):
    """The rows of one setting, number of training worms and state of knowledge: model → metric → rows.

    `smaller` has those of one training worm fewer, which intervals read (`difference_over_worms`).
    """

    setting: Setting
    train_count: int
    given: bool
    rows: dict[str, dict[str, list[Row]]]
    smaller: Mapping[str, Mapping[str, list[Row]]] = MappingProxyType({})


def collect_tables(rows: Iterable[Row], given: Callable[[str], bool]) -> list[Table]:
    """Group rows by setting, number of training worms, and whether a model is given the motor state so far."""
    groups: dict[tuple, dict[str, dict[str, list[Row]]]] = {}
    for row in rows:
        key = (Setting(row.study, row.test_study, row.unseen), len(row.train_worms), given(row.model))
        groups.setdefault(key, {}).setdefault(row.model, {}).setdefault(row.metric, []).append(row)
    return [
        Table(*key, by_model, groups.get((key[0], key[1] - 1, key[2]), {}))
        for key, by_model in sorted(groups.items(), key=lambda item: item[0][:3])
    ]


def name_metric(kind: str, seconds: float) -> str:
    """Return the name of a metric at a horizon."""
    return f"{kind}@{seconds:g}s"


def find_best_simple(table: Table, metric: str, simple: Sequence[str], lower: bool) -> str | None:
    """Return the simple baseline with the best mean; None where none was scored."""
    means = {
        name: interval_over_all(by_metric[metric])
        for name, by_metric in table.rows.items()
        if name in simple and metric in by_metric
    }
    return (min if lower else max)(means, key=means.get) if means else None


def compare(table: Table, model: str, metric: str, reference: str | None) -> Interval | None:
    """Return the paired difference of a model to another; None where they share no worm, or one was not scored."""
    if reference is None or any(metric not in table.rows[one] for one in (model, reference)):
        return None
    fewer = tuple(table.smaller.get(one, {}).get(metric, ()) for one in (model, reference))
    return difference_over_worms(table.rows[model][metric], table.rows[reference][metric], smaller=fewer)


def find_reach(differences: Sequence[Interval | None], seconds: Sequence[float], lower: bool) -> tuple[float, float]:
    """Return the last horizon up to which a model is always better, by the mean and by the whole interval; 0: none."""
    sign = -1.0 if lower else 1.0
    by_mean, surely = [], []
    for one in differences:
        by_mean.append(one is not None and sign * one.mean > 0)
        ends = () if one is None or one.low is None else (sign * one.low, sign * one.high)
        surely.append(bool(ends) and min(ends) > 0)
    reach = (int(np.argmin([*flags, False])) for flags in (by_mean, surely))
    return tuple(seconds[number - 1] if number else 0.0 for number in reach)


def collect_by_worm(table: Table, kind: str, seconds: Sequence[float]) -> dict[str, np.ndarray]:
    """Return model → each test worm's value at each horizon [worm, horizon], NaN where there is none; worms by name."""
    worms = sorted({row.test_worm for by_metric in table.rows.values() for some in by_metric.values() for row in some})
    values = {}
    for model, by_metric in table.rows.items():
        columns = []
        for one in seconds:
            means = average_by_worm(by_metric.get(name_metric(kind, one), []))
            columns.append([means.get((table.setting.test_study, worm), np.nan) for worm in worms])
        if np.isfinite(columns).any():
            values[model] = np.array(columns).T
    return values


def write_summary(
    path: str | os.PathLike,
    tables: Sequence[Table],
    seconds: Sequence[float],
    simple: Sequence[str],
    baselines: Sequence[str],
    rivals: Sequence[str],
    data_text: str,
) -> None:
    """Write the summary as Markdown, whole or not at all; each model is compared with the baselines `rivals`."""
    parts = ["# The motor state to come", "", EXPLANATION]
    for table in tables:
        parts += ["", f"## {describe_table(table)}"]
        for kind, lower in LOWER_IS_BETTER.items():
            parts += ["", f"### {TITLES[kind]}", "", *tabulate_horizons(table, kind, seconds, baselines, lower)]
            if kind in COMPARED:
                parts += tabulate_differences(table, kind, seconds, simple, lower)
                for rival in rivals:
                    parts += tabulate_against(table, kind, seconds, rival, baselines)
        parts += ["", "### The next reversal", "", *tabulate_reversal(table, baselines)]
    write_markdown(path, parts, data_text)


def describe_table(table: Table) -> str:
    """Return a table in words."""
    knows = "given the motor state so far" if table.given else "from neurons alone"
    worms = f"trained on {table.train_count} worm{'s' if table.train_count != 1 else ''}"
    return f"{describe_setting(table.setting)}, {worms}, {knows}"


def tabulate_horizons(table: Table, kind: str, seconds, baselines, lower: bool) -> list[str]:
    """Return the mean by model and horizon, as the lines of a Markdown table."""
    titles = {name_metric(kind, one): f"{one:g} s" for one in seconds}
    return _tabulate_means(table, titles, dict.fromkeys(titles, lower), baselines)


def tabulate_reversal(table: Table, baselines) -> list[str]:
    """Return what is known of the next reversal, as the lines of a Markdown table."""
    return _tabulate_means(table, {metric: TITLES[metric] for metric in REVERSAL}, REVERSAL, baselines)


def tabulate_differences(table: Table, kind: str, seconds, simple, lower: bool) -> list[str]:
    """Return every model against the best simple baseline at each horizon, and how far ahead it is better."""
    best = {one: find_best_simple(table, name_metric(kind, one), simple, lower) for one in seconds}
    cells = {}
    for model in table.rows if any(best.values()) else ():
        if model not in simple:
            differences = [compare(table, model, name_metric(kind, one), best[one]) for one in seconds]
            cells |= {(model, one): format_difference(d) for one, d in zip(seconds, differences, strict=True)}
            reach = (f"{one:g} s" if one else "none" for one in find_reach(differences, seconds, lower))
            cells[model, "reach"] = " (".join(reach) + ")"
    titles = {one: f"{one:g} s: {name or 'none'}" for one, name in best.items()} | {"reach": "better up to"}
    return ["", *tabulate("less the best simple baseline", titles, cells)] if cells else []


def tabulate_against(table: Table, kind: str, seconds, rival: str, baselines) -> list[str]:
    """Return every network against one baseline, at each horizon."""
    models = [model for model in table.rows if model not in baselines]
    if rival not in table.rows or not models:
        return []
    cells = {
        (model, one): format_difference(compare(table, model, name_metric(kind, one), rival))
        for model in models
        for one in seconds
    }
    return ["", *tabulate(f"less {rival}", {one: f"{one:g} s" for one in seconds}, cells)]


def format_difference(difference: Interval | None) -> str:
    """Return a difference with its interval, for a cell."""
    if difference is None:
        return ""
    signed = "{:+.3f}".format
    return (signed(difference.mean) + format_bounds(*difference[1:3], signed)).replace("-", "−")


def format_console(tables: Sequence[Table], seconds, baselines) -> list[str]:
    """Return lines for the terminal: two scores after training on the largest number of worms."""
    most = max(table.train_count for table in tables)
    lines = ["Mean over training subsets, worms and seeds; * baseline"]
    for table in tables:
        for kind in COMPARED if table.train_count == most else ():
            cells = {}
            for model, by_metric in table.rows.items():
                for one in seconds:
                    some = by_metric.get(name_metric(kind, one))
                    text = f"{np.mean([row.value for row in some]):.3f}" if some else ""
                    cells[_mark(model, baselines), one] = text
            lines += ["", f"{TITLES[kind]}: {describe_table(table)}"]
            lines += tabulate_console("", {one: f"{one:g} s" for one in seconds}, cells, (34, 8))
    return lines


def _mark(model: str, baselines) -> str:
    return model + "*" * (model in baselines)


def _tabulate_means(table: Table, titles: dict[str, str], lower: dict[str, bool], baselines) -> list[str]:
    """Return the mean by model and metric with its interval over worms; the best mean of each metric in bold."""
    cells = {}
    for metric in titles:
        found = {
            _mark(model, baselines): interval_over_rows(by_metric[metric], table.smaller.get(model, {}).get(metric, ()))
            for model, by_metric in table.rows.items()
            if metric in by_metric
        }
        best = (min if lower[metric] else max)((one.mean for one in found.values()), default=None)
        for name, (mean, low, high, _) in found.items():
            text = f"**{mean:.3f}**" if mean == best else f"{mean:.3f}"
            cells[name, metric] = text + format_bounds(low, high)
    return tabulate("model", titles, cells)


def interval_over_all(rows: Sequence[Row] | None) -> float | None:
    """Return the mean over worms of some rows."""
    return interval_over_worms(np.array(list(average_by_worm(rows).values()))).mean if rows else None
