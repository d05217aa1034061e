"""Questions about the motor state to come: which are asked, what came to pass, and scores computed by hand."""

import numpy as np
import pytest
from small_ahead import small_config, small_dataset
from small_experiments import replace_arrays

from wormjax.errors import InputError
from wormjax.features.future_states import Targets
from wormjax.recordings.recording import UNSCORED
from wormjax.tasks.ahead.questions import Answers, ask, find_median, find_steps, score_answers

SECONDS = (1.0, 2.0)
FREQUENCY = np.array([0.7, 0.2, 0.1])


@pytest.fixture(scope="module")
def given():
    """Answers of three states at two horizons, and the truth: the second horizon of the last start is not known."""
    first = [[0.6, 0.3, 0.1], [0.6, 0.1, 0.3], [0.5, 0.3, 0.2], [0.9, 0.05, 0.05]]
    second = [[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]
    states = np.array([first, second]).transpose(1, 0, 2)
    onset = np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3], [0.2, 0.1, 0.7], [0.0, 0.0, 1.0]])
    true = np.array([[0, 1], [2, 2], [0, 0], [0, UNSCORED]])
    return Answers(states, onset), Targets(true, np.array([2, 5, 7, UNSCORED]), np.array([0, 1, 2, UNSCORED]))


@pytest.fixture(scope="module")
def scores(given):
    return score_answers(*given, SECONDS, 3.0, FREQUENCY)


def test_scores_of_the_state_are_those_computed_by_hand(scores):
    assert scores["nll@1s"] == pytest.approx(-np.log([0.6, 0.3, 0.5, 0.9]).mean())
    assert scores["nll@2s"] == pytest.approx(-np.log([0.5, 1e-7, 0.7]).mean())  # One sure mistake, clipped.
    assert scores["accuracy@1s"] == pytest.approx(3 / 4)
    assert scores["accuracy@2s"] == pytest.approx(2 / 3)
    # In units of the frequencies the states 1, 2, 2 and 0 are decided: recall 1/3 of state 0 and 1 of state 2.
    assert scores["balanced_accuracy@1s"] == pytest.approx((1 / 3 + 1) / 2)
    # States 2, 0 and 0 are decided where 1, 2 and 0 are true.
    assert scores["balanced_accuracy@2s"] == pytest.approx(1 / 3)


def test_scores_of_the_next_reversal_are_those_computed_by_hand(scores):
    assert scores["reversal_nll"] == pytest.approx(-np.log([0.5, 0.6, 0.7]).mean())
    # Medians 1 s, 1 + 0.4 / 0.6 s and never (2 s at most), against 2/3 s, 5/3 s and 7/3 s, cut at 2 s.
    assert scores["reversal_error"] == pytest.approx((1 / 3 + 0.0 + 0.0) / 3)
    assert scores["reversal_auroc@1s"] == pytest.approx(1.0)
    assert scores["reversal_auroc@2s"] == pytest.approx(1.0)


def test_the_area_is_of_the_probability_to_have_begun_by_then():
    answers = Answers(
        np.full((4, 2, 3), 1 / 3), np.array([[0.3, 0.7, 0], [0.1, 0.2, 0.7], [0.5, 0, 0.5], [0, 0.4, 0.6]])
    )
    truth = Targets(np.full((4, 2), UNSCORED), np.array([2, 9, 9, 5]), np.array([0, 2, 2, 1]))
    scores = score_answers(answers, truth, SECONDS, 3.0, FREQUENCY)
    assert scores["reversal_auroc@1s"] == pytest.approx(2 / 3)  # 0.3 against 0.1, 0.5 and 0.
    assert scores["reversal_auroc@2s"] == pytest.approx(3 / 4)  # 1 and 0.4 against 0.3 and 0.5.
    assert not [name for name in scores if "nll@" in name or "accuracy" in name]


def test_what_is_undefined_is_left_out(given):
    answers, truth = (part.of([3]) for part in given)
    assert score_answers(answers, truth, SECONDS, 3.0, FREQUENCY).keys() == {
        f"{kind}@1s" for kind in ("nll", "accuracy", "balanced_accuracy")
    }
    none = Targets(*(np.full_like(values, UNSCORED) for values in truth))
    assert score_answers(answers, none, SECONDS, 3.0, FREQUENCY) == {}
    alone = score_answers(*(part.of([0]) for part in given), SECONDS, 3.0, FREQUENCY)
    assert "reversal_nll" in alone
    assert "reversal_auroc@1s" not in alone  # All have begun: there is nothing to tell apart.


def test_the_median_lies_where_half_has_begun():
    onset = np.array([[0.8, 0.1, 0.1], [0.25, 0.5, 0.25], [0.5, 0.0, 0.5], [0.1, 0.1, 0.8], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(find_median(onset, (2.0, 6.0)), [1.25, 4.0, 2.0, 6.0, 4.0])


def test_questions_are_of_the_frames_after_the_last_one_known():
    dataset, config = small_dataset(), small_config(ahead__first=20, ahead__every=7)
    starts, truth = ask(config, dataset)
    assert find_steps(config, dataset) == (3, 9)
    assert set(starts.worm) == {0, 1, 2}
    for stretch, frame, *true in zip(starts.stretch, starts.frame, *truth, strict=True):
        assert frame >= 20
        assert (frame - 20) % 7 == 0
        count, states = dataset.arrays.valid[stretch].sum(), dataset.scored_states[stretch]
        for step, state in zip((3, 9), true[0], strict=True):
            there = frame - 1 + step < count
            assert state == (states[frame - 1 + step] if there else UNSCORED)
        assert (true[1] == UNSCORED) == (frame + 8 >= count)
    known = truth.waiting != UNSCORED
    np.testing.assert_array_equal(truth.onset[known], np.searchsorted((3, 9), truth.waiting[known]))
    assert set(truth.onset) == {UNSCORED, 0, 1, 2}


def test_what_may_not_be_scored_is_no_truth():
    dataset = small_dataset()
    scored = replace_arrays(dataset, dataset.arrays)
    scored.scored_states[0] = UNSCORED
    starts, truth = ask(small_config(), scored)
    own = starts.worm == 0
    assert own.any()
    assert (truth.states[own] == UNSCORED).all()
    assert (truth.onset[own] == UNSCORED).all()
    assert (truth.states[~own] != UNSCORED).any()


def test_horizons_beyond_every_stretch_are_refused():
    with pytest.raises(InputError, match=r"'ahead\.seconds': found 60 s, with stretches of 50 s at most") as caught:
        ask(small_config(ahead__seconds=(1.0, 60.0)), small_dataset())
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"'ahead\.first': found 500, expected less"):
        ask(small_config(ahead__first=500), small_dataset())
