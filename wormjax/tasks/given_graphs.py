"""Graphs that a network is given: the wiring, the atlas, a table of edges, and what each of these is compared with.

A graph is 1 where there is an edge, whatever its weight. "none" and "complete" have no edge and all of them; a graph
that is rewired keeps how many edges each neuron sends and receives, and nothing else. `data.edges` gives one graph to
all networks of an experiment, with weights; `model.NAME.edges` gives one to each.
"""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wormjax import connectome
from wormjax.errors import ConfigError
from wormjax.features.edge_list import read_edges
from wormjax.scoring.reference_graphs import rewire
from wormjax.training.runs import Runs

EDGES = "edges"  # A field of a section of `config.model`, which is none of the network's.
ANATOMICAL, ATLAS = ("chemical", "electrical", "both"), "atlas"
REWIRED = re.compile(r"(.+):rewired:(\d+)")


def load_edges(graph: str, names: Sequence[str], atlas: str = "") -> Float[np.ndarray, "sender receiver"]:
    """Return 1 for an edge between neurons, 0 for none.

    Args:
      graph: "none", "complete", "chemical", "electrical", "both" (Cook et al. 2019), "atlas" (responses with q < 0.05,
        Randi et al. 2023) or the path of a table of edges; followed by ":rewired:NUMBER", a draw of the same degrees.
      names: of the neurons.
      atlas: the atlas's file.

    Raises:
      InputError: a file that cannot be read, or one without an edge between these neurons.
    """
    if match := REWIRED.fullmatch(graph):
        edges, pairs = load_edges(match[1], names, atlas), ~np.eye(len(names), dtype=bool)
        return np.nan_to_num(rewire(edges, pairs, np.random.default_rng(int(match[2])))).astype(np.float32)
    if graph in ("none", "complete"):
        edges = np.full((len(names), len(names)), float(graph == "complete"), np.float32)
    elif graph in ANATOMICAL:
        edges = np.nan_to_num(connectome.load("cook2019").matrix(graph, names))
    elif graph == ATLAS:
        if not atlas:
            raise ConfigError("data.atlas", "found none, expected the file of the atlas, whose graph a model is given")
        edges = np.nan_to_num(connectome.load("randi2023", atlas).matrix("significant", names))
    else:
        edges = np.abs(read_edges(graph, names))
    edges = (edges > 0).astype(np.float32)
    np.fill_diagonal(edges, 0.0)
    return edges


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


def find_given(name: str, config, neurons: Sequence[str]) -> Float[np.ndarray, "sender receiver"] | None:
    """Return the graph that a network is given, by its own section or by `data.edges`; None without one."""
    section = config.model.get(name, {})
    if section.get("graph") != "given":
        return None
    if edges := section.get(EDGES, ""):
        return load_edges(edges, neurons, config.data.get("atlas", ""))
    return read_edges(config.data.edges, neurons)


def give_graph(name: str, config, neurons: Sequence[str], runs: Runs) -> Runs:
    """Return the runs of a network with the graph that all of them are given."""
    edges = find_given(name, config, neurons)
    if edges is None:
        return runs
    own = {EDGES: np.broadcast_to(edges, (len(runs.seed), *edges.shape))}
    return runs._replace(own={**(runs.own or {}), "given": own})
