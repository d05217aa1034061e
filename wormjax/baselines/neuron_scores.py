"""Scores of directed edges between the neurons of one worm, from its traces alone: larger for a stronger relation.

Unlike wormjax.baselines.relations, which knows of |correlation|, these keep the sign: neurons that are wired together
tend to move together, not against each other. Rows are senders, columns receivers; the diagonal is 0.

`correlate_innovations` relates what is new in each frame, the trace less what its own past predicts.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from jaxtyping import Float

from wormjax.baselines.relations import measure_granger, standardize
from wormjax.baselines.vector_autoregression import roll_out, solve_products, sum_products
from wormjax.graphs import edges_to_matrix

Traces = Float[np.ndarray, "frame neuron"]
Matrix = Float[np.ndarray, "sender receiver"]
AUTOREGRESSION = 2  # Past frames that predict a trace from itself.


def correlate(traces: Traces) -> Matrix:
    """Return the correlation of each two neurons."""
    return _clear(_correlate(standardize(traces, axis=0)))


def correlate_lagged(traces: Traces, lag: int = 1) -> Matrix:
    """Return the correlation of each sender with the receiver `lag` frames later."""
    scaled = standardize(traces, axis=0)
    return _clear(scaled[:-lag].T @ scaled[lag:] / (len(scaled) - lag))


def correlate_partially(traces: Traces, shrinkage: float = 0.8) -> Matrix:
    """Return the correlation of each two neurons given all others, the correlations shrunk towards 0."""
    return _clear(_invert(_correlate(standardize(traces, axis=0)), shrinkage))


def correlate_innovations(traces: Traces, shrinkage: float = 0.8) -> Matrix:
    """Return the shrunk partial correlation of what is new in each frame: not predicted by a trace's own past."""
    return _clear(_invert(_correlate(find_innovations(traces)), shrinkage))


def measure_causality(traces: Traces, order: int = 2, granger_ridge: float = 1e-2) -> Matrix:
    """Return conditional Granger causality (wormjax.baselines.relations), which has no sign."""
    edges = measure_granger(standardize(traces, axis=0)[None, :, :, None], order, granger_ridge)
    return edges_to_matrix(edges[0], traces.shape[1])


def fit_var(traces: Traces, order: int = 2, ridge: float = 0.1) -> Matrix:
    """Return the coefficients of a ridge vector autoregression, their sum over `order` past frames."""
    neurons = traces.shape[1]
    return _clear(_fit_operators(traces, order, ridge)[:-1].reshape(order, neurons, neurons).sum(axis=0))


def respond_var(traces: Traces, order: int = 2, ridge: float = 0.1, held: int = 1, steps: int = 10) -> Matrix:
    """Return how each neuron responds when one is driven, in the roll-out of a ridge vector autoregression.

    A neuron is `held` for some frames one s.d. above its mean, the others at theirs before; the response is the mean
    over `steps` frames from then on.
    """
    operators, neurons = _fit_operators(traces, order, ridge), traces.shape[1]
    operators[-1] = 0.0
    past, total = np.zeros((neurons, order, neurons)), np.zeros((neurons, neurons))
    drive = np.eye(neurons)
    for step in range(steps):
        following = roll_out(operators[None], past, 1)[:, 0]
        if step < held:
            following = np.where(drive > 0, 1.0, following)
        past = np.concatenate([past[:, 1:], following[:, None]], axis=1)
        total += following / steps
    return _clear(total)


METHODS: Mapping[str, Callable[..., Matrix]] = {
    "correlation": correlate,
    "lagged_correlation": correlate_lagged,
    "partial_correlation": correlate_partially,
    "innovations": correlate_innovations,
    "granger": measure_causality,
    "var": fit_var,
    "var_response": respond_var,
}


def choose_method(name: str, settings: Mapping[str, float]) -> Callable[[Traces], Matrix]:
    """Return a method with those of the settings that it reads: lag, shrinkage, order, ridge and so on."""
    method = METHODS[name]
    read = method.__code__.co_varnames[1 : method.__code__.co_argcount]
    return partial(method, **{field: settings[field] for field in read if field in settings})


def find_innovations(traces: Traces, order: int = AUTOREGRESSION) -> Traces:
    """Return each trace less its prediction from its own `order` past frames, standardised."""
    scaled = standardize(traces, axis=0)
    past = np.stack([scaled[order - 1 - lag : len(scaled) - 1 - lag] for lag in range(order)])  # [lag, frame, neuron]
    gram = np.einsum("kfn,lfn->nkl", past, past) + 1e-6 * len(scaled) * np.eye(order)
    cross = np.einsum("kfn,fn->nk", past, scaled[order:])
    weights = np.linalg.solve(gram, cross[..., None])[..., 0]
    return standardize(scaled[order:] - np.einsum("kfn,nk->fn", past, weights), axis=0)


def _fit_operators(traces, order, ridge):
    return solve_products(sum_products([standardize(traces, axis=0)], order), ridge)


def _correlate(scaled):
    return scaled.T @ scaled / len(scaled)


def _invert(correlations, shrinkage):
    """Return partial correlations of correlations that are shrunk towards the identity."""
    shrunk = (1 - shrinkage) * correlations
    np.fill_diagonal(shrunk, 1.0)
    precision = np.linalg.inv(shrunk)
    scale = np.sqrt(np.diagonal(precision))
    return -precision / (scale * scale[:, None])


def _clear(matrix):
    np.fill_diagonal(matrix, 0.0)
    return matrix
