"""Tables of forecasts: rows → error by step, as Markdown and as a short table for the console.

Entries are mean ± s.d. over training subsets, worms and seeds, as Wang et al. (2021, Frontiers in AI 4:618372) report,
with the 95 % interval over worms. Each model is then compared, by the relative difference of mean squared error, with
the ridge vector autoregression (VAR) that is best at that step on the test worms, with the VAR that adapts to the test
worm's past, and with its twin without a graph. The name of a metric says what is measured, after how many steps and of
which part: mse@16, mse@8:AVAL. The score (1 - MSE / persistence's MSE over the first 16 steps) has no step in its name.
"""

import itertools
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from wormjax.recordings.motor_states import COMMON_NAMES
from wormjax.scoring import markdown
from wormjax.scoring.forecasts import SCORE_STEPS
from wormjax.scoring.intervals import Interval, difference_over_worms
from wormjax.scoring.published import FORECAST_NOTE, PublishedResult
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import BRACKETS, SCALED, Table, collect_tables, describe_setting

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
    f"subsets, worms and seeds, with {BRACKETS}. The first column has the number of values and of worms. Relative "
    "differences of mean squared error are in percent of the reference's mean; below zero, the model's error is the "
    "smaller. They are paired by training set and test worm, seeds averaged first. Baselines are in italics. Numbers "
    f"marked † are others'; their features and worms may differ. {SCALED}"
)

BEST_NOTE = "The VAR with the lowest mean at that very step: chosen in view of the test worms."
WHERE_NOTE = "Mean; the lowest at each step in bold. Ridge VAR: the best at that step over all neurons and starts."
NAME_WIDTH, ENTRY_WIDTH, RELATIVE_WIDTH = 22, 9, 12  # 22 + 6 * 9 + 2 * 12 = 100 columns of a console.

RIDGE_VAR = re.compile(r"var_[1-9][0-9]*")  # By order; not var_adapted.


class Metric(NamedTuple):
    """A metric of a forecast: what is measured, after how many steps, and of which part (None: of everything)."""

    kind: str
    step: int
    part: str | None = None


SCORE_METRIC = Metric(SCORE, SCORE_STEPS)  # It is over several steps, and has the last of them.


def list_metrics(table: Table, kind: str) -> list[Metric]:
    """Return a kind of metric at the steps of `STEPS` at which it was scored."""
    return [metric for step in STEPS if (metric := Metric(kind, step)) in table.rows]


def parse_metric(name: str) -> Metric:
    """Return the metric of a name.

    >>> [tuple(parse_metric(name)) for name in ("mse@16:AVAL", "coverage90@8", "score")]
    [('mse', 16, 'AVAL'), ('coverage90', 8, None), ('score', 16, None)]
    """
    kind, _, rest = name.partition("@")
    step, _, part = rest.partition(":")
    return Metric(kind, int(step or SCORE_STEPS), part or None)


