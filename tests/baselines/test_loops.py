"""The (loop, phase) model: the toy's two cycles from one neuron alone, new worms placed on it, chains counted out."""

import itertools

import jax
import numpy as np
import pytest

from wormjax.baselines.diffusion_maps import Embedding, Neighbourhood
from wormjax.baselines.loops import (
    Partition,
    carry_states,
    fit_loops,
    keep_frames,
    pack_loops,
    place_worm,
    predict_onset,
    share_states,
    unpack_loops,
    weigh_neighbours,
)
from wormjax.recordings.recording import UNSCORED
from wormjax.simulation.two_cycles import LARGE, SMALL, label_cycles, simulate_two_cycles

# As in the authors' script for the toy; a frame of a rare cycle has few others to go on to.
EMBEDDING = Embedding(delays=5, delay_frames=10)
NEIGHBOURHOOD = Neighbourhood(neighbours=5, density_frames=10.0)
PARTITION = Partition(phase_bins=40, attempts=3, cells=120)


@pytest.fixture(scope="module")
def toy():
    """One of the two neurons, and which cycle each frame is of."""
    activity = np.asarray(simulate_two_cycles(jax.random.key(0), frames=6000))
    return activity[:, :1], label_cycles(activity)


@pytest.fixture(scope="module")
def model(toy):
    return fit_loops([toy[0][:4000], toy[0][4000:]], EMBEDDING, NEIGHBOURHOOD, PARTITION)


@pytest.fixture(scope="module")
def new_worm():
    activity = np.asarray(simulate_two_cycles(jax.random.key(2), frames=2000))
    return activity[:, :1], label_cycles(activity)


@pytest.fixture(scope="module")
def cycle_of_loop(toy, model):
    """The cycle that most of a loop's frames are of."""
    return np.array([np.bincount(toy[1][(model.loop == loop) & (toy[1] >= 0)]).argmax() for loop in (0, 1)])


def add_loops(model, placed):
    """A distribution over states as one over loops."""
    return placed @ np.eye(model.loop_of_state.max() + 1)[model.loop_of_state]


def test_one_neuron_of_the_toy_comes_out_as_its_two_cycles(toy, model, cycle_of_loop):
    assert set(model.loop) == {0, 1}
    assert sorted(cycle_of_loop) == [SMALL, LARGE]
    scored = toy[1] != UNSCORED
    agree = (cycle_of_loop[model.loop] == toy[1])[scored]
    majority = np.bincount(toy[1][scored]).max() / scored.sum()
    assert majority < 0.8
    assert agree.mean() > 0.93


def test_loops_are_numbered_by_size_and_states_by_loop_and_phase(model):
    assert (np.diff(np.bincount(model.loop)) <= 0).all()
    order = list(zip(model.loop_of_state, model.phase_of_state, strict=True))
    assert order == sorted(order)
    assert np.array_equal(model.loop_of_state[model.state], model.loop)
    apart = np.angle(np.exp(1j * (model.phase_of_state[model.state] - model.phase)))
    assert np.abs(apart).max() <= np.pi / PARTITION.phase_bins + 1e-9
    np.testing.assert_allclose(model.transitions.sum(axis=1), 1.0)


def test_phase_grows_in_both_loops(model):
    step = np.angle(np.exp(1j * np.diff(model.phase)))
    for loop in (0, 1):
        assert step[model.loop[:-1] == loop].mean() > 0.5 * 2 * np.pi / 185  # At least half a turn in a large cycle.


def test_flow_stays_in_a_loop_for_many_frames(model):
    stays = np.eye(2)[model.loop_of_state]
    leaving = 1 - (model.transitions @ stays)[np.arange(len(stays)), model.loop_of_state]
    assert leaving.mean() < 0.05


def list_stays(loop):
    """Frames of each uninterrupted stay in a loop."""
    return np.diff(np.flatnonzero(np.concatenate([[True], np.diff(loop) != 0, [True]])))


def test_small_loops_and_short_stays_join_others(toy):
    traces, loops = toy[0][:2500], {}
    for share, frames in ((0.0, 1), (0.1, 1), (0.0, 12)):
        partition = PARTITION._replace(attempts=1, resolution=1.0, smallest_share=share, shortest_frames=frames)
        loops[share, frames] = fit_loops([traces], EMBEDDING, NEIGHBOURHOOD, partition).loop
    raw, large, long = loops.values()
    assert np.bincount(raw).min() < 250
    assert np.bincount(large).min() >= 250
    assert 2 <= large.max() + 1 < raw.max() + 1
    assert list_stays(large).min() < 12
    assert list_stays(long).min() >= 12
    assert long.max() >= 1


def test_training_frames_are_placed_in_their_own_loop(toy, model):
    placed = place_worm(model, toy[0][4000:])
    np.testing.assert_allclose(placed.sum(axis=1), 1.0)
    assert (add_loops(model, placed).argmax(axis=1) == model.loop[4000:]).mean() > 0.95


def test_a_new_worm_is_placed_on_the_cycle_it_is_in(new_worm, model, cycle_of_loop):
    traces, cycles = new_worm
    scored = cycles != UNSCORED
    found = cycle_of_loop[add_loops(model, place_worm(model, traces)).argmax(axis=1)]
    majority = np.bincount(cycles[scored]).max() / scored.sum()
    assert (found == cycles)[scored].mean() > majority + 0.1


