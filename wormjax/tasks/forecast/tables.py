"""Tables of forecasts: rows → the rows of each table, and how two models compare in one.

A metric's name tells what is measured, after how many steps and of which part: mse@16, mse@8:AVAL. The reference for
models is the ridge vector autoregression (VAR) that turned out best at the very step, in view of the test worms.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from wormjax.errors import InputError
from wormjax.scoring.intervals import Interval, difference_over_worms
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import Setting

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
    """Parses a metric's name: "mse@16:AVAL" → ("mse", 16, "AVAL"), "coverage90@8" → ("coverage90", 8, None).

    The part is the name of a neuron, or of the motor state at the start.

    Raises:
      InputError: the name has another form.
    """
    found = METRIC_NAME.fullmatch(name)
    if not found:
        raise InputError(f"metric: found {name!r}, expected KIND@STEP or KIND@STEP:PART, for instance 'mse@16:AVAL'")
    kind, step, part = found.groups()
    return Metric(kind, int(step), part)


def collect_tables(rows: Iterable[Row], baseline_models: Collection[str]) -> tuple[list[Table], list[str]]:
    """Groups rows into tables.

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
    settings = _unique(setting for setting, _ in groups)
    tables = []
    for setting, count in sorted(groups, key=lambda key: (settings.index(key[0]), key[1])):
        untrained = groups.get((setting, 0), {}) if count else {}
        if count or not any(other for same, other in groups if same == setting):
            joined = _join_rows(groups[setting, count], untrained, baseline_models)
            tables.append(Table(setting, count, joined, groups.get((setting, count - 1), {}) if count > 1 else {}))
    return tables, list(others)


def list_models(table: Table, metrics: Iterable[Metric], baseline_models: Collection[str]) -> list[str]:
    """The models of some metrics of a table, baselines last, otherwise as they first occur."""
    models = _unique(model for metric in metrics for model in table.rows.get(metric, ()))
    return sorted(models, key=lambda model: model in baseline_models)


def find_best_var(by_model: Mapping[str, Sequence[Row]]) -> str | None:
    """The ridge VAR (var_1, var_2, ...) with the lowest mean value; None without one.

    It is chosen in view of the test worms, which makes it the hardest reference. A VAR that was scored on fewer
    training sets and worms than another does not stand: its mean is over other worms.

    Args:
      by_model: model → its rows of one metric.
    """
    members = {model: rows for model, rows in by_model.items() if RIDGE_VAR.fullmatch(model)}
    numbers = {model: len({(row.train_worms, row.test_worm) for row in rows}) for model, rows in members.items()}
    complete = [model for model in members if numbers[model] == max(numbers.values())]
    return min(complete, key=lambda model: np.mean([row.value for row in members[model]]), default=None)


def relative_difference(ours: Sequence[Row], theirs: Sequence[Row]) -> Interval | None:
    """Relative difference between two models, in percent of theirs: -20 where our error is a fifth smaller.

    The mean over worms of the paired difference (`difference_over_worms`), and its 95 % interval, over the mean of the
    reference on the same training sets and worms, which is taken as given.

    Args:
      ours, theirs: the rows of a model and of the reference, one metric.

    Returns:
      The interval, or None where the two share no training set and test worm, or the reference's mean is not positive.
    """
    difference = difference_over_worms(ours, theirs)
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
    """Puts models that are not trained beside those that are, on the same test worms; baselines last."""
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


def _unique(items: Iterable) -> list:
    return list(dict.fromkeys(items))
