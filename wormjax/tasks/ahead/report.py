"""The report of an `ahead` experiment: results.csv, summary.md and figures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from wormjax import figures, graphs
from wormjax.baselines.loops import LoopModel
from wormjax.features.dataset import Dataset
from wormjax.figures.names import spell_name
from wormjax.figures.style import NamedFigures, save_figures
from wormjax.scoring.intervals import find_range
from wormjax.scoring.markdown import write_markdown
from wormjax.scoring.rows import Row, write_rows
from wormjax.scoring.tables import WORMS, Form, Table, collect_tables, format_console, format_sections, is_lower_better
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead import tables as ahead_tables
from wormjax.tasks.worms import Materials, format_materials

FIGURE_LABELS = {"nll": "negative log-likelihood (nats)", "balanced_accuracy": "balanced accuracy"}


def write_report(config, worms: Materials, rows: list[Row], outputs, workdir: Path) -> None:
    """Write rows, summary and figures into the workdir of an experiment, and print the summary."""
    seconds = tuple(config.ahead.seconds)
    parts = ahead_tables.ALONE, ahead_tables.GIVEN
    tables = collect_tables(rows, part=lambda row: parts[knows_state(config, row.model)])
    write_rows(workdir / "results.csv", rows)
    rivals, form = (simple.DIFFUSION, simple.DWELL, simple.DWELL + simple.KNOWN), Form(config.baselines, spread=WORMS)
    sections = ahead_tables.list_sections(tables, seconds, simple.SIMPLE, rivals)
    lines = ["# The motor state to come", "", ahead_tables.EXPLANATION, *format_sections(sections, form)]
    write_markdown(workdir / "summary.md", lines, "\n".join(format_materials(worms)))
    save_figures(workdir, plot_skill(config, tables))
    save_figures(workdir, plot_graphs(config, worms.test_dataset, outputs))
    most = max(table.train_count for table in tables)
    last = [one for table, one in zip(tables, sections, strict=True) if table.train_count == most]
    print("\n".join(format_console(last, form)))


def knows_state(config, model: str) -> bool:
    """Return whether a model or baseline is given the motor state so far."""
    base = config.model[model].base if model in config.models else model
    return base.endswith(simple.KNOWN)


def plot_skill(config, tables: Sequence[Table]) -> NamedFigures:
    """Yield the skill by horizon after training on the most worms, with and without the motor state so far."""
    seconds, most = tuple(config.ahead.seconds), max(table.train_count for table in tables)
    for table in tables:
        for kind, label in FIGURE_LABELS.items():
            values = ahead_tables.collect_by_worm(table, kind, seconds) if table.train_count == most else {}
            if values:
                candidates = tuple(name for name in simple.SIMPLE if name in values)
                lower, title = is_lower_better(kind), table.describe()
                arguments = label, config.baselines, candidates, lower, title, find_range(kind)
                figure = figures.plot_skill_by_horizon(values, seconds, *arguments)
                yield f"skill_{kind}{simple.KNOWN if table.part == ahead_tables.GIVEN else ''}", figure


def plot_graphs(config, dataset: Dataset, outputs) -> NamedFigures:
    """Yield the graph that each network infers, the mean over held-out worms."""
    neurons = len(dataset.neuron_names)
    for name in config.models:
        edges = [output.edges for output in outputs if output.model == name and output.edges is not None]
        if edges:
            present = graphs.edges_to_matrix(1.0 - np.concatenate(edges)[..., 0].mean(axis=0), neurons)
            title = f"{spell_name(name)}: inferred graph, mean over forecast origins in held-out worms"
            yield f"graph_{name}", figures.plot_graph(present, dataset.neuron_names, title)


def plot_loops(model: LoopModel, fit: dict, dataset: Dataset, states: np.ndarray, title: str) -> NamedFigures:
    """Yield the (loop, phase) model's transitions sorted by phase, and its trajectory by phase, loop and state.

    `fit` is what was kept of the model, `states` the motor state of each of its frames.
    """
    parts = model.transitions, model.loop_of_state, model.phase_of_state, fit["shares"]
    yield "phase_transitions", figures.plot_phase_transitions(*parts, dataset.state_names, title)
    places = PCA(3, random_state=0).fit_transform(model.places.places)
    breaks = np.cumsum(fit["lengths"])[:-1]
    parts = places, model.phase, model.loop, states, dataset.state_names
    yield "phase_portrait", figures.plot_phase_portrait(*parts, title, breaks, 1.0 / dataset.frame_rate)
