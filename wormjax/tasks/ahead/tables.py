"""Tables of motor states ahead: scores by horizon, and up to which horizon a model beats simple baselines.

Models that are given the motor state so far have tables of their own, beside those that read neurons alone. The best
simple baseline of each horizon is chosen on the test worms, which favours the baseline.
"""

import itertools
import os
from collections.abc import Sequence

import numpy as np

from wormjax.scoring.intervals import Interval, average_by_worm
from wormjax.scoring.markdown import format_bounds, tabulate, tabulate_console, write_markdown
from wormjax.scoring.tables import BRACKETS, SCALED, Table, describe_setting

ALONE, GIVEN = "from neurons alone", "given the motor state so far"  # Parts of a setting, with tables of their own.
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
    f"Each entry is the mean over training subsets, worms and seeds, with {BRACKETS}; the best of a column is in bold, "
    "and * marks baselines. Differences are paired by worm. The best simple baseline (frequencies, persistence, "
    "chains) is chosen at each horizon on the test worms. *Better up to* is the last horizon up to which the mean "
    "difference always favours the model; in brackets, up to which the whole interval does. Persistence predicts the "
    f"next reversal as frequencies do. {SCALED}"
)


def name_metric(kind: str, seconds: float) -> str:
    """Return the name of a metric at a horizon."""
    return f"{kind}@{seconds:g}s"


def find_best_simple(table: Table, metric: str, simple: Sequence[str], lower: bool) -> str | None:
    """Return the simple baseline with the best mean over worms; None where none was scored."""
    means = {name: table.average(metric, name).mean for name in table.rows.get(metric, {}) if name in simple}
    return (min if lower else max)(means, key=means.get, default=None)


def find_reach(differences: Sequence[Interval | None], seconds: Sequence[float], lower: bool) -> tuple[float, float]:
    """Return the last horizon up to which a model is always better, by the mean and by the whole interval; 0: none."""
    sign = -1.0 if lower else 1.0
    by_mean = [one is not None and sign * one.mean > 0 for one in differences]
    known = [one is not None and one.low is not None for one in differences]
    surely = [has and min(sign * one.low, sign * one.high) > 0 for one, has in zip(differences, known, strict=True)]
    reach = (int(np.argmin([*flags, False])) for flags in (by_mean, surely))
    return tuple(seconds[number - 1] if number else 0.0 for number in reach)


def collect_by_worm(table: Table, kind: str, seconds: Sequence[float]) -> dict[str, np.ndarray]:
    """Return model → each test worm's value at each horizon [worm, horizon], NaN where there is none; worms by name."""
    metrics = [name_metric(kind, one) for one in seconds]
    models = table.list_models()
    worms = sorted({row.test_worm for by_model in table.rows.values() for rows in by_model.values() for row in rows})
    means = {model: [average_by_worm(table.find(metric, model)) for metric in metrics] for model in models}
    places = [(table.setting.test_study, worm) for worm in worms]
    values = {model: np.array([[one.get(w, np.nan) for one in own] for w in places]) for model, own in means.items()}
    return {model: own for model, own in values.items() if np.isfinite(own).any()}


def write_summary(
    path: str | os.PathLike, tables: Sequence[Table], seconds, simple, baselines, rivals, data_text: str
) -> None:
    """Write the summary as Markdown, whole or not at all; each model is compared with the baselines `rivals`."""
    parts = ["# The motor state to come", "", EXPLANATION]
    for table in tables:
        parts += ["", f"## {describe_table(table)}"]
        for kind, lower in LOWER_IS_BETTER.items():
            titles = {name_metric(kind, one): f"{one:g} s" for one in seconds}
            means = _tabulate_means(table, titles, dict.fromkeys(titles, lower), baselines)
            parts += ["", f"### {TITLES[kind]}", "", *means]
            if kind in COMPARED:
                parts += _tabulate_differences(table, kind, seconds, simple, lower)
                for rival in rivals:
                    parts += _tabulate_against(table, kind, seconds, rival, baselines)
        reversal = _tabulate_means(table, {metric: TITLES[metric] for metric in REVERSAL}, REVERSAL, baselines)
        parts += ["", "### The next reversal", "", *reversal]
    write_markdown(path, parts, data_text)


def describe_table(table: Table) -> str:
    """Return a table in words."""
    worms = f"trained on {table.train_count} worm{'s' if table.train_count != 1 else ''}"
    return f"{describe_setting(table.setting)}, {worms}, {table.part}"


def _tabulate_differences(table: Table, kind: str, seconds, simple, lower: bool) -> list[str]:
    """Return every model against the best simple baseline at each horizon, and how far ahead it is better."""
    best = {one: find_best_simple(table, name_metric(kind, one), simple, lower) for one in seconds}
    cells = {}
    for model in table.list_models() if any(best.values()) else ():
        if model not in simple:
            differences = [table.compare(name_metric(kind, one), model, best[one]) for one in seconds]
            cells |= {(model, one): format_difference(d) for one, d in zip(seconds, differences, strict=True)}
            reach = (f"{one:g} s" if one else "none" for one in find_reach(differences, seconds, lower))
            cells[model, "reach"] = " (".join(reach) + ")"
    titles = {one: f"{one:g} s: {name or 'none'}" for one, name in best.items()} | {"reach": "better up to"}
    return ["", *tabulate("less the best simple baseline", titles, cells)] if cells else []


def _tabulate_against(table: Table, kind: str, seconds, rival: str, baselines) -> list[str]:
    """Return every network against one baseline, at each horizon."""
    models = table.list_models()
    cells = {
        (model, one): format_difference(table.compare(name_metric(kind, one), model, rival))
        for model in (models if rival in models else ())
        for one in seconds
        if model not in baselines
    }
    return ["", *tabulate(f"less {rival}", {one: f"{one:g} s" for one in seconds}, cells)] if cells else []


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
            for model, one in itertools.product(table.list_models(), seconds):
                values = [row.value for row in table.find(name_metric(kind, one), model)]
                cells[_mark(model, baselines), one] = f"{np.mean(values):.3f}" if values else ""
            lines += ["", f"{TITLES[kind]}: {describe_table(table)}"]
            lines += tabulate_console("", {one: f"{one:g} s" for one in seconds}, cells, (34, 8))
    return lines


def _mark(model: str, baselines) -> str:
    return model + "*" * (model in baselines)


def _tabulate_means(table: Table, titles: dict[str, str], lower: dict[str, bool], baselines) -> list[str]:
    """Return the mean by model and metric with its interval over worms; the best mean of each metric in bold."""
    cells = {}
    for metric in titles:
        found = {_mark(model, baselines): table.average(metric, model) for model in table.rows.get(metric, {})}
        best = (min if lower[metric] else max)((one.mean for one in found.values()), default=None)
        for name, (mean, low, high, _) in found.items():
            text = f"**{mean:.3f}**" if mean == best else f"{mean:.3f}"
            cells[name, metric] = text + format_bounds(low, high)
    return tabulate("model", titles, cells)
