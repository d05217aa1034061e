"""Metrics of inferred edges against hand-computed values and brute force."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wormjax.errors import InputError
from wormjax.graphs import matrix_to_edges
from wormjax.scoring.edges import (
    Threshold,
    choose_threshold,
    confusion,
    decide_types,
    match_types,
    relabel_types,
    score_directions,
    score_edges,
    score_ranked_edges,
)


def draw(kinds=2, seed=0, simulations=30, edges=20, sharpness=1.5):
    rng = np.random.default_rng(seed)
    types = rng.integers(0, kinds, (simulations, edges))
    logits = rng.normal(size=(simulations, edges, kinds)) + sharpness * np.eye(kinds)[types]
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=-1, keepdims=True), types


def test_hand_computed_scores():
    probabilities = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.3, 0.7], [0.2, 0.8]]])
    types = np.array([[0, 0], [1, 1]])
    scores = score_edges(probabilities, types)
    assert scores["edge_accuracy"] == pytest.approx(3 / 4)
    assert scores["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert scores["auroc"] == pytest.approx(1.0)
    assert scores["nll"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8]).mean())
    # Each edge is alone in its bin: |1 - .9|, |0 - .6|, |1 - .7|, |1 - .8|.
    assert scores["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.3 + 0.2) / 4)
    assert confusion(probabilities, types).tolist() == [[1, 1], [0, 2]]


def test_auroc_is_of_the_second_of_two_types_and_else_the_mean_over_types_that_occur():
    probabilities, types = draw(2, sharpness=0.5)
    expected = roc_auc_score(types.ravel(), probabilities[..., 1].ravel())
    assert score_edges(probabilities, types)["auroc"] == pytest.approx(expected)
    probabilities, types = draw(4)
    types[types == 2] = 0
    expected = np.mean([roc_auc_score(types.ravel() == k, probabilities[..., k].ravel()) for k in (0, 1, 3)])
    assert score_edges(probabilities, types)["auroc"] == pytest.approx(expected)


@pytest.mark.parametrize("kinds", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_the_matching_is_the_best_of_all_permutations(kinds, seed):
    probabilities, types = draw(kinds, seed, sharpness=0.6)
    shuffled = probabilities[..., np.random.default_rng(seed).permutation(kinds)]
    best = max(
        np.mean(np.array(order)[shuffled.argmax(axis=-1)] == types) for order in itertools.permutations(range(kinds))
    )
    found = relabel_types(shuffled, match_types(shuffled, types))
    assert score_edges(found, types)["edge_accuracy"] == pytest.approx(best)


def test_a_matching_from_validation_undoes_a_shuffle_on_test():
    (validation, known), (test, types) = draw(3, 1), draw(3, 2)
    order = [2, 0, 1]
    matching = match_types(validation[..., order], known)
    np.testing.assert_array_equal(relabel_types(test[..., order], matching), test)
    assert matching == (2, 0, 1)
    assert score_edges(test[..., order], types)["edge_accuracy"] < 0.5 < score_edges(test, types)["edge_accuracy"]


def test_the_test_set_never_chooses_its_matching():
    probabilities, types = draw(2, 3, sharpness=3.0)
    matching = match_types(probabilities, types)
    reversed_scores = score_edges(relabel_types(probabilities, matching), 1 - types)
    assert reversed_scores["edge_accuracy"] < 0.1
    assert reversed_scores["auroc"] < 0.1


def test_probabilities_break_ties_between_matchings():
    # The third is the most probable everywhere, most often of edges of type 0; of the rest, the second leans to type 1.
    probabilities = np.array([[[0.05, 0.15, 0.8], [0.05, 0.15, 0.8], [0.05, 0.4, 0.55], [0.3, 0.1, 0.6]]])
    types = np.array([[0, 0, 1, 2]])
    assert match_types(probabilities, types) == (2, 1, 0)
    assert match_types(probabilities[..., [1, 0, 2]], types) == (1, 2, 0)


def test_more_inferred_than_true_types_leave_edges_wrong():
    probabilities = np.eye(3)[np.array([[0, 1, 1, 2]])]
    types = np.array([[1, 0, 0, 0]])
    matching = match_types(probabilities, types)
    assert matching == (1, 0, 2)
    scores = score_edges(relabel_types(probabilities, matching), types)
    assert scores["edge_accuracy"] == pytest.approx(3 / 4)
    assert confusion(relabel_types(probabilities, matching), types).tolist() == [[2, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_fewer_inferred_than_true_types_leave_a_type_out():
    probabilities = np.eye(2)[np.array([[0, 0, 0, 1, 1, 1]])]
    types = np.array([[2, 2, 1, 0, 0, 0]])
    matching = match_types(probabilities, types)
    assert matching == (2, 0)
    relabelled = relabel_types(probabilities, matching)
    assert relabelled.shape == (1, 6, 3)
    assert score_edges(relabelled, types)["edge_accuracy"] == pytest.approx(5 / 6)
    # The type never inferred lies beyond the columns: still scored, at the least probability.
    scores = score_edges(probabilities, np.array([[0, 0, 0, 1, 1, 2]]))
    assert scores["edge_accuracy"] == pytest.approx(5 / 6)
    assert scores["nll"] == pytest.approx(-np.log(1e-7) / 6)


def test_unknown_edges_change_nothing():
    probabilities, types = draw(3)
    hidden = types.copy()
    hidden[10:] = -1
    spoilt = probabilities.copy()
    spoilt[10:] = np.nan
    assert score_edges(spoilt, hidden) == score_edges(probabilities[:10], types[:10])
    assert match_types(spoilt, hidden) == match_types(probabilities[:10], types[:10])
    assert score_edges(probabilities, np.full_like(types, -1)) == {}
    scores = probabilities[..., 1]
    assert choose_threshold(spoilt[..., 1], hidden, 2) == choose_threshold(scores[:10], types[:10], 2)


def test_one_type_alone_has_no_auroc():
    probabilities, types = draw(2)
    scores = score_edges(probabilities, np.zeros_like(types))
    assert "auroc" not in scores
    assert all(np.isfinite(value) for value in scores.values())
    assert "auroc" not in score_ranked_edges(probabilities[..., 1], np.zeros_like(types), Threshold((0.5,), True))


@pytest.mark.parametrize("kinds", [2, 3])
@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("digits", [0, 6])  # No digits: many scores are equal, and cannot be cut apart.
def test_thresholds_are_the_best_of_all(kinds, rising, digits):
    rng = np.random.default_rng(kinds)
    types = rng.integers(0, kinds, (6, 6))
    scores = np.round((1 if rising else -1) * (types + rng.normal(size=types.shape)), digits)
    distinct = np.unique(scores)
    cuts = [-np.inf, *(distinct[:-1] / 2 + distinct[1:] / 2), np.inf]
    names = np.arange(kinds) if rising else np.arange(kinds)[::-1]
    best = max(
        np.mean(names[np.searchsorted(edges, scores)] == types)
        for edges in itertools.combinations_with_replacement(cuts, kinds - 1)
    )
    threshold = choose_threshold(scores, types, types.max() + 1)
    assert threshold.rising == rising
    assert list(threshold.boundaries) == sorted(threshold.boundaries)
    assert score_ranked_edges(scores, types, threshold)["edge_accuracy"] == pytest.approx(best)


def test_direction_holds_where_a_rare_type_is_never_decided():
    # Nine in ten edges are of type 0: no threshold does better than type 0 everywhere, but the ranks still tell.
    rng = np.random.default_rng(0)
    types = (rng.random((100, 20)) < 0.1).astype(int)
    scores = -(types + 2.0 * rng.normal(size=types.shape))
    threshold = choose_threshold(scores, types, types.max() + 1)
    metrics = score_ranked_edges(scores, types, threshold)
    assert not threshold.rising
    assert metrics["auroc"] == pytest.approx(roc_auc_score(types.ravel(), -scores.ravel()))
    assert metrics["auroc"] > 0.55


def test_a_threshold_from_validation_can_be_wrong_on_test():
    types = np.array([[0, 0, 1, 1]])
    threshold = choose_threshold(np.array([[1.0, 2.0, 3.0, 4.0]]), types, types.max() + 1)
    assert threshold == Threshold((2.5,), True)
    turned = score_ranked_edges(np.array([[4.0, 3.0, 2.0, 1.0]]), types, threshold)
    assert turned["edge_accuracy"] == 0.0
    assert turned["auroc"] == 0.0


def test_auroc_of_three_ranked_types_is_the_mean_over_pairs():
    scores = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    types = np.array([[0, 1, 0, 2, 1]])
    # 0 against 1: (1, 3) against (2, 5): 3 of 4. 0 against 2: 2 of 2. 1 against 2: (2, 5) against 4: 1 of 2.
    metrics = score_ranked_edges(scores, types, Threshold((1.5, 3.5), True))
    assert metrics["auroc"] == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)


def test_a_type_absent_from_validation_has_no_interval():
    threshold = choose_threshold(np.array([[0.0, 1.0, 2.0]]), np.array([[0, 0, 2]]), count=4)
    assert len(threshold.boundaries) == 3
    assert decide_types(np.array([-5.0, 0.9, 1.6, 9.0]), threshold).tolist() == [0, 0, 2, 2]


def test_wrong_input_is_named():
    probabilities, types = draw(2)
    broken = probabilities.copy()
    broken[3, 4] = np.nan
    with pytest.raises(InputError, match="found 2 values of 1200 that are not finite"):
        score_edges(broken, types)
    with pytest.raises(InputError, match="found -2"):
        match_types(probabilities, types - 2)
    with pytest.raises(InputError, match="found none that is known"):
        choose_threshold(probabilities[..., 0], np.full_like(types, -1), 2)


def test_directions_by_hand():
    # Edges of three nodes, by receiver: 1→0, 2→0, 0→1, 2→1, 0→2, 1→2. One way: 0→1 and 2→1; both: 0→2.
    types = np.array([[0, 1, 1, 1, 1, 0]])
    scores = np.array([[0.5, 0.9, 0.6, 0.4, 0.1, 0.3]])
    # Edges 0.9, 0.6, 0.4, 0.1 against 0.5, 0.3: 2 + 2 + 1 + 0 of 8. One way: 0.6, 0.4 against 0.5, 0.3: 3 of 4.
    expected = {"edge_auroc": 5 / 8, "direction_auroc": 3 / 4}
    assert score_directions(scores, types) == pytest.approx(expected)
    found = score_edges(np.stack([1 - scores, scores / 2, scores / 2], axis=-1), types)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    falling = score_ranked_edges(-scores, types, Threshold((-0.5,), False))
    assert {name: falling[name] for name in expected} == pytest.approx(expected)
    tiny = score_edges(np.array([[[1.0, 1e-30], [1.0, 1e-20]]]), np.array([[0, 1]]))
    assert tiny["edge_auroc"] == tiny["direction_auroc"] == tiny["auroc"] == 1.0
    # An edge that is not known, and the direction of its pair, are not scored.
    types[0, 0] = -1
    assert score_directions(scores, types) == pytest.approx({"edge_auroc": 3 / 4, "direction_auroc": 1.0})


def test_a_symmetric_score_tells_no_direction():
    types = np.random.default_rng(0).integers(0, 2, (50, 20))
    scores = np.random.default_rng(1).random((50, 5, 5))
    symmetric = matrix_to_edges(scores + scores.swapaxes(1, 2))
    assert score_directions(symmetric, types)["direction_auroc"] == pytest.approx(0.5)
    undirected = matrix_to_edges(np.ones((50, 5, 5), int) * np.arange(50)[:, None, None] % 2)
    assert score_directions(symmetric, undirected).keys() == {"edge_auroc"}
