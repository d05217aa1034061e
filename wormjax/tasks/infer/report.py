"""The report of an `infer` experiment: results.csv, summary.md and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from wormjax import figures
from wormjax.atomic_write import open_place
from wormjax.baselines.horizon_regression import number_kinds
from wormjax.baselines.relations import correlate
from wormjax.features.system_scaling import Scaling
from wormjax.figures.moving_objects import choose_plane, save_moving_picture
from wormjax.figures.style import NamedFigures, save_figures
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.edge_groups import contrast_edges, find_links, find_phase, measure_phase_share
from wormjax.scoring.edges import confusion, pair_frames
from wormjax.scoring.published import PublishedResult, find_published_directions, find_published_systems
from wormjax.scoring.rows import Row, write_rows
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.infer.materials import find_edges, find_pairs, find_truth, name_types
from wormjax.tasks.infer.outputs import Inference
from wormjax.tasks.infer.relations import arrange_edges
from wormjax.tasks.infer.tables import format_systems_summary, write_systems_summary

LOCATION = ("x", "y")
MOST_CLEAR = 20  # Objects.
DRAWN = 4  # Test systems in a figure.
DRAWN_MODELS = ("nri", "dnri", "nri_true_graph", "lstm")  # Whose predictions are drawn over true trajectories.
AXES = ("x", "y", "z")
PANELS = 4
GROUPS_FILE, PICTURE_FILE = "edge_groups.csv", "predicted.gif"
MOST_KINDS = 4  # Kinds of objects with a colour each.
Outputs = Mapping[str, Inference]  # By model.


def write_report(
    config, rows: list[Row], outputs: Outputs, errors, test: Trajectories, scaling: Scaling, study: str, workdir: Path
) -> None:
    """Write rows, summary and figures into the workdir of an experiment, and print the summary.

    `outputs`: model → its output, edge types matched to the true ones; `errors`: baseline → mean squared error by step;
    `study`: what rows call the test systems, which are scaled.
    """
    published = find_published(config, test, study)
    write_rows(workdir / "results.csv", rows)
    write_systems_summary(workdir / "summary.md", rows, published=published)
    save_figures(workdir, plot_figures(config, outputs, errors, test, published))
    nri, units = outputs.get("nri"), (scaling.high - scaling.low) / 2
    static = nri is not None and nri.test_edges is not None and nri.test_edges[0].ndim == 3
    if static and not nri.named and find_places(test) is not None:
        write_edge_groups(workdir, nri, test, config.data.frames, units)
        save_figures(workdir, plot_relation_figures(config, outputs, test, units, workdir))
    print("\n".join(format_systems_summary(rows)))


def find_published(config, test: Trajectories, study: str) -> Sequence[PublishedResult]:
    """Return the published numbers where these systems are simulated as in the publication."""
    if test.sample_names:  # Subjects.
        return find_published_directions(study)
    simulation = config.data.simulation
    if simulation.get("noise", 0.0) or config.data.frames != 49:
        return ()
    if simulation.get("directed", False):
        return find_published_directions(study)
    return find_published_systems(study, len(test.edge_types))


def plot_figures(config, outputs, errors, test: Trajectories, published) -> NamedFigures:
    """Yield all figures for which there are data, of the first seed where one is drawn."""
    true, history = find_edges(test, config.data.frames), config.data.frames
    inferred = {name: output.test_edges for name, output in outputs.items() if output.test_edges is not None}
    predicted = {name: output.predicted for name, output in outputs.items() if output.predicted is not None}
    known, names = bool((true >= 0).any()), test.edge_types
    if known and inferred and all(output.named for output in outputs.values()):
        counts = {name: sum(confusion(*pair_frames(run, true)) for run in edges) for name, edges in inferred.items()}
        yield "confusions", figures.plot_confusions(counts, test.edge_types, "type", "edge", "inferred")
    # A graph of many objects cannot be read; `plot_relation_figures` draws those that have places in space.
    clear = known or test.features.shape[2] <= MOST_CLEAR
    if clear and "nri" in inferred and inferred["nri"][0].ndim == 3 and true.ndim == 2:
        positions = _select(test.features, test.feature_names, LOCATION)
        drawn = choose_drawn(test)
        positions = None if positions is None else positions[drawn, 0]
        edges = inferred["nri"][0] * find_pairs(test.present)[..., None]
        if not (known and outputs["nri"].named):
            true = np.full_like(true, UNSCORED)
            names = name_types(config, names if outputs["nri"].named else (), edges.shape[-1])
        yield "graphs", figures.plot_inferred_graphs(true[drawn], edges[drawn], positions, names)
    if known and test.sample_names and true.ndim == 2:
        yield "matrices", plot_matrices(outputs, test, history)
    changing = {name: edges[0][0] for name, edges in inferred.items() if edges[0].ndim == 4}
    if changing and true.ndim == 3 and all(output.named for output in outputs.values()):
        yield "changes", figures.plot_changing_edges(true[0, :-1], changing, test.frame_interval)
    if predicted:
        features = find_truth(config, test)
        by_step = {name: _average_errors(values, features, history) for name, values in predicted.items()}
        yield "roll_out_error", figures.plot_roll_out_error(by_step | dict(errors), published)
        if clear and any(name in predicted for name in DRAWN_MODELS):
            yield "trajectories", plot_trajectories(test, predicted, history)


def plot_matrices(outputs: Mapping[str, Inference], test: Trajectories, history: int) -> Figure:
    """Plot the edges of the first test system: the true ones, what each model infers, and |correlation|."""
    objects = test.features.shape[2]
    scores = {
        name: 1.0 - arrange_edges(output.test_edges[0][:1], objects)[0, ..., 0]
        for name, output in outputs.items()
        if output.test_edges is not None
    }
    correlation = correlate(np.asarray(test.features)[:1, :history])
    scores["|correlation|"] = arrange_edges(np.abs(correlation)[..., None], objects)[0, ..., 0]
    title = f"Edges of {test.sample_names[0].replace('_', ' ')}; dots: true edges"
    return figures.plot_edge_matrices(np.asarray(test.edges)[0] > 0, scores, test.object_names, title)


def choose_drawn(test: Trajectories) -> np.ndarray:
    """Return the numbers of the test systems to draw, spread out, since neighbouring windows are alike."""
    count = len(test.features)
    return np.unique(np.linspace(0, count - 1, min(DRAWN, count)).astype(int))


def plot_trajectories(test: Trajectories, predicted: Mapping[str, np.ndarray], history: int) -> Figure:
    """Plot predictions over the true course of some test systems: in the plane, else the second feature over time."""
    drawn = choose_drawn(test)
    shown = {name: predicted[name][0, drawn] for name in DRAWN_MODELS if name in predicted}
    steps = next(iter(shown.values())).shape[1]
    features = np.asarray(test.features)[drawn]
    past, future = features[:, :history], features[:, history : history + steps]
    if _select(features, test.feature_names, LOCATION) is not None:
        planes = {name: _select(values, test.feature_names, LOCATION) for name, values in shown.items()}
        parts = (_select(part, test.feature_names, LOCATION) for part in (past, future))
        return figures.plot_trajectories(*parts, planes)
    number = min(1, features.shape[-1] - 1)
    signals = {name: values[..., number] for name, values in shown.items()}
    name, interval = test.feature_names[number], test.frame_interval
    return figures.plot_signals(past[..., number], future[..., number], signals, name, interval)


def _average_errors(predicted, features, history) -> Float[np.ndarray, "run step"]:
    future = features[:, history : history + predicted.shape[2]]
    return np.nanmean((predicted - future) ** 2, axis=(1, 3, 4))


def _select(features, names, wanted):
    """Return the wanted features in their order; None where one is not there."""
    if any(name not in names for name in wanted):
        return None
    return np.asarray(features)[..., [names.index(name) for name in wanted]]


def find_places(test: Trajectories) -> tuple[Float[np.ndarray, "window frame object axis"], tuple[str, ...]] | None:
    """Return where objects are, and the names of the axes; None where features are no locations."""
    axes = [name for name in AXES if name in test.feature_names]
    if len(axes) < 2:
        return None
    return np.asarray(test.features)[..., [test.feature_names.index(name) for name in axes]], tuple(axes)


def average_edges(output: Inference, objects: int) -> Float[np.ndarray, "window sender receiver"]:
    """Return the probability of any edge but the first type, the mean over runs."""
    return 1.0 - arrange_edges(np.mean(output.test_edges, axis=0), objects)[..., 0]


def write_edge_groups(
    workdir: Path, output: Inference, test: Trajectories, history: int, units: Float[np.ndarray, " feature"]
) -> None:
    """Write `edge_groups.csv`: how edges depend on distance, kind and phase, for systems that have locations."""
    places, axes = find_places(test)
    places = places[:, history - 1] * units[[test.feature_names.index(name) for name in axes]]
    kinds = [name.rstrip("0123456789") for name in test.object_names] or [""] * places.shape[1]
    links, edges = find_links(places), average_edges(output, places.shape[1])
    table = contrast_edges(edges, places, kinds, links)
    if len(links):
        share = measure_phase_share(edges, find_phase(places))
        row = pd.DataFrame([{"group": "phase", "pairs": edges.size, "explained": share}])
        table = pd.concat([table, row], ignore_index=True)
    with open_place(workdir / GROUPS_FILE) as beside:
        table.to_csv(beside, index=False)


def plot_relation_figures(
    config, outputs: Mapping[str, Inference], test: Trajectories, units: Float[np.ndarray, " feature"], workdir: Path
) -> NamedFigures:
    """Yield the inferred edges of some test systems in space, and write a moving picture of the predictions."""
    (places, axes), history = find_places(test), config.data.frames
    numbers = [test.feature_names.index(name) for name in axes]
    places = places * units[numbers]  # From the middle of their range.
    links, plane = find_links(places[:, history - 1]), choose_plane(places[:, history - 1], axes)
    edges = average_edges(outputs["nri"], places.shape[2])
    seen = places[:, history - 1] - places[:, history - 1].mean(axis=1, keepdims=True)
    shown, kinds = places[:, history - 1], number_kinds(test.object_names, places.shape[2])
    if len(links):
        phase = find_phase(seen)
        quarters = [part for part in np.array_split(np.argsort(phase), PANELS) if len(part)]
        middle = [part[len(part) // 2] for part in quarters]
        chances = np.stack([edges[part].mean(axis=0) for part in quarters])
        shown, titles = seen[middle], [f"phase {phase[number]:.2f}" for number in middle]
        title = "Inferred edges over a stride, the mean over test windows"
    else:
        middle = np.unique(np.linspace(0, len(edges) - 1, PANELS).astype(int))
        shown, chances, titles = shown[middle], edges[middle], [f"window {number}" for number in middle]
        title = "Inferred edges of test windows"
    names = list(dict.fromkeys(name.rstrip("0123456789") for name in test.object_names))
    kind_names = names if 1 < len(names) <= MOST_KINDS else ()
    shown = shown[..., plane]
    box = None if len(links) else (2 * units[numbers])[plane]
    yield "relations", figures.plot_placed_edges(shown, chances, links, kinds, titles, kind_names, title, box)
    predicted = {
        name: (output.predicted[0, 0][..., numbers] * units[numbers])[..., plane]
        for name, output in outputs.items()
        if output.predicted is not None
    }
    if predicted:
        steps = next(iter(predicted.values())).shape[0]
        true = places[0, : history + steps][..., plane]
        save_moving_picture(workdir / "figures" / PICTURE_FILE, true, predicted, links, test.frame_interval)
