"""Graphs between neurons from their relations, in the form in which the deep models' encoders give theirs.

A relation (wormjax.baselines.relations) is a score an edge, on a scale of its own. Circular shifts turn it into a
p-value, and all p-values of a worm into the probability of an edge, by the two-groups model of Efron (2008, Statistical
Science 23:1): 1 - the local false discovery rate, with Storey's (2002, JRSS B 64:479) share of pairs that are not
related and Grenander's density of p-values (Strimmer 2008, BMC Bioinformatics 9:303).

What a pair of neurons has beyond all others (partial correlation, Granger causality) is compared with shifts of one
neuron alone, its sender: the others go on moving together, as neurons of a worm do. With all of them shifted, the
others would explain next to nothing in the null and most in the recording, and partial correlation would find hardly
any edge. It still errs on that side where neurons share a mode that is slower than what is their own.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.isotonic import isotonic_regression

from wormjax.baselines import relations
from wormjax.graphs import matrix_to_edges

RELATIONS = ("correlation", "lagged_correlation", "partial_correlation", "granger")
UNRELATED = 0.5  # p-values above it are taken for those of unrelated pairs (Storey's lambda).
TINY = 1e-12

Features = Float[np.ndarray, "frame neuron feature"]
Shifted = Float[np.ndarray, "shift sender receiver"]


class Relation(NamedTuple):
    """One relation between the neurons of a worm, in the order of wormjax.graphs."""

    edges: Float[np.ndarray, "edge type"]  # Probability of none (type 0) and of one (type 1); see `measure_relation`.
    score: Float[np.ndarray, " edge"]  # The relation itself, larger for stronger.
    p_value: Float[np.ndarray, " edge"]  # Of the score under circular shifts, one-sided.


def measure_relation(
    method: str, features: Features, rng: np.random.Generator, shifts: int = 200, lag: int = 1, order: int = 1
) -> Relation:
    """Return the relations between a worm's neurons, and the probabilities of no edge and of an edge.

    Type 1 is the posterior probability that a pair with such a p-value is related at all, among the pairs of the same
    worm: 1 - (share of unrelated pairs) / (density of p-values there). It is how probable an edge is, not how strong;
    that is the score. Where no neurons are related, the chance that any edge of a worm gets more than 1 - a is about a.
    Where most pairs are unrelated and m of M edges share the smallest p-value, none gets more than 1 - M / (m (1 +
    shifts)): few edges need more shifts.

    "Related" is what the method means by it. Correlation and lagged correlation count shared input and chains of
    neurons as edges; partial correlation and Granger causality take out what the other neurons given here explain.

    Frames are taken as uninterrupted: a break is a seam, as one that a shift (in a circle, by any number of frames)
    makes. `lag` is of "lagged_correlation", `order` of "granger", in frames. InputError for too few frames or neurons.
    """
    relate = {
        "correlation": relations.correlate,
        "lagged_correlation": partial(relations.correlate_lagged, lag=lag),
        "partial_correlation": relations.correlate_partially,
        "granger": partial(relations.measure_granger, order=order),
    }[method]
    score = relate(features[None])[0]
    if method in ("partial_correlation", "granger"):
        p_value = _compare_senders(method, score, features.astype(np.float64), rng, shifts, order)
    else:  # Of two neurons without the others, only the shift between them matters.
        p_value = relations.null_by_shifts(relate, features[None], rng, shifts)[0]
    present = find_posterior(p_value)
    return Relation(np.stack([1.0 - present, present], axis=-1), score, p_value)


def find_posterior(p_values: Float[np.ndarray, " edge"]) -> Float[np.ndarray, " edge"]:
    """Return 1 - local false discovery rate of each p-value, among all given; never rises with the p-value."""
    levels, places, counts = np.unique(p_values, return_inverse=True, return_counts=True)
    ends = levels if levels[-1] >= 1 else np.append(levels, 1.0)
    shares = np.zeros(len(ends))
    shares[: len(levels)] = counts / len(p_values)
    widths = np.diff(ends, prepend=0.0)
    # The slopes of the least concave majorant of the distribution function.
    density = isotonic_regression(shares / widths, sample_weight=widths, increasing=False)[: len(levels)]
    unrelated = min(1.0, (1 + np.sum(p_values > UNRELATED)) / ((1 - UNRELATED) * len(p_values)))
    return 1.0 - np.minimum(1.0, unrelated / density)[places]


def shift_senders_partially(features: Features, offsets: Int[np.ndarray, "neuron shift"]) -> Shifted:
    """Return the partial correlation of each sender with all others, each sender alone shifted by its offsets."""
    frames, neurons, size = features.shape
    diagonal = np.arange(neurons)
    scores = np.zeros((offsets.shape[1], neurons, neurons))
    for column in range(size):
        scaled = relations.standardize(features[..., column], axis=0)
        matrix = (1 - relations.SHRINKAGE) * (scaled.T @ scaled) / frames
        for sender in range(neurons):
            row = (1 - relations.SHRINKAGE) * (_shift(scaled[:, sender], offsets[sender]) @ scaled) / frames
            matrices = np.repeat(matrix[None], len(row), axis=0)
            matrices[:, sender], matrices[:, :, sender] = row, row
            matrices[:, diagonal, diagonal] = 1.0
            precision = np.linalg.inv(matrices)
            scale = np.sqrt(precision[:, diagonal, diagonal])
            scores[:, sender] += np.abs(precision[:, sender]) / (scale * scale[:, sender, None]) / size
    return scores


def shift_senders_granger(features: Features, offsets: Int[np.ndarray, "neuron shift"], order: int) -> Shifted:
    """Return Granger causality of each sender for all others, the sender alone shifted by each of its offsets.

    The regression on all others is solved once a sender; a shifted sender's columns then add what they explain of its
    residuals, as `measure_granger` counts it (Schur complement of the penalised Gram matrix).
    """
    frames, neurons, size = features.shape
    shifts, used = offsets.shape[1], frames - order
    changes = relations.standardize(np.diff(features[order - 1 :], axis=0), axis=0).reshape(used, -1)
    past = np.stack([features[order - 1 - lag : frames - 1 - lag] for lag in range(order)], axis=2)
    past = relations.standardize(past, axis=0)
    scores = np.zeros((shifts, neurons, neurons))
    for sender in range(neurons):
        others = np.delete(past, sender, axis=1).reshape(used, -1)
        inverse = np.linalg.inv(others.T @ others / used + relations.RIDGE * np.eye(others.shape[1]))
        explained = others.T @ changes / used
        without = (changes**2).mean(axis=0) - (explained * (inverse @ explained)).sum(axis=0)
        moved = np.stack([_shift(features[:, sender, k], offsets[sender]) for k in range(size)], axis=1)
        lags = [moved[..., order - 1 - lag : frames - 1 - lag] for lag in range(order)]
        columns = relations.standardize(np.concatenate(lags, axis=1), axis=-1)  # [shift, lag and feature, frame]
        flat = columns.reshape(-1, used)
        overlap = (flat @ others / used).reshape(shifts, -1, others.shape[1])
        target = (flat @ changes / used).reshape(shifts, -1, neurons * size) - overlap @ (inverse @ explained)
        gram = columns @ columns.swapaxes(1, 2) / used - overlap @ inverse @ overlap.swapaxes(1, 2)
        added = (target * np.linalg.solve(gram + relations.RIDGE * np.eye(gram.shape[-1]), target)).sum(axis=1)
        ratio = np.log1p(added / np.maximum(without - added, TINY)).reshape(shifts, neurons, size)
        scores[:, sender] = ratio.mean(axis=-1)
    return scores


def _compare_senders(method, score, features, rng, shifts, order) -> Float[np.ndarray, " edge"]:
    """Return the p-value of each edge among the scores of its sender shifted alone."""
    frames, neurons = features.shape[:2]
    offsets = rng.integers(0, frames, (neurons, shifts))
    if method == "granger":
        null = shift_senders_granger(features, offsets, order)
    else:  # The same both ways: an edge has the shifts of either end.
        null = shift_senders_partially(features, offsets)
        null = np.concatenate([null, null.swapaxes(1, 2)])
    # A shift by nothing is the score itself, whatever way it was summed.
    as_high = matrix_to_edges(null) >= score - 1e-9 * np.abs(score)
    return (1.0 + as_high.sum(axis=0)) / (1.0 + len(null))


def _shift(trace, offsets):
    """Return a trace shifted in a circle by each of the offsets, [shift, frame]."""
    return np.lib.stride_tricks.sliding_window_view(np.concatenate([trace, trace]), len(trace))[offsets]
