"""Selection: which settings to score a held-out worm with, chosen on the other worms alone (nested cross-validation).

An ablation trains every candidate setting on every subset of worms and scores the worms left out, so the inner folds
of any worm are there already: the rows in which that worm neither trains nor is tested. The candidate that does best
in them is the one whose rows of that worm count. Nothing is trained again, and no score of a worm has a say in the
settings that it is scored with (Varma & Simon 2006, BMC Bioinformatics 7:91; Cawley & Talbot 2010, JMLR 11:2079).

What is shared all the same: a worm's choice uses the states of all other worms, also of those that did not train the
model which is scored; the neurons are those that all worms have; and each worm's own traces set their scale.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from wormjax.errors import InputError
from wormjax.scoring.behavior import title_metric
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import METRIC_TITLES, is_lower_better

CRITERION = ("accuracy", "balanced_accuracy")
NESTED = "(nested choice)"
SMALLEST = 3  # Worms: one held out, and of the others one that trains and one that is tested.


def check_criterion(criterion: Sequence[str]) -> None:
    """Raise InputError for a criterion without a metric, with one that is not known, or one twice."""
    unknown = [metric for metric in criterion if metric not in METRIC_TITLES and not title_metric(metric)]
    if unknown or not criterion:
        found = repr(unknown[0]) if unknown else "none"
        raise InputError(
            f"criterion: found {found}, expected one or more of {', '.join(METRIC_TITLES)}, BEHAVIOUR_r, BEHAVIOUR_r2"
        )
    if len(set(criterion)) < len(criterion):
        raise InputError(f"criterion: found {','.join(criterion)!r}, expected each metric once")


def score_candidates(rows: Iterable[Row], criterion: Sequence[str] = CRITERION) -> pd.DataFrame:
    """Return the score of every candidate in the inner folds of every worm, and in those of all worms.

    The inner folds of worm w are the rows in which w neither trains nor is tested. Of each metric, seeds are averaged
    first, then the pairs of training subset and test worm, then the numbers of training worms, so that each number
    counts alike; the criterion is the mean over its metrics, those negated of which lower is better.

    Args:
      rows: of an ablation, on worms left out; models as "model [settings]".
      criterion: the metrics that decide.

    Returns:
      Columns model (without settings), held_out, candidate (the model with its settings), value (higher is better) and
      chosen (the first of the best), ordered by model, held-out worm and candidate. Last of each model, with held_out
      "", are the folds of all worms: the settings for worms yet to be recorded, in which every worm at hand has a say.

    Raises:
      InputError: fewer than three worms, or a worm without inner folds.
    """
    folds: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))  # By candidate, metric, fold.
    for row in rows:
        if row.metric in criterion:
            folds[row.model][row.metric][row.train_worms, row.test_worm].append(row.value)
    scores = []
    for model, candidates in itertools.groupby(folds, lambda candidate: candidate.partition(" [")[0]):
        candidates = [*candidates]
        worms = sorted({test for _, test in folds[candidates[0]][criterion[0]]})
        if len(worms) < SMALLEST:
            raise InputError(
                f"rows of {model!r}: found {len(worms)} held-out worms ({', '.join(worms)}), expected {SMALLEST} or "
                "more to choose settings without the worm that is scored"
            )
        for held_out in (*worms, ""):
            values = [_score_folds(name, folds[name], held_out, criterion) for name in candidates]
            best, pairs = int(np.argmax(values)), zip(candidates, values, strict=True)
            scores += [(model, held_out, *pair, k == best) for k, pair in enumerate(pairs)]
    return pd.DataFrame(scores, columns=["model", "held_out", "candidate", "value", "chosen"])


def _score_folds(candidate: str, folds, held_out: str, criterion: Sequence[str]) -> float:
    """Return the criterion of one candidate in the folds without a worm."""
    total = 0.0
    for metric in criterion:
        by_count = defaultdict(list)
        for (train_worms, test_worm), values in folds[metric].items():
            if held_out not in (*train_worms, test_worm):
                by_count[len(train_worms)].append(math.fsum(values) / len(values))
        if not by_count:
            raise InputError(
                f"rows of {candidate!r}: found no {metric} without worm {held_out!r}, expected subsets of the other "
                "worms that leave one of them to test (protocol 'subsets' with small numbers of training worms)"
            )
        mean = np.mean([math.fsum(values) / len(values) for values in by_count.values()])
        total += -mean if is_lower_better(metric) else mean
    return float(total / len(criterion))


def nest_rows(rows: Iterable[Row], scores: pd.DataFrame) -> list[Row]:
    """Return the rows of each worm by the candidate chosen for it, as those of the model "MODEL (nested choice)"."""
    chosen = scores[scores["chosen"]]
    names = {(line.candidate, line.held_out): f"{line.model} {NESTED}" for line in chosen.itertuples()}
    return [row._replace(model=names[key]) for row in rows if (key := (row.model, row.test_worm)) in names]


def format_choices(scores: pd.DataFrame) -> list[str]:
    """Return lines for the console: what was chosen for each held-out worm, and what all worms together choose."""
    lines = ["Settings chosen on the other worms alone:"]
    for line in scores[scores["chosen"]].itertuples():
        where = f"for {line.held_out}" if line.held_out else "by all worms, for new recordings"
        lines.append(f"  {where}: {line.candidate} ({line.value:.4f})")
    return lines