def find_best_var(by_model: Mapping[str, Sequence[Row]]) -> str | None:
    """Return the ridge VAR (var_1, var_2, ...) with the lowest mean of one metric; None without one.

    It is chosen in view of the test worms, which makes it the hardest reference. A VAR that was scored on fewer
    training sets and worms than another does not stand: its mean is over other worms.
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
    reference on the same training sets and worms, which is taken as given. `smaller` are both models' rows of one
    training worm fewer.

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


def write_forecast_summary(
    path: str | os.PathLike, rows: Iterable[Row], baselines: Collection[str], data_text="", published=(), twins=None
) -> None:
    """Write the summary as Markdown, whole or not at all.

    Args:
      data_text: the data that made the rows, in words, printed at the end.
      published: others' errors, put into the table of their metric and marked (`find_published_forecasts`): of the
        number of training worms that they have or, where no table has it, of the largest.
      twins: model → its structure-agnostic twins; the first pair is the one looked at by motor state and neuron.
    """
    tables, parts = collect_tables(rows, parse_metric), ["# Results", "", EXPLANATION]
    for table in tables:
        counts = [other.train_count for other in tables if other.setting == table.setting]
        parts += ["", f"## {describe_setting(table.setting)}, {_count(table.train_count, 'training worm')}"]
        theirs = _select_published(published, table, counts)
        found = {metric.kind for metric in table.rows if metric.part is None and metric.step in STEPS}
        for kind in (kind for kind in METRIC_TITLES if kind in found):
            parts += ["", f"### {METRIC_TITLES[kind]}", "", *_tabulate_kind(table, kind, baselines, theirs)]
            if kind == "mse":
                parts += _tabulate_comparisons(table, baselines, twins or {})
        if table.train_count == max(counts):
            parts += _tabulate_parts(table, baselines, twins or {})
    markdown.write_markdown(path, parts, data_text)


def format_forecast_summary(rows: Iterable[Row], baselines: Collection[str]) -> list[str]:
    """Return mean squared error, coverage and the difference to the best ridge VAR for a console of 100 columns."""
    tables = collect_tables(rows, parse_metric)
    lines = ["Mean squared error (MSE) and coverage of the 90 % band by step, mean; * baseline"]
    lines += ["% VAR: relative difference of MSE to the ridge VAR that is best at that step, paired by worm"]
    for setting in markdown.unique(table.setting for table in tables):
        same = [table for table in tables if table.setting == setting]
        for table in same[-1:] + same[:-1][:1]:  # Most training worms, then fewest.
            lines += ["", *_format_block(table, baselines)]
    return lines


def _select_published(published: Sequence[PublishedResult], table: Table, counts: Sequence[int]):
    def belongs(result: PublishedResult) -> bool:
        if (result.study, result.test_study, True) != table.setting:
            return False
        if result.train_count == 0 or result.train_count in counts:
            return result.train_count in (0, table.train_count)
        return table.train_count == max(counts)

    return [result for result in published if belongs(result)]


def _tabulate_kind(table: Table, kind: str, baselines, published: Sequence[PublishedResult]) -> list[str]:
    """Return a table: models down, steps across. Only mean squared error has intervals, counts and the score."""
    whole, published = kind == "mse", [one for one in published if one.metric.startswith(f"{kind}@")]
    metrics = sorted({*list_metrics(table, kind), *(parse_metric(one.metric) for one in published)})
    metrics += [SCORE_METRIC] if whole and SCORE_METRIC in table.rows else []
    cells: dict[tuple, str] = {}
    for model in table.list_models(metrics, baselines):
        name = markdown.mark_model(model, model in baselines)
        found = {metric: own for metric in metrics if (own := table.find(metric, model))}
        cells[name, "counts"] = _describe_counts(found.values())
        for metric, own in found.items():
            values = np.array([row.value for row in own])
            number = _choose_format(metric.kind, values.mean())
            text = markdown.format_spread(values.mean(), values.std(ddof=1) if len(values) > 1 else None, number)
            bounds = markdown.format_bounds(*table.average(metric, model)[1:3], number) if whole else ""
            cells[name, metric] = text + bounds
    for one in published:
        where = f"{one.source}, trained on {one.train_count}" if one.train_count else one.source
        text = f"{markdown.format_spread(one.mean, one.sd, _choose_format(kind, one.mean))} †"
        cells[f"{markdown.escape(one.model)} † ({markdown.escape(where)})", parse_metric(one.metric)] = text
    titles: dict = {"counts": "numbers / worms"} if whole else {}
    titles |= {metric: SCORE if metric == SCORE_METRIC else f"step {metric.step}" for metric in metrics}
    lines = markdown.tabulate("model", titles, cells)
    return [*lines, "", FORECAST_NOTE] if published else lines


def _tabulate_comparisons(table: Table, baselines: Collection[str], twins: Mapping[str, Sequence[str]]) -> list[str]:
    """Return relative differences of mean squared error: to the best ridge VAR, the adapted VAR, and the twins."""
    metrics = list_metrics(table, "mse")
    best = {metric: find_best_var(table.rows[metric]) for metric in metrics}
    models = table.list_models(metrics, baselines)
    ours = [model for model in models if model not in baselines]
    pairs = [(model, twin) for model, others in twins.items() for twin in others if {model, twin} <= {*models}]

    def tell(model: str, reference: str | None, name: str = "") -> dict:
        """Return the texts of a relative difference at each step; empty where one of the two was not scored."""
        rivals = ((metric, reference or best[metric]) for metric in metrics)
        found = {metric: table.compare(metric, model, rival, relative_difference) for metric, rival in rivals}
        return {(name or markdown.escape(model), metric): _format_relative(own) for metric, own in found.items()}

    sections = {}
    if any(best.values()) and ours:
        named = {metric: markdown.mark_model(own, own in baselines) for metric, own in best.items() if own}
        first = {("*best ridge VAR*", metric): name for metric, name in named.items()}
        sections["the best ridge VAR"] = [first, *(tell(model, None) for model in ours)]
    if ADAPTED in models and ours:
        sections[markdown.escape(ADAPTED)] = [tell(model, ADAPTED) for model in ours]
    for model, twin in pairs:
        name = f"{markdown.escape(model)} against {markdown.mark_model(twin, twin in baselines)}"
        sections.setdefault("the structure-agnostic twins", []).append(tell(model, twin, name))
    lines, titles = [], {metric: f"step {metric.step}" for metric in metrics}
    for title, texts in sections.items():
        cells = dict(itertools.chain(*(one.items() for one in texts)))
        note = ["", BEST_NOTE] if "best" in title else []
        lines += ["", f"### Against {title}", *note, "", *markdown.tabulate("model", titles, cells)]
    return lines


def _tabulate_parts(table: Table, baselines: Collection[str], twins: Mapping[str, Sequence[str]]) -> list[str]:
    """Return mean squared error by motor state at the start, and by neuron: the first pair of twins beside the VARs."""
    metrics = [metric for metric in table.rows if metric.kind == "mse" and metric.part and metric.step in WHERE_STEPS]
    columns = _choose_columns(table, metrics, baselines, twins)
    names = {model: markdown.mark_model(model, model in baselines) for _, model in columns}
    titles, lines = {(step, model): f"{names[model]}, step {step}" for step, model in columns}, []
    for title, is_state in (("motor state at the start", True), ("neuron", False)):
        parts = markdown.unique(metric.part for metric in metrics if (metric.part.lower() in COMMON_NAMES) == is_state)
        if not parts or not columns:
            continue
        listed = {markdown.escape(part): _list_part(table, part, columns) for part in parts}
        cells = {(part, column): text for part, texts in listed.items() for column, text in texts.items()}
        lines += ["", f"### Where: mean squared error by {title}", "", WHERE_NOTE, ""]
        lines += markdown.tabulate(title, {"worms": "worms"} | titles, cells)
    return lines


def _choose_columns(table: Table, metrics: Sequence[Metric], baselines, twins) -> list[tuple[int, str]]:
    """Return (step, model): the first model with a scored twin, its twin, the adapted VAR and the step's best VAR."""
    models = table.list_models(metrics, baselines)
    first = next((model for model in twins if model in models), None)
    first = first or next((model for model in models if model not in baselines), None)
    columns = []
    for step in sorted({metric.step for metric in metrics}):
        wanted = [first, *twins.get(first, ())[:1], ADAPTED, find_best_var(table.rows.get(Metric("mse", step), {}))]
        scored = table.list_models([metric for metric in metrics if metric.step == step], baselines)
        columns += [(step, model) for model in markdown.unique(wanted) if model in scored]
    return columns


