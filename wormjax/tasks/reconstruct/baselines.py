"""Linear reconstructions of hidden neurons: the partner alone, ridge regressions, a Gaussian conditional.

All of them are weights [neuron, hidden neuron] on the standardised traces of one worm, and need of the training worms
no more than the products of these traces. The weights of every hidden neuron on all others come from one inverse P of
the regularised products: -P[:, h] / P[h, h]. Leaving out a partner p as well is a rank-one change of P.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax.features.dataset import Dataset
from wormjax.recordings.names import find_mirrors
from wormjax.tasks.protocols import Split

PARTNER, UNION, PAIRS, GAUSSIAN = "partner", "ridge_union", "ridge_pairs", "gaussian"
MIRRORED = "ridge_mirrored"  # PAIRS, and each training worm a second time with its left and right exchanged.
BASELINES = (PARTNER, UNION, PAIRS, MIRRORED, GAUSSIAN)
MIRROR_WEIGHT = 0.5  # Of a regression on a mirrored worm beside that on the worm itself.
PRIOR_WORMS = 1
SMALLEST_VALUE = 1e-6  # Eigenvalues of a covariance from frames present pair by pair may be negative.

Products = Float[np.ndarray, "neuron neuron"]
Partners = Int[np.ndarray, " neuron"]
Present = Bool[np.ndarray, " neuron"]


def standardise(traces: Float[np.ndarray, "stretch frame neuron"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one worm's traces with mean 0 and s.d. 1, 0 where there is none, and both statistics [neuron]."""
    traces, there = traces.astype(np.float64), traces != 0
    count = np.maximum(there.sum(axis=(0, 1)), 1)
    mean = traces.sum(axis=(0, 1)) / count
    centred = (traces - mean) * there
    sd = np.sqrt((centred**2).sum(axis=(0, 1)) / count)
    return centred / np.where(sd > 0, sd, 1.0), mean, sd


def fit_baselines(config, dataset: Dataset, splits: Sequence[Split]) -> dict[str, Any]:
    """Return what the baselines read of the worms, and the penalties that each split's training worms choose.

    Returns:
      products, counts: of the standardised traces [worm, neuron, neuron]: sums of products, and of how many frames.
      mean, sd: of the traces [worm, neuron].
      mirrors: of `find_mirrors` [neuron].
      penalty: baseline → the penalty or shrinkage chosen [split].
    """
    worms = []
    for worm in range(len(dataset.worms)):
        traces = dataset.arrays.features[dataset.stretches_of(worm), ..., 0]
        values, mean, sd = standardise(traces)
        flat, there = (part.reshape(-1, len(mean)).astype(np.float64) for part in (values, traces != 0))
        worms.append({"products": flat.T @ flat, "counts": there.T @ there, "mean": mean, "sd": sd})
    fit = {field: np.stack([worm[field] for worm in worms]) for field in worms[0]}
    fit["mirrors"] = np.array(find_mirrors(dataset.neuron_names))
    tuned = [name for name in BASELINES if name != PARTNER]
    chosen = {name: np.array([choose_penalty(name, config, fit, split.train) for split in splits]) for name in tuned}
    return fit | {"penalty": chosen}


def find_known(fit: dict[str, Any], train: Sequence[int], least_worms: int) -> Bool[np.ndarray, " neuron"]:
    """Return the neurons that enough training worms have; of fewer training worms, all of them must."""
    return find_there(fit)[list(train)].sum(axis=0) >= min(least_worms, len(train))


def find_there(fit: dict[str, Any]) -> Bool[np.ndarray, "worm neuron"]:
    """Return which neurons each training worm has."""
    return np.diagonal(fit["counts"], axis1=1, axis2=2) > 0


