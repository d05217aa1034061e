"""What a `manifold` experiment writes: results.csv, summary.md and figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from wormjax import figures
from wormjax.atomic_write import open_place
from wormjax.baselines.loops import LoopModel, fit_loops
from wormjax.baselines.relational_graphs import Relation
from wormjax.features.dataset import Dataset
from wormjax.scoring.graph_similarity import compare_scores
from wormjax.scoring.intervals import average_by_worm
from wormjax.scoring.rows import Row, write_rows
from wormjax.simulation.two_cycles import label_cycles, simulate_two_cycles
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead.experiment import read_setting
from wormjax.tasks.ahead.report import draw_loops, knows_state
from wormjax.tasks.manifold import pca as components
from wormjax.tasks.manifold import relations as neuron_relations
from wormjax.tasks.manifold.pca import Components, Worm
from wormjax.tasks.manifold.sensitivity import Tried
from wormjax.tasks.protocols import Split

DECODING = ("accuracy", "balanced_accuracy", "nll")
FORECAST_STEPS = (1, 4, 8, 16)
INTRODUCTION = (
    "Mean ± s.d. over worms left out, after training on the most worms. Decoding of the present state: the networks "
    "and linear baselines see frames on both sides of the present, the diffusion map those before it. The tables of "
    "the motor state to come, with intervals, are in `ahead/summary.md`."
)


class Findings(NamedTuple):
    """All that is not a row."""

    components: Components
    trajectories: dict
    worms: list[Worm]
    relations: dict[str, Relation]
    false_edges: dict[str, np.ndarray]
    graphs: dict[str, np.ndarray]
    sensitivity: dict[str, list[Tried]]
    models: list[LoopModel]
    trained: list[tuple[str, ...]]
    fits: dict


def write_report(config, tasks, dataset: Dataset, splits: Sequence[Split], rows: list[Row], findings, workdir: Path):
    """Writes rows, summary and figures into the workdir of an experiment, and prints the summary."""
    write_rows(workdir / "results.csv", rows)
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    lines = ["# Models of worm dynamics", "", *summarise(tasks, rows, findings)]
    with open_place(workdir / "summary.md") as beside:
        text = "\n".join([*lines, "", "## Config", "", "```", str(config).rstrip(), "```"])
        beside.write_text(text + "\n", encoding="utf-8")
    components.draw_components(config, findings.worms, findings.components, findings.trajectories, folder)
    draw_diffusion_map(tasks["ahead"], dataset, splits, findings, folder)
    draw_sensitivity(config, tasks["ahead"], findings.sensitivity, rows, folder)
    draw_relations(dataset, findings, folder)
    draw_toy(config, tasks["ahead"], dataset, folder)
    print("\n" + "\n".join(lines))
    print(f"\nRows: {workdir / 'results.csv'}\nSummary: {workdir / 'summary.md'}\nFigures: {folder}")


def summarise(tasks, rows: Sequence[Row], findings: Findings) -> list[str]:
    """The lines of the summary, in Markdown."""
    scored = tuple(tasks["forecast"].forecast.scored)
    steps = [step for step in FORECAST_STEPS if step in scored] or scored
    forecast = tuple(f"mse@{step}" for step in steps)
    ahead = tuple(f"nll@{one:g}s" for one in tasks["ahead"].ahead.seconds)
    parts = [INTRODUCTION]
    alone = [row for row in rows if not knows_state(tasks["ahead"], row.model)]
    for title, metrics, kept in (
        ("The present motor state, decoded", DECODING, rows),
        ("The motor state to come: negative log-likelihood, nats, from neurons alone", ahead, alone),
        ("The neurons to come: mean squared error by step", forecast, rows),
    ):
        parts += ["", f"## {title}", "", *tabulate(kept, metrics)]
    parts += ["", "## Principal components", "", *components.tabulate_components(findings.components)]
    parts += ["", "## Loops", "", *tabulate_loops(findings)]
    return [*parts, "", "## Relations", "", *tabulate_relations(findings)]


def tabulate(rows: Sequence[Row], metrics: Sequence[str]) -> list[str]:
    """Mean ± s.d. over worms by model, of the models that have the first of the metrics."""
    most = max(len(row.train_worms) for row in rows)
    rows = [row for row in rows if len(row.train_worms) == most and row.metric in metrics]
    lines = ["| model | " + " | ".join(metrics) + " |", "| --- |" + " --- |" * len(metrics)]
    for model in dict.fromkeys(row.model for row in rows if row.metric == metrics[0]):
        cells = []
        for metric in metrics:
            values = list(average_by_worm(row for row in rows if (row.model, row.metric) == (model, metric)).values())
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}" if values else "")
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return lines


def tabulate_loops(findings: Findings) -> list[str]:
    """The (loop, phase) model of each split, in a line."""
    lines = ["| trained on | frames | period, frames | loops (share of frames) | states |", "|" + " --- |" * 5]
    for model, names in zip(findings.models, findings.trained, strict=True):
        shares = ", ".join(f"{share:.2f}" for share in np.bincount(model.loop) / len(model.loop))
        cells = [", ".join(names), str(len(model.loop)), f"{model.period:.1f}", shares, str(len(model.loop_of_state))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def tabulate_relations(findings: Findings) -> list[str]:
    """How many edges each method finds, among neurons of one worm and of two, which cannot be related; and how alike
    its graphs of two worms are.
    """
    similarity = compare_scores(_list_scores(findings))
    lines = [
        "| graph | edges with p ≤ 0.05 | between worms | correlation of two worms' graphs | 95 % of shuffled neurons |",
        "|" + " --- |" * 5,
    ]
    for number, name in enumerate(similarity.methods):
        relation = findings.relations.get(name)
        false = findings.false_edges.get(name)
        found = "" if relation is None else f"{np.mean(relation.p_value <= 0.05):.2f}"
        found += " | " if false is None else f" | {np.mean(false):.3f}"
        if not len(similarity.pairs):
            lines.append(f"| {name} | {found} | | |")
            continue
        low, high = np.nanpercentile(similarity.across_null[:, number], [2.5, 97.5])
        lines.append(f"| {name} | {found} | {np.nanmean(similarity.across[number]):.2f} | {low:.2f} to {high:.2f} |")
    return lines


def draw_diffusion_map(task, dataset: Dataset, splits: Sequence[Split], findings: Findings, folder: Path):
    """The (loop, phase) model of the last split of the most training worms."""
    number = max(range(len(splits)), key=lambda k: (len(splits[k].train), k))
    train, worms = splits[number].train, simple.gather_worms(dataset)
    states = np.concatenate([stretch.states for worm in train for stretch in worms[worm]])
    title = f"{dataset.study}: asymmetric diffusion map of {len(train)} worm{'s' if len(train) > 1 else ''}"
    fit = findings.fits[simple.DIFFUSION][f"split_{number}"]
    draw_loops(findings.models[number], fit, dataset, states, folder, title)


def draw_sensitivity(config, task, sensitivity: dict[str, list[Tried]], rows: Sequence[Row], folder: Path):
    """Decoding and prediction by the value of each parameter; the line is the dwell-time chain's."""
    if not sensitivity:
        return
    defaults = {name: task.diffusion_map[name] for name in sensitivity}
    metric = f"nll@{config.sensitivity.seconds:g}s"
    most = max(len(row.train_worms) for row in rows)
    chain = [row.value for row in rows if (row.model, row.metric, len(row.train_worms)) == (simple.DWELL, metric, most)]
    reference = (simple.DWELL, float(np.mean(chain))) if chain else None
    for field, label, level in (
        ("decoding", "balanced accuracy, present", None),
        ("nll", f"nats, state {config.sensitivity.seconds:g} s ahead", reference),
        ("loops", "loops found", None),
    ):
        values = {name: [(one.value, getattr(one, field)) for one in some] for name, some in sensitivity.items()}
        title = f"{config.data.study}: asymmetric diffusion map, one parameter at a time"
        figures.plot_sensitivity(values, defaults, folder / f"sensitivity_{field}.png", label, level, title)


