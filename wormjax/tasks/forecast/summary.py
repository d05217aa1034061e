"""Summary of forecasts: rows → tables of error by step, as Markdown and as a short table for the console.

Entries are mean ± s.d. over training subset, worm and seed, as Wang et al. (2021, Frontiers in AI 4:618372) report,
with the 95 % interval over worms. Each model is then set against the ridge vector autoregression (VAR) that turned out
best at that very step, against the VAR that goes on learning from the test worm's past, and against its twin without a
graph: the relative difference of mean squared error, paired by training set and worm.
"""

import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from wormjax.atomic_write import open_place
from wormjax.recordings.motor_states import COMMON_NAMES
from wormjax.scoring.intervals import Interval, interval_over_rows
from wormjax.scoring.published import PublishedResult
from wormjax.scoring.published_forecasts import NOTE
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import describe_setting
from wormjax.tasks.forecast.tables import (
    Metric,
    Table,
    collect_tables,
    find_best_var,
    list_models,
    parse_metric,
    relative_difference,
)

STEPS = (1, 4, 8, 16, 32, 64)
WHERE_STEPS = (8, 16)
CONSOLE_STEPS = (1, 4, 8, 16)
ADAPTED = "var_adapted"

METRIC_TITLES = {
    "mse": "Mean squared error",
    "mae": "Mean absolute error",
    "r2": "R² against persistence (1 - MSE / persistence's)",
    "nll": "Negative log-likelihood (nats per value)",
    "crps": "Continuous ranked probability score",
    "coverage90": "Coverage of the 90 % band (share of true values within)",
    "mode_share": "Share of a mixture's variance between its modes",
}
ERRORS = ("mse", "mae", "crps")  # Positive and of any size: three significant digits. All else: three decimals.

EXPLANATION = (
    "Errors are of one frame, so many steps after the last one given. Entries: mean ± s.d. over training subset, worm "
    "and seed [95 % interval of the mean, the worm as the unit: a jackknife over worms, or Student's t where that is "
    "wider or all there is: docs/trust.md]; "
    "beside the model, how many numbers went in, and of how many worms. Relative differences of mean squared error, in "
    "percent (below zero: the model's error is the smaller): paired by training set and test worm, seeds averaged "
    "first; the mean over worms of the difference, and its 95 % interval, over the mean of the reference. Baselines "
    "are in italics; numbers marked † are others', whose features and worms need not be the ones scored here."
)

NAME_WIDTH, ENTRY_WIDTH, RELATIVE_WIDTH = 26, 10, 12  # 26 + 5 * 10 + 2 * 12 = 100 columns of a console.


