"""What a forecaster has learnt: its inferred graphs by motor state, how stable they are, and who follows whom.

Stability is the correlation of edge probabilities between two halves of a worm's windows, two seeds, or two worms,
against the same with the neurons of one of the two shuffled: a graph that is the same for all because of a bias of the
encoder passes this test as well as a true one, but one that is noise does not.
"""

from collections.abc import Sequence
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from wormjax import graphs
from wormjax.baselines.consensus import correlate
from wormjax.features.dataset import Dataset
from wormjax.features.forecast_origins import Starts, cut_past
from wormjax.models.forecast_roll_outs import Clamp, predict
from wormjax.tasks.forecast import networks as forecasting

SHUFFLES = 20  # Of the neurons, for each pair of graphs.
SHOWN_STARTS = 64  # Starts that a perturbation is averaged over, at most.

Matrix = Float[np.ndarray, "sender receiver"]
Matrices = Float[np.ndarray, "start sender receiver"]


def average_by_state(matrices: Matrices, states: np.ndarray, state_names: Sequence[str]) -> dict[str, Matrix]:
    """Return motor state before the start → the mean graph; states without a start are left out."""
    found = {name: states == state for state, name in enumerate(state_names)}
    return {name: _average(matrices[chosen]) for name, chosen in found.items() if chosen.any()}


def present_edges(edges: Float[np.ndarray, "start edge type"], neurons: int) -> Matrices:
    """Return the probability of any type of edge but the first, "no edge"."""
    return graphs.edges_to_matrix(1.0 - edges[..., 0], neurons)


def correlate_pairs(outputs, groups, neurons: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return correlations of mean graphs across windows, seeds and worms, and of shuffled ones."""
    means, halves = {}, []
    for output in outputs:
        matrices = present_edges(output.edges, neurons)
        for worm in np.unique(output.starts.worm):
            own = matrices[output.starts.worm == worm]
            group = groups[output.group]
            means[group.seed, group.split.train, int(worm)] = _average(own)
            if len(own) > 3:  # Blocks of starts, far apart, and not every second one.
                halves.append((_average(own[: len(own) // 2]), _average(own[len(own) // 2 :])))
    pairs = {"windows": halves, "seeds": [], "worms": []}
    for (key, one), (other_key, other) in combinations(means.items(), 2):
        if key[1:] == other_key[1:]:
            pairs["seeds"].append((one, other))
        elif key[:2] == other_key[:2]:
            pairs["worms"].append((one, other))
    random = np.random.default_rng(0)

    def shuffle(matrix):
        order = random.permutation(len(matrix))
        return matrix[np.ix_(order, order)]

    found, nulls = {}, {}
    for name, some in pairs.items():
        values = np.array([correlate(*pair) for pair in some])
        null = np.array([correlate(one, shuffle(other)) for one, other in some for _ in range(SHUFFLES)])
        if np.isfinite(values).any():
            found[name], nulls[name] = values, null
    return found, nulls


def measure_followers(
    name: str, config, fit: dict, split: int, variables, dataset: Dataset, starts: Starts, step: int
) -> Float[np.ndarray, "neuron follower"]:
    """Return how far each neuron's forecast at `step` moves when one neuron is held a unit above its last value.

    Held there through the roll-out, against held at its last value; mean over starts (spread out where there are many),
    first feature, scaled units.
    """
    starts = starts.of(np.unique(np.linspace(0, len(starts.frame) - 1, SHOWN_STARTS).astype(int)))
    module = forecasting.build_module(name, config, dataset)
    past = jnp.asarray(cut_past(dataset, starts, forecasting.build_shape(config).past))
    operators = jnp.asarray(forecasting.find_operators(config, name, fit, split, dataset, starts))
    neurons = past.shape[2]

    @jax.jit
    def respond(neuron):
        held = jnp.broadcast_to(jnp.arange(neurons) == neuron, (*past.shape[:1], neurons))

        def mean_at(lift):
            values = past[:, -1].at[..., 0].add(lift)
            result = predict(module, variables, past, operators, step, clamp=Clamp(held, values))
            weights = jax.nn.softmax(result.mode_logits)[:, :, None]
            return (weights * result.mean[:, :, -1, :, 0]).sum(axis=1)

        return (mean_at(1.0) - mean_at(0.0)).mean(axis=0)

    return _average(np.stack([np.asarray(respond(neuron)) for neuron in range(neurons)])[None])


def _average(matrices):
    mean = matrices.mean(axis=0)
    return np.where(np.eye(len(mean), dtype=bool), np.nan, mean)
