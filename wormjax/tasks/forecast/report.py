"""The report of a `forecast` experiment: results.csv, summary.md and figures."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from wormjax import figures
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import list_starts
from wormjax.figures.names import spell_name
from wormjax.figures.style import NamedFigures, save_figures
from wormjax.scoring.published import find_published_forecasts
from wormjax.scoring.rows import Row, write_rows
from wormjax.scoring.tables import collect_by_worm
from wormjax.tasks.forecast import tables
from wormjax.tasks.forecast.graphs import average_by_state, correlate_pairs, measure_followers, present_edges
from wormjax.tasks.groups import Group, model_folder, restore_best
from wormjax.tasks.protocols import Split
from wormjax.tasks.worms import Materials, format_materials

TWINS = {  # Model → models of its size that know no graph; the first is itself without messages.
    "nri_graph": ("node_wise", "recurrent", "mlp"),
    **dict.fromkeys(("nri_dynamic", "nri_full", "nri_random", "nri_mixture"), ("node_wise",)),
    "nri_pooled": ("recurrent_pooled",),
    "wang_graph": ("wang_mlp",),
}
DRAWN_STEPS = 16
DRAWN_MODELS = ("nri_graph", "node_wise", "recurrent", "mlp", "nri_pooled", "nri_alone")  # Of many, in errors.
DRAWN_SECONDS = 150.0
DRAWN_NEURONS = ("AVAL", "RIML", "RID", "RMED", "VB02")  # Where they are there; else the first five.
FOLLOWED_STEP = 8
QUANTILE = 1.645  # Of a Gaussian, for the 90 % band.


def write_report(config, worms: Materials, splits, groups, fit, rows: list[Row], outputs, workdir: Path) -> None:
    """Write rows, summary and figures into the workdir of an experiment, and print the summary.

    `outputs` are those of `networks.run_models`; only the first seed's last split need have its spread.
    """
    dataset = worms.test_dataset
    published = find_published_forecasts(worms.dataset.study, dataset.study, config.data.scaling)
    write_rows(workdir / "results.csv", rows)
    tables.write_forecast_summary(
        workdir / "summary.md", rows, config.baselines, "\n".join(format_materials(worms)), published, TWINS
    )
    save_figures(workdir, plot_errors(config, dataset, rows, published))
    save_figures(workdir, plot_traces(config, dataset, groups, outputs))
    save_figures(workdir, plot_graphs(config, dataset, groups, outputs))
    if config.models and config.forecast.steps >= FOLLOWED_STEP:
        followers = plot_followers(config.models[0], config, dataset, splits, groups, fit, workdir)
        save_figures(workdir, [(f"followers_{config.models[0]}", followers)])
    print("\n".join(tables.format_forecast_summary(rows, config.baselines)))


def plot_errors(config, dataset: Dataset, rows: Sequence[Row], published) -> NamedFigures:
    """Yield the error by step after training on the most worms, and its ratio to the best ridge VAR's."""
    errors = collect_errors(rows, "mse")
    if not errors:  # No step is scored that would be drawn.
        return
    final = max(step for step in config.forecast.scored if step <= DRAWN_STEPS)
    shown = [name for name in errors if name in config.baselines or name in DRAWN_MODELS or len(errors) < 12]
    vars_ = [name for name in errors if tables.RIDGE_VAR.fullmatch(name)]
    last = {name: np.nanmean(errors[name][:, final - 1]) for name in vars_}
    best = min(last, key=last.get) if last else None
    # Of the ridge VARs the best alone is drawn; all of them are in the table.
    errors = {name: errors[name] for name in shown if name not in vars_ or name == best}
    seconds = 1.0 / dataset.frame_rate
    yield "forecast_error", figures.plot_forecast_error(errors, config.baselines, best, (), "mse", seconds)
    if published:
        errors = {name: values for name, values in collect_errors(rows, "mae").items() if name in errors}
        figure = figures.plot_forecast_error(errors, config.baselines, best, published, "mae", seconds)
        yield "forecast_error_published", figure


def collect_errors(rows: Sequence[Row], kind: str) -> dict[str, Float[np.ndarray, "worm step"]]:
    """Return each model's errors at steps 1 to `DRAWN_STEPS`, after training on the most worms; NaN if not scored."""
    most = max(len(row.train_worms) for row in rows)
    metrics = [f"{kind}@{step}" for step in range(1, DRAWN_STEPS + 1)]
    return collect_by_worm([row for row in rows if len(row.train_worms) == most], metrics)


