"""Combinations of the edges that arrive at an object: how likely a decoder makes the frames under each of them.

All combinations of few objects (`models.exact_posterior`); the likeliest of many (`models.listed_posterior`); all in
each frame where edges change (`models.edge_chains`). Training (`nri_exact`) and inference (`exact_inference`) share
them.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from wormjax import graphs
from wormjax.models import edge_chains
from wormjax.models import exact_posterior as exact
from wormjax.models import listed_posterior as listed
from wormjax.models.nri import Nri, decode_combinations, find_target, is_dynamic
from wormjax.models.units import take_out_units, whiten_units
from wormjax.training import likelihoods, masks
from wormjax.training.objectives.system_batches import Bound, find_prior


class Measured(NamedTuple):
    """Of the last frame of every piece, under every combination."""

    squares: Float[Array, "combination simulation segment object feature"]  # Squared errors.
    white: Float[Array, "combination simulation segment object feature"]  # The same less each object's offset and gain.
    # Of all pieces together, or of each where edges change.
    log_likelihood: Float[Array, "combination simulation *segment object"]
    listed: Float[Array, "simulation object combination sender type"] | None = None  # Where objects have their own.


class Posterior(NamedTuple):
    """Of combinations, given the frames."""

    evidence: Float[Array, "simulation part"]  # Log marginal likelihood in nats, of each object or of all.
    combinations: Float[Array, "combination simulation segment object"]  # Their probabilities.
    edges: Float[Array, "simulation *segment edge type"]  # Probabilities; by frame where edges change.
    predicted: Float[Array, "simulation later edge type"] | None = None  # From the frames before each.
    transitions: Float[Array, "type type"] | None = None  # Of edges that change, expected numbers from type to type.


class AllCombinations:
    """Every combination, at every strength of messages where the bound has several."""

    by_frame = False

    def __init__(self, nri: Nri, bound: Bound, objects: int):
        self.nri, self.bound, self.prior = nri, bound, find_prior(nri, bound)
        self.strengths = len(bound.strengths)
        self.combinations = exact.list_combinations(objects - 1, nri.edge_types)
        self.tried = exact.try_strengths(self.combinations, bound.strengths)

    def measure(
        self,
        params: Any,
        pieces: Float[Array, "simulation segment frame object feature"],
        variance: Float[Array, " feature"],
        history: Float[Array, "simulation frame object feature"],
        weights: Float[Array, "simulation segment object"] | None = None,
        price: Float[Array, ""] | float = 1.0,
    ) -> Measured:
        """Return errors and likelihoods, of those pieces alone in which an object has a weight of 1.

        Where edges change, senders of weight 0 have no effect.
        """
        nri, bound = self.nri, self.bound
        predicted = decode_combinations(nri, params, pieces[:, :, :-1], self.tried, history)
        if self.by_frame and weights is not None:
            predicted = edge_chains.ignore_absent(predicted, weights, nri.edge_types)
        errors, cost = predicted - find_target(nri, pieces), 0.0
        squares = white = errors**2
        if bound.offset_and_gain:
            scale = jnp.asarray(nri.change_scale)
            errors = errors if weights is None else errors * weights[..., None]
            errors, cost = take_out_units(errors, predicted, scale, bound.offset_and_gain)
            white = errors**2
        nll = likelihoods.negative_log_likelihood(white, variance, bound.degrees_of_freedom)
        nll = nll if weights is None else nll * weights[..., None]
        return Measured(squares, white, -nll.sum(axis=4) if self.by_frame else -nll.sum(axis=(2, 4)) - cost)

    def weigh(self, measured: Measured, statistics: Any, price: Float[Array, ""] | float) -> Posterior:
        """Return the posterior; for `price` see `exact_posterior.weigh_combinations`."""
        inputs = measured.log_likelihood, self.combinations, self.prior, self.strengths, price
        evidence, posterior = exact.weigh_strengths(*inputs)
        posterior = jax.lax.stop_gradient(posterior)
        edges = exact.marginalise_edges(posterior, np.tile(self.combinations, (max(self.strengths, 1), 1, 1)))
        return Posterior(evidence, posterior[:, :, None], edges)


class ListedCombinations:
    """The likeliest combinations of each object, or, with `bound.mutual`, of all pairs together.

    Where both edges of a pair have one type, which is what `bound.mutual` takes to be known, a combination is one of
    all pairs: what each object does counts for all of its edges, and for those of the others.
    """

    by_frame = False

    def __init__(self, nri: Nri, bound: Bound, objects: int):
        self.nri, self.bound, self.prior = nri, bound, find_prior(nri, bound)
        self.switches = listed.list_switches(objects - 1, nri.edge_types)
        self.pairs = graphs.number_pairs(objects)

    def measure(self, params: Any, pieces, variance, history, weights=None, price=1.0) -> Measured:
        """Return errors and likelihoods, as `AllCombinations.measure`, and the combinations.

        A decoder whose messages add up says what every combination does when it has gone ahead once without and once
        with each edge. Places left over, where there are fewer combinations, have a likelihood of 0.
        """
        bound = self.bound
        predicted = decode_combinations(self.nri, params, pieces[:, :, :-1], self.switches, history)
        target = find_target(self.nri, pieces)
        base, effects = predicted[0] - target, predicted[1:] - predicted[:1]
        if bound.offset_and_gain:
            if weights is not None:
                base, effects = (part * weights[..., None] for part in (base, effects))
            base, effects = (whiten_units(part, target, bound.offset_and_gain) for part in (base, effects))
        scale = jnp.broadcast_to(variance**-0.5, base.shape)
        scale = scale if weights is None else scale * weights[..., None]

        def search(scale):
            target, moved = (jax.lax.stop_gradient(part * scale) for part in (-base, effects))
            gram = jnp.einsum("asfnk,bsfnk->snab", moved, moved) / price
            linear = jnp.einsum("asfnk,sfnk->sna", moved, target) / price
            found = self._find(gram, linear)
            chosen = found.combinations[..., 1:].reshape(*found.combinations.shape[:3], -1)
            return found, base + jnp.einsum("snca,asfnk->csfnk", chosen, effects)

        found, errors = search(scale)
        if bound.degrees_of_freedom:  # The quadratic form of a second search is without the outliers of the first.
            first = jax.lax.stop_gradient(errors[0]) ** 2
            counts = likelihoods.student_t_weights(first, variance, bound.degrees_of_freedom)
            found, errors = search(scale * counts**0.5)
        nll = likelihoods.negative_log_likelihood(errors**2, variance, bound.degrees_of_freedom)
        nll = (nll if weights is None else nll * weights[..., None]).sum(axis=(2, 4))
        log_likelihood = jnp.where(jnp.moveaxis(found.valid, 2, 0), -nll, -jnp.inf)
        return Measured(errors**2, errors**2, log_likelihood, found.combinations)

    def _find(self, gram, linear) -> listed.Listed:
        """Return the likeliest combinations of the edges that arrive at each object: [simulation, object, ...]."""
        find = functools.partial(listed.find_combinations, log_prior=jnp.log(self.prior), most=self.bound.combinations)
        if not self.bound.mutual:
            return jax.vmap(jax.vmap(find))(gram, linear)
        simulations, objects, others = len(gram), len(self.pairs), self.nri.edge_types - 1
        own = (self.pairs[:, :, None] * others + np.arange(others)).reshape(objects, -1)
        count = (self.pairs.max() + 1) * others
        whole = jnp.zeros((simulations, count, count)).at[:, own[:, :, None], own[:, None]].add(gram)
        found = jax.vmap(find)(whole, jnp.zeros((simulations, count)).at[:, own].add(linear))
        valid = jnp.broadcast_to(found.valid[:, None], (simulations, objects, found.valid.shape[1]))
        return listed.Listed(jnp.moveaxis(found.combinations[:, :, self.pairs], 2, 1), valid)

    def weigh(self, measured: Measured, statistics: Any, price: Float[Array, ""] | float) -> Posterior:
        """Return the posterior, as `AllCombinations.weigh`."""
        log_prior = jnp.einsum("sncek,k->csn", measured.listed, jnp.log(self.prior))
        log_likelihood = measured.log_likelihood
        if self.bound.mutual:  # Of all objects together; each pair was counted twice.
            log_prior, log_likelihood = (part.sum(axis=2, keepdims=True) for part in (log_prior / 2, log_likelihood))
        joint = log_prior + log_likelihood / price
        posterior = jax.lax.stop_gradient(jax.nn.softmax(joint, axis=0))
        whole = jnp.broadcast_to(posterior, measured.log_likelihood.shape)
        edges = jnp.einsum("csn,sncek->snek", whole, measured.listed)
        edges = edges.reshape(len(edges), -1, edges.shape[-1])
        return Posterior(price * jax.nn.logsumexp(joint, axis=0), posterior[:, :, None], edges)


class ChangingCombinations(AllCombinations):
    """Every combination in each frame."""

    by_frame = True

    def weigh(self, measured: Measured, statistics: Any, price: Float[Array, ""] | float) -> Posterior:
        """Return the posterior, summed over all sequences by the transitions that `statistics` holds."""
        log_likelihood = jnp.moveaxis(measured.log_likelihood, 2, 0)
        chains = edge_chains.follow_chains(log_likelihood, self.prior, statistics["transition"], price)
        edges, predicted = (
            exact.marginalise_edges(part.swapaxes(0, 1), self.combinations).swapaxes(0, 1)
            for part in (chains.smoothed, chains.predicted)
        )
        combinations = jnp.moveaxis(chains.smoothed, 0, 2)
        return Posterior(chains.evidence, combinations, edges, predicted, chains.transitions)


def list_arriving(nri: Nri, bound: Bound, objects: int) -> AllCombinations | ListedCombinations:
    """Return the combinations of a model and a bound; InputError for more than can be tried."""
    if is_dynamic(nri):
        return ChangingCombinations(nri, bound, objects)
    return (ListedCombinations if bound.combinations else AllCombinations)(nri, bound, objects)


class Pieces:
    """Cuts simulations into pieces of the frames given and the one predicted after them."""

    def __init__(self, bound: Bound, frames: int):
        self.length = bound.burn_in + 1
        self.last = min(bound.decoded_frames or frames, frames) - 1  # The last frame that is predicted.
        self.total = self.last + 1 - bound.burn_in
        self.count, self.together = min(bound.segments, self.total), bound.cross_fitted

    def draw(self, features: Float[Array, "frame object feature"], key: PRNGKeyArray):
        """Return `segments` pieces that begin at different frames: [segment, frame, object, feature]."""
        if self.count == self.total:
            return self.all(features)
        return self._cut(features, self._order(key)[: self.count])

    def leave(self, features: Float[Array, "frame object feature"], key: PRNGKeyArray):
        """Return the pieces that `draw` does not take with this key."""
        return self._cut(features, self._order(key)[self.count :])

    def all(self, features: Float[Array, "frame object feature"]):
        """Return every piece."""
        return self._cut(features, jnp.arange(self.total))

    def weigh(self, observed: Bool[Array, "frame object"] | None, key: PRNGKeyArray | None = None):
        """Return 1 for each object of a piece that is observed in all its frames, else 0: [segment, object].

        The pieces are those that `draw` takes with this key, or all.
        """
        if observed is None:
            return None
        shown = masks.as_feature(observed)
        return masks.weigh_following(self.all(shown) if key is None else self.draw(shown, key))[:, -1]

    def _order(self, key):
        """Return first frames in an order drawn at random; with cross-fitting one after another, from any of them."""
        if self.together:
            return (jax.random.randint(key, (), 0, self.total) + jnp.arange(self.total)) % self.total
        return jax.random.permutation(key, self.total)

    def _cut(self, features, starts: Int[Array, " segment"]):
        return features[starts[:, None] + jnp.arange(self.length)]
