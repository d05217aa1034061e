"""The count of operations that speeds are stated by."""

import jax
import numpy as np
import pytest

from configs import generalize_wang2021
from experiments.benchmarks import training


@pytest.mark.slow
def test_a_chunk_is_timed_and_its_operations_are_counted():
    config = generalize_wang2021.get_config()
    config.train.steps, config.train.epochs, config.train.steps_per_chunk = 10**6, 0, 1
    measured = training.measure_training("wang_mlp", config, 2, 1)
    assert measured.seconds > 0
    assert np.isfinite(measured.operations)
    assert measured.operations > 32 * 8 * 15  # More than one for each value of a batch.


def test_the_rate_of_matrix_products_is_that_of_one_call():
    assert np.isfinite(training.measure_matrix_products(64, repeats=1))
    assert jax.devices()