def choose_penalty(name: str, config, fit: dict[str, Any], train: Sequence[int]) -> float:
    """Return the penalty of the best mean R² over training worms, each left out once; the middle one of a lone worm."""
    # Shrinkages, or penalties per training worm and frame.
    candidates = tuple(config.linear.shrinkages if name == GAUSSIAN else config.linear.penalties)
    if len(train) < 2:
        return candidates[len(candidates) // 2]
    there, scores = find_there(fit), np.zeros(len(candidates))
    for worm in train:
        others = [k for k in train if k != worm]
        scored = there[worm] & find_known(fit, others, config.data.least_worms)
        correlations = _correlate(fit, worm)
        for number, penalty in enumerate(candidates):
            weights = find_weights(name, fit, others, there[worm], penalty)
            explained = 2 * (weights * correlations).sum(axis=0) - (weights * (correlations @ weights)).sum(axis=0)
            scores[number] += explained[scored].mean() if scored.any() else 0.0
    return candidates[int(np.argmax(scores))]


def find_weights(
    name: str, fit: dict[str, Any], train: Sequence[int], there: Present, penalty: float, partners=None
) -> Float[np.ndarray, "neuron hidden"]:
    """Return each neuron's weights in the reconstruction of each hidden neuron of a worm; 0 of itself.

    With `partners`, each hidden neuron's partner is withheld (-1 for none). PARTNER has no penalty.
    """
    weights, total = np.zeros((2, len(there), len(there)))
    for share, hidden, read, gram in _list_systems(name, fit, train, there, penalty):
        kept, lacking = np.flatnonzero(read), np.flatnonzero(hidden & ~read)
        precision, mates = np.linalg.inv(gram[np.ix_(kept, kept)]), None
        if partners is not None:  # Their places among the neurons kept; -1 where they are not.
            places = np.full(len(partners) + 1, -1)
            places[kept] = np.arange(len(kept))
            mates = places[partners[kept]]
        solved = _regress(precision, mates)
        weights[np.ix_(kept, kept[hidden[kept]])] += share * solved[:, hidden[kept]]
        weights[np.ix_(kept, lacking)] += share * precision @ gram[kept][:, lacking]
        total[:, hidden] += share
    return weights * there[:, None] / np.where(total > 0, total, 1.0)


def weigh_partner(fit: dict[str, Any], train: Sequence[int], there: Bool[np.ndarray, " neuron"], partners: Partners):
    """Return the weights [neuron, hidden] of each neuron's partner: the correlation of both in the training worms."""
    products, counts = fit["products"][list(train)].sum(axis=0), fit["counts"][list(train)].sum(axis=0)
    weights, own = np.zeros_like(products), np.flatnonzero(partners >= 0)
    places = partners[own], own
    weights[places] = products[places] / np.maximum(counts[places], 1)
    return weights * there[:, None]


def _list_systems(name, fit, train, there, penalty) -> Iterator[tuple[float, np.ndarray, np.ndarray, Products]]:
    """Yield (weight, hidden neurons, neurons that are read, regularised products) of each regression."""
    present, identity, mirrors = find_there(fit), np.eye(len(there)), fit["mirrors"]
    if name in (PAIRS, MIRRORED):
        for worm in train:
            gram = _correlate(fit, worm)
            yield 1.0, present[worm], present[worm] & there, gram + penalty * identity
            if name == MIRRORED:
                own = present[worm, mirrors] & (mirrors >= 0)
                gram = gram[np.ix_(mirrors, mirrors)] * np.outer(own, own)
                yield MIRROR_WEIGHT, own, own & there, gram + penalty * identity
    elif name == GAUSSIAN:
        there = there & present[list(train)].any(axis=0)
        covariance = _pool(fit, train)
        values, vectors = np.linalg.eigh((1 - penalty) * covariance + penalty * identity)
        yield 1.0, present[list(train)].any(axis=0), there, (vectors * np.maximum(values, SMALLEST_VALUE)) @ vectors.T
    else:  # Neurons that the same training worms have share their rows.
        patterns = present[list(train)].T
        for pattern in np.unique(patterns[patterns.any(axis=1)], axis=0):
            rows = [worm for worm, own in zip(train, pattern, strict=True) if own]
            gram = sum(_correlate(fit, worm) for worm in rows) + penalty * len(rows) * identity
            yield 1.0, (patterns == pattern).all(axis=1), present[rows].any(axis=0), gram


def _pool(fit: dict[str, Any], train: Sequence[int]) -> Products:
    """Return the covariance of the union, from frames in which both neurons are there; pairs of few worms are shrunk.

    Each pair counts `PRIOR_WORMS` more worms in which it is not correlated.
    """
    products, counts = fit["products"][list(train)].sum(axis=0), fit["counts"][list(train)].sum(axis=0)
    prior = PRIOR_WORMS * fit["counts"][list(train)].max(axis=(1, 2)).mean()
    covariance = products / (counts + prior)
    np.fill_diagonal(covariance, 1.0)
    return covariance


def _correlate(fit: dict[str, Any], worm: int) -> Products:
    """Return the correlations of a worm's traces: 0 with a neuron that it lacks."""
    return fit["products"][worm] / max(fit["counts"][worm].max(), 1)


def _regress(precision: Products, partners: Partners | None) -> Products:
    """Return the weights [neuron, hidden] of the regression of each neuron on all others, or all but its partner."""
    columns = precision.copy()
    if partners is not None:
        own = np.flatnonzero(partners >= 0)
        mates = partners[own]
        columns[:, own] -= precision[:, mates] * (precision[mates, own] / precision[mates, mates])
        columns[mates, own] = 0.0
    weights = -columns / np.diagonal(columns)
    np.fill_diagonal(weights, 0.0)
    return weights


def reconstruct(
    name: str, fit: dict, split: int, train, dataset: Dataset, worm: int, partners: Partners, without_partner: bool
) -> Float[np.ndarray, "stretch frame neuron"]:
    """Return a baseline's reconstruction of each neuron of a worm's stretches from all others.

    `split` is the number of the split, by which a penalty was chosen; `partners` are -1 for none.
    """
    values, _, _ = standardise(dataset.arrays.features[dataset.stretches_of(worm), ..., 0])
    there = (values != 0).any(axis=(0, 1))
    if name == PARTNER:
        weights = weigh_partner(fit, train, there, partners) * (not without_partner)
    else:
        penalty = fit["penalty"][name][split]
        weights = find_weights(name, fit, train, there, penalty, partners if without_partner else None)
    have = find_there(fit)[list(train)]
    count = np.maximum(have.sum(axis=0), 1)
    mean, sd = ((fit[field][list(train)] * have).sum(axis=0) / count for field in ("mean", "sd"))
    return (values @ weights * sd + mean).astype(np.float32)
