"""Pictures of recordings and of models' results: `wormjax.plot.ethogram(worm, probabilities)`.

Every function draws into the axes `ax`, or into new ones, and returns them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import pyplot
from matplotlib.axes import Axes

from wormjax.errors import InputError, note
from wormjax.features.neurons import parse_neurons
from wormjax.figures.confusions import draw_confusion
from wormjax.figures.ethogram import draw_heat_map, draw_probabilities
from wormjax.figures.forecast_traces import draw_forecasts, list_handles
from wormjax.figures.graph import draw_circle
from wormjax.figures.lines import choose_styles, cut_limits, rule_lines
from wormjax.figures.matrices import arrange_matrix, order_by_class
from wormjax.figures.motor_states import divide_time, draw_strip, fill_cells, list_states
from wormjax.figures.names import spell_name
from wormjax.figures.style import BLUE, GREY, hide_frame, styled
from wormjax.figures.trajectories import draw_paths
from wormjax.instrument.results import Decoding, Forecast, find_linked
from wormjax.instrument.settings import join_neurons, take_one, take_whole
from wormjax.recordings.motor_states import STATE_SETS, map_motor_states
from wormjax.recordings.names import normalise_neuron_name
from wormjax.recordings.recording import UNSCORED, Recording
from wormjax.scoring.classification import confusion
from wormjax.scoring.intervals import find_range
from wormjax.scoring.tables import title_metric

__all__ = ["accuracy", "behavior", "confusions", "ethogram", "forecast", "graph", "traces", "trajectories"]

# A notebook's backend turns interactive drawing on when it is loaded. Load it here: within a style's context the change
# would be undone, and later figures of the notebook would not show.
pyplot.draw_if_interactive()

STRIP = 0.16  # Height of a strip of states, the probabilities' panel being 1.


def __dir__() -> list[str]:
    return __all__  # What the tab key offers.


@styled
def ethogram(
    worm: Recording,
    probabilities: Decoding | Float[np.ndarray, "frame state"] | None = None,
    *,
    state_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the motor state of each frame: decoded, scored where it was, and the probabilities below.

    Args:
      probabilities: of `Decoder.decode` or `Decoder.predict_proba`; None draws the scored states alone.
      state_names: the columns of the probabilities, where these are an array of other than the two or four states.

    Examples:
      >>> axes = wormjax.plot.ethogram(worm, decoder.predict_proba(worm))
    """
    if isinstance(probabilities, Decoding):
        state_names, probabilities = probabilities.state_names, probabilities.probabilities
    if probabilities is not None:
        probabilities = _expect_frames(take_one(worm), probabilities)
    names = _name_states(take_one(worm), probabilities, state_names)
    ax = _open_axes(ax, 8.0, 2.0)
    edges, cells = divide_time(np.asarray(worm.times, float))
    scored, strips = _number_states(worm, names), []
    if probabilities is not None:
        draw_probabilities(ax, edges, fill_cells(probabilities, cells, np.nan), names)
        known = np.isfinite(probabilities).all(axis=1)
        strips.append(("decoded", np.where(known, np.nan_to_num(probabilities).argmax(axis=1), UNSCORED)))
    if (scored != UNSCORED).any():
        strips.append(("scored", scored))
    bottom, ticks = (1.0 if probabilities is not None else 0.0), {}
    for label, states in strips:
        bottom += STRIP / 3
        draw_strip(ax, edges, cells, states, names, label, bottom, bottom + STRIP)
        ticks[label] = bottom + STRIP / 2
        bottom += STRIP
    if probabilities is not None:
        ticks = {"0": 0.0, "0.5": 0.5, "1": 1.0} | ticks
        ax.set_ylabel("probability", fontsize=8, y=0.5 / bottom)
    ax.set_yticks([*ticks.values()], [*ticks])
    ax.set(ylim=(0, bottom), xlim=(edges[0], edges[-1]), xlabel="time (s)")
    hide_frame(ax)
    shown = np.concatenate([states for _, states in strips]) if strips else scored
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "handlelength": 1.0}
    ax.legend(handles=list_states(shown, names), ncols=len(names) + 1, **place)
    return ax