def test_placement_does_not_depend_on_later_frames(new_worm, model):
    traces = new_worm[0][:300]
    changed = traces.copy()
    changed[200:] += 0.3
    before, after = place_worm(model, traces), place_worm(model, changed)
    np.testing.assert_allclose(before[:200], after[:200], atol=1e-9)
    assert np.abs(before[200:] - after[200:]).max() > 0.1


def test_weights_of_a_new_worm_are_of_the_nearest_frames(new_worm, model):
    weights = weigh_neighbours(model, new_worm[0][:100])
    assert weights.shape == (100, 6000)
    assert weights.nnz == 100 * NEIGHBOURHOOD.neighbours
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    placed = place_worm(model, new_worm[0][:100])
    row, state = 60, model.state[weights[[60]].indices]
    np.testing.assert_allclose(placed[row], np.bincount(state, weights[[60]].data, minlength=placed.shape[1]))


def test_chosen_frames_are_placed_as_among_all(new_worm, model):
    traces, chosen = new_worm[0][:200], np.array([150, 20, 199])
    np.testing.assert_allclose(place_worm(model, traces, chosen), place_worm(model, traces)[chosen], atol=1e-9)


def test_worms_are_placed_by_the_frames_that_are_kept(new_worm, model):
    kept = np.arange(6000) % 3 > 0
    fewer = keep_frames(model, kept)
    assert len(fewer.state) == len(fewer.places.noise) == kept.sum()
    np.testing.assert_array_equal(fewer.transitions, model.transitions)
    weights, states = weigh_neighbours(fewer, new_worm[0][:50]), np.flatnonzero(kept)
    placed = place_worm(fewer, new_worm[0][:50])
    assert placed.shape == (50, len(model.loop_of_state))
    original = model.state[states[weights[[40]].indices]]
    np.testing.assert_allclose(placed[40], np.bincount(original, weights[[40]].data, minlength=placed.shape[1]))


def test_a_packed_model_is_the_same_when_unpacked(toy, model):
    packed = pack_loops(model)
    assert "places" not in packed
    again = unpack_loops(packed, [toy[0][:4000], toy[0][4000:]], EMBEDDING, NEIGHBOURHOOD)
    assert isinstance(again.period, float)
    for one, other in zip(jax.tree.leaves(model), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_order_of_neurons_changes_nothing():
    activity = np.asarray(simulate_two_cycles(jax.random.key(2), frames=1600))
    traces = np.concatenate([activity, np.roll(activity, 9, axis=0)], axis=1)
    order = [3, 0, 2, 1]
    models = [
        fit_loops([part[:1200]], Embedding(2, 5), NEIGHBOURHOOD, PARTITION) for part in (traces, traces[:, order])
    ]
    turned = np.exp(1j * (models[0].phase - models[1].phase))
    np.testing.assert_allclose(turned, turned[0], atol=1e-2)
    assert (models[0].loop == models[1].loop).mean() > 0.999
    placed = [
        add_loops(model, place_worm(model, part[1200:]))
        for model, part in zip(models, (traces, traces[:, order]), strict=True)
    ]
    np.testing.assert_allclose(placed[0], placed[1], atol=1e-6)


def test_states_carried_by_a_permutation_go_where_it_says(model):
    cycle = np.roll(np.eye(4), 1, axis=1)  # 0 → 1 → 2 → 3 → 0.
    carried = carry_states(model._replace(transitions=cycle), np.eye(4)[[0, 2]], (3, 1, 5))
    assert carried.shape == (2, 3, 4)
    assert carried.argmax(axis=2).tolist() == [[3, 1, 1], [1, 3, 3]]
    assert set(carried.ravel()) == {0.0, 1.0}


def test_onset_equals_a_sum_over_all_paths(model):
    random = np.random.default_rng(0)
    chain = random.dirichlet(np.ones(4), 4)
    inside = np.array([False, True, False, True])
    onset = predict_onset(model._replace(transitions=chain), inside, (1, 4))
    for number, steps in enumerate((1, 4)):
        expected = np.zeros(4)
        for path in itertools.product(range(4), repeat=steps + 1):
            pairs = list(itertools.pairwise(path))
            if any(inside[after] and not inside[before] for before, after in pairs):
                expected[path[0]] += np.prod([chain[pair] for pair in pairs])
        np.testing.assert_allclose(onset[number], expected)
    assert onset[0, inside].max() == 0.0  # Inside already: it must be left first.


def test_shares_count_motor_states_and_lean_on_the_average(model):
    small = model._replace(state=np.array([0, 0, 0, 0, 1, 1]), loop_of_state=np.zeros(3, int))
    shares = share_states(small, np.array([0, 0, 1, UNSCORED, 1, UNSCORED]), 2)
    # Two frames of each state and half a frame more: an average frame is half and half.
    np.testing.assert_allclose(shares, [[2.5 / 4, 1.5 / 4], [0.5 / 2, 1.5 / 2], [0.5, 0.5]])
