"""The AUROC of directed edges by the number of training systems, beside that of Löwe et al. (2022, arXiv 2006.10833).

    python -m experiments.benchmarks.causal_discovery --folder=runs/causal

Trains `configs/causal_kuramoto.py:small` on each number of systems, into a work directory of its own; what is trained
is not trained again. Prints a table and draws `edge_auroc.png`.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from configs import causal_kuramoto
from wormjax.command_line import run
from wormjax.figures.names import spell_name
from wormjax.figures.style import GREY, MODEL_COLOURS, finish_figure, make_figure, save_figure, styled
from wormjax.scoring.published import DIRECTED_AUROC, DIRECTED_SOURCE
from wormjax.scoring.rows import Row, read_rows
from wormjax.scoring.tables import summarise
from wormjax.tasks.infer.experiment import infer

STEPS = {10: 250, 100: 500, 1_000: 1_500, 5_000: 2_000}  # Updates by number of training systems; 2,000 of others.
FLAGS = [
    ("string", "folder", "runs/causal", "Folder of a work directory per number of systems, and of the figure."),
    ("list", "amounts", [str(amount) for amount in STEPS], "Numbers of training systems."),
]


def train(amount: int, folder: Path) -> list[Row]:
    """Return the rows of models trained on `amount` systems, or those of an earlier call."""
    workdir = folder / str(amount)
    if (workdir / "results.csv").exists():
        return read_rows(workdir / "results.csv")
    config = causal_kuramoto.get_config("small")
    config.models = ("nri",)
    config.data.simulations.train, config.data.simulations.test = amount, 1_000
    config.train.steps, config.evaluate.adaptation_steps = STEPS.get(amount, 2_000), 100
    return infer(config, workdir)


def tabulate(rows: dict[int, list[Row]]) -> pd.DataFrame:
    """Return the mean edge_auroc, a line per model and a column per number of systems, the published one last."""
    columns = {}
    for amount, some in rows.items():
        table = summarise(some)
        columns[amount] = table[table["metric"] == "edge_auroc"].set_index("model")["mean"]
    table = pd.DataFrame(columns)
    table.loc[f"ACD ({DIRECTED_SOURCE})"] = pd.Series(DIRECTED_AUROC).reindex(table.columns)
    return table


@styled
def plot(table: pd.DataFrame) -> Figure:
    """Plot a line per model over the number of training systems."""
    figure = make_figure(6.8, 3.4)
    axes = figure.subplots()
    *ours, published = table.index
    for model, colour in zip(ours, MODEL_COLOURS, strict=False):
        axes.plot(table.columns, table.loc[model], "o-", color=colour, label=spell_name(model), clip_on=False)
    axes.plot([*DIRECTED_AUROC], [*DIRECTED_AUROC.values()], "s--", color=GREY, label=published)
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlabel="training systems", ylabel="AUROC of directed edges", ylim=(0.45, 1))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return finish_figure(figure, "Five directed Kuramoto oscillators, no edge shown in training")


def main(values) -> None:
    """Print the table and draw the figure."""
    folder = Path(values.folder)
    table = tabulate({int(amount): train(int(amount), folder) for amount in values.amounts})
    print(table.round(3).to_string())
    save_figure(plot(table), folder / "edge_auroc.png")


if __name__ == "__main__":
    run(main, FLAGS, __doc__)
