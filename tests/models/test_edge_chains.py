"""Chains of combinations of edges, against the sum over all sequences of all combinations."""

import itertools

import jax
import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from wormjax.models.edge_chains import follow_chains, ignore_absent, stay_mostly
from wormjax.models.exact_posterior import list_combinations

pytestmark = pytest.mark.usefixtures("quick_compilation")

FRAMES = 4
INITIAL, TRANSITION = np.array([0.7, 0.3]), np.array([[0.9, 0.1], [0.4, 0.6]])
SENDERS = 2
follow = jax.jit(follow_chains)


def draw_likelihood(seed=0):
    shape = (FRAMES, 2**SENDERS, 3)
    return (2.0 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def sum_sequences(log_likelihood, price):
    """Return evidence, posterior of each frame, that of the last from the frames before, and transition counts."""
    combinations = list_combinations(SENDERS, 2).argmax(axis=-1)
    sequences = np.array([*itertools.product(range(len(combinations)), repeat=FRAMES)])
    types = combinations[sequences]  # [sequence, frame, sender].
    prior = np.log(INITIAL)[types[:, 0]].sum(axis=1)
    prior += np.log(TRANSITION)[types[:, :-1], types[:, 1:]].sum(axis=(1, 2))
    nats = log_likelihood[np.arange(FRAMES), sequences]  # [sequence, frame, batch].
    joint = prior[:, None] + nats.sum(axis=1) / price
    posterior, past = softmax(joint, axis=0), softmax(prior[:, None] + nats[:, :-1].sum(axis=1) / price, axis=0)
    chosen = sequences[..., None] == np.arange(len(combinations))
    counts = np.zeros((2, 2))
    for before, after in itertools.product(range(2), repeat=2):
        moved = ((types[:, :-1] == before) & (types[:, 1:] == after)).sum(axis=(1, 2))
        counts[before, after] = (posterior * moved[:, None]).sum()
    smoothed = np.einsum("sb,sfc->fcb", posterior, chosen)
    return price * logsumexp(joint, axis=0), smoothed, np.einsum("sb,sc->cb", past, chosen[:, -1]), counts


@pytest.mark.parametrize("price", [1.0, 3.0])
def test_chains_are_the_sum_over_all_sequences_of_graphs(price):
    log_likelihood = draw_likelihood()
    evidence, smoothed, predicted, counts = sum_sequences(log_likelihood, price)
    chains = follow(log_likelihood, INITIAL, TRANSITION, price)
    np.testing.assert_allclose(chains.evidence, evidence, rtol=1e-5)
    np.testing.assert_allclose(chains.smoothed, smoothed, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(chains.predicted[FRAMES - 1], predicted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(chains.transitions, counts, rtol=1e-4)


def test_a_prediction_has_seen_the_past_only():
    log_likelihood = draw_likelihood()
    changed = log_likelihood.copy()
    changed[2:] += draw_likelihood(1)[2:]
    first, second = (follow(nats, INITIAL, TRANSITION) for nats in (log_likelihood, changed))
    np.testing.assert_array_equal(first.predicted[:3], second.predicted[:3])
    assert abs(first.predicted[3] - second.predicted[3]).max() > 0.01
    assert abs(first.smoothed[0] - second.smoothed[0]).max() > 0.01
    assert first.predicted.shape == (FRAMES + 1, 2**SENDERS, 3)


def test_the_gradient_of_the_evidence_is_the_posterior():
    log_likelihood = draw_likelihood()
    gradient = jax.jit(jax.grad(lambda nats: follow_chains(nats, INITIAL, TRANSITION).evidence.sum()))(log_likelihood)
    np.testing.assert_allclose(gradient, follow(log_likelihood, INITIAL, TRANSITION).smoothed, rtol=1e-4, atol=1e-6)


def test_likelihoods_of_any_size_give_finite_numbers():
    chains = follow(1e5 * draw_likelihood(), INITIAL, TRANSITION)
    assert all(np.isfinite(part).all() for part in chains)
    np.testing.assert_allclose(np.sum(chains.smoothed, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(np.argmax(chains.smoothed, axis=1), draw_likelihood().argmax(axis=1))


def test_edges_that_never_change_have_the_posterior_of_one_graph():
    log_likelihood = draw_likelihood()
    chains = follow(log_likelihood, np.array([0.5, 0.5]), np.eye(2) * (1 - 2e-7) + 1e-7)
    expected = softmax(log_likelihood.sum(axis=0), axis=0)
    np.testing.assert_allclose(chains.smoothed, np.broadcast_to(expected, chains.smoothed.shape), atol=1e-4)


def test_a_sender_that_is_absent_has_no_effect_in_that_frame():
    predicted = np.random.default_rng(0).normal(size=(4, 1, 2, 3, 1)).astype(np.float32)
    there = np.ones((1, 2, 3), np.float32)
    there[0, 1, 0] = 0.0
    found = ignore_absent(predicted, there, 2)
    np.testing.assert_array_equal(found[:, :, 0], predicted[:, :, 0])
    # Of object 2 and 3 the first sender is the one that is absent: combinations 2 and 3 are as 0 and 1.
    np.testing.assert_array_equal(found[:, 0, 1, 1:], predicted[[0, 1, 0, 1], 0, 1, 1:])
    np.testing.assert_array_equal(found[:, 0, 1, 0], predicted[:, 0, 1, 0])


def test_training_begins_with_edges_that_mostly_stay():
    assert stay_mostly(3).sum(axis=1) == pytest.approx(1.0)
    assert np.diag(stay_mostly(3)) == pytest.approx(0.95)
