"""Metrics against hand-computed values, definitions and edge cases."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wormjax.errors import InputError
from wormjax.scoring.classification import confusion, measure_calibration_error, score_states


def draw(frames=400, states=4, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, states, frames)
    logits = rng.normal(size=(frames, states)) + 1.2 * np.eye(states)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, truth


def test_hand_computed_scores():
    probabilities = np.array([[0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])
    scores = score_states(probabilities, np.array([0, 1, 1, 2]))
    assert scores["accuracy"] == pytest.approx(3 / 4)
    assert scores["balanced_accuracy"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert scores["nll"] == pytest.approx(-np.log([0.9, 0.3, 0.5, 0.7]).mean())
    # F1 of states 0, 1, 2: precision 1/2 recall 1; precision 1 recall 1/2; both 1.
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    # One against the rest: 0: .9 above all; 1: (.3, .5) above (.05, .2); 2: .7 above all.
    assert scores["auroc"] == pytest.approx(1.0)
    # Each frame is alone in its bin: |1 - .9|, |0 - .6|, |1 - .5|, |1 - .7|.
    assert scores["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.5 + 0.3) / 4)


def test_two_states_auroc_is_of_the_first_state():
    reverse = np.array([0.9, 0.4, 0.6, 0.1])
    scores = score_states(np.stack([reverse, 1 - reverse], axis=1), np.array([0, 0, 1, 1]))
    assert scores["auroc"] == pytest.approx(3 / 4)  # Of four pairs one, .4 below .6, is wrong.


def test_many_states_auroc_is_the_mean_over_states_that_occur():
    probabilities, truth = draw()
    kept = truth != 3
    expected = np.mean([roc_auc_score(truth[kept] == k, probabilities[kept, k]) for k in range(3)])
    assert score_states(probabilities[kept], truth[kept])["auroc"] == pytest.approx(expected)


def test_unscored_frames_change_nothing():
    probabilities, truth = draw()
    hidden = np.arange(len(truth)) % 3 == 0
    assert score_states(probabilities, np.where(hidden, -1, truth)) == score_states(
        probabilities[~hidden], truth[~hidden]
    )


def test_a_bad_value_in_an_unscored_frame_does_no_harm():
    probabilities, truth = draw()
    spoilt = probabilities.copy()
    spoilt[0] = np.nan
    truth[0] = -1
    assert score_states(spoilt, truth) == score_states(probabilities, truth)


def test_missing_state_is_left_out_of_balanced_accuracy():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    scores = score_states(probabilities, np.array([0, 1, 1]))
    assert scores["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert scores["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)  # A state decoded where there is none costs.


def test_one_state_alone_has_no_auroc():
    scores = score_states(np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([0, 0]))
    assert "auroc" not in scores
    assert scores["balanced_accuracy"] == pytest.approx(0.5)


def test_no_scored_frame_gives_no_score():
    assert score_states(np.full((3, 4), 0.25), np.full(3, -1)) == {}
    assert confusion(np.full((3, 4), 0.25), np.full(3, -1), 4).tolist() == np.zeros((4, 4)).tolist()


def test_a_sure_mistake_costs_a_finite_amount():
    assert score_states(np.array([[1.0, 0.0]]), np.array([1]))["nll"] == pytest.approx(-np.log(1e-7))


def test_calibration_error_of_calibrated_and_overconfident_probabilities():
    rng = np.random.default_rng(1)
    top = rng.uniform(0.5, 1.0, 100_000)
    truth = (rng.uniform(size=top.size) > top).astype(int)  # State 0 with probability `top`.
    assert measure_calibration_error(np.stack([top, 1 - top], axis=1), truth) < 0.01
    sure = np.tile([1.0, 0.0], (top.size, 1))
    assert measure_calibration_error(sure, truth) == pytest.approx(truth.mean())


def test_calibration_bins_pool_their_frames():
    # Both frames fall into the bin (.8, .867]: accuracy 1/2, mean probability .83.
    probabilities = np.array([[0.82, 0.18], [0.84, 0.16]])
    assert measure_calibration_error(probabilities, np.array([0, 1])) == pytest.approx(0.33)


def test_confusion_counts_true_by_predicted():
    probabilities = np.eye(3)[[0, 1, 1, 2, 0]]
    counts = confusion(probabilities, np.array([0, 0, 1, -1, 1]), 3)
    assert counts.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_bad_input_is_refused():
    probabilities, truth = draw()
    spoilt = probabilities.copy()
    spoilt[5, 0] = np.nan
    with pytest.raises(InputError, match=r"not finite in 1 of 400"):
        score_states(spoilt, truth)
