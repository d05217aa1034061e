"""Graphs that a network is given: the wiring, the atlas, a learnt one, and what each of these is compared with.

A graph is 1 where there is an edge, whatever its weight. "none" and "complete" have no edge and all of them; "learnt"
has the pairs with the highest scores of `wormjax relate` in the frames that a run trains on, and in no others; a graph
that is rewired keeps how many edges each neuron sends and receives, and nothing else. `data.edges` gives one graph to
all networks of an experiment, with weights; `model.NAME.edges` gives one to each.
"""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from wormjax import connectome
from wormjax.baselines.consensus import choose_class_worms, number_classes, pool_worms
from wormjax.baselines.worm_relations import COMBINED, read_worms, relate
from wormjax.configs import neuron_graphs
from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset
from wormjax.features.edge_list import read_edges
from wormjax.graphs import mark_strongest
from wormjax.scoring.reference_graphs import rewire
from wormjax.training.runs import Runs

EDGES = "edges"  # A field of a section of `config.model`, which is none of the network's.
ANATOMICAL, ATLAS, LEARNT = ("chemical", "electrical", "both"), "atlas", "learnt"
EXPECTED = f"none, complete, {', '.join(ANATOMICAL)}, {ATLAS}, {LEARNT} or a CSV table of edges"
REWIRED = re.compile(r"(.+):rewired:(\d+)")


def load_edges(
    graph: str, names: Sequence[str], atlas: str = "", field: str = "edges"
) -> Float[np.ndarray, "sender receiver"]:
    """Return 1 for an edge between neurons, 0 for none.

    Args:
      graph: "none", "complete", "chemical", "electrical", "both" (Cook et al. 2019), "atlas" (responses with q < 0.05,
        Randi et al. 2023) or the path of a table of edges; followed by ":rewired:NUMBER", a draw of the same degrees.
      field: of the config, which errors name.

    Raises:
      InputError: a file that cannot be read, or one without an edge between these neurons.
    """
    if match := REWIRED.fullmatch(graph):
        return redraw(load_edges(match[1], names, atlas, field), int(match[2]))
    if graph in ("none", "complete"):
        edges = np.full((len(names), len(names)), float(graph == "complete"), np.float32)
    elif graph in ANATOMICAL:
        edges = np.nan_to_num(connectome.load("cook2019").matrix(graph, names))
    elif graph == ATLAS:
        if not atlas:
            raise ConfigError("data.atlas", "found none, expected the file of the atlas, whose graph a model is given")
        edges = np.nan_to_num(connectome.load("randi2023", atlas).matrix("significant", names))
    else:
        edges = np.abs(read_edges(graph, names, field, EXPECTED))
    edges = (edges > 0).astype(np.float32)
    np.fill_diagonal(edges, 0.0)
    return edges


def redraw(edges: Float[np.ndarray, "sender receiver"], number: int) -> Float[np.ndarray, "sender receiver"]:
    """Return a numbered draw of a graph with the same degrees."""
    pairs = ~np.eye(len(edges), dtype=bool)
    return np.nan_to_num(rewire(edges, pairs, np.random.default_rng(number))).astype(np.float32)


def learn_from_run(
    graph: str, dataset: Dataset, windows: Int[np.ndarray, "window 2"], frames: int
) -> Float[np.ndarray, "sender receiver"]:
    """Return the graph that the frames of a run's training windows imply, or a draw of its degrees.

    It has the pairs that score highest (*combined*, averaged within classes, by the defaults of `wormjax relate`), as
    many as have a gap junction among those that the worms have.
    """
    seen, names = np.zeros(dataset.arrays.valid.shape, bool), dataset.neuron_names
    for stretch, start in windows:
        seen[stretch, start : start + frames] = True
    worms, defaults, classes = read_worms(dataset, seen), neuron_graphs.get_config(), number_classes(names)
    stack = relate((COMBINED,), worms, len(names), defaults.relations)[COMBINED]
    weight = choose_class_worms(stack, classes, defaults.consensus.class_worms)
    scores = pool_worms(stack, classes, weight)
    count = int(load_edges("electrical", names)[np.isfinite(scores)].sum())
    if not count:
        found = "found no gap junction between them"
        raise ConfigError("data.neurons", f"{found}, expected some: a learnt graph has as many")
    edges, match = mark_strongest(scores, count).astype(np.float32), REWIRED.fullmatch(graph)
    return redraw(edges, int(match[2])) if match else edges


