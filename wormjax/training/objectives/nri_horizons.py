"""The evidence lower bound of a model that predicts all steps at once (`models.horizons`), on windows with a future."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from wormjax.features.symmetries import Symmetries
from wormjax.models import horizons as model
from wormjax.models.horizons import Plan
from wormjax.models.nri import Nri
from wormjax.training import masks
from wormjax.training.objectives import nri_sampled as sampled
from wormjax.training.objectives.classification import Objective, initial_key
from wormjax.training.objectives.system_batches import Bound, draw_batch, find_prior, fold_keys, turn_all

VALIDATED_AT_ONCE = 32  # Windows.


def horizon_bound(
    nri: Nri, plan: Plan, bound: Bound, units: Float[np.ndarray, "step output"], objects: int, features: int
) -> Objective:
    """Return the objective of one model on windows whose first `plan.history` frames are seen.

    `SystemArrays.base` has what a regression that was not fitted on the window predicts; `units` are the size of its
    errors. Of the `bound`, segments and roll-outs have no part here. Validation scores are in the units of the loss:
    nats per value, at the variance of the training.
    """
    steps, outputs = units.shape
    log_prior = np.log(find_prior(nri, bound))
    scored = np.array([number not in plan.given for number in range(objects)], np.float32)
    values, likelihood = steps * scored.sum() * outputs, sampled.Likelihood(bound, units**2)
    symmetries = bound.symmetries and select_features(bound.symmetries, plan.outputs)

    def initialise(run):
        params = model.initialise(nri, plan, initial_key(run), objects, features, steps)
        statistics = {"squared_error": jnp.asarray(likelihood.scale), "units": jnp.asarray(units)}
        return {"params": params, "batch_stats": statistics}

    def choose_graph(params, batch, hyper, progress, keys=None):
        """Return edges and their cost in nats: sampled ones, or without keys their mean, or the likeliest if `hard`."""
        if bound.task == "true_graph" or nri.encoder is None:
            return jax.nn.one_hot(batch.edges, nri.edge_types), jnp.zeros(len(batch.edges))
        logits = model.encode(nri, params, plan, batch.features[:, : plan.history])
        inputs = logits, log_prior, masks.find_pairs(batch.observed), bound.hard, hyper, progress, keys
        return sampled.draw_edges(*inputs, relaxed=not bound.hard)

    def measure(params, batch, edges):
        """Return the squared errors of all steps, and which count."""
        past, future = batch.features[:, : plan.history], batch.features[:, plan.history :][..., np.array(plan.outputs)]
        predicted = model.predict(nri, params, plan, jnp.asarray(units), past, batch.base, edges, future)
        weights = jnp.broadcast_to(scored, future.shape[:-1])
        if batch.observed is not None:
            weights = weights * batch.observed[:, plan.history :]
        return (predicted - future) ** 2, weights

    def loss(variables, data, run, progress, key, shard):
        batch, keys = draw_batch(data.training, bound.batch, key, shard, bound.symmetries)
        if symmetries is not None:
            batch = batch._replace(base=turn_all(batch.base, symmetries, keys))
        edges, cost = choose_graph(variables["params"], batch, run.hyper, progress, fold_keys(keys, 0))
        squares, weights = measure(variables["params"], batch, edges)
        return likelihood.lose(variables, squares, weights, cost, values, shard)

    def validate(variables, data, run):
        def score(window):
            batch = jax.tree.map(lambda x: x[None], window)
            edges, cost = choose_graph(variables["params"], batch, run.hyper | {"free_bits": 0.0}, 1.0)
            squares, weights = measure(variables["params"], batch, edges)
            nll = likelihood.average(squares, weights, variables["batch_stats"]["squared_error"])
            return nll[0] + cost[0] / values, sampled.average_all(squares, weights)

        scores, mse = jax.lax.map(score, data.validation, batch_size=VALIDATED_AT_ONCE)
        return scores.mean(), {"negative_elbo": scores.mean(), "mse": mse.mean()}

    return Objective(initialise, loss, validate)


def select_features(symmetries: Symmetries, chosen) -> Symmetries:
    """Return the symmetries of some of the features, which become no others."""
    chosen = np.array(chosen)
    order = np.array([[int(np.flatnonzero(chosen == old)[0]) for old in row[chosen]] for row in symmetries.order])
    return Symmetries(order, symmetries.sign[:, chosen], symmetries.offset[:, chosen])
