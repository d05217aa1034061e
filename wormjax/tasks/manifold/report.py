"""The report of a `manifold` experiment: results.csv, summary.md and figures."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from wormjax import figures
from wormjax.baselines.loops import fit_loops
from wormjax.features.dataset import Dataset
from wormjax.figures.style import NamedFigures, save_figures
from wormjax.scoring.graph_similarity import compare_scores
from wormjax.scoring.intervals import POSITIVE, SHARE
from wormjax.scoring.markdown import join_cells, start_table, to_markdown, write_markdown
from wormjax.scoring.rows import Row, write_rows
from wormjax.scoring.tables import WORMS, Column, Form, collect_tables, tabulate
from wormjax.simulation.two_cycles import label_cycles, simulate_two_cycles
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead.experiment import read_setting
from wormjax.tasks.ahead.report import knows_state, plot_loops
from wormjax.tasks.manifold import pca
from wormjax.tasks.manifold import relations as neuron_relations
from wormjax.tasks.manifold.sensitivity import Tried
from wormjax.tasks.protocols import Split

DECODING = ("accuracy", "balanced_accuracy", "nll")
FORECAST_STEPS = (1, 4, 8, 16)
INTRODUCTION = (
    "Mean over worms left out [95 % interval over worms], after training on the most worms. Decoding of the present "
    "state: the networks and linear baselines see frames before and after the present, the diffusion map only those "
    "before it. More tables of the motor state to come are in `ahead/summary.md`."
)


def write_report(
    config, tasks, dataset: Dataset, splits: Sequence[Split], rows: list[Row], findings: SimpleNamespace, workdir: Path
) -> None:
    """Write rows, summary and figures into the workdir of an experiment, and print the summary.

    `findings` are what the experiment found that is not a row.
    """
    lines = ["# Models of worm dynamics", "", *summarise(tasks, rows, findings)]
    write_rows(workdir / "results.csv", rows)
    write_markdown(workdir / "summary.md", lines)
    own = findings.worms, findings.components, findings.trajectories
    save_figures(workdir, pca.plot_components(config, *own, dataset.state_names))
    save_figures(workdir, plot_diffusion_map(dataset, splits, findings))
    save_figures(workdir, plot_sensitivity(config, tasks["ahead"], findings.sensitivity, rows))
    save_figures(workdir, plot_relations(dataset, findings))
    save_figures(workdir, [("toy_loops", plot_toy(config, tasks["ahead"], dataset))])
    print("\n" + "\n".join(lines).replace("\\_", "_"))


def summarise(tasks, rows: Sequence[Row], findings: SimpleNamespace) -> list[str]:
    """Return the lines of the summary, in Markdown."""
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
        parts += ["", f"## {title}", "", *to_markdown(tabulate_means(kept, metrics))]
    parts += ["", "## Principal components", "", *pca.tabulate_components(findings.components)]
    parts += ["", "## Loops", "", *tabulate_loops(findings)]
    return [*parts, "", "## Relations", "", *tabulate_relations(findings)]


def tabulate_means(rows: Sequence[Row], metrics: Sequence[str]) -> pd.DataFrame:
    """Return the texts of means by model with their intervals, of the models that have the first of the metrics."""
    most = max(len(row.train_worms) for row in rows)
    (table,) = collect_tables([row for row in rows if len(row.train_worms) == most])
    columns = [Column(metric, table, metric) for metric in metrics]
    return tabulate(columns, Form(spread=WORMS), models=table.rows.get(metrics[0], {}))


def tabulate_loops(findings: SimpleNamespace) -> list[str]:
    """Return the table of each split's (loop, phase) model."""
    lines = start_table(("trained on", "frames", "period, frames", "loops (share of frames)", "states"))
    for model, names in zip(findings.models, findings.trained, strict=True):
        shares = ", ".join(f"{share:.2f}" for share in np.bincount(model.loop) / len(model.loop))
        cells = ", ".join(names), len(model.loop), f"{model.period:.1f}", shares, len(model.loop_of_state)
        lines.append(join_cells(map(str, cells)))
    return lines


