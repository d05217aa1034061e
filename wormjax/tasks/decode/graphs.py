"""Graphs that decoders infer, scored against a graph that is known, beside the correlation of the same worms.

Of simulated worms the known graph is their wiring; of real ones the connectome of Cook et al. (2019). A decoder learns
states, and its graph is whatever helped: that is to be seen before anyone reads it as wiring.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from wormjax import graphs
from wormjax.baselines.consensus import number_classes, pool_worms
from wormjax.baselines.worm_relations import read_worms, relate
from wormjax.features.dataset import Dataset
from wormjax.scoring import reference_graphs as scoring
from wormjax.scoring.markdown import make_section, mark_model, write_frame
from wormjax.tasks.decode.runs import Decoded
from wormjax.tasks.groups import Group
from wormjax.tasks.references import WIRING, load_references

BASELINE, LEVEL = "correlation", 0.05
DRAWS, PERMUTATIONS = 400, 999
TABLE_TEXT = (
    "AUROC of the mean graph over worms that no run had seen, over ordered pairs of neurons [95 % interval, a "
    "bootstrap over neuron classes]; p: one-sided, names of neurons permuted. Correlation is that of the same worms' "
    "traces. A graph that is no better than chance is not drawn."
)
COLUMNS = {
    "reference": ("{}", "reference"),
    "AUROC": ("{:.3f}", "auroc", "low", "high"),
    "average precision": ("{:.3f}", "average_precision"),
    "edges": ("{}", "edges"),
    "p": ("{:.3f}", "p_value"),
    "": ("{}", "chance"),
}


def average_edges(dataset: Dataset, groups: Sequence[Group], decoded: Decoded) -> Float[np.ndarray, "worm n n"]:
    """Return the probability of an edge in each worm, mean over the runs that had not seen it."""
    present = graphs.edges_to_matrix(1.0 - decoded.edges[..., 0], len(dataset.neuron_names))
    return average_unseen(dataset, groups, present)


def average_unseen(dataset: Dataset, groups: Sequence[Group], values: np.ndarray) -> np.ndarray:
    """Return values [group, stretch, ...] as [worm, ...], the mean over the groups that are tested on the worm."""
    by_worm = []
    for worm in range(len(dataset.worms)):
        unseen = [k for k, group in enumerate(groups) if worm in group.split.test]
        if unseen:
            by_worm.append(values[np.ix_(unseen, dataset.stretches_of(worm))].mean(axis=(0, 1)))
    return np.stack(by_worm)


def score_inferred(config, dataset: Dataset, groups, decoded: Mapping[str, Decoded]) -> pd.DataFrame:
    """Return a line per inferred graph and reference, correlation first; empty where no model infers a graph.

    Columns: model, reference, pairs, edges, auroc, average_precision, low, high, p_value.
    """
    inferred = {
        name: average_edges(dataset, groups, one).mean(axis=0) for name, one in decoded.items() if one.edges is not None
    }
    if not inferred or config.protocol.name == "cross_study":
        return pd.DataFrame()
    references, lines = load_references(config.data, dataset.neuron_names), []
    draws = scoring.draw_classes(dataset.neuron_names, DRAWS)
    orders = _draw_orders(config, dataset.neuron_names)
    stack = relate((BASELINE,), read_worms(dataset), len(dataset.neuron_names), {})[BASELINE]
    shared = pool_worms(stack, number_classes(dataset.neuron_names))  # The mean over the worms that have both neurons.
    for reference, known in references.items():
        for name, matrix in {BASELINE: np.abs(shared) if reference == WIRING else shared, **inferred}.items():
            score = scoring.score_graph(matrix, known)
            if score is None:
                continue
            pairs = scoring.find_pairs(matrix, known)
            low, high = scoring.find_bounds(scoring.bootstrap_auroc(matrix, known, pairs, draws))
            p_value = scoring.find_p_value(score.auroc, scoring.permute_names(matrix, known, orders))
            line = {"model": name, "reference": reference, **score._asdict()}
            lines.append(line | {"low": low, "high": high, "p_value": p_value})
    return pd.DataFrame(lines)


def is_chance(config, edges: Float[np.ndarray, "sender receiver"], names: Sequence[str]) -> bool:
    """Return whether one inferred graph agrees with no known graph better than chance; False where none is known."""
    orders, p_values = _draw_orders(config, names), []
    for known in load_references(config.data, names).values():
        if score := scoring.score_graph(edges, known):
            p_values.append(scoring.find_p_value(score.auroc, scoring.permute_names(edges, known, orders)))
    return bool(p_values) and min(p_values) > LEVEL


def _draw_orders(config, names) -> np.ndarray:
    random = np.random.default_rng(config.seed)
    return np.array([random.permutation(len(names)) for _ in range(PERMUTATIONS)])


def find_chance(scores: pd.DataFrame) -> set[str]:
    """Return the models whose graph no reference tells from chance."""
    if scores.empty:
        return set()
    lowest = scores.groupby("model")["p_value"].min()
    return set(lowest[lowest > LEVEL].index) - {BASELINE}


def format_inferred(scores: pd.DataFrame) -> list[str]:
    """Return the lines of a summary; none where there is nothing to say."""
    if scores.empty:
        return []
    chance = scores["p_value"].gt(LEVEL).map({True: "no better than chance", False: ""})
    edges = scores["edges"].astype(str) + " of " + scores["pairs"].astype(str)
    names = [mark_model(model, model == BASELINE) for model in scores["model"]]
    frame = write_frame(scores.assign(edges=edges, chance=chance), COLUMNS, names)
    return make_section("Inferred graphs", frame, 2, TABLE_TEXT)
