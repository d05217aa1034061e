"""The report of a `reconstruct` experiment: results.csv, neurons.csv, summary.md and a figure of all neurons."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from wormjax import figures
from wormjax.atomic_write import open_place
from wormjax.figures.style import save_figures
from wormjax.scoring.rows import SEPARATOR, Row, write_rows
from wormjax.scoring.tables import format_summary, write_summary
from wormjax.tasks.worms import Materials, format_materials

METRIC_TEXT = (
    "R² of a hidden neuron's scaled trace, from all other named neurons of the same worm: the mean over the worm's "
    "neurons that enough training worms have (`data.least_worms`). *r2_with_partner*: over neurons whose left-right "
    "partner is recorded. *r2_without_partner*: over the same neurons, with the partner withheld. The baseline "
    "*partner* takes the mean where there is no partner. `neurons.csv` lists every neuron. Each frame is "
    "reconstructed from itself alone."
)


class NeuronScore(NamedTuple):
    """How well one neuron of a test worm was reconstructed; `r2_without_partner` is NaN where it has no partner."""

    model: str
    study: str
    train_worms: tuple[str, ...]
    test_study: str
    test_worm: str
    seed: int
    neuron: str
    r2: float
    r2_without_partner: float


def write_report(config, worms: Materials, rows: Sequence[Row], scores: Sequence[NeuronScore], workdir: Path) -> None:
    """Write rows, scores of neurons, summary and figure into the workdir of an experiment, and print the summary."""
    frame = pd.DataFrame(scores, columns=NeuronScore._fields)
    write_rows(workdir / "results.csv", rows)
    with open_place(workdir / "neurons.csv") as beside:
        frame.assign(train_worms=frame["train_worms"].map(SEPARATOR.join)).to_csv(beside, index=False)
    more = ["", "## Metrics", "", METRIC_TEXT]
    write_summary(workdir / "summary.md", rows, config.baselines, "\n".join(format_materials(worms)), more=more)
    save_figures(workdir, [("r2_by_neuron", plot_neurons(config, frame))])
    print("\n".join(format_summary(rows, config.baselines)))


def plot_neurons(config, frame: pd.DataFrame) -> Figure:
    """Plot the R² of each neuron of the best model and the best baseline, after training on the most worms."""
    most = frame["train_worms"].map(len).max()
    values = frame[frame["train_worms"].map(len) == most].pivot_table(index="neuron", columns="model", values="r2")
    means = values.mean()
    chosen = [
        own.idxmax()
        for own in (means.drop([*config.baselines], errors="ignore"), means.filter(config.baselines))
        if len(own)
    ]
    title = "R² of each hidden neuron, mean over held-out worms"
    return figures.plot_score_by_neuron(values[chosen], config.baselines, "R²", title)
