"""Principal components by worm: shares and scores of worms made to be told apart, or not, and their tables."""

import numpy as np
import pytest
from small_experiments import make_worms
from small_manifold import small_config

from wormjax.baselines import principal_components as pca
from wormjax.features.derivatives import smoothed_derivative
from wormjax.tasks.manifold import pca as components
from wormjax.tasks.manifold.pca import ALL, OTHERS, POOLED, SHARED, Worm

FRAMES, RATE, GAP = 400, 3.0, 15


def make_worm(number, turned=False):
    """A worm that goes round a circle in two of five neurons (other two where `turned`), its quarters its states."""
    random = np.random.default_rng(number)
    phase = 2 * np.pi * np.arange(FRAMES) / 40
    slopes = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    few = 0.02 * random.normal(size=(FRAMES, 5))
    few[:, [2, 3] if turned else [0, 1]] += slopes
    everything = np.concatenate([few, 3 * random.normal(size=(FRAMES, 3 + number))], axis=1)
    states = (phase // (np.pi / 2)).astype(int) % 4
    return Worm(f"worm {number}", everything, few, np.arange(FRAMES) / RATE, ((0, 150), (150, FRAMES)), states, GAP)


@pytest.fixture(scope="module")
def worms():
    return [make_worm(0), make_worm(1), make_worm(2, turned=True)]


@pytest.fixture(scope="module")
def found(worms):
    return components.describe_components(small_config(), worms)


def test_shares_of_each_worm_alone_and_of_all_pooled(worms, found):
    shares = found[0].shares
    assert set(shares) == {ALL, SHARED, POOLED}
    for worm, own in zip(worms, shares[SHARED], strict=True):
        np.testing.assert_allclose(own, pca.fit_principal_components([worm.shared], 3, "none").variance_share)
        assert own[:2].sum() > 0.98
    pooled = pca.fit_principal_components([worm.shared for worm in worms], None, "none")
    for worm, own in zip(worms, shares[POOLED], strict=True):
        np.testing.assert_allclose(own, pca.measure_variance(pooled, worm.shared))
        assert own.sum() == pytest.approx(1.0)
    assert shares[POOLED][2][:2].sum() < 0.05  # The two components are those of the other two worms.
    assert [len(one) for one in shares[ALL]] == [8, 9, 10]
    assert max(one[:3].sum() for one in shares[ALL]) < 0.99
    assert shares[ALL][0][:2].sum() < shares[SHARED][0][:2].sum()  # Noise of unidentified neurons carries the most.


def test_what_place_and_slopes_tell(worms, found):
    places, slopes = found[0].places, found[0].slopes
    assert set(places) == set(slopes) == {ALL, SHARED, POOLED, OTHERS}
    for scores in (places, slopes):
        assert all(len(one) == 3 for one in scores.values())
        assert min(scores[SHARED]) > 0.9
        assert max(scores[ALL]) < 0.6
        assert min(scores[OTHERS][:2]) > 0.7  # Each can be read from the other, if not from the third.
        assert scores[OTHERS][2] < 0.6  # Pooling worms does not put states into the same place.
    for number, worm in enumerate(worms):
        one = found[1][SHARED][number]
        assert places[SHARED][number] == pca.measure_separation(one.course, worm.states, GAP)
        assert slopes[SHARED][number] == pca.measure_separation(one.slopes, worm.states, GAP)
        pooled, others = found[1][POOLED], [k for k in range(3) if k != number]
        reference = [pooled[k].course for k in others], [worms[k].states for k in others]
        assert places[OTHERS][number] == pca.measure_transfer(*reference, pooled[number].course, worm.states)


def test_the_table_has_means_and_intervals_over_worms(found):
    lines = components.tabulate_components(found[0])
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == [ALL, SHARED, POOLED, OTHERS]
    three = [one[:3].sum() for one in found[0].shares[SHARED]]
    half = 4.302653 * np.std(three, ddof=1) / 3**0.5  # Student's t of three worms.
    interval = f"{np.mean(three):.3f} [{np.mean(three) - half:.3f}, {np.mean(three) + half:.3f}]"
    assert lines[3].startswith(f"| {SHARED} | {interval} | {np.mean(found[0].places[SHARED]):.3f} [")
    assert lines[5].startswith(f"| {OTHERS} |  | {np.mean(found[0].places[OTHERS]):.3f} [")


def test_one_worm_alone():
    config, worm = small_config(), make_worm(0)
    found, trajectories = components.describe_components(config, [worm])
    assert set(found.places) == {ALL, SHARED, POOLED}
    np.testing.assert_allclose(found.shares[POOLED][0], found.shares[SHARED][0])
    lines = components.tabulate_components(found)
    assert len(lines) == 5
    assert not any("[" in line for line in lines)
    drawn = [name for name, _ in components.plot_components(config, [worm], found, trajectories)]
    assert drawn == ["components_variance", "manifolds", "phase_plots"]


def test_worms_are_read_with_their_own_rate_and_only_the_neurons_asked_for():
    config = small_config(components__derivative_seconds=2.0, components__gap_seconds=7.0)
    slow, fast = make_worms(1, rate=3.0)[0], make_worms(1, first=1, rate=6.0, frames=300)[0]
    read = components.read_worms(config, [slow, fast], ("RIML", "AVAL"))
    assert [worm.gap for worm in read] == [21, 42]
    assert [worm.name for worm in read] == ["worm 0", "worm 1"]
    for recording, worm in zip((slow, fast), read, strict=True):
        expected = smoothed_derivative(recording.traces, recording.frame_rate, 2.0)
        np.testing.assert_allclose(worm.everything, expected)
        np.testing.assert_allclose(worm.shared, expected[:, [3, 0]])
        np.testing.assert_array_equal(worm.states, (np.array([1, 0, 2, 3]))[recording.motor_state])
