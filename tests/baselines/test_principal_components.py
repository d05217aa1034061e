"""Components find the subspace that was planted, courses are the activity itself, and votes see only other visits."""

import os

import numpy as np
import pytest

from wormjax.baselines import principal_components
from wormjax.baselines.principal_components import (
    PrincipalComponents,
    fit_principal_components,
    measure_separation,
    measure_transfer,
    measure_variance,
    project,
)
from wormjax.errors import InputError
from wormjax.features.derivatives import smoothed_derivative
from wormjax.features.neurons import align_neurons, shared_neurons
from wormjax.recordings.catalog import open_study
from wormjax.recordings.motor_states import map_motor_states

RATE = 3.0  # Frames per second.
TIMES = np.arange(600) / RATE
SCALINGS = ("none", "zscore", "peak")


def fit(derivatives, *options):
    """Components of one worm."""
    return fit_principal_components([derivatives], *options)


def make_derivatives(neurons=8, noise=0.0, seed=0, frames=600):
    """Derivatives [frame, neuron] of three slow signals in orthogonal directions, and the directions [3, neuron]."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(neurons, 3)))[0].T
    phases = TIMES[:frames, None] * np.array([0.11, 0.23, 0.41]) * 2 * np.pi
    signals = np.sin(phases) * np.array([3.0, 2.0, 1.0])
    return signals @ directions + noise * rng.normal(size=(frames, neurons)), directions


def make_visits(bouts=24, frames=30, spread=0.1, seed=0):
    """Places [frame, 3] of three states that are visited in turn, each at a corner of its own."""
    rng = np.random.default_rng(seed)
    states = np.repeat(np.arange(bouts) % 3, frames)
    return np.eye(3)[states] + spread * rng.normal(size=(len(states), 3)), states


def test_the_planted_directions_are_found_in_order_of_their_variance():
    derivatives, directions = make_derivatives(noise=0.01)
    fitted = fit(derivatives)
    np.testing.assert_allclose(np.abs(np.sum(fitted.weights * directions, axis=1)), 1, atol=1e-3)
    np.testing.assert_allclose(fitted.variance_share[:3], np.array([9, 4, 1]) / 14, atol=0.01)
    assert fitted.variance_share.shape == (8,)
    np.testing.assert_allclose(fitted.variance_share.sum(), 1)
    assert (np.diff(fitted.variance_share) <= 0).all()


@pytest.mark.parametrize("scaling", SCALINGS)
def test_shares_sum_to_one_and_weights_are_orthonormal(scaling):
    derivatives, _ = make_derivatives(noise=0.3)
    fitted = fit(derivatives, None, scaling)
    np.testing.assert_allclose(fitted.weights @ fitted.weights.T, np.eye(8), atol=1e-10)
    np.testing.assert_allclose(measure_variance(fitted, derivatives), fitted.variance_share)
    np.testing.assert_allclose(fitted.variance_share.sum(), 1)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_course_knows_no_order_of_neurons(scaling):
    derivatives, _ = make_derivatives(noise=0.1)
    order = np.random.default_rng(1).permutation(8)
    first = fit(derivatives, 3, scaling)
    second = fit(derivatives[:, order], 3, scaling)
    np.testing.assert_allclose(second.weights, first.weights[:, order], atol=1e-8)
    there = project(second, derivatives[:, order], TIMES).course
    np.testing.assert_allclose(there, project(first, derivatives, TIMES).course, atol=1e-8)


def test_the_largest_weight_is_positive_whatever_sign_the_library_gives(monkeypatch):
    """Versions of scikit-learn differ in the sign they choose."""

    class Flipped(principal_components.PCA):
        def fit(self, values):
            super().fit(values)
            self.components_ = self.components_ * np.resize([-1, 1], len(self.components_))[:, None]
            return self

    derivatives, _ = make_derivatives(noise=0.1)
    expected = fit(derivatives).weights
    monkeypatch.setattr(principal_components, "PCA", Flipped)
    np.testing.assert_allclose(fit(derivatives).weights, expected)


def test_the_largest_weight_is_positive_whatever_the_sign_of_the_traces():
    derivatives, _ = make_derivatives(noise=0.1)
    for sign in (1, -1):
        fitted = fit(sign * derivatives)
        assert (np.max(fitted.weights, axis=1) == np.max(np.abs(fitted.weights), axis=1)).all()
    np.testing.assert_allclose(fitted.weights, fit(derivatives).weights, atol=1e-10)


def test_scalings_forget_each_neurons_units_and_none_keeps_them():
    derivatives, _ = make_derivatives(noise=0.1)
    units = np.array([1, 10, 1, 1, 0.1, 1, 5, 1])
    for scaling in ("zscore", "peak"):
        before = fit(derivatives, 3, scaling).variance_share
        np.testing.assert_allclose(fit(derivatives * units, 3, scaling).variance_share, before)
    plain = fit(derivatives)
    assert fit(derivatives * units).variance_share[0] > plain.variance_share[0] + 0.1
    np.testing.assert_allclose(fit(7 * derivatives).weights, plain.weights, atol=1e-10)


def test_the_course_is_the_trace_up_to_a_constant():
    """Also of a trace with a trend, and at uneven times: the mean slope is a part of it."""
    rng = np.random.default_rng(0)
    times = np.cumsum(0.05 + 0.02 * rng.random(800))
    traces = np.stack([np.sin(0.3 * times), 0.5 * np.cos(0.5 * times) + 0.1 * times], axis=1)
    derivatives = np.stack([0.3 * np.cos(0.3 * times), -0.25 * np.sin(0.5 * times) + 0.1], axis=1)
    fitted = fit(derivatives, None)
    seen = traces @ fitted.weights.T
    found = project(fitted, derivatives, times)
    np.testing.assert_allclose(found.course, seen - seen.mean(axis=0), atol=2e-4)
    np.testing.assert_allclose(found.slopes, derivatives @ fitted.weights.T)


def test_nothing_leaks_from_one_stretch_into_another():
    derivatives, _ = make_derivatives(noise=0.1)
    fitted = fit(derivatives)
    stretches = ((0, 200), (210, 600))
    course = project(fitted, derivatives, TIMES, stretches).course
    np.testing.assert_allclose(course[210:], project(fitted, derivatives[210:], TIMES[210:]).course, atol=1e-10)
    np.testing.assert_allclose(course[:200].mean(axis=0), 0, atol=1e-10)
    assert np.isnan(course[200:210]).all()
    changed = derivatives.copy()
    changed[:200] += 5
    np.testing.assert_array_equal(project(fitted, changed, TIMES, stretches).course[210:], course[210:])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_pooling_identical_worms_changes_nothing(scaling):
    derivatives, _ = make_derivatives(noise=0.1)
    single = fit(derivatives, 3, scaling)
    pooled = fit_principal_components([derivatives] * 3, 3, scaling)
    np.testing.assert_allclose(pooled.weights, single.weights, atol=1e-8)
    np.testing.assert_allclose(pooled.variance_share, single.variance_share, atol=1e-10)


def test_pooled_worms_are_centred_each_by_itself_and_share_what_they_have_in_common():
    first, _ = make_derivatives(seed=0)
    second, _ = make_derivatives(seed=1)
    moved = fit_principal_components([first + 4, second - 4], None)
    fitted = fit_principal_components([first, second], None)
    np.testing.assert_allclose(moved.variance_share, fitted.variance_share, atol=1e-10)
    pooled_share = measure_variance(fitted, first)[:3].sum()
    assert pooled_share < 0.95
    np.testing.assert_allclose(measure_variance(fit(first), first).sum(), 1)


def test_a_neuron_that_does_not_vary_carries_no_weight():
    derivatives, _ = make_derivatives(noise=0.1)
    derivatives[:, 2] = 0
    for scaling in SCALINGS:
        np.testing.assert_allclose(fit(derivatives, 3, scaling).weights[:, 2], 0, atol=1e-12)


def test_separation_is_one_for_states_apart_and_chance_for_shuffled_ones():
    course, states = make_visits()
    assert measure_separation(course, states, gap=15) == 1
    shuffled = np.random.default_rng(0).permutation(states)
    assert measure_separation(course, shuffled, gap=15) == pytest.approx(1 / 3, abs=0.08)


def test_neighbours_in_time_have_no_vote():
    """Each bout at a place of its own, never seen again: near frames know the state, others do not."""
    rng = np.random.default_rng(0)
    states = np.repeat(rng.permutation(np.arange(30) % 3), 20)
    course = np.repeat(10 * rng.normal(size=(30, 3)), 20, axis=0) + 0.01 * rng.normal(size=(600, 3))
    assert measure_separation(course, states, gap=0, neighbours=5) == 1
    assert measure_separation(course, states, gap=20, neighbours=5) < 0.6


def test_rare_states_vote_as_loudly_as_frequent_ones():
    """Two states at one place, nine frames to one: recall may not come from the frequent state alone."""
    rng = np.random.default_rng(0)
    states = (rng.random(1000) < 0.1).astype(int)
    course = rng.normal(size=(1000, 3)) + states[:, None] * np.array([1.5, 0, 0])
    assert measure_separation(course, states, gap=5) > 0.7  # A plain majority gives .54.


def test_unscored_frames_and_breaks_neither_vote_nor_count():
    course, states = make_visits()
    scored = states.copy()
    scored[::4] = -1
    course[::4] = np.random.default_rng(0).permutation(course[::4])  # Places of other states, that would mislead.
    course[1::8] = np.nan
    assert measure_separation(course, scored, gap=15, neighbours=5) == 1
    assert measure_transfer([course], [scored], course, scored, neighbours=5) == 1


def test_places_that_mean_another_state_in_another_worm_do_not_transfer():
    course, states = make_visits()
    other, other_states = make_visits(seed=1)
    assert measure_transfer([other], [other_states], course, states) == 1
    turned = other[:, [1, 2, 0]]
    assert measure_transfer([turned], [other_states], course, states) == 0
    assert measure_separation(turned, other_states, gap=15) == 1  # Yet within that worm nothing is lost.


def test_wrong_input_is_one_line():
    derivatives, _ = make_derivatives()
    with pytest.raises(InputError, match="found 9, expected 1 to 8"):
        fit(derivatives, 9)
    with pytest.raises(InputError, match="found constants"):
        fit(np.ones((9, 2)))
    with pytest.raises(InputError, match="found 10 scored frames, gap 5, 20 neighbours, expected at least 29"):
        measure_separation(np.zeros((10, 3)), np.zeros(10, int), gap=5)


@pytest.fixture(scope="module")
def kato():
    folder = os.environ.get("WORMJAX_DATA_DIR")
    if not folder:
        pytest.skip("WORMJAX_DATA_DIR is unset: no recordings")
    return open_study("kato2015", os.path.join(folder, "kato2015", "WT_NoStim.mat"))


def test_three_components_carry_two_thirds_of_the_variance_of_katos_worms(kato):
    shares = []
    for worm in kato:
        derivatives = smoothed_derivative(worm.traces, worm.frame_rate, 5.0)
        shares.append(fit(derivatives).variance_share[:3].sum())
    assert np.mean(shares) == pytest.approx(0.65, abs=0.03)  # Kato et al. 2015: about 65 %.
    assert min(shares) > 0.55
    names = shared_neurons(kato)
    aligned = [align_neurons(worm, names, "derivatives") for worm in kato]
    assert np.mean([fit(one).variance_share[:3].sum() for one in aligned]) > 0.85


def test_places_of_katos_worms_do_not_tell_the_state_of_another_worm(kato):
    names = shared_neurons(kato)
    states = [map_motor_states(worm, "four") for worm in kato]
    aligned = [align_neurons(worm, names, "derivatives") for worm in kato]
    pooled: PrincipalComponents = fit_principal_components(aligned)
    courses = [project(pooled, one, worm.times).course for one, worm in zip(aligned, kato, strict=True)]
    gap = round(30 * kato[0].frame_rate)
    own = np.mean([measure_separation(*pair, gap) for pair in zip(courses, states, strict=True)])
    rest = [[k for k in range(len(kato)) if k != test] for test in range(len(kato))]
    others = np.mean(
        [
            measure_transfer([courses[k] for k in rest[t]], [states[k] for k in rest[t]], courses[t], states[t])
            for t in range(len(kato))
        ]
    )
    assert own > 0.65
    assert others < own - 0.1
