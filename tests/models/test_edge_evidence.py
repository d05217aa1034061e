"""Expectation propagation on regressions with coefficients of 0 and 1, and the encoder that reads it."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special

from wormjax import graphs
from wormjax.models.edge_evidence import propagate_beliefs, read_evidence
from wormjax.models.encoders import EvidenceEncoder
from wormjax.simulation.springs import simulate_springs

pytestmark = pytest.mark.usefixtures("quick_compilation")

FRAMES, OBJECTS, FEATURES, NOISE = 30, 6, 2, 0.05


def draw_regression(seed, outliers=0):
    """What each sender adds to each receiver, alike between senders; which of them do; and what is left without."""
    random = np.random.default_rng(seed)
    effects = random.normal(size=(1, FRAMES, OBJECTS, FEATURES)) + 0.5 * random.normal(
        size=(OBJECTS - 1, FRAMES, OBJECTS, FEATURES)
    )
    true = random.random((OBJECTS, OBJECTS - 1)) < 0.5
    base = -np.einsum("na,afnk->fnk", true, effects) + NOISE * random.normal(size=effects.shape[1:])
    base[: outliers or 0] += 30.0 * random.normal(size=base[: outliers or 0].shape)
    return base.astype(np.float32), effects.astype(np.float32), true


@pytest.mark.parametrize("outliers", [0, 3])
def test_edges_are_found_whatever_the_noise_and_a_few_frames_are(outliers):
    read = jax.jit(read_evidence)
    for seed, scale in ((0, 1.0), (1, 1e-3)):
        base, effects, true = draw_regression(seed, outliers)
        found = np.asarray(read(scale * base, scale * effects)).reshape(OBJECTS, OBJECTS - 1, -1)
        np.testing.assert_array_equal(found[..., -1] > 0, true)


def test_beliefs_are_near_the_marginals_of_all_combinations():
    base, effects, _ = draw_regression(2)
    noisy = base + np.random.default_rng(3).normal(size=base.shape)
    gram = np.einsum("afnk,bfnk->nab", effects, effects)
    linear = -np.einsum("afnk,fnk->na", effects, noisy)
    found = scipy.special.expit(np.asarray(jax.jit(propagate_beliefs)(gram, linear)[-1], float))
    every = np.array([*itertools.product((0, 1), repeat=OBJECTS - 1)])
    cost = 0.5 * np.einsum("ca,nab,cb->nc", every, gram, every) - np.einsum("ca,na->nc", every, linear)
    exact = scipy.special.softmax(-cost, axis=1) @ every
    certain = abs(exact - 0.5) > 0.4
    assert 0.3 < certain.mean() < 1.0
    np.testing.assert_array_equal((found > 0.5)[certain], (exact > 0.5)[certain])
    assert abs(found - exact).mean() < 0.05


def test_what_both_objects_of_a_pair_do_is_evidence_of_mutual_edges():
    """Noise hides the edges from one receiver, and not from two."""
    right, read = {False: 0, True: 0}, jax.jit(read_evidence, static_argnames="mutual")
    reverse = graphs.reverse_edges(OBJECTS)
    for seed in range(4):
        _, effects, true = draw_regression(seed)
        true = (true.reshape(-1) | true.reshape(-1)[reverse]).reshape(true.shape)
        noise = 1.5 * np.random.default_rng(seed + 9).normal(size=effects.shape[1:])
        base = (noise - np.einsum("na,afnk->fnk", true, effects)).astype(np.float32)
        for mutual in right:
            found = read(base, effects, mutual=mutual)[:, -1]
            right[mutual] += (np.asarray(found > 0) == true.reshape(-1)).sum()
            if mutual:
                np.testing.assert_allclose(found, found[reverse], rtol=1e-4)
    assert right[False] < 0.97 * 4 * OBJECTS * (OBJECTS - 1)
    assert right[True] > right[False] + 2


def test_edges_of_thirty_springs_are_found_in_float32():
    """All objects pull in much the same direction: what float32 makes of the sums of products has no inverse."""
    springs, objects, random = simulate_springs(jax.random.key(1), 3, 30), 30, np.random.default_rng(0)
    senders, receivers = graphs.complete_edges(objects)
    read = jax.jit(functools.partial(read_evidence, mutual=True))
    for features, edges in zip(np.asarray(springs.features, float), np.asarray(springs.edges), strict=True):
        effects = 0.1 * (features[:, senders, :2] - features[:, receivers, :2])
        effects = np.moveaxis(effects.reshape(len(features), objects, objects - 1, 2), 2, 0)
        true = edges[senders, receivers].reshape(objects, objects - 1)
        base = -np.einsum("na,afnk->fnk", true, effects)
        base += 1e-3 * base.std() * random.normal(size=base.shape)
        found = np.asarray(read(np.float32(base), np.float32(effects)))[:, -1] > 0
        assert (found == true.reshape(-1)).mean() > 0.98


@pytest.mark.parametrize("triangles", [0, 2])
def test_relabelling_the_objects_relabels_the_logits(triangles):
    encoder, order = EvidenceEncoder(4, 2, triangles=triangles), np.array([2, 0, 3, 1])
    evidence = jax.random.normal(jax.random.key(0), (12, 3))
    params = jax.jit(encoder.init)(jax.random.key(1), evidence)
    matrix = graphs.edges_to_matrix(np.asarray(evidence).T, 4)
    moved = graphs.matrix_to_edges(matrix[:, order][:, :, order]).T
    found, expected = (np.asarray(encoder.apply(params, jnp.asarray(part))) for part in (moved, evidence))
    expected = graphs.edges_to_matrix(expected.T, 4)[:, order][:, :, order]
    np.testing.assert_allclose(found, graphs.matrix_to_edges(expected).T, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_an_encoder_learns_without_edges_that_they_are_products_of_charges():
    """From noisy evidence of half of the frames, what noisy evidence of the other half has; 0.78 of each is right."""
    random, count = np.random.default_rng(0), 10
    charges = random.choice([-1.0, 1.0], (2_100, count))
    true = graphs.matrix_to_edges(charges[:, :, None] * charges[:, None])
    clear = 0.6 * np.exp(random.normal(size=true.shape))
    noise = np.sqrt(np.maximum(clear, 0.3)) * random.normal(size=(2, *true.shape))
    read, other = jnp.float32(true * clear + noise)
    encoder, optimizer = EvidenceEncoder(32, 2, triangles=2), optax.adam(3e-3)
    params = encoder.init(jax.random.key(0), read[0, :, None])
    infer = jax.vmap(encoder.apply, in_axes=(None, 0))

    def step(state, key):
        chosen = jax.random.randint(key, (16,), 0, 2_000)

        def cost(params):
            logits = infer(params, read[chosen, :, None])
            return optax.sigmoid_binary_cross_entropy(logits[..., 1] - logits[..., 0], target[chosen]).mean()

        updates, moments = optimizer.update(jax.grad(cost)(state[0]), state[1])
        return (optax.apply_updates(state[0], updates), moments), None

    target = jax.nn.sigmoid(4.0 * other)
    keys = jax.random.split(jax.random.key(1), 400)
    params = jax.jit(lambda params: jax.lax.scan(step, (params, optimizer.init(params)), keys)[0][0])(params)
    right = (np.asarray(infer(params, read[2_000:, :, None])).argmax(axis=-1) > 0) == (true[2_000:] > 0)
    assert ((read[2_000:] > 0) == (true[2_000:] > 0)).mean() < 0.8
    assert right.mean() > 0.95
