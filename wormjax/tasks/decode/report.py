"""The report of a `decode` experiment: results.csv, summary.md and figures, from rows and probabilities."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from wormjax import figures
from wormjax.features.dataset import Dataset
from wormjax.figures.names import spell_name
from wormjax.figures.style import NamedFigures, save_figures
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.classification import confusion, measure_auroc
from wormjax.scoring.markdown import unique
from wormjax.scoring.published import find_published
from wormjax.scoring.rows import Row, write_rows
from wormjax.scoring.tables import format_amounts, format_summary, is_main, write_summary
from wormjax.tasks.decode.graphs import average_edges, find_chance, format_inferred, score_inferred
from wormjax.tasks.decode.runs import PLAIN, Decoded, score_models, test_labels
from wormjax.tasks.groups import Group
from wormjax.tasks.worms import Materials, format_materials
from wormjax.training.workdir import describe_dataset

# Name → title of the table, unit of its amounts, label of the figure's axis, and the figure's title.
CURVES = {
    "few_neurons": ("Few neurons", "neurons", "named neurons of the held-out worm", "A worm with few named neurons"),
    "calibration": ("Calibration", "s", "seconds of calibration", "Calibration to a held-out worm"),
}
CURVE_TEXT = "Mean over worms [95 % interval over worms]; the best of a column in bold, baselines in italics."


def write_report(
    config, worms: Materials, groups, decoded: dict[str, Decoded], workdir: Path, curves: Mapping[str, Sequence[Row]]
) -> list[Row]:
    """Write rows, summary and figures into the workdir of an experiment, and print the summary; return the rows.

    `curves` are those of CURVES, with their rows.
    """
    description, dataset = describe_dataset(worms.dataset), worms.test_dataset
    rows = score_models(config, description, dataset, groups, decoded)
    baselines = [*config.baselines, *map(PLAIN.format, config.baselines)]
    published = find_published(worms.dataset.study, dataset.study, config.data.states)
    write_rows(workdir / "results.csv", rows)
    inferred = score_inferred(config, dataset, groups, decoded)
    more, drawn = format_inferred(inferred), []
    for name, own in curves.items():
        if not own:
            continue
        write_rows(workdir / f"{name}.csv", own)
        title, amounts, label, figure_title = CURVES[name]
        linear = [row.model for row in own if row.model.startswith("linear")]
        metrics = [name for name in unique(row.metric.split("@")[0] for row in own) if is_main(name, "accuracy")]
        more += ["", f"## {title}", "", CURVE_TEXT, *format_amounts(own, metrics, amounts, linear)]
        refined = [row for row in own if not row.model.endswith(PLAIN.format(""))]
        drawn.append((name, figures.plot_score_by_amount(refined, metrics, label, linear, figure_title)))
    setting = "\n".join(format_materials(worms))
    write_summary(workdir / "summary.md", rows, baselines, setting, published, more)
    save_figures(
        workdir, [*plot_figures(config, worms, groups, decoded, rows, published, find_chance(inferred)), *drawn]
    )
    print("\n".join(format_summary(rows, baselines)))
    return rows


def plot_figures(config, worms: Materials, groups, decoded, rows, published, chance=()) -> NamedFigures:
    """Yield all figures for which there are data; a graph that is among `chance` has none."""
    cross = worms.test_dataset is not worms.dataset
    if any(row.unseen for row in rows):
        metrics = ("auroc" if cross else "accuracy", "balanced_accuracy")
        baselines = [*config.baselines, *map(PLAIN.format, config.baselines)]
        yield "accuracy_by_training_worms", figures.plot_accuracy_by_worms(rows, baselines, published, metrics)
    yield "confusions", plot_confusions(config, worms, groups, decoded)
    for name, output in decoded.items():
        if name in config.models:
            yield f"ethogram_{name}", plot_ethogram(name, config, worms, groups, output)
        if output.edges is not None and name not in chance:
            yield f"graph_{name}", plot_graph(name, worms.test_dataset, groups, output)
    if cross:
        yield from plot_transfer(worms, config.data.trace_weight)


def plot_confusions(config, worms: Materials, groups, decoded) -> Figure:
    """Plot each model's confusion over all test worms, after training on the largest number of worms."""
    dataset = worms.test_dataset
    chosen = largest_groups(groups)
    tested = test_labels(config, dataset, groups)
    matrices = {}
    for name, output in decoded.items():
        total = np.zeros((len(dataset.state_names),) * 2, int)
        for index in chosen:
            states = scored_states(dataset, tested, groups[index].seed)
            for worm in groups[index].split.test:
                stretches = dataset.stretches_of(worm)
                probabilities = output.probabilities[index, stretches].reshape(-1, len(dataset.state_names))
                total += confusion(probabilities, states[stretches].reshape(-1), len(dataset.state_names))
        matrices[name] = total
    return figures.plot_confusions(matrices, dataset.state_names)


