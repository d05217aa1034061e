"""How well each shared neuron separates reverse from forward in two studies, by its level and by its derivative.

A decoder transfers from one study to the other where both AUROCs lie on the same side of chance. Below, one neuron's
level (z-scored trace) and derivative by motor state and study.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from wormjax.figures.motor_states import colour_states
from wormjax.figures.style import BLACK, GREEN, GREY, LIGHT_GREY, make_dot, make_figure, styled

STUDY_COLOURS, STUDY_MARKERS = (BLACK, GREEN), ("o", "s")


Values = Mapping[str, Mapping[str, Float[np.ndarray, " frame"]]]  # By study and motor state, pooled over worms.


@styled
def plot_transfer(
    level_auroc: Mapping[str, Float[np.ndarray, "worm neuron"]],
    derivative_auroc: Mapping[str, Float[np.ndarray, "worm neuron"]],
    neuron_names: Sequence[str],
    neuron: str,
    levels: Values,
    derivatives: Values,
) -> Figure:
    """Plot per shared neuron the AUROC (reverse against forward) of level and derivative in two studies.

    AUROCs of z-scored traces are by study and worm, NaN where not defined; levels and derivatives are one `neuron`'s.
    """
    height = 0.27 * len(neuron_names) + 1.3
    figure = make_figure(7.2, height + 2.4)
    panels = figure.subplots(2, 2, height_ratios=[height, 2.3])
    draw_neurons(panels[0, 0], level_auroc, neuron_names, "level (z-scored trace)")
    draw_neurons(panels[0, 1], derivative_auroc, neuron_names, "derivative")
    panels[0, 1].tick_params(labelleft=False)
    looks = zip(level_auroc, STUDY_COLOURS, STUDY_MARKERS, strict=True)
    handles = [make_dot(colour, study, marker=marker) for study, colour, marker in looks]
    draw_distributions(panels[1, 0], levels, f"{neuron}: level (z)")
    draw_distributions(panels[1, 1], derivatives, f"{neuron}: derivative (z)")
    states = list(next(iter(levels.values())))
    handles += [Patch(color=c, alpha=0.7, label=s) for s, c in zip(states, colour_states(states), strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def draw_neurons(
    axes: Axes, auroc: Mapping[str, Float[np.ndarray, "worm neuron"]], names: Sequence[str], title: str
) -> Axes:
    """Draw each neuron's AUROC in two studies: worms as small dots, their means as large ones."""
    rows = np.arange(len(names))
    means = [np.nanmean(np.asarray(values, float), axis=0) for values in auroc.values()]
    axes.hlines(rows, means[0], means[1], color=GREY, linewidth=1, zorder=1)
    for number, values in enumerate(auroc.values()):
        style = {"color": STUDY_COLOURS[number], "marker": STUDY_MARKERS[number], "linestyle": "none"}
        shift = -0.14 if number == 0 else 0.14
        for worm in np.asarray(values, float):
            axes.plot(worm, rows + shift, markersize=2.5, alpha=0.45, zorder=2, clip_on=False, **style)
        axes.plot(means[number], rows, markersize=6.5, markeredgecolor="white", zorder=3, clip_on=False, **style)
    axes.axvline(0.5, color=LIGHT_GREY, zorder=0)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="AUROC, reverse against forward")
    axes.set_yticks(rows, names)
    agree = int(np.sum((means[0] > 0.5) == (means[1] > 0.5)))
    gap = float(np.mean(np.abs(means[0] - means[1])))
    axes.set_title(f"{title}\nsame side of chance: {agree} of {len(names)}; mean distance {gap:.2f}", fontsize=8)
    return axes


def draw_distributions(axes: Axes, values: Values, label: str) -> Axes:
    """Draw the distribution of each state's values, a row per study; a dotted line is the median."""
    states = list(next(iter(values.values())))
    every = np.concatenate([np.asarray(frames) for by_state in values.values() for frames in by_state.values()])
    low, high = np.nanpercentile(every, [0.5, 99.5])  # A few wild frames would flatten the rest.
    edges = np.linspace(low, high, 61)
    for row, by_state in enumerate(values.values()):
        base = len(values) - 1 - row
        for state, colour in zip(states, colour_states(states), strict=True):
            frames = np.asarray(by_state[state])
            counts = np.histogram(frames, edges)[0].astype(float)
            shape = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
            tops = base + 0.85 * shape / max(shape.max(), 1)
            axes.stairs(tops, edges, baseline=base, fill=True, color=colour, alpha=0.5, linewidth=0)
            axes.stairs(tops, edges, baseline=base, color=colour, linewidth=0.8)
            axes.plot([np.nanmedian(frames)] * 2, [base, base + 0.85], color=colour, linewidth=1, linestyle=":")
        axes.axhline(base, color=GREY, linewidth=0.6)
    axes.set_yticks([len(values) - 1 - row + 0.4 for row in range(len(values))], list(values))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlabel=label, xlim=(low, high), ylim=(-0.05, len(values)))
    return axes
