"""Simulated worms: what they share, what they do not, that the wiring drives them, and how hard they are to decode."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from wormjax.errors import InputError
from wormjax.recordings.motor_states import FOUR_STATES, map_motor_states
from wormjax.recordings.recording import UNSCORED
from wormjax.simulation.worms import (
    COMMAND_COUPLING,
    FORWARD,
    KATO_NEURONS,
    REVERSE,
    STATE_NAMES,
    draw_wiring,
    iterate_worms,
    simulate_worms,
)


@pytest.fixture(scope="module")
def study():
    return simulate_worms(seed=3, worms=6, minutes=4.0)


@pytest.fixture(scope="module")
def full_length():
    return simulate_worms(seed=1, worms=3, minutes=12.0)


def find_column(recording, name):
    return recording.traces[:, recording.identified[name]]


def test_same_seed_same_worms_and_more_worms_leave_the_first_as_they_are(study):
    again = simulate_worms(seed=3, worms=2, minutes=4.0)
    for ours, theirs in zip(study.recordings, again.recordings, strict=False):
        np.testing.assert_allclose(ours.traces, theirs.traces, atol=1e-5)
        np.testing.assert_array_equal(ours.motor_state, theirs.motor_state)
        assert ours.neuron_names == theirs.neuron_names
    np.testing.assert_array_equal(study.wiring, again.wiring)
    twin = simulate_worms(seed=3, worms=2, minutes=4.0)
    np.testing.assert_array_equal(again.recordings[1].traces, twin.recordings[1].traces)


def test_another_seed_another_study(study):
    other = simulate_worms(seed=4, worms=2, minutes=4.0)
    assert (other.wiring != 0).tolist() != (study.wiring != 0).tolist()
    assert other.recordings[0].frame_rate != study.recordings[0].frame_rate


def test_wiring_is_sparse_signed_and_without_self_edges(study):
    edges = study.wiring != 0
    assert study.neuron_names == KATO_NEURONS
    assert not np.diag(edges).any()
    assert edges.any(axis=0).all()  # Every neuron receives from another.
    assert 0.15 <= edges.sum() / (15 * 14) <= 0.3
    assert (study.wiring > 0).any()
    assert (study.wiring < 0).any()


def test_recordings_look_like_the_real_ones(study):
    assert [r.worm for r in study.recordings] == [f"simulated-3-{k:02d}" for k in range(1, 7)]
    for recording in study.recordings:
        assert recording.study == "simulated"
        assert 2.6 <= recording.frame_rate <= 3.3
        assert 238 <= recording.times[-1] <= 240
        assert recording.behavior["velocity"].shape == recording.times.shape
        assert set(map_motor_states(recording, "four")) <= {UNSCORED, *range(len(FOUR_STATES))}
        unscored = np.mean(recording.motor_state == UNSCORED)
        assert 0 < unscored < 0.1
    assert len({r.frame_rate for r in study.recordings}) == 6


def test_derivatives_are_the_slope_of_the_traces_per_second(study):
    recording = study.recordings[0]
    middle = 100
    frames = slice(middle - 7, middle + 8)
    slope = np.polyfit(recording.times[frames], recording.traces[frames], 2)
    expected = 2 * slope[0] * recording.times[middle] + slope[1]
    np.testing.assert_allclose(recording.derivatives[middle], expected, atol=1e-6)


def test_worms_miss_neurons_but_share_ten():
    recordings = simulate_worms(seed=0, worms=14, minutes=0.25).recordings
    missing = [set(KATO_NEURONS) - set(r.identified) for r in recordings]
    assert [len(m) for m in missing] == [0, 1] * 7
    assert 2 <= len(set.union(*missing)) <= 5
    assert {r.traces.shape[1] for r in recordings} == {19, 20}
    for recording in recordings:
        assert recording.neuron_names.count(None) >= 5
        assert all(name in KATO_NEURONS for name in recording.identified)
        assert any(len(names) == 2 for names in recording.ambiguous_names)
    assert len({r.neuron_names for r in recordings}) == 14  # Columns stand in an order of the worm's own.


def test_gains_offsets_and_noise_are_the_worms_own(study):
    shared = sorted(set.intersection(*(set(r.identified) for r in study.recordings)))
    spread = np.array([[find_column(r, name).std() for name in shared] for r in study.recordings])
    level = np.array([[find_column(r, name).mean() for name in shared] for r in study.recordings])
    assert np.log(spread).std(axis=0).min() > 0.05
    assert level.std(axis=0).min() > 0.01


def test_command_is_cyclic(full_length):
    for recording in full_length.recordings:
        states = recording.motor_state
        steps = np.flatnonzero((np.diff(states) != 0) & (states[1:] != UNSCORED) & (states[:-1] != UNSCORED))
        follows = {(STATE_NAMES[states[k]], STATE_NAMES[states[k + 1]]) for k in steps}
        assert follows <= {
            ("forward", "reverse"),
            ("reverse", "dorsal turn"),
            ("reverse", "ventral turn"),
            ("dorsal turn", "forward"),
            ("ventral turn", "forward"),
        }
        assert len(steps) > 25
    fractions = np.bincount(np.concatenate([r.motor_state[r.motor_state >= 0] for r in full_length.recordings]))
    assert fractions.argmax() == FORWARD
    assert fractions.min() > 0.02 * fractions.sum()


def test_velocity_is_positive_forward_and_negative_in_reverse(study):
    for recording in study.recordings:
        velocity = recording.behavior["velocity"]
        assert velocity[recording.motor_state == FORWARD].mean() > 0.05
        assert velocity[recording.motor_state == REVERSE].mean() < -0.05


def test_reversal_neurons_follow_the_command():
    unwired = simulate_worms(seed=5, worms=6, minutes=4.0, wiring=np.zeros((15, 15)))
    for recording in unwired.recordings:
        if "AVAL" in recording.identified:
            assert np.corrcoef(find_column(recording, "AVAL"), recording.motor_state == REVERSE)[0, 1] > 0.4


def test_without_wiring_an_uncoupled_neuron_knows_nothing_of_the_command():
    assert "ALA" not in COMMAND_COUPLING
    unwired = simulate_worms(seed=5, worms=1, minutes=12.0, wiring=np.zeros((15, 15))).recordings[0]
    relay = np.zeros((15, 15))
    relay[KATO_NEURONS.index("AVAL"), KATO_NEURONS.index("ALA")] = 2.0
    wired = simulate_worms(seed=5, worms=1, minutes=12.0, wiring=relay).recordings[0]
    reverse = unwired.motor_state == REVERSE
    assert abs(np.corrcoef(find_column(unwired, "ALA"), reverse)[0, 1]) < 0.2
    assert np.corrcoef(find_column(wired, "ALA"), reverse)[0, 1] > 0.4


def test_cutting_an_edge_changes_its_receiver_and_what_depends_on_it_alone(study):
    sender, receiver = np.argwhere(study.wiring != 0)[0]
    cut = study.wiring.copy()
    cut[sender, receiver] = 0.0
    other = simulate_worms(seed=3, worms=1, minutes=4.0, wiring=cut).recordings[0]
    whole = study.recordings[0]
    reached, frontier = set(), {receiver}
    while frontier:
        reached |= frontier
        frontier = {int(k) for j in frontier for k in np.flatnonzero(cut[j])} - reached
    changed = {
        k
        for k, name in enumerate(KATO_NEURONS)
        if np.abs(find_column(whole, name) - find_column(other, name)).max() > 1e-4
    }
    assert receiver in changed
    assert changed <= reached


def z_score(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def score_decoder(recordings, lags):
    """Accuracy and balanced accuracy of logistic regression, trained on each worm and tested on the others."""
    shared = sorted(set.intersection(*(set(r.identified) for r in recordings)))
    data = []
    for recording in recordings:
        columns = [recording.identified[name] for name in shared]
        features = z_score(np.hstack([recording.traces[:, columns], recording.derivatives[:, columns]]))
        frames = np.arange(len(features))
        lagged = np.hstack([features[np.clip(frames + lag, 0, len(features) - 1)] for lag in lags])
        scored = recording.motor_state != UNSCORED
        data.append((lagged[scored], recording.motor_state[scored]))
    scores = []
    for trained in range(len(data)):
        thinned = (values[::3] for values in data[trained])
        model = LogisticRegression(C=0.03, max_iter=50).fit(*thinned)
        for features, states in data[:trained] + data[trained + 1 :]:
            predicted = model.predict(features)
            scores.append((np.mean(predicted == states), balanced_accuracy_score(states, predicted)))
    return np.mean(scores, axis=0)


def test_decoding_is_neither_easy_nor_hopeless_and_context_helps(full_length):
    accuracy, balanced = score_decoder(full_length.recordings, (0,))
    assert 0.75 < accuracy < 0.92
    assert 0.5 < balanced < 0.8
    accuracy_context, balanced_context = score_decoder(full_length.recordings, (-8, -4, 0, 4, 8))
    assert accuracy_context > accuracy + 0.01
    assert balanced_context > balanced + 0.02


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1, "worms": 1}, "'seed': found -1"),
        ({"seed": 0, "worms": 0}, "'worms': found 0"),
        ({"seed": 0, "worms": 1, "minutes": 0.01}, "'minutes': found 0.01"),
        ({"seed": 0, "worms": 1, "minutes": float("nan")}, "'minutes': found nan"),
        ({"seed": 0, "worms": 1, "neurons": ("RID", "RID")}, "found RID twice"),
        ({"seed": 0, "worms": 1, "neurons": ()}, "expected one name or more"),
        ({"seed": 0, "worms": 1, "wiring": np.zeros((3, 3))}, r"shape \(3, 3\)"),
        ({"seed": 0, "worms": 1, "wiring": np.eye(15)}, "edge from a neuron to itself"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        simulate_worms(**arguments)


def test_any_neurons_can_be_named():
    two = simulate_worms(seed=0, worms=2, minutes=0.5, neurons=("AVAL", "X1"))
    assert two.wiring.shape == (2, 2)
    one = simulate_worms(seed=0, worms=2, minutes=0.5, neurons=("AVAL",))
    assert not one.wiring.any()


def test_worms_one_after_another_are_those_of_the_study(study):
    for one, other in zip(iterate_worms(seed=3, worms=3, minutes=4.0), study.recordings, strict=False):
        assert one.worm == other.worm
        assert one.neuron_names == other.neuron_names
        np.testing.assert_array_equal(one.motor_state, other.motor_state)
        np.testing.assert_allclose(one.traces, other.traces, atol=1e-4)


def test_all_neurons_are_found_and_filmed_as_fast_as_is_asked():
    names = (*KATO_NEURONS, "X1")
    worms = list(iterate_worms(seed=0, worms=4, minutes=0.5, neurons=names, frame_rates=(20.0, 20.0), all_found=True))
    assert [set(worm.identified) for worm in worms] == [set(names)] * 4
    assert [worm.frame_rate for worm in worms] == pytest.approx([20.0] * 4)
    assert [len(worm.times) for worm in worms] == [600] * 4
    with pytest.raises(InputError, match=r"'frame_rates': found \(1.0, 21.0\), expected a range up to 20 Hz"):
        next(iterate_worms(seed=0, worms=1, frame_rates=(1.0, 21.0)))


def test_the_wiring_has_random_numbers_of_its_own():
    """Of seed 0, [0] and [0, 0] are one stream: that of the first worm."""
    wiring = simulate_worms(0, 1, 0.5).wiring
    worms_own = draw_wiring(np.random.default_rng([0, 0]), len(wiring))
    assert (wiring != worms_own).any()
    other = simulate_worms(1, 1, 0.5).wiring
    assert (wiring != other).any()
    np.testing.assert_array_equal(wiring, simulate_worms(0, 3, 0.5).wiring)
