"""The figures of a report and where its files lie, the same for every task.

A task's `write_report` writes results.csv and summary.md, saves the figures that its `plot_...` yield by name, and
prints the summary.
"""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from wormjax.figures import save_figure

NamedFigures = Iterable[tuple[str, Figure]]


def save_figures(workdir: Path, plots: NamedFigures) -> None:
    """Write each figure to figures/NAME.png in a workdir, as soon as it is drawn."""
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in plots:
        save_figure(figure, folder / f"{name}.png")


def print_places(workdir: Path) -> None:
    """Print where the report's files are."""
    print(f"\nRows: {workdir / 'results.csv'}\nSummary: {workdir / 'summary.md'}\nFigures: {workdir / 'figures'}")
