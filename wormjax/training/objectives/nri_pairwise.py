"""Train an encoder on the posterior of each pair, while its few parameters maximise the likelihood of all pairs.

As with the exact posterior (`nri_exact`), neither part waits for the other, and no graph is given.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from wormjax.models import nri as model
from wormjax.models.nri import Nri
from wormjax.models.pairwise_posterior import infer_pairs, initialise_pairs
from wormjax.training import masks
from wormjax.training.objectives import nri_sampled as sampled
from wormjax.training.objectives.classification import Objective, initial_key
from wormjax.training.objectives.system_batches import Bound, draw_batch
from wormjax.training.stacked_runs import map_systems


def pairwise_evidence(nri: Nri, bound: Bound, frames: int, objects: int) -> Objective:
    """Return the objective, in nats per ordered pair: cross-entropy of the encoder less the pairs' log likelihood."""

    def initialise(run):
        params = model.initialise(nri, initial_key(run), frames, objects)
        return {"params": params | {"pairs": initialise_pairs()}}

    def measure(params, batch):
        """Return each simulation's loss and cross-entropy, and the edges by the encoder and by the posterior."""
        evidence, edges = jax.vmap(lambda x: infer_pairs(params["pairs"], x))(batch.features)
        log_edges = jax.nn.log_softmax(model.encode(nri, params, batch.features))
        edges, pairs = jax.lax.stop_gradient(edges), masks.find_pairs(batch.observed)
        shown = edges if pairs is None else edges * pairs[..., None]
        cross_entropy = -(shown * log_edges).sum(axis=(1, 2))
        return (cross_entropy - evidence) / edges.shape[1], cross_entropy / edges.shape[1], log_edges, edges

    def loss(variables, data, run, progress, key, shard):
        batch, _ = draw_batch(data.training, bound.batch, key, shard, bound.symmetries)
        value, cross_entropy, *_ = measure(variables["params"], batch)
        value = value.sum() / bound.batch
        return value, ({}, {"loss": value, "cross_entropy": cross_entropy.sum() / bound.batch})

    def validate(variables, data, run):
        value, cross_entropy, inferred, found = measure(variables["params"], data.validation)
        accuracies = [
            sampled.best_accuracy(edges.argmax(axis=-1), data.validation.edges, nri.edge_types)
            for edges in (inferred, found)
        ]
        metrics = {"loss": value.mean(), "cross_entropy": cross_entropy.mean()}
        metrics |= {"edge_accuracy": accuracies[0], "posterior_edge_accuracy": accuracies[1]}
        return metrics["loss"], metrics

    return Objective(initialise, loss, validate)


def infer_pairwise(
    variables: Mapping[str, Any], features: Float[np.ndarray, "simulation frame object feature"]
) -> Float[np.ndarray, "run simulation edge type"]:
    """Return the posterior of every edge under each run's parameters (stacked variables), without its encoder."""
    pairs = variables["params"]["pairs"]
    return np.clip(map_systems(lambda params, x: infer_pairs(params, x)[1], pairs, (features,), at_once=1), 0.0, 1.0)
