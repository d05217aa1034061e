"""The likeliest combinations of edges that arrive at a receiver, found by search: the posterior of many objects.

`exact_posterior` tries all K^(N - 1) combinations. Where messages add up, a receiver's squared errors are a quadratic
function of the edges that arrive, and to find its minimum over edges of 0 and 1 is the problem of integer least squares
that receivers of several antennas solve. Here by breadth-first search (the K-best or M-algorithm: Guo & Nilsson 2006,
IEEE J. Sel. Areas Commun. 24:491): senders are decided one after another, the best determined one first (as V-BLAST,
Wolniansky et al. 1998); of what has been decided the best partial combinations are kept, each with the least cost that
any real numbers for the other edges could have. With as many kept as there are combinations the search leaves none out.

A factorised posterior and Gibbs sweeps stay in local optima, since objects pull in much the same direction
(docs/relations.md has what they find).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

RIDGES = (1e-2, 2e-2)  # Of the quadratic form's mean diagonal; see `find_combinations`.


class Listed(NamedTuple):
    """The type of each sender's edge in each combination, one-hot, and which of them are combinations: none twice."""

    combinations: Float[Array, "combination sender type"]
    valid: Bool[Array, " combination"]


def list_switches(senders: int, types: int) -> Float[np.ndarray, "switch sender type"]:
    """Return the combination in which all edges have the first type, and then those in which one edge has another.

    One-hot, in the order of senders and then of types.
    """
    kinds = np.zeros((1 + senders * (types - 1), senders), int)
    kinds[1:] = np.eye(senders, dtype=int).repeat(types - 1, axis=0) * np.tile(np.arange(1, types), senders)[:, None]
    return np.eye(types, dtype=np.float32)[kinds]


def find_combinations(
    gram: Float[Array, "switch switch"], linear: Float[Array, " switch"], log_prior: Float[Array, " type"], most: int
) -> Listed:
    """Return combinations z of edges with small cost ½ zᵀ gram z - linear · z - their log prior, `most` of them.

    The entries of z are 1 where an edge has that type (`list_switches`), else 0. `gram` has the sums of products of
    what two switches do to what is predicted, over the variance; `linear` those of one switch and of what is to be
    explained.

    For such z, λ |z - ½|² is the same for all, so that λ may be added to the diagonal (and λ / 2 to `linear`) to make
    the matrix regular: the search is of the same costs. The best λ depends on the matrix: each of RIDGES is tried, and
    the one that finds the least cost counts.
    """
    kinds, known = jax.vmap(lambda ridge: _search(gram, linear, log_prior, most, ridge))(jnp.array(RIDGES))
    found = jax.nn.one_hot(kinds, len(log_prior))
    chosen = found[..., 1:].reshape(*kinds.shape[:2], -1)
    cost = 0.5 * jnp.einsum("rma,ab,rmb->rm", chosen, gram, chosen) - chosen @ linear - (found @ log_prior).sum(axis=-1)
    best = jnp.where(known, cost, jnp.inf).min(axis=1).argmin()
    return Listed(found[best], known[best])


def _search(gram, linear, log_prior, most, ridge):
    """Return the types of the edges of each combination, and which are combinations; `ridge` of the mean diagonal."""
    types = len(log_prior)
    others, senders = types - 1, len(linear) // (types - 1)
    values = jnp.eye(types)[:, 1:]
    ridge = ridge * jnp.trace(gram) / len(linear) + 1e-6
    spread = jnp.linalg.inv(gram + ridge * jnp.eye(len(linear)))
    mean = spread @ (linear + ridge / 2)

    def decide(state, _):
        """Decide the edge of one more sender: the one whose edges the others leave the least freedom."""
        spread, means, cost, kinds, open_senders = state
        freedom = jnp.diag(spread).reshape(senders, others).sum(axis=1)
        sender = jnp.argmin(jnp.where(open_senders, freedom, jnp.inf))
        own = sender * others + jnp.arange(others)
        rows = spread[own]
        precision = jnp.linalg.inv(rows[:, own]) if others > 1 else 1.0 / rows[:, own]
        away = values - means[:, None, own]  # [kept, type, other].
        costs = cost[:, None] + 0.5 * jnp.einsum("mku,uv,mkv->mk", away, precision, away) - log_prior
        best, place = jax.lax.top_k(-costs.reshape(-1), most)
        parent, kind = place // types, place % types
        gain = rows.T @ precision
        means = means[parent] + away.reshape(-1, others)[place] @ gain.T
        kinds = kinds[parent].at[:, sender].set(kind)
        return (spread - gain @ rows, means, -best, kinds, open_senders.at[sender].set(False)), None

    cost = jnp.where(jnp.arange(most) == 0, 0.0, jnp.inf)
    state = spread, jnp.tile(mean, (most, 1)), cost, jnp.zeros((most, senders), int), jnp.ones(senders, bool)
    _, _, cost, kinds, _ = jax.lax.scan(decide, state, length=senders)[0]
    return kinds, jnp.isfinite(cost)