@styled
def behavior(worm: Recording, decoding: Decoding, name: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw a decoded continuous behaviour over time, and the measured one where the recording has it.

    Args:
      decoding: of `Decoder.decode`.
      name: of the behaviour, such as velocity; None takes the first.

    Examples:
      >>> axes = wormjax.plot.behavior(worm, anyone.decode(worm))
    """
    names = list(decoding.behavior) if isinstance(decoding, Decoding) else []
    if not names:
        found = type(decoding).__name__
        raise InputError(
            f"decoding: found {found} without continuous behaviour, expected one of Decoder(neurons='any')"
        )
    if name not in (None, *names):
        raise InputError(f"name: found {name!r}, expected one of the decoded behaviours: {', '.join(names)}")
    name = name or names[0]
    ax = _open_axes(ax, 8.0, 1.8)
    edges, cells = divide_time(np.asarray(take_one(worm).times, float))
    drawn = {"decoded": (decoding.behavior[name], BLUE)}
    if name in worm.behavior:
        drawn = {"measured": (worm.behavior[name], GREY)} | drawn
    for label, (values, colour) in drawn.items():
        ax.plot(edges[:-1], fill_cells(np.asarray(values, float), cells, np.nan), color=colour, lw=0.9, label=label)
    ax.axhline(0.0, color=GREY, lw=0.5, zorder=0)
    ax.set(xlim=(edges[0], edges[-1]), xlabel="time (s)", ylabel=spell_name(name))
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


@styled
def traces(worm: Recording, neurons: Sequence[str] | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the traces of named neurons as a heat map, each neuron z-scored.

    Args:
      neurons: their names; None draws all that are identified, by class.
    """
    identified = take_one(worm).identified
    if not identified:
        raise InputError(f"{worm.source}: worm {worm.worm!r}: found no identified neuron, expected one to draw")
    by_class = [sorted(identified)[k] for k in order_by_class(sorted(identified))]
    names = by_class if neurons is None else list(parse_neurons(join_neurons(neurons)))
    missing = [name for name in names if name not in identified]
    if missing:
        raise InputError(f"neurons: found {missing[0]!r}, expected some of {', '.join(sorted(identified))}")
    ax = _open_axes(ax, 8.0, 0.8 + 0.14 * len(names))
    edges, cells = divide_time(np.asarray(worm.times, float))
    values = worm.traces[:, [identified[name] for name in names]].astype(float)
    deviations = values - np.nanmean(values, axis=0)
    scaled = deviations / np.nanstd(values, axis=0)
    draw_heat_map(ax, edges, fill_cells(scaled, cells, np.nan), names).set_xlabel("time (s)")
    ax.figure.colorbar(ax.collections[0], ax=ax, label="activity (z)", extend="both", pad=0.01)
    return ax


@styled
def graph(
    edges: Decoding | Float[np.ndarray, "sender receiver"],
    neuron_names: Sequence[str] | None = None,
    *,
    top_edges: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the most probable edges between neurons as arrows on a circle; neurons without any (NaN) are left out.

    Args:
      edges: of `Decoder.decode`, or a matrix of probabilities.
      neuron_names: the rows and columns of a matrix.
      top_edges: how many edges to draw; None draws twice the number of neurons.
    """
    if isinstance(edges, Decoding):
        neuron_names, edges = edges.neuron_names, edges.edge_probabilities
    names = [str(k + 1) for k in range(len(edges))] if neuron_names is None else list(neuron_names)
    if np.shape(edges) != (len(names), len(names)):
        raise InputError(f"edges: found shape {np.shape(edges)}, expected [sender, receiver] of {len(names)} names")
    matrix = np.asarray(edges, float)
    there = find_linked(matrix)
    matrix, names = matrix[np.ix_(there, there)], [names[k] for k in there]
    if len(names) < 2:
        raise InputError(f"edges: found {len(names)} neurons with edges, expected two or more")
    order = order_by_class(names)
    count = 2 * len(names) if top_edges is None else take_whole("top_edges", top_edges)
    count = min(count, len(names) * (len(names) - 1))
    return draw_circle(_open_axes(ax, 4.2, 4.2), arrange_matrix(matrix, order), [names[k] for k in order], count)


@styled
def forecast(
    worm: Recording, forecasts: Forecast | Sequence[Forecast], neuron: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw forecasts of one neuron, each with its 90 % band, over the trace that was recorded.

    Args:
      forecasts: one or several of `Forecaster.forecast`.
      neuron: its name; None takes the one that varies most over the forecasts.
    """
    forecasts = list(forecasts) if isinstance(forecasts, Iterable) else [forecasts]
    if not forecasts or not all(isinstance(one, Forecast) for one in forecasts):
        found = ", ".join(sorted({type(one).__name__ for one in forecasts})) or "none"
        raise InputError(f"forecasts: found {found}, expected one or more of Forecaster.forecast")
    names = forecasts[0].neuron_names
    if neuron is None:
        spans = np.nan_to_num(np.ptp(np.concatenate([one.mean for one in forecasts]), axis=0), nan=-1.0)
        neuron = names[int(np.argmax(spans))]
    neuron = normalise_neuron_name(neuron)
    if neuron not in names or neuron not in take_one(worm).identified:
        raise InputError(f"neuron: found {neuron!r}, expected one that is forecast and recorded: {', '.join(names)}")
    ax = _open_axes(ax, 8.0, 2.2)
    column, trace = names.index(neuron), worm.traces[:, worm.identified[neuron]]
    bands = ([one.mean, *one.interval(0.9)] for one in forecasts)
    drawn = [(one.times, *(band[:, column] for band in own)) for one, own in zip(forecasts, bands, strict=True)]
    draw_forecasts(ax, worm.times, trace, drawn)
    ax.legend(handles=list_handles(), ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    first, last = forecasts[0].times[0], forecasts[-1].times[-1]
    length = forecasts[0].times[-1] - first
    ax.set_xlim(max(worm.times[0], first - 3 * length), min(max(worm.times[-1], last), last + length))
    ax.set(xlabel="time (s)", ylabel=f"{neuron} ({worm.trace_units})")
    return ax


@styled
def confusions(true: Recording | Sequence[str], predicted: Decoding | Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw the confusion matrix: the share of each scored state's frames, and their number.

    Args:
      true: a recording with scored states, or the name of the state per frame ("" where not scored).
      predicted: of `Decoder.decode` or `Decoder.predict`.
    """
    if isinstance(predicted, Decoding):
        names, decoded = list(predicted.state_names), predicted.states
    else:
        decoded = np.asarray(predicted)
        names = sorted({*decoded, *(() if isinstance(true, Recording) else true)} - {""})
    if isinstance(true, Recording):
        states = _number_states(true, names)
    else:
        states = np.array([names.index(name) if name in names else UNSCORED for name in true])
    if decoded.shape != states.shape:
        found = f"found shapes {states.shape} and {decoded.shape}"
        raise InputError(f"predicted: {found}, expected the name of a state per frame of both")
    states = np.where(decoded == "", UNSCORED, states)
    chosen = np.array([[float(name == one) for one in names] for name in decoded])
    ax = draw_confusion(_open_axes(ax, 3.4, 3.4), confusion(chosen, states, len(names)), names)
    ax.set(xlabel="decoded state", ylabel="scored state")
    return ax


@styled
def accuracy(rows: pd.DataFrame, metric: str = "accuracy", *, ax: Axes | None = None) -> Axes:
    """Draw a metric on held-out worms, a dot per row and a bar at each model's mean.

    Args:
      rows: of `Decoder.evaluate` or a program's results.csv: columns model, metric, value.
      metric: which metric.
    """
    if not isinstance(rows, pd.DataFrame) or not {"model", "metric", "value"} <= set(rows):
        raise InputError(f"rows: found {type(rows).__name__}, expected a DataFrame with columns model, metric, value")
    chosen = rows[rows["metric"] == metric]
    if not len(chosen):
        raise InputError(f"metric: found {metric!r}, expected one of {', '.join(sorted(set(rows['metric'])))}")
    models = list(dict.fromkeys(chosen["model"]))
    ax, styles = _open_axes(ax, 1.6 + 0.9 * len(models), 2.8), choose_styles(models, set())
    for place, model in enumerate(models):
        values = chosen.loc[chosen["model"] == model, "value"].to_numpy()
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
        ax.plot(place + spread, values, "o", color=styles[model]["color"], markersize=4, alpha=0.6, clip_on=False)
        ax.hlines(values.mean(), place - 0.25, place + 0.25, color=styles[model]["color"])
    ax.set_xticks(range(len(models)), [*map(spell_name, models)], rotation=20, ha="right")
    ax.set(xlim=(-0.6, len(models) - 0.4), ylabel=spell_name(title_metric(metric)))
    rule_lines(ax)
    cut_limits(ax, find_range(metric))
    return ax


@styled
def trajectories(
    true: Float[np.ndarray, "frame object 2"],
    predicted: Float[np.ndarray, "step object 2"] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the paths of one system's objects in the plane, and a prediction of the last steps.

    Args:
      true: locations.
      predicted: those predicted for the last frames of `true`; None: no prediction.
    """
    true = np.asarray(true, float)
    if true.ndim != 3 or true.shape[2] != 2:
        raise InputError(f"true: found shape {true.shape}, expected locations [frame, object, 2]")
    steps = 1 if predicted is None else len(predicted)
    history, future = true[: len(true) - steps], true[len(true) - steps :]
    return draw_paths(_open_axes(ax, 3.4, 3.4), history, future, future if predicted is None else predicted)


def _open_axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None and not isinstance(ax, Axes):
        raise InputError(f"ax: found {ax!r}, expected axes of matplotlib, or None for new ones")
    return pyplot.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def _name_states(worm: Recording, probabilities, state_names) -> Sequence[str]:
    if state_names is not None:
        if probabilities is not None and len(state_names) != np.shape(probabilities)[-1]:
            found = f"found {len(state_names)} names"
            raise InputError(f"state_names: {found}, expected {np.shape(probabilities)[-1]}, one per column")
        return state_names
    if probabilities is None:
        return worm.state_names
    by_count = {len(names): names for names in (worm.state_names, *STATE_SETS.values())}
    count = np.shape(probabilities)[-1]
    if count not in by_count:
        raise InputError(f"state_names: found none, expected the names of the {count} columns of the probabilities")
    return by_count[count]


def _number_states(worm: Recording, names: Sequence[str]) -> np.ndarray:
    """Return a recording's states as indices into names; UNSCORED where there is none of that name."""
    if worm.motor_state is None:
        return np.full(len(worm.times), UNSCORED)
    if set(worm.state_names) <= set(names):
        table = np.array([*(list(names).index(name) for name in worm.state_names), UNSCORED])
        return table[worm.motor_state]
    sets = [state_set for state_set, known in STATE_SETS.items() if tuple(known) == tuple(names)]
    return map_motor_states(worm, sets[0]) if sets else np.full(len(worm.times), UNSCORED)


def _expect_frames(worm: Recording, probabilities) -> np.ndarray:
    probabilities = np.asarray(probabilities)
    if probabilities.ndim != 2 or len(probabilities) != len(worm.times) or probabilities.dtype.kind not in "fiu":
        kind = "text" if probabilities.dtype.kind in "OSU" else probabilities.dtype
        found = f"found {kind} of shape {probabilities.shape}"
        expected = f"expected numbers [frame, state] of the worm's {len(worm.times)} frames (Decoder.predict_proba)"
        raise InputError(f"probabilities: {found}, {expected}")
    inside = np.concatenate([np.arange(*stretch) for stretch in worm.stretches])
    missing = int(np.isnan(probabilities[inside].astype(float)).any(axis=1).sum())
    if missing:
        note(f"probabilities: {missing} frames are NaN, and left blank")
    return probabilities.astype(float)
