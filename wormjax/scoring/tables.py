"""Tables of every task: rows → what a paper would print, as Markdown and for a console of 100 columns.

A task describes its tables as sections of sheets: which scores are columns, and what models are compared with. Numbers
are computed and written here, by one rule: mean ± s.d. [95 % interval over worms], the best of a column in bold,
baselines in italics (on a console after *), others' numbers marked †, differences to a reference paired.
"""

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from wormjax.scoring import markdown
from wormjax.scoring.behavior import title_metric as title_behavior
from wormjax.scoring.intervals import Interval, difference_over_worms, interval_over_rows
from wormjax.scoring.published import PublishedResult
from wormjax.scoring.rows import Row

METRIC_TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUROC",
    "macro_f1": "Macro F1",
    "nll": "Negative log-likelihood (nats per frame)",
    "calibration_error": "Expected calibration error",
    "r2": "R² of hidden neurons",
    "r2_with_partner": "R² of hidden neurons with a left-right partner",
    "r2_without_partner": "R² of hidden neurons, their left-right partner withheld",
}
# Metrics without their step, horizon, part or number of futures. Of the unranked ones, neither end is the better.
LOWER_IS_BETTER = frozenset("nll calibration_error mse mae crps distance reversal_nll reversal_error".split())
UNRANKED = frozenset({"coverage90", "mode_share"})
SHOWN = ("accuracy", "balanced_accuracy", "auroc", "r2")  # And correlations.

VALUES, SEEDS, WORMS = "values", "seeds", "worms"  # Of what entries are the mean and s.d.: see `Table.measure`.
_OVER = {
    VALUES: "mean ± s.d. over training subsets, worms and seeds, with the 95 % interval of the mean over worms",
    SEEDS: "mean over seeds and test systems ± s.d. over seeds, with the 95 % interval over groups of test systems",
    WORMS: "mean over training subsets, worms and seeds, with the 95 % interval of the mean over worms",
}
EXPLANATIONS = {
    spread: f"Each entry is the {text} in brackets (docs/trust.md says how it is computed). The first column has how "
    "many numbers there are, by column where that differs. The best of a column is in bold, baselines are in italics, "
    "and others' numbers are marked †."
    for spread, text in _OVER.items()
}
PAIRED = "Differences are paired by training set and test worm, seeds averaged first."
SCALED = (  # Of several summaries.
    "With `data.scaling` zscore, minmax or robust, a trace is scaled by the whole recording, later frames included; "
    "with calibration, by the first minutes."
)
EXPLANATION = (
    f"{EXPLANATIONS[VALUES]} {PAIRED} Others' numbers are published or come from their code, with the s.d. that they "
    "report; they may be of other worms."
)


class Setting(NamedTuple):
    """What a table is about: the study trained on, the study tested on, and whether the test worms were unseen."""

    study: str
    test_study: str
    unseen: bool


class Entry(NamedTuple):
    """What there is to say of a model and metric; `low` and `high` are None with fewer than two worms."""

    mean: float
    sd: float  # NaN of a single number, and over worms.
    n: int
    low: float | None
    high: float | None
    worms: int


