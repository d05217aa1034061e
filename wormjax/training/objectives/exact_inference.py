"""What a trained decoder says of the graphs of systems, without its encoder: by its exact or listed posterior."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float

from wormjax.models.nri import Nri
from wormjax.training import likelihoods
from wormjax.training.objectives.arriving_edges import Pieces, list_arriving
from wormjax.training.objectives.system_batches import Bound, find_prior
from wormjax.training.stacked_runs import map_systems

AT_ONCE = 16  # Systems.


class Decoded(NamedTuple):
    """A trained model, and systems to infer the graphs of."""

    nri: Nri
    bound: Bound  # What the model was trained by.
    price: float  # Of a nat of posterior, `kl_weight_end`.
    variables: Mapping[str, Any]  # Stacked by run.
    features: Float[np.ndarray, "simulation frame object feature"]  # Of the frames that are seen.
    observed: Bool[np.ndarray, "simulation frame object"] | None = None  # Objects that are there; None: all.


class ChangingEdges(NamedTuple):
    """The posterior of edges in each frame by a run's decoder."""

    smoothed: Float[np.ndarray, "run simulation interval edge type"]  # Given all frames, of each frame but the last.
    predicted: Float[np.ndarray, "run simulation frame edge type"]  # Given the frames so far.


def infer_posterior(decoded: Decoded) -> Float[np.ndarray, "run simulation edge type"]:
    """Return the posterior of every edge's type under each run's decoder."""
    return _map_posterior(decoded, lambda _, weigh: weigh().edges[0])


def infer_strengths(decoded: Decoded) -> Float[np.ndarray, "run simulation"]:
    """Return the strength of each system's messages: the posterior mean, in logarithms, over `bound.strengths`."""
    strengths = decoded.bound.strengths

    def infer(_, weigh):
        return weigh().combinations[:, 0, 0, 0].reshape(len(strengths), -1).sum(axis=1)

    return np.exp(_map_posterior(decoded, infer) @ np.log(strengths))


def infer_changes(decoded: Decoded) -> ChangingEdges:
    """Return the posterior of every edge's type in each frame under each run's decoder.

    Frames before the first that the decoder predicts have the edges of that one.
    """

    def infer(_, weigh):
        first, found = [(decoded.bound.burn_in - 1, 0), (0, 0), (0, 0)], weigh()
        return ChangingEdges(*(jnp.pad(part[0], first, mode="edge") for part in (found.edges, found.predicted)))

    return _map_posterior(decoded._replace(bound=decoded.bound._replace(decoded_frames=0)), infer)


def adapt_edges(
    decoded: Decoded, edges: Float[np.ndarray, "run simulation edge type"], steps: int, learning_rate: float
) -> Float[np.ndarray, "run simulation edge type"]:
    """Return the encoder's posterior of every edge's type (`edges`), adapted to each system by gradient steps of Adam.

    As Löwe et al. (2022, arXiv 2006.10833) adapt it at test time: the logits of one system's edges, which begin at the
    encoder's, climb the evidence lower bound under the decoder (of all combinations), which stays as it is. There the
    bound is estimated by edges that are sampled; here it is a sum over all combinations of edges. Its maximum is the
    posterior of `infer_posterior` where that is one graph, or edges that do not depend on each other.
    """
    nri, objects = decoded.nri, decoded.features.shape[2]
    combinations = list_arriving(nri, decoded.bound, objects).combinations
    log_prior, optimizer = jnp.log(find_prior(nri, decoded.bound)), optax.adam(learning_rate)

    def adapt(measured, _, begin):
        log_likelihood = measured.log_likelihood[:, 0]

        def lose(logits):
            log_edges = jax.nn.log_softmax(logits)
            log_share = jnp.einsum("csk,nsk->cn", combinations, log_edges)
            divergence = (jnp.exp(log_edges) * (log_edges - log_prior)).sum()
            return decoded.price * divergence - (jnp.exp(log_share) * log_likelihood).sum()

        def step(_, state):
            logits, moments = state
            change, moments = optimizer.update(jax.grad(lose)(logits), moments)
            return optax.apply_updates(logits, change), moments

        logits = jnp.log(jnp.maximum(begin, 1e-12)).reshape(objects, -1, nri.edge_types)
        logits, _ = jax.lax.fori_loop(0, steps, step, (logits, optimizer.init(logits)))
        return jax.nn.softmax(logits).reshape(begin.shape)

    return _map_posterior(decoded, adapt, (edges,))


def _map_posterior(decoded, infer, own=()):
    """Return what `infer` makes of each run and system: of its `Measured`, and of how its `Posterior` is found."""
    nri, bound, price, variables, features, observed = decoded
    pieces, arriving = Pieces(bound, features.shape[1]), list_arriving(nri, bound, features.shape[2])
    scale = np.asarray(nri.change_scale, np.float32) ** 2

    def infer_system(run, simulation, there, *own):
        statistics = run["batch_stats"]
        variance = likelihoods.find_variance(statistics["squared_error"], bound, scale)[0]
        weights = pieces.weigh(there)
        weights = None if weights is None else weights[None]
        inputs = run["params"], pieces.all(simulation)[None], variance, simulation[None], weights, price
        measured = arriving.measure(*inputs)
        return infer(measured, lambda: arriving.weigh(measured, statistics, price), *own)

    inferred = map_systems(infer_system, variables, (features, observed), own, AT_ONCE)
    return jax.tree.map(lambda part: np.minimum(part, 1.0), inferred)  # Rounding may lift one above.
