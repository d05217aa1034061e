"""What inferred edges follow where no true graph is known: bodies, teams, neighbours; as numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.metrics import roc_auc_score

RIGID = 0.03  # Of a link: the standard deviation of its length, in units of its mean.
NEIGHBOURS = 3

Edges = Float[np.ndarray, "sample sender receiver"]
Places = Float[np.ndarray, "sample object axis"]


def find_links(places: Places) -> Int[np.ndarray, "link 2"]:
    """Return pairs of objects whose distance does not change, as few as join them: the bones of a body."""
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)
    mean, deviation = apart.mean(axis=0), apart.std(axis=0)
    # Of ways around a rigid part that are equally rigid, the shortest.
    cost = deviation + 1e-3 * mean + 1e-9
    np.fill_diagonal(cost, 0.0)
    tree = np.argwhere(minimum_spanning_tree(cost).toarray() > 0)
    rigid = deviation[tree[:, 0], tree[:, 1]] <= RIGID * mean[tree[:, 0], tree[:, 1]]
    return tree[rigid].reshape(-1, 2)


def contrast_edges(
    probabilities: Edges, places: Places, kinds: Sequence[str], links: Int[np.ndarray, "link 2"]
) -> pd.DataFrame:
    """Return how edges differ between groups of pairs.

    Probabilities are NaN where there is no edge; `places` are those of the objects when edges are used, `links` pairs
    of objects that are joined.

    Returns:
      group: "linked"; "near" (the sender is one of the receiver's three neighbours); "marked" (the sender is
        the nearest of another kind, of the kinds that have several); "same kind"; and "A to B" for each two kinds.
      pairs, mean_in, mean_out: how many, and the mean probability among these and among all others.
      auroc: of the probability for being of the group; 0.5 where edges do not tell.
    """
    objects, kinds = places.shape[1], np.array(kinds)
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)
    apart[:, np.arange(objects), np.arange(objects)] = np.inf
    groups: dict[str, Bool[np.ndarray, ...]] = {}
    linked = np.zeros((objects, objects), bool)
    if len(links):
        linked[links[:, 0], links[:, 1]] = linked[links[:, 1], links[:, 0]] = True
        groups["linked"] = linked
    if objects > NEIGHBOURS + 1:
        groups["near"] = apart <= np.sort(apart, axis=1)[:, NEIGHBOURS - 1 : NEIGHBOURS]
    names = list(dict.fromkeys(kinds.tolist()))
    if 1 < len(names) < objects:
        several = np.array([(kinds == kind).sum() > 1 for kind in kinds])
        others = (kinds[:, None] != kinds) & several[:, None] & several
        groups["same kind"] = kinds[:, None] == kinds
        if others.any():
            facing = np.where(others, apart, np.inf)
            groups["marked"] = (facing == facing.min(axis=1, keepdims=True)) & np.isfinite(facing)
        for sender in names:
            for receiver in names:
                groups[f"{sender} to {receiver}"] = (kinds == sender)[:, None] & (kinds == receiver)
    known, rows = np.isfinite(probabilities), []
    for name, group in groups.items():
        inside = np.broadcast_to(group, known.shape)[known]
        if inside.any() and not inside.all():
            values = probabilities[known]
            means = values[inside].mean(), values[~inside].mean()
            rows.append((name, int(inside.sum()), *means, roc_auc_score(inside, values)))
    return pd.DataFrame(rows, columns=["group", "pairs", "mean_in", "mean_out", "auroc"])


def find_phase(places: Places) -> Float[np.ndarray, " sample"]:
    """Return where each sample is in a movement that repeats itself, from 0 to 1.

    It is the angle in the plane of the two principal components of where objects are to each other.
    """
    flat = (places - places.mean(axis=1, keepdims=True)).reshape(len(places), -1)
    left, size, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    first, second = (left[:, :2] * size[:2]).T
    return np.arctan2(second, first) / (2 * np.pi) % 1.0


def measure_phase_share(probabilities: Edges, phase: Float[np.ndarray, " sample"]) -> float:
    """Return the share of the variance of edges over samples that a sine and a cosine of the phase explain."""
    angle = 2 * np.pi * phase
    waves = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1)
    values = probabilities.reshape(len(probabilities), -1)
    values = values[:, np.isfinite(values).all(axis=0)]
    varying = values - values.mean(axis=0)
    left = varying - waves @ np.linalg.lstsq(waves, varying, rcond=None)[0]
    return float(1.0 - (left**2).sum() / max((varying**2).sum(), 1e-30))