class Table(NamedTuple):
    """The rows of one setting, number of training worms and part of the models: metric → model → rows.

    `smaller` has those of one training worm fewer, which intervals read (`interval_over_rows`).
    """

    setting: Setting | None
    train_count: int
    part: str
    rows: Mapping[str, Mapping[str, list[Row]]]
    smaller: Mapping[str, Mapping[str, list[Row]]]

    def describe(self) -> str:
        """Return what the table is about in words."""
        worms = f"trained on {markdown.count_noun(self.train_count, 'worm')}"
        return ", ".join([describe_setting(self.setting), worms, *([self.part] if self.part else [])])

    def find(self, metric: str, model: str | None) -> list[Row]:
        """Return the rows of a metric and a model; [] where there is none."""
        return self.rows.get(metric, {}).get(model, [])

    def list_models(self) -> list[str]:
        """Return the models that were scored, as they first occur."""
        return markdown.unique(model for by_model in self.rows.values() for model in by_model)

    def measure(self, metric: str, model: str, spread: str = VALUES) -> Entry:
        """Return the entry of a model that was scored, with the interval over worms.

        Mean and s.d. are over all `VALUES`; over worms the mean, over the means of `SEEDS` the s.d.; or over `WORMS`
        the mean, without an s.d.
        """
        rows = self.find(metric, model)
        average = interval_over_rows(rows, self.smaller.get(metric, {}).get(model, ()))
        values = pd.Series([row.value for row in rows])
        if spread == SEEDS:
            values = values.groupby([row.seed for row in rows]).mean()
        mean = values.mean() if spread == VALUES else average.mean
        return Entry(float(mean), np.nan if spread == WORMS else values.std(), len(values), *average[1:])

    def compare(self, metric: str, ours: str, theirs: str | None, how=difference_over_worms) -> Interval | None:
        """Return the paired difference between two models; None where they have nothing in common."""
        fewer = tuple(self.smaller.get(metric, {}).get(model, ()) for model in (ours, theirs))
        return how(self.find(metric, ours), self.find(metric, theirs), fewer)

    def find_best(self, metric: str, models: Collection[str], spread: str = VALUES) -> str | None:
        """Return which of some models has the best mean; None where none was scored.

        It is chosen in view of the test worms, which makes it the hardest reference. A model that was scored on fewer
        training sets and worms than another does not stand: its mean is over other worms.
        """
        scored = {model: rows for model, rows in self.rows.get(metric, {}).items() if model in models}
        numbers = {model: len({(row.train_worms, row.test_worm) for row in rows}) for model, rows in scored.items()}
        complete = [model for model in scored if numbers[model] == max(numbers.values())]
        return _choose_best(metric, {model: self.measure(metric, model, spread).mean for model in complete})


class Column(NamedTuple):
    """A column of a sheet: its title, and the table and metric of its scores."""

    title: str
    table: Table
    metric: str


class Against(NamedTuple):
    """What models are compared with: in each column the best of some candidates, which is one model or has a title."""

    candidates: Collection[str]
    title: str = ""  # The best TITLE.
    models: Collection[str] | None = None  # None: all but baselines.
    how: Callable[..., Interval | None] = difference_over_worms
    number: Callable[[float], str] = "{:+.3f}".format
    note: str = ""
    # Title of another column, and its text from the differences in all columns.
    summary: tuple[str, Callable[[list[Interval | None]], str]] | None = None


class Sheet(NamedTuple):
    """A table of models down and columns across, and of its models against others: on a console, the first ones."""

    title: str
    columns: Sequence[Column]
    against: Sequence[Against] = ()
    published: Sequence[tuple[str, PublishedResult]] = ()  # Others' numbers, each with the title of its column.
    note: str = ""
    console: bool = True


class Section(NamedTuple):
    """Tables below a heading, and lines of Markdown that follow them."""

    title: str
    sheets: Sequence[Sheet]
    more: Sequence[str] = ()


class Form(NamedTuple):
    """How the scores of a task are written."""

    baselines: Collection[str] = ()  # Listed last.
    bounds: Collection[str] = ()  # Models that are given what others infer, marked ‡; never the best.
    spread: str = VALUES  # Of `Table.measure`.
    counts: str = "numbers / worms"  # Title of their column.
    number: Callable[[str, float], Callable[[float], str]] = lambda metric, mean: "{:.3f}".format  # Of this mean.
    console: bool = False  # Neither interval nor counts.
    plain: bool = False  # The mean alone.

    def mark(self, model: str) -> str:
        """Return a model's name: a baseline in italics, on a console after *; a bound with ‡."""
        if self.console:
            return "* " * (model in self.baselines) + "‡ " * (model in self.bounds) + model
        return markdown.mark_model(model, model in self.baselines) + " ‡" * (model in self.bounds)

    def write(self, metric: str, entry: Entry, best: bool) -> str:
        """Return the text of an entry."""
        number = self.number(metric, entry.mean)
        text = f"**{number(entry.mean)}**" if best and not self.console else number(entry.mean)
        spread = "" if self.plain or pd.isna(entry.sd) else f" ± {number(entry.sd)}"
        bounds = "" if self.plain or self.console else markdown.format_bounds(entry.low, entry.high, number)
        return text + spread + bounds

    def write_difference(self, interval: Interval, number: Callable[[float], str]) -> str:
        """Return the text of a paired difference."""
        bounds = markdown.format_bounds(interval.low, interval.high, number)
        worms = markdown.count_noun(interval.worms, "worm")
        return number(interval.mean) + ("" if self.console else f"{bounds} ({worms})")


