"""Objects that are not observed: their trajectories and their edges, under the decoder of the observed ones.

A decoder that knows what an edge does says how likely any trajectory of a hidden object is: by what the object does to
those that are observed, and by what all do to it. So the hidden trajectories of one system climb the evidence, summed
over every combination of edges that arrive at each object, and the edges are the posterior at the best ones. Löwe et
al. (2022, arXiv 2006.10833) train a network to guess the trajectory of a hidden object; here nothing more is trained.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.fft
from jaxtyping import Float

from wormjax.models import exact_posterior as exact
from wormjax.models.nri import decode_combinations
from wormjax.training import likelihoods
from wormjax.training.objectives.exact_inference import Decoded
from wormjax.training.objectives.system_batches import find_prior
from wormjax.training.stacked_runs import map_systems

STARTS, STEPS, LEARNING_RATE = 8, 400, 0.03
SLOW = 4  # Cosines over time that a start is made of.
AT_ONCE = 8  # Systems at a time.


class Hidden(NamedTuple):
    """What is inferred of systems whose last objects are hidden: all edges, and the hidden objects' trajectories."""

    edges: Float[np.ndarray, "run simulation edge type"]
    paths: Float[np.ndarray, "run simulation frame hidden feature"]


def infer_hidden(decoded: Decoded, hidden: int) -> Hidden:
    """Return the posterior of every edge, hidden objects last, and the hidden objects' trajectories.

    The trajectories are sums of cosines over time. They climb the evidence by Adam from several random starts, slow
    cosines first, and the highest counts. The likelihood is Gaussian; its variance falls from that of all changes to
    the decoder's own, so that an object far from its place still has a slope to climb. The decoder sees one frame
    (`bound.burn_in` is 1).
    """
    nri, bound, _, variables, features, observed = decoded
    _, frames, objects, size = features.shape
    combinations = exact.list_combinations(objects + hidden - 1, nri.edge_types)
    prior, scale = find_prior(nri, bound), np.asarray(nri.change_scale, np.float32) ** 2
    order = np.arange(frames)
    waves = np.sqrt(frames) * scipy.fft.idct(np.eye(frames), axis=0, norm="ortho") / (1.0 + order) ** 1.5
    waves, slow = waves.astype(np.float32), (order < SLOW)[:, None, None]
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, STEPS, 0.05))
    progress = np.minimum(np.linspace(0.0, 1.25, STEPS), 1.0)

    def infer(run, seen, there, key):
        last = likelihoods.find_variance(run["batch_stats"]["squared_error"], bound, scale)[0]
        weights = jnp.ones((frames - 1, objects + hidden, 1))
        if there is not None:
            weights = weights.at[:, :objects, 0].set(there[1:] & there[:-1])

        def draw_paths(amounts):
            return jnp.einsum("tk,khf->thf", waves, amounts)

        def weigh(amounts, variance):
            """Return the evidence of a whole system, and the posterior of the edges that arrive at each object."""
            whole = jnp.concatenate([seen, draw_paths(amounts)], axis=1)
            predicted = decode_combinations(nri, run["params"], whole[:-1, None], combinations, whole)
            nats = likelihoods.negative_log_likelihood((predicted - whole[1:]) ** 2, variance, 0.0)
            evidence, posterior = exact.weigh_combinations(-(nats * weights).sum((1, 3)), combinations, prior)
            return evidence.sum(), posterior

        def climb(begin):
            def step(state, progress):
                amounts, moments = state
                variance = scale ** (1.0 - progress) * last**progress
                slope = jax.grad(lambda amounts: -weigh(amounts, variance)[0])(amounts)
                change, moments = optimizer.update(slope, moments)
                return (optax.apply_updates(amounts, change), moments), None

            (amounts, _), _ = jax.lax.scan(step, (begin, optimizer.init(begin)), progress)
            return amounts, weigh(amounts, last)[0]

        begins = jax.random.normal(key, (STARTS, frames, hidden, size)) * seen.std(axis=(0, 1)) * slow
        ends, evidence = jax.vmap(climb)(begins)
        best = ends[evidence.argmax()]
        return exact.marginalise_edges(weigh(best, last)[1], combinations), draw_paths(best)

    keys = jax.random.split(jax.random.key(0), len(features))
    edges, paths = map_systems(infer, variables, (features, observed, keys), at_once=AT_ONCE)
    return Hidden(np.minimum(edges, 1.0), np.asarray(paths))  # Rounding may lift a probability above one.
