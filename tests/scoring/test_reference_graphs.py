"""Scores against a reference graph: AUROC as scikit-learn's, nulls that keep what they say, intervals that hold."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wormjax.scoring import reference_graphs as scoring
from wormjax.scoring.classification import rank_auroc

NAMES = [f"{name}{side}" for name in ("AVA", "AVB", "AVD", "AVE", "RIM", "RIB") for side in "LR"]


@pytest.fixture
def graphs():
    """Scores with ties and gaps, and a reference with unknown pairs."""
    random, count = np.random.default_rng(0), len(NAMES)
    reference = (random.random((count, count)) < 0.25).astype(float)
    scores = np.round(reference + random.standard_normal((count, count)), 1)
    reference[random.random((count, count)) < 0.1] = np.nan
    scores[3, :4] = np.nan
    return scores, reference


def test_the_area_is_scikit_learns_also_with_weights(graphs):
    scores, reference = graphs
    pairs = scoring.find_pairs(scores, reference)
    assert not np.diagonal(pairs).any()
    values, edges = scores[pairs], reference[pairs] > 0
    expected = roc_auc_score(edges, values)
    assert rank_auroc(values, edges) == pytest.approx(expected)
    weights = np.random.default_rng(1).integers(0, 4, (3, len(values))).astype(float)
    found = scoring.weigh_auroc(values, edges, weights)
    np.testing.assert_allclose(found, [roc_auc_score(edges, values, sample_weight=own) for own in weights])
    score = scoring.score_graph(scores, reference)
    assert (score.pairs, score.edges, score.auroc) == (len(values), edges.sum(), pytest.approx(expected))
    assert scoring.score_graph(scores, np.ones_like(scores)) is None


def test_left_right_pairs_can_be_left_out(graphs):
    scores, reference = graphs
    homologues = scoring.find_homologues(NAMES)
    assert homologues.sum() == len(NAMES)
    assert homologues[0, 1]
    assert not homologues[0, 2]
    known = scoring.find_pairs(scores, reference)
    assert scoring.score_graph(scores, reference, homologues).pairs == (known & ~homologues).sum()


@pytest.mark.parametrize("symmetric", [False, True])
def test_rewiring_keeps_degrees_and_stays_among_the_pairs(symmetric, graphs):
    scores, reference = graphs
    pairs = scoring.find_pairs(scores, reference)
    if symmetric:
        reference, pairs = np.fmax(reference, reference.T), pairs & pairs.T
    edges = (reference > 0) & pairs
    rewired = scoring.rewire(reference, pairs, np.random.default_rng(0))
    found = rewired == 1
    np.testing.assert_array_equal(np.isfinite(rewired), pairs)
    np.testing.assert_array_equal(found.sum(axis=0), edges.sum(axis=0))
    np.testing.assert_array_equal(found.sum(axis=1), edges.sum(axis=1))
    assert (found != edges).sum() > edges.sum() / 2
    if symmetric:
        np.testing.assert_array_equal(found, found.T)


def test_permuted_names_make_a_null_around_chance(graphs):
    scores, reference = graphs
    random = np.random.default_rng(0)
    orders = np.array([random.permutation(len(NAMES)) for _ in range(300)])
    null = scoring.permute_names(scores, reference, orders)
    assert abs(null.mean() - 0.5) < 0.03
    same = scoring.permute_names(scores, reference, np.arange(len(NAMES))[None])
    assert same[0] == pytest.approx(scoring.score_graph(scores, reference).auroc)
    assert scoring.find_p_value(same[0], null) < 0.05
    assert scoring.find_p_value(0.5, np.array([0.4, 0.6, np.nan])) == pytest.approx(2 / 3)
    assert np.isnan(scoring.find_p_value(0.5, np.array([])))


def test_direction_is_a_half_for_symmetric_scores(graphs):
    _, reference = graphs
    reference = np.nan_to_num(reference)
    draws = scoring.draw_classes(NAMES, 200)
    found = scoring.score_direction(reference - reference.T, reference, draws)
    assert found["direction"] == found["direction_low"] == found["direction_high"] == 1.0
    one_way = (reference > 0) & (reference.T == 0) & ~np.eye(len(NAMES), dtype=bool)
    assert found["one_way_pairs"] == one_way.sum()
    assert scoring.score_direction(reference + reference.T, reference, draws)["direction"] == 0.5
    noise = np.random.default_rng(0).standard_normal(reference.shape)
    found = scoring.score_direction(noise, reference, draws)
    assert found["direction_low"] < found["direction"] < found["direction_high"]
    assert scoring.score_direction(noise, np.ones_like(noise), draws) == {}


def test_a_bootstrap_draws_left_and_right_together(graphs):
    scores, reference = graphs
    draws = scoring.draw_classes(NAMES, 2000)
    np.testing.assert_array_equal(draws.counts[:, ::2], draws.counts[:, 1::2])
    assert draws.counts[:, ::2].sum(axis=1).tolist() == [6] * 2000
    pairs = scoring.find_pairs(scores, reference)
    areas = scoring.bootstrap_auroc(scores, reference, pairs, draws)
    low, high = scoring.find_bounds(areas)
    assert low < scoring.score_graph(scores, reference).auroc < high
    np.testing.assert_array_equal(areas, scoring.bootstrap_auroc(scores, reference, pairs, draws))
