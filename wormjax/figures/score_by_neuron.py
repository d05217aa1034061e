"""The score of every neuron, models beside each other, sorted by the first."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from wormjax.figures.lines import choose_styles
from wormjax.figures.names import spell_name
from wormjax.figures.style import GREY, finish_figure, make_figure, styled

PER_PANEL = 50  # Neurons whose names can be read side by side.


@styled
def plot_score_by_neuron(
    table: pd.DataFrame, baselines: Collection[str] = (), label: str = "", title: str = ""
) -> Figure:
    """Plot a marker per neuron and model, neurons sorted by the first model's score.

    Args:
      table: a row per neuron, a column per model.
      baselines: which of the models are baselines (grey).
    """
    table = table.sort_values(table.columns[0], ascending=False)
    styles = choose_styles(table.columns, baselines)
    rows = -(-len(table) // PER_PANEL)
    figure = make_figure(11.0, 2.4 * rows + 0.6)
    lowest, highest = np.nanmin(table.to_numpy()), np.nanmax(table.to_numpy())
    width = -(-len(table) // rows)
    for row, axes in enumerate(figure.subplots(rows, 1, squeeze=False)[:, 0]):
        part = table.iloc[row * width : (row + 1) * width]
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        for model, style in styles.items():
            axes.plot(range(len(part)), part[model], **(style | {"linestyle": "none"}), label=model, clip_on=False)
        axes.set_xticks(range(len(part)), part.index, rotation=90, fontsize=7)
        axes.set(ylabel=label, xlim=(-0.7, width - 0.3), ylim=(lowest - 0.05, min(highest + 0.05, 1.0)))
        axes.grid(axis="x", color="#EEEEEE", linewidth=0.6)
        axes.set_axisbelow(True)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    names = [f"{spell_name(name)}: mean {table[name].mean():.2f}" for name in labels]
    figure.legend(handles, names, loc="outside right upper")
    return finish_figure(figure, title)
