"""The linear baselines are scikit-learn's, kept as arrays; context is taken from the nearest frames there are."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from wormjax.baselines.linear import INVERSE_PENALTIES, fit_linear, predict_linear, stack_context

COUNT = 4
KINDS = ("logistic", "lda")


def make_frames(present, frames=240, spread=1.0, seed=0):
    """Channels [frame, 3] and states drawn from `present`, each state with a mean of its own."""
    rng = np.random.default_rng(seed)
    states = rng.choice(present, frames)
    means = rng.normal(size=(COUNT, 3))
    return means[states] + spread * rng.normal(size=(frames, 3)), states


def logistic_references(channels, states):
    """scikit-learn's fits, one for each penalty to choose from, run to convergence."""
    return [LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(channels, states) for c in INVERSE_PENALTIES]


def distances(predicted, references, channels):
    return [abs(predicted[:, model.classes_] - model.predict_proba(channels)).max() for model in references]


@pytest.mark.parametrize("present", [(0, 1, 2, 3), (0, 2, 3), (1, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_scikit_learn(kind, present):
    channels, states = make_frames(present)
    none = np.zeros(len(states), bool)
    predicted = predict_linear(fit_linear(channels, states, none, COUNT, kind), channels)
    assert predicted.shape == (240, COUNT)
    np.testing.assert_allclose(predicted.sum(axis=1), 1.0)
    missing = [state for state in range(COUNT) if state not in present]
    assert predicted[:, missing].max(initial=0.0) < 1e-12
    if kind == "lda":
        reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(channels, states)
        assert reference.classes_.tolist() == list(present)
        np.testing.assert_allclose(predicted[:, list(present)], reference.predict_proba(channels), atol=1e-8)
    else:
        away = distances(predicted, logistic_references(channels, states), channels)
        assert min(away) < 0.02  # The fit stops at its own tolerance.
        assert sorted(away)[1] > 0.05  # Another penalty would show.


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_state_is_certain(kind):
    channels, states = make_frames((2,), frames=20)
    predicted = predict_linear(fit_linear(channels, states, np.zeros(20, bool), COUNT, kind), channels)
    np.testing.assert_allclose(predicted, np.eye(COUNT)[states], atol=1e-12)


@pytest.mark.parametrize(("misled", "best"), [(False, max(INVERSE_PENALTIES)), (True, min(INVERSE_PENALTIES))])
def test_the_penalty_is_the_best_on_the_validation_frames(misled, best):
    channels, states = make_frames((0, 1, 2), spread=0.3)
    validation = np.arange(240) % 5 == 0
    if misled:  # Whatever the other frames teach is wrong on those of validation.
        states = np.where(validation, (states + 1) % 3, states)
    predicted = predict_linear(fit_linear(channels, states, validation, COUNT, "logistic"), channels)
    away = distances(predicted, logistic_references(channels, states), channels)
    assert INVERSE_PENALTIES[int(np.argmin(away))] == best
    assert min(away) < 0.02  # Fitted to all frames, those of validation too.


def test_context_at_the_ends_is_the_nearest_frame():
    features = np.arange(12.0).reshape(6, 2, 1)
    stacked = stack_context(features, np.ones(6, bool), (-2, 0, 3))
    assert stacked.shape == (6, 6)
    assert stacked[0].tolist() == [0, 1, 0, 1, 6, 7]
    assert stacked[2].tolist() == [0, 1, 4, 5, 10, 11]
    assert stacked[5].tolist() == [6, 7, 10, 11, 10, 11]


def test_context_never_takes_a_masked_frame():
    rng = np.random.default_rng(0)
    features, valid = rng.normal(size=(40, 2, 3)), rng.random(40) < 0.5
    features[~valid] = np.nan
    offsets = (-8, -1, 0, 4)
    stacked = stack_context(features, valid, offsets).reshape(40, len(offsets), 6)
    frames = np.flatnonzero(valid)
    for frame in range(40):
        for k, offset in enumerate(offsets):
            away = abs(frames - (frame + offset))
            nearest = frames[away == away.min()]
            assert any((stacked[frame, k] == features[one].ravel()).all() for one in nearest)


@pytest.mark.parametrize("frame", [0, 3, 5])
def test_a_single_valid_frame_is_everyones_context(frame):
    features, valid = np.random.default_rng(0).normal(size=(6, 2, 1)), np.arange(6) == frame
    stacked = stack_context(features, valid, (-4, 0, 4))
    np.testing.assert_array_equal(stacked, np.tile(features[frame].ravel(), (6, 3)))


def test_without_a_valid_frame_there_is_nothing_but_zeros():
    assert not stack_context(np.ones((6, 2, 1)), np.zeros(6, bool), (-4, 0)).any()
