"""Summary: rows → the table that a paper would print, as Markdown and as a short table for the console.

Entries are mean ± s.d. over training subsets, worms and seeds, as Wang et al. (2021) report, with the number of values,
the 95 % interval over worms, and each model's paired difference to the best baseline.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from wormjax.scoring import markdown
from wormjax.scoring.behavior import title_metric as title_behavior
from wormjax.scoring.classification import LOWER_IS_BETTER
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

# Parts of the explanations of several summaries.
BRACKETS = "the 95 % interval of the mean over worms in brackets (docs/trust.md says how it is computed)"
SCALED = (
    "With `data.scaling` zscore, minmax or robust, a trace is scaled by the whole recording, later frames included; "
    "with calibration, by the first minutes."
)
EXPLANATION = (
    "Each entry is the mean ± s.d. over training subsets, worms and seeds, their number in parentheses, and "
    f"{BRACKETS}. Baselines are in italics. Numbers marked † are published by others or come from their code, with the "
    "s.d. that they report; they may be of other worms."
)

COLUMNS = ["setting", "metric", "model", "baseline", "train_count", "mean", "sd", "n", "low", "high", "worms"]
COLUMNS += ["best_baseline", "difference"]
SHOWN = ("accuracy", "balanced_accuracy", "auroc", "r2")  # And correlations.
CONSOLE_COLUMNS, NAME_WIDTH, ENTRY_WIDTH = 5, 30, 14  # 100 columns of a console.


class Setting(NamedTuple):
    """What a table is about: the study trained on, the study tested on, and whether the test worms were unseen."""

    study: str
    test_study: str
    unseen: bool


class Table(NamedTuple):
    """The rows of one setting, number of training worms and part of the models: metric → model → rows.

    `smaller` has those of one training worm fewer, which intervals read (`interval_over_rows`).
    """

    setting: Setting
    train_count: int
    part: str
    rows: Mapping[Any, Mapping[str, list[Row]]]
    smaller: Mapping[Any, Mapping[str, list[Row]]]

    def find(self, metric: Any, model: str | None) -> list[Row]:
        """Return the rows of a metric and a model; [] where there is none."""
        return self.rows.get(metric, {}).get(model, [])

    def list_models(self, metrics: Iterable[Any] | None = None, baselines: Collection[str] = ()) -> list[str]:
        """Return the models of some metrics, or of all, baselines last, otherwise as they first occur."""
        chosen = self.rows if metrics is None else metrics
        models = markdown.unique(model for metric in chosen for model in self.rows.get(metric, {}))
        return sorted(models, key=lambda model: model in baselines)

    def average(self, metric: Any, model: str) -> Interval:
        """Return the mean over worms of a model that was scored, with its interval."""
        return interval_over_rows(self.find(metric, model), self.smaller.get(metric, {}).get(model, ()))

    def compare(self, metric: Any, ours: str, theirs: str | None, how=difference_over_worms) -> Interval | None:
        """Return the paired difference between two models; None where they have nothing in common."""
        fewer = tuple(self.smaller.get(metric, {}).get(model, ()) for model in (ours, theirs))
        return how(self.find(metric, ours), self.find(metric, theirs), fewer)


def collect_tables(
    rows: Iterable[Row], name: Callable[[str], Any] = str, part: Callable[[Row], str] = lambda row: ""
) -> list[Table]:
    """Return tables ordered by setting (as they first occur), number of training worms and part.

    `name` makes the key of a metric from its name.
    """
    groups: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        setting = Setting(row.study, row.test_study, row.unseen)
        groups[setting, len(row.train_worms), part(row)][name(row.metric)][row.model].append(row)
    settings = markdown.unique(setting for setting, *_ in groups)
    keys = sorted(groups, key=lambda key: (settings.index(key[0]), *key[1:]))
    return [Table(*key, groups[key], groups.get((key[0], key[1] - 1, key[2]), {})) for key in keys]


def summarise(rows: Iterable[Row], baseline_models: Collection[str] = ()) -> pd.DataFrame:
    """Return one line per setting, metric, model and number of training worms.

    Returns:
      Ordered by setting, metric, model (baselines last, otherwise as they first occur) and training worms:
      setting, metric, model, baseline, train_count: what the line is about.
      mean, sd, n: over training subset, worm and seed, and of how many numbers; sd is NaN for a single number.
      low, high, worms: the 95 % interval over worms, each worm's numbers averaged first; NaN for a single worm.
      best_baseline: the baseline with the best mean in this column; "" for a baseline, or without one.
      difference: the `Interval` of this model - best baseline, paired; None without such a pair.
    """
    lines = []
    for table in collect_tables(rows):
        for metric, by_model in table.rows.items():
            values = {model: pd.Series([row.value for row in members]) for model, members in by_model.items()}
            known = [model for model in by_model if model in baseline_models]
            choose = min if metric in LOWER_IS_BETTER else max
            best = choose(known, key=lambda model, values=values: values[model].mean(), default="")
            for model, own in values.items():
                _, low, high, worms = table.average(metric, model)
                rival = "" if model in known else best
                difference = table.compare(metric, model, rival) if rival else None
                place = table.setting, metric, model, model in known, table.train_count
                lines.append((*place, own.mean(), own.std(), len(own), low, high, worms, rival, difference))
    frame = pd.DataFrame(lines, columns=COLUMNS).astype({"low": float, "high": float, "baseline": bool})
    return frame.sort_values(["setting", "metric", "baseline", "model", "train_count"], key=_rank, ignore_index=True)


def is_main(metric: str, *others: str) -> bool:
    """Return whether a metric is shown on the console and in figures of scores, where it is none of `others`."""
    return (metric in SHOWN or metric.endswith("_r")) and metric not in others


def is_tabled(metric: str) -> bool:
    """Return whether a metric has a table in a summary: the main ones, and each R² of hidden neurons."""
    return is_main(metric) or metric.startswith("r2")


def title_metric(metric: str) -> str:
    """Return what a metric is called in tables and figures."""
    return METRIC_TITLES.get(metric) or title_behavior(metric) or metric


def _rank(column: pd.Series) -> pd.Series:
    """Return the place of each value: metrics as in `METRIC_TITLES`, other names as they first occur."""
    if column.name not in ("setting", "metric", "model"):
        return column
    order = markdown.unique([*(METRIC_TITLES if column.name == "metric" else ()), *column])
    return column.map({value: place for place, value in enumerate(order)})


def tabulate_amounts(rows: Iterable[Row]) -> pd.DataFrame:
    """Return the rows whose metric is METRIC@AMOUNT as a table: model, metric, amount, worm, value (mean over runs)."""
    lines = [(row.model, *row.metric.split("@"), row.test_worm, row.value) for row in rows if "@" in row.metric]
    frame = pd.DataFrame(lines, columns=["model", "metric", "amount", "worm", "value"])
    return frame.groupby(["model", "metric", "amount", "worm"], sort=False, as_index=False).mean()


def format_amounts(
    rows: Sequence[Row], metrics: Iterable[str], amounts: str, baseline_models: Collection[str]
) -> list[str]:
    """Return a Markdown table of each METRIC@AMOUNT, a column per amount: the mean and its 95 % interval over worms."""
    lines = []
    for metric in metrics:
        groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in rows:
            name, _, amount = row.metric.partition("@")
            if name == metric:
                groups[markdown.mark_model(row.model, row.model in baseline_models), amount].append(row)
        titles = {amount: f"{amount} {amounts}" for amount in markdown.unique(amount for _, amount in groups)}
        cells = {place: markdown.format_mean(interval_over_rows(members)) for place, members in groups.items()}
        lines += ["", f"### {title_metric(metric)}", "", *markdown.tabulate("model", titles, cells)]
    return lines


def write_summary(
    path: str | os.PathLike, rows: Iterable[Row], baseline_models=(), data_text: str = "", published=(), more=()
) -> None:
    """Write the summary as Markdown, whole or not at all.

    Args:
      data_text: the data that made the rows, in words, printed at the end.
      published: others' numbers, put into the tables of their study and metric and marked (`find_published`).
      more: lines that follow the tables.
    """
    parts = ["# Results", "", EXPLANATION]
    for setting, members in summarise(rows, baseline_models).groupby("setting", sort=False):
        setting = Setting(*setting)
        parts += ["", f"## {describe_setting(setting)}"]
        for metric, same in members[members["metric"].map(is_tabled)].groupby("metric", sort=False):
            others = [p for p in published if setting == (p.study, p.test_study, True) and p.metric == metric]
            parts += ["", f"### {title_metric(metric)}", "", *_tabulate(same, others)]
            parts += _tabulate_differences(same[[one is not None for one in same["difference"]]])
        if rest := [title_metric(metric) for metric in markdown.unique(members["metric"]) if not is_tabled(metric)]:
            parts += ["", f"In results.csv, too: {', '.join(rest)}."]
    markdown.write_markdown(path, [*parts, *more], data_text)


def print_means(rows: Iterable[Row]) -> None:
    """Print the mean of each main metric by model, over worms, seeds and training sets."""
    frame = pd.DataFrame(rows)
    main = frame[frame["metric"].map(is_main)]
    shown = main if len(main) else frame
    table = shown.pivot_table(values="value", index="model", columns="metric", sort=False)
    print(table.to_string(float_format="{:.4g}".format, na_rep=""))


def format_summary(rows: Iterable[Row], baseline_models: Collection[str] = ()) -> list[str]:
    """Return mean ± s.d. of the main metrics in lines of at most 100 columns."""
    lines, frame = [], summarise(rows, baseline_models)
    for setting, members in frame.groupby("setting", sort=False):
        for metric in filter(is_main, markdown.unique(members["metric"])):
            same = members[members["metric"] == metric]
            names = [f"* {line.model}" if line.baseline else line.model for line in same.itertuples()]
            texts = map(markdown.format_spread, same["mean"], same["sd"])
            cells = dict(zip(zip(names, same["train_count"], strict=True), texts, strict=True))
            counts = sorted(set(same["train_count"]))
            for start in range(0, len(counts), CONSOLE_COLUMNS):
                titles = {count: str(count) for count in counts[start : start + CONSOLE_COLUMNS]}
                shown = {key: text for key, text in cells.items() if key[1] in titles or start == 0}
                lines += ["", f"{title_metric(metric)}: {describe_setting(Setting(*setting))}"[:100]]
                lines += markdown.tabulate_console("training worms", titles, shown, (NAME_WIDTH, ENTRY_WIDTH))
    legend = "Mean ± s.d. over training subset, worm and seed" + ("; * baseline" if baseline_models else "")
    return [legend, *lines]


def describe_setting(setting: Setting) -> str:
    """Return a setting in words, for titles."""
    worms = "worms never seen" if setting.unseen else "other frames of the training worms"
    if setting.study == setting.test_study:
        return f"{setting.study}, {worms}"
    return f"{setting.study} → {setting.test_study}, {worms}"


def _tabulate(frame: pd.DataFrame, published: Sequence[PublishedResult]) -> list[str]:
    cells = {}
    for line in frame.itertuples():
        text = f"{markdown.format_spread(line.mean, line.sd)} ({line.n}){markdown.format_bounds(line.low, line.high)}"
        cells[markdown.mark_model(line.model, line.baseline), line.train_count] = text
    for one in published:
        name = f"{markdown.escape(one.model)} † ({markdown.escape(one.source)})"
        cells[name, one.train_count] = f"{markdown.format_spread(one.mean, one.sd)} †"
    return markdown.tabulate("model", _title_counts(cells), cells)


def _tabulate_differences(frame: pd.DataFrame) -> list[str]:
    if frame.empty:
        return []
    pairs = zip(frame["train_count"], frame["best_baseline"], strict=True)
    cells = {("*best baseline*", count): markdown.mark_model(model, True) for count, model in pairs}
    for line in frame.itertuples():
        mean, low, high, worms = line.difference
        text = f"{mean:+.3f}{markdown.format_bounds(low, high, '{:+.3f}'.format)} ({worms} worms)"
        cells[markdown.escape(line.model), line.train_count] = text
    lines = ["", "Difference to the best baseline of each column, paired by training set and test worm:", ""]
    return lines + markdown.tabulate("model - best baseline", _title_counts(cells), cells)


def _title_counts(cells) -> dict[int, str]:
    counts = sorted({count for _, count in cells})
    return {count: f"{count} training worm{'' if count == 1 else 's'}" for count in counts}
