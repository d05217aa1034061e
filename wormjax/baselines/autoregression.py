"""Ridge autoregression per channel: the change of each channel (neuron, feature) from its own last frames alone.

One model per channel serves all worms that have it: the sums run over all frames of the training worms that have the
neuron, so that a worm counts by its frames. A large penalty leaves persistence with a mean drift, as in
`vector_autoregression`, whose operators these are with zeros between channels.
"""

import numpy as np
from jaxtyping import Float

from wormjax.baselines.vector_autoregression import Products, Stretches, solve_products


def sum_own_products(stretches: Stretches, order: int) -> Products:
    """Return the products of every channel's own past, [channel, past, past] and [channel, past, 1].

    A channel that is zero throughout a stretch is one that the worm lacks, and adds nothing.
    """
    channels = stretches[0].shape[1]
    gram, cross = np.zeros((channels, order + 1, order + 1)), np.zeros((channels, order + 1, 1))
    for values in stretches:
        frames, there = len(values) - order, values.any(axis=0)
        if frames > 0:
            columns = [values[lag : lag + frames] for lag in range(order)]
            past = np.stack([*columns, np.broadcast_to(there, (frames, channels))], axis=-1).transpose(1, 0, 2)
            change = np.diff(values[order - 1 :], axis=0).T[..., None]
            gram += past.transpose(0, 2, 1) @ past
            cross += past.transpose(0, 2, 1) @ change
    return Products(gram, cross)


def solve_own_products(products: Products, ridge: float) -> Float[np.ndarray, "past channel"]:
    """Return the coefficients as those of a vector autoregression: `order` frames of all channels, then a constant."""
    channels, size = products.cross.shape[:2]
    operators = np.zeros((size - 1, channels, channels))
    constants = np.zeros(channels)
    for channel in range(channels):
        own = solve_products(Products(products.gram[channel], products.cross[channel]), ridge)[:, 0]
        operators[:, channel, channel], constants[channel] = own[:-1], own[-1]
    return np.concatenate([operators.reshape(-1, channels), constants[None]])
