"""Tables of forecasts: rows → error by step, as Markdown and as a short table for the console.

Entries are mean ± s.d. over training subsets, worms and seeds, as Wang et al. (2021, Frontiers in AI 4:618372) report,
with the 95 % interval over worms. Each model is then compared, by the relative difference of mean squared error, with
the ridge vector autoregression (VAR) that is best at that step on the test worms, with the VAR that adapts to the test
worm's past, and with its twin without a graph. The name of a metric says what is measured, after how many steps and of
which part: mse@16, mse@8:AVAL. The score (1 - MSE / persistence's MSE over the first 16 steps) has no step in its name.
"""

import functools
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from wormjax.errors import InputError
from wormjax.recordings.motor_states import COMMON_NAMES
from wormjax.scoring.forecasts import SCORE_STEPS
from wormjax.scoring.intervals import Interval, difference_over_worms, interval_over_rows
from wormjax.scoring.markdown import (
    escape,
    format_bounds,
    format_spread,
    mark_model,
    tabulate,
    tabulate_console,
    unique,
    write_markdown,
)
from wormjax.scoring.published import FORECAST_NOTE, PublishedResult
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import Setting, describe_setting

STEPS = (1, 4, 8, 16, 32, 64)
WHERE_STEPS = (8, 16)
SCORE = "score"
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
    "An error is that of one frame, a number of steps after the last frame given. The score is 1 - MSE / persistence's "
    "MSE over the first 16 steps together: 0 is persistence, 1 is perfect. Each entry is the mean ± s.d. over training "
    "subsets, worms and seeds, with the 95 % interval of the mean over worms in brackets (a jackknife, or Student's t "
    "where that is wider or the only one there is: docs/trust.md). The first column has the number of values and of "
    "worms. Relative differences of mean squared error are in percent of the reference's mean; below zero, the model's "
    "error is the smaller. They are paired by training set and test worm, seeds averaged first. Baselines are in "
    "italics. Numbers marked † are others'; their features and worms may differ. With `data.scaling` zscore, minmax or "
    "robust, a trace is scaled by the whole recording, later frames included; with calibration, by the first minutes."
)

NAME_WIDTH, ENTRY_WIDTH, RELATIVE_WIDTH = 22, 9, 12  # 22 + 6 * 9 + 2 * 12 = 100 columns of a console.

METRIC_NAME = re.compile(r"([a-z][a-z0-9_]*)@([1-9][0-9]*)(?::(.+))?")
RIDGE_VAR = re.compile(r"var_[1-9][0-9]*")  # By order; not var_adapted.


class Metric(NamedTuple):
    """A metric of a forecast: what is measured, after how many steps, and of which part (None: of everything)."""

    kind: str
    step: int
    part: str | None


class Table(NamedTuple):
    """The rows of one setting and number of training worms: metric → model → rows, baselines last.

    `smaller` has those of one training worm fewer, which intervals read (`interval_over_rows`).
    """

    setting: Setting
    train_count: int
    rows: dict[Metric, dict[str, list[Row]]]
    smaller: Mapping[Metric, Mapping[str, list[Row]]] = MappingProxyType({})


def parse_metric(name: str) -> Metric:
    """Parse a metric's name: "mse@16:AVAL" → ("mse", 16, "AVAL"), "coverage90@8" → ("coverage90", 8, None).

    "score" is over several steps and has that of its last, `SCORE_STEPS`. The part is the name of a neuron, or of the
    motor state at the start.

    Raises:
      InputError: the name has another form.
    """
    if name == SCORE:
        return Metric(SCORE, SCORE_STEPS, None)
    found = METRIC_NAME.fullmatch(name)
    if not found:
        raise InputError(f"metric: found {name!r}, expected KIND@STEP or KIND@STEP:PART, for instance 'mse@16:AVAL'")
    kind, step, part = found.groups()
    return Metric(kind, int(step), part)