def draw_relations(dataset: Dataset, findings: Findings, folder: Path):
    """The graphs of all methods, the networks' among them, and how alike they are."""
    graphs = {name: relation.edges for name, relation in findings.relations.items()} | findings.graphs
    scores = _list_scores(findings)
    title = f"{dataset.study}: relations between neurons, mean over {len(dataset.worms)} worms"
    correlations = neuron_relations.correlate_neurons(dataset)
    figures.plot_relations(graphs, dataset.neuron_names, folder / "relations.png", title, scores, correlations)
    title = f"{dataset.study}: how alike the graphs are"
    similarity = compare_scores(scores)
    figures.plot_graph_similarity(similarity, folder / "graph_similarity.png", title, "scores of edges")


def draw_toy(config, task, dataset: Dataset, folder: Path):
    """The two-neuron toy of Brennan & Proekt: two limit cycles, found from one neuron."""
    toy = config.toy
    activity = np.asarray(simulate_two_cycles(jax.random.key(config.seed), frames=toy.frames))
    setting = read_setting(task, dataset)
    embedding = setting.embedding._replace(delays=toy.delays, delay_frames=toy.delay_frames)
    neighbourhood = setting.neighbourhood._replace(neighbours=toy.neighbours)
    model = fit_loops([activity[:, :1]], embedding, neighbourhood, setting.partition, config.seed)
    centred = model.places.places - model.places.places.mean(axis=0)
    places = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    cycles = label_cycles(activity)
    path = folder / "toy_loops.png"
    figures.plot_toy_loops(activity[:, 0], activity[:, 1], places, model.loop, model.phase, cycles, path, 0.1)


def _list_scores(findings) -> dict[str, np.ndarray]:
    """Every graph as one number an edge [worm, edge]: a relation's score, a network's probability of an edge."""
    scores = {name: relation.score for name, relation in findings.relations.items()}
    return scores | {name: 1.0 - edges[..., 0] for name, edges in findings.graphs.items()}
