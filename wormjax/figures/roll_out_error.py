"""Error of prediction by step: how far each model's roll-outs stay with the true systems.

After Table 2 of Kipf, Fetaya et al. (2018, arXiv 1802.04687), whose numbers are drawn in as open markers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from wormjax.figures import style
from wormjax.figures.lines import collect_steps, draw_open_markers, find_last, label_ends, rule_lines
from wormjax.figures.names import spell_name
from wormjax.figures.style import finish_figure, make_figure, styled
from wormjax.scoring.published import LSTM, NRI, STATIC, PublishedResult

COLOURS = {"nri": style.VERMILLION, "nri_true_graph": style.BLACK, "lstm": style.BLUE, "var": style.GREEN}
COLOURS["static"] = style.GREY
SPARE_COLOURS = (style.PURPLE, style.SKY, style.ORANGE)
# Bounds and baselines, dashed.
THIN = ("nri_true_graph", "lstm", "var", "static", "constant_velocity", "damped_velocity", "ridge")
PUBLISHED_AS = {NRI: "nri", LSTM: "lstm", STATIC: "static"}  # Their model → ours, whose colour it has.


@styled
def plot_roll_out_error(
    errors: Mapping[str, Float[np.ndarray, " step"] | Float[np.ndarray, "run step"]],
    published: Sequence[PublishedResult] = (),
) -> Figure:
    """Plot the mean squared error after 1, 2, ... steps (scaled units), a line per model, on a logarithmic axis.

    Of several runs the mean is drawn, and their range; published errors are drawn as open markers.
    """
    figure = make_figure(6.0, 3.7)
    axes = figure.subplots()
    spare = iter(SPARE_COLOURS * (1 + len(errors)))
    colours = {model: COLOURS[model] if model in COLOURS else next(spare) for model in errors}
    ends, last = {}, max(np.shape(values)[-1] for values in errors.values())
    for model, values in errors.items():
        # Nothing is exactly right; a logarithm has no place for it.
        runs = np.atleast_2d(np.where(np.asarray(values) > 0, values, np.nan))
        steps, mean = np.arange(1, runs.shape[1] + 1), runs.mean(axis=0)
        line = {"linestyle": (0, (4, 1.5)), "linewidth": 1.2} if model in THIN else {"linewidth": 1.8}
        axes.plot(steps, mean, color=colours[model], label=spell_name(model), zorder=3, **line)
        if len(runs) > 1:
            low, high = runs.min(axis=0), runs.max(axis=0)
            axes.fill_between(steps, low, high, color=colours[model], alpha=0.18, linewidth=0)
        ends[model] = find_last(mean), colours[model]
    markers = []
    for number, ((_, model), points) in enumerate(collect_steps(published, "mse", last).items()):
        ours = PUBLISHED_AS.get(model)
        colour = colours.get(ours, COLOURS.get(ours, style.BLACK))
        markers.append(draw_open_markers(axes, points, model, colour, number))
    axes.set_yscale("log")
    axes.set(xlim=(0.3, last + 0.4), xlabel="steps after the last frame given", ylabel="mean squared error")
    axes.set_xticks([1, *range(5, last + 1, 5)] if last <= 40 else [1, *range(10, last + 1, 10)])
    rule_lines(axes)
    label_ends(axes, ends)
    if markers:
        axes.legend(handles=markers, loc="best", title=published[0].source, title_fontsize=8)
    return finish_figure(figure, "Error of prediction on test systems")