def plot_traces(config, dataset: Dataset, groups: Sequence[Group], outputs) -> NamedFigures:
    """Yield forecasts of some neurons over their true traces, each model's, of the first worm of the last split."""
    names = [name for name in DRAWN_NEURONS if name in dataset.neuron_names] or list(dataset.neuron_names[:5])
    neurons = [dataset.neuron_names.index(name) for name in names]
    for output in outputs:
        if output.spread is None or output.model not in config.models:
            continue
        worm = groups[output.group].split.test[0]
        own = np.flatnonzero(output.starts.worm == worm)
        if not len(own):
            continue
        stretch, first = output.starts.stretch[own[len(own) // 3]], int(output.starts.frame[own[len(own) // 3]])
        length = int(min(DRAWN_SECONDS * dataset.frame_rate, dataset.arrays.valid[stretch].sum() - first))
        span, after = slice(first, first + length), output.starts.frame - first
        shown = own[(output.starts.stretch[own] == stretch) & (after[own] > 0) & (after[own] < length)][::2]
        means = output.spread.center[shown][:, : 2 * DRAWN_STEPS, neurons, 0]
        forecasts = zip(map(int, after[shown]), means, *find_band(output.spread, shown, neurons), strict=True)
        figure = figures.plot_forecast_traces(
            dataset.times[stretch][span],
            dataset.arrays.features[stretch][span][:, neurons, 0],
            list(forecasts),
            names,
            dataset.arrays.states[stretch][span],
            dataset.state_names,
            f"{spell_name(output.model)}: {dataset.worms[worm]}, held out; 90 % bands",
        )
        yield f"traces_{output.model}", figure


def find_band(spread, starts: Sequence[int], neurons: Sequence[int]):
    """Return the low and high end of the 90 % band of the first feature [start, step, neuron], by matched moments."""
    weights = spread.weights[starts][:, :, None, None]
    mean = spread.mean[starts][:, :, : 2 * DRAWN_STEPS, neurons, 0]
    scale = spread.scale[starts][:, :, : 2 * DRAWN_STEPS, neurons, 0]
    center = (weights * mean).sum(axis=1)
    reach = QUANTILE * np.sqrt((weights * (scale**2 + (mean - center[:, None]) ** 2)).sum(axis=1))
    return center - reach, center + reach


def plot_graphs(config, dataset: Dataset, groups, outputs) -> NamedFigures:
    """Yield the graph by motor state and its stability, of models that infer one."""
    neurons = len(dataset.neuron_names)
    for name in config.models:
        own = [output for output in outputs if output.model == name and output.edges is not None]
        if not own:
            continue
        matrices = np.concatenate([present_edges(output.edges, neurons) for output in own])
        states = np.concatenate([output.starts.state for output in own])
        means = average_by_state(matrices, states, dataset.state_names)
        if means:  # Not without a scored state.
            title = f"{spell_name(name)}: inferred graph by motor state before the forecast, held-out worms"
            yield f"graphs_by_state_{name}", figures.plot_graphs_by_state(means, dataset.neuron_names, title)
        found, nulls = correlate_pairs(own, groups, neurons)
        if found:
            title = f"{spell_name(name)}: correlation of edge probabilities, against shuffled neurons"
            yield f"graph_stability_{name}", figures.plot_graph_stability(found, nulls, title)


def plot_followers(name, config, dataset: Dataset, splits: Sequence[Split], groups, fit, workdir: Path) -> Figure:
    """Plot the response to each raised neuron in the first test worm of the first seed's last split."""
    number = len(splits) - 1
    worm = groups[number].split.test[0]
    starts = list_starts(dataset, config.forecast.first, config.forecast.every)
    starts = starts.of(starts.worm == worm)
    variables = jax.tree.map(lambda x: x[number], restore_best(model_folder(workdir, name)))
    responses = measure_followers(name, config, fit, number, variables, dataset, starts, FOLLOWED_STEP)
    title = f"{spell_name(name)}: responses to a neuron held one s.d. higher, {dataset.worms[worm]}"
    seconds = FOLLOWED_STEP / dataset.frame_rate
    return figures.plot_followers(responses, dataset.neuron_names, seconds, title)
