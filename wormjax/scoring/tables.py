"""Summary: rows → the table that a paper would print, as Markdown and as a short table for the console.

Entries are mean ± s.d. over training subset, worm and seed, as Wang et al. (2021) report, with their number; beside
them the 95 % interval with the worm as the unit, and each model's paired difference to the best baseline.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from wormjax.scoring.classification import LOWER_IS_BETTER
from wormjax.scoring.intervals import Interval, difference_over_worms, interval_over_rows
from wormjax.scoring.markdown import escape, fit_name, join_cells, mark_model, start_table, unique, write_markdown
from wormjax.scoring.published import PublishedResult
from wormjax.scoring.rows import Row

METRIC_TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUROC",
    "macro_f1": "Macro F1",
    "nll": "Negative log-likelihood (nats per frame)",
    "calibration_error": "Expected calibration error",
}

EXPLANATION = (
    "Entries: mean ± s.d. over training subset, worm and seed (how many numbers) "
    "[95 % interval of the mean, the worm as the unit: a jackknife over worms, or Student's t where that is wider or "
    "all there is: docs/trust.md]. "
    "Baselines are in italics; numbers marked † are others', published or from their code: their s.d. is as "
    "reported, and their worms need not be the ones scored here."
)

CONSOLE_COLUMNS, NAME_WIDTH, ENTRY_WIDTH = 5, 30, 14  # 100 columns of a console.


class Setting(NamedTuple):
    """What a table is about: the study trained on, the study tested on, and whether the test worms were unseen."""

    study: str
    test_study: str
    unseen: bool


class Entry(NamedTuple):
    """One entry of the table: one model's metric after training on so many worms.

    Attributes:
      setting: studies, and whether the test worms were unseen.
      metric: the metric's name.
      model: the model's name.
      baseline: whether the model is one of the baselines.
      train_count: the number of training worms.
      mean: the mean over subset, worm and seed.
      sd: the sample standard deviation over subset, worm and seed; None for a single number.
      n: how many numbers went into `mean` and `sd`.
      interval: mean and 95 % interval over worms, each worm's numbers averaged first.
      best_baseline: the baseline with the best mean in this column; None for a baseline, or without one.
      difference: this model - best baseline, paired, over worms; None without a baseline scored on the same worms.
    """

    setting: Setting
    metric: str
    model: str
    baseline: bool
    train_count: int
    mean: float
    sd: float | None
    n: int
    interval: Interval
    best_baseline: str | None
    difference: Interval | None


def summarise(rows: Iterable[Row], baseline_models: Collection[str] = ()) -> list[Entry]:
    """Reduces rows to one entry a setting, metric, model and number of training worms.

    Args:
      rows: the results.
      baseline_models: which of the models are baselines.

    Returns:
      Entries ordered by setting, metric, model (baselines last, otherwise as they first occur) and training worms.
    """
    groups: dict[tuple, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        setting = Setting(row.study, row.test_study, row.unseen)
        groups[setting, row.metric, len(row.train_worms)][row.model].append(row)
    entries = []
    for (setting, metric, count), by_model in groups.items():
        best = _find_best(metric, {model: by_model[model] for model in by_model if model in baseline_models})
        smaller = groups.get((setting, metric, count - 1), {})
        for model, members in by_model.items():
            values = np.array([row.value for row in members])
            against = best if model not in baseline_models else None
            entries.append(
                Entry(
                    setting=setting,
                    metric=metric,
                    model=model,
                    baseline=model in baseline_models,
                    train_count=count,
                    mean=float(values.mean()),
                    sd=float(values.std(ddof=1)) if len(values) > 1 else None,
                    n=len(values),
                    interval=interval_over_rows(members, smaller.get(model, ())),
                    best_baseline=against,
                    difference=_compare(by_model, smaller, model, against) if against else None,
                )
            )
    return _order(entries)


def _compare(by_model, smaller, model, against) -> Interval | None:
    """The paired difference of two models of a column, with what trained on one worm fewer."""
    fewer = (smaller.get(model, ()), smaller.get(against, ()))
    return difference_over_worms(by_model[model], by_model[against], smaller=fewer)


def write_summary(
    path: str | os.PathLike,
    rows: Iterable[Row],
    baseline_models: Collection[str] = (),
    config_text: str | None = None,
    published: Sequence[PublishedResult] = (),
) -> None:
    """Writes the summary as Markdown, whole or not at all.

    Args:
      path: where to, for instance "summary.md".
      rows: the results.
      baseline_models: which of the models are baselines.
      config_text: the config that made the rows, printed at the end.
      published: others' numbers, put into the tables of their study and metric and marked (`find_published`).
    """
    entries = summarise(rows, baseline_models)
    parts = ["# Results", "", EXPLANATION]
    for setting in unique(entry.setting for entry in entries):
        parts += ["", f"## {describe_setting(setting)}"]
        members = [entry for entry in entries if entry.setting == setting]
        for metric in unique(entry.metric for entry in members):
            same = [entry for entry in members if entry.metric == metric]
            others = [p for p in published if setting == (p.study, p.test_study, True) and p.metric == metric]
            parts += ["", f"### {METRIC_TITLES.get(metric, metric)}", "", *_tabulate(same, others)]
            parts += _tabulate_differences(same)
    write_markdown(path, parts, config_text)


def print_summary(rows: Iterable[Row], baseline_models: Collection[str] = ()) -> None:
    """Prints mean ± s.d. of accuracy, balanced accuracy and AUROC; no line is wider than 100 columns."""
    print("\n".join(format_summary(rows, baseline_models)))


def format_summary(rows: Iterable[Row], baseline_models: Collection[str] = ()) -> list[str]:
    """The lines that `print_summary` prints."""
    entries = summarise(rows, baseline_models)
    lines = []
    for setting in unique(entry.setting for entry in entries):
        for metric in ("accuracy", "balanced_accuracy", "auroc"):
            same = [entry for entry in entries if entry.setting == setting and entry.metric == metric]
            counts = sorted({entry.train_count for entry in same})
            title = f"{METRIC_TITLES[metric]}: {describe_setting(setting)}"
            for start in range(0, len(counts), CONSOLE_COLUMNS):
                lines += ["", *_format_block(title, same, counts[start : start + CONSOLE_COLUMNS])]
    legend = "Mean ± s.d. over training subset, worm and seed" + ("; * baseline" if baseline_models else "")
    return [legend, *lines]


def describe_setting(setting: Setting) -> str:
    """A setting in words, for titles."""
    worms = "worms never seen" if setting.unseen else "other frames of the training worms"
    if setting.study == setting.test_study:
        return f"{setting.study}, {worms}"
    return f"{setting.study} → {setting.test_study}, {worms}"


def _find_best(metric: str, baselines: dict[str, list[Row]]) -> str | None:
    sign = 1 if metric in LOWER_IS_BETTER else -1
    means = {model: sign * np.mean([row.value for row in members]) for model, members in baselines.items()}
    return min(means, key=means.get) if means else None


def _order(entries: list[Entry]) -> list[Entry]:
    metrics = unique([*METRIC_TITLES, *(entry.metric for entry in entries)])
    settings, models = (unique(getattr(entry, field) for entry in entries) for field in ("setting", "model"))
    return sorted(
        entries,
        key=lambda entry: (
            settings.index(entry.setting),
            metrics.index(entry.metric),
            entry.baseline,
            models.index(entry.model),
            entry.train_count,
        ),
    )


def _tabulate(entries: list[Entry], published: Sequence[PublishedResult]) -> list[str]:
    counts = sorted({entry.train_count for entry in entries} | {result.train_count for result in published})
    lines = _start_table("model", counts)
    for model in unique(entry.model for entry in entries):
        cells = {entry.train_count: entry for entry in entries if entry.model == model}
        name = mark_model(model, next(iter(cells.values())).baseline)
        lines.append(join_cells([name, *(_format_entry(cells.get(count)) for count in counts)]))
    for source, model in unique((result.source, result.model) for result in published):
        found = {r.train_count: r for r in published if (r.source, r.model) == (source, model)}
        texts = [
            _format_spread(found[count].mean, found[count].sd) + " †" if count in found else "" for count in counts
        ]
        lines.append(join_cells([f"{escape(model)} † ({escape(source)})", *texts]))
    return lines


def _tabulate_differences(entries: list[Entry]) -> list[str]:
    compared = [entry for entry in entries if entry.difference is not None]
    if not compared:
        return []
    counts = sorted({entry.train_count for entry in compared})
    best = {entry.train_count: entry.best_baseline for entry in compared}
    lines = ["", "Difference to the best baseline of each column, paired by training set and test worm:", ""]
    lines += _start_table("model - best baseline", counts)
    lines.append(join_cells(["*best baseline*", *(mark_model(best[count], True) for count in counts)]))
    for model in unique(entry.model for entry in compared):
        cells = {entry.train_count: entry.difference for entry in compared if entry.model == model}
        lines.append(join_cells([escape(model), *(_format_difference(cells.get(count)) for count in counts)]))
    return lines


def _start_table(corner: str, counts: Sequence[int]) -> list[str]:
    titles = [f"{count} training worm{'' if count == 1 else 's'}" for count in counts]
    return start_table([corner, *titles])


def _format_entry(entry: Entry | None) -> str:
    if entry is None:
        return ""
    low_high = "" if entry.interval.low is None else f" [{entry.interval.low:.3f}, {entry.interval.high:.3f}]"
    return f"{_format_spread(entry.mean, entry.sd)} ({entry.n}){low_high}"


def _format_difference(difference: Interval | None) -> str:
    if difference is None:
        return ""
    low_high = "" if difference.low is None else f" [{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.mean:+.3f}{low_high} ({difference.worms} worms)"


def _format_spread(mean: float, sd: float | None) -> str:
    return f"{mean:.3f}" + ("" if sd is None else f" ± {sd:.3f}")


def _format_block(title: str, entries: list[Entry], counts: Sequence[int]) -> list[str]:
    head = "training worms".ljust(NAME_WIDTH) + "".join(str(count).rjust(ENTRY_WIDTH) for count in counts)
    lines = [title[:100], head]
    for model in unique(entry.model for entry in entries):
        cells = {entry.train_count: entry for entry in entries if entry.model == model}
        texts = [_format_spread(cells[c].mean, cells[c].sd) if c in cells else "" for c in counts]
        baseline = next(iter(cells.values())).baseline
        name = f"* {model}" if baseline else model
        lines.append(fit_name(name, NAME_WIDTH) + "".join(text.rjust(ENTRY_WIDTH) for text in texts))
    return lines