def collect_tables(rows: Iterable[Row], baseline_models: Collection[str]) -> tuple[list[Table], list[str]]:
    """Group rows into tables.

    A model that is not trained (no training worms) stands in every table of its studies, on that table's test worms.

    Returns:
      Tables ordered by setting (as they first occur) and number of training worms, and the names of the metrics that
      are not of a forecast (`parse_metric`) and stand in no table.
    """
    groups = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    others = {}
    for row in rows:
        metric = _find_metric(row.metric)
        if metric is None:
            others[row.metric] = None
            continue
        setting = Setting(row.study, row.test_study, row.unseen)
        groups[setting, len(row.train_worms)][metric][row.model].append(row)
    settings = unique(setting for setting, _ in groups)
    tables = []
    for setting, count in sorted(groups, key=lambda key: (settings.index(key[0]), key[1])):
        untrained = groups.get((setting, 0), {}) if count else {}
        if count or not any(other for same, other in groups if same == setting):
            joined = _join_rows(groups[setting, count], untrained, baseline_models)
            tables.append(Table(setting, count, joined, groups.get((setting, count - 1), {}) if count > 1 else {}))
    return tables, list(others)


def list_models(table: Table, metrics: Iterable[Metric], baseline_models: Collection[str]) -> list[str]:
    """Return the models of some metrics of a table, baselines last, otherwise as they first occur."""
    models = unique(model for metric in metrics for model in table.rows.get(metric, ()))
    return sorted(models, key=lambda model: model in baseline_models)


def find_best_var(by_model: Mapping[str, Sequence[Row]]) -> str | None:
    """Return the ridge VAR (var_1, var_2, ...) with the lowest mean value; None without one.

    It is chosen in view of the test worms, which makes it the hardest reference. A VAR that was scored on fewer
    training sets and worms than another does not stand: its mean is over other worms.

    Args:
      by_model: model → its rows of one metric.
    """
    members = {model: rows for model, rows in by_model.items() if RIDGE_VAR.fullmatch(model)}
    numbers = {model: len({(row.train_worms, row.test_worm) for row in rows}) for model, rows in members.items()}
    complete = [model for model in members if numbers[model] == max(numbers.values())]
    return min(complete, key=lambda model: np.mean([row.value for row in members[model]]), default=None)


def relative_difference(
    ours: Sequence[Row], theirs: Sequence[Row], smaller: tuple[Sequence[Row], Sequence[Row]] = ((), ())
) -> Interval | None:
    """Return the relative difference between two models, in percent of theirs: -20 where our error is a fifth smaller.

    The mean over worms of the paired difference (`difference_over_worms`), and its 95 % interval, over the mean of the
    reference on the same training sets and worms, which is taken as given.

    Args:
      ours, theirs: the rows of a model and of the reference, one metric.
      smaller: both models' rows of one training worm fewer, which the interval reads.

    Returns:
      The interval, or None where the two share no training set and test worm, or the reference's mean is not positive.
    """
    difference = difference_over_worms(ours, theirs, smaller=smaller)
    if difference is None:
        return None
    # Theirs less zero wherever ours was scored: the mean of the reference over the same pairs.
    reference = difference_over_worms(theirs, [row._replace(value=0.0) for row in ours]).mean
    if not reference > 0:
        return None
    percents = (None if value is None else 100 * value / reference for value in difference[:3])
    return Interval(*percents, difference.worms)


@functools.cache
def _find_metric(name: str) -> Metric | None:
    try:
        return parse_metric(name)
    except InputError:
        return None


def _join_rows(trained, untrained, baseline_models: Collection[str]) -> dict[Metric, dict[str, list[Row]]]:
    """Join models that are not trained with those that are, on the same test worms; baselines last."""
    joined = {}
    for metric, by_model in trained.items():
        worms = {row.test_worm for members in by_model.values() for row in members}
        found = {
            model: [row for row in members if row.test_worm in worms]
            for model, members in untrained.get(metric, {}).items()
        }
        both = {model: members for model, members in (found | by_model).items() if members}
        joined[metric] = {model: both[model] for model in sorted(both, key=lambda name: name in baseline_models)}
    return joined