def plot_ethogram(name, config, worms: Materials, groups, decoded: Decoded) -> Figure:
    """Plot the ethogram of the first test worm, after training on the largest number of worms."""
    dataset = worms.test_dataset
    index = largest_groups(groups)[-1]
    group = groups[index]
    worm = group.split.test[0]
    stretches = dataset.stretches_of(worm)
    valid = dataset.arrays.valid[stretches]
    states = scored_states(dataset, test_labels(config, dataset, groups), group.seed)[stretches][valid]
    probabilities = decoded.probabilities[index, stretches][valid]
    scored = states != UNSCORED
    accuracy = (probabilities.argmax(-1) == states)[scored].mean() if scored.any() else float("nan")
    trained = f"trained on {len(group.split.train)} other worm{'s' * (len(group.split.train) > 1)}"
    if config.protocol.name == "same_worm":
        trained = "trained on other frames of this worm"
    traces = None
    if dataset.feature_names[0] == "trace":
        traces = dataset.arrays.features[stretches][valid][..., 0] / config.data.trace_weight
    return figures.plot_ethogram(
        dataset.times[stretches][valid],
        states,
        probabilities,
        dataset.state_names,
        f"{spell_name(name)}: {shorten_worm(dataset.worms[worm])}, {trained}, accuracy {accuracy:.3f}",
        traces,
        dataset.neuron_names,
    )


def plot_graph(name, dataset: Dataset, groups, decoded: Decoded) -> Figure:
    """Plot the probability of an edge (any type but the first, "no edge"), the mean over held-out worms."""
    by_worm = average_edges(dataset, groups, decoded)
    title = f"{spell_name(name)}: inferred graph, mean over {len(by_worm)} held-out worms and all runs"
    names = dataset.neuron_names
    return figures.plot_graph(by_worm.mean(axis=0), names, title, worm_probabilities=by_worm)


def plot_transfer(worms: Materials, trace_weight: float) -> NamedFigures:
    """Yield a figure of each neuron's AUROC by level and by change in both studies, where there are both.

    The example is a neuron whose level differs most between the studies while its change is informative in both.
    """
    datasets = {d.study: d for d in (worms.dataset, worms.test_dataset)}
    names = worms.dataset.feature_names
    changes = [k for k, name in enumerate(names) if "derivative" in name]
    if len(datasets) != 2 or "trace" not in names or not changes:
        return
    level, change = names.index("trace"), changes[len(changes) // 2]
    tables = {
        feature: {study: neuron_aurocs(d, feature) for study, d in datasets.items()} for feature in (level, change)
    }
    levels, moves = (np.array([np.nanmean(tables[k][study], axis=0) for study in datasets]) for k in (level, change))
    neuron = int(np.nanargmax(np.abs(np.diff(levels, axis=0))[0] * np.abs(moves - 0.5).mean(axis=0)))
    shown = (
        {study: values_by_state(d, neuron, level, 1 / trace_weight) for study, d in datasets.items()},
        {study: values_by_state(d, neuron, change) for study, d in datasets.items()},
    )
    neurons = worms.dataset.neuron_names
    yield "transfer", figures.plot_transfer(tables[level], tables[change], neurons, neurons[neuron], *shown)


def neuron_aurocs(dataset: Dataset, feature: int) -> np.ndarray:
    """Return the AUROC [worm, neuron] of one feature for reverse (0) against forward (1); NaN where undefined."""
    table = np.full((len(dataset.worms), len(dataset.neuron_names)), np.nan)
    for worm in range(len(dataset.worms)):
        stretches = dataset.stretches_of(worm)
        states = dataset.scored_states[stretches].reshape(-1)
        used = np.isin(states, (0, 1))
        if len(np.unique(states[used])) < 2:
            continue
        values = dataset.arrays.features[stretches][..., feature].reshape(len(states), -1)[used]
        for neuron in range(values.shape[1]):
            scores = np.stack([values[:, neuron], -values[:, neuron]], axis=1)
            table[worm, neuron] = measure_auroc(scores, states[used])
    return table


def values_by_state(dataset: Dataset, neuron: int, feature: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    """Return state → one neuron's values of one feature, all worms together."""
    values = dataset.arrays.features[:, :, neuron, feature] * scale
    return {name: values[dataset.scored_states == k] for k, name in enumerate(dataset.state_names[:2])}


def largest_groups(groups: Sequence[Group]) -> list[int]:
    """Return the groups that have a test worm and trained on the largest number of worms."""
    counts = [len(group.split.train) if group.split.test else 0 for group in groups]
    return [k for k, count in enumerate(counts) if count == max(counts)]


def scored_states(dataset: Dataset, tested, seed: int) -> np.ndarray:
    """Return the states to be scored [stretch, frame] in the test of one seed."""
    return dataset.scored_states if tested is None else np.where(tested[seed], dataset.scored_states, UNSCORED)


def shorten_worm(name: str, length: int = 28) -> str:
    """Return a worm's name, cut where it would not fit a figure's title."""
    return name if len(name) <= length else name[: length - 1] + "…"
