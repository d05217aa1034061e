"""Selection: which settings to score a held-out worm with, chosen on the other worms alone (nested cross-validation).

An ablation trains every candidate setting on every subset of worms and scores the worms left out, so the inner folds
of any worm are there already: the rows in which that worm neither trains nor is tested. The candidate that does best
in them is the one whose rows of that worm count. Nothing is trained again, and no score of a worm has a say in the
settings that it is scored with (Varma & Simon 2006, BMC Bioinformatics 7:91; Cawley & Talbot 2010, JMLR 11:2079).

What is shared all the same: a worm's choice uses the states of all other worms, also of those that did not train the
model which is scored; the neurons are those that all worms have; and each worm's own traces set their scale.
"""

import csv
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wormjax.atomic_write import open_place
from wormjax.errors import InputError
from wormjax.scoring.behavior import title_metric
from wormjax.scoring.classification import LOWER_IS_BETTER
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import METRIC_TITLES

CRITERION = ("accuracy", "balanced_accuracy")
NESTED = "(nested choice)"
SMALLEST = 3  # Worms: one held out, and of the others one that trains and one that is tested.


class Score(NamedTuple):
    """How a candidate did in the inner folds of one held-out worm.

    Attributes:
      model: the model without its settings.
      held_out: the worm that these folds leave out; "" for the folds of all worms.
      candidate: the model with its settings, as the rows name it.
      value: the criterion; higher is better.
      chosen: whether it is the best of the model's candidates, the first of equals.
    """

    model: str
    held_out: str
    candidate: str
    value: float
    chosen: bool


def check_criterion(criterion: Sequence[str]) -> None:
    """Raises InputError for a criterion without a metric, with one that is not known, or one twice."""
    unknown = [metric for metric in criterion if metric not in METRIC_TITLES and not title_metric(metric)]
    if unknown or not criterion:
        found = repr(unknown[0]) if unknown else "none"
        raise InputError(
            f"criterion: found {found}, expected one or more of {', '.join(METRIC_TITLES)}, BEHAVIOUR_r, BEHAVIOUR_r2"
        )
    if len(set(criterion)) < len(criterion):
        raise InputError(f"criterion: found {','.join(criterion)!r}, expected each metric once")


def score_candidates(rows: Iterable[Row], criterion: Sequence[str] = CRITERION) -> list[Score]:
    """Scores every candidate in the inner folds of every worm, and in those of all worms.

    The inner folds of worm w are the rows in which w neither trains nor is tested. Of each metric, seeds are averaged
    first, then the pairs of training subset and test worm, then the numbers of training worms, so that each number
    counts alike; the criterion is the mean over its metrics, those negated of which lower is better.

    Args:
      rows: of one study, all on worms left out; models as "model [settings]". Rows of an earlier nested choice, which
        may stand among them, are passed over.
      criterion: the metrics that decide.

    Returns:
      By model, then held-out worm by name, then "" for the folds of all worms (the settings to ship for worms yet to
      be recorded: every worm at hand has a say in them), then candidate in the order of the rows.

    Raises:
      InputError: a criterion or rows that cannot decide: a model without settings in brackets, a candidate that lacks
        a row of the others, fewer than three worms, a test worm that is not left out, a worm without inner folds.
    """
    check_criterion(criterion)
    scores = []
    for model, candidates in _group_candidates(rows).items():
        _check_alike(model, candidates)
        worms = sorted({row.test_worm for row in next(iter(candidates.values()))})
        if len(worms) < SMALLEST:
            raise InputError(
                f"rows of {model!r}: found {len(worms)} held-out worms ({', '.join(worms)}), expected {SMALLEST} or "
                "more to choose settings without the worm that is scored"
            )
        for held_out in (*worms, ""):
            values = [
                _score_folds(candidate, members, held_out, criterion) for candidate, members in candidates.items()
            ]
            best = values.index(max(values))
            scores += [
                Score(model, held_out, candidate, value, number == best)
                for number, (candidate, value) in enumerate(zip(candidates, values, strict=True))
            ]
    return scores


def choose_settings(rows: Iterable[Row], criterion: Sequence[str] = CRITERION) -> dict[str, dict[str, str]]:
    """Model → {held-out worm: the candidate that did best without that worm}; see `score_candidates`."""
    choices: dict[str, dict[str, str]] = defaultdict(dict)
    for score in score_candidates(rows, criterion):
        if score.chosen and score.held_out:
            choices[score.model][score.held_out] = score.candidate
    return dict(choices)