def collect_tables(rows: Iterable[Row], part: Callable[[Row], str] = lambda row: "") -> list[Table]:
    """Return tables ordered by setting (as they first occur), number of training worms and part."""
    groups: dict = defaultdict(list)
    for row in rows:
        groups[Setting(row.study, row.test_study, row.unseen), len(row.train_worms), part(row)].append(row)
    settings = markdown.unique(setting for setting, *_ in groups)
    found = {key: _group(groups[key]) for key in sorted(groups, key=lambda key: (settings.index(key[0]), *key[1:]))}
    return [Table(*key, own, found.get((key[0], key[1] - 1, key[2]), {})) for key, own in found.items()]


def _group(rows: Iterable[Row]) -> dict[str, dict[str, list[Row]]]:
    found: dict = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row.metric][row.model].append(row)
    return found


def list_models(columns: Iterable[Column], form: Form) -> list[str]:
    """Return the models that were scored in some columns, bounds and baselines last, otherwise as they first occur."""
    models = markdown.unique(model for column in columns for model in column.table.rows.get(column.metric, {}))
    return sorted(models, key=lambda model: (model in form.baselines, model in form.bounds))


def tabulate(
    columns: Sequence[Column],
    form: Form,
    published: Iterable[tuple[str, PublishedResult]] = (),
    models: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Return the texts of entries [model, column] and their counts, without models that have none; see `Sheet`.

    `models` are listed in this order; by default all, baselines last.
    """
    models = list_models(columns, form) if models is None else [*models]
    titles, cells, counts = [column.title for column in columns], {}, defaultdict(list)
    for title, table, metric in columns:
        found = {model: table.measure(metric, model, form.spread) for model in models if table.find(metric, model)}
        means = {model: one.mean for model, one in found.items() if model not in form.bounds}
        best = means[_choose_best(metric, means)] if len(means) > 1 and _strip(metric) not in UNRANKED else None
        for model, one in found.items():
            cells[form.mark(model), title] = form.write(metric, one, one.mean == best)
            counts[form.mark(model)].append((one.n, one.worms))
    if not (form.console or form.plain):
        titles = [form.counts, *titles]
        cells |= {(name, form.counts): _list_counts(own) for name, own in counts.items()}
    for title, one in () if form.console else published:
        text = form.write(one.metric, Entry(one.mean, one.sd, 1, None, None, 0), False)
        cells[f"{markdown.escape(one.model)} † ({markdown.escape(one.source)})", title] = f"{text} †"
    return _arrange(cells, map(form.mark, models), titles)


def compare(columns: Sequence[Column], form: Form, against: Against) -> tuple[str, pd.DataFrame]:
    """Return what models are compared with, and the texts of differences [model, column]; see `Against`."""
    columns = [column for column in columns if column.metric in column.table.rows]
    rivals = [table.find_best(metric, against.candidates, form.spread) for _, table, metric in columns]
    titles, cells = [column.title for column in columns], {}
    for model in list_models(columns, form):
        if model in form.baselines if against.models is None else model not in against.models:
            continue
        pairs = zip(columns, rivals, strict=True)
        found = [table.compare(metric, model, rival, against.how) for (_, table, metric), rival in pairs]
        texts = {
            title: form.write_difference(one, against.number) for title, one in zip(titles, found, strict=True) if one
        }
        if texts and against.summary:
            texts[against.summary[0]] = against.summary[1](found)
        cells |= {(form.mark(model), title): text for title, text in texts.items()}
    titles += [against.summary[0]] if against.summary else []
    if not against.title:
        return ", ".join(map(form.mark, against.candidates)), _arrange(cells, (), titles)
    label = f"best {against.title}" if form.console else f"*best {against.title}*"
    if cells:
        cells |= {(label, title): form.mark(rival) for title, rival in zip(titles, rivals, strict=False) if rival}
    return f"the best {against.title}", _arrange(cells, [label], titles)


def _arrange(cells: Mapping[tuple[str, str], str], first: Iterable[str], titles: Sequence[str]) -> pd.DataFrame:
    """Return cells by name and title as a table of texts, its lines as they occur, some before the others."""
    there = markdown.unique(name for name, _ in cells)
    names = [name for name in markdown.unique([*first, *there]) if name in there]
    return pd.DataFrame([[cells.get((name, title), "") for title in titles] for name in names], names, titles)


def _list_counts(pairs: Sequence[tuple[int, int]]) -> str:
    """Return how many numbers of how many worms, "36 / 4"; by column where columns differ, "3, 6 / 3"."""
    return " / ".join(", ".join(map(str, own if len({*own}) > 1 else own[:1])) for own in zip(*pairs, strict=True))


def _strip(metric: str) -> str:
    return re.split("[@:]|_best", metric)[0]


def is_lower_better(metric: str) -> bool:
    """Return whether the lower of two values of a metric is the better."""
    return _strip(metric) in LOWER_IS_BETTER


def _choose_best(metric: str, means: Mapping[str, float]) -> str | None:
    return (min if is_lower_better(metric) else max)(means, key=means.get, default=None)


def format_sections(sections: Iterable[Section], form: Form) -> list[str]:
    """Return the lines of sections in Markdown; sheets without an entry are left out."""
    lines = []
    for section in sections:
        lines += ["", f"## {section.title}"]
        for sheet in section.sheets:
            frame = tabulate(sheet.columns, form, sheet.published).rename(columns=markdown.escape)
            lines += markdown.make_section(sheet.title, frame, 3, sheet.note)
            for against in sheet.against:
                title, frame = compare(sheet.columns, form, against)
                lines += markdown.make_section(f"Against {title}", frame, 4, against.note)
        lines += section.more
    return lines


def format_console(sections: Iterable[Section], form: Form) -> list[str]:
    """Return lines of at most 100 columns: of each sheet for the console the entries, and the first differences."""
    form = form._replace(console=True)
    marks = "; * baseline" * bool(form.baselines) + ", ‡ given the graph" * bool(form.bounds)
    lines = [f"Entries: {_OVER[form.spread].partition(', with')[0]}{marks}"]
    for section in sections:
        lines += ["", section.title[: markdown.CONSOLE_WIDTH]]
        for sheet in (sheet for sheet in section.sheets if sheet.console):
            lines += markdown.make_block(sheet.title, tabulate(sheet.columns, form))
            for against in sheet.against[:1]:
                title, frame = compare(sheet.columns, form, against)
                lines += markdown.make_block(f"{sheet.title}, against {title}", frame)
    return lines


def summarise(rows: Iterable[Row], baseline_models: Collection[str] = (), spread: str = VALUES) -> pd.DataFrame:
    """Return one line per setting, metric, model and number of training worms.

    Returns:
      Ordered by setting, metric, model (baselines last, otherwise as they first occur) and training worms:
      setting, metric, model, baseline, train_count: what the line is about.
      mean, sd, n, low, high, worms: its `Entry`; sd, low and high are NaN where there is none.
    """
    lines = []
    for setting, tables in group_settings(rows).items():
        for metric in list_metrics(tables):
            columns = [Column("", table, metric) for table in tables]
            for model, (_, table, _) in itertools.product(list_models(columns, Form(baseline_models)), columns):
                if table.find(metric, model):
                    place = setting, metric, model, model in baseline_models, table.train_count
                    lines.append((*place, *table.measure(metric, model, spread)))
    columns = ["setting", "metric", "model", "baseline", "train_count", *Entry._fields]
    return pd.DataFrame(lines, columns=columns).astype({"low": float, "high": float, "baseline": bool})


def group_settings(rows: Iterable[Row]) -> dict[Setting, list[Table]]:
    """Return the tables of each setting."""
    groups = itertools.groupby(collect_tables(rows), key=lambda table: table.setting)
    return {setting: [*tables] for setting, tables in groups}


def list_metrics(tables: Iterable[Table]) -> list[str]:
    """Return the metrics of some tables, in the order of `METRIC_TITLES`, then as they first occur."""
    found = markdown.unique(metric for table in tables for metric in table.rows)
    return [metric for metric in markdown.unique([*METRIC_TITLES, *found]) if metric in found]


def is_main(metric: str, *others: str) -> bool:
    """Return whether a metric is shown on the console and in figures of scores, where it is none of `others`."""
    return (metric in SHOWN or metric.endswith("_r")) and metric not in others


def is_tabled(metric: str) -> bool:
    """Return whether a metric has a table in a summary: the main ones, and each R² of hidden neurons."""
    return is_main(metric) or metric.startswith("r2")


def title_metric(metric: str) -> str:
    """Return what a metric is called in tables and figures."""
    return METRIC_TITLES.get(metric) or title_behavior(metric) or metric


def list_amounts(rows: Iterable[Row], metric: str) -> dict[str, str]:
    """Return the amounts in METRIC@AMOUNT as they first occur: amount → that name."""
    names = (row.metric for row in rows)
    return {name.partition("@")[2]: name for name in names if name.partition("@")[0] == metric}


def collect_by_worm(rows: Iterable[Row], metrics: Sequence[str]) -> dict[str, np.ndarray]:
    """Return model → each test worm's value of some metrics [worm, metric], the mean over runs; worms by name.

    NaN where there is none; a model without any is left out.
    """
    frame = pd.DataFrame(rows, columns=Row._fields)
    means = frame[frame["metric"].isin(metrics)].pivot_table("value", ["model", "test_worm"], "metric", sort=False)
    means, worms = means.reindex(columns=metrics), sorted({*frame["test_worm"]})
    return {model: own.droplevel(0).reindex(worms).to_numpy() for model, own in means.groupby(level=0, sort=False)}


def format_amounts(
    rows: Sequence[Row], metrics: Iterable[str], amounts: str, baseline_models: Collection[str]
) -> list[str]:
    """Return a Markdown table of each METRIC@AMOUNT, a column per amount: the mean and its 95 % interval over worms."""
    lines, form, table = [], Form(baseline_models, spread=WORMS), Table(None, 0, "", _group(rows), {})
    for metric in metrics:
        columns = [Column(f"{amount} {amounts}", table, name) for amount, name in list_amounts(rows, metric).items()]
        lines += markdown.make_section(title_metric(metric), tabulate(columns, form))
    return lines


def list_sections(rows: Iterable[Row], baseline_models: Collection[str], published=()) -> list[Section]:
    """Return a section per setting: of each metric a sheet, a column per number of training worms."""
    sections = []
    for setting, tables in group_settings(rows).items():
        metrics, sheets = list_metrics(tables), []
        for metric in filter(is_tabled, metrics):
            others = [one for one in published if (one.study, one.test_study, True, one.metric) == (*setting, metric)]
            by_count = {one.train_count: Table(setting, one.train_count, "", {}, {}) for one in others}
            by_count |= {table.train_count: table for table in tables if metric in table.rows}
            columns = [Column(_title_count(count), by_count[count], metric) for count in sorted(by_count)]
            placed = [(_title_count(one.train_count), one) for one in others]
            against = [Against(baseline_models, "baseline")]
            sheets.append(Sheet(title_metric(metric), columns, against, placed, console=is_main(metric)))
        rest = [title_metric(metric) for metric in metrics if not is_tabled(metric)]
        more = ["", f"In results.csv, too: {', '.join(rest)}."] if rest else []
        sections.append(Section(describe_setting(setting), sheets, more))
    return sections


def write_summary(
    path: str | os.PathLike, rows: Iterable[Row], baseline_models=(), data_text: str = "", published=(), more=()
) -> None:
    """Write the summary as Markdown, whole or not at all.

    Args:
      data_text: the data that made the rows, in words, printed at the end.
      published: others' numbers, put into the tables of their study and metric and marked (`find_published`).
      more: lines that follow the tables.
    """
    tables = format_sections(list_sections(rows, baseline_models, published), Form(baseline_models))
    markdown.write_markdown(path, ["# Results", "", EXPLANATION, *tables, *more], data_text)


def print_means(rows: Iterable[Row]) -> None:
    """Print the mean of each main metric by model, over worms, seeds and training sets."""
    frame = pd.DataFrame(rows)
    main = frame[frame["metric"].map(is_main)]
    means = (main if len(main) else frame).pivot_table("value", "model", "metric", sort=False)
    print(means.to_string(float_format="{:.4g}".format, na_rep=""))


def format_summary(rows: Iterable[Row], baseline_models: Collection[str] = ()) -> list[str]:
    """Return mean ± s.d. of the main metrics in lines of at most 100 columns."""
    return format_console(list_sections(rows, baseline_models), Form(baseline_models))


def describe_setting(setting: Setting) -> str:
    """Return a setting in words, for titles."""
    return f"{name_studies(setting)}, {'worms never seen' if setting.unseen else 'other frames of the training worms'}"


def name_studies(setting: Setting) -> str:
    """Return the study of a setting, or "STUDY → TEST STUDY"."""
    return " → ".join(markdown.unique(setting[:2]))


def _title_count(count: int) -> str:
    return markdown.count_noun(count, "training worm")
