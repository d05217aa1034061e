"""Gumbel-softmax samples have the right frequencies and gradients; the divergence is SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from wormjax.models.sampling import kl_divergence, sample_edges

LOGITS = np.array([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], np.float32)
DRAWS = 4000


# One program for all tests; the temperature is an array in training too.
SAMPLE = jax.jit(sample_edges, static_argnames="hard")


def draw(temperature, hard=False, seed=0, logits=LOGITS):
    """Samples [draw, edge, type] of the same logits."""
    many = np.broadcast_to(logits, (DRAWS, *logits.shape))
    return np.asarray(SAMPLE(many, jax.random.key(seed), jnp.float32(temperature), hard=hard))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("hard", [False, True])
def test_the_most_likely_type_is_distributed_as_the_softmax(temperature, hard):
    counts = np.stack([np.bincount(types, minlength=3) for types in draw(temperature, hard).argmax(axis=-1).T])
    for observed, expected in zip(counts, scipy.special.softmax(np.float64(LOGITS), axis=-1), strict=True):
        assert scipy.stats.chisquare(observed, expected * DRAWS).pvalue > 1e-3


@pytest.mark.parametrize("temperature", [0.1, 0.5, 5.0])
@pytest.mark.parametrize("hard", [False, True])
def test_samples_lie_on_the_simplex(temperature, hard):
    samples = draw(temperature, hard)
    assert samples.min() >= 0
    np.testing.assert_allclose(samples.sum(axis=-1), 1.0, rtol=1e-5)


def test_samples_are_one_hot_at_a_low_temperature_and_even_at_a_high_one():
    assert (draw(1e-3).max(axis=-1) > 0.99).mean() > 0.99
    assert 0.4 < draw(1.0).max(axis=-1).mean() < 0.95
    np.testing.assert_allclose(draw(1e4), 1 / 3, atol=1e-2)


def test_hard_samples_are_exactly_one_hot_with_the_gradient_of_the_soft_ones():
    assert set(np.unique(draw(0.7, hard=True))) == {0.0, 1.0}
    np.testing.assert_array_equal(draw(0.7, hard=True).argmax(axis=-1), draw(0.7).argmax(axis=-1))
    weights = jnp.arange(6.0).reshape(2, 3)

    def score(logits, hard):
        return (sample_edges(logits, jax.random.key(3), 0.7, hard) * weights).sum()

    soft, hard = (jax.jit(jax.grad(score), static_argnums=1)(LOGITS, hard) for hard in (False, True))
    assert abs(soft).max() > 1e-3
    np.testing.assert_allclose(hard, soft, rtol=1e-4, atol=1e-7)


def test_edges_and_keys_draw_independently():
    samples = draw(1.0, logits=np.zeros((2, 3), np.float32))[..., 0]
    assert abs(np.corrcoef(samples.T)[0, 1]) < 0.08
    assert abs(np.corrcoef(samples[:, 0], draw(1.0, seed=1, logits=np.zeros((2, 3), np.float32))[:, 0, 0])[0, 1]) < 0.08


def test_the_divergence_from_itself_is_zero():
    logits = jnp.array([[0.3, -1.0, 2.0]] * 4)
    np.testing.assert_allclose(kl_divergence(logits, jax.nn.softmax(logits[0])), 0.0, atol=1e-6)


def test_the_divergence_is_scipys_summed_over_edges():
    logits = np.random.default_rng(0).normal(size=(2, 5, 3)) * 3
    prior = np.array([0.8, 0.15, 0.05])
    expected = scipy.stats.entropy(scipy.special.softmax(logits, axis=-1), prior, axis=-1).sum(axis=-1)
    np.testing.assert_allclose(kl_divergence(jnp.asarray(logits), jnp.asarray(prior)), expected, rtol=1e-4)