def nest_rows(rows: Iterable[Row], choices: dict[str, dict[str, str]]) -> list[Row]:
    """The rows of each worm by the candidate that was chosen for it, as those of the model "MODEL (nested choice)".

    Args:
      rows: what `choose_settings` chose from.
      choices: model → {held-out worm: candidate}.

    Raises:
      InputError: a chosen candidate has no row of its worm.
    """
    rows = list(rows)
    wanted = {
        (candidate, worm): f"{model} {NESTED}"
        for model, by_worm in choices.items()
        for worm, candidate in by_worm.items()
    }
    missing = sorted(wanted.keys() - {(row.model, row.test_worm) for row in rows})
    if missing:
        raise InputError(f"rows of {missing[0][0]!r}: found none of worm {missing[0][1]!r}, expected the chosen ones")
    return [
        row._replace(model=wanted[row.model, row.test_worm]) for row in rows if (row.model, row.test_worm) in wanted
    ]


def write_scores(path: str | os.PathLike, scores: Iterable[Score]) -> None:
    """Writes scores as CSV, whole or not at all: model,held_out,candidate,value,chosen (1 or 0)."""
    with open_place(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Score._fields)
        writer.writerows(score._replace(value=repr(score.value), chosen=int(score.chosen)) for score in scores)


def format_choices(scores: Iterable[Score]) -> list[str]:
    """Lines for the console: what was chosen for each held-out worm, and what all worms together choose."""
    lines = ["Settings chosen on the other worms alone:"]
    for score in scores:
        if score.chosen:
            where = f"for {score.held_out}" if score.held_out else "by all worms, for new recordings"
            lines.append(f"  {where}: {score.candidate} ({score.value:.4f})")
    return lines


def _group_candidates(rows: Iterable[Row]) -> dict[str, dict[str, list[Row]]]:
    """Model → candidate → rows, in the order in which they first occur."""
    groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.model.endswith(NESTED):
            continue
        model, bracket, _ = row.model.partition(" [")
        if not bracket or not row.model.endswith("]"):
            raise InputError(
                f"rows of {row.model!r}: found no settings in brackets, expected 'MODEL [FIELD=VALUE, ...]'"
            )
        if not row.unseen or row.study != row.test_study:
            raise InputError(
                f"rows of {row.model!r}: found worm {row.test_worm!r} of {row.test_study!r} tested after training on "
                f"{'+'.join(row.train_worms)} of {row.study!r}, expected worms left out of the same study"
            )
        groups[model][row.model].append(row)
    if not groups:
        raise InputError("rows: found none with settings to choose from, expected those of an ablation")
    return groups


def _check_alike(model: str, candidates: dict[str, list[Row]]):
    """Every candidate has one row for each training set, test worm, seed and metric that any candidate has."""
    keys = {candidate: {_key(row) for row in members} for candidate, members in candidates.items()}
    everything = set().union(*keys.values())
    for candidate, found in keys.items():
        for _, train_worms, test_worm, seed, metric in sorted(everything - found)[:1]:
            raise InputError(
                f"rows of {candidate!r}: found no {metric} of worm {test_worm!r} trained on {'+'.join(train_worms)} "
                f"with seed {seed}, expected the rows that other settings of {model!r} have"
            )
        if len(candidates[candidate]) > len(found):
            raise InputError(f"rows of {candidate!r}: found a number twice, expected each once")
    studies = {key[0] for key in everything}
    if len(studies) > 1:
        raise InputError(f"rows of {model!r}: found the studies {', '.join(sorted(studies))}, expected one")


def _key(row: Row) -> tuple:
    return (row.study, tuple(sorted(row.train_worms)), row.test_worm, row.seed, row.metric)


def _score_folds(candidate: str, rows: list[Row], held_out: str, criterion: Sequence[str]) -> float:
    inner = [row for row in rows if held_out not in (*row.train_worms, row.test_worm)]
    return _mean(_score_metric(candidate, inner, held_out, metric) for metric in criterion)


def _score_metric(candidate: str, inner: list[Row], held_out: str, metric: str) -> float:
    folds = defaultdict(list)
    for row in inner:
        if row.metric == metric:
            folds[tuple(sorted(row.train_worms)), row.test_worm].append(row.value)
    if not folds:
        without = f" without worm {held_out!r}" if held_out else ""
        raise InputError(
            f"rows of {candidate!r}: found no {metric}{without}, expected subsets of the other worms that leave one "
            "of them to test (protocol 'subsets' with small numbers of training worms)"
        )
    by_count = defaultdict(list)
    for (train_worms, _), values in folds.items():
        by_count[len(train_worms)].append(_mean(values))
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    return sign * _mean(_mean(values) for values in by_count.values())


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.fsum(values) / len(values)
