"""The report of a `relate` experiment: tables, graphs as edge lists, GraphML and matrices, and figures."""

from collections.abc import Sequence
from pathlib import Path

import networkx
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from wormjax import connectome, figures
from wormjax.atomic_write import open_place
from wormjax.baselines import consensus
from wormjax.baselines.worm_relations import RESPONSE
from wormjax.features.dataset import Dataset
from wormjax.figures.names import spell_name
from wormjax.figures.style import NamedFigures, save_figures
from wormjax.recordings.names import split_neuron_name
from wormjax.scoring.markdown import make_block, write_markdown
from wormjax.scoring.rows import Row, write_rows
from wormjax.tasks.references import ATLAS
from wormjax.tasks.relate import tables
from wormjax.tasks.relate.networks import FORECASTER
from wormjax.tasks.relate.tables import BASELINE, CLASSES, Inferred, Study

LEVEL = 0.05  # A graph whose p-value against rewired references is above it is no better than chance.
CHANCE = f"No better than chance (rewired references, p > {LEVEL}), and so not drawn"
INTRODUCTION = (
    "Graphs between named neurons, from relations between their traces and from trained networks: one per worm, and "
    "their consensus. `graphs/` has each consensus as an edge list (sender, receiver, score, worms) and its strongest "
    "edges as GraphML; `graphs.npz` has all of them as matrices [sender, receiver]."
)


def write_report(
    config, dataset: Dataset, study: Study, inferred: Sequence[Inferred], findings: dict, workdir: Path
) -> list[Row]:
    """Write the report into a workdir, print the scores, and return the rows."""
    scores, agreement = findings["scores"], findings["agreement"]
    if ATLAS in study.references:
        measured = connectome.load("randi2023", config.references.atlas).matrix("response", study.names)
        known = study.references[ATLAS]
        chosen = [one for one in inferred if one.name in (BASELINE, "var", RESPONSE, FORECASTER, config.report.method)]
        responses = tables.score_responses(study, chosen, measured, known, config.nulls.draws)
        findings = {**findings, "responses": responses}
    rows = tables.list_rows(dataset.study, config.seed, scores, agreement)
    write_rows(workdir / "results.csv", rows)
    for name, frame in findings.items():
        with open_place(workdir / f"{name}.csv") as beside:
            frame.to_csv(beside, index=False)
    write_graphs(config, study, inferred, workdir)
    chance = find_chance(scores)
    lines = ["# Graphs between neurons", "", INTRODUCTION]
    if chance:
        lines += ["", f"**{CHANCE}: {', '.join(chance)}.**"]
    lines += [*tables.format_scores(scores), *tables.format_agreement(agreement)]
    if "responses" in findings:
        lines += tables.format_responses(findings["responses"])
    worms = f"{len(dataset.worms)} worms of {dataset.study}: {', '.join(dataset.worms)}"
    names = f"{len(study.names)} neurons: {', '.join(study.names)}"
    write_markdown(workdir / "summary.md", lines, f"{worms}\n{names}")
    save_figures(workdir, plot_figures(config, study, inferred, findings, config.report.method in chance))
    print_scores(scores)
    return rows


def find_chance(scores: pd.DataFrame) -> list[str]:
    """Return the methods that are no better than chance against any reference, however they are pooled."""
    lowest = scores.groupby("method", sort=False)["p_rewired"].min()
    return [str(name) for name, p_value in lowest.items() if p_value > LEVEL]