def tabulate_relations(findings: SimpleNamespace) -> list[str]:
    """Return the table of how many edges each method finds and how alike its graphs of two worms are.

    Edges between neurons of two different worms, which cannot be related, are counted beside those of one worm.
    """
    similarity = compare_scores(_list_scores(findings))
    titles = "graph", "edges with p ≤ 0.05", "between worms", "correlation of two worms' graphs"
    lines = start_table((*titles, "95 % of shuffled neurons"))
    for number, name in enumerate(similarity.methods):
        relation, false = findings.relations.get(name), findings.false_edges.get(name)
        cells = ["" if relation is None else f"{np.mean(relation.p_value <= 0.05):.2f}"]
        cells += ["" if false is None else f"{np.mean(false):.3f}", "", ""]
        if len(similarity.pairs):
            low, high = np.nanpercentile(similarity.across_null[:, number], [2.5, 97.5])
            cells[2:] = f"{np.nanmean(similarity.across[number]):.2f}", f"{low:.2f} to {high:.2f}"
        lines.append(join_cells([name, *cells]))
    return lines


def plot_diffusion_map(dataset: Dataset, splits: Sequence[Split], findings: SimpleNamespace) -> NamedFigures:
    """Yield figures of the (loop, phase) model of the last split of the most training worms."""
    number = max(range(len(splits)), key=lambda k: (len(splits[k].train), k))
    train, worms = splits[number].train, simple.gather_worms(dataset)
    states = np.concatenate([stretch.states for worm in train for stretch in worms[worm]])
    title = f"{dataset.study}: asymmetric diffusion map of {len(train)} worm{'s' if len(train) > 1 else ''}"
    fit = findings.fits[simple.DIFFUSION][f"split_{number}"]
    yield from plot_loops(findings.models[number], fit, dataset, states, title)


def plot_sensitivity(config, task, sensitivity: dict[str, list[Tried]], rows: Sequence[Row]) -> NamedFigures:
    """Yield decoding and prediction by the value of each parameter; the line is the dwell-time chain's."""
    if not sensitivity:
        return
    defaults = {name: task.diffusion_map[name] for name in sensitivity}
    metric = f"nll@{config.sensitivity.seconds:g}s"
    most = max(len(row.train_worms) for row in rows)
    chain = [row.value for row in rows if (row.model, row.metric, len(row.train_worms)) == (simple.DWELL, metric, most)]
    reference = (simple.DWELL, float(np.mean(chain))) if chain else None
    for field, label, level, limits in (
        ("decoding", "balanced accuracy of the present state", None, SHARE),
        ("nll", f"negative log-likelihood, {config.sensitivity.seconds:g} s ahead (nats)", reference, POSITIVE),
        ("loops", "loops found", None, POSITIVE),
    ):
        values = {name: [(one.value, getattr(one, field)) for one in some] for name, some in sensitivity.items()}
        title = f"{config.data.study}: asymmetric diffusion map, one parameter at a time"
        yield f"sensitivity_{field}", figures.plot_sensitivity(values, defaults, label, level, title, limits)


def plot_relations(dataset: Dataset, findings: SimpleNamespace) -> NamedFigures:
    """Yield the graphs of all methods, the networks' among them, and how alike they are."""
    graphs = {name: relation.edges for name, relation in findings.relations.items()} | findings.graphs
    scores = _list_scores(findings)
    title = f"{dataset.study}: relations between neurons, mean over {len(dataset.worms)} worms"
    correlations = neuron_relations.correlate_neurons(dataset)
    yield "relations", figures.plot_relations(graphs, dataset.neuron_names, title, scores, correlations)
    title = f"{dataset.study}: how alike the graphs are"
    yield "graph_similarity", figures.plot_graph_similarity(compare_scores(scores), title, "scores of edges")


def plot_toy(config, task, dataset: Dataset) -> Figure:
    """Plot the two-neuron toy of Brennan & Proekt: two limit cycles, found from one neuron."""
    toy = config.toy
    activity = np.asarray(simulate_two_cycles(jax.random.key(config.seed), frames=toy.frames))
    setting = read_setting(task, dataset)
    embedding = setting.embedding._replace(delays=toy.delays, delay_frames=toy.delay_frames)
    neighbourhood = setting.neighbourhood._replace(neighbours=toy.neighbours)
    model = fit_loops([activity[:, :1]], embedding, neighbourhood, setting.partition, config.seed)
    centred = model.places.places - model.places.places.mean(axis=0)
    places = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    cycles = label_cycles(activity)
    return figures.plot_toy_loops(activity[:, 0], activity[:, 1], places, model.loop, model.phase, cycles, 0.1)


def _list_scores(findings) -> dict[str, np.ndarray]:
    """Return every graph as one number per edge [worm, edge]: a relation's score, a network's probability."""
    scores = {name: relation.score for name, relation in findings.relations.items()}
    return scores | {name: 1.0 - edges[..., 0] for name, edges in findings.graphs.items()}