def write_forecast_summary(
    path: str | os.PathLike,
    rows: Iterable[Row],
    baseline_models: Collection[str],
    data_text: str = "",
    published: Sequence[PublishedResult] = (),
    twins: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write the summary as Markdown, whole or not at all.

    Args:
      path: where to, for instance "summary.md".
      rows: the results. A model that is not trained (no training worms) stands in every table of its studies. Metrics
        that are not of a forecast (`parse_metric`) get no table and are named.
      baseline_models: which of the models are baselines.
      data_text: the data that made the rows, in words, printed at the end.
      published: others' errors, put into the table of their metric and marked (`find_published_forecasts`): of the
        number of training worms that they have or, where no table has it, of the largest.
      twins: model → its structure-agnostic twins; the first pair is the one looked at by motor state and neuron.
    """
    tables, others = collect_tables(rows, baseline_models)
    parts = ["# Results", "", EXPLANATION]
    if others:
        parts += ["", f"In no table: {', '.join(escape(name) for name in others)}."]
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
    write_markdown(path, parts, data_text)


def print_forecast_summary(rows: Iterable[Row], baseline_models: Collection[str]) -> None:
    """Print mean squared error, coverage and the difference to the best ridge VAR, in at most 100 columns."""
    print("\n".join(format_forecast_summary(rows, baseline_models)))


def format_forecast_summary(rows: Iterable[Row], baseline_models: Collection[str]) -> list[str]:
    """Return the lines that `print_forecast_summary` prints."""
    tables, _ = collect_tables(rows, baseline_models)
    lines = ["Mean squared error (MSE) and coverage of the 90 % band by step, mean; * baseline"]
    lines += ["% VAR: relative difference of MSE to the ridge VAR that is best at that step, paired by worm"]
    for setting in unique(table.setting for table in tables):
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
    return [kind for kind in METRIC_TITLES if kind in found] + sorted(found - METRIC_TITLES.keys() - {SCORE})


def _list_steps(table: Table, kind: str) -> list[int]:
    return [step for step in STEPS if Metric(kind, step, None) in table.rows]


def _tabulate_kind(table: Table, kind: str, baseline_models, published: Sequence[PublishedResult]) -> list[str]:
    """Models down, steps across. Mean squared error with interval, counts and score; all else is mean ± s.d. alone."""
    whole, published = kind == "mse", [one for one in published if one.metric.startswith(f"{kind}@")]
    steps = sorted({*_list_steps(table, kind), *(parse_metric(one.metric).step for one in published)})
    metrics = {step: Metric(kind, step, None) for step in steps}
    score = Metric(SCORE, SCORE_STEPS, None)
    if whole and score in table.rows:
        metrics[SCORE] = score
    cells = {}
    for model in list_models(table, metrics.values(), baseline_models):
        name = mark_model(model, model in baseline_models)
        members = {step: table.rows.get(metric, {}).get(model) for step, metric in metrics.items()}
        found = {step: some for step, some in members.items() if some}
        cells[name, "counts"] = _describe_counts(found.values())
        for step, members in found.items():
            smaller = table.smaller.get(metrics[step], {}).get(model, ())
            cells[name, step] = _format_entry(metrics[step].kind, members, whole, smaller)
    for one in published:
        where = f"{one.source}, trained on {one.train_count}" if one.train_count else one.source
        text = f"{format_spread(one.mean, one.sd, _choose_format(kind, one.mean))} †"
        cells[f"{escape(one.model)} † ({escape(where)})", parse_metric(one.metric).step] = text
    titles = {"counts": "numbers / worms"} if whole else {}
    titles |= {step: SCORE if step == SCORE else _title_step(step) for step in metrics}
    lines = tabulate("model", titles, cells)
    return [*lines, "", FORECAST_NOTE] if published else lines


def _tabulate_comparisons(
    table: Table, baseline_models: Collection[str], twins: Mapping[str, Sequence[str]]
) -> list[str]:
    """Relative differences of mean squared error: to the best ridge VAR, to the adapted VAR, and to the twins."""
    by_step = {step: table.rows[Metric("mse", step, None)] for step in _list_steps(table, "mse")}
    best = {step: find_best_var(by_model) for step, by_model in by_step.items()}
    models = list_models(table, [Metric("mse", step, None) for step in by_step], baseline_models)
    ours = [model for model in models if model not in baseline_models]
    titles = {step: _title_step(step) for step in by_step}

    def compare(name: str, model: str, references: Mapping[int, str | None]) -> dict:
        """The texts of a relative difference at each step; empty where one of the two was not scored."""
        cells = {}
        for step, rows in by_step.items():
            fewer = table.smaller.get(Metric("mse", step, None), {})
            pairs = [[some.get(one, []) for one in (model, references[step])] for some in (rows, fewer)]
            cells[name, step] = _format_relative(relative_difference(*pairs[0], tuple(pairs[1])))
        return cells

    lines = []
    if any(best.values()) and ours:
        note = "The VAR with the lowest mean at that very step: chosen in view of the test worms."
        cells = {
            ("*best ridge VAR*", step): mark_model(model, model in baseline_models) if model else ""
            for step, model in best.items()
        }
        for model in ours:
            cells |= compare(escape(model), model, best)
        lines += ["", "### Against the best ridge VAR", "", note, "", *tabulate("model", titles, cells)]
    if ADAPTED in models and ours:
        cells = {}
        for model in ours:
            cells |= compare(escape(model), model, dict.fromkeys(by_step, ADAPTED))
        lines += ["", f"### Against {escape(ADAPTED)}", "", *tabulate("model", titles, cells)]
    cells = {}
    for model, twin in ((model, twin) for model, others in twins.items() for twin in others):
        if {model, twin} <= {*models}:
            name = f"{escape(model)} against {mark_model(twin, twin in baseline_models)}"
            cells |= compare(name, model, dict.fromkeys(by_step, twin))
    if cells:
        lines += ["", "### Against the structure-agnostic twins", "", *tabulate("model", titles, cells)]
    return lines


def _tabulate_parts(table: Table, baseline_models: Collection[str], twins: Mapping[str, Sequence[str]]) -> list[str]:
    """Mean squared error by motor state at the start, and by neuron: the first pair of twins beside the VARs."""
    metrics = [metric for metric in table.rows if metric.kind == "mse" and metric.part and metric.step in WHERE_STEPS]
    columns = _choose_columns(table, metrics, baseline_models, twins)
    titles = {
        (step, model): f"{mark_model(model, model in baseline_models)}, {_title_step(step)}" for step, model in columns
    }
    lines = []
    for title, is_state in (("motor state at the start", True), ("neuron", False)):
        parts = unique(metric.part for metric in metrics if (metric.part.lower() in COMMON_NAMES) == is_state)
        if not parts or not columns:
            continue
        note = "Mean; the lowest at each step in bold. Ridge VAR: the best at that step over all neurons and starts."
        cells = {}
        for part in parts:
            cells |= {(escape(part), column): text for column, text in _list_part(table, part, columns).items()}
        lines += ["", f"### Where: mean squared error by {title}", "", note, ""]
        lines += tabulate(title, {"worms": "worms"} | titles, cells)
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
            (step, model) for model in unique([first, *twins.get(first, ())[:1], ADAPTED, best]) if model in scored
        ]
    return columns


def _list_part(table: Table, part: str, columns: Sequence[tuple[int, str]]) -> dict:
    """Return the texts of one neuron or state by (step, model), and the number of "worms"."""
    found = {column: table.rows.get(Metric("mse", column[0], part), {}).get(column[1]) for column in columns}
    means = {column: np.mean([row.value for row in members]) for column, members in found.items() if members}
    texts = {"worms": str(len({row.test_worm for members in found.values() for row in members or ()}))}
    for column, mean in means.items():
        text = _choose_format("mse", mean)(mean)
        lowest = min(other for place, other in means.items() if place[0] == column[0])
        rivals = sum(place[0] == column[0] for place in columns)
        texts[column] = f"**{text}**" if rivals > 1 and mean == lowest else text
    return texts


def _title_step(step: int) -> str:
    return f"step {step}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _describe_counts(cells: Iterable[Sequence[Row]]) -> str:
    """How many numbers of how many worms, "36 / 4"; ranges where steps differ."""
    pairs = [(len(members), len({row.test_worm for row in members})) for members in cells]
    ranges = ((min(values), max(values)) for values in zip(*pairs, strict=True))
    return " / ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in ranges)


def _format_entry(kind: str, members: Sequence[Row], whole: bool, smaller: Sequence[Row]) -> str:
    values = np.array([row.value for row in members])
    number = _choose_format(kind, values.mean())
    text = format_spread(values.mean(), values.std(ddof=1) if len(values) > 1 else None, number)
    return text + (format_bounds(*interval_over_rows(members, smaller)[1:3], number) if whole else "")


def _choose_format(kind: str, mean: float) -> Callable[[float], str]:
    """Return how numbers are written: of an error with three digits of its mean, of all else with three decimals."""
    decimals = min(max(2 - math.floor(math.log10(mean)), 0), 8) if kind in ERRORS and mean > 0 else 3
    return lambda value: f"{value:.1e}" if abs(value) >= 1e5 else f"{value:.{decimals}f}"


def _format_relative(interval: Interval | None) -> str:
    if interval is None:
        return ""
    bounds = format_bounds(interval.low, interval.high, _format_percent)
    return f"{_format_percent(interval.mean)} %{bounds} ({_count(interval.worms, 'worm')})"


def _format_percent(value: float) -> str:
    return f"{value:+.1f}" if abs(value) < 1e5 else f"{value:+.1e}"


def _format_block(table: Table, baseline_models: Collection[str]) -> list[str]:
    """One table of the console: errors, coverage at step 8, relative differences at steps 8 and 16."""
    columns = [Metric("mse", step, None) for step in CONSOLE_STEPS] + [
        Metric("coverage90", 8, None),
        Metric(SCORE, SCORE_STEPS, None),
    ]
    best = {step: find_best_var(table.rows.get(Metric("mse", step, None), {})) for step in WHERE_STEPS}
    names = ", ".join(f"{model} at {step}" for step, model in best.items() if model)
    title = f"{describe_setting(table.setting)}, {_count(table.train_count, 'training worm')}"
    lines = [title[:100], *([f"Best ridge VAR: {names}"] if names else [])]
    titles = {metric: f"{'MSE' if metric.kind == 'mse' else 'cover'}@{metric.step}" for metric in columns[:-1]}
    titles[columns[-1]] = SCORE
    titles |= {step: f"% VAR@{step}".rjust(RELATIVE_WIDTH) for step in WHERE_STEPS}
    cells = {}
    for model in list_models(table, columns, baseline_models):
        name = f"* {model}" if model in baseline_models else model
        for metric in columns:
            members = table.rows.get(metric, {}).get(model)
            mean = np.mean([row.value for row in members]) if members else None
            cells[name, metric] = "" if mean is None else _choose_format(metric.kind, mean)(mean)
        for step, reference in best.items():
            by_model = table.rows.get(Metric("mse", step, None), {}) if model not in baseline_models else {}
            found = relative_difference(by_model.get(model, []), by_model.get(reference, []))
            cells[name, step] = (f"{_format_percent(found.mean)} %" if found else "").rjust(RELATIVE_WIDTH)
    return lines + tabulate_console("", titles, cells, (NAME_WIDTH, ENTRY_WIDTH))
