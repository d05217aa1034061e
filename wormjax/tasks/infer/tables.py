"""Summary of systems with a graph: rows → one table a system, models down and metrics across, and one for the console.

After Tables 1 and 2 of Kipf, Fetaya et al. (2018, arXiv 1802.04687), with what they leave out: the spread over seeds,
and the 95 % interval over groups of test systems.
"""

import os
from collections.abc import Callable, Iterable, Sequence

from wormjax.scoring import tables as scoring
from wormjax.scoring.markdown import write_markdown
from wormjax.scoring.published import PublishedResult
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import Column, Section, Sheet
from wormjax.tasks.infer.baselines import PREDICTORS, RELATIONS
from wormjax.tasks.infer.networks import BOUNDS

METRIC_TITLES = {
    "edge_accuracy": "Edge accuracy",
    "auroc": "AUROC",
    "edge_auroc": "Edge AUROC",
    "direction_auroc": "Direction AUROC",
    "hidden_auroc": "Hidden AUROC",
    "hidden_r": "Hidden r",
    "strength_r": "Strength r",
    "balanced_accuracy": "Balanced accuracy",
    "nll": "NLL (nats per edge)",
    "calibration_error": "Calibration error",
}
BEST = "_best"  # Followed by the number of sampled futures.
# Begin the names of errors of prediction; the number of steps follows, or nothing for the mean over all.
ERROR_TITLES = {"mse": "MSE", "distance": "Distance"}

EXPLANATION = (
    f"{scoring.EXPLANATIONS[scoring.SEEDS]} ‡ marks bounds, which are given the graph. Others' numbers are of other "
    "test systems. MSE @ k is the mean squared error of the scaled features k steps after the last frame given; "
    "Distance @ k is the mean distance then, in the units of the file. Best of n takes, for each object, the closest "
    "of n sampled futures."
)
NO_ROWS = "Nothing is scored: no test system has a known graph, or frames after those that are given (data.frames)."


def format_number(metric: str, mean: float) -> Callable[[float], str]:
    """Return how numbers are written: with three decimals; an error with two digits and its power of ten, 3.1e-8."""
    if metric.startswith("distance"):
        return "{:.2f}".format
    return _format_power if _is_error(metric) else "{:.3f}".format


def _format_power(value: float) -> str:
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"


FORM = scoring.Form(
    baselines=("lstm", *PREDICTORS, *RELATIONS),
    bounds=BOUNDS,
    spread=scoring.SEEDS,
    counts="seeds / groups of test systems",
    number=format_number,
)


def list_sections(rows: Iterable[Row], published: Sequence[PublishedResult] = ()) -> list[Section]:
    """Return a section per system; a group of test systems is a test worm of the rows. See `write_systems_summary`."""
    sections = []
    for table in scoring.collect_tables(rows):
        columns = [Column(_title_metric(metric), table, metric) for metric in sorted(table.rows, key=_rank_metric)]
        others = [one for one in published if (one.study, one.test_study) == table.setting[:2]]
        placed = [(_title_metric(one.metric), one) for one in others if one.metric in table.rows]
        sections.append(Section(scoring.name_studies(table.setting), [Sheet("", columns, published=placed)]))
    return sections


def write_systems_summary(
    path: str | os.PathLike, rows: Iterable[Row], published: Sequence[PublishedResult] = ()
) -> None:
    """Write the summary as Markdown, whole or not at all.

    `published`: others' numbers, put below the table of their system and marked (`find_published_systems`).
    """
    lines = scoring.format_sections(list_sections(rows, published), FORM)
    write_markdown(path, ["# Results", "", EXPLANATION if lines else NO_ROWS, *lines])


def format_systems_summary(rows: Sequence[Row]) -> list[str]:
    """Return the mean ± s.d. over seeds of all scores, in lines of at most 100 columns."""
    return scoring.format_console(list_sections(rows), FORM) if rows else [NO_ROWS]


def _rank_metric(metric: str) -> tuple:
    if _is_error(metric):
        steps = metric.partition("@")[2]
        return (2, int(steps) if steps.isdecimal() else 0, metric)
    return (0, [*METRIC_TITLES].index(metric), metric) if metric in METRIC_TITLES else (1, 0, metric)


def _is_error(metric: str) -> bool:
    return metric.partition("@")[0].partition(BEST)[0] in ERROR_TITLES


def _title_metric(metric: str) -> str:
    if _is_error(metric):
        (name, _, steps), (_, _, futures) = metric.partition("@"), metric.partition(BEST)
        title = ERROR_TITLES[name.partition(BEST)[0]]
        return f"Best of {futures}" if futures else title + (f" @ {steps}" if steps else "")
    return METRIC_TITLES.get(metric, metric)
