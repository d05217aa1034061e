"""The evidence lower bound of a model that predicts all steps at once (`models.horizons`), on windows with a future."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from wormjax.features.symmetries import Symmetries, turn_and_mirror
from wormjax.models import horizons as model
from wormjax.models.horizons import Plan
from wormjax.models.nri import Nri
from wormjax.models.sampling import sample_edges
from wormjax.training import masks
from wormjax.training.likelihoods import find_variance, negative_log_likelihood, remember, student_t_weights
from wormjax.training.objectives import nri_sampled as sampled
from wormjax.training.objectives.classification import Objective, initial_key

VALIDATED_AT_ONCE = 32  # Windows.


def horizon_bound(
    nri: Nri, plan: Plan, bound: sampled.Bound, units: Float[np.ndarray, "step output"], objects: int, features: int
) -> Objective:
    """Return the objective of one model on windows whose first `plan.history` frames are seen.

    `SystemArrays.base` has what a regression that was not fitted on the window predicts. Validation scores are in
    the units of the loss: nats per value, at the variance of the training.

    Args:
      nri, plan: the model.
      bound: its task, batch, likelihood and prior; segments and roll-outs have no part here.
      units: the size of the regression's errors.
      objects, features: of a window.
    """
    steps, outputs = units.shape
    prior = sampled.find_prior(nri, bound)
    floor, scored = units**2, np.array([number not in plan.given for number in range(objects)], np.float32)
    values = steps * scored.sum() * outputs
    symmetries = bound.symmetries and select_features(bound.symmetries, plan.outputs)

    def find(squared_error):
        return find_variance(squared_error, bound.variance, bound.variance_floor, floor)

    def initialise(run):
        params = model.initialise(nri, plan, initial_key(run), objects, features, steps)
        return {"params": params, "batch_stats": {"squared_error": jnp.asarray(floor), "units": jnp.asarray(units)}}

    def choose_graph(params, batch, hyper, progress, keys=None):
        """Return edges and their cost in nats: sampled ones, or without keys their mean, or the likeliest if `hard`."""
        pairs = masks.find_pairs(batch.observed)
        if bound.task == "true_graph" or nri.encoder is None:
            return jax.nn.one_hot(batch.edges, nri.edge_types), jnp.zeros(len(batch.edges))
        logits = model.encode(nri, params, plan, batch.features[:, : plan.history])
        if keys is None and bound.hard:
            edges = jax.nn.one_hot(logits.argmax(axis=-1), nri.edge_types)
        elif keys is None:
            edges = jax.nn.softmax(logits)
        else:
            temperature = sampled.anneal(hyper["temperature"], hyper["temperature_end"], progress)
            edges = jax.vmap(lambda x, key: sample_edges(x, key, temperature, bound.hard))(logits, keys)
        edges = edges if pairs is None else edges * pairs[..., None]
        return edges, sampled.charge_edges(logits, np.log(prior), hyper, progress, pairs)

    def measure(params, batch, edges):
        """Return the squared errors of all steps, and which count."""
        past, future = batch.features[:, : plan.history], batch.features[:, plan.history :][..., np.array(plan.outputs)]
        predicted = model.predict(nri, params, plan, jnp.asarray(units), past, batch.base, edges, future)
        weights = jnp.broadcast_to(scored, future.shape[:-1])
        if batch.observed is not None:
            weights = weights * batch.observed[:, plan.history :]
        return (predicted - future) ** 2, weights

    def loss(variables, data, run, progress, key, shard):
        batch, keys = sampled.draw_batch(data.training, bound.batch, key, shard)
        if symmetries is not None:
            turn_keys = jax.vmap(lambda k: jax.random.fold_in(k, sampled.TURN))(keys)
            features = jax.vmap(lambda x, k: turn_and_mirror(x, bound.symmetries, k))(batch.features, turn_keys)
            base = jax.vmap(lambda x, k: turn_and_mirror(x, symmetries, k))(batch.base, turn_keys)
            batch = batch._replace(features=features, base=base)
        params, edge_keys = variables["params"], jax.vmap(lambda k: jax.random.fold_in(k, 0))(keys)
        edges, cost = choose_graph(params, batch, run.hyper, progress, edge_keys)
        squares, weights = measure(params, batch, edges)
        old = variables["batch_stats"]["squared_error"]
        weighed = squares * student_t_weights(squares, find(old)[:, None], bound.degrees_of_freedom)
        errors = shard.total(masks.average(weighed, weights, (0, 2)) / shard.count)
        new = jax.lax.stop_gradient(remember(old, errors))
        nll = negative_log_likelihood(squares, find(new)[:, None], bound.degrees_of_freedom)
        value = (masks.average(nll, weights, (1, 2, 3)) + cost / values).sum() / bound.batch
        mse = masks.average(squares, weights, (0, 1, 2, 3))
        metrics = {"loss": value, "mse": mse / shard.count, "kl": cost.sum() / bound.batch}
        return value, (variables["batch_stats"] | {"squared_error": new}, metrics)

    def validate(variables, data, run):
        variance = find(variables["batch_stats"]["squared_error"])[:, None]

        def score(window):
            batch = jax.tree.map(lambda x: x[None], window)
            edges, cost = choose_graph(variables["params"], batch, run.hyper | {"free_bits": 0.0}, 1.0)
            squares, weights = measure(variables["params"], batch, edges)
            nll = negative_log_likelihood(squares, variance, bound.degrees_of_freedom)
            nll, mse = masks.average(nll, weights, (0, 1, 2, 3)), masks.average(squares, weights, (0, 1, 2, 3))
            return nll + cost[0] / values, mse

        scores, mse = jax.lax.map(score, data.validation, batch_size=VALIDATED_AT_ONCE)
        return scores.mean(), {"negative_elbo": scores.mean(), "mse": mse.mean()}

    return Objective(initialise, loss, validate)


def select_features(symmetries: Symmetries, chosen) -> Symmetries:
    """Return the symmetries of some of the features, which become no others."""
    chosen = np.array(chosen)
    order = np.array([[int(np.flatnonzero(chosen == old)[0]) for old in row[chosen]] for row in symmetries.order])
    return Symmetries(order, symmetries.sign[:, chosen], symmetries.offset[:, chosen])
