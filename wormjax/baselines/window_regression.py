"""Direct regressions: the changes over the next frames of each neuron, all at once, from a window of the frames before.

`fit_direct` is linear in the neuron's own window, one regression per neuron or one for all. `regress_on_kernels` is
ridge regression per neuron on its own window, on random Fourier features of it, and on random Fourier features of the
population's principal components, in the window's last frame and averaged over spans of it: a sum of a linear kernel
and of three Gaussian ones (Rahimi & Recht 2007).

Changes are from the window's last frame, so that all penalties shrink towards persistence.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import ssyrk

from wormjax.baselines.vector_autoregression import Products, Stretches, solve_products

Past = Float[np.ndarray, "window frame neuron"]
Change = Float[np.ndarray, "window step neuron"]


class Windows(NamedTuple):
    """Windows of frames, and how the frames after each differ from its last one."""

    past: Past
    change: Change


def cut_windows(stretches: Stretches, past: int, steps: int) -> Windows:
    """Return all windows that lie wholly within a stretch, one per frame."""
    views = [
        np.lib.stride_tricks.sliding_window_view(values, past + steps, axis=0).transpose(0, 2, 1)
        for values in stretches
        if len(values) >= past + steps
    ]
    frames = np.concatenate(views)
    return Windows(frames[:, :past], frames[:, past:] - frames[:, past - 1 : past])


def _list_columns(past: Float[np.ndarray, "window frame"]) -> Float[np.ndarray, "window frame"]:
    """Return one neuron's window as differences from its last frame, and that frame."""
    return np.concatenate([past[:, :-1] - past[:, -1:], past[:, -1:]], axis=1)


def fit_direct(windows: Windows, ridge: float, shared: bool = False) -> Float[np.ndarray, "neuron column step"]:
    """Return ridge coefficients of the changes on a neuron's own window and a constant.

    `ridge` is in units of the mean square of each column; `shared`: whether one regression serves all neurons.
    """
    products = []
    for neuron in range(windows.past.shape[2]):
        columns = _append_one(_list_columns(windows.past[:, :, neuron]))
        products.append(Products(columns.T @ columns, columns.T @ windows.change[:, :, neuron]))
    if shared:
        coefficients = solve_products(sum(products[1:], products[0]), ridge)
        return np.repeat(coefficients[None], len(products), axis=0)
    return np.stack([solve_products(own, ridge) for own in products])


def predict_direct(coefficients: Float[np.ndarray, "neuron column step"], past: Past) -> Change:
    """Return the changes that `fit_direct`'s coefficients predict."""
    columns = [_append_one(_list_columns(past[:, :, neuron])) for neuron in range(len(coefficients))]
    return np.stack([own @ of for own, of in zip(columns, coefficients, strict=True)], axis=-1)


def _append_one(columns):
    return np.concatenate([columns, np.ones((len(columns), 1), columns.dtype)], axis=1)


class Prior(NamedTuple):
    """Variances of the kernels: linear in the own window, Gaussian in it, and each of the population's two."""

    linear: float
    own: float
    population: float


class Sizes(NamedTuple):
    """Sizes of a kernel regression; widths are squared lengths, in units of the mean square distance to the mean."""

    components: int
    random_features: int
    own_width: float
    population_width: float


def regress_on_kernels(
    windows: Windows,
    starts: Sequence[Change],
    priors: Sequence[Prior],
    penalties: Sequence[float],
    pasts: Sequence[tuple[Past, Sequence[Change]]],
    sizes: Sizes,
    seed: int = 0,
) -> dict[tuple[int, float], list[Change]]:
    """Fit kernel regressions of what other forecasts leave over; return (model, penalty) → the changes of `pasts`.

    Neuron by neuron, so that no more than one neuron's features are held.

    Args:
      starts: other forecasts of the windows' changes (0: persistence), whose errors are regressed, one model each.
      penalties: variances of the noise; a solution each.
      pasts: what to forecast, with the other forecasts of it.
    """
    steps, neurons = windows.change.shape[1:]
    found = {
        (model, penalty): [np.array(other[model], np.float32) for _, other in pasts]
        for model in range(len(starts))
        for penalty in penalties
    }
    left = np.concatenate([windows.change - start for start in starts], axis=1).astype(np.float32)
    fitted, *wanted = _build_features(windows.past, [past for past, _ in pasts], sizes, seed)
    for neuron in range(neurons):
        features = next(fitted)
        shown = [next(features_of) for features_of in wanted]
        gram, cross = ssyrk(1.0, features.T), features.T @ left[:, :, neuron]  # The upper half, all that is read.
        for model, prior in enumerate(priors):
            window, step = windows.past.shape[1], slice(model * steps, (model + 1) * steps)
            counts = [window, sizes.random_features, 2 * sizes.random_features, 1]
            variances = np.repeat([*prior, 10.0], counts).astype(np.float32)
            for penalty in penalties:
                factor = cho_factor(gram + np.diag(penalty / variances), check_finite=False, overwrite_a=True)
                coefficients = cho_solve(factor, cross[:, step], check_finite=False)
                for changes, columns in zip(found[model, penalty], shown, strict=True):
                    changes[:, :, neuron] += columns @ coefficients
    return found


def _build_features(fitted: Past, others: Sequence[Past], sizes: Sizes, seed: int) -> list[Iterator[np.ndarray]]:
    """Return iterators over neurons' features [window, column], of the windows to fit and of others."""
    random, frames = np.random.default_rng(seed), fitted.shape[1]
    last = fitted[:, -1]
    center = last.mean(axis=0)
    directions = np.linalg.svd(last - center, full_matrices=False)[2][: sizes.components].T
    cuts = sorted({0, (7 * frames) // 12, (5 * frames) // 6, (23 * frames) // 24})  # The later, the shorter.

    def list_states(past):
        """The population's state in the last frame, and over spans of the window [window, component]."""
        projected = (past - center) @ directions
        spans = np.add.reduceat(projected, cuts, axis=1)
        return projected[:, -1], (spans / np.diff([*cuts, frames])[:, None]).reshape(len(past), -1)

    own = random.normal(size=(frames, sizes.random_features)) * np.sqrt(2.0 / (sizes.own_width * frames))
    own_phase = random.uniform(0.0, 2.0 * np.pi, sizes.random_features)
    waves = []
    for states in list_states(fitted):
        width = sizes.population_width * max(states.var(axis=0).sum(), 1e-12)
        directions_of = random.normal(size=(states.shape[1], sizes.random_features)) * np.sqrt(2.0 / width)
        waves.append((directions_of, random.uniform(0.0, 2.0 * np.pi, sizes.random_features)))
    unit = np.sqrt(2.0 / sizes.random_features)
    scale = [np.sqrt(np.square(_list_columns(fitted[:, :, k])).mean()) or 1.0 for k in range(fitted.shape[2])]

    def build(past):
        states = zip(list_states(past), waves, strict=True)
        population = [unit * np.cos(values @ wave + phase) for values, (wave, phase) in states]
        for neuron in range(past.shape[2]):
            columns = (_list_columns(past[:, :, neuron]) / scale[neuron]).astype(np.float32)
            alone = unit * np.cos(columns @ own.astype(np.float32) + own_phase.astype(np.float32))
            yield _append_one(np.concatenate([columns / np.sqrt(frames), alone, *population], axis=1, dtype=np.float32))

    return [build(past) for past in (fitted, *others)]
