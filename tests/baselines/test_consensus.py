"""The consensus of several worms: missing neurons, classes as a prior, halves."""

import numpy as np
import pytest

from wormjax.baselines import consensus

NAMES = ("AVAL", "AVAR", "RIML", "RIMR", "RID")
CLASSES = consensus.number_classes(NAMES)


def make_stack(worms: int = 6, noise: float = 0.3, seed: int = 0):
    """Scores of worms that share those of classes, with noise; the last worm lacks RIMR."""
    random = np.random.default_rng(seed)
    shared = random.standard_normal((3, 3))[np.ix_(CLASSES, CLASSES)]
    stack = shared + noise * random.standard_normal((worms, 5, 5))
    stack[-1, 3], stack[-1, :, 3] = np.nan, np.nan
    stack[:, np.arange(5), np.arange(5)] = np.nan
    return stack, shared


def test_a_pair_is_the_mean_over_the_worms_that_have_it():
    stack, _ = make_stack()
    pooled = consensus.pool_worms(stack, CLASSES)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(pooled[off], np.nanmean(stack[:, off], axis=0))
    assert np.isnan(np.diagonal(pooled)).all()
    assert consensus.count_worms(stack)[0].tolist() == [0, 6, 6, 5, 6]


def test_classes_shrink_and_are_chosen_by_worms_left_out():
    stack, shared = make_stack(worms=3, noise=2.0)
    off = ~np.eye(5, dtype=bool)
    plain, pooled = (consensus.pool_worms(stack, CLASSES, weight) for weight in (0.0, 1e9))
    assert abs(pooled - shared)[off].mean() < abs(plain - shared)[off].mean()
    # AVAL → RIML, AVAL → RIMR, AVAR → RIML and AVAR → RIMR share one mean.
    block = pooled[:2, 2:4]
    np.testing.assert_allclose(block, block.mean(), rtol=1e-6)
    many, _ = make_stack(worms=40, noise=2.0)
    assert consensus.choose_class_worms(many, CLASSES, (0.5, 8.0)) == 8.0
    apart = np.random.default_rng(0).standard_normal((5, 5)) + 0.1 * np.random.default_rng(1).standard_normal((6, 5, 5))
    assert consensus.choose_class_worms(apart, CLASSES, (0.1, 100.0)) == 0.1
    assert consensus.choose_class_worms(stack[:1], CLASSES, (0.5, 8.0)) == 0.5


def test_halves_agree_above_their_null_where_worms_share_a_graph():
    stack, _ = make_stack()
    halves = [
        [consensus.pool_worms(stack[half], CLASSES) for half in pair] for pair in consensus.list_halvings(len(stack))
    ]
    found, null = consensus.compare_halves(halves, 20)
    assert found > 0.9
    assert null < found
    assert np.isnan(consensus.compare_halves([], 10)).all()


def test_graphs_are_correlated_over_the_pairs_that_both_have():
    one, other = np.random.default_rng(0).random((2, 6, 6))
    one[0, 1] = other[2, 3] = np.nan
    np.testing.assert_allclose(
        [consensus.correlate(one, 0.2 + 0.1 * one), consensus.correlate(one, 1.0 - one)], [1, -1]
    )
    both = np.isfinite(one + other)
    assert consensus.correlate(one, other) == pytest.approx(np.corrcoef(one[both], other[both])[0, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_graph_correlates_with_none(dtype):
    other = np.random.default_rng(0).random((15, 15)).astype(dtype)
    with np.errstate(all="raise"):
        assert np.isnan(consensus.correlate(np.full((15, 15), 0.3, dtype), other))
        assert np.isfinite(consensus.correlate(other, other))


@pytest.mark.parametrize(("worms", "ways"), [(1, 0), (2, 1), (3, 3), (4, 3), (12, 10)])
def test_halvings_are_disjoint_and_each_stands_once(worms, ways):
    halvings = consensus.list_halvings(worms)
    assert len(halvings) == ways
    assert len({frozenset(map(frozenset, map(tuple, way))) for way in halvings}) == ways
    for first, second in halvings:
        assert not set(first) & set(second)
        assert len(first) == len(second) == worms // 2


def test_sets_of_worms_are_spread():
    assert consensus.list_subsets(3, 2) == [[0, 1], [0, 2], [1, 2]]
    assert len(consensus.list_subsets(12, 6)) == consensus.MOST_HALVINGS
