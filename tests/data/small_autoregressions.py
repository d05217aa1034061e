"""Worms of autoregressive activity, the config of their forecasts, and plain ridge regressions to hold fast ones to."""

import numpy as np
from small_experiments import replace_arrays, small_dataset

from configs.forecast import get_config

CHANNELS, FIRST, EVERY, STEPS, BLOCK = 4, 16, 16, 20, 8
BASELINES = ("persistence", "mean", "ar_1", "ar_3", "var_1", "var_3", "mixture", "var_adapted")
LENGTHS = ((200,), (170,), (90, 100))
# Two pairs of channels; each turns about itself, and the first pair drives the second.
TURNS = np.kron(np.eye(2), [[-0.12, -0.3], [0.3, -0.12]]) + 0.08 * np.eye(CHANNELS, k=-2)


def linear_config(steps=STEPS, ridges=(1e-3, 1e-1), weights=(3.0,), adapted_ridges=(1e-2,), orders=(1, 3), order=3):
    config = get_config()
    config.baselines = BASELINES
    config.forecast.update({"first": FIRST, "every": EVERY, "steps": steps})
    config.linear.update({"orders": orders, "ridges": ridges})
    config.linear.adaptation.update({"order": order, "weights": weights, "ridges": adapted_ridges, "block": BLOCK})
    return config


def simulate(frames, seed, turns=TURNS):
    random = np.random.default_rng([5, seed])
    values = np.zeros((frames + 50, CHANNELS))
    for frame in range(1, len(values)):
        values[frame] = values[frame - 1] @ (np.eye(CHANNELS) + turns) + random.normal(size=CHANNELS)
    return values[50:]


def make_worms(lengths=LENGTHS, turns=None):
    """Worms by the same rules, or each by its own."""
    turns = turns or [TURNS] * len(lengths)
    return [
        [simulate(frames, 10 * worm + k, turns[worm]) for k, frames in enumerate(of)] for worm, of in enumerate(lengths)
    ]


def make_dataset(lengths=LENGTHS, padding=7):
    dataset = small_dataset(lengths, neurons=2, padding=padding)
    features = np.zeros_like(dataset.arrays.features)
    stretches = [values for worm in make_worms(lengths) for values in worm]
    for row, values in zip(features, stretches, strict=True):
        row[: len(values)] = values.reshape(len(values), 2, 2)
    return replace_arrays(dataset, dataset.arrays._replace(features=features))


def fit_plainly(stretches, order, ridge, without=()):
    """Ridge regression of the change on the past, row by row; `without` some (stretch, frame)."""
    rows = [(k, frame) for k, values in enumerate(stretches) for frame in range(order, len(values))]
    rows = [row for row in rows if row not in without]
    past = np.stack([np.append(stretches[k][frame - order : frame].ravel(), 1.0) for k, frame in rows])
    change = np.stack([stretches[k][frame] - stretches[k][frame - 1] for k, frame in rows])
    penalty = np.diag(np.sqrt(ridge) * np.linalg.norm(past, axis=0))[:-1]
    return np.linalg.lstsq(
        np.concatenate([past, penalty]), np.concatenate([change, np.zeros((len(penalty), CHANNELS))]), rcond=None
    )[0]


def roll_plainly(operators, past, steps):
    order, frames = (len(operators) - 1) // CHANNELS, list(past)
    for _ in range(steps):
        frames.append(frames[-1] + np.append(np.concatenate(frames[-order:]), 1.0) @ operators)
    return np.stack(frames[len(past) :])
