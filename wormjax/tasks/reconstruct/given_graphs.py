"""Graphs that a reconstruction network is given: the wiring, the atlas, a table, and what each is compared with.

A graph is 1 where there is an edge, whatever its weight. "none" and "complete" have no edge and all of them; a graph
that is rewired keeps how many edges each neuron sends and receives, and nothing else.
"""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wormjax import connectome
from wormjax.errors import ConfigError
from wormjax.features.edge_list import read_edges
from wormjax.scoring.reference_graphs import rewire

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
