"""Tables of forecasts: rows → error by step, as Markdown and as a short table for the console.

Entries are mean ± s.d. over training subsets, worms and seeds, as Wang et al. (2021, Frontiers in AI 4:618372) report,
with the 95 % interval over worms. Each model is then compared, by the relative difference of mean squared error, with
the ridge vector autoregression (VAR) that is best at that step on the test worms, with the VAR that adapts to the test
worm's past, and with its twin without a graph. The name of a metric says what is measured, after how many steps and of
which part: mse@16, mse@8:AVAL. The score (1 - MSE / persistence's MSE over the first 16 steps) has no step in its name.
"""

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import pandas as pd

from wormjax.recordings.motor_states import COMMON_NAMES
from wormjax.scoring import tables as scoring
from wormjax.scoring.intervals import Interval, difference_over_worms
from wormjax.scoring.markdown import escape, make_section, unique, write_markdown
from wormjax.scoring.published import FORECAST_NOTE, PublishedResult
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import Against, Column, Form, Section, Sheet, Table

STEPS = (1, 4, 8, 16, 32, 64)
WHERE_STEPS = (8, 16)
SCORE = "score"
CONSOLE_KINDS = ("mse", "coverage90")
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
    f"MSE over the first 16 steps together: 0 is persistence, 1 is perfect. {scoring.EXPLANATIONS[scoring.VALUES]} "
    f"{scoring.PAIRED} They are relative, in percent of the reference's mean: below zero, the model's error is the "
    f"smaller. Others' features and worms may differ. {scoring.SCALED}"
)

BEST_NOTE = "The VAR with the lowest mean at that very step: chosen in view of the test worms."
WHERE_NOTE = "Mean; the lowest at each step in bold. Ridge VAR: the best at that step over all neurons and starts."

RIDGE_VAR = re.compile(r"var_[1-9][0-9]*")  # By order; not var_adapted.


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


def format_percent(value: float) -> str:
    """Return the text of a relative difference."""
    return f"{value:+.1f} %" if abs(value) < 1e5 else f"{value:+.1e} %"


def choose_format(metric: str, mean: float) -> Callable[[float], str]:
    """Return how numbers are written: of an error with three digits of its mean, of all else with three decimals."""
    is_error = metric.partition("@")[0] in ERRORS and mean > 0
    decimals = min(max(2 - math.floor(math.log10(mean)), 0), 8) if is_error else 3
    return lambda value: f"{value:.1e}" if abs(value) >= 1e5 else f"{value:.{decimals}f}"


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
    form, sections = Form(baselines, number=choose_format), []
    for tables in scoring.group_settings(rows).values():
        counts = [table.train_count for table in tables]
        for table in tables:
            sheets = _list_sheets(table, twins or {}, _select_published(published, table, counts))
            more = _tabulate_parts(table, form, twins or {}) if table is tables[-1] else ()
            sections.append(Section(table.describe(), sheets, more))
    write_markdown(path, ["# Results", "", EXPLANATION, *scoring.format_sections(sections, form)], data_text)


def format_forecast_summary(rows: Iterable[Row], baselines: Collection[str]) -> list[str]:
    """Return errors by step, also relative to the best ridge VAR, and coverage for a console of 100 columns."""
    sections = [
        Section(table.describe(), _list_sheets(table))
        for tables in scoring.group_settings(rows).values()
        for table in tables[-1:] + tables[:-1][:1]  # Most training worms, then fewest.
    ]
    return scoring.format_console(sections, Form(baselines, number=choose_format))


def _list_sheets(table: Table, twins: Mapping[str, Sequence[str]] | None = None, published=()) -> list[Sheet]:
    """Return a sheet per kind of metric, a column per step; mean squared error is compared; and one of the score."""
    sheets, vars_ = [], [model for model in table.list_models() if RIDGE_VAR.fullmatch(model)]
    against = [Against(vars_, "ridge VAR", None, relative_difference, format_percent, BEST_NOTE)]
    pairs = [(model, twin) for model, others in (twins or {}).items() for twin in others]
    for rival in unique([ADAPTED, *(twin for _, twin in pairs)]):
        models = None if rival == ADAPTED else [model for model, twin in pairs if twin == rival]
        against.append(Against((rival,), "", models, relative_difference, format_percent))
    for kind, title in METRIC_TITLES.items():
        steps, placed = [step for step in STEPS if f"{kind}@{step}" in table.rows], []
        for one in (one for one in published if steps and one.metric.startswith(f"{kind}@")):
            where = f"{one.source}, trained on {one.train_count}" if one.train_count else one.source
            placed.append((f"step {one.metric.partition('@')[2]}", one._replace(source=where)))
            steps.append(int(one.metric.partition("@")[2]))
        columns = [Column(f"step {step}", table, f"{kind}@{step}") for step in sorted({*steps})]
        compared = against if kind == "mse" else ()
        sheets.append(Sheet(title, columns, compared, placed, FORECAST_NOTE if placed else "", kind in CONSOLE_KINDS))
    return [*sheets[:1], Sheet("Score", [Column(SCORE, table, SCORE)]), *sheets[1:]]


def _select_published(published: Sequence[PublishedResult], table: Table, counts: Sequence[int]):
    """Return others' numbers of a table: see `write_forecast_summary`; 0 stands for any number of training worms."""
    same = [one for one in published if (one.study, one.test_study, True) == table.setting]
    places = [one.train_count if one.train_count in (0, *counts) else max(counts) for one in same]
    return [one for one, count in zip(same, places, strict=True) if count in (0, table.train_count)]


def _tabulate_parts(table: Table, form: Form, twins: Mapping[str, Sequence[str]]) -> list[str]:
    """Return mean squared error by motor state at the start, and by neuron: the first pair of twins beside the VARs."""
    pattern = re.compile(f"mse@({'|'.join(map(str, WHERE_STEPS))}):(.*)")
    found = {metric: match[2] for metric in table.rows if (match := pattern.fullmatch(metric))}
    models = scoring.list_models([Column("", table, metric) for metric in found], form)
    first = next((model for model in (*twins, *models) if model in models and model not in form.baselines), None)
    wanted, lines = [first, *twins.get(first, ())[:1], ADAPTED], []
    for title, is_state in (("motor state at the start", True), ("neuron", False)):
        parts = [part for part in unique(found.values()) if (part.lower() in COMMON_NAMES) == is_state]
        frames, worms = [], {part: set() for part in parts}
        for step in WHERE_STEPS:
            best = table.find_best(f"mse@{step}", [*filter(RIDGE_VAR.fullmatch, table.list_models())])
            shown = [model for model in unique([*wanted, best]) if model]
            columns = [Column(escape(part), table, f"mse@{step}:{part}") for part in parts]
            frames.append(
                scoring.tabulate(columns, form._replace(plain=True), models=shown).T.add_suffix(f", step {step}")
            )
            for part in parts:
                worms[part] |= {row.test_worm for model in shown for row in table.find(f"mse@{step}:{part}", model)}
        frame = pd.concat(frames, axis=1).fillna("")
        frame.insert(0, "worms", [len(own) for own in worms.values()])
        lines += make_section(f"Where: mean squared error by {title}", frame, note=WHERE_NOTE, corner=title)
    return lines
