"""Tables of motor states ahead: scores by horizon, and up to which horizon a model beats simple baselines.

Models that are given the motor state so far have tables of their own, beside those that read neurons alone. The best
simple baseline of each horizon is chosen on the test worms, which favours the baseline.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from wormjax.scoring import tables as scoring
from wormjax.scoring.intervals import Interval
from wormjax.scoring.tables import Against, Column, Section, Sheet, Table

ALONE, GIVEN = "from neurons alone", "given the motor state so far"  # Parts of a setting, with tables of their own.
TITLES = {
    "nll": "Negative log-likelihood of the motor state, nats",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "reversal_auroc": "Has the next reversal begun by then: AUROC",
}
REVERSAL_TITLES = {  # Metrics without a horizon.
    "reversal_nll": "Interval of the next reversal: negative log-likelihood, nats",
    "reversal_error": "Time to the next reversal: mean absolute error of the median, s",
}
COMPARED = ("nll", "balanced_accuracy")
EXPLANATION = (
    f"{scoring.EXPLANATIONS[scoring.WORMS]} {scoring.PAIRED} The best simple baseline (frequencies, persistence, "
    "chains) is chosen at each horizon on the test worms. *Better up to* is the last horizon up to which the mean "
    "difference always favours the model; in parentheses, up to which the whole interval does. Persistence predicts "
    f"the next reversal as frequencies do. {scoring.SCALED}"
)


def list_columns(table: Table, kind: str, seconds: Iterable[float]) -> list[Column]:
    """Return a column per horizon."""
    return [Column(f"{one:g} s", table, f"{kind}@{one:g}s") for one in seconds]


def find_reach(differences: Sequence[Interval | None], seconds: Sequence[float], lower: bool) -> tuple[float, float]:
    """Return the last horizon up to which a model is always better, by the mean and by the whole interval; 0: none."""
    sign = -1.0 if lower else 1.0
    by_mean = [one is not None and sign * one.mean > 0 for one in differences]
    known = [one is not None and one.low is not None for one in differences]
    surely = [has and min(sign * one.low, sign * one.high) > 0 for one, has in zip(differences, known, strict=True)]
    reach = (int(np.argmin([*flags, False])) for flags in (by_mean, surely))
    return tuple(seconds[number - 1] if number else 0.0 for number in reach)


def collect_by_worm(table: Table, kind: str, seconds: Sequence[float]) -> dict[str, np.ndarray]:
    """Return model → each test worm's value at each horizon [worm, horizon], NaN where there is none; worms by name."""
    rows = [row for by_model in table.rows.values() for own in by_model.values() for row in own]
    return scoring.collect_by_worm(rows, [column.metric for column in list_columns(table, kind, seconds)])


def list_sections(
    tables: Iterable[Table], seconds: Sequence[float], simple: Collection[str], rivals: Iterable[str]
) -> list[Section]:
    """Return a section per table; models are compared with the best of the `simple` baselines and each of `rivals`."""
    sections = []
    for table in tables:
        others = [model for model in table.list_models() if model not in simple]
        sheets = []
        for kind, title in TITLES.items():
            reach = "better up to", describe_reach(seconds, scoring.is_lower_better(kind))
            against = [Against(simple, "simple baseline", others, summary=reach), *(Against((one,)) for one in rivals)]
            compared = kind in COMPARED
            sheets.append(Sheet(title, list_columns(table, kind, seconds), against * compared, console=compared))
        columns = [Column(title, table, metric) for metric, title in REVERSAL_TITLES.items()]
        sheets.append(Sheet("The next reversal", columns, console=False))
        sections.append(Section(table.describe(), sheets))
    return sections


def describe_reach(seconds: Sequence[float], lower: bool) -> Callable[[Sequence[Interval | None]], str]:
    """Return a function of the differences at each horizon, which writes `find_reach`: "5 s (2 s)"."""
    return lambda found: "{} ({})".format(
        *(f"{one:g} s" if one else "none" for one in find_reach(found, seconds, lower))
    )
