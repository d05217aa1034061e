"""Graphs by relations between traces: of every worm, of shorter recordings, and of circularly shifted traces."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax.baselines.consensus import Stack
from wormjax.baselines.neuron_scores import METHODS, choose_method
from wormjax.baselines.sparse_autoregression import infer_edges
from wormjax.features.dataset import Dataset

SPARSE, RESPONSE, COMBINED = "sparse_var", "var_response", "combined"
COMBINED_PARTS = ("correlation", "partial_correlation", "innovations", "granger")
RELATIONS = (*METHODS, SPARSE, COMBINED)


class Worms(NamedTuple):
    """The traces of each worm's own neurons, its stretches laid end to end, and where they stand among all neurons."""

    traces: Sequence[Float[np.ndarray, "frame neuron"]]
    columns: Sequence[Int[np.ndarray, " own"]]

    def cut(self, share: float) -> "Worms":
        """Return the worms with the first share of each recording alone."""
        return Worms([own[: max(8, round(share * len(own)))] for own in self.traces], self.columns)

    def shift(self, random: np.random.Generator) -> "Worms":
        """Return the worms with every trace shifted in a circle by its own number of frames."""
        shifted = []
        for own in self.traces:
            offsets = random.integers(0, len(own), own.shape[1])
            shifted.append(np.stack([np.roll(own[:, k], offset) for k, offset in enumerate(offsets)], axis=1))
        return Worms(shifted, self.columns)


def read_worms(dataset: Dataset, seen: Bool[np.ndarray, "stretch frame"] | None = None) -> Worms:
    """Return the traces of a dataset, in which a neuron that a worm lacks is 0 throughout.

    Of the frames that are `seen` alone, if they are given; a worm without any is left out.
    """
    traces, columns, seen = [], [], dataset.arrays.valid if seen is None else seen
    for worm, present in enumerate(dataset.find_present()):
        parts = [dataset.arrays.features[k][seen[k]] for k in dataset.stretches_of(worm) if seen[k].any()]
        if parts:
            columns.append(np.flatnonzero(present))
            traces.append(np.concatenate(parts)[:, present, 0].astype(np.float64))
    return Worms(traces, columns)


def relate(names: Sequence[str], worms: Worms, neurons: int, settings: Mapping[str, float]) -> dict[str, Stack]:
    """Return relation → the scores of every worm; NaN for pairs that a worm lacks.

    `COMBINED` adds estimates of one graph (`COMBINED_PARTS`, of which Granger causality alone is directed), each with
    an s.d. of 1 over a worm's pairs.
    """
    found = {}
    for name in dict.fromkeys((*names, *(COMBINED_PARTS if COMBINED in names else ()))):
        if name == SPARSE:
            found[name] = place_worms(infer_edges(worms.traces, worms.columns, neurons), worms, neurons)
        elif name != COMBINED:
            method = choose_method(name, settings)
            found[name] = place_worms([method(own) for own in worms.traces], worms, neurons)
    if COMBINED in names:
        parts = [found[name] for name in COMBINED_PARTS]
        found[COMBINED] = sum(part / np.maximum(np.nanstd(part, axis=(1, 2), keepdims=True), 1e-12) for part in parts)
    return {name: found[name] for name in names}


def place_worms(matrices: Sequence[np.ndarray], worms: Worms, neurons: int) -> Stack:
    """Return each worm's scores among all neurons; NaN for pairs that it lacks, and on the diagonal."""
    placed = np.full((len(matrices), neurons, neurons), np.nan)
    for scores, matrix, own in zip(placed, matrices, worms.columns, strict=True):
        scores[np.ix_(own, own)] = matrix
        np.fill_diagonal(scores, np.nan)
    return placed