def write_graphs(config, study: Study, inferred: Sequence[Inferred], workdir: Path) -> None:
    """Write each method's consensus, shrunk to classes, with the number of worms that have each pair."""
    folder, matrices = workdir / "graphs", {}
    folder.mkdir(exist_ok=True)
    types = connectome.describe_neurons(study.names).set_index("neuron")
    for one in inferred:
        matrix, counts = study.pool(one.stack, one.class_worms), consensus.count_worms(one.stack)
        ends, names = np.nonzero(np.isfinite(matrix)), np.array(study.names)
        columns = {"sender": names[ends[0]], "receiver": names[ends[1]], "score": matrix[ends], "worms": counts[ends]}
        edges = pd.DataFrame(columns).sort_values("score", ascending=False, kind="stable")
        with open_place(folder / f"{one.name}.csv") as beside:
            edges.to_csv(beside, index=False)
        graph = networkx.DiGraph(method=one.name)
        graph.add_nodes_from(types.astype(str).to_dict("index").items())
        strongest = edges.head(config.report.edges).to_dict("records")
        graph.add_edges_from((edge.pop("sender"), edge.pop("receiver"), edge) for edge in strongest)
        with open_place(folder / f"{one.name}.graphml") as beside:
            networkx.write_graphml(graph, beside)
        matrices[one.name] = matrix
    counts = consensus.count_worms(inferred[0].stack)
    with open_place(workdir / "graphs.npz") as beside, open(beside, "wb") as file:
        np.savez_compressed(file, neuron_names=np.array(study.names), worms=counts, **matrices)


def plot_figures(config, study: Study, inferred: Sequence[Inferred], findings: dict, chance: bool) -> NamedFigures:
    """Yield the figures of a report; a graph by `chance` is not drawn."""
    drawn = next(one for one in inferred if one.name == config.report.method)
    yield "scores", figures.plot_graph_scores(findings["scores"], "Graphs against references, 95 % over neuron classes")
    if not chance:
        yield "graph_by_class", plot_consensus(study, drawn, is_directed(findings["scores"], drawn.name))
    graphs = {one.name: study.pool(one.stack, one.class_worms) for one in inferred}
    title = "Correlation of graphs: methods (shrunk to classes) and references"
    yield "agreement", figures.plot_graph_agreement({**graphs, **study.references}, title)
    if "amounts" in findings:
        yield "score_by_worms", figures.plot_graph_curves(findings["amounts"], "AUROC by the number of worms")
    if "responses" in findings:
        measured = connectome.load("randi2023", config.references.atlas).matrix("response", study.names)
        chosen = {
            name: graphs[name] for name in dict.fromkeys((FORECASTER, RESPONSE, BASELINE, drawn.name)) if name in graphs
        }
        title = "Measured responses to a driven neuron against predictions"
        yield "responses", figures.plot_responses(measured, chosen, study.references[ATLAS], title)


def plot_consensus(study: Study, drawn: Inferred, directed: bool) -> Figure:
    """Plot the consensus of a method by neuron class, the edges of the wiring dark."""
    graph = study.pool(drawn.stack, drawn.class_worms)
    classes, matrix = average_classes(study, graph if directed else (graph + graph.T) / 2)
    parts = [np.nan_to_num(known) for name, known in study.references.items() if name != ATLAS]
    known = average_classes(study, np.max(parts, axis=0))[1] if parts else None
    title = f"{spell_name(drawn.name)}: consensus by neuron class"
    types = [connectome.TYPES.get(name, "") for name in classes]
    return figures.plot_class_graph(matrix, classes, types, title, known)


def is_directed(scores: pd.DataFrame, method: str) -> bool:
    """Return whether the interval of a method's direction lies above a half; without that, arrows have no heads."""
    own = scores[(scores["method"] == method) & (scores["pooling"] == CLASSES)]
    return bool((own.get("direction_low", pd.Series(dtype=float)) > 0.5).any())


def average_classes(study: Study, matrix) -> tuple[list[str], np.ndarray]:
    """Return the names of the classes, and the mean of a matrix over the pairs of each two; NaN where there is none."""
    names = sorted({split_neuron_name(name)[0] for name in study.names})
    counts = consensus.sum_classes(np.isfinite(matrix), study.classes)
    sums = consensus.sum_classes(np.nan_to_num(matrix), study.classes)
    return names, np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def print_scores(scores: pd.DataFrame) -> None:
    """Print the AUROC of every method and reference."""
    names = [tables.name_method(*pair) for pair in zip(scores["method"], scores["pooling"], strict=True)]
    areas = scores.assign(name=names).pivot_table("auroc", "name", "reference", sort=False)
    title = "AUROC over ordered pairs of neurons; + classes: shrunk to neuron classes"
    print("\n".join(make_block(title, areas.map("{:.3f}".format).rename_axis(index=None, columns=None))))
    if chance := find_chance(scores):
        print(f"{CHANCE}: {', '.join(chance)}")
