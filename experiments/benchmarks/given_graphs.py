"""Tabulate networks that differ by the graph they are given: scores, and differences that are paired over worms.

    python -m experiments.benchmarks.given_graphs --workdir=runs/given --metrics=r2,r2_without_partner

A work directory is one of `--config=given_graphs:TASK`; of several, the rows are taken together. Rewirings
of a graph are averaged in each worm. Intervals are 95 %, Student's t over worms.
"""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from wormjax.command_line import run
from wormjax.errors import InputError
from wormjax.scoring.intervals import interval_over_worms
from wormjax.scoring.markdown import format_bounds, join_cells, start_table
from wormjax.scoring.rows import read_rows
from wormjax.tasks.decode.runs import PLAIN

REWIRED = re.compile(r"(.+)_rewired_\d+")
FLAGS = [
    ("list", "workdir", [], "Of the experiment, or of several with other models."),
    ("list", "metrics", ["r2"], "Of results.csv."),
    ("bool", "plain", False, "Take decodings that are not refined by the worm's own activity."),
    ("string", "unit", "", "A model by whose error each is divided, worm by worm, such as persistence."),
]


def gather_scores(rows, metric: str, unit: str, plain: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Return graph → draw of the graph → worm → score, the mean over seeds."""
    scores = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.metric == metric and row.model.endswith(PLAIN.format("")) == plain:
            scores[row.model.removesuffix(PLAIN.format(""))][row.test_worm].append(row.value)
    means = {name: {worm: np.mean(values) for worm, values in own.items()} for name, own in scores.items()}
    if unit:
        means = {name: {worm: value / means[unit][worm] for worm, value in own.items()} for name, own in means.items()}
    graphs = defaultdict(dict)
    for name, own in means.items():
        match = REWIRED.fullmatch(name)
        graphs[f"{match[1]}, rewired" if match else name][name] = own
    return graphs


def format_difference(one: dict[str, float], other: dict[str, float]) -> str:
    """Return the mean difference of two models' scores with its interval over worms."""
    interval = interval_over_worms([one[worm] - other[worm] for worm in one])
    return f"{interval.mean:+.3f}{format_bounds(interval.low, interval.high, '{:+.3f}'.format)}"


def tabulate(graphs) -> list[str]:
    """Return the lines of a table, a line per graph; rewirings by their mean and range over draws."""
    lines = start_table(("messages along", "score", "less none", "less its rewirings"))
    by_worm = {
        name: {worm: np.mean([own[worm] for own in draws.values()]) for worm in next(iter(draws.values()))}
        for name, draws in graphs.items()
    }
    for name, own in by_worm.items():
        draws = [np.mean(list(draw.values())) for draw in graphs[name].values()]
        spread = f" ({len(draws)}: {min(draws):.3f} to {max(draws):.3f})" if len(draws) > 1 else ""
        none = "" if name == "none" else format_difference(own, by_worm["none"])
        rewired = by_worm.get(f"{name}, rewired")
        cells = [f"{np.mean(list(own.values())):.3f}{spread}", none, format_difference(own, rewired) if rewired else ""]
        lines.append(join_cells([name, *cells]))
    return lines


def main(values) -> None:
    """Print a table per metric."""
    rows = [row for folder in values.workdir for row in read_rows(Path(folder) / "results.csv")]
    for metric in values.metrics:
        graphs = gather_scores(rows, metric, values.unit, values.plain)
        if "none" not in graphs:
            raise InputError(
                f"{', '.join(values.workdir)}: found no model 'none' with {metric!r}, expected it to compare with"
            )
        print("\n".join([f"{metric}:", "", *tabulate(graphs), ""]))


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
