"""Metrics of inferred edges: how well the edge types that a model gives match those of a known graph.

A model that is not given the types numbers them as it likes, so edge accuracy is that of the best matching of inferred
to true types (Kipf, Fetaya et al. 2018, arXiv 1802.04687). The matching is found on validation simulations
(`match_types`) and applied to test simulations (`relabel_types`), so that the test chooses nothing. A method that gives
one number per edge, such as a correlation, is cut into types by thresholds found on validation (`choose_threshold`).

An edge whose type is -1 (UNSCORED) is not known and is never scored. Edges are in the order of wormjax.graphs, on which
`direction_auroc` alone depends.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.metrics import recall_score, roc_auc_score

from wormjax import graphs
from wormjax.errors import InputError
from wormjax.recordings.recording import UNSCORED
from wormjax.scoring.classification import measure_auroc, measure_calibration_error, measure_nll

EdgeProbabilities = Float[np.ndarray, "simulation edge type"]
EdgeTypes = Int[np.ndarray, "simulation edge"]
EdgeScores = Float[np.ndarray, "simulation edge"]


class Threshold(NamedTuple):
    """How a number for an edge becomes a type: the types, in their order, take the intervals between boundaries.

    Attributes:
      boundaries: in ascending order, one fewer than there are types; a score on a boundary belongs below it. The same
        boundary twice, or an infinite one, leaves a type no interval.
      rising: whether a larger score means a higher type.
    """

    boundaries: tuple[float, ...]
    rising: bool


def match_types(probabilities: EdgeProbabilities, types: EdgeTypes) -> tuple[int, ...]:
    """Return the matching of inferred to true types with the highest edge accuracy; find it on validation simulations.

    Of matchings with equal accuracy, the one that gives the true types the highest probability.

    Returns:
      Inferred type k is called true type matching[k]; each number stands once. Where more types are inferred than there
      are true ones, those left over get numbers that no true type has, and their edges count as wrong. Where fewer are,
      some true types are never inferred.

    Raises:
      InputError: a probability is not finite.
    """
    inferred = np.shape(probabilities)[-1]
    flat, known = _select_known(probabilities, types)
    total = np.zeros((flat.shape[1], flat.shape[1]))  # [true, inferred]
    np.add.at(total, known, flat)
    # The share of probability is below one edge: it can break ties, and nothing else.
    value = _count_confusion(flat.argmax(axis=1), known, flat.shape[1]) + 0.5 * total / max(1, len(known))
    # Columns that were padded are inferred types that do not exist.
    true, columns = linear_sum_assignment(value[:, :inferred], maximize=True)
    return tuple(int(name) for name in true[np.argsort(columns)])


def relabel_types(
    probabilities: Float[np.ndarray, "simulation edge inferred"], matching: tuple[int, ...]
) -> EdgeProbabilities:
    """Return probabilities of the true types: column k goes to column matching[k]; 0 for types never inferred."""
    probabilities = np.asarray(probabilities)
    relabelled = np.zeros((*probabilities.shape[:-1], max(matching) + 1), probabilities.dtype)
    relabelled[..., list(matching)] = probabilities
    return relabelled


def pair_frames(
    probabilities: Float[np.ndarray, "simulation *interval edge type"], types: Int[np.ndarray, "simulation *frame edge"]
) -> tuple[Float[np.ndarray, "sample edge type"], Int[np.ndarray, "sample edge"]]:
    """Return inferred and true edges side by side: a sample is a simulation, or one of its frames where edges change.

    One graph of a simulation is that of each of its frames. The edges of the last frame act on nothing observed; they
    are not scored.
    """
    if probabilities.ndim == 3 and types.ndim == 2:
        return probabilities, types
    intervals = probabilities.shape[1] if probabilities.ndim == 4 else types.shape[1] - 1
    if probabilities.ndim == 3:
        probabilities = np.repeat(probabilities[:, None], intervals, axis=1)
    types = types[:, :intervals] if types.ndim == 3 else np.repeat(types[:, None], intervals, axis=1)
    return probabilities.reshape(-1, *probabilities.shape[2:]), types.reshape(-1, types.shape[2])


def score_edges(probabilities: EdgeProbabilities, types: EdgeTypes) -> dict[str, float]:
    """Score the edges of all simulations together.

    Args:
      probabilities: of each type, relabelled; a true type beyond the columns has probability 0.
      types: the true type of each edge, or -1.

    Returns:
      Metric → value; every value is finite, and what is undefined is left out. No edge known: {}.
      edge_accuracy: share of edges whose most probable type is the true one.
      balanced_accuracy: recall per type, averaged over the types that occur.
      auroc: area under the ROC curve. Two types: of type 1 (an edge) against type 0. More: each type that occurs
        against the rest, averaged. Left out where fewer than two types occur.
      edge_auroc, direction_auroc: see `score_directions`, of the probability of any type but 0.
      nll: negative log-likelihood, nats per edge, probabilities clipped at 1e-7.
      calibration_error: expected calibration error of the top probability, 15 bins of equal width.

    Raises:
      InputError: a probability is not finite (a training run that diverged).
    """
    flat, known = _select_known(probabilities, types)
    if not len(known):
        return {}
    scores = _score_decisions(flat.argmax(axis=1), known)
    scores["nll"] = measure_nll(flat, known)
    scores["calibration_error"] = measure_calibration_error(flat, known)
    if len(np.unique(known)) > 1:
        binary = flat.shape[1] == 2
        scores["auroc"] = float(roc_auc_score(known, flat[:, 1])) if binary else measure_auroc(flat, known)
    # A sum, not one minus the first: that would make edges equal whose probabilities are below the rounding of one.
    return scores | score_directions(np.asarray(probabilities)[..., 1:].sum(axis=-1), types)


def score_directions(scores: EdgeScores, types: EdgeTypes) -> dict[str, float]:
    """Return how well a number per ordered pair ranks edges of any type above those of type 0, which is no edge.

    Scores are larger where an edge is more likely; a true type of -1 is not known.

    Returns:
      edge_auroc: area under the ROC curve over all ordered pairs of all simulations together.
      direction_auroc: the same over both directions of the pairs that are connected in one direction alone, so that a
        symmetric score has 0.5. Left out, as is the other, where there is nothing to tell apart, and where the edges
        are not those of a complete graph.

    Examples:
      >>> score_directions(np.array([[0.9, 0.2]]), np.array([[1, 0]]))
      {'edge_auroc': 1.0, 'direction_auroc': 1.0}
    """
    scores, types = np.asarray(scores, float), np.asarray(types)
    edge, known = types > 0, _find_known(types)
    nodes = (1 + math.isqrt(1 + 4 * types.shape[1])) // 2
    kept = {"edge_auroc": known}
    if nodes * (nodes - 1) == types.shape[1]:
        swapped = graphs.matrix_to_edges(graphs.edges_to_matrix(types, nodes).swapaxes(-1, -2))
        kept["direction_auroc"] = known & (swapped != UNSCORED) & (edge != (swapped > 0))
    return {
        name: float(roc_auc_score(edge[chosen], scores[chosen]))
        for name, chosen in kept.items()
        if len(np.unique(edge[chosen])) > 1
    }


def confusion(probabilities: EdgeProbabilities, types: EdgeTypes) -> Int[np.ndarray, "true inferred"]:
    """Return the counts of known edges by true and by most probable type. Raises: as `score_edges`."""
    flat, known = _select_known(probabilities, types)
    return _count_confusion(flat.argmax(axis=1), known, flat.shape[1])


def choose_threshold(scores: EdgeScores, types: EdgeTypes, count: int) -> Threshold:
    """Return thresholds that cut scores into types with the highest edge accuracy; choose on validation simulations.

    Types are taken to be in order (no, weak, strong spring): each has one interval of scores. Whether scores rise or
    fall with the type is the sign of their rank correlation; given that, no other boundaries are more accurate.

    `scores` have the same scale in all simulations; `count` is the number of types.

    Raises:
      InputError: a score is not finite, or no edge is known.
    """
    scores, known = _select_scores(scores, types)
    if not len(known):
        raise InputError("edge types: found none that is known, expected some to choose a threshold by")
    rising = bool(np.mean((rankdata(scores) - (len(scores) + 1) / 2) * known) >= 0)
    boundaries = _choose_boundaries(scores, known if rising else count - 1 - known, count)
    return Threshold(boundaries, rising)


def decide_types(scores: EdgeScores, threshold: Threshold) -> Int[np.ndarray, "..."]:
    """Return the type of each edge, in the shape of the scores."""
    intervals = np.searchsorted(threshold.boundaries, np.asarray(scores, np.float64), side="left")
    return intervals if threshold.rising else len(threshold.boundaries) - intervals


def score_ranked_edges(scores: EdgeScores, types: EdgeTypes, threshold: Threshold) -> dict[str, float]:
    """Score edges that have one number each, as `score_edges` does; such numbers are not probabilities.

    Returns:
      edge_accuracy and balanced_accuracy of `decide_types`.
      auroc: how often the edge of a higher type has the higher score (the lower one, where `threshold` falls). Two
        types: the area under the ROC curve. More: its mean over pairs of types that occur, for a number alone does not
        rank the edges of a middle type against the rest. Left out where fewer than two types occur.
      edge_auroc, direction_auroc: see `score_directions`.

    Raises:
      InputError: a score is not finite.
    """
    directed = np.asarray(scores) * (1 if threshold.rising else -1)
    scores, known = _select_scores(scores, types)
    if not len(known):
        return {}
    metrics = _score_decisions(decide_types(scores, threshold), known) | score_directions(directed, types)
    directed = scores if threshold.rising else -scores
    areas = []
    for low, high in itertools.combinations(np.unique(known), 2):
        either = (known == low) | (known == high)
        areas.append(roc_auc_score(known[either] == high, directed[either]))
    if areas:
        metrics["auroc"] = float(np.mean(areas))
    return metrics


def _choose_boundaries(scores, types, count):
    """Boundaries of `count` rising intervals with the most edges of their type, exactly, by dynamic programming."""
    order = np.argsort(scores, kind="stable")
    scores, types = scores[order], types[order]
    # A cut at i puts i edges below; equal scores cannot be cut apart.
    positions = np.arange(len(scores) + 1)
    allowed = np.concatenate([[True], scores[1:] > scores[:-1], [True]])
    below = np.concatenate([np.zeros((1, count)), np.cumsum(types[:, None] == np.arange(count), axis=0)])
    best, cuts = below[:, 0], []  # Edges right among the first i, if they end with the interval of this type.
    for kind in range(1, count):
        gain = np.where(allowed, best - below[:, kind], -np.inf)
        highest = np.maximum.accumulate(gain)
        cuts.append(np.maximum.accumulate(np.where(gain == highest, positions, 0)))
        best = highest + below[:, kind]
    at, chosen = len(scores), []
    for cut in reversed(cuts):
        at = cut[at]
        chosen.append(at)
    edged = np.concatenate([[-np.inf], scores, [np.inf]])
    return tuple(float(edged[at] / 2 + edged[at + 1] / 2) for at in reversed(chosen))


def _score_decisions(decided, known):
    balanced = recall_score(known, decided, labels=np.unique(known), average="macro", zero_division=0)
    return {"edge_accuracy": float(np.mean(decided == known)), "balanced_accuracy": float(balanced)}


def _count_confusion(decided, known, count):
    return np.bincount(known * count + decided, minlength=count * count).reshape(count, count)


def _select_known(probabilities, types):
    """Probabilities [edge, type] and types [edge] of the known edges, with a column for each true type."""
    probabilities, types = np.asarray(probabilities, np.float64), np.asarray(types)
    known = _find_known(types)
    flat, types = probabilities[known], types[known].astype(np.int64)
    _check_finite("probabilities of edges", flat)
    missing = int(types.max(initial=0)) + 1 - flat.shape[1]
    return np.pad(flat, [(0, 0), (0, max(0, missing))]), types


def _select_scores(scores, types):
    scores, types = np.asarray(scores, np.float64), np.asarray(types)
    known = _find_known(types)
    _check_finite("scores of edges", scores[known])
    return scores[known], types[known].astype(np.int64)


def _find_known(types):
    if types.size and types.min() < UNSCORED:
        raise InputError(f"edge types: found {types.min()}, expected numbers from 0, or -1 for one that is not known")
    return types != UNSCORED


def _check_finite(name, values):
    bad = np.size(values) - np.isfinite(values).sum()
    if bad:
        raise InputError(f"{name}: found {bad} values of {np.size(values)} that are not finite, expected finite ones")
