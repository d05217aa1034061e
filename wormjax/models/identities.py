"""Which identities a run knows, by its training worms, and what they are on another axis of neurons."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from wormjax.models.any_neurons import UNKNOWN, build_vocabulary, index_identities


def keep_known(
    ids: Int[np.ndarray, "neuron 3"], present: Bool[np.ndarray, "worm neuron"], least_worms: int = 1
) -> Int[np.ndarray, "neuron 3"]:
    """Return identities with UNKNOWN for the neurons and classes that fewer than `least_worms` training worms have.

    A neuron that is too rare keeps its class, and one of a class that is too rare is without identity.

    Args:
      ids: of `index_identities`.
      present: which training worms have which neurons.
      least_worms: at most the number of training worms counts.
    """
    least = min(least_worms, len(present))
    by_class = np.stack([present[:, ids[:, 1] == number].any(axis=1) for number in ids[:, 1]], axis=1)
    known = np.stack([present.sum(axis=0) >= least, by_class.sum(axis=0) >= least], axis=1)
    known &= ids[:, :2] != UNKNOWN
    return ids * np.column_stack([known, known.any(axis=1)])


def move_identities(
    ids: Int[np.ndarray, "run neuron 3"], vocabulary: Sequence[str], names: Sequence[str]
) -> Int[np.ndarray, "run other 3"]:
    """Return the identities that runs know of other neurons, or of the same ones in another order.

    A neuron that is not in the vocabulary has its class's identity, where a run knows a neuron of that class.

    Args:
      ids: those of the vocabulary's neurons, UNKNOWN where a run does not know them (`keep_known`).
      vocabulary: the neurons that a model was trained with.
      names: of the neurons to be read.
    """
    numbers = index_identities(names, build_vocabulary(vocabulary))
    known = [np.array([np.isin(numbers[:, part], own[:, part]) for part in range(3)]).T for own in ids]
    moved = numbers * np.stack(known)
    moved[~(moved[..., :2] != UNKNOWN).any(axis=-1)] = UNKNOWN
    return moved