def _list_part(table: Table, part: str, columns: Sequence[tuple[int, str]]) -> dict:
    """Return the texts of one neuron or state by (step, model), and the number of "worms"."""
    found = {(step, model): table.find(Metric("mse", step, part), model) for step, model in columns}
    means = {column: np.mean([row.value for row in own]) for column, own in found.items() if own}
    texts = {"worms": str(len({row.test_worm for own in found.values() for row in own}))}
    for column, mean in means.items():
        text = _choose_format("mse", mean)(mean)
        lowest = min(other for place, other in means.items() if place[0] == column[0])
        rivals = sum(place[0] == column[0] for place in columns)
        texts[column] = f"**{text}**" if rivals > 1 and mean == lowest else text
    return texts


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _describe_counts(cells: Iterable[Sequence[Row]]) -> str:
    """Return how many numbers of how many worms, "36 / 4"; ranges where steps differ."""
    pairs = [(len(own), len({row.test_worm for row in own})) for own in cells]
    ranges = ((min(values), max(values)) for values in zip(*pairs, strict=True))
    return " / ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in ranges)


def _choose_format(kind: str, mean: float) -> Callable[[float], str]:
    """Return how numbers are written: of an error with three digits of its mean, of all else with three decimals."""
    decimals = min(max(2 - math.floor(math.log10(mean)), 0), 8) if kind in ERRORS and mean > 0 else 3
    return lambda value: f"{value:.1e}" if abs(value) >= 1e5 else f"{value:.{decimals}f}"


def _format_relative(interval: Interval | None) -> str:
    if interval is None:
        return ""
    bounds = markdown.format_bounds(interval.low, interval.high, _format_percent)
    return f"{_format_percent(interval.mean)} %{bounds} ({_count(interval.worms, 'worm')})"


def _format_percent(value: float) -> str:
    return f"{value:+.1f}" if abs(value) < 1e5 else f"{value:+.1e}"


def _format_block(table: Table, baselines: Collection[str]) -> list[str]:
    """Return one table of the console: errors, coverage at step 8, relative differences at steps 8 and 16."""
    columns = [*(Metric("mse", step) for step in CONSOLE_STEPS), Metric("coverage90", 8), SCORE_METRIC]
    best = {step: find_best_var(table.rows.get(Metric("mse", step), {})) for step in WHERE_STEPS}
    names = ", ".join(f"{model} at {step}" for step, model in best.items() if model)
    title = f"{describe_setting(table.setting)}, {_count(table.train_count, 'training worm')}"
    lines = [title[:100], *([f"Best ridge VAR: {names}"] if names else [])]
    titles: dict = {metric: f"{'MSE' if metric.kind == 'mse' else 'cover'}@{metric.step}" for metric in columns}
    titles[SCORE_METRIC] = SCORE
    titles |= {step: f"% VAR@{step}".rjust(RELATIVE_WIDTH) for step in WHERE_STEPS}
    cells = {}
    for model in table.list_models(columns, baselines):
        name = f"* {model}" if model in baselines else model
        for metric in columns:
            values = [row.value for row in table.find(metric, model)]
            cells[name, metric] = _choose_format(metric.kind, np.mean(values))(np.mean(values)) if values else ""
        for step, reference in best.items():
            place = Metric("mse", step), model, reference, relative_difference
            found = None if model in baselines else table.compare(*place)
            cells[name, step] = (f"{_format_percent(found.mean)} %" if found else "").rjust(RELATIVE_WIDTH)
    return lines + markdown.tabulate_console("", titles, cells, (NAME_WIDTH, ENTRY_WIDTH))
