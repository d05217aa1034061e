"""Disturbances of windows in training: the share of neurons that fall silent."""

import jax
import jax.numpy as jnp
import pytest

from wormjax.training.objectives.classification import augment_features, list_augmentations


@pytest.mark.parametrize(("least", "most", "low", "high"), [(0.3, 0.0, 0.25, 0.35), (0.0, 0.9, 0.0, 0.9)])
def test_each_window_draws_its_rate_of_silent_neurons(least, most, low, high):
    hyper = {"neuron_dropout": jnp.float32(least), "neuron_dropout_most": jnp.float32(most)}
    keys = jax.random.split(jax.random.key(0), 40)
    shown = augment_features(jnp.ones((40, 1, 2000, 1)), keys, hyper, list_augmentations(hyper))
    silent = 1 - shown.mean(axis=(1, 2, 3))
    assert silent.min() < low + 0.06
    assert silent.max() > high - 0.06
    assert low - 0.02 < silent.min() <= silent.max() < high + 0.02