def is_learnt(graph: str) -> bool:
    """Whether a graph, or what it is rewired from, is learnt from the worms that train."""
    return graph.split(":")[0] == LEARNT


def check_given(config) -> None:
    """Raise ConfigError for a network that lacks the graph it is to be given, or names one that it does not read."""
    for name in config.models:
        section = config.model.get(name, {})
        given, edges = section.get("graph") == "given", section.get(EDGES, "")
        if given and not edges and not config.data.get(EDGES, ""):
            expected = "expected a graph, or a table of edges in data.edges"
            raise ConfigError(f"model.{name}.{EDGES}", f"found {edges!r} with graph='given', {expected}")
        if edges and not given:
            expected = f"expected none with graph={section.get('graph', '')!r}"
            raise ConfigError(f"model.{name}.{EDGES}", f"found {edges!r}, which has no effect; {expected}")


def find_given(
    name: str, config, dataset: Dataset, runs: Runs, frames: int
) -> Float[np.ndarray, "run sender receiver"] | None:
    """Return the graph that each run of a network is given; None for a network without one.

    `frames` are those of a training window. A run that already has a learnt graph, as in a calibration, keeps it.
    """
    section = config.model.get(name, {})
    if section.get("graph") != "given":
        return None
    if not is_learnt(graph := section.get(EDGES, "")):
        edges = load_given(name, config, dataset.neuron_names)
        return np.broadcast_to(edges, (len(runs.seed), *edges.shape))
    if "given" in (runs.own or {}):
        return runs.own["given"][EDGES]
    own = [windows[:count] for windows, count in zip(runs.training_windows, runs.training_count, strict=True)]
    learnt = {windows.tobytes(): windows for windows in own}  # Runs that train on the same frames share it.
    learnt = {key: learn_from_run(graph, dataset, windows, frames) for key, windows in learnt.items()}
    return np.stack([learnt[windows.tobytes()] for windows in own])


def load_given(name: str, config, neurons: Sequence[str]) -> Float[np.ndarray, "sender receiver"]:
    """Return the graph that a network is given whatever its worms, by its own section or by `data.edges`."""
    if edges := config.model[name].get(EDGES, ""):
        return load_edges(edges, neurons, config.data.get("atlas", ""), f"model.{name}.{EDGES}")
    return read_edges(config.data.edges, neurons)


def give_graph(name: str, config, dataset: Dataset, runs: Runs, frames: int) -> Runs:
    """Return the runs of a network with the graph that each of them is given."""
    edges = find_given(name, config, dataset, runs, frames)
    return runs if edges is None else runs._replace(own={**(runs.own or {}), "given": {EDGES: edges}})


def move_given(name: str, config, edges: Float[np.ndarray, "run sender receiver"], trained, neurons: Sequence[str]):
    """Return the graphs of trained runs among the neurons of other worms; a learnt one has no edge of a new neuron."""
    if not is_learnt(config.model[name].get(EDGES, "")):
        own = load_given(name, config, neurons)
        return np.broadcast_to(own, (len(edges), *own.shape))
    places = {one: place for place, one in enumerate(trained)}
    old = np.array([places.get(one, len(trained)) for one in neurons])
    return np.pad(edges, ((0, 0), (0, 1), (0, 1)))[:, old[:, None], old]


def list_edges(edges: Float[np.ndarray, "run sender receiver"]) -> dict[str, Int[np.ndarray, "run edge"]]:
    """Return the ends of each run's edges, filled up with edges that lead nowhere; at least one.

    No checkpoint holds the empty arrays of a graph without edges.
    """
    most, none = int(edges.sum(axis=(1, 2)).max()) + 1, edges.shape[1]
    ends = np.zeros((2, len(edges), most), int)
    ends[1] = none
    for run, own in enumerate(edges):
        found = np.nonzero(own)
        ends[:, run, : len(found[0])] = found
    return {"senders": ends[0], "receivers": ends[1]}
