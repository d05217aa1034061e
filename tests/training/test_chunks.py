"""Chunks: one compilation for any number of examples, and each example's result in its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wormjax.training.stacked_runs import map_chunks


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_results_are_those_of_each_example_whatever_their_number(count):
    values = np.arange(count, dtype=np.float32)
    doubled, nothing = map_chunks(lambda tree: (2 * tree[0][:, None], None), (values,), 4)
    np.testing.assert_array_equal(doubled, 2 * values[:, None])
    assert nothing is None


def test_a_function_is_traced_once_for_all_numbers_of_examples():
    shapes = []

    @jax.jit
    def double(values):
        shapes.append(values.shape)
        return 2 * jnp.asarray(values)

    for count in (1, 4, 7, 12):
        assert len(map_chunks(double, np.ones(count, np.float32), 4)) == count
    assert shapes == [(4,)]
