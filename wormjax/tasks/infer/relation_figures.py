"""What inferred edges depend on where the true graph is not known: a table, and pictures of moving objects."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from wormjax import figures
from wormjax.atomic_write import open_place
from wormjax.baselines.horizon_regression import number_kinds
from wormjax.figures.moving_objects import choose_plane, save_moving_picture
from wormjax.figures.style import NamedFigures
from wormjax.scoring.edge_groups import contrast_edges, find_links, find_phase, measure_phase_share
from wormjax.simulation.trajectories import Trajectories
from wormjax.tasks.infer.outputs import Inference
from wormjax.tasks.infer.relations import arrange_edges

AXES = ("x", "y", "z")
PANELS = 4
GROUPS_FILE, PICTURE_FILE = "edge_groups.csv", "predicted.gif"
MOST_KINDS = 4  # Kinds of objects with a colour each.


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
