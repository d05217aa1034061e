"""The count of operations that speeds are stated by."""

import jax
import jax.numpy as jnp

from experiments.benchmarks.training import count_products


def test_products_are_counted_in_batches_loops_and_what_the_gradient_makes_again():
    matrix, batch = jnp.ones((4, 4)), jnp.ones((3, 2, 4))

    def loop(matrix):
        return jax.lax.scan(lambda carry, _: (jnp.sin(carry @ matrix), None), batch, length=7)[0].sum()

    once = 2 * (3 * 2 * 4) * 4
    assert count_products(jax.make_jaxpr(jax.jit(loop))(matrix).jaxpr) == 7 * once
    again = jax.make_jaxpr(jax.grad(jax.checkpoint(loop)))(matrix)
    assert count_products(again.jaxpr) == 4 * 7 * once  # Forward twice, and two products backward.
