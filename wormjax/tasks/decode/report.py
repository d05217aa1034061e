"""What an experiment writes: results.csv, summary.md and figures, all computed from rows and probabilities."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wormjax import figures, graphs
from wormjax.features.dataset import Dataset
from wormjax.figures.transfer import Example
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.classification import confusion, measure_auroc
from wormjax.scoring.published import find_published
from wormjax.scoring.rows import Row, write_rows
from wormjax.scoring.tables import print_summary, write_summary
from wormjax.tasks.decode.runs import Decoded, score_model, test_labels
from wormjax.tasks.groups import Group
from wormjax.tasks.worms import Materials
from wormjax.training.workdir import describe_dataset


def write_report(config, materials: Materials, groups, decoded: dict[str, Decoded], workdir: Path) -> list[Row]:
    """Writes the rows, the summary and the figures of an experiment into its workdir, and prints the summary."""
    description, dataset = describe_dataset(materials.dataset), materials.test_dataset
    rows = [
        row
        for name, output in decoded.items()
        for row in score_model(name, config, description, dataset, groups, output)
    ]
    write_rows(workdir / "results.csv", rows)
    published = find_published(materials.dataset.study, materials.test_dataset.study, config.data.states)
    write_summary(workdir / "summary.md", rows, config.baselines, str(config), published)
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    draw_figures(config, materials, groups, decoded, rows, published, folder)
    print_summary(rows, config.baselines)
    print(f"\nRows: {workdir / 'results.csv'}\nSummary: {workdir / 'summary.md'}\nFigures: {folder}")
    return rows


def draw_figures(config, materials, groups, decoded, rows, published, folder: Path):
    """All figures that the protocol has the material for."""
    cross = materials.test_dataset is not materials.dataset
    if any(row.unseen for row in rows):
        metrics = ("auroc", "balanced_accuracy") if cross else ("accuracy", "balanced_accuracy")
        path = folder / "accuracy_by_training_worms.png"
        figures.plot_accuracy_by_worms(rows, path, config.baselines, published, metrics)
    draw_confusions(config, materials, groups, decoded, folder / "confusions.png")
    for name in decoded:
        if name in config.models:
            draw_ethogram(name, config, materials, groups, decoded[name], folder / f"ethogram_{name}.png")
        if decoded[name].edges is not None:
            draw_graph(name, materials.test_dataset, groups, decoded[name], folder / f"graph_{name}.png")
    if cross:
        draw_transfer(materials, config.data.trace_weight, folder / "transfer.png")


def draw_confusions(config, materials, groups, decoded, path):
    """Each model's confusion over all test worms, after training on the largest number of worms."""
    dataset = materials.test_dataset
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
    figures.plot_confusions(matrices, dataset.state_names, path)


def draw_ethogram(name, config, materials, groups, decoded: Decoded, path):
    """The first test worm that the most worms were trained for."""
    dataset = materials.test_dataset
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
    figures.plot_ethogram(
        dataset.times[stretches][valid],
        states,
        probabilities,
        dataset.state_names,
        f"{name}: {shorten_worm(dataset.worms[worm])}, {trained}, accuracy {accuracy:.3f}",
        path,
        traces,
        dataset.neuron_names if traces is not None else None,
    )


def draw_graph(name, dataset: Dataset, groups, decoded: Decoded, path):
    """The probability of an edge (any type but the first, "no edge"), over worms that no run had seen."""
    neurons = len(dataset.neuron_names)
    present = graphs.edges_to_matrix(1.0 - decoded.edges[..., 0], neurons)
    by_worm = []
    for worm in range(len(dataset.worms)):
        unseen = [k for k, group in enumerate(groups) if worm in group.split.test]
        if unseen:
            by_worm.append(present[np.ix_(unseen, dataset.stretches_of(worm))].mean(axis=(0, 1)))
    mean = np.mean(by_worm, axis=0)
    title = f"{name}: inferred graph, mean over {len(by_worm)} worms and all runs that had not seen them"
    figures.plot_graph(mean, dataset.neuron_names, path, title, worm_probabilities=np.stack(by_worm))


def draw_transfer(materials: Materials, trace_weight: float, path):
    """Why levels fail where changes transfer: each neuron's AUROC by level and by change, in both studies.

    The example is a neuron whose level says different things in the two studies while its change says much in both.
    """
    datasets = {f"{d.study}": d for d in (materials.dataset, materials.test_dataset)}
    names = materials.dataset.feature_names
    changes = [k for k, name in enumerate(names) if "derivative" in name]
    if len(datasets) != 2 or "trace" not in names or not changes:
        return
    level, change = names.index("trace"), changes[len(changes) // 2]
    tables = {
        feature: {study: neuron_aurocs(d, feature) for study, d in datasets.items()} for feature in (level, change)
    }
    levels, moves = (np.array([np.nanmean(tables[k][study], axis=0) for study in datasets]) for k in (level, change))
    neuron = int(np.nanargmax(np.abs(np.diff(levels, axis=0))[0] * np.abs(moves - 0.5).mean(axis=0)))
    example = Example(
        materials.dataset.neuron_names[neuron],
        {study: values_by_state(d, neuron, level, 1 / trace_weight) for study, d in datasets.items()},
        {study: values_by_state(d, neuron, change) for study, d in datasets.items()},
    )
    figures.plot_transfer(tables[level], tables[change], materials.dataset.neuron_names, path, example)


def neuron_aurocs(dataset: Dataset, feature: int) -> np.ndarray:
    """AUROC [worm, neuron] of one feature for reverse (state 0) against forward (state 1); NaN where undefined."""
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
    """State's name → one neuron's values of one feature, all worms together."""
    values = dataset.arrays.features[:, :, neuron, feature] * scale
    return {name: values[dataset.scored_states == k] for k, name in enumerate(dataset.state_names[:2])}


def largest_groups(groups: Sequence[Group]) -> list[int]:
    """Indices of the groups that trained on the largest number of worms and have a worm to be tested on."""
    counts = [len(group.split.train) if group.split.test else 0 for group in groups]
    return [k for k, count in enumerate(counts) if count == max(counts)]


def scored_states(dataset: Dataset, tested, seed: int) -> np.ndarray:
    """States to be scored [stretch, frame] in the test of one seed."""
    return dataset.scored_states if tested is None else np.where(tested[seed], dataset.scored_states, UNSCORED)


def shorten_worm(name: str, length: int = 28) -> str:
    """A worm's name, cut where it would not fit a figure's title."""
    return name if len(name) <= length else name[: length - 1] + "…"
