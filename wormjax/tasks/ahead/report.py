"""What an `ahead` experiment writes: results.csv, summary.md and figures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from wormjax import figures, graphs
from wormjax.baselines.loops import LoopModel
from wormjax.features.dataset import Dataset
from wormjax.scoring.rows import Row, write_rows
from wormjax.tasks.ahead import baselines as simple
from wormjax.tasks.ahead import tables as ahead_tables

FIGURE_LABELS = {"nll": "negative log-likelihood, nats", "balanced_accuracy": "balanced accuracy"}


def write_report(config, materials, rows: list[Row], outputs, workdir: Path):
    """Writes rows, summary and figures into the workdir of an experiment, and prints the summary."""
    write_rows(workdir / "results.csv", rows)
    seconds = tuple(config.ahead.seconds)
    tables = ahead_tables.collect_tables(rows, lambda model: knows_state(config, model))
    rivals = (simple.DIFFUSION, simple.DWELL, simple.DWELL + simple.KNOWN)
    ahead_tables.write_summary(
        workdir / "summary.md", tables, seconds, simple.SIMPLE, config.baselines, rivals, str(config)
    )
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    draw_skill(config, tables, folder)
    draw_graphs(config, materials.test_dataset, outputs, folder)
    print("\n".join(ahead_tables.format_console(tables, seconds, config.baselines)))
    print(f"\nRows: {workdir / 'results.csv'}\nSummary: {workdir / 'summary.md'}\nFigures: {folder}")


def knows_state(config, model: str) -> bool:
    """Whether a model or baseline is given the motor state so far."""
    base = config.model[model].base if model in config.models else model
    return base.endswith(simple.KNOWN)


def draw_skill(config, tables: Sequence[ahead_tables.Table], folder: Path):
    """Skill by horizon after training on the most worms, for either state of knowledge."""
    seconds, most = tuple(config.ahead.seconds), max(table.train_count for table in tables)
    for table in tables:
        if table.train_count != most:
            continue
        for kind, label in FIGURE_LABELS.items():
            values = ahead_tables.collect_by_worm(table, kind, seconds)
            if not values:
                continue
            path = folder / f"skill_{kind}{simple.KNOWN if table.given else ''}.png"
            lower = ahead_tables.LOWER_IS_BETTER[kind]
            title = ahead_tables.describe_table(table)
            candidates = tuple(name for name in simple.SIMPLE if name in values)
            figures.plot_skill_by_horizon(
                values, np.asarray(seconds), path, label, tuple(config.baselines), candidates, lower, title
            )


def draw_graphs(config, dataset: Dataset, outputs, folder: Path):
    """The graph that each network infers, mean over worms that its runs had not seen."""
    neurons = len(dataset.neuron_names)
    for name in config.models:
        edges = [output.edges for output in outputs if output.model == name and output.edges is not None]
        if edges:
            present = graphs.edges_to_matrix(1.0 - np.concatenate(edges)[..., 0].mean(axis=0), neurons)
            title = f"{name}: inferred graph, mean over starts in worms that its runs had not seen"
            figures.plot_graph(present, dataset.neuron_names, folder / f"graph_{name}.png", title)


def draw_loops(model: LoopModel, fit: dict, dataset: Dataset, states: np.ndarray, folder: Path, title: str):
    """The (loop, phase) model: its transitions sorted by phase, and its worms' trajectory by phase, loop and state.

    Args:
      model: of some training worms.
      fit: what was kept of it (`fit_diffusion_map`).
      dataset: whose names are used.
      states: motor state of each of the model's frames.
      folder: for the figures.
      title: what it was made from.
    """
    figures.plot_phase_transitions(
        model.transitions,
        model.loop_of_state,
        model.phase_of_state,
        fit["shares"],
        dataset.state_names,
        folder / "phase_transitions.png",
        title,
    )
    places = PCA(3, random_state=0).fit_transform(model.places.places)
    breaks = np.cumsum(fit["lengths"])[:-1]
    figures.plot_phase_portrait(
        places,
        model.phase,
        model.loop,
        states,
        dataset.state_names,
        folder / "phase_portrait.png",
        title,
        breaks,
        1.0 / dataset.frame_rate,
    )