def write_forecast_summary(
    path: str | os.PathLike,
    rows: Iterable[Row],
    baseline_models: Collection[str],
    config_text: str | None = None,
    published: Sequence[PublishedResult] = (),
    twins: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Writes the summary as Markdown, whole or not at all.

    Args:
      path: where to, for instance "summary.md".
      rows: the results. A model that is not trained (no training worms) stands in every table of its studies. Metrics
        that are not of a forecast (`parse_metric`) get no table and are named.
      baseline_models: which of the models are baselines.
      config_text: the config that made the rows, printed at the end.
      published: others' errors, put into the table of their metric and marked (`find_published_forecasts`): of the
        number of training worms that they have or, where no table has it, of the largest.
      twins: model → its structure-agnostic twins; the first pair is the one looked at by motor state and neuron.
    """
    tables, others = collect_tables(rows, baseline_models)
    parts = ["# Results", "", EXPLANATION]
    if others:
        parts += ["", f"In no table: {', '.join(_escape(name) for name in others)}."]
    for table in tables:
        counts = [other.train_count for other in tables if other.setting == table.setting]
        parts += ["", f"## {describe_setting(table.setting)}, {_count(table.train_count, 'training worm')}"]
        theirs = _select_published(published, table, counts)
        for kind in _list_kinds(table):
            parts += ["", f"### {METRIC_TITLES.get(kind, kind)}", ""]
            parts += _tabulate_kind(table, kind, baseline_models, theirs)
            if kind == "mse":
                parts += _tabulate_comparisons(table, baseline_models, twins or {})
        if table.train_count == max(counts):
            parts += _tabulate_parts(table, baseline_models, twins or {})
    if config_text is not None:
        parts += ["", "## Config", "", "```", config_text.rstrip(), "```"]
    with open_place(path) as beside:
        beside.write_text("\n".join(parts) + "\n", encoding="utf-8")


def print_forecast_summary(rows: Iterable[Row], baseline_models: Collection[str]) -> None:
    """Prints mean squared error and coverage, trained on most and on fewest worms, and the relative difference to the
    best ridge VAR; no line is wider than 100 columns."""
    print("\n".join(format_forecast_summary(rows, baseline_models)))


def format_forecast_summary(rows: Iterable[Row], baseline_models: Collection[str]) -> list[str]:
    """The lines that `print_forecast_summary` prints."""
    tables, _ = collect_tables(rows, baseline_models)
    lines = ["Mean squared error (MSE) and coverage of the 90 % band by step, mean; * baseline"]
    lines += ["% VAR: relative difference of MSE to the ridge VAR that is best at that step, paired by worm"]
    for setting in _unique(table.setting for table in tables):
        same = [table for table in tables if table.setting == setting]
        for table in same[-1:] + same[:-1][:1]:  # Most training worms, then fewest.
            lines += ["", *_format_block(table, baseline_models)]
    return lines


def _select_published(published: Sequence[PublishedResult], table: Table, counts: Sequence[int]):
    def belongs(result: PublishedResult) -> bool:
        if (result.study, result.test_study, True) != table.setting:
            return False
        if result.train_count == 0 or result.train_count in counts:
            return result.train_count in (0, table.train_count)
        return table.train_count == max(counts)

    return [result for result in published if belongs(result)]


def _list_kinds(table: Table) -> list[str]:
    found = {metric.kind for metric in table.rows if metric.part is None and metric.step in STEPS}
    return [kind for kind in METRIC_TITLES if kind in found] + sorted(found - METRIC_TITLES.keys())


def _list_steps(table: Table, kind: str) -> list[int]:
    return [step for step in STEPS if Metric(kind, step, None) in table.rows]


def _tabulate_kind(table: Table, kind: str, baseline_models, published: Sequence[PublishedResult]) -> list[str]:
    """Models down, steps across. Mean squared error with interval and counts, all else with mean ± s.d. alone."""
    steps, whole = _list_steps(table, kind), kind == "mse"
    published = {(p.source, p.model, p.train_count, p.metric): p for p in published if p.metric.startswith(f"{kind}@")}
    steps = sorted({*steps, *(parse_metric(key[-1]).step for key in published)})
    metrics = [Metric(kind, step, None) for step in steps]
    counts = ["numbers / worms"] if whole else []
    lines = _start_table(["model", *counts, *(_title_step(step) for step in steps)])
    for model in list_models(table, metrics, baseline_models):
        cells = [table.rows.get(metric, {}).get(model) for metric in metrics]
        counts = [_describe_counts(cells)] if whole else []
        fewer = [table.smaller.get(metric, {}).get(model, ()) for metric in metrics]
        pairs = zip(cells, fewer, strict=True)
        texts = [_format_entry(kind, members, whole, smaller) if members else "" for members, smaller in pairs]
        lines.append(_join([_mark(model, baseline_models), *counts, *texts]))
    for source, model, count in _unique(key[:3] for key in published):
        found = [published.get((source, model, count, f"{kind}@{step}")) for step in steps]
        texts = [f"{_format_spread(kind, result.mean, result.sd)} †" if result else "" for result in found]
        where = f"{source}, trained on {count}" if count else source
        lines.append(_join([f"{_escape(model)} † ({_escape(where)})", *([""] if whole else []), *texts]))
    return [*lines, "", NOTE] if published else lines


def _tabulate_comparisons(
    table: Table, baseline_models: Collection[str], twins: Mapping[str, Sequence[str]]
) -> list[str]:
    """Relative differences of mean squared error: to the best ridge VAR, to the adapted VAR, and to the twins."""
    steps = _list_steps(table, "mse")
    by_step = [table.rows[Metric("mse", step, None)] for step in steps]
    best = [find_best_var(by_model) for by_model in by_step]
    models = list_models(table, [Metric("mse", step, None) for step in steps], baseline_models)
    ours = [model for model in models if model not in baseline_models]
    head = _start_table(["model", *(_title_step(step) for step in steps)])
    lines = []
    if any(best) and ours:
        lines += [
            "",
            "### Against the best ridge VAR",
            "",
            "The VAR with the lowest mean at that very step: chosen in view of the test worms.",
            "",
            *head,
        ]
        lines.append(_join(["*best ridge VAR*", *(_mark(model, baseline_models) if model else "" for model in best)]))
        lines += [_join([_escape(model), *_compare(by_step, [model] * len(steps), best)]) for model in ours]
    if ADAPTED in models and ours:
        lines += ["", f"### Against {_escape(ADAPTED)}", "", *head]
        adapted = [ADAPTED] * len(steps)
        lines += [_join([_escape(model), *_compare(by_step, [model] * len(steps), adapted)]) for model in ours]
    pairs = [(model, twin) for model, others in twins.items() for twin in others if {model, twin} <= {*models}]
    if pairs:
        lines += ["", "### Against the structure-agnostic twins", "", *head]
    for model, twin in pairs:
        texts = _compare(by_step, [model] * len(steps), [twin] * len(steps))
        lines.append(_join([f"{_escape(model)} against {_mark(twin, baseline_models)}", *texts]))
    return lines


def _compare(by_step: Sequence[Mapping[str, list[Row]]], models: Sequence[str], references: Sequence[str | None]):
    """The text of a relative difference at each step; empty where one of the two was not scored."""
    return [
        _format_relative(relative_difference(by_model.get(model, []), by_model.get(reference, [])))
        for by_model, model, reference in zip(by_step, models, references, strict=True)
    ]


def _tabulate_parts(table: Table, baseline_models: Collection[str], twins: Mapping[str, Sequence[str]]) -> list[str]:
    """Mean squared error by motor state at the start, and by neuron: the first pair of twins beside the VARs."""
    metrics = [metric for metric in table.rows if metric.kind == "mse" and metric.part and metric.step in WHERE_STEPS]
    columns = _choose_columns(table, metrics, baseline_models, twins)
    lines = []
    for title, is_state in (("motor state at the start", True), ("neuron", False)):
        parts = _unique(metric.part for metric in metrics if (metric.part.lower() in COMMON_NAMES) == is_state)
        if not parts or not columns:
            continue
        heads = [f"{_mark(model, baseline_models)}, {_title_step(step)}" for step, model in columns]
        lines += ["", f"### Where: mean squared error by {title}", ""]
        lines += [
            "Mean; the lowest at each step in bold. Ridge VAR: the best at that step over all neurons and starts.",
            "",
        ]
        lines += _start_table([title, "worms", *heads])
        lines += [_join(_list_part(table, part, columns)) for part in parts]
    return lines


def _choose_columns(table: Table, metrics: Sequence[Metric], baseline_models, twins) -> list[tuple[int, str]]:
    """(step, model): the first model with a twin that was scored, its twin, the adapted VAR and the step's best VAR."""
    models = list_models(table, metrics, baseline_models)
    first = next((model for model in twins if model in models), None)
    first = first or next((model for model in models if model not in baseline_models), None)
    columns = []
    for step in sorted({metric.step for metric in metrics}):
        best = find_best_var(table.rows.get(Metric("mse", step, None), {}))
        scored = list_models(table, [metric for metric in metrics if metric.step == step], baseline_models)
        columns += [
            (step, model) for model in _unique([first, *twins.get(first, ())[:1], ADAPTED, best]) if model in scored
        ]
    return columns


def _list_part(table: Table, part: str, columns: Sequence[tuple[int, str]]) -> list[str]:
    cells = [table.rows.get(Metric("mse", step, part), {}).get(model) for step, model in columns]
    means = [np.mean([row.value for row in members]) if members else math.inf for members in cells]
    texts = []
    for (step, _), mean in zip(columns, means, strict=True):
        rivals = [other for (place, _), other in zip(columns, means, strict=True) if place == step]
        text = _format_spread("mse", mean, None) if mean < math.inf else ""
        texts.append(f"**{text}**" if text and len(rivals) > 1 and mean == min(rivals) else text)
    worms = {row.test_worm for members in cells for row in members or ()}
    return [_escape(part), f"{len(worms)}", *texts]


def _title_step(step: int) -> str:
    return f"step {step}"


def _start_table(titles: Sequence[str]) -> list[str]:
    return [_join(titles), _join(["---"] * len(titles))]


def _join(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(name: str) -> str:
    return name.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def _mark(model: str, baseline_models: Collection[str]) -> str:
    return f"*{_escape(model)}*" if model in baseline_models else _escape(model)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _describe_counts(cells: Sequence[Sequence[Row] | None]) -> str:
    """How many numbers of how many worms, "36 / 4"; ranges where steps differ."""
    numbers = [len(members) for members in cells if members]
    worms = [len({row.test_worm for row in members}) for members in cells if members]
    ranges = ((min(values), max(values)) for values in (numbers, worms))
    return " / ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in ranges)


def _format_entry(kind: str, members: Sequence[Row], whole: bool, smaller: Sequence[Row]) -> str:
    values = np.array([row.value for row in members])
    text = _format_spread(kind, values.mean(), values.std(ddof=1) if len(values) > 1 else None)
    interval = interval_over_rows(members, smaller)
    if not whole or interval.low is None:
        return text
    low, high = (_format_number(kind, bound, values.mean()) for bound in interval[1:3])
    return f"{text} [{low}, {high}]"


def _format_spread(kind: str, mean: float, sd: float | None) -> str:
    return " ± ".join(_format_number(kind, value, mean) for value in ((mean,) if sd is None else (mean, sd)))


def _format_number(kind: str, value: float, mean: float) -> str:
    """An error with as many decimals as give its mean three digits; all else with three decimals."""
    if abs(value) >= 1e5:
        return f"{value:.2e}"
    if kind not in ERRORS or not mean > 0:
        return f"{value:.3f}"
    return f"{value:.{min(max(2 - math.floor(math.log10(mean)), 0), 8)}f}"


def _format_relative(interval: Interval | None) -> str:
    if interval is None:
        return ""
    low_high = "" if interval.low is None else f" [{_format_percent(interval.low)}, {_format_percent(interval.high)}]"
    return f"{_format_percent(interval.mean)} %{low_high} ({_count(interval.worms, 'worm')})"


def _format_percent(value: float) -> str:
    return f"{value:+.1f}" if abs(value) < 1e5 else f"{value:+.1e}"


def _format_block(table: Table, baseline_models: Collection[str]) -> list[str]:
    """One table of the console: errors, coverage at step 8, relative differences at steps 8 and 16."""
    columns = [Metric("mse", step, None) for step in CONSOLE_STEPS] + [Metric("coverage90", 8, None)]
    best = {step: find_best_var(table.rows.get(Metric("mse", step, None), {})) for step in WHERE_STEPS}
    names = ", ".join(f"{model} at {step}" for step, model in best.items() if model)
    title = f"{describe_setting(table.setting)}, {_count(table.train_count, 'training worm')}"
    lines = [title[:100], *([f"Best ridge VAR: {names}"] if names else [])]
    heads = [f"{'MSE' if metric.kind == 'mse' else 'cover'}@{metric.step}".rjust(ENTRY_WIDTH) for metric in columns]
    heads += [f"% VAR@{step}".rjust(RELATIVE_WIDTH) for step in WHERE_STEPS]
    lines.append("".ljust(NAME_WIDTH) + "".join(heads))
    for model in list_models(table, columns, baseline_models):
        cells = [table.rows.get(metric, {}).get(model) for metric in columns]
        means = [np.mean([row.value for row in members]) if members else None for members in cells]
        pairs = zip(columns, means, strict=True)
        texts = [("" if mean is None else _format_spread(metric.kind, mean, None)) for metric, mean in pairs]
        texts = [text.rjust(ENTRY_WIDTH) for text in texts]
        for step, reference in best.items():
            by_model = table.rows.get(Metric("mse", step, None), {}) if model not in baseline_models else {}
            found = relative_difference(by_model.get(model, []), by_model.get(reference, []))
            texts.append((f"{_format_percent(found.mean)} %" if found else "").rjust(RELATIVE_WIDTH))
        name = f"* {model}" if model in baseline_models else model
        name = name if len(name) < NAME_WIDTH else name[: NAME_WIDTH - 2] + "…"
        lines.append(name.ljust(NAME_WIDTH) + "".join(texts))
    return lines


def _unique(items: Iterable) -> list:
    return list(dict.fromkeys(items))
