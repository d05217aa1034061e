"""Graphs by relations between traces: of every worm, of shorter recordings, and of circularly shifted traces."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wormjax.baselines.neuron_scores import METHODS, choose_method
from wormjax.baselines.sparse_autoregression import infer_edges
from wormjax.features.dataset import Dataset
from wormjax.tasks.relate.consensus import Stack, place_scores
from wormjax.tasks.relate.networks import count_frames

SPARSE, RESPONSE = "sparse_var", "var_response"
RELATIONS = (*METHODS, SPARSE)


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


def read_worms(dataset: Dataset) -> Worms:
    """Return the traces of a dataset, in which a neuron that a worm lacks is 0 throughout."""
    traces, columns = [], []
    for worm, present in enumerate(dataset.find_present()):
        parts = [dataset.arrays.features[k][dataset.arrays.valid[k]] for k in dataset.stretches_of(worm)]
        columns.append(np.flatnonzero(present))
        traces.append(np.concatenate(parts)[:, present, 0].astype(np.float64))
    return Worms(traces, columns)


def relate(name: str, worms: Worms, neurons: int, settings: Mapping[str, float]) -> Stack:
    """Return one relation's scores of every worm; NaN for pairs that a worm lacks."""
    if name == SPARSE:
        found = infer_edges(worms.traces, worms.columns, neurons)
    else:
        method = choose_method(name, settings)
        found = [method(own) for own in worms.traces]
    return np.stack(
        [place_scores(matrix, columns, neurons) for matrix, columns in zip(found, worms.columns, strict=True)]
    )


def read_settings(config, frame_rate: float) -> dict[str, float]:
    """Return what the relations read of a config: lag, order, ridges, shrinkage, held and steps (frames)."""
    held, steps = count_frames(config, frame_rate)
    fields = ("lag", "order", "ridge", "granger_ridge", "shrinkage")
    return {field: config.relations[field] for field in fields} | {"held": held, "steps": steps}
