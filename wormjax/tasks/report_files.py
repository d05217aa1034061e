"""The figures of a report: a task's `write_report` saves those that its `plot_...` yield by name."""

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
