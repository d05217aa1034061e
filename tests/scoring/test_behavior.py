"""Scores of decoded behaviours against the definitions, on frames that somebody scored."""

import numpy as np
import pytest

from wormjax.scoring.behavior import score_behavior, title_metric
from wormjax.scoring.intervals import find_range


def test_scores_follow_their_definitions_and_pass_over_what_nobody_scored():
    random = np.random.default_rng(0)
    measured = random.normal(size=(200, 2))
    predicted = measured + 0.5 * random.normal(size=(200, 2))
    measured[::7, 0] = np.nan
    scores = score_behavior(predicted, measured, ("velocity", "head_angle"))
    for column, name in enumerate(("velocity", "head_angle")):
        known = np.isfinite(measured[:, column])
        ours, theirs = predicted[known, column], measured[known, column]
        assert scores[f"{name}_r"] == pytest.approx(np.corrcoef(ours, theirs)[0, 1])
        assert scores[f"{name}_r2"] == pytest.approx(1 - ((theirs - ours) ** 2).mean() / theirs.var())


def test_what_is_undefined_is_left_out_and_a_constant_prediction_has_no_correlation():
    measured = np.stack([np.full(50, np.nan), np.ones(50), np.arange(50.0)], axis=1)
    scores = score_behavior(np.zeros((50, 3)), measured, ("pumping", "still", "velocity"))
    assert set(scores) == {"velocity_r", "velocity_r2"}
    assert scores["velocity_r"] == 0.0


def test_metrics_of_behaviours_have_titles_and_ranges():
    assert title_metric("head_angle_r2") == "Head angle: R²"
    assert title_metric("accuracy") is None
    assert find_range("velocity_r@8") == (-1.0, 1.0)
    assert find_range("velocity_r2")[1] == 1.0
