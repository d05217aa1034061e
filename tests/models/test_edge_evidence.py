"""Expectation propagation on regressions with coefficients of 0 and 1, and the encoder that reads it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from wormjax import graphs
from wormjax.models.edge_evidence import propagate_beliefs, read_evidence
from wormjax.models.encoders import EvidenceEncoder

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
